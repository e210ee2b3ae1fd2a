#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "build_info.hpp"
#include "context.hpp"
#include "error.hpp"
#include "model.hpp"

namespace py = pybind11;
namespace pv = pyvmaf;

namespace {

using Indices = py::array_t<std::int64_t, py::array::c_style | py::array::forcecast>;
using Values = py::array_t<double, py::array::c_style | py::array::forcecast>;

template <typename Enum>
Enum lookup(const std::map<std::string, Enum>& table, const std::string& name, const char* kind) {
  const auto found = table.find(name);
  if (found == table.end()) {
    std::string valid;
    for (const auto& entry : table) {
      valid += (valid.empty() ? "" : ", ") + entry.first;
    }
    throw py::value_error(std::string(kind) + " '" + name + "' is none of " + valid);
  }
  return found->second;
}

VmafPixelFormat pixel_format(const std::string& name) {
  return lookup<VmafPixelFormat>({{"420", VMAF_PIX_FMT_YUV420P},
                                  {"422", VMAF_PIX_FMT_YUV422P},
                                  {"444", VMAF_PIX_FMT_YUV444P},
                                  {"400", VMAF_PIX_FMT_YUV400P}},
                                 name, "pixel format");
}

void set_log_level(const std::string& name) {
  pv::set_log_level(lookup<VmafLogLevel>({{"none", VMAF_LOG_LEVEL_NONE},
                                          {"error", VMAF_LOG_LEVEL_ERROR},
                                          {"warning", VMAF_LOG_LEVEL_WARNING},
                                          {"info", VMAF_LOG_LEVEL_INFO},
                                          {"debug", VMAF_LOG_LEVEL_DEBUG}},
                                         name, "log level"));
}

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

// "H" and "B" of Python's struct module, with any prefix that means native byte order. numpy writes
// "=" for samples that are not aligned.
bool holds(const py::buffer_info& info, char kind) {
  std::string format = info.format;
  const bool little = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;
  if (!format.empty() && (format[0] == '@' || format[0] == '=' || format[0] == (little ? '<' : '>'))) {
    format.erase(0, 1);
  }
  return format.size() == 1 && format[0] == kind;
}

// The buffers of a frame's planes, held while the GIL is away.
class Frame {
 public:
  Frame(const py::sequence& planes, const char* what) {
    const auto count = static_cast<std::size_t>(py::len(planes));
    buffers_.reserve(count);
    for (std::size_t index = 0; index < count; ++index) {
      const py::object item = planes[index];
      if (!PyObject_CheckBuffer(item.ptr())) {
        throw py::type_error("plane " + std::to_string(index) + " of the " + what +
                             " frame is no buffer");
      }
      buffers_.push_back(py::reinterpret_borrow<py::buffer>(item).request());
      const py::buffer_info& info = buffers_.back();
      if (info.ndim != 2) {
        throw py::value_error("plane " + std::to_string(index) + " of the " + what +
                              " frame is " + std::to_string(info.ndim) + "-D, not 2-D");
      }
      if (!holds(info, 'B') && !holds(info, 'H')) {
        throw py::type_error("plane " + std::to_string(index) + " of the " + what +
                             " frame holds samples of format '" + info.format +
                             "', not uint8 or uint16 in native byte order");
      }
      planes_.push_back({static_cast<const std::uint8_t*>(info.ptr),
                         static_cast<std::size_t>(info.shape[1]),
                         static_cast<std::size_t>(info.shape[0]), info.strides[0], info.strides[1],
                         static_cast<std::size_t>(info.itemsize)});
    }
  }
  [[nodiscard]] const pv::Planes& planes() const noexcept { return planes_; }

