#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "cuda/kernels/block.hpp"
#include "kernels/vif_arithmetic.hpp"

// VIF for devices; arithmetic is that of kernels/vif_arithmetic.hpp.

namespace pyvmaf::kernels::cuda::vif {

using namespace kernels::vif;

// Pictures of a ladder, one after another in memory: the reference, then the distorted versions.
struct Pictures {
  const void* samples;
  std::ptrdiff_t distance;  // in samples, from picture to picture
  std::ptrdiff_t pitch;     // in samples, from line to line
  int width;
  int height;
};

template <int scale>
struct Window {
  static constexpr int count = tap_counts[scale];
  static constexpr int reach = count / 2;
  std::uint32_t values[std::size_t{count}];
};

template <int scale>
PYVMAF_ANYWHERE constexpr Window<scale> window() {
  constexpr auto made = [] {
    Window<scale> result{};
    for (int i = 0; i < Window<scale>::count; ++i) {
      result.values[i] = taps[scale][i];
    }
    return result;
  }();
  return made;
}

// Columns of the vertical pass; the horizontal pass leaves the outer ones out.
inline constexpr int columns = 128;

// Sums of each distorted version and of the reference in a picture's tiles, and the steps:
// the reference's vertical and horizontal pass, then both of each distorted version.
template <typename Sample, int scale>
struct Statistics {
  static constexpr int threads = 256;
  static constexpr int rows = 16;  // of a tile
  static constexpr int strip = 8;  // lines that a thread filters together
  static constexpr int reach = Window<scale>::reach;
  static constexpr int tile = (columns - 2 * reach) / 4 * 4;
  static constexpr int quads = tile / 4;  // of a line
  static constexpr int turns = parts_of(quads * rows, threads);
  // Sums of products of two samples of 8 bits fit into 32 bits.
  using Product = std::conditional_t<sizeof(Sample) == 1, std::uint32_t, std::uint64_t>;

  struct Arguments {
    Pictures pictures;
    int bits;
    int count;  // distorted versions
    double gain_limits[2];
    int limit_count;
    const std::uint16_t* logarithms;
    Sums* sums;  // of the reference, then of the distorted versions
  };

  struct Shared {
    Quad mean1[rows][columns / 4];
    Quad product11[rows][columns / 4];
    Quad mean2[rows][columns / 4];
    Quad product22[rows][columns / 4];
    Quad product12[rows][columns / 4];
  };

  // Of the reference at the samples of a thread.
  struct State {
    std::uint32_t mean1[std::size_t{turns}][4];
    std::int32_t energy1[std::size_t{turns}][4];
  };

  PYVMAF_ANYWHERE static int blocks(int axis, int width, int height) {
    return axis == 0 ? parts_of(width, tile) : parts_of(height, rows);
  }

  template <typename Block>
  PYVMAF_ANYWHERE static void run(Block& block, const Arguments& a, Shared& shared) {
    const int left = block.index(0) * tile;
    const int top = block.index(1) * rows;
    block.each([&](int thread, State&) { filter_reference(a, shared, thread, left, top); });
    block.each([&](int thread, State& state) {
      Sums sums;
      PYVMAF_UNROLL
      for (int turn = 0; turn < turns; ++turn) {
        energies_of_reference(a, shared, turn * threads + thread, left, top, state.mean1[turn],
                              state.energy1[turn], sums);
      }
      block.add(thread, &a.sums[0].denominator, sums.denominator);
      block.add(thread, &a.sums[0].flat_count, sums.flat_count);
    });
    for (int version = 1; version <= a.count; ++version) {
      block.each(
          [&](int thread, State&) { filter_version(a, shared, thread, left, top, version); });
      block.each([&](int thread, State& state) {
        Sums sums;
        PYVMAF_UNROLL
        for (int turn = 0; turn < turns; ++turn) {
          add_version(a, shared, turn * threads + thread, left, top, state.mean1[turn],
                      state.energy1[turn], sums);
        }
        Sums& target = a.sums[version];
        block.add(thread, &target.flat_energy, sums.flat_energy);
        block.add(thread, &target.numerator[0], sums.numerator[0]);
        if (a.limit_count > 1) {
          block.add(thread, &target.numerator[1], sums.numerator[1]);
        }
      });
    }
  }

 private:
  // The column of a tile and the first line of the strip that a thread filters.
  PYVMAF_ANYWHERE static int column_of(int thread) { return thread % columns; }
  PYVMAF_ANYWHERE static int strip_of(int thread) { return thread / columns * strip; }
  static_assert(threads / columns * strip == rows);

  PYVMAF_ANYWHERE static const Sample* column_of_picture(const Arguments& a, int index,
                                                         int column) {
    return static_cast<const Sample*>(a.pictures.samples) + index * a.pictures.distance +
           kernels::reflected(column, a.pictures.width);
  }

