#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "cuda/kernels/block.hpp"
#include "kernels/adm_arithmetic.hpp"

// ADM for devices; arithmetic is that of kernels/adm_arithmetic.hpp.

namespace pyvmaf::kernels::cuda::adm {

using namespace kernels::adm;

// Coefficients of scale 0 have 16 bits.
template <int scale>
using Coefficient = std::conditional_t<scale == 0, std::int16_t, std::int32_t>;

// Bands of the pictures of a ladder: those of a picture follow each other.
template <int scale>
struct Bands {
  Coefficient<scale>* values;
  std::ptrdiff_t picture_distance;  // in coefficients
  std::ptrdiff_t band_distance;
  std::ptrdiff_t pitch;
  int width;
  int height;

  PYVMAF_ANYWHERE Coefficient<scale>& at(int picture, int band, int row, int column) const {
    return values[picture * picture_distance + band * band_distance + row * pitch + column];
  }
};

struct Taps {
  std::int32_t low[tap_count];
  std::int32_t high[tap_count];
};

PYVMAF_ANYWHERE constexpr Taps wavelet() {
  constexpr Taps made{{low_pass[0], low_pass[1], low_pass[2], low_pass[3]},
                      {high_pass[0], high_pass[1], high_pass[2], high_pass[3]}};
  return made;
}

// Divides pictures into an approximation and three bands.
template <typename Sample, int scale>
struct Divide {
  static constexpr int threads = 256;
  static constexpr int columns = 128;  // of the source
  static constexpr int rows = 8;       // of a tile of the bands
  static constexpr int strip = 4;
  static constexpr int tile = (columns - 2) / 2;
  static constexpr int turns = parts_of(tile * rows, threads);
  static_assert(threads / columns * strip == rows);
  // Sums of scale 0 and the vertical ones of scale 1 fit into 32 bits.
  using Vertical = std::conditional_t<scale <= 1, std::int32_t, std::int64_t>;
  using Horizontal = std::conditional_t<scale == 0, std::int32_t, std::int64_t>;
  using Approximation = std::conditional_t<scale == 0, std::int16_t, std::int32_t>;

  struct Arguments {
    const void* samples;
    std::ptrdiff_t distance;  // from picture to picture, in samples
    std::ptrdiff_t pitch;
    int width;
    int height;
    int bits;
    Approximation* approximations;  // null at the last scale
    std::ptrdiff_t approximation_distance;
    std::ptrdiff_t approximation_pitch;
    Bands<scale> bands;
  };

  struct Shared {
    std::int32_t low[rows][columns];
    std::int32_t high[rows][columns];
  };

  using State = Nothing;

  PYVMAF_ANYWHERE static int blocks(int axis, int width, int height) {
    return axis == 0 ? parts_of(half_of(width), tile) : parts_of(half_of(height), rows);
  }

  template <typename Block>
  PYVMAF_ANYWHERE static void run(Block& block, const Arguments& a, Shared& shared) {
    const int left = block.index(0) * tile;
    const int top = block.index(1) * rows;
    const int picture = block.index(2);
    block.each([&](int thread, State&) { filter_columns(a, shared, thread, left, top, picture); });
    block.each([&](int thread, State&) {
      for (int turn = 0; turn < turns; ++turn) {
        filter_row(a, shared, turn * threads + thread, left, top, picture);
      }
    });
  }

 private:
  PYVMAF_ANYWHERE static void filter_columns(const Arguments& a, Shared& shared, int thread,
                                             int left, int top, int picture) {
    constexpr Taps taps = wavelet();
    const int column = thread % columns;
    const int first = thread / columns * strip;
    const int source = 2 * left - 1 + column;
    // Beyond what the last coefficient reads there is nothing to reflect.
    if (source > a.width + 1) {
      return;
    }
    const Sample* samples = static_cast<const Sample*>(a.samples) + picture * a.distance +
                            source_index(source, a.width);
    Vertical low[strip] = {};
    Vertical high[strip] = {};
    PYVMAF_UNROLL
    for (int i = 0; i < 2 * strip + 2; ++i) {
      const int row = 2 * (top + first) - 1 + i;
      if (row <= a.height + 1) {
        const Vertical value = samples[source_index(row, a.height) * a.pitch];
        PYVMAF_UNROLL
        for (int line = 0; line < strip; ++line) {
          if (i - 2 * line >= 0 && i - 2 * line < tap_count) {
            low[line] += taps.low[i - 2 * line] * value;
            high[line] += taps.high[i - 2 * line] * value;
          }
        }
      }
    }
    const Rounding shifts = rounding(scale, a.bits);
    PYVMAF_UNROLL
    for (int line = 0; line < strip; ++line) {
      shared.low[first + line][column] = static_cast<std::int32_t>(
          rounded(std::int64_t{low[line]} - grey(scale, a.bits), shifts.vertical));
      shared.high[first + line][column] =
          static_cast<std::int32_t>(rounded(high[line], shifts.vertical));
    }
  }

