// VIF in plain C++: the definition that the other implementations reproduce to the last bit.
#include <cmath>
#include <initializer_list>

#include "kernels/vif_kernels.hpp"

namespace pyvmaf::kernels::vif {

namespace {

struct Logarithms {
  std::uint16_t values[logarithm_table_size] = {};
  Logarithms() {
    for (int i = 0; i < logarithm_table_size; ++i) {
      values[i] = static_cast<std::uint16_t>(
          std::round(std::log2(static_cast<float>(logarithm_table_first + i)) * 2048.0F));
    }
  }
};

// Vertical sums of one line: columns of 32-bit values with room for the window on both sides.
struct Lines {
  std::uint32_t* mean1;
  std::uint32_t* mean2;
  std::uint32_t* product11;
  std::uint32_t* product22;
  std::uint32_t* product12;
};

std::size_t line_length(int width) { return static_cast<std::size_t>(width + 2 * margin); }

std::size_t scratch_size(int width) { return 5 * sizeof(std::uint32_t) * line_length(width); }

std::uint32_t* line(void* scratch, int index, int width) {
  return static_cast<std::uint32_t*>(scratch) +
         static_cast<std::size_t>(index) * line_length(width) + margin;
}

template <typename Sample>
const Sample* row_of(const Picture& picture, int row) {
  return picture.lines.at<Sample>(reflected(row, picture.height));
}

void reflect_ends(std::uint32_t* values, int width, int reach) {
  for (int i = 1; i <= reach; ++i) {
    values[-i] = values[reflected(-i, width)];
    values[width - 1 + i] = values[reflected(width - 1 + i, width)];
  }
}

std::uint64_t filtered(const std::uint32_t* values, const std::uint16_t* window, int count) {
  std::uint64_t sum = 0;
  for (int i = 0; i < count; ++i) {
    sum += std::uint64_t{window[i]} * values[i - count / 2];
  }
  return sum;
}

template <typename Sample>
void vertical_sums(const Ladder& ladder, const Picture& distorted, int row, const Lines& lines) {
  const int count = tap_counts[ladder.scale];
  const Rounding shifts = rounding(ladder.scale, ladder.bits);
  for (int column = 0; column < distorted.width; ++column) {
    std::uint64_t mean1 = 0;
    std::uint64_t mean2 = 0;
    std::uint64_t product11 = 0;
    std::uint64_t product22 = 0;
    std::uint64_t product12 = 0;
    for (int i = 0; i < count; ++i) {
      const std::uint64_t tap = taps[ladder.scale][i];
      const std::uint64_t a = row_of<Sample>(ladder.reference, row - count / 2 + i)[column];
      const std::uint64_t b = row_of<Sample>(distorted, row - count / 2 + i)[column];
      mean1 += tap * a;
      mean2 += tap * b;
      product11 += tap * a * a;
      product22 += tap * b * b;
      product12 += tap * a * b;
    }
    lines.mean1[column] = static_cast<std::uint32_t>(rounded(mean1, shifts.mean_shift));
    lines.mean2[column] = static_cast<std::uint32_t>(rounded(mean2, shifts.mean_shift));
    lines.product11[column] = static_cast<std::uint32_t>(rounded(product11, shifts.product_shift));
    lines.product22[column] = static_cast<std::uint32_t>(rounded(product22, shifts.product_shift));
    lines.product12[column] = static_cast<std::uint32_t>(rounded(product12, shifts.product_shift));
  }
}

template <typename Sample>
void add_picture(const Ladder& ladder, const Picture& distorted, void* scratch, Sums& sums) {
  const int width = distorted.width;
  const int count = tap_counts[ladder.scale];
  const std::uint16_t* window = taps[ladder.scale];
  const std::uint16_t* table = logarithm_table();
  const Lines lines{line(scratch, 0, width), line(scratch, 1, width), line(scratch, 2, width),
                    line(scratch, 3, width), line(scratch, 4, width)};
  for (int row = 0; row < distorted.height; ++row) {
    vertical_sums<Sample>(ladder, distorted, row, lines);
    for (std::uint32_t* values :
         {lines.mean1, lines.mean2, lines.product11, lines.product22, lines.product12}) {
      reflect_ends(values, width, count / 2);
    }
    for (int column = 0; column < width; ++column) {
      const auto mean1 = static_cast<std::uint32_t>(filtered(lines.mean1 + column, window, count));
      const auto mean2 = static_cast<std::uint32_t>(filtered(lines.mean2 + column, window, count));
      const auto energy = [&](const std::uint32_t* products, std::uint32_t a, std::uint32_t b) {
        const auto mean =
            static_cast<std::uint32_t>(rounded(filtered(products + column, window, count), 16));
        return static_cast<std::int32_t>(mean - mean_product(a, b));
      };
      const std::int32_t energy1 = energy(lines.product11, mean1, mean1);
      add_reference(table, energy1, sums);
      add_distorted(table, energy1, energy(lines.product22, mean2, mean2),
                    energy(lines.product12, mean1, mean2), ladder.gain_limits, ladder.limit_count,
                    sums);
    }
  }
}

void statistics(const Ladder& ladder, void* scratch, Sums* sums) {
  for (int i = 0; i < ladder.count; ++i) {
    if (ladder.scale == 0 && ladder.bits == 8) {
      add_picture<std::uint8_t>(ladder, ladder.distorted[i], scratch, sums[i]);
    } else {
      add_picture<std::uint16_t>(ladder, ladder.distorted[i], scratch, sums[i]);
    }
  }
}

template <typename Sample>
void halve(int scale, int bits, const Picture& source, std::uint16_t* target,
           std::ptrdiff_t target_pitch, void* scratch) {
  const int count = tap_counts[scale + 1];
  const std::uint16_t* window = taps[scale + 1];
  const int shift = rounding(scale, bits).mean_shift;
  std::uint32_t* means = line(scratch, 0, source.width);
  for (int row = 0; row < source.height / 2; ++row) {
    for (int column = 0; column < source.width; ++column) {
      std::uint64_t sum = 0;
      for (int i = 0; i < count; ++i) {
        sum += std::uint64_t{window[i]} * row_of<Sample>(source, 2 * row - count / 2 + i)[column];
      }
      means[column] = static_cast<std::uint32_t>(rounded(sum, shift));
    }
    reflect_ends(means, source.width, count / 2);
    for (int column = 0; column < source.width / 2; ++column) {
      target[row * target_pitch + column] =
          static_cast<std::uint16_t>(rounded(filtered(means + 2 * column, window, count), 16));
    }
  }
}

void decimate(int scale, int bits, const Picture& source, std::uint16_t* target,
              std::ptrdiff_t target_pitch, void* scratch) {
  if (scale == 0 && bits == 8) {
    halve<std::uint8_t>(scale, bits, source, target, target_pitch, scratch);
  } else {
    halve<std::uint16_t>(scale, bits, source, target, target_pitch, scratch);
  }
}

void logarithms(const double* values, std::int32_t* logarithms, int count) {
  for (int i = 0; i < count; ++i) {
    logarithms[i] = log2_2048(logarithm_table(), static_cast<std::uint64_t>(values[i]));
  }
}

}  // namespace

const std::uint16_t* logarithm_table() {
  static const Logarithms table;
  return table.values;
}

const Kernels& portable() {
  static constexpr Kernels kernels{"portable", logarithms, scratch_size, statistics, decimate};
  return kernels;
}

}  // namespace pyvmaf::kernels::vif