  PYVMAF_ANYWHERE static std::uint32_t sample(const Arguments& a, const Sample* column, int row) {
    return column[kernels::reflected(row, a.pictures.height) * a.pictures.pitch];
  }

  PYVMAF_ANYWHERE static void filter_reference(const Arguments& a, Shared& shared, int thread,
                                               int left, int top) {
    constexpr Window<scale> weights = window<scale>();
    const int column = column_of(thread);
    const int first = strip_of(thread);
    const Sample* samples = column_of_picture(a, 0, left - reach + column);
    std::uint32_t mean[strip] = {};
    Product product[strip] = {};
    PYVMAF_UNROLL
    for (int i = 0; i < strip + 2 * reach; ++i) {
      const std::uint32_t value = sample(a, samples, top + first - reach + i);
      const std::uint32_t square = value * value;
      PYVMAF_UNROLL
      for (int line = 0; line < strip; ++line) {
        if (i - line >= 0 && i - line < weights.count) {
          mean[line] += weights.values[i - line] * value;
          product[line] += Product{weights.values[i - line]} * square;
        }
      }
    }
    const Rounding shifts = rounding(scale, a.bits);
    PYVMAF_UNROLL
    for (int line = 0; line < strip; ++line) {
      put(shared.mean1, first + line, column, rounded(mean[line], shifts.mean_shift));
      put(shared.product11, first + line, column, rounded(product[line], shifts.product_shift));
    }
  }

  PYVMAF_ANYWHERE static void filter_version(const Arguments& a, Shared& shared, int thread,
                                             int left, int top, int version) {
    constexpr Window<scale> weights = window<scale>();
    const int column = column_of(thread);
    const int first = strip_of(thread);
    const Sample* reference = column_of_picture(a, 0, left - reach + column);
    const Sample* distorted = column_of_picture(a, version, left - reach + column);
    std::uint32_t mean[strip] = {};
    Product product22[strip] = {};
    Product product12[strip] = {};
    PYVMAF_UNROLL
    for (int i = 0; i < strip + 2 * reach; ++i) {
      const std::uint32_t value1 = sample(a, reference, top + first - reach + i);
      const std::uint32_t value2 = sample(a, distorted, top + first - reach + i);
      PYVMAF_UNROLL
      for (int line = 0; line < strip; ++line) {
        if (i - line >= 0 && i - line < weights.count) {
          mean[line] += weights.values[i - line] * value2;
          product22[line] += Product{weights.values[i - line]} * (value2 * value2);
          product12[line] += Product{weights.values[i - line]} * (value1 * value2);
        }
      }
    }
    const Rounding shifts = rounding(scale, a.bits);
    PYVMAF_UNROLL
    for (int line = 0; line < strip; ++line) {
      put(shared.mean2, first + line, column, rounded(mean[line], shifts.mean_shift));
      put(shared.product22, first + line, column, rounded(product22[line], shifts.product_shift));
      put(shared.product12, first + line, column, rounded(product12[line], shifts.product_shift));
    }
  }

  PYVMAF_ANYWHERE static void put(Quad (&plane)[rows][columns / 4], int line, int column,
                                  std::uint64_t value) {
    plane[line][column / 4].values[column % 4] = static_cast<std::uint32_t>(value);
  }

  // Horizontal sums at four neighbours. `Sum` is of 32 bits for means, which have no more.
  template <typename Sum>
  PYVMAF_ANYWHERE static void filter_quad(const Quad (&plane)[rows][columns / 4], int line,
                                          int quad, Sum (&sums)[4]) {
    constexpr Window<scale> weights = window<scale>();
    constexpr int loads = parts_of(4 + 2 * reach, 4);
    std::uint32_t values[std::size_t{4 * loads}];
    PYVMAF_UNROLL
    for (int i = 0; i < loads; ++i) {
      const Quad loaded = plane[line][quad + i];
      PYVMAF_UNROLL
      for (int j = 0; j < 4; ++j) {
        values[4 * i + j] = loaded.values[j];
      }
    }
    PYVMAF_UNROLL
    for (int i = 0; i < 4; ++i) {
      sums[i] = 0;
      PYVMAF_UNROLL
      for (int j = 0; j < weights.count; ++j) {
        sums[i] += Sum{weights.values[j]} * values[i + j];
      }
    }
  }

  PYVMAF_ANYWHERE static std::int32_t energy(std::uint64_t sum, std::uint32_t a, std::uint32_t b) {
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(rounded(sum, 16)) -
                                     mean_product(a, b));
  }

