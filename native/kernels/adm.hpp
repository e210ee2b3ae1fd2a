#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/adm_kernels.hpp"
#include "kernels/luma.hpp"

namespace pyvmaf::kernels::adm {

// Of one distorted version at one scale. The score of details is detail / reference.
struct Parts {
  float detail;
  float reference;
  float additive;
};

// Models of contrast sensitivity, by libvmaf's numbers: that of Watson and others, and two blends
// of it with that of Barten.
enum class Sensitivity { watson = 0, blend = 2, blend_of_absolute_errors = 3 };

// Where the pictures are seen, and how much noise there is.
struct Viewing {
  double distance;  // in heights of the display
  int height;       // of the display, in samples
  double noise_weight;
  Sensitivity sensitivity;
};

// The sizes of the scales, the factors of their bands, and the parts that follow from sums.
class Pooling {
 public:
  // Throws std::invalid_argument for values out of range.
  Pooling(int width, int height, bool additive, const Viewing& viewing);

  // Of the pictures that a scale divides.
  [[nodiscard]] int width(int scale) const { return at(scale).width; }
  [[nodiscard]] int height(int scale) const { return at(scale).height; }
  [[nodiscard]] const Factors& factors(int scale) const { return at(scale).factors; }
  [[nodiscard]] Parts parts(int scale, const ReferenceSums& reference, const Sums& sums) const;

 private:
  struct Scale {
    int width = 0;
    int height = 0;
    std::array<float, band_count> sensitivity{};
    Factors factors{};
  };

  [[nodiscard]] const Scale& at(int scale) const {
    return scales_[static_cast<std::size_t>(scale)];
  }

  const bool additive_;
  const double noise_weight_;
  std::array<Scale, scale_count> scales_;
};

// Detail losses and additive impairments of luma at four scales, of one reference and its distorted
// versions: what depends on the reference alone is computed once. Memory is taken once, at the
// start.
class Measure {
 public:
  // Frames as of Luma; one or two limits of the gain, 1 to 100. `additive` asks for additive
  // impairments, which are 0 otherwise. Throws std::invalid_argument for values out of range, and
  // for an unknown instruction set.
  Measure(int width, int height, int bits, int most_distorted, std::vector<double> gain_limits,
          bool additive, const Viewing& viewing, const std::string& instruction_set);

  // Writes `distorted.size() * limits * 4` parts, scales last. Throws std::invalid_argument if a
  // plane does not fit, or has samples of more bits.
  void measure(const Plane& reference, const Planes& distorted, Parts* parts);

  [[nodiscard]] std::size_t limit_count() const noexcept { return gain_limits_.size(); }

 private:
  // What a scale divides, and the approximations that it leaves to the next.
  struct Scale {
    std::ptrdiff_t pitch = 0;
    std::vector<Memory> memory;
    std::vector<void*> pictures;
    std::vector<Lines> lines;
  };

  const int bits_;
  const std::vector<double> gain_limits_;
  const bool additive_;
  const Pooling pooling_;
  const Kernels& kernels_;
  std::vector<Luma> frames_;  // the reference, and distorted ones
  std::array<Scale, scale_count> scales_;
  Memory scratch_;
};

}  // namespace pyvmaf::kernels::adm
