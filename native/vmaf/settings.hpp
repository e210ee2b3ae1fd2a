#pragma once

#include <libvmaf/libvmaf.h>

#include <cstdint>
#include <memory>
#include <string>

namespace pyvmaf {

// Log level and CPU mask are global inside libvmaf: the context that was opened last decides for
// all. They are therefore settings of the process, and every context opens with the current values.
void set_log_level(VmafLogLevel level);
void set_cpu_mask(std::uint64_t mask);
std::uint64_t cpu_mask();

// Returns the widest instruction set that libvmaf may use: what the CPU has, less what the mask
// hides.
std::string simd_level();

struct ContextDeleter {
  void operator()(VmafContext* context) const noexcept { vmaf_close(context); }
};
using ContextHandle = std::unique_ptr<VmafContext, ContextDeleter>;

// Opens a context of libvmaf with the settings of the process.
ContextHandle open_context(unsigned n_threads, unsigned n_subsample);

}  // namespace pyvmaf
