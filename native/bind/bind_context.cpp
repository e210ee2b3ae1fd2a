#include "vmaf/context.hpp"

#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bind/bind.hpp"
#include "bind/convert.hpp"

namespace py = pybind11;

namespace pyvmaf::bind {

namespace {

std::unique_ptr<Context> make_context(unsigned width, unsigned height, const std::string& pix_fmt,
                                      unsigned bpc, unsigned n_threads, unsigned n_subsample,
                                      const std::string& cuda_device) {
  const auto format = lookup<VmafPixelFormat>({{"420", VMAF_PIX_FMT_YUV420P},
                                               {"422", VMAF_PIX_FMT_YUV422P},
                                               {"444", VMAF_PIX_FMT_YUV444P},
                                               {"400", VMAF_PIX_FMT_YUV400P}},
                                              pix_fmt, "pixel format");
  const py::gil_scoped_release released;
  return std::make_unique<Context>(width, height, format, bpc, n_threads, n_subsample, cuda_device);
}

void read(Context& context, const py::sequence& reference,
          const std::optional<py::sequence>& distorted, unsigned index) {
  const Frame ref(reference, "reference");
  const Frame dis(distorted ? *distorted : py::sequence(py::tuple()), "distorted");
  if (distorted && dis.planes().empty()) {
    throw py::value_error("the distorted frame has no planes");
  }
  const py::gil_scoped_release released;
  context.read(ref.planes(), dis.planes(), index);
}

py::tuple feature_scores(Context& context, const std::string& key, const Indices& array) {
  const std::vector<unsigned> indices = to_indices(array);
  const auto count = static_cast<py::ssize_t>(indices.size());
  py::array_t<double> scores(count);
  py::array_t<bool> present(count);
  double* scores_data = scores.mutable_data();
  bool* present_data = present.mutable_data();
  {
    const py::gil_scoped_release released;
    context.feature_scores(key, indices, scores_data, present_data);
  }
  return py::make_tuple(std::move(scores), std::move(present));
}

void import_feature_scores(Context& context, const std::string& key, const Indices& array,
                           const Values& values) {
  const std::vector<unsigned> indices = to_indices(array);
  if (values.ndim() != 1 || values.size() != array.size()) {
    throw py::value_error(std::to_string(array.size()) + " indices but " +
                          std::to_string(values.size()) + " values");
  }
  const double* data = values.data();
  const py::gil_scoped_release released;
  context.import_feature_scores(key, indices, data);
}

py::array_t<double> scores(Context& context, const Model& model, const Indices& array) {
  const std::vector<unsigned> indices = to_indices(array);
  py::array_t<double> scores(static_cast<py::ssize_t>(indices.size()));
  double* data = scores.mutable_data();
  {
    const py::gil_scoped_release released;
    context.scores(model, indices, data);
  }
  return scores;
}

py::dict collection_scores(Context& context, const ModelCollection& collection,
                           const Indices& array) {
  const std::vector<unsigned> indices = to_indices(array);
  return to_dict([&] {
    const py::gil_scoped_release released;
    return context.collection_scores(collection, indices);
  }());
}

}  // namespace

void bind_context(py::module_& module) {
  using release = py::call_guard<py::gil_scoped_release>;
  py::class_<Context>(
      module, "Context",
      R"(A context of libvmaf: computes features of pairs of frames of one size and format.

The methods release the GIL while libvmaf works. One thread at a time: a method that is called
while another thread is inside the context raises Error with errno -EBUSY, after close() with
-EBADF, in a forked child with -EPERM.
)")
      .def(py::init(&make_context), py::arg("width"), py::arg("height"), py::arg("pix_fmt"),
           py::arg("bpc"), py::kw_only(), py::arg("n_threads") = 0, py::arg("n_subsample") = 0,
           py::arg("cuda_device") = "",
           R"(Open a context.

Args:
    width: luma width of the frames in samples, 1 or more.
    height: luma height of the frames in samples, 1 or more.
    pix_fmt: "420", "422", "444" or "400".
    bpc: bits per sample, 8 (uint8 planes) to 16 (uint16 planes).
    n_threads: worker threads of libvmaf, 0 or more; with 0, read() computes.
    n_subsample: compute every n-th frame only; with 0 or 1, all frames.
    cuda_device: index or UUID of the device for the extractors "adm_cuda", "vif_cuda" and
        "motion_cuda"; empty for none.

Raises:
    TypeError: a number is negative or not an integer.
    ValueError: unknown pixel format, or worker threads together with a CUDA device.
    CudaError: the device cannot be used.
    Error: libvmaf cannot open a context.
)")
      .def("use_feature", &Context::use_feature, py::arg("extractor"), py::arg("options"),
           release(), R"(Register an extractor, before the first frame.

Args:
    extractor: libvmaf's name of it, for example "vif".
    options: option to value, both as text. libvmaf ignores names that it does not know.

Raises:
    Error: unknown extractor, or a value that libvmaf refuses.
)")
      .def("use_model", &Context::use_model, py::arg("model"), release(),
           R"(Register the extractors that a model needs, before the first frame.

The context keeps the model alive.

Raises:
    Error: libvmaf refuses the model.
)")
      .def("use_model_collection", &Context::use_model_collection, py::arg("collection"), release(),
           R"(Register the extractors that a collection needs, before the first frame.

The context keeps the collection alive.

Raises:
    Error: libvmaf refuses the collection.
)")
      .def("read", &read, py::arg("reference"), py::arg("distorted"), py::arg("index"),
           R"(Copy a pair of frames and compute its features, or queue it for the worker threads.

Args:
    reference: planes [Y, U, V]; "400" reads [Y] only, and further planes are ignored. Each plane is
        a 2-D buffer of shape (height, width) with any strides: uint8 if the context has 8 bits
        per sample, else uint16 in native byte order. Chroma of odd frames may be rounded up or
        down. The memory may be reused after the call.
    distorted: planes as of reference; None for extractors that read the reference only.
    index: frame index, 0 or more. libvmaf allocates 16 bytes per score up to the largest index.

Raises:
    TypeError: a plane is not a buffer, or not of uint8 or uint16.
    ValueError: a plane is missing, or does not fit the context in shape or sample type, or a sample
        is greater than 2**bpc - 1.
    Error: libvmaf failed. Part of the frame may have been scored.
)")
      .def("flush", &Context::flush, release(),
           R"(Wait for the worker threads and compute the scores that need the whole sequence.

libvmaf drops the errors of worker threads: scores may be missing afterwards.

Raises:
    Error: a second flush, or a flush without frames if there are no worker threads.
)")
      .def("feature_scores", &feature_scores, py::arg("key"), py::arg("indices"),
           R"(Return the scores of a feature.

Args:
    key: libvmaf's name of the score, for example "VMAF_integer_feature_adm2_score".
    indices: frame indices, int64 of shape (n,), in 0..2**31-1.

Returns:
    scores, float64 of shape (n,), NaN where there is none; and whether there is one, bool of shape
    (n,).

Raises:
    ValueError: indices of another shape or range.
)")
      .def("import_feature_scores", &import_feature_scores, py::arg("key"), py::arg("indices"),
           py::arg("values"), R"(Store scores that were measured elsewhere.

Args:
    key: libvmaf's name of the score.
    indices: frame indices, int64 of shape (n,), in 0..2**31-1.
    values: scores, float64 of shape (n,).

Raises:
    ValueError: indices of another shape or range, or another number of values.
    Error: a frame has a score of this name already; the scores before it are stored.
)")
      .def("scores", &scores, py::arg("model"), py::arg("indices"),
           R"(Return the scores of a model.

Args:
    model: a model whose features the context has.
    indices: frame indices, int64 of shape (n,), in 0..2**31-1.

Returns:
    scores, float64 of shape (n,).

Raises:
    ValueError: indices of another shape or range.
    Error: a feature of a frame is missing.
)")
      .def("collection_scores", &collection_scores, py::arg("collection"), py::arg("indices"),
           R"(Return the scores of a collection.

Args:
    collection: a collection whose features the context has.
    indices: frame indices, int64 of shape (n,), in 0..2**31-1.

Returns:
    "bagging" (the score), "stddev", "ci_p95_lo" and "ci_p95_hi" (bounds of the 95 % confidence
    interval), each float64 of shape (n,).

Raises:
    ValueError: indices of another shape or range.
    Error: a feature of a frame is missing.
)")
      .def("close", &Context::close, release(),
           R"(Wait for the worker threads and free everything. Closing twice does nothing.

Raises:
    Error: the context is busy in another thread, or from before a fork.
)")
      .def_property_readonly("closed", &Context::closed, "Whether the context is closed.");
}

}  // namespace pyvmaf::bind
