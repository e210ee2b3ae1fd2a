#pragma once

#include <cstdint>

#include "kernels/common.hpp"

// Integer arithmetic of visual information fidelity (Sheikh and Bovik, "Image information and
// visual quality", 2006) at four scales, as libvmaf rounds it. The functions stand here once, for
// every implementation; a compiler for devices can read this file, too.
//
// Fixed point: samples of b bits have the unit 2^-(b - 8) after the vertical pass, means have 24
// bits (8 before the point), and energies (sigma1^2, sigma2^2, sigma12) the unit 2^-16.

namespace pyvmaf::kernels::vif {

inline constexpr int scale_count = 4;

// Gaussian windows of the scales; each sums to 2^16.
inline constexpr int tap_counts[scale_count] = {17, 9, 5, 3};
inline constexpr std::uint16_t taps[scale_count][17] = {
    {489, 935, 1640, 2640, 3896, 5274, 6547, 7455, 7784, 7455, 6547, 5274, 3896, 2640, 1640, 935,
     489},
    {1244, 3663, 7925, 12590, 14692, 12590, 7925, 3663, 1244},
    {3571, 16004, 26386, 16004, 3571},
    {10904, 43728, 10904}};

// Variance of the noise of the visual system, 2. Where the reference varies less, no logarithm is
// taken.
inline constexpr std::int32_t noise = 2 << 16;
inline constexpr int noise_exponent = 17;

// Keeps g = sigma12 / sigma1^2 finite.
inline constexpr double epsilon = 65536 * 1.0e-10;

// How the vertical pass of a scale rounds: the sum of a mean loses `mean_shift` bits, that of a
// product of two samples `product_shift` bits.
struct Rounding {
  int mean_shift;
  int product_shift;
};

// `bits` of the frames counts at scale 0 only: pictures of the other scales have 16 bits.
PYVMAF_ANYWHERE constexpr Rounding rounding(int scale, int bits) {
  return scale == 0 ? Rounding{bits, 2 * (bits - 8)} : Rounding{16, 16};
}

PYVMAF_ANYWHERE constexpr std::uint64_t rounded(std::uint64_t sum, int shift) {
  return shift == 0 ? sum : (sum + (std::uint64_t{1} << (shift - 1))) >> shift;
}

// Product of two means, as an energy.
PYVMAF_ANYWHERE constexpr std::uint32_t mean_product(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::uint32_t>(rounded(std::uint64_t{a} * b, 32));
}

// Sums over the samples of a picture. All are integers, so their order does not matter.
struct Sums {
  // 2048 log2(1 + g^2 sigma1^2 / (sv^2 + 2)), for each limit of g.
  std::int64_t numerator[2] = {0, 0};
  // 2048 log2(1 + sigma1^2 / 2).
  std::int64_t denominator = 0;
  // sigma2^2 of the samples without logarithm, and their number.
  std::int64_t flat_energy = 0;
  std::int64_t flat_count = 0;
};

// round(2048 log2(i)) for i of 16 bits, from `logarithm_table_first` on.
inline constexpr int logarithm_table_first = 1 << 15;
inline constexpr int logarithm_table_size = 1 << 15;

// 2048 log2(value) from the 16 highest bits of `value`, 2^16 or more.
PYVMAF_ANYWHERE inline std::int32_t log2_2048(const std::uint16_t* table, std::uint64_t value) {
  const int shift = bit_length(value) - 16;
  return table[static_cast<std::int32_t>(value >> shift) - logarithm_table_first] + 2048 * shift;
}

// What a sample of the reference alone adds to the sums.
PYVMAF_ANYWHERE inline void add_reference(const std::uint16_t* table, std::int32_t energy1,
                                          Sums& sums) {
  if (energy1 < noise) {
    ++sums.flat_count;
  } else {
    sums.denominator +=
        log2_2048(table, static_cast<std::uint64_t>(energy1) + noise) - 2048 * noise_exponent;
  }
}

// What a sample of a distorted version adds. `energy2` is limited to 0 here.
PYVMAF_ANYWHERE inline void add_distorted(const std::uint16_t* table, std::int32_t energy1,
                                          std::int32_t energy2, std::int32_t energy12,
                                          const double* gain_limits, int limit_count, Sums& sums) {
  if (energy1 < noise) {
    sums.flat_energy += energy2 > 0 ? energy2 : 0;
    return;
  }
  if (energy12 <= 0 || energy2 <= 0) {
    return;
  }
  const double gain = energy12 / (energy1 + epsilon);
  const double rest = energy2 - gain * energy12;
  const std::uint64_t remainder =
      noise + (rest > 0 ? static_cast<std::uint64_t>(rest) : std::uint64_t{0});
  for (int limit = 0; limit < 2 && limit < limit_count; ++limit) {
    const double limited = gain < gain_limits[limit] ? gain : gain_limits[limit];
    const auto explained = static_cast<std::uint64_t>(limited * limited * energy1);
    sums.numerator[limit] += log2_2048(table, explained + remainder) - log2_2048(table, remainder);
  }
}

PYVMAF_ANYWHERE inline float numerator(const Sums& sums, int limit) {
  return static_cast<float>(static_cast<double>(sums.numerator[limit]) / 2048.0 +
                            (static_cast<double>(sums.flat_count) -
                             static_cast<double>(sums.flat_energy) / 16384.0 / 65025.0));
}

PYVMAF_ANYWHERE inline float denominator(const Sums& sums) {
  return static_cast<float>(static_cast<double>(sums.denominator) / 2048.0 +
                            static_cast<double>(sums.flat_count));
}

}  // namespace pyvmaf::kernels::vif
