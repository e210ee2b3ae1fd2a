// ADM with vectors; as vif_vector.hpp.
//
// A scale is one pass over the rows of its bands: a row of the reference is divided, its
// reciprocals and magnitudes are computed, and each distorted picture follows with the same row,
// while all of it is in the nearest cache. Only approximations are stored as pictures. Three rows
// of thresholds and restored coefficients are kept for each distorted picture, since masking reads
// the neighbours.
//
// Scale 0 has lanes of 16 bits where it can. Angles are compared in single precision first, whose
// error is bounded: where the two sides are closer than that, the exact comparison decides.

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <type_traits>

#include "kernels/adm_kernels.hpp"

namespace pyvmaf::kernels::adm {
namespace {

constexpr int multiple(int value, int of) { return (value + of - 1) / of * of; }

// Values before and after each row of the scratch memory.
constexpr std::ptrdiff_t room = 64;

// Rows that are kept of a distorted picture with one limit, for details or additive impairments.
constexpr int kept_rows = 3;
struct Kept {
  std::int32_t* around[kept_rows];
  std::int32_t* within[kept_rows];  // less `around` of the same coefficient
  void* values[kept_rows][band_count];
};

// Rows of 32-bit values, one after another.
class Rows {
 public:
  Rows(void* memory, int width)
      : next_(static_cast<std::int32_t*>(memory)), length_(length(width)) {}

  static std::ptrdiff_t length(int width) { return multiple(width, 16) + 2 * room; }

  std::int32_t* take() {
    std::int32_t* row = next_ + room;
    next_ += length_;
    return row;
  }

