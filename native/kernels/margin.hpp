#pragma once

namespace pyvmaf::kernels {

// Samples that can be read before and after each line of a picture, whatever they hold.
inline constexpr int margin = 64;

// Samples from line to line of a picture with margins, a multiple of 64.
constexpr int pitch_of(int width) { return (width + 2 * margin + 63) / 64 * 64; }

}  // namespace pyvmaf::kernels
