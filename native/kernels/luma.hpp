#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/margin.hpp"
#include "vmaf/frames.hpp"

namespace pyvmaf::kernels {

struct Free {
  void operator()(void* memory) const noexcept;
};
using Memory = std::unique_ptr<void, Free>;

// Zeroed memory, aligned to 64 bytes.
Memory allocate(std::size_t size);

// Throws std::invalid_argument unless frames are of 33x33 or more, with 8, 10 or 12 bits.
void check_frames(int width, int height, int bits);

// Throws std::invalid_argument unless there are distorted versions, and one or two limits of the
// gain.
void check_ladder(int most_distorted, const std::vector<double>& gain_limits);

// A copy of the luma of a frame, uint8 (8 bits) or uint16 samples. `margin` samples around each
// line can be read, whatever they hold.
class Luma {
 public:
  // Throws as `check_frames`.
  Luma(int width, int height, int bits);

  // Throws std::invalid_argument if the plane does not fit, or has samples of more bits; `name`
  // names it in messages.
  void copy(const Plane& plane, const std::string& name);

  [[nodiscard]] const void* samples() const noexcept { return samples_; }
  // Samples from line to line.
  [[nodiscard]] std::ptrdiff_t pitch() const noexcept { return pitch_; }

 private:
  std::size_t width_;
  std::size_t height_;
  unsigned bits_;
  std::ptrdiff_t pitch_;
  Memory memory_;
  std::uint8_t* samples_;
};

}  // namespace pyvmaf::kernels