 private:
  std::int32_t* next_;
  std::ptrdiff_t length_;
};

constexpr int rows_of_reference = 4 * band_count + 2;
constexpr int rows_of_kept = kept_rows * (2 + band_count);

std::size_t scratch_size(int width, int /*height*/, int count, int limit_count) {
  const int kept = count * limit_count * 2;
  // Two rows are those of pictures, the others those of bands, which are shorter.
  const std::ptrdiff_t rows = 2 + rows_of_reference + std::ptrdiff_t{kept} * rows_of_kept;
  return sizeof(Kept) * static_cast<std::size_t>(kept) + 64 +
         sizeof(std::int32_t) * static_cast<std::size_t>(rows * Rows::length(width));
}

PYVMAF_INLINE Ints pair_of(std::int32_t first, std::int32_t second) {
  return all32((first & 0xFFFF) |
               static_cast<std::int32_t>(static_cast<std::uint32_t>(second) << 16));
}

// ---- products of 32-bit lanes ----

// Rounded products of 64 bits lose `bits`; the result has 32 bits.
template <int bits>
PYVMAF_INLINE Ints rounded_products(Ints a, Ints b) {
  const Ints half = all64(std::int64_t{1} << (bits - 1));
  const Ints even = add64(multiply_signed64(a, b), half);
  const Ints odd = add64(multiply_signed64(right64<32>(a), right64<32>(b)), half);
  return merge(right64<bits>(even), left64<32 - bits>(odd));
}

// The upper halves of factor * value - 2^31, of unsigned values.
PYVMAF_INLINE Ints upper_halves(Ints value, std::int32_t factor) {
  const Ints by = all32(factor);
  const Ints half = all64(-(std::int64_t{1} << 31));
  const Ints even = add64(multiply_unsigned64(value, by), half);
  const Ints odd = add64(multiply_unsigned64(right64<32>(value), by), half);
  return merge(right64<32>(even), odd);
}

// ---- wavelets ----

template <typename SampleType, int scale_index, int frame_bits>
struct Shape {
  using Sample = SampleType;
  static constexpr int scale = scale_index;
  static constexpr bool first = scale == 0;
  static constexpr int bits = frame_bits;
  static constexpr Rounding shifts = rounding(scale, frame_bits);
  // Of bands, and of lines between the passes.
  using Coefficient = std::conditional_t<first, std::int16_t, std::int32_t>;
  using Approximation = std::conditional_t<first, std::int16_t, std::int32_t>;
  static constexpr int lanes = first ? lanes16 : lanes32;
};

// Columns from `first` to before `last`, and a few more.
template <typename S>
void vertical_pass(const typename S::Sample* const (&rows)[tap_count],
                   const std::int32_t (&taps)[tap_count], std::int32_t offset, int first, int last,
                   typename S::Coefficient* line) {
  if constexpr (S::scale <= 1) {
    const Ints upper = pair_of(taps[0], taps[1]);
    const Ints lower = pair_of(taps[2], taps[3]);
    const Ints start = all32(offset);
    for (int column = first; column < last; column += lanes16) {
      const Ints a = load_samples(rows[0] + column);
      const Ints b = load_samples(rows[1] + column);
      const Ints c = load_samples(rows[2] + column);
      const Ints d = load_samples(rows[3] + column);
      const Ints low = multiply_add(multiply_add(start, interleave_low(a, b), upper),
                                    interleave_low(c, d), lower);
      const Ints high = multiply_add(multiply_add(start, interleave_high(a, b), upper),
                                     interleave_high(c, d), lower);
      if constexpr (S::first) {
        store_unaligned(line + column, narrow_signed(signed_right32<S::shifts.vertical>(low),
                                                     signed_right32<S::shifts.vertical>(high)));
      } else {
        store_unaligned(line + column, first_in_order(low, high));
        store_unaligned(line + column + lanes32, second_in_order(low, high));
      }
    }
  } else {
    const Ints half = all64(std::int64_t{1} << (S::shifts.vertical - 1));
    for (int column = first; column < last; column += lanes32) {
      Ints even = half;
      Ints odd = half;
#pragma GCC unroll 4
      for (int i = 0; i < tap_count; ++i) {
        const Ints values = load_unaligned(rows[i] + column);
        const Ints tap = all32(taps[i]);
        even = add64(even, multiply_signed64(values, tap));
        odd = add64(odd, multiply_signed64(right64<32>(values), tap));
      }
      store_unaligned(line + column, merge(right64<S::shifts.vertical>(even),
                                           left64<32 - S::shifts.vertical>(odd)));
    }
  }
}

template <typename Value>
void extend(Value* line, int width) {
  line[-1] = line[1];
  line[width] = line[width - 1];
  line[width + 1] = line[width - 2];
}

// Outputs from `column` on of one filter.
template <typename S>
PYVMAF_INLINE Ints horizontal(const typename S::Coefficient* line, const Ints (&taps)[tap_count],
                              int column) {
  const typename S::Coefficient* from = line + 2 * column - 1;
  if constexpr (S::first) {
    const Ints start = all32(32768);
    const Ints low = multiply_add(multiply_add(start, load_unaligned(from), taps[0]),
                                  load_unaligned(from + 2), taps[1]);
    const Ints high = multiply_add(multiply_add(start, load_unaligned(from + lanes16), taps[0]),
                                   load_unaligned(from + lanes16 + 2), taps[1]);
    return narrow_in_order(signed_right32<16>(low), signed_right32<16>(high));
  } else {
    const Ints half = all64(std::int64_t{1} << (S::shifts.horizontal - 1));
    Ints sums[2];
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      const Ints a = load_unaligned(from + i * lanes32);
      const Ints b = load_unaligned(from + i * lanes32 + 2);
      const Ints first =
          add64(multiply_signed64(a, taps[0]), multiply_signed64(right64<32>(a), taps[1]));
      const Ints second =
          add64(multiply_signed64(b, taps[2]), multiply_signed64(right64<32>(b), taps[3]));
      sums[i] = right64<S::shifts.horizontal>(add64(half, add64(first, second)));
    }
    return lower_halves(sums[0], sums[1]);
  }
}

template <typename S>
struct Taps {
  Ints values[tap_count];
  PYVMAF_INLINE explicit Taps(const std::int32_t (&taps)[tap_count]) {
    for (int i = 0; i < tap_count; ++i) {
      values[i] = S::first ? pair_of(taps[2 * (i % 2)], taps[2 * (i % 2) + 1]) : all32(taps[i]);
    }
  }
};

// ---- one scale ----

template <typename S>
class Pass {
 public:
  Pass(const Ladder& ladder, void* memory, Sums* sums)
      : ladder_(ladder),
        width_(half_of(ladder.width)),
        height_(half_of(ladder.height)),
        columns_(counted(width_)),
        rows_(counted(height_)),
        first_(decoupled(width_).first / lanes16 * lanes16),
        last_(decoupled(width_).last),
        decoupled_rows_(decoupled(height_)),
        reference_bits_(reference_powers(S::scale, columns_, rows_)),
        kept_(static_cast<Kept*>(memory)),
        sums_(sums) {
    const int count = ladder.count * ladder.limit_count * 2;
    auto* after_kept = static_cast<unsigned char*>(memory) +
                       (sizeof(Kept) * static_cast<std::size_t>(count) + 63) / 64 * 64;
    Rows lines(after_kept, ladder.width);
    low_ = reinterpret_cast<Coefficient*>(lines.take());
    high_ = reinterpret_cast<Coefficient*>(lines.take());
    Rows rows(lines.take() - room, width_);
    for (int band = 0; band < band_count; ++band) {
      reference_[band] = reinterpret_cast<Coefficient*>(rows.take());
      distorted_[band] = reinterpret_cast<Coefficient*>(rows.take());
      inverse_[band] = rows.take();
      shift_[band] = rows.take();
    }
    magnitude_ = reinterpret_cast<float*>(rows.take());
    neighbours_ = rows.take();
    for (int i = 0; i < count; ++i) {
      for (int row = 0; row < kept_rows; ++row) {
        kept_[i].around[row] = rows.take();
        kept_[i].within[row] = rows.take();
        for (auto& values : kept_[i].values[row]) {
          values = rows.take();
        }
      }
    }
  }

