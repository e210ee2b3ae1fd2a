#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/lines.hpp"
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

// The lines of a picture in one piece of memory with margins; `first` is its first sample.
Lines lines_from(const void* first, std::ptrdiff_t pitch, int count, std::size_t sample_size);

// The luma of frames, uint8 (8 bits) or uint16 samples, as kernels read it: with margins.
class Luma {
 public:
  // Throws as `check_frames`.
  Luma(int width, int height, int bits);

  // The lines of a plane: where they stand if its memory allows it (all but the first and the last,
  // around which it may end), and those of a copy otherwise. They hold until the next call, as long
  // as the plane stays. Throws as `copy`.
  Lines lines(const Plane& plane, const std::string& name);

  // Copies a plane. Throws std::invalid_argument if it does not fit, or has samples of more bits;
  // `name` names it in messages.
  void copy(const Plane& plane, const std::string& name);

  // Of the copy.
  [[nodiscard]] const void* samples() const noexcept { return samples_; }
  // Samples from line to line of the copy.
  [[nodiscard]] std::ptrdiff_t pitch() const noexcept { return pitch_; }

 private:
  void check(const Plane& plane, const std::string& name) const;
  [[nodiscard]] bool readable(const Plane& plane) const noexcept;

  std::size_t width_;
  std::size_t height_;
  unsigned bits_;
  std::ptrdiff_t pitch_;
  Memory memory_;
  std::uint8_t* samples_;
};

}  // namespace pyvmaf::kernels
