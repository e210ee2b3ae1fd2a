// VIF for processors with AVX-512 and FMA. Nothing of this file may run before these are known to
// be there.
#include "kernels/vectors_avx512.hpp"
#include "kernels/vif_vector.hpp"

namespace pyvmaf::kernels::vif {

const Kernels& avx512() {
  static constexpr Kernels kernels{"avx512", logarithms, scratch_size, statistics, decimate};
  return kernels;
}

}  // namespace pyvmaf::kernels::vif
