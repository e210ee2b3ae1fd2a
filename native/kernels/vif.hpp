#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/luma.hpp"
#include "kernels/vif_kernels.hpp"
#include "vmaf/frames.hpp"

namespace pyvmaf::kernels::vif {

// Of one distorted version at one scale: score = numerator / denominator.
struct Ratio {
  float numerator;
  float denominator;
};

// Visual information fidelity of luma at four scales, of one reference and its distorted versions:
// what depends on the reference alone is computed once. Memory is taken once, at the start.
class Measure {
 public:
  // Frames of 33x33 or more with 8, 10 or 12 bits; one or two limits of the gain, 1 to 100. Throws
  // std::invalid_argument for others, and for an instruction set that is not in `instruction_sets`.
  Measure(int width, int height, int bits, int most_distorted, std::vector<double> gain_limits,
          const std::string& instruction_set);

  // Writes `distorted.size() * limits * 4` ratios, scales last. Throws std::invalid_argument if a
  // plane does not fit, or has samples of more bits.
  void measure(const Plane& reference, const Planes& distorted, Ratio* ratios);

  [[nodiscard]] std::size_t limit_count() const noexcept { return gain_limits_.size(); }

 private:
  // The pictures of the reference (0) and of the distorted versions at one scale.
  struct Scale {
    int width = 0;
    int height = 0;
    std::ptrdiff_t pitch = 0;
    std::vector<Memory> memory;  // of scales 1 and on, whose pictures are computed
    std::vector<Picture> pictures;
  };

  const int bits_;
  const std::vector<double> gain_limits_;
  const Kernels& kernels_;
  std::vector<Luma> frames_;
  std::array<Scale, scale_count> scales_;
  Memory scratch_;
};

// Names of the instruction sets that this processor has, the fastest first; "portable" is the last.
std::vector<std::string> instruction_sets();

// Whether the logarithms of an instruction set equal those of plain C++ for each of the 2^15
// mantissas that count. Throws std::invalid_argument for an unknown instruction set.
bool logarithms_agree(const std::string& instruction_set);

}  // namespace pyvmaf::kernels::vif
