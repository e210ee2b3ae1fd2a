#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cuda/cuda.hpp"

// The driver of CUDA as the kernels use it. Its library is loaded when a device is opened, and its
// few types are declared here, so that every build has the whole path but the compiled kernels, and
// tests can run it with a driver that computes on the processor.
namespace pyvmaf::kernels::cuda {

using Address = unsigned long long;  // CUdeviceptr
using Handle = void*;                // of contexts, modules, functions, streams and events

using pyvmaf::cuda::Error;
using pyvmaf::cuda::Kind;

struct Driver;  // the functions of the library

struct Description {
  std::string name;
  std::string uuid;  // "GPU-" and 32 hexadecimal digits in groups
  int major;
  int minor;
};

// Devices of this machine. Throws Error if the driver or its functions are missing.
std::vector<Description> devices();

// A device with its primary context and the module of the kernels. Any thread can use it.
class Device {
 public:
  // `image` holds the compiled kernels. Throws Error if the driver or the device is missing, if its
  // capability is below 7.5, or if the driver does not take the image.
  Device(int index, std::string image);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  Device(Device&&) = delete;
  Device& operator=(Device&&) = delete;

  [[nodiscard]] const Description& description() const noexcept { return description_; }
  [[nodiscard]] int driver_version() const noexcept { return driver_version_; }

  // Makes the context that of the calling thread.
  void enter() const;
  // Free and total bytes of the device.
  [[nodiscard]] std::pair<std::size_t, std::size_t> memory() const;
  [[nodiscard]] Handle function(const char* name) const;
  [[nodiscard]] const Driver& driver() const noexcept { return *driver_; }

 private:
  std::shared_ptr<const Driver> driver_;
  std::string image_;
  Description description_;
  int driver_version_ = 0;
  int device_ = 0;
  Handle context_ = nullptr;
  Handle module_ = nullptr;
};

// Memory of the device. Throws Error.
class DeviceMemory {
 public:
  DeviceMemory() = default;
  DeviceMemory(const Device& device, std::size_t size);
  ~DeviceMemory();
  DeviceMemory(DeviceMemory&& other) noexcept;
  DeviceMemory& operator=(DeviceMemory&& other) noexcept;
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  [[nodiscard]] Address address() const noexcept { return address_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  const Device* device_ = nullptr;
  Address address_ = 0;
  std::size_t size_ = 0;
};

// Memory of the processor that copies reach without a detour. Throws Error.
class PinnedMemory {
 public:
  PinnedMemory() = default;
  PinnedMemory(const Device& device, std::size_t size);
  ~PinnedMemory();
  PinnedMemory(PinnedMemory&& other) noexcept;
  PinnedMemory& operator=(PinnedMemory&& other) noexcept;
  PinnedMemory(const PinnedMemory&) = delete;
  PinnedMemory& operator=(const PinnedMemory&) = delete;

  [[nodiscard]] std::uint8_t* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  const Device* device_ = nullptr;
  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
};

// A point in a stream.
class Event {
 public:
  explicit Event(const Device& device);
  ~Event();
  Event(Event&& other) noexcept;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  Event& operator=(Event&&) = delete;

  // Waits until the stream has reached it.
  void wait() const;
  [[nodiscard]] Handle handle() const noexcept { return handle_; }

 private:
  const Device* device_;
  Handle handle_ = nullptr;
};

// Work that the device does in order.
class Stream {
 public:
  explicit Stream(const Device& device);
  ~Stream();
  Stream(Stream&& other) noexcept;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  Stream& operator=(Stream&&) = delete;

  void upload(Address target, const void* source, std::size_t size) const;
  void download(void* target, Address source, std::size_t size) const;
  void clear(Address target, std::size_t size) const;
  void record(const Event& event) const;
  void wait_for(const Event& event) const;
  void synchronize() const;

  struct Grid {
    int x;
    int y;
    int z;
  };
  // Launches a kernel of `threads` threads in each block of the grid, whose one parameter is at
  // `arguments`.
  void launch(Handle function, Grid grid, int threads, const void* arguments) const;

 private:
  const Device* device_;
  Handle handle_ = nullptr;
};

}  // namespace pyvmaf::kernels::cuda
