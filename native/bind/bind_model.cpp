#include <memory>
#include <string>

#include "bind/bind.hpp"
#include "vmaf/model.hpp"

namespace py = pybind11;

namespace pyvmaf::bind {

namespace {

template <typename Kind>
void bind_kind(py::module_& module, const char* name, const char* doc) {
  py::class_<Kind, std::shared_ptr<Kind>>(module, name, doc)
      .def(py::init<std::string, bool, const std::string&>(), py::arg("source"), py::kw_only(),
           py::arg("is_path") = false, py::arg("name") = "",
           R"(Load a built-in version or a JSON file. The GIL is held.

Args:
    source: built-in version (for example "vmaf_v0.6.1"), or path of a file in libvmaf's format.
    is_path: whether source is a path.
    name: name under which libvmaf stores the predictions; if empty, a unique one is made.

Raises:
    Error: unknown version, missing file, or a file that libvmaf cannot read. A file without
        support vectors loads, and crashes the process when it predicts.
)")
      .def_property_readonly("name", &Kind::name,
                             "Name under which libvmaf stores the predictions.")
      .def_property_readonly("source", &Kind::source,
                             "Built-in version or path, as it was passed.");
}

}  // namespace

void bind_model(py::module_& module) {
  bind_kind<Model>(module, "Model",
                   "A model of libvmaf: one support vector machine over features of a frame.");
  bind_kind<ModelCollection>(
      module, "ModelCollection",
      "A bootstrap collection: models whose spread gives a confidence interval of the score.");
}

}  // namespace pyvmaf::bind
