// A build without CUDA: everything that needs a device says so.
#include "cuda/cuda.hpp"

namespace pyvmaf::cuda {

namespace {

[[noreturn]] void refuse() {
  throw Error(Kind::build, "this build of pyvmaf computes on the processor only");
}

}  // namespace

int driver_version() { refuse(); }

std::vector<Device> devices() { refuse(); }

Device find_device(const std::string& /*wanted*/) { refuse(); }

std::unique_ptr<Held> hold(const std::string& /*wanted*/) { refuse(); }

std::shared_ptr<const void> attach(VmafContext* /*context*/, const std::string& /*device*/) {
  refuse();
}

}  // namespace pyvmaf::cuda