  PYVMAF_ANYWHERE static std::int32_t filtered(const std::int32_t (&taps)[tap_count],
                                               const std::int32_t* line, int bits) {
    Horizontal sum = 0;
    PYVMAF_UNROLL
    for (int i = 0; i < tap_count; ++i) {
      sum += Horizontal{taps[i]} * line[i];
    }
    return static_cast<std::int32_t>(rounded(sum, rounding(scale, bits).horizontal));
  }

  PYVMAF_ANYWHERE static void filter_row(const Arguments& a, const Shared& shared, int item,
                                         int left, int top, int picture) {
    constexpr Taps taps = wavelet();
    const int line = item / tile;
    const int column = item % tile;
    if (line >= rows || top + line >= a.bands.height || left + column >= a.bands.width) {
      return;
    }
    const std::int32_t* low = &shared.low[line][2 * column];
    const std::int32_t* high = &shared.high[line][2 * column];
    if (a.approximations != nullptr) {
      a.approximations[picture * a.approximation_distance + (top + line) * a.approximation_pitch +
                       left + column] = static_cast<Approximation>(filtered(taps.low, low, a.bits));
    }
    const auto put = [&](int band, std::int32_t value) {
      a.bands.at(picture, band, top + line, left + column) = static_cast<Coefficient<scale>>(value);
    };
    put(vertical_band, filtered(taps.high, low, a.bits));
    put(horizontal_band, filtered(taps.low, high, a.bits));
    put(diagonal_band, filtered(taps.high, high, a.bits));
  }
};

// Sums of lines: three of the reference's bands; and of each distorted version, of each limit of
// the gain, of details and of additive impairments, three. Sums of lines that follow each other
// belong to one of these.
PYVMAF_ANYWHERE constexpr int line_sets(int versions, int limits) {
  return band_count * (1 + 2 * versions * limits);
}
PYVMAF_ANYWHERE constexpr int line_set(int version, int limit, int limits, bool additive) {
  return band_count * (1 + 2 * (version * limits + limit) + (additive ? 1 : 0));
}

// Adds cubes of the reference's coefficients to the sums of their lines.
template <int scale>
struct ReferenceCubes {
  static constexpr int threads = 256;

  struct Arguments {
    Bands<scale> bands;
    Span columns;
    Span rows;
    ReferencePowers bits;
    std::int64_t* lines;
  };

  using Shared = Nothing;
  using State = Nothing;

  template <typename Block>
  PYVMAF_ANYWHERE static void run(Block& block, const Arguments& a, Shared&) {
    const int row = a.rows.first + block.index(1);
    block.each([&](int thread, State&) {
      const int column = a.columns.first + block.index(0) * threads + thread;
      for (int band = 0; band < band_count; ++band) {
        const std::int64_t cube = column < a.columns.last
                                      ? static_cast<std::int64_t>(reference_cube(
                                            scale, a.bands.at(0, band, row, column), a.bits))
                                      : 0;
        block.add(thread, &a.lines[band * a.bands.height + row], cube);
      }
    });
  }
};

// Decouples the bands of distorted versions from those of the reference, and adds the cubes of what
// is visible to the sums of their lines.
template <int scale>
struct Visible {
  static constexpr int threads = 256;
  static constexpr int columns = 64;  // of a tile with its neighbours
  static constexpr int rows = 16;
  static constexpr int turns = columns * rows / threads;
  static constexpr int tile_width = columns - 2;
  static constexpr int tile_height = rows - 2;

