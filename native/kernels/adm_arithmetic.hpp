#pragma once

#include <cstdint>

#include "kernels/common.hpp"

// Integer arithmetic of the additive impairment and detail loss measures (Li, Zhang, Ma and Ngan,
// "Image quality assessment by separately evaluating detail losses and additive impairments",
// 2011) at four scales of a wavelet transform, as libvmaf rounds it. The functions stand here once,
// for every implementation; a compiler for devices can read this file, too.
//
// Each scale divides a picture into an approximation, which the next scale divides again, and three
// bands of detail: horizontal, vertical and diagonal. A distorted band is the sum of a part that
// the reference explains (restored) and of the rest (additive). Contrast masking by one part lowers
// the visible contrast of the other; its cubes are summed.
//
// Fixed point: coefficients of scale 0 have 16 bits with sign, those of the others 32 bits. The
// ratio of a distorted coefficient to that of the reference has the unit 2^-15.
namespace pyvmaf::kernels::adm {

inline constexpr int scale_count = 4;
inline constexpr int band_count = 3;
enum Band { horizontal_band, vertical_band, diagonal_band };

// ---- wavelets ----

// Filters of Daubechies with four taps, of unit 2^-15.
inline constexpr int tap_count = 4;
inline constexpr std::int32_t low_pass[tap_count] = {15826, 27411, 7345, -4240};
inline constexpr std::int32_t high_pass[tap_count] = {-4240, -7345, 27411, -15826};
inline constexpr std::int32_t low_pass_sum = 46342;

// Samples of a line or column that is divided.
PYVMAF_ANYWHERE constexpr int half_of(int length) { return (length + 1) / 2; }

// Index of the sample that stands for one outside: reflected without repeating the edge before the
// first, and with the edge after the last.
PYVMAF_ANYWHERE constexpr int source_index(int index, int length) {
  return index < 0 ? -index : index >= length ? 2 * length - 1 - index : index;
}

// How many bits the passes of a scale lose, half up. `bits` of the frames counts at scale 0 only.
struct Rounding {
  int vertical;
  int horizontal;
};

PYVMAF_ANYWHERE constexpr Rounding rounding(int scale, int bits) {
  return scale == 0   ? Rounding{bits, 16}
         : scale == 1 ? Rounding{0, 15}
         : scale == 2 ? Rounding{16, 16}
                      : Rounding{16, 15};
}

PYVMAF_ANYWHERE constexpr std::int64_t rounded(std::int64_t sum, int shift) {
  return shift == 0 ? sum : (sum + (std::int64_t{1} << (shift - 1))) >> shift;
}

// Taken off the sums of the first low pass, so that grey is 0.
PYVMAF_ANYWHERE constexpr std::int32_t grey(int scale, int bits) {
  return scale == 0 ? low_pass_sum << (bits - 1) : 0;
}

// ---- the region that counts ----

// Rows and columns from `first` to before `last` of a band: its outer tenth is left out.
struct Span {
  int first;
  int last;
};

PYVMAF_ANYWHERE constexpr Span counted(int length) {
  const int outer = static_cast<int>(length * 0.1 - 0.5);
  return {outer, length - outer};
}

// Masking reads one coefficient more on each side.
PYVMAF_ANYWHERE constexpr Span decoupled(int length) {
  const Span inner = counted(length);
  return {inner.first > 0 ? inner.first - 1 : 0, inner.last < length ? inner.last + 1 : length};
}

// Neighbours of a row or column; the first one's are reflected, the last one is its own.
PYVMAF_ANYWHERE constexpr int before(int index) { return index == 0 ? 1 : index - 1; }
PYVMAF_ANYWHERE constexpr int after(int index, int length) {
  return index == length - 1 ? index : index + 1;
}

// ---- decoupling ----

PYVMAF_ANYWHERE constexpr std::uint32_t magnitude(std::int32_t value) {
  return value < 0 ? 0U - static_cast<std::uint32_t>(value) : static_cast<std::uint32_t>(value);
}

// cos(1 degree)^2, as a float.
inline constexpr float cosine_squared = 0.99969541350954785F;

// Whether the angle between (horizontal, vertical) of the reference and of the distorted picture is
// less than a degree. Sums are rounded to floats, their products are those of doubles.
PYVMAF_ANYWHERE inline bool aligned(std::int32_t reference_h, std::int32_t reference_v,
                                    std::int32_t distorted_h, std::int32_t distorted_v) {
  const auto product = [](std::int32_t a, std::int32_t b) { return std::int64_t{a} * b; };
  const auto scalar =
      static_cast<float>(product(reference_h, distorted_h) + product(reference_v, distorted_v));
  const auto reference =
      static_cast<float>(product(reference_h, reference_h) + product(reference_v, reference_v));
  const auto distorted =
      static_cast<float>(product(distorted_h, distorted_h) + product(distorted_v, distorted_v));
  const double squared = double{scalar} * double{scalar};
  return scalar >= 0 && squared >= double{cosine_squared} * double{reference} * double{distorted};
}

inline constexpr std::int32_t one = 1 << 15;  // a ratio

// Ratios are multiples of a reciprocal of 15 bits of the reference's coefficient.
struct Reciprocal {
  std::int32_t value;  // 2^30 / coefficient, toward zero, of the 15 highest bits
  int shift;           // bits below these
};

PYVMAF_ANYWHERE inline Reciprocal reciprocal(std::uint32_t coefficient) {
  if (coefficient == 0) {
    return {0, 0};
  }
  const int length = bit_length(coefficient);
  const int shift = length > 15 ? length - 15 : 0;
  const std::uint32_t highest =
      shift == 0 ? coefficient : (coefficient + (1U << (shift - 1))) >> shift;
  return {static_cast<std::int32_t>((1U << 30) / highest), shift};
}

// Ratio of coefficients between 0 and 1.
PYVMAF_ANYWHERE inline std::int32_t ratio(std::int32_t reference, std::int32_t distorted) {
  const Reciprocal inverse = reciprocal(magnitude(reference));
  const std::int64_t product = std::int64_t{inverse.value} * distorted;
  const std::int64_t quotient = rounded(reference < 0 ? -product : product, 15 + inverse.shift);
  return quotient < 0 ? 0 : quotient > one ? one : static_cast<std::int32_t>(quotient);
}

// The part of a distorted coefficient that the reference explains.
PYVMAF_ANYWHERE inline std::int32_t restored(std::int32_t reference, std::int32_t distorted) {
  return static_cast<std::int32_t>(
      rounded(std::int64_t{ratio(reference, distorted)} * reference, 15));
}

// The restored part where the angles agree: enhanced by up to `limit`, but not beyond the distorted
// coefficient; truncated toward zero.
PYVMAF_ANYWHERE inline std::int32_t enhanced(std::int32_t part, std::int32_t distorted,
                                             double limit) {
  const double most = part * limit;
  if (part > 0) {
    return static_cast<std::int32_t>(most < distorted ? most : distorted);
  }
  if (part < 0) {
    return static_cast<std::int32_t>(most > distorted ? most : distorted);
  }
  return 0;
}

// ---- contrast sensitivity ----

// Factors of the bands of a scale, of unit 2^-21 (2^-23 for the diagonal band) at scale 0 and 2^-32
// at the others.
struct Factors {
  std::uint32_t values[band_count];
};

// Contrast of a coefficient. The diagonal band of scale 0 adds 2^16 - 1 where half would be 2^16.
PYVMAF_ANYWHERE constexpr std::int32_t contrast(int scale, int band, std::int32_t value,
                                                std::uint32_t factor) {
  const std::int64_t product = std::int64_t{value} * factor;
  if (scale == 0) {
    return static_cast<std::int16_t>(band == diagonal_band ? (product + 65535) >> 17
                                                           : (product + 16384) >> 15);
  }
  return static_cast<std::int32_t>(rounded(product, 28));
}

// What a contrast adds to the thresholds of its neighbours, 1/30 of it, and to its own, 1/15. At
// scale 0 the latter has 16 bits and wraps around; at the others half is taken off, not added.
PYVMAF_ANYWHERE constexpr std::int32_t masking_around(int scale, std::int32_t value) {
  return scale == 0
             ? static_cast<std::int16_t>((4369U * magnitude(value) + 2048U) >> 12)
             : static_cast<std::int32_t>(
                   (std::int64_t{143165577} * magnitude(value) - (std::int64_t{1} << 31)) >> 32);
}

PYVMAF_ANYWHERE constexpr std::int32_t masking_within(int scale, std::int32_t value) {
  return scale == 0
             ? static_cast<std::int16_t>((8738U * magnitude(value) + 2048U) >> 12)
             : static_cast<std::int32_t>(
                   (std::int64_t{286331153} * magnitude(value) - (std::int64_t{1} << 31)) >> 32);
}

// ---- sums ----

PYVMAF_ANYWHERE constexpr int ceil_log2(std::int64_t value) {
  int exponent = 0;
  while (std::int64_t{1} << exponent < value) {
    ++exponent;
  }
  return exponent;
}

// Bits that squares and cubes of visible contrasts lose, half up, and the sums of lines.
struct Powers {
  int threshold;  // bits that thresholds gain
  int square;
  int cube;
  int line;
};

PYVMAF_ANYWHERE constexpr Powers powers(int scale, int band, int width, int height) {
  const int line = ceil_log2(height);
  if (scale > 0) {
    return {0, 30, ceil_log2(width), line};
  }
  return band == diagonal_band ? Powers{12, 30, ceil_log2(width) - 3, line}
                               : Powers{10, 29, ceil_log2(width) - 4, line};
}

// The coefficient with its factor, of which the threshold is taken off.
PYVMAF_ANYWHERE constexpr std::int32_t weighted(int scale, std::int32_t value,
                                                std::uint32_t factor) {
  const std::int64_t product = std::int64_t{value} * factor;
  return static_cast<std::int32_t>(scale == 0 ? product : rounded(product, 28));
}

// Cube of what is visible of a weighted coefficient. The difference wraps around in 32 bits, and so
// does the square.
PYVMAF_ANYWHERE constexpr std::int64_t visible_cube(std::int32_t value, std::uint32_t threshold,
                                                    const Powers& bits) {
  const auto excess = static_cast<std::int32_t>(magnitude(value) - (threshold << bits.threshold));
  if (excess <= 0) {
    return 0;
  }
  const auto square =
      static_cast<std::int32_t>(rounded(std::int64_t{excess} * excess, bits.square));
  return rounded(std::int64_t{square} * excess, bits.cube);
}

// Bits that cubes of the reference's coefficients lose, and the sums of their lines.
struct ReferencePowers {
  int square;  // whole instead of half is added
  int cube;
  int line;
};

PYVMAF_ANYWHERE constexpr ReferencePowers reference_powers(int scale, Span columns, Span rows) {
  const std::int64_t width = columns.last - columns.first;
  const std::int64_t height = rows.last - rows.first;
  if (scale == 0) {
    const int line = ceil_log2(width * height) - 20;
    return {0, 0, line > 0 ? line : 0};
  }
  return {scale == 2 ? 30 : 31, ceil_log2(width), ceil_log2(height)};
}

PYVMAF_ANYWHERE constexpr std::uint64_t reference_cube(int scale, std::int32_t value,
                                                       const ReferencePowers& bits) {
  const std::uint64_t size = magnitude(value);
  if (scale == 0) {
    return size * size * size;
  }
  const std::uint64_t square = (size * size + (std::uint64_t{1} << bits.square)) >> bits.square;
  return (square * size + (std::uint64_t{1} << (bits.cube - 1))) >> bits.cube;
}

PYVMAF_ANYWHERE constexpr std::uint64_t rounded_line(std::uint64_t sum, int shift) {
  return shift == 0 ? sum : (sum + (std::uint64_t{1} << (shift - 1))) >> shift;
}

// Sums of cubes of one distorted picture at one scale, for one limit of the gain: of details that
// are left, and of additive impairments.
struct Sums {
  std::int64_t detail[band_count] = {0, 0, 0};
  std::int64_t additive[band_count] = {0, 0, 0};
};

struct ReferenceSums {
  std::uint64_t cubes[band_count] = {0, 0, 0};
};

}  // namespace pyvmaf::kernels::adm
