#include "kernels/luma.hpp"

#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>

namespace pyvmaf::kernels {

namespace {

constexpr std::size_t alignment = 64;
constexpr int smallest_side = 33;

}  // namespace

void check_frames(int width, int height, int bits) {
  if (width < smallest_side || height < smallest_side) {
    throw std::invalid_argument("frames of " + std::to_string(width) + "x" +
                                std::to_string(height) + " are smaller than 33x33");
  }
  if (bits != 8 && bits != 10 && bits != 12) {
    throw std::invalid_argument(std::to_string(bits) + " bits: must be 8, 10 or 12");
  }
}

void check_ladder(int most_distorted, const std::vector<double>& gain_limits) {
  if (most_distorted < 1) {
    throw std::invalid_argument("a ladder has one distorted version or more");
  }
  if (gain_limits.empty() || gain_limits.size() > 2) {
    throw std::invalid_argument(std::to_string(gain_limits.size()) +
                                " limits of the gain: must be 1 or 2");
  }
}

void Free::operator()(void* memory) const noexcept { std::free(memory); }

Memory allocate(std::size_t size) {
  const std::size_t whole = (size + alignment - 1) / alignment * alignment;
  Memory memory(std::aligned_alloc(alignment, whole));
  if (memory == nullptr) {
    throw std::bad_alloc();
  }
  std::memset(memory.get(), 0, whole);
  return memory;
}

Luma::Luma(int width, int height, int bits)
    : width_(static_cast<std::size_t>(width)),
      height_(static_cast<std::size_t>(height)),
      bits_(static_cast<unsigned>(bits)) {
  check_frames(width, height, bits);
  pitch_ = pitch_of(width);
  const std::size_t sample_size = bits == 8 ? 1 : 2;
  memory_ = allocate((static_cast<std::size_t>(pitch_) * height_ + std::size_t{2 * margin}) *
                     sample_size);
  samples_ = static_cast<std::uint8_t*>(memory_.get()) + std::size_t{margin} * sample_size;
}

void Luma::copy(const Plane& plane, const std::string& name) {
  check_sample_size(plane, bits_, name);
  if (plane.width != width_ || plane.height != height_) {
    throw std::invalid_argument(name + " is " + size_text(plane.width, plane.height) +
                                ", must be " + size_text(width_, height_));
  }
  const std::ptrdiff_t sample_size = bits_ == 8 ? 1 : 2;
  copy_samples(plane, {samples_, pitch_ * sample_size, width_, height_, bits_}, name);
}

}  // namespace pyvmaf::kernels
