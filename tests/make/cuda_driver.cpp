// A libcuda.so.1 that runs pyvmaf's kernels on the processor: block by block, step by step, thread
// by thread. Tests build it, since it needs no device: what is run is the source of the kernels
// with all of their launches, and the code that calls the driver.
//
// FAKE_CUDA_MEMORY limits the device's memory (bytes). FAKE_CUDA_WRONG names a kernel that adds
// 2^40 to the first 64-bit sum that it adds to, from its call FAKE_CUDA_FROM on. FAKE_CUDA_FAULT
// names a call of the driver that fails, from its call FAKE_CUDA_FROM on. FAKE_CUDA_CAPABILITY is
// 90 unless set.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "cuda/kernels/entries.hpp"

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

using Address = unsigned long long;
using Handle = void*;

[[noreturn]] void fail(const std::string& message) {
  std::fprintf(stderr, "fake CUDA: %s\n", message.c_str());
  std::abort();
}

long setting(const char* name, long otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::atol(text);
}

// Whether the call that `variable` names is to go wrong this time.
bool goes_wrong(const char* variable, const std::string& call) {
  static std::map<std::string, long> calls;
  const char* wanted = std::getenv(variable);
  return wanted != nullptr && call == wanted && calls[variable]++ >= setting("FAKE_CUDA_FROM", 0);
}

#define MAY_FAIL()                               \
  if (goes_wrong("FAKE_CUDA_FAULT", __func__)) { \
    return 700;                                  \
  }

std::int64_t wrong_by = 0;

template <typename State>
class HostBlock {
 public:
  HostBlock(int x, int y, int z, int threads)
      : index_{x, y, z}, states_(static_cast<std::size_t>(threads)) {
    // What a thread has not written yet must not count.
    std::memset(static_cast<void*>(states_.data()), 0x5A, sizeof(State) * states_.size());
  }

  [[nodiscard]] int index(int axis) const { return index_[axis]; }

  template <typename Step>
  void each(const Step& step) {
    targets_.clear();
    for (std::size_t thread = 0; thread < states_.size(); ++thread) {
      call_ = 0;
      step(static_cast<int>(thread), states_[thread]);
      if (thread % 32 == 0) {
        calls_of_warp_ = call_;
      } else if (call_ != calls_of_warp_) {
        fail("threads of a warp differ in their calls of add");
      }
      if (thread % 32 == 31) {
        targets_.clear();
      }
    }
  }

  template <typename Integer>
  void add(int /*thread*/, Integer* target, Integer value) {
    if (call_ == targets_.size()) {
      targets_.push_back(nullptr);
    }
    if (value != 0) {
      if (targets_[call_] != nullptr && targets_[call_] != target) {
        fail("threads of a warp add to different targets");
      }
      targets_[call_] = target;
      *target += value + static_cast<Integer>(wrong_by);
      wrong_by = 0;
    }
    ++call_;
  }

 private:
  int index_[3];
  std::vector<State> states_;
  std::size_t call_ = 0;
  std::size_t calls_of_warp_ = 0;
  std::vector<void*> targets_;
};

struct Grid {
  int x;
  int y;
  int z;
};

template <typename Kernel>
void run(const void* pointer, Grid grid, int threads) {
  if (threads != Kernel::threads) {
    fail("a kernel was started with a wrong number of threads");
  }
  typename Kernel::Arguments arguments;
  std::memcpy(static_cast<void*>(&arguments), pointer, sizeof(arguments));
  // On the heap, where a sanitizer sees each access beyond it.
  const std::vector<unsigned char> rubbish(sizeof(typename Kernel::Shared), 0x5A);
  for (int z = 0; z < grid.z; ++z) {
    for (int y = 0; y < grid.y; ++y) {
      for (int x = 0; x < grid.x; ++x) {
        std::vector<typename Kernel::Shared> shared(1);
        std::memcpy(static_cast<void*>(shared.data()), rubbish.data(), rubbish.size());
        HostBlock<typename Kernel::State> block(x, y, z, threads);
        Kernel::run(block, arguments, shared.front());
      }
    }
  }
}

struct Function {
  const char* name;
  void (*run)(const void*, Grid, int);
};

#define NAMED(name, ...) {#name, &run<__VA_ARGS__>},
const Function functions[] = {PYVMAF_CUDA_ENTRIES(NAMED)};

std::mutex mutex;
std::map<Address, std::size_t> allocations;
std::size_t used = 0;

std::size_t total_memory() {
  return static_cast<std::size_t>(setting("FAKE_CUDA_MEMORY", 1L << 30));
}

// Fails unless the range belongs to one allocation.
void check_range(Address address, std::size_t size) {
  const std::lock_guard<std::mutex> lock(mutex);
  auto after = allocations.upper_bound(address);
  if (after == allocations.begin() || (--after, address + size > after->first + after->second)) {
    fail("a copy goes beyond the device's memory");
  }
}

}  // namespace