 private:
  std::vector<py::buffer_info> buffers_;
  pv::Planes planes_;
};

void read_pair(pv::Context& context, const py::sequence& reference,
          const std::optional<py::sequence>& distorted, unsigned index) {
  const Frame ref(reference, "reference");
  const Frame dis(distorted ? *distorted : py::sequence(py::tuple()), "distorted");
  if (distorted && dis.planes().empty()) {
    throw py::value_error("the distorted frame has no planes");
  }
  const py::gil_scoped_release released;
  context.read(ref.planes(), dis.planes(), index);
}

py::tuple feature_scores(pv::Context& context, const std::string& key, const Indices& array) {
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

void import_feature_scores(pv::Context& context, const std::string& key, const Indices& array,
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

py::array_t<double> scores(pv::Context& context, const pv::Model& model, const Indices& array) {
  const std::vector<unsigned> indices = to_indices(array);
  py::array_t<double> out(static_cast<py::ssize_t>(indices.size()));
  double* data = out.mutable_data();
  {
    const py::gil_scoped_release released;
    context.scores(model, indices, data);
  }
  return out;
}

py::array_t<double> to_array(const std::vector<double>& values) {
  return py::array_t<double>(static_cast<py::ssize_t>(values.size()), values.data());
}

py::dict to_dict(const pv::CollectionScores& scores) {
  py::dict out;
  out["bagging"] = to_array(scores.bagging);
  out["stddev"] = to_array(scores.stddev);
  out["ci_p95_lo"] = to_array(scores.low);
  out["ci_p95_hi"] = to_array(scores.high);
  return out;
}

py::dict collection_scores(pv::Context& context, const pv::ModelCollection& collection,
                           const Indices& array) {
  const std::vector<unsigned> indices = to_indices(array);
  pv::CollectionScores out;
  {
    const py::gil_scoped_release released;
    out = context.collection_scores(collection, indices);
  }
  return to_dict(out);
}

void check_table(const std::vector<std::string>& keys, const Values& values, std::size_t chunk) {
  if (values.ndim() != 2 || values.shape(1) != static_cast<py::ssize_t>(keys.size())) {
    throw py::value_error("values must be 2-D with one column for each of the " +
                          std::to_string(keys.size()) + " keys");
  }
  if (chunk == 0) {
    throw py::value_error("a chunk must hold at least one frame");
  }
}

py::array_t<double> predict(const pv::Model& model, const std::vector<std::string>& keys,
                            const Values& values, std::size_t chunk) {
  check_table(keys, values, chunk);
  py::array_t<double> out(values.shape(0));
  const double* data = values.data();
  double* out_data = out.mutable_data();
  const auto rows = static_cast<std::size_t>(values.shape(0));
  {
    const py::gil_scoped_release released;
    pv::predict(model, keys, data, rows, chunk, out_data);
  }
  return out;
}

py::dict predict_collection(const pv::ModelCollection& collection,
                            const std::vector<std::string>& keys, const Values& values,
                            std::size_t chunk) {
  check_table(keys, values, chunk);
  const double* data = values.data();
  const auto rows = static_cast<std::size_t>(values.shape(0));
  pv::CollectionScores out;
  {
    const py::gil_scoped_release released;
    out = pv::predict_collection(collection, keys, data, rows, chunk);
  }
  return to_dict(out);
}

// The widest instruction set that libvmaf may use here: what the CPU has, less what the mask hides.
std::string simd_level() {
#if defined(__x86_64__)
  const std::uint64_t mask = pv::cpu_mask();
  const auto open = [mask](unsigned bit) { return (mask & (std::uint64_t{1} << bit)) == 0; };
  if (open(5) && __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512bitalg")) {
    return "avx512icl";
  }
  if (open(4) && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
    return "avx512";
  }
  if (open(3) && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2")) {
    return "avx2";
  }
  return "c";
#elif defined(__aarch64__)
  return pv::cpu_mask() == 0 ? "neon" : "c";
#else
  return "c";
#endif
}

py::dict build_info() {
  py::dict info;
  info["commit"] = PYVMAF_LIBVMAF_COMMIT;
  info["recipe"] = PYVMAF_RECIPE;
  info["flags"] = PYVMAF_FLAGS;
  info["compiler"] = PYVMAF_COMPILER;
  info["cuda"] = false;
  return info;
}

}  // namespace

PYBIND11_MODULE(_native, m) {
  m.doc() = "libvmaf, raw. Use pyvmaf.engine: it checks what libvmaf does not.";

  static py::exception<pv::VmafError> error(m, "Error", PyExc_RuntimeError);
  py::register_exception_translator([](std::exception_ptr pointer) {
    try {
      if (pointer) {
        std::rethrow_exception(pointer);
      }
    } catch (const pv::VmafError& raised) {
      const py::object instance = static_cast<const py::object&>(error)(raised.what());
      instance.attr("errno") = raised.code();
      PyErr_SetObject(error.ptr(), instance.ptr());
    }
  });

  py::class_<pv::Model, std::shared_ptr<pv::Model>>(m, "Model")
      .def(py::init<std::string, bool, const std::string&>(), py::arg("source"), py::kw_only(),
           py::arg("is_path") = false, py::arg("name") = "")
      .def_property_readonly("name", &pv::Model::name)
      .def_property_readonly("source", &pv::Model::source);

  py::class_<pv::ModelCollection, std::shared_ptr<pv::ModelCollection>>(m, "ModelCollection")
      .def(py::init<std::string, bool, const std::string&>(), py::arg("source"), py::kw_only(),
           py::arg("is_path") = false, py::arg("name") = "")
      .def_property_readonly("name", &pv::ModelCollection::name)
      .def_property_readonly("source", &pv::ModelCollection::source);

  using release = py::call_guard<py::gil_scoped_release>;
  py::class_<pv::Context>(m, "Context")
      .def(py::init([](unsigned width, unsigned height, const std::string& format, unsigned bpc,
                       unsigned n_threads, unsigned n_subsample) {
             return std::make_unique<pv::Context>(width, height, pixel_format(format), bpc,
                                                  n_threads, n_subsample);
           }),
           py::arg("width"), py::arg("height"), py::arg("pix_fmt"), py::arg("bpc"), py::kw_only(),
           py::arg("n_threads") = 0, py::arg("n_subsample") = 0)
      .def("use_feature", &pv::Context::use_feature, py::arg("extractor"), py::arg("options"),
           release())
      .def("use_model", &pv::Context::use_model, py::arg("model"), release())
      .def("use_model_collection", &pv::Context::use_model_collection, py::arg("collection"),
           release())
      .def("read", &read_pair, py::arg("reference"), py::arg("distorted"), py::arg("index"))
      .def("flush", &pv::Context::flush, release())
      .def("feature_scores", &feature_scores, py::arg("key"), py::arg("indices"))
      .def("import_feature_scores", &import_feature_scores, py::arg("key"), py::arg("indices"),
           py::arg("values"))
      .def("scores", &scores, py::arg("model"), py::arg("indices"))
      .def("collection_scores", &collection_scores, py::arg("collection"), py::arg("indices"))
      .def("close", &pv::Context::close, release())
      .def_property_readonly("closed", &pv::Context::closed);

  m.def("predict", &predict, py::arg("model"), py::arg("keys"), py::arg("values"),
        py::arg("chunk"));
  m.def("predict_collection", &predict_collection, py::arg("collection"), py::arg("keys"),
        py::arg("values"), py::arg("chunk"));
  m.def("set_log_level", &set_log_level, py::arg("level"));
  m.def("set_cpu_mask", &pv::set_cpu_mask, py::arg("mask"));
  m.def("cpu_mask", &pv::cpu_mask);
  m.def("simd_level", &simd_level);
  m.def("version", []() { return std::string(vmaf_version()); });
  m.def("build_info", &build_info);
}
