// VIF with vectors. A file for an instruction set includes its vectors and then this file, which
// defines everything anew with internal linkage.
//
// Three ideas make it fast, and none changes a bit. Sums of 32-bit values are divided into sums of
// their upper and lower 16 bits, sum(tap * v) >> 16 = sum(tap * high) + (sum(tap * low) >> 16), so
// that all filters are multiply-adds of 16-bit lanes; values of 16 bits are shifted by 2^15 to be
// signed, which moves a sum by 2^31 because the taps sum to 2^16, and 32-bit lanes wrap around. Two
// lines are interleaved, so that one multiply-add takes two taps, and one load serves two lines of
// output. And a ladder is measured in tiles: what depends on the reference alone is computed once
// per tile, while it is in the cache.

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/vif_kernels.hpp"

namespace pyvmaf::kernels::vif {
namespace {

constexpr std::size_t size(int count) { return static_cast<std::size_t>(count); }

constexpr int tile_width = 128;
constexpr int tile_height = 64;
constexpr int batch_lines = 4;  // lines of energies that are reduced together
constexpr int widest_reach = 8;
constexpr int smallest(int a, int b) { return a < b ? a : b; }
constexpr int multiple(int value, int of) { return (value + of - 1) / of * of; }

// Columns of a tile with the reach of the window on both sides, and room for whole vectors.
constexpr int tile_columns = multiple(tile_width + 2 * widest_reach, 64);
constexpr int line_pairs = tile_height / 2 + widest_reach + 1;
constexpr int pair_pitch = 2 * tile_columns;
constexpr int energy_pitch = multiple(tile_width, 64);

// Products have an upper and a lower half, except those of 8-bit samples, which have 16 bits.
enum PairPlane {
  pair_mean,
  pair_own_high,
  pair_own_low,
  pair_cross_high,
  pair_cross_low,
  pair_planes
};
enum LinePlane {
  line_mean,
  line_own_high,
  line_own_low,
  line_cross_high,
  line_cross_low,
  line_planes
};

struct alignas(64) Scratch {
  // Interleaved pairs of lines of samples and products.
  std::uint16_t pairs[pair_planes][line_pairs * pair_pitch];
  // Two lines after the vertical pass, shifted by 2^15.
  std::uint16_t lines[2][line_planes][tile_columns + 64];
  // A few lines after the horizontal pass; even and odd columns in vectors by turns.
  std::uint32_t means[batch_lines * energy_pitch];
  std::uint32_t own[batch_lines * energy_pitch];
  std::uint32_t cross[batch_lines * energy_pitch];
  std::int32_t inside[batch_lines * energy_pitch];
  // Of the reference, for the whole tile.
  std::uint32_t reference_means[tile_height * energy_pitch];
  std::int32_t reference_energies[tile_height * energy_pitch];
  // The samples that take a logarithm.
  std::int32_t energies1[batch_lines * energy_pitch + 64];
  std::int32_t energies2[batch_lines * energy_pitch + 64];
  std::int32_t energies12[batch_lines * energy_pitch + 64];
  std::uint32_t words1[batch_lines * energy_pitch + 64];
  std::uint32_t words2[batch_lines * energy_pitch + 64];
};

// After the scratch follows a line of means, for the time between the passes of `halve`.
std::uint16_t* line_after(Scratch& scratch) {
  return reinterpret_cast<std::uint16_t*>(reinterpret_cast<unsigned char*>(&scratch) +
                                          sizeof(Scratch)) +
         margin;
}

std::size_t scratch_size(int width) {
  return sizeof(Scratch) + sizeof(std::uint16_t) * static_cast<std::size_t>(width + 4 * margin);
}

constexpr std::int32_t shifted = INT32_MIN;  // 2^31: what shifted samples move a sum by

PYVMAF_INLINE Ints pair_of(int even, int odd) {
  return all32(
      static_cast<std::int32_t>(static_cast<std::uint32_t>(static_cast<std::uint16_t>(even)) |
                                static_cast<std::uint32_t>(odd) << 16));
}

// The window of a scale for multiply-adds of neighbours. The first output of a pair takes taps
// (0, 1), (2, 3), …; the second starts one sample later and takes (-, 0), (1, 2), …
template <int scale>
struct Window {
  static constexpr int count = tap_counts[scale];
  static constexpr int reach = count / 2;
  static constexpr int steps = (count + 1) / 2;
  // The middle tap of scale 3 has 17 bits with its sign: 2^16 is left out and added by `whole`.
  static constexpr bool wide = scale == 3;

