#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "cuda/kernels/driver.hpp"
#include "cuda/kernels/ladder.hpp"

// How the measures of a frame are started on a stream, and what is made of their sums.
namespace pyvmaf::kernels::cuda {

// Pictures of a ladder in the device's memory, one after another.
struct Luma {
  Address samples;
  std::ptrdiff_t distance;  // in samples
  std::ptrdiff_t pitch;
  int width;
  int height;
  int bits;
};

// The memory of a device as parts of one piece, each aligned to 256 bytes.
class Parts {
 public:
  // Returns where a part of `size` bytes begins.
  std::size_t take(std::size_t size) {
    const std::size_t begin = size_;
    size_ += (size + alignment - 1) / alignment * alignment;
    return begin;
  }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  static constexpr std::size_t alignment = 256;
  std::size_t size_ = 0;
};

// Samples from line to line of pictures on a device.
constexpr std::ptrdiff_t pitch_of(int width) { return (std::ptrdiff_t{width} + 63) / 64 * 64; }

// One of the measures of a ladder. Objects hold the layout of their memory and no state of frames.
class Measure {
 public:
  Measure() = default;
  virtual ~Measure() = default;
  Measure(const Measure&) = delete;
  Measure& operator=(const Measure&) = delete;
  Measure(Measure&&) = delete;
  Measure& operator=(Measure&&) = delete;

  // Bytes for what is computed on the way, and for sums, which are 0 at the start.
  [[nodiscard]] virtual std::size_t scratch_size() const = 0;
  [[nodiscard]] virtual std::size_t sums_size() const = 0;

  // Starts the kernels for `count` distorted versions. `earlier` are the addresses of the
  // references before, the last one first; 0 where there is none.
  virtual void start(const Stream& stream, const Luma& luma, const std::vector<Address>& earlier,
                     int count, Address scratch, Address sums) const = 0;
  // Adds what follows from the sums.
  virtual void finish(const void* sums, int count, Measured& measured) const = 0;
};

std::unique_ptr<Measure> vif_measure(const Device& device, int width, int height, int bits,
                                     int most_distorted, const std::vector<double>& gain_limits,
                                     Address logarithms);
std::unique_ptr<Measure> adm_measure(const Device& device, int width, int height, int bits,
                                     int most_distorted, const Wanted::Adm& wanted);
std::unique_ptr<Measure> motion_measure(const Device& device, int width, int height, int bits,
                                        int distance);

}  // namespace pyvmaf::kernels::cuda
