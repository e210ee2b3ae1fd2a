#include "vmaf/frames.hpp"

#include <cstring>
#include <stdexcept>
#include <string>

namespace pyvmaf {

namespace {

std::string plane_text(const char* side, std::size_t index) {
  return "plane " + std::to_string(index) + " of the " + side + " frame";
}

template <typename Sample>
Sample sample_at(const Plane& plane, std::size_t row, std::size_t column) {
  Sample value;
  std::memcpy(&value,
              plane.data + static_cast<std::ptrdiff_t>(row) * plane.row_stride +
                  static_cast<std::ptrdiff_t>(column) * plane.column_stride,
              sizeof(Sample));
  return value;
}

// Of the first `width` x `height` samples.
[[noreturn]] void throw_out_of_range(const Plane& plane, std::size_t width, std::size_t height,
                                     unsigned bpc, const std::string& name) {
  const unsigned limit = 1U << bpc;
  for (std::size_t row = 0; row < height; ++row) {
    for (std::size_t column = 0; column < width; ++column) {
      const unsigned value = sample_at<std::uint16_t>(plane, row, column);
      if (value >= limit) {
        throw std::invalid_argument(name + " holds " + std::to_string(value) + " at row " +
                                    std::to_string(row) + ", column " + std::to_string(column) +
                                    ": more than the " + std::to_string(limit - 1) + " that " +
                                    std::to_string(bpc) + " bits allow");
      }
    }
  }
  throw std::invalid_argument(name + " changed while it was read");
}

// Copies the samples and returns the OR of all, which shows whether any needs too many bits.
unsigned copy_rows_16(const Plane& plane, const Samples& target) {
  const std::size_t width = target.width;
  unsigned all_bits = 0;
  for (std::size_t row = 0; row < target.height; ++row) {
    auto* out = reinterpret_cast<std::uint16_t*>(target.data + static_cast<std::ptrdiff_t>(row) *
                                                                   target.row_stride);
    const std::uint8_t* in = plane.data + static_cast<std::ptrdiff_t>(row) * plane.row_stride;
    std::uint16_t bits = 0;
    if (plane.column_stride == 2) {
      std::memcpy(out, in, width * 2);
      for (std::size_t column = 0; column < width; ++column) {
        bits = static_cast<std::uint16_t>(bits | out[column]);
      }
    } else {
      for (std::size_t column = 0; column < width; ++column) {
        out[column] = sample_at<std::uint16_t>(plane, row, column);
        bits = static_cast<std::uint16_t>(bits | out[column]);
      }
    }
    all_bits |= bits;
  }
  return all_bits;
}

void copy_rows_8(const Plane& plane, const Samples& target) {
  const std::size_t width = target.width;
  for (std::size_t row = 0; row < target.height; ++row) {
    std::uint8_t* out = target.data + static_cast<std::ptrdiff_t>(row) * target.row_stride;
    const std::uint8_t* in = plane.data + static_cast<std::ptrdiff_t>(row) * plane.row_stride;
    if (plane.column_stride == 1) {
      std::memcpy(out, in, width);
    } else {
      for (std::size_t column = 0; column < width; ++column) {
        out[column] = in[static_cast<std::ptrdiff_t>(column) * plane.column_stride];
      }
    }
  }
}

// A subsampled plane of a picture with an odd luma side may be one sample larger than libvmaf's.
bool fits(std::size_t length, std::size_t expected, std::size_t luma_length, bool subsampled) {
  return length == expected || (subsampled && luma_length % 2 == 1 && length == expected + 1);
}

}  // namespace

std::string size_text(std::size_t width, std::size_t height) {
  return std::to_string(width) + "x" + std::to_string(height);
}

void check_sample_size(const Plane& plane, unsigned bpc, const std::string& name) {
  const std::size_t item_size = bpc > 8 ? 2 : 1;
  if (plane.item_size != item_size) {
    throw std::invalid_argument(name + " holds uint" + std::to_string(8 * plane.item_size) +
                                " samples, a " + std::to_string(bpc) + "-bit context needs uint" +
                                std::to_string(8 * item_size));
  }
}

void copy_samples(const Plane& plane, const Samples& target, const std::string& name) {
  if (target.bpc <= 8) {
    copy_rows_8(plane, target);
  } else if (copy_rows_16(plane, target) >> target.bpc) {
    throw_out_of_range(plane, target.width, target.height, target.bpc, name);
  }
}

void check_samples(const Plane& plane, unsigned bpc, const std::string& name) {
  if (bpc <= 8) {
    return;
  }
  unsigned all_bits = 0;
  for (std::size_t row = 0; row < plane.height; ++row) {
    const std::uint8_t* in = plane.data + static_cast<std::ptrdiff_t>(row) * plane.row_stride;
    std::uint16_t bits = 0;
    for (std::size_t column = 0; column < plane.width; ++column) {
      std::uint16_t value;
      std::memcpy(&value, in + 2 * column, sizeof value);
      bits = static_cast<std::uint16_t>(bits | value);
    }
    all_bits |= bits;
  }
  if (all_bits >> bpc) {
    throw_out_of_range(plane, plane.width, plane.height, bpc, name);
  }
}

void copy_frame(const Planes& planes, VmafPicture& picture, const char* side) {
  const std::size_t plane_count = picture.pix_fmt == VMAF_PIX_FMT_YUV400P ? 1 : 3;
  if (planes.size() < plane_count) {
    throw std::invalid_argument("the " + std::string(side) + " frame has " +
                                std::to_string(planes.size()) + " planes, the context needs " +
                                std::to_string(plane_count));
  }
  for (std::size_t index = 0; index < plane_count; ++index) {
    const Plane& plane = planes[index];
    const std::size_t width = picture.w[index];
    const std::size_t height = picture.h[index];
    check_sample_size(plane, picture.bpc, plane_text(side, index));
    const bool half_width = index > 0 && picture.pix_fmt != VMAF_PIX_FMT_YUV444P;
    const bool half_height = index > 0 && picture.pix_fmt == VMAF_PIX_FMT_YUV420P;
    if (!fits(plane.width, width, picture.w[0], half_width) ||
        !fits(plane.height, height, picture.h[0], half_height)) {
      throw std::invalid_argument(plane_text(side, index) + " is " +
                                  size_text(plane.width, plane.height) + ", the context needs " +
                                  size_text(width, height));
    }
  }
  for (std::size_t index = 0; index < plane_count; ++index) {
    copy_samples(planes[index],
                 {static_cast<std::uint8_t*>(picture.data[index]), picture.stride[index],
                  picture.w[index], picture.h[index], picture.bpc},
                 plane_text(side, index));
  }
}

}  // namespace pyvmaf
