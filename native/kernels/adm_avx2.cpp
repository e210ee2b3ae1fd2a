// ADM for processors with AVX2; as vif_avx2.cpp.
#include "kernels/vectors_avx2.hpp"

// After the vectors, which it is written against.
#include "kernels/adm_vector.hpp"

namespace pyvmaf::kernels::adm {

const Kernels& avx2() {
  static constexpr Kernels kernels{"avx2", scratch_size, measure};
  return kernels;
}

}  // namespace pyvmaf::kernels::adm