  void run(ReferenceSums& reference) {
    for (int row = 0; row < height_; ++row) {
      const bool detailed = row >= decoupled_rows_.first && row < decoupled_rows_.last;
      transform(0, row, detailed, reference_);
      if (detailed) {
        prepare();
        if (row >= rows_.first && row < rows_.last) {
          for (int band = 0; band < band_count; ++band) {
            reference.cubes[band] += rounded_line(cubes(reference_[band]), reference_bits_.line);
          }
        }
      }
      for (int i = 0; i < ladder_.count; ++i) {
        transform(i + 1, row, detailed, distorted_);
        if (detailed) {
          follow(i, row);
        }
      }
    }
  }

 private:
  using Coefficient = typename S::Coefficient;
  using Sample = typename S::Sample;

  // ---- wavelets ----

  // A row of the bands of a picture, and of its approximation. Without details only the latter.
  void transform(int index, int row, bool detailed, Coefficient* const (&bands)[band_count]) {
    const Sample* rows[tap_count];
    for (int i = 0; i < tap_count; ++i) {
      rows[i] = ladder_.pictures[index].at<Sample>(source_index(2 * row - 1 + i, ladder_.height));
    }
    // Half of what the pass loses.
    constexpr std::int32_t half = (1 << S::shifts.vertical) / 2;
    const int from = first_ > 0 ? 2 * first_ - lanes16 : 0;
    vertical_pass<S>(rows, low_pass, half - grey(S::scale, S::bits),
                     ladder_.approximations == nullptr ? from : 0, ladder_.width, low_);
    extend(low_, ladder_.width);
    if (detailed) {
      const int to = 2 * last_ + 2 < ladder_.width ? 2 * last_ + 2 : ladder_.width;
      vertical_pass<S>(rows, high_pass, half, from, to, high_);
      extend(high_, ladder_.width);
    }
    auto* approximation =
        ladder_.approximations == nullptr
            ? nullptr
            : static_cast<typename S::Approximation*>(ladder_.approximations[index]) +
                  row * ladder_.approximation_pitch;
    const Taps<S> low(low_pass);
    const Taps<S> high(high_pass);
    if (approximation != nullptr) {
      for (int column = 0; column < width_; column += S::lanes) {
        store_unaligned(approximation + column, horizontal<S>(low_, low.values, column));
      }
    }
    if (detailed) {
      for (int column = first_; column < last_; column += S::lanes) {
        store(bands[vertical_band] + column, horizontal<S>(low_, high.values, column));
        store(bands[horizontal_band] + column, horizontal<S>(high_, low.values, column));
        store(bands[diagonal_band] + column, horizontal<S>(high_, high.values, column));
      }
    }
  }

  // ---- the reference ----

