#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/lines.hpp"
#include "kernels/vif_arithmetic.hpp"

// What an implementation of VIF for one instruction set offers. Files compiled for an instruction
// set define nothing that other files could link to but their table.
namespace pyvmaf::kernels::vif {

// A picture of uint8 samples (scale 0 of 8-bit frames) or uint16 samples (all others).
struct Picture {
  Lines lines;
  int width;
  int height;
};

// A reference and its distorted versions at one scale. All pictures have one size.
struct Ladder {
  int scale;
  int bits;
  Picture reference;
  const Picture* distorted;
  int count;
  const double* gain_limits;
  int limit_count;  // 1 or 2
};

struct Kernels {
  const char* name;
  // Writes 2048 log2 of count values from 2^17 on, as the statistics have it.
  void (*logarithms)(const double* values, std::int32_t* logarithms, int count);
  // Bytes of scratch memory that the functions need, aligned to 64.
  std::size_t (*scratch_size)(int width);
  // Adds the sums of each distorted version.
  void (*statistics)(const Ladder& ladder, void* scratch, Sums* sums);
  // Writes the picture of the next scale, of half the size: filtered, then every second sample.
  void (*decimate)(int scale, int bits, const Picture& source, std::uint16_t* target,
                   std::ptrdiff_t target_pitch, void* scratch);
};

// The table of `log2_2048`.
const std::uint16_t* logarithm_table();

const Kernels& portable();

#if defined(PYVMAF_X86)
const Kernels& avx2();
const Kernels& avx512();
#endif

}  // namespace pyvmaf::kernels::vif