  Ints first[size(steps)];
  Ints second[size(steps)];

  PYVMAF_INLINE Window() {
    const auto tap = [](int i) { return i >= 0 && i < count ? int{taps[scale][i]} : 0; };
    for (int step = 0; step < steps; ++step) {
      first[step] = pair_of(tap(2 * step), tap(2 * step + 1));
      second[step] = pair_of(tap(2 * step - 1), tap(2 * step));
    }
  }

  PYVMAF_INLINE Ints add_first(Ints sum, Ints values, int step) const {
    sum = multiply_add(sum, values, first[step]);
    if constexpr (wide) {
      if (step == 0) {  // the middle tap takes the upper value
        sum = add32(sum, bit_and(values, all32(static_cast<std::int32_t>(0xFFFF0000U))));
      }
    }
    return sum;
  }
  PYVMAF_INLINE Ints add_second(Ints sum, Ints values, int step) const {
    sum = multiply_add(sum, values, second[step]);
    if constexpr (wide) {
      if (step == 1) {  // the middle tap takes the lower value
        sum = add32(sum, left32<16>(values));
      }
    }
    return sum;
  }
};

// A window while a loop uses it. A copy stays in registers, if there are enough of them for it:
// what a reference names is loaded again, because each store might have changed it.
template <int scale>
using Held = std::conditional_t<(registers > 16), const Window<scale>, const Window<scale>&>;

// What a scale of frames with some bits does. `Sample` is that of the picture.
template <typename SampleType, int scale_index, int frame_bits>
struct Shape {
  using Sample = SampleType;
  static constexpr int scale = scale_index;
  static constexpr bool bytes = sizeof(Sample) == 1;
  static constexpr Rounding shifts = rounding(scale, frame_bits);
  // Bytes need no shift to be signed.
  static constexpr std::int32_t mean_start =
      static_cast<std::int32_t>((bytes ? 0U : 1U << 31) + (1U << (shifts.mean_shift - 1)));
  static constexpr std::int32_t low_start = static_cast<std::int32_t>(
      (1U << 31) + (shifts.product_shift == 0 ? 0U : 1U << (shifts.product_shift - 1)));
};

PYVMAF_INLINE Ints sign_shift(Ints v) { return bit_xor(v, all16(-32768)); }

// ---- pairs of lines ----

PYVMAF_INLINE void store_pair(std::uint16_t* p, Ints a, Ints b) {
  store(p, interleave_low(a, b));
  store(p + lanes16, interleave_high(a, b));
}

// Stores products of two lines; `high` is left alone for bytes.
template <typename S>
PYVMAF_INLINE void store_products(std::uint16_t* high, std::uint16_t* low, Ints a, Ints b, Ints c,
                                  Ints d) {
  if constexpr (!S::bytes) {
    store_pair(high, sign_shift(multiply_high16(a, b)), sign_shift(multiply_high16(c, d)));
  }
  store_pair(low, sign_shift(multiply_low16(a, b)), sign_shift(multiply_low16(c, d)));
}

template <typename S>
PYVMAF_INLINE Ints signed_samples(Ints v) {
  return S::bytes ? v : sign_shift(v);
}

// Two lines of one picture, and of a second one for products with it.
template <typename Sample>
struct LinePair {
  const Sample* upper;
  const Sample* lower;
};

template <typename S, bool cross>
__attribute__((noinline)) void fill_pair(Scratch& scratch, int pair, int columns,
                                         LinePair<typename S::Sample> own,
                                         LinePair<typename S::Sample> other) {
  const std::ptrdiff_t start = static_cast<std::ptrdiff_t>(pair) * pair_pitch;
  for (int column = 0; column < columns; column += lanes16) {
    const std::ptrdiff_t at = start + 2 * column;
    const Ints upper = load_samples(own.upper + column);
    const Ints lower = load_samples(own.lower + column);
    store_pair(scratch.pairs[pair_mean] + at, signed_samples<S>(upper), signed_samples<S>(lower));
    store_products<S>(scratch.pairs[pair_own_high] + at, scratch.pairs[pair_own_low] + at, upper,
                      upper, lower, lower);
    if constexpr (cross) {
      store_products<S>(scratch.pairs[pair_cross_high] + at, scratch.pairs[pair_cross_low] + at,
                        upper, load_samples(other.upper + column), lower,
                        load_samples(other.lower + column));
    }
  }
}

// ---- vertical pass ----

// Sums of two lines of output, 2 * lanes16 * vectors lanes of 16 bits of input.
template <int scale, int vectors>
PYVMAF_INLINE void vertical(const std::uint16_t* pairs, const Window<scale>& window, Ints start,
                            Ints* first, Ints* second) {
  for (int i = 0; i < vectors; ++i) {
    first[i] = second[i] = start;
  }
#pragma GCC unroll 9
  for (int step = 0; step < Window<scale>::steps; ++step) {
#pragma GCC unroll 4
    for (int i = 0; i < vectors; ++i) {
      const Ints values = load(pairs + step * pair_pitch + i * lanes16);
      first[i] = window.add_first(first[i], values, step);
      second[i] = window.add_second(second[i], values, step);
    }
  }
}

template <typename S, int vectors>
PYVMAF_INLINE void vertical_means(Scratch& scratch, const Window<S::scale>& window,
                                  std::ptrdiff_t pair, int column) {
  Ints sums[2][size(2 * vectors)];
  vertical<S::scale, 2 * vectors>(scratch.pairs[pair_mean] + pair * pair_pitch + 2 * column, window,
                                  all32(S::mean_start), sums[0], sums[1]);
  for (int line = 0; line < 2; ++line) {
    for (int i = 0; i < vectors; ++i) {
      const Ints means = narrow(right32<S::shifts.mean_shift>(sums[line][2 * i]),
                                right32<S::shifts.mean_shift>(sums[line][2 * i + 1]));
      store(&scratch.lines[line][line_mean][column + i * lanes16], sign_shift(means));
    }
  }
}

template <typename S, int vectors>
PYVMAF_INLINE void vertical_products(Scratch& scratch, const Window<S::scale>& window,
                                     std::ptrdiff_t pair, int column, bool cross) {
  const std::ptrdiff_t at = pair * pair_pitch + 2 * column;
  Ints sums[2][size(2 * vectors)];
  vertical<S::scale, 2 * vectors>(scratch.pairs[cross ? pair_cross_low : pair_own_low] + at, window,
                                  all32(S::low_start), sums[0], sums[1]);
  if constexpr (!S::bytes) {
    Ints high[2][size(2 * vectors)];
    vertical<S::scale, 2 * vectors>(scratch.pairs[cross ? pair_cross_high : pair_own_high] + at,
                                    window, all32(shifted), high[0], high[1]);
    for (int line = 0; line < 2; ++line) {
      for (int i = 0; i < 2 * vectors; ++i) {
        sums[line][i] = add32(left32<16 - S::shifts.product_shift>(high[line][i]),
                              right32<S::shifts.product_shift>(sums[line][i]));
      }
    }
  }
  const Ints lower = all32(0xFFFF);
  for (int line = 0; line < 2; ++line) {
    std::uint16_t* high_line = scratch.lines[line][cross ? line_cross_high : line_own_high];
    std::uint16_t* low_line = scratch.lines[line][cross ? line_cross_low : line_own_low];
    for (int i = 0; i < vectors; ++i) {
      const Ints a = sums[line][2 * i];
      const Ints b = sums[line][2 * i + 1];
      store(high_line + column + i * lanes16, sign_shift(narrow(right32<16>(a), right32<16>(b))));
      store(low_line + column + i * lanes16,
            sign_shift(narrow(bit_and(a, lower), bit_and(b, lower))));
    }
  }
}

// Lines 2 * pair and 2 * pair + 1 of the tile.
template <typename S>
__attribute__((noinline)) void vertical_pass(Scratch& scratch, const Window<S::scale>& shared,
                                             int pair, int columns, bool cross) {
  Held<S::scale> window = shared;
  const auto each = [&](auto step) {
    int column = 0;
    for (; column + 2 * lanes16 <= columns; column += 2 * lanes16) {
      step(column, std::integral_constant<int, 2>{});
    }
    if (column < columns) {
      step(column, std::integral_constant<int, 1>{});
    }
  };
  each([&](int column, auto vectors) {
    vertical_means<S, decltype(vectors)::value>(scratch, window, pair, column);
  });
  each([&](int column, auto vectors) {
    vertical_products<S, decltype(vectors)::value>(scratch, window, pair, column, false);
  });
  if (cross) {
    each([&](int column, auto vectors) {
      vertical_products<S, decltype(vectors)::value>(scratch, window, pair, column, true);
    });
  }
}

// The columns beyond the picture's sides are those within, reflected. `line` starts `reach` columns
// before the tile.
void reflect_sides(std::uint16_t* line, int reach, int tile_start, int tile_columns_inside,
                   int picture_width) {
  if (tile_start == 0) {
    for (int i = 1; i <= reach; ++i) {
      line[reach - i] = line[reach + i];
    }
  }
  if (tile_start + tile_columns_inside + reach > picture_width) {
    std::uint16_t* last = line + (picture_width - 1 - tile_start + reach);
    for (int i = 1; i <= reach; ++i) {
      last[i] = last[-i];
    }
  }
}

// ---- horizontal pass ----

// Sums of even columns (`first`) and odd columns (`second`) for several lines at once.
template <int scale, int count>
PYVMAF_INLINE void horizontal(const std::uint16_t* const (&lines)[size(count)],
                              const Window<scale>& window, const Ints (&start)[size(count)],
                              Ints* first, Ints* second) {
  for (int i = 0; i < count; ++i) {
    first[i] = second[i] = start[i];
  }
#pragma GCC unroll 9
  for (int step = 0; step < Window<scale>::steps; ++step) {
#pragma GCC unroll 4
    for (int i = 0; i < count; ++i) {
      const Ints values = load_unaligned(lines[i] + 2 * step);
      first[i] = window.add_first(first[i], values, step);
      second[i] = window.add_second(second[i], values, step);
    }
  }
}

template <int scale>
__attribute__((noinline)) void horizontal_means(const std::uint16_t* line,
                                                const Window<scale>& shared, std::uint32_t* out,
                                                int columns) {
  Held<scale> window = shared;
  const Ints start[2] = {all32(shifted), all32(shifted)};
  for (int column = 0; column < columns; column += 2 * lanes16) {
    const std::uint16_t* lines[2] = {line + column, line + column + lanes16};
    Ints even[2];
    Ints odd[2];
    horizontal<scale, 2>(lines, window, start, even, odd);
    for (int i = 0; i < 2; ++i) {
      store(out + column + i * lanes16, even[i]);
      store(out + column + i * lanes16 + lanes32, odd[i]);
    }
  }
}

template <int scale>
__attribute__((noinline)) void horizontal_products(const std::uint16_t* high,
                                                   const std::uint16_t* low,
                                                   const Window<scale>& shared, std::uint32_t* out,
                                                   int columns) {
  Held<scale> window = shared;
  const Ints whole = all32(shifted);
  const Ints half = all32(shifted + 32768);
  const Ints start[4] = {whole, half, whole, half};
  for (int column = 0; column < columns; column += 2 * lanes16) {
    const std::uint16_t* lines[4] = {high + column, low + column, high + column + lanes16,
                                     low + column + lanes16};
    Ints even[4];
    Ints odd[4];
    horizontal<scale, 4>(lines, window, start, even, odd);
    for (int i = 0; i < 2; ++i) {
      store(out + column + i * lanes16, add32(even[2 * i], right32<16>(even[2 * i + 1])));
      store(out + column + i * lanes16 + lanes32, add32(odd[2 * i], right32<16>(odd[2 * i + 1])));
    }
  }
}

// ---- logarithms ----

// 2048 times the exponent of 2^17, as the lower five bits of a biased exponent have it.
constexpr std::int32_t noise_logarithm = 2048 * ((1023 + noise_exponent) % 32);

// 2048 log2(v) by the lower five bits of the exponent, of doubles from 2^17 to below 2^33, given by
// their high words, from the 16 highest bits of v as libvmaf's table has it. Five bits are enough:
// an energy is below 2^30, and what is explained of it is not more but for the rounding of means,
// which adds less than half. The polynomial was found by search: it gives the table's rounded value
// for every one of the 2^15 mantissas, which the tests and the self-check prove.
PYVMAF_INLINE Ints log2_2048(Ints high_words_of_values) {
  const Ints kept = bit_and(high_words_of_values, all32(-32));
  const Floats one_to_two =
      as_floats(bit_or(bit_and(left32<3>(kept), all32(0x7FFFFF)), all32(0x3F800000)));
  const Floats x = subtract(one_to_two, all(1.5F));
  const Floats x2 = multiply(x, x);
  const Floats x4 = multiply(x2, x2);
  const Floats low = fused(fused(all(0x1.23e4a2p+24F), x, all(-0x1.484af4p+25F)), x2,
                           fused(all(-0x1.38f7a8p+22F), x, all(0x1.5d022p+23F)));
  const Floats middle = fused(fused(all(0x1.e4140cp+20F), x, all(-0x1.54996cp+21F)), x2,
                              fused(all(0x1.32f74ep+22F), x, all(-0x1.23e5f6p+23F)));
  const Floats high = fused(all(-0x1.1bf1dcp+20F), x4, middle);
  const Ints fraction = nearest_ints(fused(high, x4, low));
  return right32<16>(add32(fraction, left32<7>(kept)));
}

void logarithms(const double* values, std::int32_t* logarithms, int count) {
  for (int i = 0; i < count; ++i) {
    const Doubles value = all(values[i]);
    alignas(64) std::int32_t lanes[lanes32];
    store(lanes, log2_2048(high_words(value, value)));
    logarithms[i] = lanes[0] + 2048 * noise_exponent - noise_logarithm;
  }
}

// ---- energies ----

// Energies of the reference, kept for its distorted versions, and their logarithms.
__attribute__((noinline)) void reduce_reference(Scratch& scratch, std::ptrdiff_t at, int count,
                                                std::int64_t& denominator, int& log_count) {
  Ints counted = zero();
  Ints logs = zero();
  for (int i = 0; i < count; i += lanes32) {
    const Ints mean = load(scratch.means + i);
    const Ints energy = bit_and(subtract32(load(scratch.own + i), mean_products(mean, mean)),
                                load(scratch.inside + i));
    store(scratch.reference_means + at + i, mean);
    store(scratch.reference_energies + at + i, energy);
    const Ints has_log = greater32(energy, all32(noise - 1));
    counted = subtract32(counted, has_log);
    const Ints value = add32(bit_and(has_log, energy), all32(noise));
    // Without logarithm the value is 2^17, whose logarithm is taken off with the others'.
    logs = add32(logs, subtract32(log2_2048(high_words(low_doubles(value), high_doubles(value))),
                                  all32(noise_logarithm)));
  }
  denominator += sum32(logs);
  log_count += static_cast<int>(sum32(counted));
}

// Keeps the vectors that have a sample with a logarithm; returns the number of their samples.
PYVMAF_INLINE int gather(Scratch& scratch, std::ptrdiff_t at, int count,
                         std::int64_t& flat_energy) {
  int kept = 0;
  Ints low = zero();
  Ints high = zero();
  for (int i = 0; i < count; i += lanes32) {
    const Ints mean1 = load(scratch.reference_means + at + i);
    const Ints energy1 = load(scratch.reference_energies + at + i);
    const Ints mean2 = load(scratch.means + i);
    const Ints energy2 =
        bit_and(larger32(subtract32(load(scratch.own + i), mean_products(mean2, mean2)), zero()),
                load(scratch.inside + i));
    const Ints energy12 = subtract32(load(scratch.cross + i), mean_products(mean1, mean2));
    const Ints has_log = greater32(energy1, all32(noise - 1));
    const Ints flat = subtract32(energy2, bit_and(has_log, energy2));
    low = add32(low, bit_and(flat, all32(0xFFFF)));
    high = add32(high, right32<16>(flat));
    const Ints explains =
        bit_and(has_log, bit_and(greater32(energy12, zero()), greater32(energy2, zero())));
    store(scratch.energies1 + kept, energy1);
    store(scratch.energies2 + kept, energy2);
    // A covariance of 0 explains nothing: the difference of its logarithms is 0.
    store(scratch.energies12 + kept, bit_and(explains, energy12));
    kept += any_lane32(explains) ? lanes32 : 0;
  }
  flat_energy += sum32(low) + (sum32(high) << 16);
  return kept;
}

// Doubles of 2^17 + sv^2, and of that plus the explained energy.
PYVMAF_INLINE void explained(Doubles energy1, Doubles energy2, Doubles energy12, Doubles limit,
                             Doubles& remainder, Doubles& total) {
  const Doubles gain = divide(energy12, add(energy1, all(epsilon)));
  const Doubles rest = wholes(larger(subtract(energy2, multiply(gain, energy12)), all(0.0)));
  const Doubles limited = smaller(gain, limit);
  remainder = add_wholes(rest, all(static_cast<double>(noise)));
  total = add_wholes(truncated(multiply(multiply(limited, limited), energy1)), remainder);
}

__attribute__((noinline)) void reduce_distorted(Scratch& scratch, std::ptrdiff_t at, int count,
                                                const double* gain_limits, int limit_count,
                                                Sums& sums) {
  const int kept = gather(scratch, at, count, sums.flat_energy);
  for (int index = 0; index < limit_count; ++index) {
    const Doubles limit = all(gain_limits[index]);
    for (int i = 0; i < kept; i += lanes32) {
      const Ints energy1 = load(scratch.energies1 + i);
      const Ints energy2 = load(scratch.energies2 + i);
      const Ints energy12 = load(scratch.energies12 + i);
      Doubles remainder[2];
      Doubles total[2];
      explained(low_doubles(energy1), low_doubles(energy2), low_doubles(energy12), limit,
                remainder[0], total[0]);
      explained(high_doubles(energy1), high_doubles(energy2), high_doubles(energy12), limit,
                remainder[1], total[1]);
      store(scratch.words1 + i, high_words(remainder[0], remainder[1]));
      store(scratch.words2 + i, high_words(total[0], total[1]));
    }
    Ints logs = zero();
    for (int i = 0; i < kept; i += lanes32) {
      logs = add32(logs, subtract32(log2_2048(load(scratch.words2 + i)),
                                    log2_2048(load(scratch.words1 + i))));
    }
    sums.numerator[index] += sum32(logs);
  }
}

// ---- tiles ----

struct Tile {
  int left;
  int top;
  int width;
  int height;
};

// What is read after a tile of a picture: that of the next version, or the reference's next tile.
struct Next {
  const Picture& picture;
  Tile tile;
};

// Marks the samples of each line that lie inside of the picture, in the order of the energies.
void mark_inside(Scratch& scratch, int width, int columns) {
  for (int line = 0; line < batch_lines; ++line) {
    for (int block = 0; block < columns; block += lanes16) {
      std::int32_t* even = scratch.inside + line * columns + block;
      for (int i = 0; i < lanes32; ++i) {
        even[i] = block + 2 * i < width ? -1 : 0;
        even[lanes32 + i] = block + 2 * i + 1 < width ? -1 : 0;
      }
    }
  }
}

template <typename S>
class TileSums {
 public:
  TileSums(const Ladder& ladder, Scratch& scratch, const Window<S::scale>& window, Tile tile)
      : ladder_(ladder),
        scratch_(scratch),
        window_(window),
        tile_(tile),
        filtered_columns_(multiple(tile.width + 2 * reach, lanes16)),
        columns_(multiple(tile.width, 2 * lanes16)) {}

