#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "vmaf/frames.hpp"
#include "vmaf/scores.hpp"

// Conversions between Python objects and the types of native/vmaf.
namespace pyvmaf::bind {

using Indices =
    pybind11::array_t<std::int64_t, pybind11::array::c_style | pybind11::array::forcecast>;
using Values = pybind11::array_t<double, pybind11::array::c_style | pybind11::array::forcecast>;

// Returns the value of `name`; throws ValueError with the valid names. `kind` is a noun for the
// message.
template <typename Enum>
Enum lookup(const std::map<std::string, Enum>& table, const std::string& name, const char* kind) {
  const auto entry = table.find(name);
  if (entry == table.end()) {
    std::string valid;
    for (const auto& [key, value] : table) {
      valid += (valid.empty() ? "" : ", ") + key;
    }
    throw pybind11::value_error(std::string(kind) + " '" + name + "' is not one of " + valid);
  }
  return entry->second;
}

// Returns frame indices; throws ValueError unless they are 1-D and in 0..2**31-1.
std::vector<unsigned> to_indices(const Indices& array);

// Returns the columns as arrays: bagging, stddev, ci_p95_lo, ci_p95_hi.
pybind11::dict to_dict(const CollectionScores& scores);

// The planes of a Python frame. It holds their buffers, so that they stay valid while the GIL is
// released.
class Frame {
 public:
  // Throws TypeError if a plane is not a buffer of uint8 or uint16 in native byte order, ValueError
  // if it is not 2-D. `side` names the frame in messages: "reference" or "distorted".
  Frame(const pybind11::sequence& planes, const char* side);
  [[nodiscard]] const Planes& planes() const noexcept { return planes_; }

 private:
  std::vector<pybind11::buffer_info> buffers_;
  Planes planes_;
};

}  // namespace pyvmaf::bind
