#pragma once

#include <libvmaf/libvmaf.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace pyvmaf {

// One plane of samples somewhere in memory. Strides are in bytes and may be negative.
struct Plane {
  const std::uint8_t* data;
  std::size_t width;
  std::size_t height;
  std::ptrdiff_t row_stride;
  std::ptrdiff_t column_stride;
  std::size_t item_size;  // 1 or 2 bytes, native byte order
};

using Planes = std::vector<Plane>;

// Copies a frame into a picture of libvmaf. Chroma of odd sizes may be rounded up (FFmpeg) or down
// (libvmaf): what libvmaf has room for is copied. Throws std::invalid_argument where a plane's shape
// or sample type does not fit, or where a sample needs more bits than the picture has. `what` names
// the frame in messages ("reference" or "distorted").
void copy_frame(const Planes& planes, VmafPicture& picture, const char* what);

}  // namespace pyvmaf
