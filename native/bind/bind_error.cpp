#include <exception>

#include "bind/bind.hpp"
#include "vmaf/error.hpp"

namespace py = pybind11;

namespace pyvmaf::bind {

void bind_error(py::module_& module) {
  static py::exception<VmafError> error(module, "Error", PyExc_RuntimeError);
  error.doc() = R"(A call of libvmaf failed, or the context is busy, closed or from before a fork.

Attributes:
    errno: the status that libvmaf returned: a negative errno, or +1.
)";
  py::register_exception_translator([](std::exception_ptr pointer) {
    try {
      if (pointer) {
        std::rethrow_exception(pointer);
      }
    } catch (const VmafError& raised) {
      const py::object instance = static_cast<const py::object&>(error)(raised.what());
      instance.attr("errno") = raised.code();
      PyErr_SetObject(error.ptr(), instance.ptr());
    }
  });
}

}  // namespace pyvmaf::bind
