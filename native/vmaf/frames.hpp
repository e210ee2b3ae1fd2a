#pragma once

#include <libvmaf/libvmaf.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace pyvmaf {

// One plane of samples in the caller's memory. Strides are in bytes and may be negative.
struct Plane {
  const std::uint8_t* data;
  std::size_t width;
  std::size_t height;
  std::ptrdiff_t row_stride;
  std::ptrdiff_t column_stride;
  std::size_t item_size;  // 1 or 2 bytes, native byte order
};

using Planes = std::vector<Plane>;

// Where the samples of a plane are copied to.
struct Samples {
  std::uint8_t* data;
  std::ptrdiff_t row_stride;  // in bytes
  std::size_t width;
  std::size_t height;
  unsigned bpc;  // bits per sample; 8 stands for bytes, more for uint16
};

// Copies the samples of a plane of the same shape. Throws std::invalid_argument if a sample has
// more bits; `name` names the plane in messages.
void copy_samples(const Plane& plane, const Samples& target, const std::string& name);

// Throws std::invalid_argument if a sample of a plane has more bits than `bpc`. The samples of a
// line stand beside each other.
void check_samples(const Plane& plane, unsigned bpc, const std::string& name);

// Throws std::invalid_argument if the samples of a plane are not those of frames with `bpc` bits.
void check_sample_size(const Plane& plane, unsigned bpc, const std::string& name);

// "WIDTHxHEIGHT".
std::string size_text(std::size_t width, std::size_t height);

// Copies a frame into a picture of libvmaf. Chroma of odd frames may be rounded up (as FFmpeg does)
// or down (as libvmaf does): the samples that libvmaf has room for are copied. Throws
// std::invalid_argument if the shape or sample type of a plane does not fit, or if a sample needs
// more bits than the picture has. `side` names the frame in messages: "reference" or "distorted".
void copy_frame(const Planes& planes, VmafPicture& picture, const char* side);

}  // namespace pyvmaf
