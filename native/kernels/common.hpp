#pragma once

#include <cstdint>

// What the arithmetic of all kernels shares. A compiler for devices can read this file, too.

#if defined(__CUDACC__)
#define PYVMAF_ANYWHERE __host__ __device__
#else
#define PYVMAF_ANYWHERE
#endif

namespace pyvmaf::kernels {

// Bits of a value without its leading zeros; 0 for 0.
PYVMAF_ANYWHERE inline int bit_length(std::uint64_t value) {
#if defined(__CUDA_ARCH__)
  return 64 - __clzll(static_cast<long long>(value));
#else
  return value == 0 ? 0 : 64 - __builtin_clzll(value);
#endif
}

// Index of the sample that stands for one outside of a line: reflected without repeating the edge.
// Defined for at least -(length - 1) to 2 * (length - 1), and clamped beyond.
PYVMAF_ANYWHERE constexpr int reflected(int index, int length) {
  const int inside = index < 0 ? -index : index >= length ? 2 * (length - 1) - index : index;
  return inside < 0 ? 0 : inside >= length ? length - 1 : inside;
}

}  // namespace pyvmaf::kernels