  // Reciprocals and magnitudes of the row.
  void prepare() {
    if constexpr (S::first) {
      for (int column = first_; column < last_; column += lanes16) {
        const Ints h = load(reference_[horizontal_band] + column);
        const Ints v = load(reference_[vertical_band] + column);
        const Ints low = interleave_low(h, v);
        const Ints high = interleave_high(h, v);
        store_magnitude(column, to_floats(multiply_add(zero(), low, low)));
        store_magnitude(column + lanes32, to_floats(multiply_add(zero(), high, high)));
        for (int band = 0; band < band_count; ++band) {
          const Ints size = absolute16(load(reference_[band] + column));
          store(inverse_[band] + column, inverse(interleave_low(size, zero())));
          store(inverse_[band] + column + lanes32, inverse(interleave_high(size, zero())));
        }
      }
    } else {
      for (int column = first_; column < last_; column += lanes32) {
        const Floats h = to_floats(load(reference_[horizontal_band] + column));
        const Floats v = to_floats(load(reference_[vertical_band] + column));
        store_magnitude(column, add(multiply(h, h), multiply(v, v)));
        for (int band = 0; band < band_count; ++band) {
          const Ints size = absolute32(load(reference_[band] + column));
          // Exponents of doubles tell the bits above 15.
          const Ints words = high_words_in_order(size);
          const Ints shift = larger32(subtract32(right32<20>(words), all32(1023 + 14)), zero());
          const Ints half = left32_by(all32(1), subtract32(shift, all32(1)));
          store(inverse_[band] + column, inverse(right32_by(add32(size, half), shift)));
          store(shift_[band] + column, add32(shift, all32(14)));
        }
      }
    }
  }

  void store_magnitude(int column, Floats sum) {
    store_floats(magnitude_ + column, multiply(sum, all(cosine_squared)));
  }

  static PYVMAF_INLINE Ints inverse(Ints size) {
    const Doubles numerator = all(static_cast<double>(1 << 30));
    return truncated_ints(divide(numerator, low_doubles(size)),
                          divide(numerator, high_doubles(size)));
  }

  static PYVMAF_INLINE Ints high_words_in_order(Ints size) {
    const Ints low = as_ints(low_doubles(size));
    const Ints high = as_ints(high_doubles(size));
    return lower_halves(right64<32>(low), right64<32>(high));
  }

  // Sum of cubes of a row of the reference.
  std::uint64_t cubes(const Coefficient* row) const {
    Ints sum = zero();
    const Ints cube_shift = all64(reference_bits_.cube);
    const Ints cube_half =
        all64(reference_bits_.cube == 0 ? 0 : std::int64_t{1} << (reference_bits_.cube - 1));
    for (int column = columns_.first; column < columns_.last; column += lanes32) {
      const Ints inside = inside_of(column);
      if constexpr (S::first) {
        const Ints size = bit_and(absolute32(load_widened(row + column)), inside);
        const Ints square = multiply_low32(size, size);
        sum = add64(sum, multiply_unsigned64(square, size));
        sum = add64(sum, multiply_unsigned64(right64<32>(square), right64<32>(size)));
      } else {
        constexpr int square_bits = S::scale == 2 ? 30 : 31;
        const Ints whole = all64(std::int64_t{1} << square_bits);
        const Ints size = bit_and(absolute32(load_unaligned(row + column)), inside);
        for (const Ints part : {size, right64<32>(size)}) {
          const Ints square = right64<square_bits>(add64(multiply_unsigned64(part, part), whole));
          sum = add64(sum,
                      right64_by(add64(multiply_unsigned64(square, part), cube_half), cube_shift));
        }
      }
    }
    return sum64(sum);
  }

  // Lanes from `column` on that count.
  PYVMAF_INLINE Ints inside_of(int column) const {
    alignas(64) static constexpr std::int32_t lanes[] = {0, 1, 2,  3,  4,  5,  6,  7,
                                                         8, 9, 10, 11, 12, 13, 14, 15};
    static_assert(std::size(lanes) >= lanes32);
    return greater32(all32(columns_.last - column), load(lanes));
  }

  // ---- a distorted picture ----

  Kept& kept(int index, int limit, bool additive) {
    return kept_[(index * ladder_.limit_count + limit) * 2 + (additive ? 1 : 0)];
  }

  void follow(int index, int row) {
    decouple(index, row);
    if (row - 1 >= rows_.first && row - 1 < rows_.last) {
      add_visible(index, row - 1);
    }
    if (row == height_ - 1 && row < rows_.last) {
      add_visible(index, row);
    }
  }

