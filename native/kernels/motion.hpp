#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/luma.hpp"
#include "kernels/motion_kernels.hpp"

namespace pyvmaf::kernels::motion {

// Differences of the frames of a video to the frame before, or to the one before that. Memory is
// taken once, at the start.
class Measure {
 public:
  // Frames as of Luma; `distance` is 1 or 2. Throws std::invalid_argument for others, and for an
  // unknown instruction set.
  Measure(int width, int height, int bits, int distance, const std::string& instruction_set);

  // Returns the sum of absolute differences of unit 2^-8; 0 for the first `distance` frames.
  // Throws std::invalid_argument if the plane does not fit, or has samples of more bits.
  std::uint64_t measure(const Plane& frame);

 private:
  const int width_;
  const int height_;
  const int bits_;
  const Kernels& kernels_;
  std::vector<Luma> frames_;  // the last ones; by turns
  std::size_t count_ = 0;
  Memory scratch_;
};

}  // namespace pyvmaf::kernels::motion
