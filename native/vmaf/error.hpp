#pragma once

#include <cstring>
#include <stdexcept>
#include <string>

namespace pyvmaf {

// A libvmaf call that returned a non-zero status. `code` is the status as libvmaf returned it.
class VmafError : public std::runtime_error {
 public:
  VmafError(const std::string& message, int code) : std::runtime_error(message), code_(code) {}
  [[nodiscard]] int code() const noexcept { return code_; }

 private:
  int code_;
};

// Throws VmafError unless `status` is 0. `call` describes the call in the message. libvmaf reports
// failures as -errno, and in one case as +1: any non-zero status is a failure.
inline void check(int status, const std::string& call) {
  if (status == 0) {
    return;
  }
  std::string reason = "status " + std::to_string(status);
  if (status < 0) {
    reason += std::string(" (") + std::strerror(-status) + ")";
  }
  throw VmafError(call + " failed: " + reason, status);
}

}  // namespace pyvmaf
