#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "bind/bind.hpp"
#include "bind/convert.hpp"
#include "vmaf/model.hpp"
#include "vmaf/scores.hpp"

namespace py = pybind11;

namespace pyvmaf::bind {

namespace {

// Returns the number of rows; throws ValueError if the table or the chunk does not fit.
std::size_t check_table(const std::vector<std::string>& keys, const Values& values,
                        std::size_t chunk) {
  if (values.ndim() != 2 || values.shape(1) != static_cast<py::ssize_t>(keys.size())) {
    throw py::value_error("values must be 2-D with one column for each of the " +
                          std::to_string(keys.size()) + " keys");
  }
  if (chunk == 0) {
    throw py::value_error("a chunk must hold at least one frame");
  }
  return static_cast<std::size_t>(values.shape(0));
}

py::array_t<double> predict(const Model& model, const std::vector<std::string>& keys,
                            const Values& values, std::size_t chunk) {
  const std::size_t rows = check_table(keys, values, chunk);
  py::array_t<double> scores(values.shape(0));
  const double* data = values.data();
  double* scores_data = scores.mutable_data();
  {
    const py::gil_scoped_release released;
    pyvmaf::predict(model, keys, data, rows, chunk, scores_data);
  }
  return scores;
}

py::dict predict_collection(const ModelCollection& collection, const std::vector<std::string>& keys,
                            const Values& values, std::size_t chunk) {
  const std::size_t rows = check_table(keys, values, chunk);
  const double* data = values.data();
  return to_dict([&] {
    const py::gil_scoped_release released;
    return pyvmaf::predict_collection(collection, keys, data, rows, chunk);
  }());
}

}  // namespace

void bind_predict(py::module_& module) {
  module.def("predict", &predict, py::arg("model"), py::arg("keys"), py::arg("values"),
             py::arg("chunk"), R"(Return the scores of a model from features measured elsewhere.

They equal the scores of a context bit for bit. The GIL is released.

Args:
    model: the model.
    keys: libvmaf's names of the features, k of them.
    values: features, float64 of shape (n, k), columns in the order of keys.
    chunk: frames that are in memory at a time, 1 or more; the scores do not depend on it.

Returns:
    scores, float64 of shape (n,).

Raises:
    ValueError: values of another shape, or a chunk of 0.
    Error: a feature of the model is missing.
)");
  module.def("predict_collection", &predict_collection, py::arg("collection"), py::arg("keys"),
             py::arg("values"), py::arg("chunk"),
             R"(Return the scores of a collection from features measured elsewhere.

They equal the scores of a context bit for bit. The GIL is released.

Args:
    collection: the collection.
    keys: libvmaf's names of the features, k of them.
    values: features, float64 of shape (n, k), columns in the order of keys.
    chunk: frames that are in memory at a time, 1 or more; the scores do not depend on it.

Returns:
    "bagging" (the score), "stddev", "ci_p95_lo" and "ci_p95_hi" (bounds of the 95 % confidence
    interval), each float64 of shape (n,).

Raises:
    ValueError: values of another shape, or a chunk of 0.
    Error: a feature of the collection is missing.
)");
}

}  // namespace pyvmaf::bind
