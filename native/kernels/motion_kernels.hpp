#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/motion_arithmetic.hpp"

// What an implementation of motion for one instruction set offers; as vif_kernels.hpp.
namespace pyvmaf::kernels::motion {

// Two frames of uint8 (8 bits) or uint16 samples, with margins as of Luma.
struct Frames {
  const void* before;
  const void* now;
  std::ptrdiff_t pitch;
  int width;
  int height;
  int bits;
};

struct Kernels {
  const char* name;
  // Bytes of scratch memory, aligned to 64.
  std::size_t (*scratch_size)(int width);
  // Returns the sum of absolute differences of the blurred frames, of unit 2^-8.
  std::uint64_t (*difference)(const Frames& frames, void* scratch);
};

const Kernels& portable();

#if defined(PYVMAF_X86)
const Kernels& avx2();
const Kernels& avx512();
#endif

}  // namespace pyvmaf::kernels::motion
