#include "bind/bind.hpp"

PYBIND11_MODULE(_native, module) {
  module.doc() =
      "libvmaf's objects, with few checks. Use pyvmaf.engines.libvmaf, which refuses what libvmaf "
      "would accept and answer wrongly.";
  pyvmaf::bind::bind_error(module);
  pyvmaf::bind::bind_cuda(module);
  pyvmaf::bind::bind_model(module);
  pyvmaf::bind::bind_context(module);
  pyvmaf::bind::bind_predict(module);
  pyvmaf::bind::bind_settings(module);
  pyvmaf::bind::bind_build(module);
  pyvmaf::bind::bind_kernels(module);
  pyvmaf::bind::bind_cuda_kernels(module);
}