  struct Arguments {
    Bands<scale> bands;
    Factors factors;
    Powers bits[band_count];
    double gain_limits[2];
    int limit_count;
    bool additive;
    std::int64_t* lines;
  };

  struct Shared {
    // What contrasts of all bands add to their neighbours, as additive impairments mask details and
    // the reverse.
    std::uint32_t around[2][rows][columns];
  };

  // Of the coefficients of a thread.
  struct State {
    std::int32_t part[turns][band_count];  // restored without enhancement
    std::int32_t distorted[turns][band_count];
    std::uint32_t within[turns][2];
    bool aligned[turns];
  };

  PYVMAF_ANYWHERE static int blocks(int axis, int width, int height) {
    const Span span = counted(axis == 0 ? width : height);
    return parts_of(span.last - span.first, axis == 0 ? tile_width : tile_height);
  }

  template <typename Block>
  PYVMAF_ANYWHERE static void run(Block& block, const Arguments& a, Shared& shared) {
    const int version = block.index(2);
    // Of the first coefficient of the tile, a neighbour.
    const int left = counted(a.bands.width).first + block.index(0) * tile_width - 1;
    const int top = counted(a.bands.height).first + block.index(1) * tile_height - 1;
    block.each([&](int thread, State& state) {
      PYVMAF_UNROLL
      for (int turn = 0; turn < turns; ++turn) {
        const Place place(turn * threads + thread, left, top);
        if (place.within(decoupled(a.bands.width), decoupled(a.bands.height))) {
          decouple(a, place, version, state, turn);
        }
      }
    });
    for (int limit = 0; limit < a.limit_count; ++limit) {
      const double gain_limit = a.gain_limits[limit];
      block.each([&](int thread, State& state) {
        PYVMAF_UNROLL
        for (int turn = 0; turn < turns; ++turn) {
          const Place place(turn * threads + thread, left, top);
          if (place.within(decoupled(a.bands.width), decoupled(a.bands.height))) {
            mask(a, shared, place, gain_limit, state, turn);
          }
        }
      });
      block.each([&](int thread, State& state) {
        PYVMAF_UNROLL
        for (int turn = 0; turn < turns; ++turn) {
          const Place place(turn * threads + thread, left, top);
          add_cubes(block, a, shared, place, thread, version, limit, state, turn);
        }
      });
    }
  }

 private:
  // A coefficient in its tile and in its band.
  struct Place {
    int line;
    int column_of_tile;
    int row;
    int column;

    PYVMAF_ANYWHERE Place(int item, int left, int top)
        : line(item / columns),
          column_of_tile(item % columns),
          row(top + line),
          column(left + column_of_tile) {}

    PYVMAF_ANYWHERE bool within(Span horizontally, Span vertically) const {
      return column >= horizontally.first && column < horizontally.last &&
             row >= vertically.first && row < vertically.last;
    }
    // Whether it is not only a neighbour of the tile's own.
    PYVMAF_ANYWHERE bool own() const {
      return line > 0 && line <= tile_height && column_of_tile > 0 && column_of_tile <= tile_width;
    }
  };

  PYVMAF_ANYWHERE static void decouple(const Arguments& a, const Place& place, int version,
                                       State& state, int turn) {
    std::int32_t reference[band_count];
    PYVMAF_UNROLL
    for (int band = 0; band < band_count; ++band) {
      reference[band] = a.bands.at(0, band, place.row, place.column);
      state.distorted[turn][band] = a.bands.at(version + 1, band, place.row, place.column);
      state.part[turn][band] = restored(reference[band], state.distorted[turn][band]);
    }
    state.aligned[turn] =
        aligned(reference[horizontal_band], reference[vertical_band],
                state.distorted[turn][horizontal_band], state.distorted[turn][vertical_band]);
  }

  PYVMAF_ANYWHERE static std::int32_t restored_part(const State& state, int turn, int band,
                                                    double gain_limit) {
    const std::int32_t part = state.part[turn][band];
    return state.aligned[turn] ? enhanced(part, state.distorted[turn][band], gain_limit) : part;
  }

