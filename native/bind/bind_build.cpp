#include <libvmaf/libvmaf.h>

#include <string>

#include "bind/bind.hpp"
#include "build_info.hpp"

namespace py = pybind11;

namespace pyvmaf::bind {

namespace {

py::dict build_info() {
  py::dict info;
  info["commit"] = build::commit;
  info["recipe"] = build::recipe;
  info["repairs"] = build::repairs;
  info["flags"] = build::flags;
  info["compiler"] = build::compiler;
  info["cuda"] = build::cuda;
  info["cuda_architectures"] = build::cuda_architectures;
  info["nvcc"] = build::nvcc;
  return info;
}

}  // namespace

void bind_build(py::module_& module) {
  module.def(
      "version", [] { return std::string(vmaf_version()); },
      "Return libvmaf's version, for example \"3.2.0\"; a suffix may follow after a hyphen.");
  module.def("build_info", &build_info,
             R"(Return the facts of the build, equal to those of _native_build.json.

Returns:
    commit (of libvmaf; "system-<version>" for a system library), recipe (SHA-256 of libvmaf's
    options and edits, or "system"), repairs (names of the errors of libvmaf that are put right,
    separated by spaces), flags (the options as text), compiler (names and versions), cuda (whether
    the build has CUDA, as bool), cuda_architectures (what it has code for, as nvcc names them,
    separated by spaces) and nvcc (version); both are empty without CUDA.
)");
}

}  // namespace pyvmaf::bind