EXPORT int cuInit(unsigned) { return setting("FAKE_CUDA_DEVICES", 1) == 0 ? 100 : 0; }
EXPORT int cuGetErrorName(int code, const char** name) {
  *name = code == 2     ? "CUDA_ERROR_OUT_OF_MEMORY"
          : code == 100 ? "CUDA_ERROR_NO_DEVICE"
          : code == 200 ? "CUDA_ERROR_INVALID_IMAGE"
          : code == 700 ? "CUDA_ERROR_ILLEGAL_ADDRESS"
                        : "CUDA_ERROR_UNKNOWN";
  return 0;
}
EXPORT int cuDriverGetVersion(int* version) {
  *version = 13000;
  return 0;
}
EXPORT int cuDeviceGetCount(int* count) {
  *count = static_cast<int>(setting("FAKE_CUDA_DEVICES", 1));
  return 0;
}
EXPORT int cuDeviceGet(int* device, int index) {
  *device = index;
  return 0;
}
EXPORT int cuDeviceGetName(char* name, int size, int) {
  std::snprintf(name, static_cast<std::size_t>(size), "processor (fake CUDA)");
  return 0;
}
EXPORT int cuDeviceGetUuid_v2(unsigned char* uuid, int device) {
  for (int i = 0; i < 16; ++i) {
    uuid[i] = static_cast<unsigned char>(16 * device + i);
  }
  return 0;
}
EXPORT int cuDeviceGetAttribute(int* value, int attribute, int) {
  const auto capability = static_cast<int>(setting("FAKE_CUDA_CAPABILITY", 90));
  *value = attribute == 75 ? capability / 10 : capability % 10;
  return 0;
}
EXPORT int cuDevicePrimaryCtxRetain(Handle* context, int) {
  *context = &allocations;
  return 0;
}
EXPORT int cuDevicePrimaryCtxRelease_v2(int) { return 0; }
EXPORT int cuCtxSetCurrent(Handle) { return 0; }
EXPORT int cuModuleLoadData(Handle* module, const void* image) {
  if (std::strcmp(static_cast<const char*>(image), "fake") != 0) {
    return 200;
  }
  *module = &allocations;
  return 0;
}
EXPORT int cuModuleUnload(Handle) { return 0; }
EXPORT int cuModuleGetFunction(Handle* function, Handle, const char* name) {
  for (const Function& own : functions) {
    if (std::strcmp(own.name, name) == 0) {
      *function = const_cast<Function*>(&own);
      return 0;
    }
  }
  return 500;
}
EXPORT int cuMemGetInfo_v2(std::size_t* unused, std::size_t* total) {
  *total = total_memory();
  *unused = *total - used;
  return 0;
}
EXPORT int cuMemAlloc_v2(Address* address, std::size_t size) {
  MAY_FAIL()
  const std::lock_guard<std::mutex> lock(mutex);
  if (size == 0) {
    return 1;
  }
  if (used + size > total_memory()) {
    return 2;
  }
  void* memory = std::aligned_alloc(256, (size + 255) / 256 * 256);
  // A device's memory holds what was there before.
  std::memset(memory, 0x5A, size);
  *address = reinterpret_cast<Address>(memory);
  allocations[*address] = size;
  used += size;
  return 0;
}
EXPORT int cuMemFree_v2(Address address) {
  const std::lock_guard<std::mutex> lock(mutex);
  used -= allocations.at(address);
  allocations.erase(address);
  std::free(reinterpret_cast<void*>(address));
  return 0;
}
EXPORT int cuMemHostAlloc(void** memory, std::size_t size, unsigned) {
  *memory = std::malloc(size);
  return 0;
}
EXPORT int cuMemFreeHost(void* memory) {
  std::free(memory);
  return 0;
}
EXPORT int cuMemsetD8Async(Address address, unsigned char value, std::size_t size, Handle) {
  check_range(address, size);
  std::memset(reinterpret_cast<void*>(address), value, size);
  return 0;
}
EXPORT int cuMemcpyHtoDAsync_v2(Address target, const void* source, std::size_t size, Handle) {
  MAY_FAIL()
  check_range(target, size);
  std::memcpy(reinterpret_cast<void*>(target), source, size);
  return 0;
}
EXPORT int cuMemcpyDtoHAsync_v2(void* target, Address source, std::size_t size, Handle) {
  check_range(source, size);
  std::memcpy(target, reinterpret_cast<const void*>(source), size);
  return 0;
}
EXPORT int cuStreamCreate(Handle* stream, unsigned) {
  *stream = std::malloc(1);
  return 0;
}
EXPORT int cuStreamDestroy_v2(Handle stream) {
  std::free(stream);
  return 0;
}
EXPORT int cuStreamSynchronize(Handle) { return 0; }
EXPORT int cuStreamWaitEvent(Handle, Handle event, unsigned) {
  if (*static_cast<char*>(event) == 0) {
    fail("a stream waits for an event that was never recorded");
  }
  return 0;
}
EXPORT int cuEventCreate(Handle* event, unsigned) {
  *event = std::calloc(1, 1);
  return 0;
}
EXPORT int cuEventDestroy_v2(Handle event) {
  std::free(event);
  return 0;
}
EXPORT int cuEventRecord(Handle event, Handle) {
  *static_cast<char*>(event) = 1;
  return 0;
}
EXPORT int cuEventSynchronize(Handle) {
  MAY_FAIL()
  return 0;
}
EXPORT int cuLaunchKernel(Handle handle, unsigned x, unsigned y, unsigned z, unsigned threads,
                          unsigned, unsigned, unsigned, Handle, void** parameters, void**) {
  MAY_FAIL()
  if (x == 0 || y == 0 || z == 0 || y > 65535 || z > 65535) {
    return 1;
  }
  const auto* function = static_cast<const Function*>(handle);
  wrong_by = goes_wrong("FAKE_CUDA_WRONG", function->name) ? std::int64_t{1} << 40 : 0;
  function->run(parameters[0], {static_cast<int>(x), static_cast<int>(y), static_cast<int>(z)},
                static_cast<int>(threads));
  wrong_by = 0;
  return 0;
}
