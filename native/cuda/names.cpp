#include "cuda/cuda.hpp"

namespace pyvmaf::cuda {

const char* name(Kind kind) noexcept {
  switch (kind) {
    case Kind::build:
      return "build";
    case Kind::driver:
      return "driver";
    case Kind::function:
      return "function";
    case Kind::version:
      return "version";
    case Kind::start:
      return "start";
    case Kind::device:
      return "device";
    case Kind::capability:
      return "capability";
    case Kind::memory:
      return "memory";
    case Kind::call:
      break;
  }
  return "call";
}

}  // namespace pyvmaf::cuda
