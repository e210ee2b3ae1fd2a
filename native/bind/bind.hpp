#pragma once

#include <pybind11/pybind11.h>

namespace pyvmaf::bind {

// One function per concept; each adds its names to the module.
void bind_cuda(pybind11::module_& module);
void bind_error(pybind11::module_& module);
void bind_cuda_kernels(pybind11::module_& module);
void bind_kernels(pybind11::module_& module);
void bind_model(pybind11::module_& module);
void bind_context(pybind11::module_& module);
void bind_predict(pybind11::module_& module);
void bind_settings(pybind11::module_& module);
void bind_build(pybind11::module_& module);

}  // namespace pyvmaf::bind
