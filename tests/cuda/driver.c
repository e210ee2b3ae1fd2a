/* A driver library without a device behind it: memory of the device is memory of the process, copies
 * are copies, and kernels compute nothing. Tests build it as libcuda.so.1, and set it through the
 * environment:
 *
 *   FAKE_INIT        status of cuInit
 *   FAKE_VERSION     of CUDA, 13000 by default
 *   FAKE_DEVICES     count of devices, 1 by default
 *   FAKE_CAPABILITY  of all devices, such as "7.0"; "12.0" by default
 *   FAKE_FREE        free bytes of a device's memory, 8 GiB by default
 *   FAKE_FAIL        "function:status:count": calls of the function after the first `count` fail
 *   FAKE_ABORT       a function whose first call ends the process
 *
 * With -DWITHOUT_<function> the library lacks a function. */
#include <cuda.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static long number(const char *name, long otherwise) {
  const char *text = getenv(name);
  return text != NULL && text[0] != '\0' ? atol(text) : otherwise;
}

/* Status of a call, as the environment wants it. */
static CUresult answer(const char *function) {
  const char *text = getenv("FAKE_ABORT");
  if (text != NULL && strcmp(text, function) == 0) {
    abort();
  }
  text = getenv("FAKE_FAIL");
  const size_t length = strlen(function);
  if (text != NULL && strncmp(text, function, length) == 0 && text[length] == ':') {
    static int calls = 0;
    int status = 0, count = 0;
    sscanf(text + length, ":%d:%d", &status, &count);
    if (calls++ >= count) {
      return (CUresult)status;
    }
  }
  return CUDA_SUCCESS;
}

static int current = 0;
static int objects = 0;
/* Handles are never read. */
#define HANDLE(type) ((type)(size_t)(++objects))

