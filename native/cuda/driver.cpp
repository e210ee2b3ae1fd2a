#include "cuda/driver.hpp"

#include <libvmaf/libvmaf_cuda.h>

#include <array>
#include <cstdio>
#include <mutex>
#include <sstream>

#include "build_info.hpp"
#include "vmaf/error.hpp"

namespace pyvmaf::cuda {

namespace {

std::mutex mutex;
// Never unloaded: contexts and modules of the process may outlive any object here.
CudaFunctions* functions = nullptr;

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

void check_with(const CudaFunctions& loaded, CUresult status, const char* call, Kind kind) {
  if (status == CUDA_SUCCESS) {
    return;
  }
  const char* word = nullptr;
  const char* text = nullptr;
  loaded.cuGetErrorName(status, &word);
  loaded.cuGetErrorString(status, &text);
  std::string message = std::string(call) + " failed: ";
  message += word != nullptr ? word : "status " + std::to_string(static_cast<int>(status));
  if (text != nullptr) {
    message += std::string(" (") + text + ")";
  }
  throw Error(kind, message);
}

CudaFunctions* load() {
  CudaFunctions* loaded = nullptr;
  const char* missing = nullptr;
  if (pyvmaf_cuda_load(&loaded, &missing) != 0) {
    if (missing == nullptr || std::string(missing) == PYVMAF_CUDA_LIBRARY) {
      throw Error(Kind::driver, "CUDA's driver library " PYVMAF_CUDA_LIBRARY " cannot be loaded");
    }
    throw Error(Kind::function, "CUDA's driver library " PYVMAF_CUDA_LIBRARY
                                " does not have the function " +
                                    std::string(missing) + ": it is too old");
  }
  try {
    check_with(*loaded, loaded->cuInit(0), "cuInit", Kind::start);
    int version = 0;
    check_with(*loaded, loaded->cuDriverGetVersion(&version), "cuDriverGetVersion", Kind::start);
    // Device code of a toolkit loads on drivers of its major version and later ones.
    if (version / 1000 < CUDA_VERSION / 1000) {
      throw Error(Kind::version, "the driver supports CUDA " + version_text(version) +
                                     ", this build needs a driver for CUDA " +
                                     std::to_string(CUDA_VERSION / 1000) + ".0 or later");
    }
  } catch (const Error&) {
    cuda_free_functions(&loaded);
    throw;
  }
  return loaded;
}

std::string uuid_text(const CUuuid& uuid) {
  std::string text = "GPU-";
  for (std::size_t i = 0; i < sizeof(uuid.bytes); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) {
      text += '-';
    }
    std::array<char, 3> digits{};
    std::snprintf(digits.data(), digits.size(), "%02x", static_cast<unsigned char>(uuid.bytes[i]));
    text += digits.data();
  }
  return text;
}

Device describe(int index) {
  const CudaFunctions& f = driver();
  CUdevice handle = 0;
  check(f.cuDeviceGet(&handle, index), "cuDeviceGet");
  std::array<char, 256> text{};
  check(f.cuDeviceGetName(text.data(), static_cast<int>(text.size()) - 1, handle),
        "cuDeviceGetName");
  CUuuid uuid{};
  check(f.cuDeviceGetUuid(&uuid, handle), "cuDeviceGetUuid");
  Device device{index, text.data(), uuid_text(uuid), 0, 0, 0};
  check(f.cuDeviceGetAttribute(&device.major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, handle),
        "cuDeviceGetAttribute");
  check(f.cuDeviceGetAttribute(&device.minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, handle),
        "cuDeviceGetAttribute");
  check(f.cuDeviceTotalMem(&device.memory, handle), "cuDeviceTotalMem");
  return device;
}

// Machine code of "sm_80" runs on 8.0 and later of the same major number; "compute_120" is
// translated by the driver for 12.0 and everything later.
bool runs(const std::string& architecture, int major, int minor) {
  const std::size_t at = architecture.find('_') + 1;
  const int number = std::stoi(architecture.substr(at));
  const int own_major = number / 10;
  const int own_minor = number % 10;
  if (architecture.compare(0, 3, "sm_") == 0) {
    return major == own_major && minor >= own_minor;
  }
  return major > own_major || (major == own_major && minor >= own_minor);
}

}  // namespace

