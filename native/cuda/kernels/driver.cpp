#include "cuda/kernels/driver.hpp"

#include <dlfcn.h>

#include <array>
#include <cstdio>
#include <type_traits>

namespace pyvmaf::kernels::cuda {

namespace {

constexpr const char* library_name = "libcuda.so.1";

struct Uuid {
  std::uint8_t bytes[16];
};

constexpr int out_of_memory = 2;  // CUresult
constexpr int attribute_major = 75;
constexpr int attribute_minor = 76;
constexpr unsigned event_without_timing = 2;
constexpr unsigned stream_of_its_own = 1;  // does not wait for the default stream

}  // namespace

// Names with a version are what cuda.h stands them for.
#define PYVMAF_DRIVER_FUNCTIONS(F)                                                                \
  F(cuInit, unsigned)                                                                             \
  F(cuGetErrorName, int, const char**)                                                            \
  F(cuDriverGetVersion, int*)                                                                     \
  F(cuDeviceGetCount, int*)                                                                       \
  F(cuDeviceGet, int*, int)                                                                       \
  F(cuDeviceGetName, char*, int, int)                                                             \
  F(cuDeviceGetUuid_v2, Uuid*, int)                                                               \
  F(cuDeviceGetAttribute, int*, int, int)                                                         \
  F(cuDevicePrimaryCtxRetain, Handle*, int)                                                       \
  F(cuDevicePrimaryCtxRelease_v2, int)                                                            \
  F(cuCtxSetCurrent, Handle)                                                                      \
  F(cuModuleLoadData, Handle*, const void*)                                                       \
  F(cuModuleUnload, Handle)                                                                       \
  F(cuModuleGetFunction, Handle*, Handle, const char*)                                            \
  F(cuMemGetInfo_v2, std::size_t*, std::size_t*)                                                  \
  F(cuMemAlloc_v2, Address*, std::size_t)                                                         \
  F(cuMemFree_v2, Address)                                                                        \
  F(cuMemHostAlloc, void**, std::size_t, unsigned)                                                \
  F(cuMemFreeHost, void*)                                                                         \
  F(cuMemsetD8Async, Address, unsigned char, std::size_t, Handle)                                 \
  F(cuMemcpyHtoDAsync_v2, Address, const void*, std::size_t, Handle)                              \
  F(cuMemcpyDtoHAsync_v2, void*, Address, std::size_t, Handle)                                    \
  F(cuStreamCreate, Handle*, unsigned)                                                            \
  F(cuStreamDestroy_v2, Handle)                                                                   \
  F(cuStreamSynchronize, Handle)                                                                  \
  F(cuStreamWaitEvent, Handle, Handle, unsigned)                                                  \
  F(cuEventCreate, Handle*, unsigned)                                                             \
  F(cuEventDestroy_v2, Handle)                                                                    \
  F(cuEventRecord, Handle, Handle)                                                                \
  F(cuEventSynchronize, Handle)                                                                   \
  F(cuLaunchKernel, Handle, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, \
    Handle, void**, void**)

struct Driver {
  void* library = nullptr;
#define PYVMAF_DRIVER_FIELD(name, ...) int (*name)(__VA_ARGS__) = nullptr;
  PYVMAF_DRIVER_FUNCTIONS(PYVMAF_DRIVER_FIELD)
#undef PYVMAF_DRIVER_FIELD

  Driver() = default;
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;
  Driver(Driver&&) = delete;
  Driver& operator=(Driver&&) = delete;
  // The library stays loaded: a driver that has run once starts threads of its own.
  ~Driver() = default;

