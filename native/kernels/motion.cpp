#include "kernels/motion.hpp"

#include <stdexcept>

#include "kernels/choice.hpp"

namespace pyvmaf::kernels::motion {

namespace {

std::vector<const Kernels*> available() {
#if defined(PYVMAF_X86)
  return runnable(portable, {{has_avx512, avx512}, {has_avx2, avx2}});
#else
  return runnable(portable, {});
#endif
}

}  // namespace

Measure::Measure(int width, int height, int bits, int distance, const std::string& instruction_set)
    : width_(width), height_(height), bits_(bits), kernels_(chosen(available(), instruction_set)) {
  if (distance != 1 && distance != 2) {
    throw std::invalid_argument("distance " + std::to_string(distance) + ": must be 1 or 2");
  }
  for (int i = 0; i <= distance; ++i) {
    frames_.emplace_back(width, height, bits);
  }
  scratch_ = allocate(kernels_.scratch_size(width));
}

std::uint64_t Measure::measure(const Plane& frame) {
  Luma& now = frames_[count_ % frames_.size()];
  now.copy(frame, "the reference");
  // The next one to be overwritten is the oldest.
  const Luma& before = frames_[++count_ % frames_.size()];
  if (count_ < frames_.size()) {
    return 0;
  }
  return kernels_.difference({before.samples(), now.samples(), now.pitch(), width_, height_, bits_},
                             scratch_.get());
}

}  // namespace pyvmaf::kernels::motion
