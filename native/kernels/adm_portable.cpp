// ADM in plain C++: the definition that the other implementations reproduce to the last bit.
#include <initializer_list>

#include "kernels/adm_kernels.hpp"

namespace pyvmaf::kernels::adm {

namespace {

// Planes of one size, one after another in the scratch memory.
enum Plane {
  reference_bands,
  distorted_bands = reference_bands + band_count,
  restored_bands = distorted_bands + band_count,
  additive_bands = restored_bands + band_count,
  around = additive_bands + band_count,  // what contrasts of all bands add to their neighbours
  within,                                // and to themselves
  plane_count
};

class Scratch {
 public:
  Scratch(void* memory, int width, int height)
      : planes_(static_cast<std::int32_t*>(memory)),
        lines_(planes_ + plane_count * area(half_of(width), half_of(height))),
        width_(half_of(width)),
        area_(area(width_, half_of(height))),
        source_width_(width) {}

  static std::ptrdiff_t area(int width, int height) { return std::ptrdiff_t{width} * height; }

  [[nodiscard]] std::int32_t* row(int plane, int index) const {
    return planes_ + plane * area_ + std::ptrdiff_t{index} * width_;
  }
  [[nodiscard]] std::int32_t* low() const { return lines_; }
  [[nodiscard]] std::int32_t* high() const { return lines_ + source_width_; }