  void add(const Tile& next, Sums* sums) {
    mark_inside(scratch_, tile_.width, columns_);
    std::int64_t log_sum = 0;
    int log_count = 0;
    each_batch<false>(ladder_.reference, {ladder_.distorted[0], tile_},
                      [&](std::ptrdiff_t at, int count) {
                        reduce_reference(scratch_, at, count, log_sum, log_count);
                      });
    for (int i = 0; i < ladder_.count; ++i) {
      sums[i].denominator += log_sum;
      sums[i].flat_count += std::int64_t{tile_.width} * tile_.height - log_count;
      const Next following = i + 1 < ladder_.count ? Next{ladder_.distorted[i + 1], tile_}
                                                   : Next{ladder_.reference, next};
      each_batch<true>(ladder_.distorted[i], following, [&](std::ptrdiff_t at, int count) {
        reduce_distorted(scratch_, at, count, ladder_.gain_limits, ladder_.limit_count, sums[i]);
      });
    }
  }

 private:
  using Sample = typename S::Sample;
  static constexpr int reach = Window<S::scale>::reach;

  LinePair<Sample> lines_of(const Picture& picture, int pair) const {
    const int row = tile_.top - reach + 2 * pair;
    const auto line = [&](int index) {
      return picture.lines.at<Sample>(reflected(index, picture.height)) + tile_.left - reach;
    };
    return {line(row), line(row + 1)};
  }

