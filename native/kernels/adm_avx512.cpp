// ADM for processors with AVX-512; as vif_avx512.cpp.
#include "kernels/vectors_avx512.hpp"

// After the vectors, which it is written against.
#include "kernels/adm_vector.hpp"

namespace pyvmaf::kernels::adm {

const Kernels& avx512() {
  static constexpr Kernels kernels{"avx512", scratch_size, measure};
  return kernels;
}

}  // namespace pyvmaf::kernels::adm
