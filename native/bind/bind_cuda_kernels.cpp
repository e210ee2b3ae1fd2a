#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bind/bind.hpp"
#include "bind/convert.hpp"
#include "cuda/kernels/driver.hpp"
#include "cuda/kernels/image.hpp"
#include "cuda/kernels/ladder.hpp"

namespace py = pybind11;

namespace pyvmaf::bind {

namespace {

namespace adm = kernels::adm;
namespace cuda = kernels::cuda;
namespace vif = kernels::vif;

using AdmWanted = std::tuple<std::vector<double>, bool, std::tuple<double, int, double, int>>;

cuda::Wanted wanted(std::vector<std::vector<double>> vif_limits,
                    const std::vector<AdmWanted>& adm_wanted, std::vector<int> distances) {
  cuda::Wanted made{std::move(vif_limits), {}, std::move(distances)};
  for (const auto& [limits, additive, viewing] : adm_wanted) {
    const auto& [distance, height, noise, sensitivity] = viewing;
    made.adm.push_back(
        {limits, additive, {distance, height, noise, static_cast<adm::Sensitivity>(sensitivity)}});
  }
  return made;
}

void push(cuda::Ladder& ladder, const py::object& reference, const py::sequence& distorted) {
  const Frame ref(py::make_tuple(reference), "reference");
  const Frame versions(distorted, "distorted");
  const py::gil_scoped_release released;
  ladder.push(ref.planes()[0], versions.planes());
}

// Results of scales, of distorted versions with each limit of the gain.
template <typename Result>
py::list arrays(const std::vector<std::vector<Result>>& measured, int count) {
  constexpr std::size_t floats = sizeof(Result) / sizeof(float);
  constexpr std::size_t scales = vif::scale_count;
  py::list all;
  for (const std::vector<Result>& results : measured) {
    const auto versions = static_cast<std::size_t>(count);
    const std::size_t limits = versions == 0 ? 1 : results.size() / (versions * scales);
    py::array_t<float> array({versions, limits, scales, floats});
    std::copy(results.begin(), results.end(), reinterpret_cast<Result*>(array.mutable_data()));
    all.append(std::move(array));
  }
  return all;
}

py::tuple pop(cuda::Ladder& ladder) {
  cuda::Measured measured;
  {
    const py::gil_scoped_release released;
    measured = ladder.pop();
  }
  return py::make_tuple(arrays(measured.vif, measured.count), arrays(measured.adm, measured.count),
                        measured.motion);
}

}  // namespace

void bind_cuda_kernels(py::module_& module) {
  module.def(
      "kernels_image", [] { return py::bytes(cuda::image().data(), cuda::image().size()); },
      R"(Return the compiled kernels for devices, for `KernelsDevice`; empty if the build has none.)");
  module.def(
      "kernels_devices",
      [] {
        py::list devices;
        for (const cuda::Description& device : cuda::devices()) {
          devices.append(py::make_tuple(device.name, device.uuid, device.major, device.minor));
        }
        return devices;
      },
      R"(Return name, UUID and both parts of the compute capability of each device.

Raises:
    CudaError: the driver or one of its functions is missing, or it does not start.
)");
  py::class_<cuda::Device, std::shared_ptr<cuda::Device>>(
      module, "KernelsDevice", "A device with the kernels, which ladders are measured on.")
      .def(py::init([](int index, const py::bytes& image) {
             return std::make_shared<cuda::Device>(index, std::string(image));
           }),
           py::arg("index"), py::arg("image"), R"(Open a device.

Args:
    index: of the devices that the driver has.
    image: the compiled kernels.

Raises:
    CudaError: the driver or the device is missing, the compute capability is below 7.5, or the driver
        does not take the image.
)")
      .def_property_readonly(
          "name", [](const cuda::Device& device) { return device.description().name; },
          "The device's name.")
      .def_property_readonly(
          "uuid", [](const cuda::Device& device) { return device.description().uuid; },
          "The device's UUID (GPU-…), as nvidia-smi prints it.")
      .def_property_readonly(
          "capability",
          [](const cuda::Device& device) {
            return py::make_tuple(device.description().major, device.description().minor);
          },
          "Major and minor number of the compute capability.")
      .def_property_readonly("driver_version", &cuda::Device::driver_version,
                             "The version of CUDA that the driver has: 1000 * major + 10 * minor.")
      .def("memory", &cuda::Device::memory, "Return the free and all bytes of its memory.");
  py::class_<cuda::Ladder>(module, "KernelsLadder",
                           R"(Frames with their distorted versions, measured on a device.

Several frames are measured at once; the results equal those of `Vif`, `Adm` and `Motion` to the last
bit. Memory is taken at the start. Use an object from one thread at a time.
)")
      .def(py::init([](std::shared_ptr<cuda::Device> device, int width, int height, int bpc,
                       int most_distorted, std::vector<std::vector<double>> vif_limits,
                       const std::vector<AdmWanted>& adm_wanted, std::vector<int> distances,
                       int at_once) {
             return std::make_unique<cuda::Ladder>(
                 std::move(device), width, height, bpc, most_distorted,
                 wanted(std::move(vif_limits), adm_wanted, std::move(distances)), at_once);
           }),
           py::arg("device"), py::arg("width"), py::arg("height"), py::arg("bpc"),
           py::arg("most_distorted"), py::arg("vif"), py::arg("adm"), py::arg("motion"),
           py::arg("at_once"), py::call_guard<py::gil_scoped_release>(), R"(Take the memory.

Args:
    device: where to measure.
    width: of the frames, 33 or more.
    height: of the frames, 33 or more.
    bpc: bits per sample: 8 (uint8 planes), 10 or 12 (uint16 planes).
    most_distorted: distorted versions of a frame, at most.
    vif: for each measure of VIF one or two limits of the enhancement gain.
    adm: for each measure of ADM one or two limits, whether additive impairments are measured, and
        the last four arguments of `Adm` before the instruction set.
    motion: for each measure of motion the distance of the frames, 1 or 2.
    at_once: frames that are measured at the same time; fewer where memory is short.

Raises:
    ValueError: an argument out of range.
    CudaError: the device has no room for one frame, or failed.
)")
      .def("push", &push, py::arg("reference"), py::arg("distorted"),
           R"(Copy a frame and its distorted versions and start to measure them.

Waits for the oldest frame where `at_once` are being measured. Without distorted versions only motion
is measured.

Args:
    reference: the luma plane, a 2-D buffer of shape (height, width) with any strides.
    distorted: luma planes as of the reference.

Raises:
    TypeError: a plane is not a buffer, or not of uint8 or uint16.
    ValueError: a plane does not fit, or a sample is greater than 2**bpc - 1.
    CudaError: the device failed.
)")
      .def("push_again", &cuda::Ladder::push_again, py::call_guard<py::gil_scoped_release>(),
           R"(Measure the frame again that was pushed at_once + 2 frames ago; it is uploaded again.

Raises:
    RuntimeError: fewer frames than that were pushed.
    CudaError: the device failed.
)")
      .def("pop", &pop, R"(Return the results of the oldest frame, and wait for them.

Returns:
    Of each measure of VIF float32 of shape (distorted, gain limits, 4 scales, 2), as `Vif.measure`;
    of each measure of ADM float32 of shape (distorted, gain limits, 4 scales, 3), as `Adm.measure`;
    and of each measure of motion an int, as `Motion.measure`.

Raises:
    RuntimeError: no frame is being measured.
    CudaError: the device failed.
)")
      .def_property_readonly("pending", &cuda::Ladder::pending, "Frames pushed and not returned.")
      .def_property_readonly("at_once", &cuda::Ladder::at_once,
                             "Frames that are measured at the same time.")
      .def_property_readonly("device_memory", &cuda::Ladder::device_memory,
                             "Bytes of the device's memory.")
      .def_property_readonly("pinned_memory", &cuda::Ladder::pinned_memory,
                             "Bytes of the processor's memory that the device copies from and to.");
}

}  // namespace pyvmaf::bind