  void decouple(int index, int row) {
    const int slot = row % kept_rows;
    for (int column = first_; column < last_; column += S::lanes) {
      Ints reference[band_count];
      Ints distorted[band_count];
      Ints part[band_count];
      for (int band = 0; band < band_count; ++band) {
        reference[band] = load(reference_[band] + column);
        distorted[band] = load(distorted_[band] + column);
      }
      const Ints same = alignment(reference, distorted, column);
      for (int band = 0; band < band_count; ++band) {
        part[band] = restored_part(reference[band], distorted[band], band, column);
      }
      for (int limit = 0; limit < ladder_.limit_count; ++limit) {
        Ints left[band_count];
        Ints rest[band_count];
        for (int band = 0; band < band_count; ++band) {
          const Ints most = enhanced_part(part[band], distorted[band], ladder_.gain_limits[limit]);
          left[band] = select(same, part[band], most);
          rest[band] = S::first ? subtract16(distorted[band], left[band])
                                : subtract32(distorted[band], left[band]);
        }
        if constexpr (S::first) {
          keep16(kept(index, limit, false), slot, column, left, rest);
          if (ladder_.additive) {
            keep16(kept(index, limit, true), slot, column, rest, left);
          }
        } else {
          for (int band = 0; band < band_count; ++band) {
            const Ints factor = all32(static_cast<std::int32_t>(ladder_.factors.values[band]));
            left[band] = absolute32(rounded_products<28>(left[band], factor));
            rest[band] = absolute32(rounded_products<28>(rest[band], factor));
          }
          keep32(kept(index, limit, false), slot, column, left, rest);
          if (ladder_.additive) {
            keep32(kept(index, limit, true), slot, column, rest, left);
          }
        }
      }
    }
    for (int limit = 0; limit < ladder_.limit_count; ++limit) {
      extend_around(kept(index, limit, false).around[slot]);
      if (ladder_.additive) {
        extend_around(kept(index, limit, true).around[slot]);
      }
    }
  }

  // The columns beside a band that counts as a whole.
  void extend_around(std::int32_t* around) const {
    if (columns_.first == 0) {
      around[-1] = around[before(0)];
      around[width_] = around[width_ - 1];
    }
  }

  // Sides of the comparison of angles that are closer than this share are compared exactly. The
  // error of single precision is less than 2^-21 (sums of products of 16 bits are exact) and 2^-19.
  static constexpr float doubt = S::first ? 0x1p-20F : 0x1p-18F;

  PYVMAF_INLINE Ints alignment(const Ints (&reference)[band_count],
                               const Ints (&distorted)[band_count], int column) const {
    Ints same;
    Ints doubtful;
    if constexpr (S::first) {
      const Ints a[2] = {interleave_low(reference[horizontal_band], reference[vertical_band]),
                         interleave_high(reference[horizontal_band], reference[vertical_band])};
      const Ints b[2] = {interleave_low(distorted[horizontal_band], distorted[vertical_band]),
                         interleave_high(distorted[horizontal_band], distorted[vertical_band])};
      Ints parts[2];
      Ints doubts[2];
      for (int i = 0; i < 2; ++i) {
        parts[i] =
            compared(to_floats(multiply_add(zero(), a[i], b[i])),
                     to_floats(multiply_add(zero(), b[i], b[i])), column + i * lanes32, doubts[i]);
      }
      same = narrow_signed(parts[0], parts[1]);
      doubtful = bit_or(doubts[0], doubts[1]);
    } else {
      const Floats h = to_floats(distorted[horizontal_band]);
      const Floats v = to_floats(distorted[vertical_band]);
      const Floats scalar = add(multiply(to_floats(reference[horizontal_band]), h),
                                multiply(to_floats(reference[vertical_band]), v));
      same = compared(scalar, add(multiply(h, h), multiply(v, v)), column, doubtful);
    }
    return any_lane32(doubtful) ? exact_alignment(column) : same;
  }

  // Whether scalar >= 0 and scalar^2 >= cos^2 |reference|^2 |distorted|^2.
  PYVMAF_INLINE Ints compared(Floats scalar, Floats distorted, int column, Ints& doubtful) const {
    const Floats squared = multiply(scalar, scalar);
    const Floats product = multiply(load_floats(magnitude_ + column), distorted);
    doubtful = less(absolute(subtract(squared, product)), multiply(product, all(doubt)));
    return bit_and(at_least(squared, product), at_least(scalar, all(0.0F)));
  }