  // Asks for a pair of lines ahead of its use: the lines of a tile are short and far apart, so that
  // the processor does not foresee them.
  static void fetch(const Next& next, int pair) {
    constexpr int step = 64 / static_cast<int>(sizeof(Sample));
    const Tile& tile = next.tile;
    for (int line = 2 * pair; line < 2 * pair + 2; ++line) {
      const int row = reflected(tile.top - reach + line, next.picture.height);
      const Sample* first = next.picture.lines.at<Sample>(row) + tile.left - reach;
      for (int column = 0; column < tile.width + 2 * reach + step; column += step) {
        prefetch(first + column);
      }
    }
  }

  // Filters the tile of a picture, and hands over a few lines at a time.
  template <bool cross, typename Reduce>
  void each_batch(const Picture& picture, const Next& next, Reduce reduce) {
    int filled = 0;
    for (int pair = 0; 2 * pair < tile_.height; ++pair) {
      for (; filled < pair + Window<S::scale>::steps; ++filled) {
        fetch(next, filled);
        fill_pair<S, cross>(scratch_, filled, filtered_columns_, lines_of(picture, filled),
                            lines_of(ladder_.reference, filled));
      }
      vertical_pass<S>(scratch_, window_, pair, filtered_columns_, cross);
      for (int line = 2 * pair; line < smallest(2 * pair + 2, tile_.height); ++line) {
        filter_line<cross>(line);
        if (line % batch_lines == batch_lines - 1 || line == tile_.height - 1) {
          const int first = line - line % batch_lines;
          reduce(static_cast<std::ptrdiff_t>(first) * columns_, (line - first + 1) * columns_);
        }
      }
    }
  }

