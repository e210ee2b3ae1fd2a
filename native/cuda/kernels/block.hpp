#pragma once

#include <cstdint>

#include "kernels/common.hpp"

// How a kernel for devices is written: a class with
//
//   threads              of a block
//   Arguments            what a launch passes, plain data
//   Shared               memory that the threads of a block share, plain data
//   State                what a thread keeps from step to step, plain data
//   run(block, arguments, shared)
//
// `run` is a sequence of steps, `block.each([&](int thread, State& state) { ... })`, between which
// the threads wait for each other. All threads of a block take the same steps, so that the same
// source runs on a processor, one thread of a step after another; tests do that.
//
// A block offers index(0), index(1) and index(2), each(step), and within a step
// add(thread, target, value): each thread adds its value to a sum in the device's memory. The
// 32 threads of a warp reach the same calls of `add` in the same order, and name the same target
// unless their values are all 0.

namespace pyvmaf::kernels::cuda {

// `count` divided by `size`, rounded up.
PYVMAF_ANYWHERE constexpr int parts_of(int count, int size) { return (count + size - 1) / size; }

// Four neighbours in shared memory: one load takes them all.
struct alignas(16) Quad {
  std::uint32_t values[4];
};

struct alignas(16) SignedQuad {
  std::int32_t values[4];
};

struct Nothing {};

}  // namespace pyvmaf::kernels::cuda

#if defined(__CUDACC__)

namespace pyvmaf::kernels::cuda {

template <typename State>
class DeviceBlock {
 public:
  __device__ static int index(int axis) {
    return static_cast<int>(axis == 0 ? blockIdx.x : axis == 1 ? blockIdx.y : blockIdx.z);
  }

  template <typename Step>
  __device__ __forceinline__ void each(const Step& step) {
    step(static_cast<int>(threadIdx.x), state_);
    __syncthreads();
  }

  template <typename Integer>
  __device__ __forceinline__ static void add(int thread, Integer* target, Integer value) {
    static_assert(sizeof(Integer) == sizeof(unsigned long long));
    auto sum = static_cast<unsigned long long>(value);
    if (__any_sync(0xFFFFFFFFU, sum != 0) == 0) {
      return;
    }
    for (int offset = 16; offset > 0; offset /= 2) {
      sum += __shfl_down_sync(0xFFFFFFFFU, sum, static_cast<unsigned>(offset));
    }
    if (thread % 32 == 0 && sum != 0) {
      atomicAdd(reinterpret_cast<unsigned long long*>(target), sum);
    }
  }

 private:
  State state_;
};

}  // namespace pyvmaf::kernels::cuda

#define PYVMAF_UNROLL _Pragma("unroll")

#else

#define PYVMAF_UNROLL

#endif