  __attribute__((noinline)) Ints exact_alignment(int column) const {
    alignas(64) Coefficient same[S::lanes];
    for (int i = 0; i < S::lanes; ++i) {
      const auto value = [&](const Coefficient* row) { return std::int32_t{row[column + i]}; };
      same[i] = aligned(value(reference_[horizontal_band]), value(reference_[vertical_band]),
                        value(distorted_[horizontal_band]), value(distorted_[vertical_band]))
                    ? Coefficient{-1}
                    : Coefficient{0};
    }
    return load(same);
  }

  // round(ratio * reference), where the ratio is 0 if the signs differ.
  PYVMAF_INLINE Ints restored_part(Ints reference, Ints distorted, int band, int column) const {
    if constexpr (S::first) {
      const Ints size = absolute16(distorted);
      const Ints low = ratios16(load(inverse_[band] + column), interleave_low(size, zero()));
      const Ints high =
          ratios16(load(inverse_[band] + column + lanes32), interleave_high(size, zero()));
      // 2^15 is -2^15 in 16 bits with sign, and so are the negative ratios.
      const Ints negative = subtract16(zero(), narrow(low, high));
      const Ints differ = greater16(zero(), bit_xor(reference, distorted));
      return multiply_rounded16(and_not(differ, negative), subtract16(zero(), reference));
    } else {
      const Ints own = absolute32(reference);
      // From twice the reference on, the ratio is 1: quotients then have 17 bits at most.
      const Ints size = smaller_unsigned32(absolute32(distorted), left32<1>(own));
      const Ints by = load(inverse_[band] + column);
      const Ints shift = load(shift_[band] + column);
      const Ints even =
          right64_by(multiply_unsigned64(by, size), bit_and(shift, all64(0xFFFFFFFF)));
      const Ints odd =
          right64_by(multiply_unsigned64(right64<32>(by), right64<32>(size)), right64<32>(shift));
      const Ints twice = merge(even, left64<32>(odd));
      const Ints quotient = smaller_unsigned32(right32<1>(add32(twice, all32(1))), all32(one));
      const Ints differ = greater32(zero(), bit_xor(reference, distorted));
      return rounded_products<15>(and_not(differ, quotient), reference);
    }
  }

  static PYVMAF_INLINE Ints ratios16(Ints inverse, Ints size) {
    const Ints half = all64(1 << 14);
    const Ints even = add64(multiply_unsigned64(inverse, size), half);
    const Ints odd = add64(multiply_unsigned64(right64<32>(inverse), right64<32>(size)), half);
    return smaller_unsigned32(merge(right64<15>(even), left64<17>(odd)), all32(one));
  }

  static PYVMAF_INLINE Ints enhanced_part(Ints part, Ints distorted, double limit) {
    if constexpr (S::first) {
      if (limit != static_cast<int>(limit)) {
        return enhanced_one_by_one(part, distorted, limit);
      }
      const Ints size = absolute16(part);
      const Ints by = all16(static_cast<int>(limit));
      const Ints beyond = greater16(multiply_high16(size, by), zero());
      const Ints most =
          smaller_unsigned16(bit_or(multiply_low16(size, by), beyond), absolute16(distorted));
      return with_sign16(most, part);
    } else {
      const Ints size = absolute32(part);
      const Ints most = absolute32(distorted);
      if (limit == 1.0) {
        return with_sign32(smaller_unsigned32(size, most), part);
      }
      const Doubles by = all(limit);
      const Doubles low = smaller(multiply(low_doubles(size), by), low_doubles(most));
      const Doubles high = smaller(multiply(high_doubles(size), by), high_doubles(most));
      return with_sign32(truncated_ints(low, high), part);
    }
  }

  static __attribute__((noinline)) Ints enhanced_one_by_one(Ints part, Ints distorted,
                                                            double limit) {
    alignas(64) std::int16_t parts[lanes16];
    alignas(64) std::int16_t wholes[lanes16];
    store(parts, part);
    store(wholes, distorted);
    for (int i = 0; i < lanes16; ++i) {
      parts[i] = static_cast<std::int16_t>(enhanced(parts[i], wholes[i], limit));
    }
    return load(parts);
  }

  // ---- masking ----

