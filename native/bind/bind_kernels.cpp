#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bind/bind.hpp"
#include "bind/convert.hpp"
#include "kernels/adm.hpp"
#include "kernels/motion.hpp"
#include "kernels/vif.hpp"

namespace py = pybind11;

namespace pyvmaf::bind {

namespace {

namespace adm = kernels::adm;
namespace motion = kernels::motion;
namespace vif = kernels::vif;

std::uint64_t difference(motion::Measure& kernel, const py::object& reference) {
  const Frame frame(py::make_tuple(reference), "reference");
  const py::gil_scoped_release released;
  return kernel.measure(frame.planes()[0]);
}

// Measures a ladder with a kernel whose results, of one scale of a distorted version with one limit
// of the gain each, are a few floats.
template <typename Result, typename Measure>
py::array_t<float> measure(Measure& kernel, const py::object& reference,
                           const py::sequence& distorted) {
  const Frame ref(py::make_tuple(reference), "reference");
  const Frame versions(distorted, "distorted");
  const std::size_t count = versions.planes().size();
  constexpr std::size_t floats = sizeof(Result) / sizeof(float);
  static_assert(sizeof(Result) == floats * sizeof(float) && adm::scale_count == vif::scale_count);
  py::array_t<float> results({count, kernel.limit_count(), std::size_t{vif::scale_count}, floats});
  auto* data = reinterpret_cast<Result*>(results.mutable_data());
  {
    const py::gil_scoped_release released;
    kernel.measure(ref.planes()[0], versions.planes(), data);
  }
  return results;
}

}  // namespace

void bind_kernels(py::module_& module) {
  module.def("instruction_sets", &vif::instruction_sets,
             R"(Return the instruction sets that the kernels can use here, the fastest first.

"portable" is the last: plain C++.
)");
  module.def("logarithms_agree", &vif::logarithms_agree, py::arg("instruction_set"),
             py::call_guard<py::gil_scoped_release>(),
             R"(Return whether the logarithms of an instruction set equal those of plain C++.

All 2**15 mantissas are tried, which takes about a millisecond.

Raises:
    ValueError: the instruction set is not one of `instruction_sets`.
)");
  py::class_<vif::Measure>(
      module, "Vif",
      R"(Visual information fidelity of luma at four scales, of a reference and distorted versions.

The results equal those of libvmaf's extractor "vif" in plain C to the last bit. Memory is taken at
the start. Use an object from one thread at a time.
)")
      .def(py::init<int, int, int, int, std::vector<double>, const std::string&>(),
           py::arg("width"), py::arg("height"), py::arg("bpc"), py::arg("most_distorted"),
           py::arg("gain_limits"), py::arg("instruction_set"), R"(Take the memory.

Args:
    width: of the frames, 33 or more.
    height: of the frames, 33 or more.
    bpc: bits per sample: 8 (uint8 planes), 10 or 12 (uint16 planes).
    most_distorted: distorted versions in one call, at most.
    gain_limits: one or two limits of the enhancement gain, each 1 to 100.
    instruction_set: a name of `instruction_sets`.

Raises:
    ValueError: an argument out of range.
)")
      .def("measure", &measure<vif::Ratio, vif::Measure>, py::arg("reference"),
           py::arg("distorted"),
           R"(Measure a frame and its distorted versions.

Args:
    reference: the luma plane, a 2-D buffer of shape (height, width) with any strides.
    distorted: luma planes as of the reference.

Returns:
    float32 of shape (distorted, gain limits, 4 scales, 2): numerators and denominators. A score is
    their quotient in float32.

Raises:
    TypeError: a plane is not a buffer, or not of uint8 or uint16.
    ValueError: a plane does not fit, or a sample is greater than 2**bpc - 1.
)");
  py::class_<adm::Measure>(module, "Adm",
                           R"(Detail losses and additive impairments of luma at four scales.

They are of a reference and distorted versions of it. The results equal those of libvmaf's extractor
"adm" in plain C to the last bit. Memory is taken at the start. Use an object from one thread at a
time.
)")
      .def(py::init([](int width, int height, int bpc, int most_distorted,
                       std::vector<double> gain_limits, bool additive, double view_distance,
                       int display_height, double noise_weight, int sensitivity,
                       const std::string& instruction_set) {
             return std::make_unique<adm::Measure>(
                 width, height, bpc, most_distorted, std::move(gain_limits), additive,
                 adm::Viewing{view_distance, display_height, noise_weight,
                              static_cast<adm::Sensitivity>(sensitivity)},
                 instruction_set);
           }),
           py::arg("width"), py::arg("height"), py::arg("bpc"), py::arg("most_distorted"),
           py::arg("gain_limits"), py::arg("additive"), py::arg("view_distance"),
           py::arg("display_height"), py::arg("noise_weight"), py::arg("sensitivity"),
           py::arg("instruction_set"),
           R"(Take the memory.

Args:
    width: of the frames, 33 or more.
    height: of the frames, 33 or more.
    bpc: bits per sample: 8 (uint8 planes), 10 or 12 (uint16 planes).
    most_distorted: distorted versions in one call, at most.
    gain_limits: one or two limits of the enhancement gain, each 1 to 100.
    additive: whether additive impairments are measured, too.
    view_distance: in heights of the display; times display_height it is 3240 or more.
    display_height: in samples.
    noise_weight: what each sample adds to details, 0 or more.
    sensitivity: libvmaf's adm_csf_mode: 0, 2 or 3; those beside 0 are known for a few displays.
    instruction_set: a name of `instruction_sets`.

Raises:
    ValueError: an argument out of range.
)")
      .def("measure", &measure<adm::Parts, adm::Measure>, py::arg("reference"),
           py::arg("distorted"), R"(Measure a frame and its distorted versions.

Args:
    reference: the luma plane, a 2-D buffer of shape (height, width) with any strides.
    distorted: luma planes as of the reference.

Returns:
    float32 of shape (distorted, gain limits, 4 scales, 3): details of the distorted version, details
    of the reference, and additive impairments (0 if they are not measured).

Raises:
    TypeError: a plane is not a buffer, or not of uint8 or uint16.
    ValueError: a plane does not fit, or a sample is greater than 2**bpc - 1.
)");
  py::class_<motion::Measure>(module, "Motion",
                              R"(Differences of the blurred luma of the frames of a video.

They are those of libvmaf's extractor "motion". Memory is taken at the start. Use an object from one
thread at a time.
)")
      .def(py::init<int, int, int, int, const std::string&>(), py::arg("width"), py::arg("height"),
           py::arg("bpc"), py::arg("distance"), py::arg("instruction_set"), R"(Take the memory.

Args:
    width: of the frames, 33 or more.
    height: of the frames, 33 or more.
    bpc: bits per sample: 8 (uint8 planes), 10 or 12 (uint16 planes).
    distance: 1 for differences to the frame before, 2 for those to the one before that.
    instruction_set: a name of `instruction_sets`.

Raises:
    ValueError: an argument out of range.
)")
      .def("measure", &difference, py::arg("reference"), R"(Measure the next frame.

Args:
    reference: the luma plane, a 2-D buffer of shape (height, width) with any strides.

Returns:
    Sum of the absolute differences of all samples, of unit 2**-8 in samples of 8 bits; 0 for the
    first `distance` frames.

Raises:
    TypeError: the plane is not a buffer, or not of uint8 or uint16.
    ValueError: the plane does not fit, or a sample is greater than 2**bpc - 1.
)");
}

}  // namespace pyvmaf::bind
