#pragma once

#include <cstdint>

#include "kernels/common.hpp"

// Integer arithmetic of motion: the mean absolute difference of two frames whose luma is blurred
// (Li et al., "Toward a practical perceptual video quality metric", 2016), as libvmaf rounds it.
//
// The difference of the frames is blurred, which is one blur instead of two. Fixed point: samples
// of b bits have the unit 2^-(b - 8), and differences 8 bits after the point from the vertical pass
// on.
namespace pyvmaf::kernels::motion {

inline constexpr int tap_count = 5;
inline constexpr int reach = tap_count / 2;
// A Gaussian window that sums to 2^16.
inline constexpr std::int32_t taps[tap_count] = {3571, 16004, 26386, 16004, 3571};

// A sum of the vertical pass loses the bits of a sample, half up: 17 bits with sign are left.
PYVMAF_ANYWHERE constexpr std::int32_t vertical(std::int64_t sum, int bits) {
  return static_cast<std::int32_t>((sum + (std::int64_t{1} << (bits - 1))) >> bits);
}

// A sum of the horizontal pass loses 16 bits, half up.
PYVMAF_ANYWHERE constexpr std::int32_t horizontal(std::int64_t sum) {
  return static_cast<std::int32_t>((sum + 32768) >> 16);
}

}  // namespace pyvmaf::kernels::motion
