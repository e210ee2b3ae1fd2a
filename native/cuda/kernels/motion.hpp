#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/kernels/block.hpp"
#include "kernels/motion_arithmetic.hpp"

// Motion for devices; arithmetic is that of kernels/motion_arithmetic.hpp.

namespace pyvmaf::kernels::cuda::motion {

using namespace kernels::motion;

struct Window {
  std::int32_t values[tap_count];
};

PYVMAF_ANYWHERE constexpr Window window() {
  constexpr Window made{{taps[0], taps[1], taps[2], taps[3], taps[4]}};
  return made;
}

// Adds the absolute differences of two blurred frames.
template <typename Sample>
struct Difference {
  static constexpr int threads = 256;
  static constexpr int columns = 128;
  static constexpr int rows = 8;
  static constexpr int strip = 4;
  static constexpr int tile = columns - 2 * reach;
  static constexpr int quads = tile / 4;
  static_assert(tile % 4 == 0 && quads * rows <= threads && threads / columns * strip == rows);

  struct Arguments {
    const void* before;
    const void* now;
    std::ptrdiff_t pitch;
    int width;
    int height;
    int bits;
    std::uint64_t* sum;
  };

  struct Shared {
    SignedQuad lines[rows][columns / 4];
  };

  using State = Nothing;

  PYVMAF_ANYWHERE static int blocks(int axis, int width, int height) {
    return axis == 0 ? parts_of(width, tile) : parts_of(height, rows);
  }

  template <typename Block>
  PYVMAF_ANYWHERE static void run(Block& block, const Arguments& a, Shared& shared) {
    constexpr Window weights = window();
    const int left = block.index(0) * tile;
    const int top = block.index(1) * rows;
    block.each([&](int thread, State&) {
      const int column = thread % columns;
      const int first = thread / columns * strip;
      const int source = kernels::reflected(left - reach + column, a.width);
      // 2^12 samples times the taps' sum of 2^16 fit into 32 bits.
      std::int32_t sums[strip] = {};
      PYVMAF_UNROLL
      for (int i = 0; i < strip + 2 * reach; ++i) {
        const std::ptrdiff_t at =
            kernels::reflected(top + first - reach + i, a.height) * a.pitch + source;
        const std::int32_t difference =
            static_cast<std::int32_t>(static_cast<const Sample*>(a.before)[at]) -
            static_cast<std::int32_t>(static_cast<const Sample*>(a.now)[at]);
        PYVMAF_UNROLL
        for (int line = 0; line < strip; ++line) {
          if (i - line >= 0 && i - line < tap_count) {
            sums[line] += weights.values[i - line] * difference;
          }
        }
      }
      PYVMAF_UNROLL
      for (int line = 0; line < strip; ++line) {
        shared.lines[first + line][column / 4].values[column % 4] = vertical(sums[line], a.bits);
      }
    });
    block.each([&](int thread, State&) {
      const int line = thread / quads;
      const int quad = thread % quads;
      std::uint64_t sum = 0;
      if (line < rows && top + line < a.height) {
        std::int32_t values[8];
        PYVMAF_UNROLL
        for (int i = 0; i < 8; ++i) {
          values[i] = shared.lines[line][quad + i / 4].values[i % 4];
        }
        PYVMAF_UNROLL
        for (int i = 0; i < 4; ++i) {
          std::int64_t filtered = 0;
          PYVMAF_UNROLL
          for (int j = 0; j < tap_count; ++j) {
            filtered += std::int64_t{weights.values[j]} * values[i + j];
          }
          const std::int32_t difference = horizontal(filtered);
          if (left + 4 * quad + i < a.width) {
            sum += static_cast<std::uint64_t>(difference < 0 ? -difference : difference);
          }
        }
      }
      block.add(thread, a.sum, sum);
    });
  }
};

}  // namespace pyvmaf::kernels::cuda::motion
