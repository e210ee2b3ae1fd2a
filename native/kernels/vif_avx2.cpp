// VIF for processors with AVX2 and FMA. Nothing of this file may run before these are known to be
// there.
#include "kernels/vectors_avx2.hpp"
#include "kernels/vif_vector.hpp"

namespace pyvmaf::kernels::vif {

const Kernels& avx2() {
  static constexpr Kernels kernels{"avx2", logarithms, scratch_size, statistics, decimate};
  return kernels;
}

}  // namespace pyvmaf::kernels::vif