  template <bool cross>
  void filter_line(int line) {
    std::uint16_t (&planes)[line_planes][tile_columns + 64] = scratch_.lines[line % 2];
    if (tile_.left == 0 || tile_.left + tile_.width + reach > ladder_.reference.width) {
      for (int plane = 0; plane < (cross ? line_planes : line_cross_high); ++plane) {
        reflect_sides(planes[plane], reach, tile_.left, tile_.width, ladder_.reference.width);
      }
    }
    const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(line % batch_lines) * columns_;
    horizontal_means<S::scale>(planes[line_mean], window_, scratch_.means + at, columns_);
    horizontal_products<S::scale>(planes[line_own_high], planes[line_own_low], window_,
                                  scratch_.own + at, columns_);
    if constexpr (cross) {
      horizontal_products<S::scale>(planes[line_cross_high], planes[line_cross_low], window_,
                                    scratch_.cross + at, columns_);
    }
  }

  const Ladder& ladder_;
  Scratch& scratch_;
  const Window<S::scale>& window_;
  const Tile tile_;
  const int filtered_columns_;  // after the vertical pass
  const int columns_;           // after the horizontal pass
};

template <typename S>
void add_tiles(const Ladder& ladder, Scratch& scratch, Sums* sums) {
  const Window<S::scale> window;
  const int width = ladder.reference.width;
  const int height = ladder.reference.height;
  const auto tile_at = [&](int left, int top) {
    return Tile{left, top, smallest(tile_width, width - left), smallest(tile_height, height - top)};
  };
  for (int left = 0; left < width; left += tile_width) {
    for (int top = 0; top < height; top += tile_height) {
      const Tile tile = tile_at(left, top);
      const Tile next = top + tile_height < height  ? tile_at(left, top + tile_height)
                        : left + tile_width < width ? tile_at(left + tile_width, 0)
                                                    : tile;
      TileSums<S>(ladder, scratch, window, tile).add(next, sums);
    }
  }
}

void statistics(const Ladder& ladder, void* memory, Sums* sums) {
  auto& scratch = *static_cast<Scratch*>(memory);
  switch (ladder.scale == 0 ? ladder.bits : ladder.scale) {
    case 8:
      return add_tiles<Shape<std::uint8_t, 0, 8>>(ladder, scratch, sums);
    case 10:
      return add_tiles<Shape<std::uint16_t, 0, 10>>(ladder, scratch, sums);
    case 12:
      return add_tiles<Shape<std::uint16_t, 0, 12>>(ladder, scratch, sums);
    case 1:
      return add_tiles<Shape<std::uint16_t, 1, 16>>(ladder, scratch, sums);
    case 2:
      return add_tiles<Shape<std::uint16_t, 2, 16>>(ladder, scratch, sums);
    default:
      return add_tiles<Shape<std::uint16_t, 3, 16>>(ladder, scratch, sums);
  }
}

// ---- the next scale ----

// `S` is the shape of the source; the window is that of the next scale.
template <typename S>
void halve(const Picture& source, std::uint16_t* target, std::ptrdiff_t target_pitch,
           Scratch& scratch) {
  constexpr int next = S::scale + 1;
  constexpr int reach = Window<next>::reach;
  constexpr int steps = Window<next>::steps;
  const Window<next> window;
  std::uint16_t* means = line_after(scratch);
  for (int row = 0; row < source.height / 2; ++row) {
    const typename S::Sample* lines[size(2 * steps)];
    for (int i = 0; i < 2 * steps; ++i) {
      lines[i] = source.lines.at<typename S::Sample>(reflected(2 * row - reach + i, source.height));
    }
    for (int column = 0; column < source.width; column += lanes16) {
      Ints low = all32(S::mean_start);
      Ints high = low;
#pragma GCC unroll 5
      for (int step = 0; step < steps; ++step) {
        const Ints upper = signed_samples<S>(load_samples(lines[2 * step] + column));
        const Ints lower = signed_samples<S>(load_samples(lines[2 * step + 1] + column));
        low = window.add_first(low, interleave_low(upper, lower), step);
        high = window.add_first(high, interleave_high(upper, lower), step);
      }
      store_unaligned(means + column, sign_shift(narrow(right32<S::shifts.mean_shift>(low),
                                                        right32<S::shifts.mean_shift>(high))));
    }
    for (int i = 1; i <= reach; ++i) {
      means[-i] = means[i];
      means[source.width - 1 + i] = means[source.width - 1 - i];
    }
    for (int column = 0; column < source.width / 2; column += lanes32) {
      Ints sum = all32(shifted + 32768);
#pragma GCC unroll 5
      for (int step = 0; step < steps; ++step) {
        sum = window.add_first(sum, load_unaligned(means + 2 * column - reach + 2 * step), step);
      }
      store_narrow(target + row * target_pitch + column, right32<16>(sum));
    }
  }
}

void decimate(int scale, int bits, const Picture& source, std::uint16_t* target,
              std::ptrdiff_t target_pitch, void* memory) {
  auto& scratch = *static_cast<Scratch*>(memory);
  switch (scale == 0 ? bits : scale) {
    case 8:
      return halve<Shape<std::uint8_t, 0, 8>>(source, target, target_pitch, scratch);
    case 10:
      return halve<Shape<std::uint16_t, 0, 10>>(source, target, target_pitch, scratch);
    case 12:
      return halve<Shape<std::uint16_t, 0, 12>>(source, target, target_pitch, scratch);
    case 1:
      return halve<Shape<std::uint16_t, 1, 16>>(source, target, target_pitch, scratch);
    default:
      return halve<Shape<std::uint16_t, 2, 16>>(source, target, target_pitch, scratch);
  }
}

}  // namespace
}  // namespace pyvmaf::kernels::vif
