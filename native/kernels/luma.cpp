#include "kernels/luma.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>

namespace pyvmaf::kernels {

namespace {

constexpr std::size_t alignment = 64;
constexpr int smallest_side = 33;
// Lines this far apart meet in the same few places of the nearest cache.
constexpr std::ptrdiff_t page = 4096;

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

Lines lines_from(const void* first, std::ptrdiff_t pitch, int count, std::size_t sample_size) {
  const auto size = static_cast<std::ptrdiff_t>(sample_size);
  return {first, first, static_cast<const std::uint8_t*>(first) + (count - 1) * pitch * size, pitch,
          count};
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

void Luma::check(const Plane& plane, const std::string& name) const {
  check_sample_size(plane, bits_, name);
  if (plane.width != width_ || plane.height != height_) {
    throw std::invalid_argument(name + " is " + size_text(plane.width, plane.height) +
                                ", must be " + size_text(width_, height_));
  }
}

bool Luma::readable(const Plane& plane) const noexcept {
  const auto size = static_cast<std::ptrdiff_t>(plane.item_size);
  const auto least = size * std::max<std::ptrdiff_t>(margin, static_cast<std::ptrdiff_t>(width_));
  return plane.column_stride == size && plane.row_stride >= least && plane.row_stride % size == 0 &&
         plane.row_stride % page != 0 &&
         reinterpret_cast<std::uintptr_t>(plane.data) % plane.item_size == 0;
}

Lines Luma::lines(const Plane& plane, const std::string& name) {
  const std::ptrdiff_t sample_size = bits_ == 8 ? 1 : 2;
  const auto count = static_cast<int>(height_);
  check(plane, name);
  if (!readable(plane)) {
    copy(plane, name);
    return lines_from(samples_, pitch_, count, static_cast<std::size_t>(sample_size));
  }
  check_samples(plane, bits_, name);
  const std::size_t bytes = width_ * plane.item_size;
  std::uint8_t* last = samples_ + pitch_ * sample_size;
  std::memcpy(samples_, plane.data, bytes);
  std::memcpy(last, plane.data + (count - 1) * plane.row_stride, bytes);
  return {samples_, plane.data, last, plane.row_stride / sample_size, count};
}

void Luma::copy(const Plane& plane, const std::string& name) {
  check(plane, name);
  const std::ptrdiff_t sample_size = bits_ == 8 ? 1 : 2;
  copy_samples(plane, {samples_, pitch_ * sample_size, width_, height_, bits_}, name);
}

}  // namespace pyvmaf::kernels
