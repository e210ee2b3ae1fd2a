#pragma once

#include <stdexcept>
#include <string>
#include <vector>

namespace pyvmaf::kernels {

// The implementation for an instruction set. Throws std::invalid_argument if it is not available.
template <typename Kernels>
const Kernels& chosen(const std::vector<const Kernels*>& available, const std::string& name) {
  std::string names;
  for (const Kernels* kernels : available) {
    if (name == kernels->name) {
      return *kernels;
    }
    names += (names.empty() ? "" : ", ") + std::string(kernels->name);
  }
  throw std::invalid_argument("instruction set '" + name + "' is not one of " + names);
}

#if defined(PYVMAF_AVX2)
inline bool has_avx2() {
  return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
}
#endif

}  // namespace pyvmaf::kernels