  // Keeps the coefficients of a part, and what the other part adds to thresholds.
  PYVMAF_INLINE void keep16(const Kept& to, int slot, int column, const Ints (&values)[band_count],
                            const Ints (&masks)[band_count]) const {
    Ints around[band_count];
    Ints within[band_count];
    for (int band = 0; band < band_count; ++band) {
      store(static_cast<std::int16_t*>(to.values[slot][band]) + column, values[band]);
      const Ints contrast = absolute16(contrasts16(masks[band], band));
      // (4369 c + 2^11) >> 12 = c + (273 c + 2^11) >> 12, and 8738 likewise.
      around[band] = add16(contrast, multiply_rounded16(contrast, all16(273 * 8)));
      within[band] = add16(add16(contrast, contrast), multiply_rounded16(contrast, all16(546 * 8)));
    }
    Ints around_low;
    Ints around_high;
    Ints within_low;
    Ints within_high;
    sum_bands(around, around_low, around_high);
    sum_bands(within, within_low, within_high);
    within_low = subtract32(within_low, around_low);
    within_high = subtract32(within_high, around_high);
    store(to.around[slot] + column, first_in_order(around_low, around_high));
    store(to.around[slot] + column + lanes32, second_in_order(around_low, around_high));
    store(to.within[slot] + column, first_in_order(within_low, within_high));
    store(to.within[slot] + column + lanes32, second_in_order(within_low, within_high));
  }

  PYVMAF_INLINE Ints contrasts16(Ints values, int band) const {
    // The factor has 16 bits without sign: its halves have 15.
    const auto factor = static_cast<std::int32_t>(ladder_.factors.values[band]);
    const Ints by = pair_of(factor / 2, factor - factor / 2);
    const Ints low = interleave_low(values, values);
    const Ints high = interleave_high(values, values);
    if (band == diagonal_band) {
      const Ints start = all32(65535);
      return narrow_signed(signed_right32<17>(multiply_add(start, low, by)),
                           signed_right32<17>(multiply_add(start, high, by)));
    }
    const Ints start = all32(16384);
    return narrow_signed(signed_right32<15>(multiply_add(start, low, by)),
                         signed_right32<15>(multiply_add(start, high, by)));
  }

  static PYVMAF_INLINE void sum_bands(const Ints (&values)[band_count], Ints& low, Ints& high) {
    const Ints ones = all16(1);
    low = multiply_add(multiply_add(zero(), interleave_low(values[0], values[1]), ones),
                       interleave_low(values[2], zero()), ones);
    high = multiply_add(multiply_add(zero(), interleave_high(values[0], values[1]), ones),
                        interleave_high(values[2], zero()), ones);
  }

  // The same with magnitudes of contrasts for both.
  static PYVMAF_INLINE void keep32(const Kept& to, int slot, int column,
                                   const Ints (&values)[band_count],
                                   const Ints (&masks)[band_count]) {
    Ints around = zero();
    Ints within = zero();
    for (int band = 0; band < band_count; ++band) {
      store(static_cast<std::int32_t*>(to.values[slot][band]) + column, values[band]);
      around = add32(around, upper_halves(masks[band], 143165577));
      within = add32(within, upper_halves(masks[band], 286331153));
    }
    store(to.around[slot] + column, around);
    store(to.within[slot] + column, subtract32(within, around));
  }

  void add_visible(int index, int row) {
    for (int limit = 0; limit < ladder_.limit_count; ++limit) {
      Sums& sums = sums_[index * ladder_.limit_count + limit];
      add_visible(kept(index, limit, false), row, sums.detail);
      if (ladder_.additive) {
        add_visible(kept(index, limit, true), row, sums.additive);
      }
    }
  }

  struct Cube {
    Ints shift;
    Ints start;  // half, and 2^63 so that no sum is negative
  };

  // Cubes of what is visible of values; lanes that do not count are 0 and add 0.
  template <int threshold_bits, int square_bits>
  static PYVMAF_INLINE Ints visible(Ints values, Ints threshold, Ints inside, const Cube& cube) {
    const Ints excess =
        bit_and(larger32(subtract32(values, left32<threshold_bits>(threshold)), zero()), inside);
    const Ints half = all64(std::int64_t{1} << (square_bits - 1));
    const Ints other = right64<32>(excess);
    const Ints even = right64<square_bits>(add64(multiply_signed64(excess, excess), half));
    const Ints odd = right64<square_bits>(add64(multiply_signed64(other, other), half));
    return add64(right64_by(add64(multiply_signed64(even, excess), cube.start), cube.shift),
                 right64_by(add64(multiply_signed64(odd, other), cube.start), cube.shift));
  }