CUresult cuInit(unsigned int flags) { return (CUresult)number("FAKE_INIT", flags); }
CUresult cuGetErrorName(CUresult error, const char **text) {
  static char name[32];
  snprintf(name, sizeof(name), "CUDA_ERROR_%d", (int)error);
  *text = error == CUDA_ERROR_OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : name;
  return CUDA_SUCCESS;
}
CUresult cuGetErrorString(CUresult error, const char **text) {
  *text = error == CUDA_ERROR_OUT_OF_MEMORY ? "out of memory" : "an error";
  return CUDA_SUCCESS;
}
CUresult cuDriverGetVersion(int *version) {
  *version = (int)number("FAKE_VERSION", 13000);
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetCount(int *count) {
  *count = (int)number("FAKE_DEVICES", 1);
  return CUDA_SUCCESS;
}
CUresult cuDeviceGet(CUdevice *device, int index) {
  *device = index;
  return index < number("FAKE_DEVICES", 1) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}
CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device) {
  const char *text = getenv("FAKE_CAPABILITY");
  int major = 12, minor = 0;
  (void)device;
  if (text != NULL) {
    sscanf(text, "%d.%d", &major, &minor);
  }
  *value = attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR   ? major
           : attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR ? minor
                                                                       : 1;
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetName(char *name, int length, CUdevice device) {
  snprintf(name, (size_t)length, "Test device %d", device);
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetUuid(CUuuid *uuid, CUdevice device) {
  memset(uuid, 0x10 + device, sizeof(*uuid));
  return CUDA_SUCCESS;
}
CUresult cuDeviceTotalMem(size_t *bytes, CUdevice device) {
  (void)device;
  *bytes = (size_t)8 << 30;
  return CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
  current = device;
  *context = HANDLE(CUcontext);
  return answer("cuDevicePrimaryCtxRetain");
}
CUresult cuDevicePrimaryCtxRelease(CUdevice device) { return device == current ? CUDA_SUCCESS : 1; }
CUresult cuCtxPushCurrent(CUcontext context) { return context == NULL ? 1 : answer("cuCtxPushCurrent"); }
CUresult cuCtxPopCurrent(CUcontext *context) {
  if (context != NULL) {
    *context = NULL;
  }
  return CUDA_SUCCESS;
}
CUresult cuCtxGetDevice(CUdevice *device) {
  *device = current;
  return CUDA_SUCCESS;
}
CUresult cuCtxSynchronize(void) { return answer("cuCtxSynchronize"); }
CUresult cuCtxGetStreamPriorityRange(int *least, int *greatest) {
  *least = *greatest = 0;
  return CUDA_SUCCESS;
}
CUresult cuModuleLoadData(CUmodule *module, const void *image) {
  *module = HANDLE(CUmodule);
  return image == NULL ? 1 : answer("cuModuleLoadData");
}
CUresult cuModuleUnload(CUmodule module) { return module == NULL; }
CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name) {
  *function = HANDLE(CUfunction);
  return module == NULL || name == NULL;
}
CUresult cuModuleGetGlobal(CUdeviceptr *pointer, size_t *bytes, CUmodule module, const char *name) {
  (void)pointer, (void)bytes, (void)module, (void)name;
  return CUDA_ERROR_NOT_FOUND;
}
CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value) {
  (void)function, (void)attribute, (void)value;
  return CUDA_SUCCESS;
}
CUresult cuMemGetInfo(size_t *free_bytes, size_t *total) {
  *total = (size_t)8 << 30;
  *free_bytes = (size_t)number("FAKE_FREE", (long)*total);
  return CUDA_SUCCESS;
}
CUresult cuMemAlloc(CUdeviceptr *pointer, size_t bytes) {
  *pointer = (CUdeviceptr)(size_t)calloc(1, bytes);
  return answer("cuMemAlloc");
}
CUresult cuMemAllocPitch(CUdeviceptr *pointer, size_t *pitch, size_t width, size_t height, unsigned int element) {
  (void)element;
  *pitch = (width + 511) / 512 * 512;
  return cuMemAlloc(pointer, *pitch * height);
}
CUresult cuMemFree(CUdeviceptr pointer) {
  free((void *)(size_t)pointer);
  return CUDA_SUCCESS;
}
CUresult cuMemFreeAsync(CUdeviceptr pointer, CUstream stream);
#ifndef WITHOUT_cuMemFreeAsync
CUresult cuMemFreeAsync(CUdeviceptr pointer, CUstream stream) {
  (void)stream;
  return cuMemFree(pointer);
}
#endif
CUresult cuMemHostAlloc(void **pointer, size_t bytes, unsigned int flags) {
  (void)flags;
  *pointer = calloc(1, bytes);
  return CUDA_SUCCESS;
}
CUresult cuMemFreeHost(void *pointer) {
  free(pointer);
  return CUDA_SUCCESS;
}
CUresult cuMemsetD8Async(CUdeviceptr pointer, unsigned char value, size_t bytes, CUstream stream) {
  (void)stream;
  memset((void *)(size_t)pointer, value, bytes);
  return CUDA_SUCCESS;
}
CUresult cuMemcpyHtoDAsync(CUdeviceptr to, const void *from, size_t bytes, CUstream stream) {
  (void)stream;
  memcpy((void *)(size_t)to, from, bytes);
  return CUDA_SUCCESS;
}
CUresult cuMemcpyDtoHAsync(void *to, CUdeviceptr from, size_t bytes, CUstream stream) {
  (void)stream;
  memcpy(to, (const void *)(size_t)from, bytes);
  return answer("cuMemcpyDtoHAsync");
}
CUresult cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
  (void)stream;
  memcpy((void *)(size_t)to, (const void *)(size_t)from, bytes);
  return CUDA_SUCCESS;
}
CUresult cuMemcpy2DAsync(const CUDA_MEMCPY2D *copy, CUstream stream) {
  const char *from = copy->srcMemoryType == CU_MEMORYTYPE_HOST ? copy->srcHost : (void *)(size_t)copy->srcDevice;
  char *to = copy->dstMemoryType == CU_MEMORYTYPE_HOST ? copy->dstHost : (void *)(size_t)copy->dstDevice;
  (void)stream;
  for (size_t row = 0; row < copy->Height; ++row) {
    memcpy(to + row * copy->dstPitch, from + row * copy->srcPitch, copy->WidthInBytes);
  }
  return CUDA_SUCCESS;
}
CUresult cuStreamCreate(CUstream *stream, unsigned int flags) {
  (void)flags;
  *stream = HANDLE(CUstream);
  return CUDA_SUCCESS;
}
CUresult cuStreamCreateWithPriority(CUstream *stream, unsigned int flags, int priority) {
  (void)priority;
  return cuStreamCreate(stream, flags);
}
CUresult cuStreamDestroy(CUstream stream) { return stream == NULL; }
CUresult cuStreamSynchronize(CUstream stream) {
  (void)stream;
  return answer("cuStreamSynchronize");
}
CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned int flags) {
  (void)stream, (void)flags;
  return event == NULL;
}
CUresult cuEventCreate(CUevent *event, unsigned int flags) {
  (void)flags;
  *event = HANDLE(CUevent);
  return CUDA_SUCCESS;
}
CUresult cuEventDestroy(CUevent event) { return event == NULL; }
CUresult cuEventQuery(CUevent event) { return event == NULL; }
CUresult cuEventRecord(CUevent event, CUstream stream) {
  (void)stream;
  return event == NULL;
}
CUresult cuEventSynchronize(CUevent event) { return event == NULL; }
CUresult cuLaunchKernel(CUfunction function, unsigned int grid_x, unsigned int grid_y, unsigned int grid_z,
                        unsigned int block_x, unsigned int block_y, unsigned int block_z, unsigned int shared,
                        CUstream stream, void **parameters, void **extra) {
  (void)block_x, (void)block_y, (void)block_z, (void)shared, (void)stream, (void)parameters, (void)extra;
  return function == NULL || grid_x * grid_y * grid_z == 0 ? CUDA_ERROR_INVALID_VALUE : answer("cuLaunchKernel");
}
CUresult cuLaunchHostFunc(CUstream stream, CUhostFn function, void *data) {
  (void)stream;
  function(data);
  return CUDA_SUCCESS;
}