  void check(int code, const char* what) const {
    if (code != 0) {
      const char* name = nullptr;
      cuGetErrorName(code, &name);
      throw Error(code == out_of_memory ? Kind::memory : Kind::call,
                  std::string(what) + " failed on the CUDA device: " +
                      (name == nullptr ? "error " + std::to_string(code) : name));
    }
  }
};

namespace {

std::shared_ptr<const Driver> load() {
  auto driver = std::make_shared<Driver>();
  driver->library = dlopen(library_name, RTLD_NOW | RTLD_LOCAL);
  if (driver->library == nullptr) {
    throw Error(Kind::driver,
                std::string("the CUDA driver is missing: ") + library_name + " cannot be loaded");
  }
#define PYVMAF_DRIVER_FIND(name, ...)                                                        \
  driver->name = reinterpret_cast<int (*)(__VA_ARGS__)>(dlsym(driver->library, #name));      \
  if (driver->name == nullptr) {                                                             \
    throw Error(Kind::function, std::string("the CUDA driver is too old: ") + library_name + \
                                    " does not have " #name);                                \
  }
  PYVMAF_DRIVER_FUNCTIONS(PYVMAF_DRIVER_FIND)
#undef PYVMAF_DRIVER_FIND
  const int code = driver->cuInit(0);
  if (code != 0) {
    const char* name = nullptr;
    driver->cuGetErrorName(code, &name);
    throw Error(Kind::start, std::string("the CUDA driver does not start: ") +
                                 (name == nullptr ? "error " + std::to_string(code) : name) +
                                 ", which is what it says without a device, too");
  }
  return driver;
}

int device_count(const Driver& driver) {
  int count = 0;
  driver.check(driver.cuDeviceGetCount(&count), "counting devices");
  return count;
}

Description describe(const Driver& driver, int device) {
  Description description{};
  std::array<char, 256> name{};
  driver.check(driver.cuDeviceGetName(name.data(), static_cast<int>(name.size()) - 1, device),
               "reading a device's name");
  description.name = name.data();
  Uuid uuid{};
  driver.check(driver.cuDeviceGetUuid_v2(&uuid, device), "reading a device's UUID");
  description.uuid = "GPU-";
  for (int i = 0; i < 16; ++i) {
    std::array<char, 3> digits{};
    std::snprintf(digits.data(), digits.size(), "%02x", uuid.bytes[i]);
    description.uuid += (i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "");
    description.uuid += digits.data();
  }
  driver.check(driver.cuDeviceGetAttribute(&description.major, attribute_major, device),
               "reading a device's capability");
  driver.check(driver.cuDeviceGetAttribute(&description.minor, attribute_minor, device),
               "reading a device's capability");
  return description;
}

}  // namespace

std::vector<Description> devices() {
  const auto driver = load();
  std::vector<Description> found;
  const int count = device_count(*driver);
  for (int i = 0; i < count; ++i) {
    int device = 0;
    driver->check(driver->cuDeviceGet(&device, i), "opening a device");
    found.push_back(describe(*driver, device));
  }
  return found;
}

Device::Device(int index, std::string image) : driver_(load()), image_(std::move(image)) {
  const Driver& driver = *driver_;
  const int count = device_count(driver);
  if (index < 0 || index >= count) {
    throw Error(Kind::device, "CUDA device " + std::to_string(index) +
                                  " is missing: the driver has " + std::to_string(count));
  }
  driver.check(driver.cuDeviceGet(&device_, index), "opening a device");
  description_ = describe(driver, device_);
  if (description_.major * 10 + description_.minor < 75) {
    throw Error(Kind::capability, description_.name + " has compute capability " +
                                      std::to_string(description_.major) + "." +
                                      std::to_string(description_.minor) +
                                      ": the kernels need 7.5 or more");
  }
  driver.check(driver.cuDriverGetVersion(&driver_version_), "reading the driver's version");
  driver.check(driver.cuDevicePrimaryCtxRetain(&context_, device_), "making a context");
  try {
    enter();
    const int code = driver.cuModuleLoadData(&module_, image_.data());
    if (code != 0) {
      const char* name = nullptr;
      driver.cuGetErrorName(code, &name);
      throw Error(Kind::version, "the CUDA driver (version " +
                                     std::to_string(driver_version_ / 1000) + "." +
                                     std::to_string(driver_version_ % 1000 / 10) +
                                     ") does not take the kernels for " + description_.name + ": " +
                                     (name == nullptr ? "error " + std::to_string(code) : name));
    }
  } catch (...) {
    driver.cuDevicePrimaryCtxRelease_v2(device_);
    throw;
  }
}

Device::~Device() {
  driver_->cuCtxSetCurrent(context_);
  driver_->cuModuleUnload(module_);
  driver_->cuDevicePrimaryCtxRelease_v2(device_);
}

void Device::enter() const {
  driver_->check(driver_->cuCtxSetCurrent(context_), "entering the context");
}

std::pair<std::size_t, std::size_t> Device::memory() const {
  std::size_t unused = 0;
  std::size_t total = 0;
  enter();
  driver_->check(driver_->cuMemGetInfo_v2(&unused, &total), "reading the free memory");
  return {unused, total};
}

Handle Device::function(const char* name) const {
  Handle found = nullptr;
  driver_->check(driver_->cuModuleGetFunction(&found, module_, name), "finding a kernel");
  return found;
}

DeviceMemory::DeviceMemory(const Device& device, std::size_t size) : device_(&device), size_(size) {
  device.enter();
  device.driver().check(device.driver().cuMemAlloc_v2(&address_, size), "taking memory");
}

DeviceMemory::~DeviceMemory() {
  if (address_ != 0) {
    device_->driver().cuMemFree_v2(address_);
  }
}

DeviceMemory::DeviceMemory(DeviceMemory&& other) noexcept
    : device_(other.device_),
      address_(std::exchange(other.address_, 0)),
      size_(std::exchange(other.size_, 0)) {}

DeviceMemory& DeviceMemory::operator=(DeviceMemory&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(address_, other.address_);
  std::swap(size_, other.size_);
  return *this;
}

PinnedMemory::PinnedMemory(const Device& device, std::size_t size) : device_(&device), size_(size) {
  device.enter();
  void* memory = nullptr;
  device.driver().check(device.driver().cuMemHostAlloc(&memory, size, 0), "taking pinned memory");
  data_ = static_cast<std::uint8_t*>(memory);
}

PinnedMemory::~PinnedMemory() {
  if (data_ != nullptr) {
    device_->driver().cuMemFreeHost(data_);
  }
}

PinnedMemory::PinnedMemory(PinnedMemory&& other) noexcept
    : device_(other.device_),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

PinnedMemory& PinnedMemory::operator=(PinnedMemory&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

Event::Event(const Device& device) : device_(&device) {
  device.enter();
  device.driver().check(device.driver().cuEventCreate(&handle_, event_without_timing),
                        "making an event");
}

Event::~Event() {
  if (handle_ != nullptr) {
    device_->driver().cuEventDestroy_v2(handle_);
  }
}

Event::Event(Event&& other) noexcept
    : device_(other.device_), handle_(std::exchange(other.handle_, nullptr)) {}

void Event::wait() const {
  device_->driver().check(device_->driver().cuEventSynchronize(handle_), "computing");
}

Stream::Stream(const Device& device) : device_(&device) {
  device.enter();
  device.driver().check(device.driver().cuStreamCreate(&handle_, stream_of_its_own),
                        "making a stream");
}

Stream::~Stream() {
  if (handle_ != nullptr) {
    device_->driver().cuStreamDestroy_v2(handle_);
  }
}

Stream::Stream(Stream&& other) noexcept
    : device_(other.device_), handle_(std::exchange(other.handle_, nullptr)) {}

void Stream::upload(Address target, const void* source, std::size_t size) const {
  device_->driver().check(device_->driver().cuMemcpyHtoDAsync_v2(target, source, size, handle_),
                          "copying to the device");
}

void Stream::download(void* target, Address source, std::size_t size) const {
  device_->driver().check(device_->driver().cuMemcpyDtoHAsync_v2(target, source, size, handle_),
                          "copying from the device");
}

void Stream::clear(Address target, std::size_t size) const {
  device_->driver().check(device_->driver().cuMemsetD8Async(target, 0, size, handle_),
                          "clearing memory");
}

void Stream::record(const Event& event) const {
  device_->driver().check(device_->driver().cuEventRecord(event.handle(), handle_),
                          "recording an event");
}

void Stream::wait_for(const Event& event) const {
  device_->driver().check(device_->driver().cuStreamWaitEvent(handle_, event.handle(), 0),
                          "waiting for an event");
}

void Stream::synchronize() const {
  device_->driver().check(device_->driver().cuStreamSynchronize(handle_), "computing");
}

void Stream::launch(Handle function, Grid grid, int threads, const void* arguments) const {
  void* parameters[] = {const_cast<void*>(arguments)};
  device_->driver().check(
      device_->driver().cuLaunchKernel(function, static_cast<unsigned>(grid.x),
                                       static_cast<unsigned>(grid.y), static_cast<unsigned>(grid.z),
                                       static_cast<unsigned>(threads), 1, 1, 0, handle_, parameters,
                                       nullptr),
      "starting a kernel");
}

}  // namespace pyvmaf::kernels::cuda
