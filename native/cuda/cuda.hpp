#pragma once

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

struct VmafContext;

// What the rest of the extension sees of CUDA, with and without it in the build: driver.cpp is the
// one, absent.cpp the other.
namespace pyvmaf::cuda {

enum class Kind {
  build,       // this build has no CUDA
  driver,      // there is no driver library
  function,    // the library lacks a function
  version,     // the driver is too old for the build's device code
  start,       // cuInit failed
  device,      // there is no device, or none of this index or UUID
  capability,  // the build has no code for the device's compute capability
  memory,      // the device is out of memory
  call,        // another call failed
};

const char* name(Kind kind) noexcept;

class Error : public std::runtime_error {
 public:
  Error(Kind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  [[nodiscard]] Kind kind() const noexcept { return kind_; }

 private:
  Kind kind_;
};

struct Device {
  int index;
  std::string name;
  std::string uuid;  // "GPU-" and 36 characters, as nvidia-smi prints it
  int major;         // of the compute capability
  int minor;
  std::size_t memory;  // bytes
};

// The version of CUDA that the driver supports: 13000 stands for 13.0.
int driver_version();

// Lists the devices; none is an Error.
std::vector<Device> devices();

// Finds a device by its index ("0") or by its UUID or the start of one ("GPU-3f2a"), and checks
// that this build has code for it.
Device find_device(const std::string& wanted);

struct Memory {
  std::size_t free;
  std::size_t total;
};

// A device that is held: its context exists while this object lives.
class Held {
 public:
  Held() = default;
  virtual ~Held() = default;
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  [[nodiscard]] virtual const Device& device() const = 0;
  // Bytes of its memory.
  [[nodiscard]] virtual Memory memory() const = 0;
};

// Holds the device that find_device finds.
std::unique_ptr<Held> hold(const std::string& wanted);

// Lets a context of libvmaf, which must not have extractors yet, use a device. What is returned
// holds the device and must be freed after the context.
std::shared_ptr<const void> attach(VmafContext* context, const std::string& device);

}  // namespace pyvmaf::cuda
