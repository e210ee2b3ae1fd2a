#include "vmaf/settings.hpp"

#include <string>

#include "bind/bind.hpp"
#include "bind/convert.hpp"

namespace py = pybind11;

namespace pyvmaf::bind {

namespace {

void set_log_level(const std::string& level) {
  pyvmaf::set_log_level(lookup<VmafLogLevel>({{"none", VMAF_LOG_LEVEL_NONE},
                                              {"error", VMAF_LOG_LEVEL_ERROR},
                                              {"warning", VMAF_LOG_LEVEL_WARNING},
                                              {"info", VMAF_LOG_LEVEL_INFO},
                                              {"debug", VMAF_LOG_LEVEL_DEBUG}},
                                             level, "log level"));
}

}  // namespace

void bind_settings(py::module_& module) {
  module.def("set_log_level", &set_log_level, py::arg("level"),
             R"(Set how much libvmaf writes to standard error, for the whole process.

Args:
    level: "none" (the initial level), "error", "warning", "info" or "debug".

Raises:
    ValueError: unknown level.
)");
  module.def("set_cpu_mask", &set_cpu_mask, py::arg("mask"),
             R"(Hide instruction sets from libvmaf, for the whole process.

Args:
    mask: bits to hide, 0..2**64-1. On x86-64: 8 AVX2, 16 AVX-512, 32 AVX-512 of Ice Lake; 0 (the
        initial mask) hides nothing.

Raises:
    TypeError: negative, or more than 64 bits.
)");
  module.def("cpu_mask", &cpu_mask, "Return the mask of set_cpu_mask().");
  module.def("simd_level", &simd_level,
             R"(Return the widest instruction set that libvmaf may use: the CPU's, less the mask.

Returns:
    "avx512icl", "avx512", "avx2", "neon" or "c".
)");
}

}  // namespace pyvmaf::bind
