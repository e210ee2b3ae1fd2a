// Motion in plain C++: the definition that the other implementations reproduce to the last bit.
#include "kernels/motion_kernels.hpp"

namespace pyvmaf::kernels::motion {

namespace {

std::size_t scratch_size(int width) {
  return sizeof(std::int32_t) * static_cast<std::size_t>(width);
}

template <typename Sample>
std::uint64_t sum_of(const Frames& frames, std::int32_t* line) {
  const auto* before = static_cast<const Sample*>(frames.before);
  const auto* now = static_cast<const Sample*>(frames.now);
  std::uint64_t total = 0;
  for (int row = 0; row < frames.height; ++row) {
    for (int column = 0; column < frames.width; ++column) {
      std::int64_t sum = 0;
      for (int i = 0; i < tap_count; ++i) {
        const std::ptrdiff_t at = reflected(row - reach + i, frames.height) * frames.pitch + column;
        sum += std::int64_t{taps[i]} * (before[at] - now[at]);
      }
      line[column] = vertical(sum, frames.bits);
    }
    for (int column = 0; column < frames.width; ++column) {
      std::int64_t sum = 0;
      for (int i = 0; i < tap_count; ++i) {
        sum += std::int64_t{taps[i]} * line[reflected(column - reach + i, frames.width)];
      }
      const std::int32_t difference = horizontal(sum);
      total += static_cast<std::uint64_t>(difference < 0 ? -difference : difference);
    }
  }
  return total;
}

std::uint64_t difference(const Frames& frames, void* scratch) {
  auto* line = static_cast<std::int32_t*>(scratch);
  return frames.bits == 8 ? sum_of<std::uint8_t>(frames, line)
                          : sum_of<std::uint16_t>(frames, line);
}

}  // namespace

const Kernels& portable() {
  static constexpr Kernels kernels{"portable", scratch_size, difference};
  return kernels;
}

}  // namespace pyvmaf::kernels::motion
