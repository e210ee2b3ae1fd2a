#pragma once

#include <cstddef>

#include "cuda/cuda.hpp"
#include "ffnvcodec/dynlink_loader.h"

// CUDA's driver, loaded when it is first asked for, and objects that hold a device. Every call that
// can fail throws Error, whose kind says what is missing. A build without CUDA does not have it.
namespace pyvmaf::cuda {

// Loads the driver and starts it, once in a process. A failure is tried again by the next call.
const CudaFunctions& driver();

// Throws Error unless the build has code that runs on a compute capability.
void check_capability(const Device& device);

// Throws Error with the driver's name and text of a status, unless it is CUDA_SUCCESS.
void check(CUresult status, const char* call);

// The primary context of a device, held while this object lives. It is shared by all holders in a
// process, so that libvmaf's work and our own are on one device and in one address space.
class Primary {
 public:
  explicit Primary(const Device& device);
  ~Primary();
  Primary(const Primary&) = delete;
  Primary& operator=(const Primary&) = delete;
  [[nodiscard]] CUcontext get() const noexcept { return context_; }
  [[nodiscard]] const Device& device() const noexcept { return device_; }

 private:
  Device device_;
  CUdevice handle_ = 0;
  CUcontext context_ = nullptr;
};

// Makes a context the current one of this thread while this object lives.
class Current {
 public:
  explicit Current(const Primary& primary);
  ~Current();
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;
};

// Bytes of device memory, of the current context.
Memory memory();

}  // namespace pyvmaf::cuda
