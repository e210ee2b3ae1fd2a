#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "cuda/kernels/driver.hpp"
#include "kernels/adm.hpp"
#include "kernels/vif.hpp"
#include "vmaf/frames.hpp"

namespace pyvmaf::kernels::cuda {

// What is measured of a ladder: as the kernels of the processor have it, each any number of times.
struct Wanted {
  struct Adm {
    std::vector<double> gain_limits;
    bool additive;
    kernels::adm::Viewing viewing;
  };
  std::vector<std::vector<double>> vif;  // limits of the gain
  std::vector<Adm> adm;
  std::vector<int> motion;  // distances of frames: 1 or 2
};

// Of one frame and its distorted versions; as the kernels of the processor have them.
struct Measured {
  int count = 0;                                      // distorted versions
  std::vector<std::vector<kernels::vif::Ratio>> vif;  // count * limits * 4
  std::vector<std::vector<kernels::adm::Parts>> adm;  // count * limits * 4
  std::vector<std::uint64_t> motion;
};

// A ladder's frames, measured on a device: one reference and its distorted versions, several frames
// at once. What depends on the reference alone is computed once. Copies and kernels of different
// frames overlap. Memory is taken once, at the start: for fewer frames at once where the device has
// no room for more.
//
// Use an object from one thread at a time.
class Ladder {
 public:
  // Frames as of kernels::Luma; `at_once` frames, 1 or more, are computed at the same time. Throws
  // std::invalid_argument for values out of range, and Error if the device has no room for one
  // frame.
  Ladder(std::shared_ptr<const Device> device, int width, int height, int bits, int most_distorted,
         Wanted wanted, int at_once);
  ~Ladder();
  Ladder(const Ladder&) = delete;
  Ladder& operator=(const Ladder&) = delete;
  Ladder(Ladder&&) = delete;
  Ladder& operator=(Ladder&&) = delete;

  // Copies a frame and starts to measure it; waits for the oldest one where `at_once` are being
  // measured. Without distorted versions only motion is measured. Throws std::invalid_argument if a
  // plane does not fit, or has samples of more bits, and Error.
  void push(const Plane& reference, const Planes& distorted);
  // Measures the frame again that was pushed `at_once` + 2 frames ago, without copying it from the
  // caller's memory. Throws std::logic_error if there is none.
  void push_again();
  // Removes and returns what is known of the oldest frame that was not returned; waits for it.
  // Throws std::logic_error if there is none, and Error.
  Measured pop();
  // Frames that were pushed and not returned.
  [[nodiscard]] std::size_t pending() const noexcept;

  [[nodiscard]] int at_once() const noexcept;
  [[nodiscard]] std::size_t device_memory() const noexcept;
  [[nodiscard]] std::size_t pinned_memory() const noexcept;

 private:
  class Frames;
  std::shared_ptr<const Device> device_;
  std::unique_ptr<Frames> frames_;
};

}  // namespace pyvmaf::kernels::cuda
