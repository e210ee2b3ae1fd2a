// Motion with vectors; as vif_vector.hpp.
//
// Values have 17 bits with sign after the vertical pass, v = 2 half + bit, so that both parts are
// 16-bit lanes: (sum(tap v) + 2^15) >> 16 = (sum(tap half) + ((sum(tap bit) + 2^15) >> 1)) >> 15.

#include <cstddef>
#include <cstdint>

#include "kernels/motion_kernels.hpp"

namespace pyvmaf::kernels::motion {
namespace {

// Values before and after each line of the scratch memory.
constexpr std::ptrdiff_t room = 64;

std::ptrdiff_t line_length(int width) { return (width + 31) / 32 * 32 + 2 * room; }

// Five lines of differences, and the two parts of a line after the vertical pass.
std::size_t scratch_size(int width) {
  return sizeof(std::int16_t) * static_cast<std::size_t>((tap_count + 2) * line_length(width));
}

PYVMAF_INLINE Ints pair_of(std::int32_t first, std::int32_t second) {
  return all32(first | second << 16);
}

// Even and odd columns (or upper and lower values of pairs) of a window of five taps.
struct Window {
  const Ints even[3] = {pair_of(taps[0], taps[1]), pair_of(taps[2], taps[3]), pair_of(taps[4], 0)};
  const Ints odd[3] = {pair_of(0, taps[0]), pair_of(taps[1], taps[2]), pair_of(taps[3], taps[4])};
};

template <typename Sample>
void subtract_lines(const Sample* before, const Sample* now, int width, std::int16_t* line) {
  for (int column = 0; column < width; column += lanes16) {
    store(line + column, subtract16(load_samples(before + column), load_samples(now + column)));
  }
}

// Writes the two parts of a line; returns whether any value is not 0.
template <int bits>
bool vertical_pass(const std::int16_t* const (&lines)[tap_count], const Window& window, int width,
                   std::int16_t* halves, std::int16_t* low_bits) {
  Ints nonzero = zero();
  for (int column = 0; column < width; column += lanes16) {
    Ints low = all32(1 << (bits - 1));
    Ints high = low;
#pragma GCC unroll 3
    for (int i = 0; i < 3; ++i) {
      const Ints upper = load(lines[2 * i] + column);
      const Ints lower = i < 2 ? load(lines[i < 2 ? 2 * i + 1 : 0] + column) : zero();
      low = multiply_add(low, interleave_low(upper, lower), window.even[i]);
      high = multiply_add(high, interleave_high(upper, lower), window.even[i]);
    }
    const Ints half = narrow_signed(signed_right32<bits + 1>(low), signed_right32<bits + 1>(high));
    const Ints bit = narrow_signed(bit_and(signed_right32<bits>(low), all32(1)),
                                   bit_and(signed_right32<bits>(high), all32(1)));
    store(halves + column, half);
    store(low_bits + column, bit);
    nonzero = bit_or(nonzero, bit_or(half, bit));
  }
  return any(nonzero);
}

void reflect_sides(std::int16_t* line, int width) {
  for (int i = 1; i <= reach; ++i) {
    line[-i] = line[i];
    line[width - 1 + i] = line[width - 1 - i];
  }
}

PYVMAF_INLINE void filter(const std::int16_t* line, const Window& window, Ints start, Ints& even,
                          Ints& odd) {
  even = odd = start;
#pragma GCC unroll 3
  for (int i = 0; i < 3; ++i) {
    const Ints values = load_unaligned(line - reach + 2 * i);
    even = multiply_add(even, values, window.even[i]);
    odd = multiply_add(odd, values, window.odd[i]);
  }
}

std::int64_t horizontal_pass(const std::int16_t* halves, const std::int16_t* low_bits,
                             const Window& window, int width) {
  alignas(64) std::int32_t columns[lanes32];
  for (int i = 0; i < lanes32; ++i) {
    columns[i] = 2 * i;
  }
  const Ints even_columns = load(columns);
  Ints sum = zero();
  for (int column = 0; column < width; column += lanes16) {
    Ints even;
    Ints odd;
    Ints even_bits;
    Ints odd_bits;
    filter(halves + column, window, zero(), even, odd);
    filter(low_bits + column, window, all32(32768), even_bits, odd_bits);
    even = absolute32(signed_right32<15>(add32(even, right32<1>(even_bits))));
    odd = absolute32(signed_right32<15>(add32(odd, right32<1>(odd_bits))));
    if (column + lanes16 > width) {
      even = bit_and(even, greater32(all32(width - column), even_columns));
      odd = bit_and(odd, greater32(all32(width - column - 1), even_columns));
    }
    sum = add32(sum, add32(even, odd));
  }
  return sum32(sum);
}

template <typename Sample, int bits>
std::uint64_t sum_of(const Frames& frames, std::int16_t* scratch) {
  const Window window;
  const std::ptrdiff_t length = line_length(frames.width);
  std::int16_t* halves = scratch + tap_count * length + room;
  std::int16_t* low_bits = halves + length;
  const auto line_of = [&](int row) { return scratch + row % tap_count * length + room; };
  std::uint64_t total = 0;
  int filled = 0;
  for (int row = 0; row < frames.height; ++row) {
    for (; filled <= row + reach && filled < frames.height; ++filled) {
      subtract_lines(static_cast<const Sample*>(frames.before) + filled * frames.pitch,
                     static_cast<const Sample*>(frames.now) + filled * frames.pitch, frames.width,
                     line_of(filled));
    }
    const std::int16_t* lines[tap_count];
    for (int i = 0; i < tap_count; ++i) {
      lines[i] = line_of(reflected(row - reach + i, frames.height));
    }
    if (vertical_pass<bits>(lines, window, frames.width, halves, low_bits)) {
      reflect_sides(halves, frames.width);
      reflect_sides(low_bits, frames.width);
      total += static_cast<std::uint64_t>(horizontal_pass(halves, low_bits, window, frames.width));
    }
  }
  return total;
}

std::uint64_t difference(const Frames& frames, void* memory) {
  auto* scratch = static_cast<std::int16_t*>(memory);
  switch (frames.bits) {
    case 8:
      return sum_of<std::uint8_t, 8>(frames, scratch);
    case 10:
      return sum_of<std::uint16_t, 10>(frames, scratch);
    default:
      return sum_of<std::uint16_t, 12>(frames, scratch);
  }
}

}  // namespace
}  // namespace pyvmaf::kernels::motion
