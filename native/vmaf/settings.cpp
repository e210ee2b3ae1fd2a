#include "vmaf/settings.hpp"

#include <atomic>

#include "vmaf/error.hpp"

namespace pyvmaf {

namespace {

std::atomic<int> log_level_setting{VMAF_LOG_LEVEL_NONE};
std::atomic<std::uint64_t> cpu_mask_setting{0};

// libvmaf applies the settings when a context opens.
void apply_settings() { open_context(0, 0); }

}  // namespace

void set_log_level(VmafLogLevel level) {
  log_level_setting = level;
  apply_settings();
}

void set_cpu_mask(std::uint64_t mask) {
  cpu_mask_setting = mask;
  apply_settings();
}

std::uint64_t cpu_mask() { return cpu_mask_setting.load(); }

std::string simd_level() {
#if defined(__x86_64__)
  const std::uint64_t mask = cpu_mask();
  const auto allowed = [mask](unsigned bit) { return (mask & (std::uint64_t{1} << bit)) == 0; };
  if (allowed(5) && __builtin_cpu_supports("avx512vbmi") &&
      __builtin_cpu_supports("avx512bitalg")) {
    return "avx512icl";
  }
  if (allowed(4) && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
    return "avx512";
  }
  if (allowed(3) && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2")) {
    return "avx2";
  }
  return "c";
#elif defined(__aarch64__)
  return cpu_mask() == 0 ? "neon" : "c";
#else
  return "c";
#endif
}

ContextHandle open_context(unsigned n_threads, unsigned n_subsample) {
  VmafConfiguration config{};
  config.log_level = static_cast<VmafLogLevel>(log_level_setting.load());
  config.n_threads = n_threads;
  config.n_subsample = n_subsample;
  config.cpumask = cpu_mask_setting.load();
  VmafContext* context = nullptr;
  check(vmaf_init(&context, config), "opening a libvmaf context");
  return ContextHandle(context);
}

}  // namespace pyvmaf
