#include <exception>
#include <string>

#include "bind/bind.hpp"
#include "cuda/cuda.hpp"

namespace py = pybind11;

namespace pyvmaf::bind {

namespace {

py::dict device_facts(const cuda::Device& device) {
  py::dict values;
  values["index"] = device.index;
  values["name"] = device.name;
  values["uuid"] = device.uuid;
  values["capability"] = py::make_tuple(device.major, device.minor);
  values["memory"] = device.memory;
  return values;
}

}  // namespace

void bind_cuda(py::module_& module) {
  static py::exception<cuda::Error> error(module, "CudaError", PyExc_RuntimeError);
  error.doc() = R"(A CUDA device cannot be used.

Attributes:
    kind: what is missing: "build" (this build has no CUDA), "driver" (its library), "function" (of
        the library), "version" (the driver is too old), "start" (cuInit failed), "device",
        "capability" (the build has no code for the device), "memory", or "call" (another failure).
)";
  py::register_exception_translator([](std::exception_ptr pointer) {
    try {
      if (pointer) {
        std::rethrow_exception(pointer);
      }
    } catch (const cuda::Error& raised) {
      const py::object instance = static_cast<const py::object&>(error)(raised.what());
      instance.attr("kind") = cuda::name(raised.kind());
      PyErr_SetObject(error.ptr(), instance.ptr());
    }
  });
  module.def("cuda_driver_version", &cuda::driver_version, py::call_guard<py::gil_scoped_release>(),
             R"(Return the version of CUDA that the driver supports: 13000 stands for 13.0.

The driver is loaded and stays loaded; so it is after every other function of CUDA.

Raises:
    CudaError: the build, the driver or one of its functions is missing, or it does not start.
)");
  module.def(
      "cuda_devices",
      [] {
        const auto found = [] {
          const py::gil_scoped_release released;
          return cuda::devices();
        }();
        py::list list;
        for (const cuda::Device& device : found) {
          list.append(device_facts(device));
        }
        return list;
      },
      R"(List the CUDA devices.

Returns:
    one dictionary per device: index, name, uuid ("GPU-…", as nvidia-smi prints it), capability
    (major and minor number) and memory (bytes).

Raises:
    CudaError: as `cuda_driver_version`; also if there is no device.
)");
  py::class_<cuda::Held>(
      module, "CudaDevice",
      R"(A CUDA device for which this build has code, held while the object lives.
)")
      .def(py::init([](const std::string& wanted) {
             const py::gil_scoped_release released;
             return cuda::hold(wanted);
           }),
           py::arg("wanted"), R"(Find a device and make its context.

Args:
    wanted: index ("0"), or UUID or the start of one ("GPU-3f2a").

Raises:
    CudaError: as `cuda_devices`; also if no device or several match, or if the build has no code
        for its compute capability.
)")
      .def(
          "describe", [](const cuda::Held& held) { return device_facts(held.device()); },
          "Return the device as in `cuda_devices`.")
      .def(
          "memory",
          [](const cuda::Held& held) {
            const cuda::Memory bytes = [&] {
              const py::gil_scoped_release released;
              return held.memory();
            }();
            return py::make_tuple(bytes.free, bytes.total);
          },
          R"(Return the bytes of the device's memory that are free, and all.

Raises:
    CudaError: the device failed.
)");
}

}  // namespace pyvmaf::bind
