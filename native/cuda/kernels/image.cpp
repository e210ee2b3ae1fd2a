#include "cuda/kernels/image.hpp"

#include <cstdint>
#include <cstring>

#if defined(PYVMAF_CUDA_KERNELS)
// What the build makes of kernels.cu.
extern "C" const unsigned char kernels_fatbin[];
#endif

namespace pyvmaf::kernels::cuda {

std::string_view image() {
#if defined(PYVMAF_CUDA_KERNELS)
  // The header of a fatbin: a magic number, a version, its own length, and that of what follows.
  std::uint16_t header = 0;
  std::uint64_t body = 0;
  std::memcpy(&header, kernels_fatbin + 6, sizeof(header));
  std::memcpy(&body, kernels_fatbin + 8, sizeof(body));
  return {reinterpret_cast<const char*>(kernels_fatbin), header + body};
#else
  return {};
#endif
}

}  // namespace pyvmaf::kernels::cuda
