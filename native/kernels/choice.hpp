#pragma once

#include <initializer_list>
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

// An implementation with vectors, and whether this processor has what it was compiled for.
template <typename Kernels>
struct Vectors {
  bool (*usable)();
  const Kernels& (*kernels)();
};

// The implementations that this processor can run, the fastest first; so are those with vectors.
template <typename Kernels>
std::vector<const Kernels*> runnable(const Kernels& (*portable)(),
                                     std::initializer_list<Vectors<Kernels>> with_vectors) {
  std::vector<const Kernels*> found;
  for (const Vectors<Kernels>& vectors : with_vectors) {
    if (vectors.usable()) {
      found.push_back(&vectors.kernels());
    }
  }
  found.push_back(&portable());
  return found;
}

#if defined(PYVMAF_X86)
// The compiler's runtime asks the operating system, too, whether it keeps the registers. The names
// are those of the compiler's options in CMakeLists.txt.
inline bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
inline bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni");
}
#endif

}  // namespace pyvmaf::kernels