  __attribute__((noinline)) void add_visible(const Kept& from, int row, std::int64_t* sums) {
    const std::int32_t* above = from.around[before(row) % kept_rows];
    const std::int32_t* here = from.around[row % kept_rows];
    const std::int32_t* below = from.around[after(row, height_) % kept_rows];
    for (int column = columns_.first - 1; column <= columns_.last; column += lanes32) {
      store_unaligned(neighbours_ + column,
                      add32(add32(load_unaligned(above + column), load_unaligned(here + column)),
                            load_unaligned(below + column)));
    }
    Cube cubes[band_count];
    Powers bits[band_count];
    Ints totals[band_count];
    for (int band = 0; band < band_count; ++band) {
      bits[band] = powers(S::scale, band, width_, height_);
      cubes[band] = {all64(bits[band].cube),
                     all64(static_cast<std::int64_t>((std::uint64_t{1} << 63) +
                                                     (std::uint64_t{1} << (bits[band].cube - 1))))};
      totals[band] = zero();
    }
    std::uint64_t count = 0;
    for (int column = columns_.first; column < columns_.last; column += lanes32) {
      const Ints inside = inside_of(column);
      const Ints threshold = add32(
          add32(load_unaligned(neighbours_ + column - 1), load_unaligned(neighbours_ + column)),
          add32(load_unaligned(neighbours_ + column + 1),
                load_unaligned(from.within[row % kept_rows] + column)));
      const auto value = [&](int band) {
        const void* values = from.values[row % kept_rows][band];
        if constexpr (S::first) {
          return absolute32(
              multiply_low32(load_widened(static_cast<const std::int16_t*>(values) + column),
                             all32(static_cast<std::int32_t>(ladder_.factors.values[band]))));
        } else {
          return load_unaligned(static_cast<const std::int32_t*>(values) + column);
        }
      };
      if constexpr (S::first) {
        totals[0] = add64(totals[0], visible<10, 29>(value(0), threshold, inside, cubes[0]));
        totals[1] = add64(totals[1], visible<10, 29>(value(1), threshold, inside, cubes[1]));
        totals[2] = add64(totals[2], visible<12, 30>(value(2), threshold, inside, cubes[2]));
      } else {
        totals[0] = add64(totals[0], visible<0, 30>(value(0), threshold, inside, cubes[0]));
        totals[1] = add64(totals[1], visible<0, 30>(value(1), threshold, inside, cubes[1]));
        totals[2] = add64(totals[2], visible<0, 30>(value(2), threshold, inside, cubes[2]));
      }
      count += lanes32;
    }
    for (int band = 0; band < band_count; ++band) {
      const std::uint64_t added = count << (63 - bits[band].cube);
      sums[band] +=
          rounded(static_cast<std::int64_t>(sum64(totals[band]) - added), bits[band].line);
    }
  }

  const Ladder& ladder_;
  const int width_;  // of bands
  const int height_;
  const Span columns_;  // that count
  const Span rows_;
  const int first_;  // columns of details, from a whole vector on
  const int last_;
  const Span decoupled_rows_;
  const ReferencePowers reference_bits_;
  Kept* const kept_;
  Sums* const sums_;
  Coefficient* low_;
  Coefficient* high_;
  Coefficient* reference_[band_count];
  Coefficient* distorted_[band_count];
  std::int32_t* inverse_[band_count];
  std::int32_t* shift_[band_count];
  float* magnitude_;
  std::int32_t* neighbours_;
};

void measure(const Ladder& ladder, void* memory, ReferenceSums& reference, Sums* sums) {
  switch (ladder.scale == 0 ? ladder.bits : ladder.scale) {
    case 8:
      return Pass<Shape<std::uint8_t, 0, 8>>(ladder, memory, sums).run(reference);
    case 10:
      return Pass<Shape<std::uint16_t, 0, 10>>(ladder, memory, sums).run(reference);
    case 12:
      return Pass<Shape<std::uint16_t, 0, 12>>(ladder, memory, sums).run(reference);
    case 1:
      return Pass<Shape<std::int16_t, 1, 0>>(ladder, memory, sums).run(reference);
    case 2:
      return Pass<Shape<std::int32_t, 2, 0>>(ladder, memory, sums).run(reference);
    default:
      return Pass<Shape<std::int32_t, 3, 0>>(ladder, memory, sums).run(reference);
  }
}

}  // namespace
}  // namespace pyvmaf::kernels::adm
