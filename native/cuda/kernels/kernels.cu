// The kernels of entries.hpp for devices. Compiled with -fmad=false: each step of the doubles is
// rounded by itself, as on the processor.
#include "cuda/kernels/entries.hpp"

namespace {

template <typename Kernel>
__device__ __forceinline__ void run(const typename Kernel::Arguments& arguments) {
  __shared__ typename Kernel::Shared shared;
  pyvmaf::kernels::cuda::DeviceBlock<typename Kernel::State> block;
  Kernel::run(block, arguments, shared);
}

}  // namespace

#define PYVMAF_CUDA_DEFINE(name, ...)                                            \
  extern "C" __global__ void __launch_bounds__(__VA_ARGS__::threads, 2)          \
      name(const __grid_constant__ __VA_ARGS__::Arguments arguments) {           \
    run<__VA_ARGS__>(arguments);                                                 \
  }

PYVMAF_CUDA_ENTRIES(PYVMAF_CUDA_DEFINE)