const CudaFunctions& driver() {
  const std::lock_guard<std::mutex> lock(mutex);
  if (functions == nullptr) {
    functions = load();
  }
  return *functions;
}

int driver_version() {
  int version = 0;
  check(driver().cuDriverGetVersion(&version), "cuDriverGetVersion");
  return version;
}

std::vector<Device> devices() {
  int count = 0;
  check(driver().cuDeviceGetCount(&count), "cuDeviceGetCount");
  if (count < 1) {
    throw Error(Kind::device, "the driver reports no CUDA device");
  }
  std::vector<Device> found;
  for (int index = 0; index < count; ++index) {
    found.push_back(describe(index));
  }
  return found;
}

void check_capability(const Device& device) {
  std::istringstream words(build::cuda_architectures);
  std::string word;
  while (words >> word) {
    if (runs(word, device.major, device.minor)) {
      return;
    }
  }
  throw Error(Kind::capability, "device " + std::to_string(device.index) + " (" + device.name +
                                    ") has compute capability " + std::to_string(device.major) +
                                    "." + std::to_string(device.minor) +
                                    ", this build has code for " + build::cuda_architectures);
}

Device find_device(const std::string& wanted) {
  const std::vector<Device> all = devices();
  const bool by_index =
      !wanted.empty() && wanted.find_first_not_of("0123456789") == std::string::npos;
  std::vector<Device> matches;
  std::string list;
  for (const Device& device : all) {
    if (by_index ? std::to_string(device.index) == wanted
                 : wanted.size() > 4 && device.uuid.compare(0, wanted.size(), wanted) == 0) {
      matches.push_back(device);
    }
    list += (list.empty() ? "" : ", ") + std::to_string(device.index) + " " + device.uuid;
  }
  if (matches.size() != 1) {
    throw Error(Kind::device, "'" + wanted + "' names " + std::to_string(matches.size()) +
                                  " CUDA devices, not 1; the devices by index and UUID are " +
                                  list);
  }
  check_capability(matches.front());
  return matches.front();
}

void check(CUresult status, const char* call) {
  check_with(driver(), status, call,
             status == CUDA_ERROR_OUT_OF_MEMORY ? Kind::memory : Kind::call);
}

Primary::Primary(const Device& device) : device_(device) {
  check(driver().cuDeviceGet(&handle_, device.index), "cuDeviceGet");
  check(driver().cuDevicePrimaryCtxRetain(&context_, handle_), "cuDevicePrimaryCtxRetain");
}

// A failure in a destructor can only be ignored: the process that owns the device ends soon.
Primary::~Primary() { static_cast<void>(driver().cuDevicePrimaryCtxRelease(handle_)); }

Current::Current(const Primary& primary) {
  check(driver().cuCtxPushCurrent(primary.get()), "cuCtxPushCurrent");
}

Current::~Current() {
  CUcontext popped = nullptr;
  static_cast<void>(driver().cuCtxPopCurrent(&popped));
}

Memory memory() {
  Memory bytes{};
  check(driver().cuMemGetInfo(&bytes.free, &bytes.total), "cuMemGetInfo");
  return bytes;
}

namespace {

class HeldPrimary : public Held {
 public:
  explicit HeldPrimary(const Device& device) : primary_(device) {}
  [[nodiscard]] const Device& device() const override { return primary_.device(); }
  [[nodiscard]] Memory memory() const override {
    const Current current(primary_);
    return cuda::memory();
  }

 private:
  Primary primary_;
};

}  // namespace

std::unique_ptr<Held> hold(const std::string& wanted) {
  return std::make_unique<HeldPrimary>(find_device(wanted));
}

std::shared_ptr<const void> attach(VmafContext* context, const std::string& device) {
  auto primary = std::make_shared<const Primary>(find_device(device));
  VmafCudaState* state = nullptr;
  VmafCudaConfiguration configuration{};
  configuration.cu_ctx = primary->get();
  // libvmaf copies the state and frees what it holds; the struct itself, 40 bytes, it cannot free.
  pyvmaf::check(vmaf_cuda_state_init(&state, configuration), "opening CUDA for libvmaf");
  pyvmaf::check(vmaf_cuda_import_state(context, state), "giving CUDA to a context");
  return primary;
}

}  // namespace pyvmaf::cuda