  PYVMAF_ANYWHERE static void energies_of_reference(const Arguments& a, const Shared& shared,
                                                    int item, int left, int top,
                                                    std::uint32_t (&mean1)[4],
                                                    std::int32_t (&energy1)[4], Sums& sums) {
    const int line = item / quads;
    const int quad = item % quads;
    if (line >= rows || top + line >= a.pictures.height) {
      return;
    }
    std::uint64_t product[4];
    filter_quad(shared.mean1, line, quad, mean1);
    filter_quad(shared.product11, line, quad, product);
    PYVMAF_UNROLL
    for (int i = 0; i < 4; ++i) {
      energy1[i] = energy(product[i], mean1[i], mean1[i]);
      if (left + 4 * quad + i < a.pictures.width) {
        add_reference(a.logarithms, energy1[i], sums);
      }
    }
  }

  PYVMAF_ANYWHERE static void add_version(const Arguments& a, const Shared& shared, int item,
                                          int left, int top, const std::uint32_t (&mean1)[4],
                                          const std::int32_t (&energy1)[4], Sums& sums) {
    const int line = item / quads;
    const int quad = item % quads;
    if (line >= rows || top + line >= a.pictures.height) {
      return;
    }
    std::uint32_t mean2[4];
    std::uint64_t product22[4];
    std::uint64_t product12[4];
    filter_quad(shared.mean2, line, quad, mean2);
    filter_quad(shared.product22, line, quad, product22);
    filter_quad(shared.product12, line, quad, product12);
    PYVMAF_UNROLL
    for (int i = 0; i < 4; ++i) {
      if (left + 4 * quad + i < a.pictures.width) {
        add_distorted(a.logarithms, energy1[i], energy(product22[i], mean2[i], mean2[i]),
                      energy(product12[i], mean1[i], mean2[i]), a.gain_limits, a.limit_count, sums);
      }
    }
  }
};

// Writes the pictures of the next scale, of half the size: filtered, then every second sample.
// `scale` is that of the source.
template <typename Sample, int scale>
struct Decimate {
  static constexpr int threads = 256;
  static constexpr int rows = 8;  // of a tile of the target
  static constexpr int strip = 4;
  static constexpr int reach = Window<scale + 1>::reach;
  static constexpr int tile = columns / 2 - reach;
  static constexpr int turns = parts_of(tile * rows, threads);

  struct Arguments {
    Pictures pictures;
    int bits;
    std::uint16_t* target;
    std::ptrdiff_t target_distance;
    std::ptrdiff_t target_pitch;
  };

  struct Shared {
    std::uint32_t means[rows][columns];
  };

  using State = Nothing;

  PYVMAF_ANYWHERE static int blocks(int axis, int width, int height) {
    return axis == 0 ? parts_of(width / 2, tile) : parts_of(height / 2, rows);
  }

  template <typename Block>
  PYVMAF_ANYWHERE static void run(Block& block, const Arguments& a, Shared& shared) {
    constexpr Window<scale + 1> weights = window<scale + 1>();
    const int left = block.index(0) * tile;
    const int top = block.index(1) * rows;
    const int picture = block.index(2);
    block.each([&](int thread, State&) {
      const int column = thread % columns;
      const int first = thread / columns * strip;
      const Sample* samples = static_cast<const Sample*>(a.pictures.samples) +
                              picture * a.pictures.distance +
                              kernels::reflected(2 * left - reach + column, a.pictures.width);
      std::uint32_t sums[strip] = {};
      PYVMAF_UNROLL
      for (int i = 0; i < 2 * strip - 1 + 2 * reach; ++i) {
        const int row = kernels::reflected(2 * (top + first) - reach + i, a.pictures.height);
        const std::uint32_t value = samples[row * a.pictures.pitch];
        PYVMAF_UNROLL
        for (int line = 0; line < strip; ++line) {
          if (i - 2 * line >= 0 && i - 2 * line < weights.count) {
            sums[line] += weights.values[i - 2 * line] * value;
          }
        }
      }
      PYVMAF_UNROLL
      for (int line = 0; line < strip; ++line) {
        shared.means[first + line][column] =
            static_cast<std::uint32_t>(rounded(sums[line], rounding(scale, a.bits).mean_shift));
      }
    });
    block.each([&](int thread, State&) {
      for (int turn = 0; turn < turns; ++turn) {
        const int item = turn * threads + thread;
        const int line = item / tile;
        const int column = item % tile;
        if (line >= rows || top + line >= a.pictures.height / 2 ||
            left + column >= a.pictures.width / 2) {
          continue;
        }
        std::uint32_t sum = 0;
        PYVMAF_UNROLL
        for (int i = 0; i < weights.count; ++i) {
          sum += weights.values[i] * shared.means[line][2 * column + i];
        }
        a.target[picture * a.target_distance + (top + line) * a.target_pitch + left + column] =
            static_cast<std::uint16_t>(rounded(sum, 16));
      }
    });
  }
  static_assert(threads / columns * strip == rows);
};

}  // namespace pyvmaf::kernels::cuda::vif
