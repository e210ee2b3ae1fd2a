#pragma once

#include <string_view>

namespace pyvmaf::kernels::cuda {

// The compiled kernels, for cuModuleLoadData; empty in a build without CUDA.
std::string_view image();

}  // namespace pyvmaf::kernels::cuda