  PYVMAF_ANYWHERE static void mask(const Arguments& a, Shared& shared, const Place& place,
                                   double gain_limit, State& state, int turn) {
    std::uint32_t around[2] = {0, 0};
    std::uint32_t within[2] = {0, 0};
    PYVMAF_UNROLL
    for (int band = 0; band < band_count; ++band) {
      const std::int32_t detail = restored_part(state, turn, band, gain_limit);
      const std::int32_t rest = state.distorted[turn][band] - detail;
      PYVMAF_UNROLL
      for (int kind = 0; kind < 2; ++kind) {
        const std::int32_t value =
            contrast(scale, band, kind == 0 ? rest : detail, a.factors.values[band]);
        around[kind] += static_cast<std::uint32_t>(masking_around(scale, value));
        within[kind] += static_cast<std::uint32_t>(masking_within(scale, value));
      }
    }
    PYVMAF_UNROLL
    for (int kind = 0; kind < 2; ++kind) {
      shared.around[kind][place.line][place.column_of_tile] = around[kind];
      state.within[turn][kind] = within[kind];
    }
  }

  PYVMAF_ANYWHERE static std::uint32_t threshold(const Arguments& a, const Shared& shared,
                                                 const Place& place, int kind,
                                                 std::uint32_t within) {
    const int lines[3] = {place.line + before(place.row) - place.row, place.line,
                          place.line + after(place.row, a.bands.height) - place.row};
    const int columns_of_tile[3] = {
        place.column_of_tile + before(place.column) - place.column, place.column_of_tile,
        place.column_of_tile + after(place.column, a.bands.width) - place.column};
    std::uint32_t sum = within - shared.around[kind][place.line][place.column_of_tile];
    PYVMAF_UNROLL
    for (int y = 0; y < 3; ++y) {
      PYVMAF_UNROLL
      for (int x = 0; x < 3; ++x) {
        sum += shared.around[kind][lines[y]][columns_of_tile[x]];
      }
    }
    return sum;
  }

  template <typename Block>
  PYVMAF_ANYWHERE static void add_cubes(Block& block, const Arguments& a, const Shared& shared,
                                        const Place& place, int thread, int version, int limit,
                                        const State& state, int turn) {
    const bool counts =
        place.own() && place.within(counted(a.bands.width), counted(a.bands.height));
    for (int kind = 0; kind < (a.additive ? 2 : 1); ++kind) {
      std::uint32_t least = 0;
      if (counts) {
        least = threshold(a, shared, place, kind,
                          kind == 0 ? state.within[turn][0] : state.within[turn][1]);
      }
      std::int64_t* lines =
          a.lines + line_set(version, limit, a.limit_count, kind == 1) * a.bands.height;
      PYVMAF_UNROLL
      for (int band = 0; band < band_count; ++band) {
        std::int64_t cube = 0;
        if (counts) {
          const std::int32_t detail = restored_part(state, turn, band, a.gain_limits[limit]);
          const std::int32_t value = kind == 0 ? detail : state.distorted[turn][band] - detail;
          cube = visible_cube(weighted(scale, value, a.factors.values[band]), least, a.bits[band]);
        }
        block.add(thread, &lines[band * a.bands.height + place.row], cube);
      }
    }
  }
};

// Adds the rounded sums of lines.
struct Lines {
  static constexpr int threads = 256;

  struct Arguments {
    const std::int64_t* lines;
    int height;
    int reference_bits;
    int bits[band_count];
    std::int64_t* sums;
  };

  using Shared = Nothing;
  using State = Nothing;

  template <typename Block>
  PYVMAF_ANYWHERE static void run(Block& block, const Arguments& a, Shared&) {
    const int set = block.index(0);
    block.each([&](int thread, State&) {
      const int bits = set < band_count ? a.reference_bits : a.bits[set % band_count];
      std::int64_t sum = 0;
      for (int row = thread; row < a.height; row += threads) {
        sum += rounded(a.lines[std::ptrdiff_t{set} * a.height + row], bits);
      }
      block.add(thread, &a.sums[set], sum);
    });
  }
};

}  // namespace pyvmaf::kernels::cuda::adm
