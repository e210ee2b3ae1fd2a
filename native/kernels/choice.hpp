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

// The implementations that this processor can run, the fastest first. `avx2` is null where it was
// not built.
template <typename Kernels>
std::vector<const Kernels*> runnable(const Kernels& (*portable)(),
                                     [[maybe_unused]] const Kernels& (*avx2)() = nullptr) {
  std::vector<const Kernels*> found;
#if defined(PYVMAF_AVX2)
  if (avx2 != nullptr && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    found.push_back(&avx2());
  }
#endif
  found.push_back(&portable());
  return found;
}

}  // namespace pyvmaf::kernels
