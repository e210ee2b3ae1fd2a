#include <memory>
#include <string>
#include <utility>

#include "bind/bind.hpp"
#include "vmaf/model.hpp"

namespace py = pybind11;

namespace pyvmaf::bind {

namespace {

template <typename Kind>
std::shared_ptr<Kind> make_model(std::string source, std::string path, std::string name,
                                 bool enable_transform, bool disable_clip) {
  return std::make_shared<Kind>(ModelOptions{std::move(source), std::move(path), std::move(name),
                                             enable_transform, disable_clip});
}

template <typename Kind>
void bind_kind(py::module_& module, const char* name, const char* doc) {
  py::class_<Kind, std::shared_ptr<Kind>>(module, name, doc)
      .def(py::init(&make_model<Kind>), py::arg("source"), py::kw_only(), py::arg("path") = "",
           py::arg("name") = "", py::arg("enable_transform") = false,
           py::arg("disable_clip") = false,
           R"(Load a built-in version or a JSON file. The GIL is held.

Args:
    source: built-in version (for example "vmaf_v0.6.1"); with a path, the model's name in messages.
    path: path of a file in libvmaf's format, to be read instead of a built-in version.
    name: name under which libvmaf stores the predictions; if empty, a unique one is made.
    enable_transform: apply the transform of the score, if the model has one.
    disable_clip: do not clip the score to the model's range.

Raises:
    Error: unknown version, missing file, or a file that libvmaf cannot read. libvmaf hardly checks
        a file: what does not fit crashes the process when the model loads or predicts.
)")
      .def_property_readonly("name", &Kind::name,
                             "Name under which libvmaf stores the predictions.")
      .def_property_readonly("source", &Kind::source,
                             "Built-in version or name in messages, as it was passed.");
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
