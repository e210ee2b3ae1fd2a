#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/adm_arithmetic.hpp"
#include "kernels/lines.hpp"

// What an implementation of ADM for one instruction set offers; as vif_kernels.hpp.
namespace pyvmaf::kernels::adm {

// A reference and its distorted versions at one scale. Samples are those of the frames at scale 0
// (uint8 or uint16), int16 at scale 1 and int32 at the others; around each line of an
// approximation, `margin` of them can be written, too.
struct Ladder {
  int scale;
  int bits;
  int width;  // of the pictures that are divided
  int height;
  const Lines* pictures;        // the reference, and `count` distorted ones
  void* const* approximations;  // of each picture; null at the last scale
  std::ptrdiff_t approximation_pitch;
  int count;
  const double* gain_limits;
  int limit_count;  // 1 or 2
  bool additive;    // whether sums of additive impairments are wanted
  Factors factors;
};

struct Kernels {
  const char* name;
  // Bytes of scratch memory, aligned to 64, for frames of this size.
  std::size_t (*scratch_size)(int width, int height, int count, int limit_count);
  // Divides the pictures, and adds to the sums: those of distorted version i with limit j of the
  // gain are sums[i * limit_count + j].
  void (*measure)(const Ladder& ladder, void* scratch, ReferenceSums& reference, Sums* sums);
};

const Kernels& portable();

#if defined(PYVMAF_X86)
const Kernels& avx2();
const Kernels& avx512();
#endif

}  // namespace pyvmaf::kernels::adm
