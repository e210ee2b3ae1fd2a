#include "bind/convert.hpp"

#include <limits>

namespace py = pybind11;

namespace pyvmaf::bind {

namespace {

// Whether the samples have the format `kind` ("H" or "B") of Python's struct module, with any
// prefix that means native byte order. numpy writes "=" for samples that are not aligned.
bool holds(const py::buffer_info& info, char kind) {
  std::string format = info.format;
  const char native = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? '<' : '>';
  if (!format.empty() && (format[0] == '@' || format[0] == '=' || format[0] == native)) {
    format.erase(0, 1);
  }
  return format.size() == 1 && format[0] == kind;
}

py::array_t<double> to_array(const std::vector<double>& values) {
  return py::array_t<double>(static_cast<py::ssize_t>(values.size()), values.data());
}

}  // namespace

std::vector<unsigned> to_indices(const Indices& array) {
  if (array.ndim() != 1) {
    throw py::value_error("frame indices must be 1-D, not " + std::to_string(array.ndim()) + "-D");
  }
  std::vector<unsigned> indices;
  indices.reserve(static_cast<std::size_t>(array.size()));
  const auto view = array.unchecked<1>();
  for (py::ssize_t i = 0; i < view.shape(0); ++i) {
    if (view(i) < 0 || view(i) > std::numeric_limits<int>::max()) {
      throw py::value_error("frame index " + std::to_string(view(i)) + " is not in 0.." +
                            std::to_string(std::numeric_limits<int>::max()));
    }
    indices.push_back(static_cast<unsigned>(view(i)));
  }
  return indices;
}

py::dict to_dict(const CollectionScores& scores) {
  py::dict columns;
  columns["bagging"] = to_array(scores.bagging);
  columns["stddev"] = to_array(scores.stddev);
  columns["ci_p95_lo"] = to_array(scores.low);
  columns["ci_p95_hi"] = to_array(scores.high);
  return columns;
}

Frame::Frame(const py::sequence& planes, const char* side) {
  const auto count = static_cast<std::size_t>(py::len(planes));
  buffers_.reserve(count);
  for (std::size_t index = 0; index < count; ++index) {
    const std::string plane = "plane " + std::to_string(index) + " of the " + side + " frame";
    const py::object item = planes[index];
    if (!PyObject_CheckBuffer(item.ptr())) {
      throw py::type_error(plane + " is not a buffer");
    }
    buffers_.push_back(py::reinterpret_borrow<py::buffer>(item).request());
    const py::buffer_info& info = buffers_.back();
    if (info.ndim != 2) {
      throw py::value_error(plane + " is " + std::to_string(info.ndim) + "-D, not 2-D");
    }
    if (!holds(info, 'B') && !holds(info, 'H')) {
      throw py::type_error(plane + " holds samples of format '" + info.format +
                           "', not uint8 or uint16 in native byte order");
    }
    planes_.push_back({static_cast<const std::uint8_t*>(info.ptr),
                       static_cast<std::size_t>(info.shape[1]),
                       static_cast<std::size_t>(info.shape[0]), info.strides[0], info.strides[1],
                       static_cast<std::size_t>(info.itemsize)});
  }
}

}  // namespace pyvmaf::bind