 private:
  std::int32_t* planes_;
  std::int32_t* lines_;
  int width_;
  std::ptrdiff_t area_;
  int source_width_;
};

std::size_t scratch_size(int width, int height, int /*count*/, int /*limit_count*/) {
  return sizeof(std::int32_t) *
         static_cast<std::size_t>(plane_count * Scratch::area(half_of(width), half_of(height)) +
                                  2 * width);
}

template <typename Value>
std::int64_t filtered(const std::int32_t (&taps)[tap_count], Value value) {
  std::int64_t sum = 0;
  for (int i = 0; i < tap_count; ++i) {
    sum += std::int64_t{taps[i]} * value(i);
  }
  return sum;
}

// Divides a picture: bands go to the scratch memory, the approximation to a picture of its own.
template <typename Sample, typename Target>
void divide(const Ladder& ladder, const Lines& picture, void* approximation, int bands,
            const Scratch& scratch) {
  const Rounding shifts = rounding(ladder.scale, ladder.bits);
  for (int row = 0; row < half_of(ladder.height); ++row) {
    const Sample* rows[tap_count];
    for (int i = 0; i < tap_count; ++i) {
      rows[i] = picture.at<Sample>(source_index(2 * row - 1 + i, ladder.height));
    }
    for (int column = 0; column < ladder.width; ++column) {
      const auto above = [&](int i) { return rows[i][column]; };
      scratch.low()[column] = static_cast<std::int32_t>(
          rounded(filtered(low_pass, above) - grey(ladder.scale, ladder.bits), shifts.vertical));
      scratch.high()[column] =
          static_cast<std::int32_t>(rounded(filtered(high_pass, above), shifts.vertical));
    }
    for (int column = 0; column < half_of(ladder.width); ++column) {
      const auto output = [&](const std::int32_t (&taps)[tap_count], const std::int32_t* line) {
        const auto beside = [&](int i) {
          return line[source_index(2 * column - 1 + i, ladder.width)];
        };
        return static_cast<std::int32_t>(rounded(filtered(taps, beside), shifts.horizontal));
      };
      if (approximation != nullptr) {
        static_cast<Target*>(approximation)[row * ladder.approximation_pitch + column] =
            static_cast<Target>(output(low_pass, scratch.low()));
      }
      scratch.row(bands + vertical_band, row)[column] = output(high_pass, scratch.low());
      scratch.row(bands + horizontal_band, row)[column] = output(low_pass, scratch.high());
      scratch.row(bands + diagonal_band, row)[column] = output(high_pass, scratch.high());
    }
  }
}

void divide(const Ladder& ladder, int index, int bands, const Scratch& scratch) {
  const Lines& picture = ladder.pictures[index];
  void* approximation = ladder.approximations == nullptr ? nullptr : ladder.approximations[index];
  if (ladder.scale == 0 && ladder.bits == 8) {
    divide<std::uint8_t, std::int16_t>(ladder, picture, approximation, bands, scratch);
  } else if (ladder.scale == 0) {
    divide<std::uint16_t, std::int16_t>(ladder, picture, approximation, bands, scratch);
  } else if (ladder.scale == 1) {
    divide<std::int16_t, std::int32_t>(ladder, picture, approximation, bands, scratch);
  } else {
    divide<std::int32_t, std::int32_t>(ladder, picture, approximation, bands, scratch);
  }
}

void add_reference(const Ladder& ladder, const Scratch& scratch, ReferenceSums& sums) {
  const Span columns = counted(half_of(ladder.width));
  const Span rows = counted(half_of(ladder.height));
  const ReferencePowers bits = reference_powers(ladder.scale, columns, rows);
  for (int band = 0; band < band_count; ++band) {
    for (int row = rows.first; row < rows.last; ++row) {
      std::uint64_t sum = 0;
      for (int column = columns.first; column < columns.last; ++column) {
        sum += reference_cube(ladder.scale, scratch.row(reference_bands + band, row)[column], bits);
      }
      sums.cubes[band] += rounded_line(sum, bits.line);
    }
  }
}

void decouple(const Ladder& ladder, double gain_limit, const Scratch& scratch) {
  const Span columns = decoupled(half_of(ladder.width));
  const Span rows = decoupled(half_of(ladder.height));
  for (int row = rows.first; row < rows.last; ++row) {
    for (int column = columns.first; column < columns.last; ++column) {
      const auto value = [&](int plane) { return scratch.row(plane, row)[column]; };
      const bool same =
          aligned(value(reference_bands + horizontal_band), value(reference_bands + vertical_band),
                  value(distorted_bands + horizontal_band), value(distorted_bands + vertical_band));
      for (int band = 0; band < band_count; ++band) {
        const std::int32_t distorted = value(distorted_bands + band);
        std::int32_t part = restored(value(reference_bands + band), distorted);
        part = same ? enhanced(part, distorted, gain_limit) : part;
        scratch.row(restored_bands + band, row)[column] = part;
        scratch.row(additive_bands + band, row)[column] = distorted - part;
      }
    }
  }
}

// Adds the cubes of what is visible of `bands` beside the contrasts of `masks`.
void add_visible(const Ladder& ladder, int bands, int masks, const Scratch& scratch,
                 std::int64_t* sums) {
  const int width = half_of(ladder.width);
  const int height = half_of(ladder.height);
  const Span masked_columns = decoupled(width);
  const Span masked_rows = decoupled(height);
  for (int row = masked_rows.first; row < masked_rows.last; ++row) {
    for (int column = masked_columns.first; column < masked_columns.last; ++column) {
      std::uint32_t neighbours = 0;
      std::uint32_t own = 0;
      for (int band = 0; band < band_count; ++band) {
        const std::int32_t value =
            contrast(ladder.scale, band, scratch.row(masks + band, row)[column],
                     ladder.factors.values[band]);
        neighbours += static_cast<std::uint32_t>(masking_around(ladder.scale, value));
        own += static_cast<std::uint32_t>(masking_within(ladder.scale, value));
      }
      scratch.row(around, row)[column] = static_cast<std::int32_t>(neighbours);
      scratch.row(within, row)[column] = static_cast<std::int32_t>(own);
    }
  }
  const Span columns = counted(width);
  const Span rows = counted(height);
  for (int row = rows.first; row < rows.last; ++row) {
    std::int64_t line[band_count] = {0, 0, 0};
    for (int column = columns.first; column < columns.last; ++column) {
      std::uint32_t threshold = static_cast<std::uint32_t>(scratch.row(within, row)[column]) -
                                static_cast<std::uint32_t>(scratch.row(around, row)[column]);
      for (const int y : {before(row), row, after(row, height)}) {
        for (const int x : {before(column), column, after(column, width)}) {
          threshold += static_cast<std::uint32_t>(scratch.row(around, y)[x]);
        }
      }
      for (int band = 0; band < band_count; ++band) {
        const std::int32_t value = weighted(ladder.scale, scratch.row(bands + band, row)[column],
                                            ladder.factors.values[band]);
        line[band] += visible_cube(value, threshold, powers(ladder.scale, band, width, height));
      }
    }
    for (int band = 0; band < band_count; ++band) {
      sums[band] += rounded(line[band], powers(ladder.scale, band, width, height).line);
    }
  }
}

void measure(const Ladder& ladder, void* memory, ReferenceSums& reference, Sums* sums) {
  const Scratch scratch(memory, ladder.width, ladder.height);
  divide(ladder, 0, reference_bands, scratch);
  add_reference(ladder, scratch, reference);
  for (int i = 0; i < ladder.count; ++i) {
    divide(ladder, i + 1, distorted_bands, scratch);
    for (int limit = 0; limit < ladder.limit_count; ++limit) {
      Sums& own = sums[i * ladder.limit_count + limit];
      decouple(ladder, ladder.gain_limits[limit], scratch);
      add_visible(ladder, restored_bands, additive_bands, scratch, own.detail);
      if (ladder.additive) {
        add_visible(ladder, additive_bands, restored_bands, scratch, own.additive);
      }
    }
  }
}

}  // namespace

const Kernels& portable() {
  static constexpr Kernels kernels{"portable", scratch_size, measure};
  return kernels;
}

}  // namespace pyvmaf::kernels::adm
