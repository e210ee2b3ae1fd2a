/* Loads CUDA's driver library when it is needed, so that an extension built with CUDA imports on a
 * machine that does not have one.
 *
 * libvmaf includes this file, whose names it expects, in C and in C++; so does cuda/driver.cpp.
 * Loading is all or nothing: a driver that lacks one of the functions is as good as none. */
#ifndef PYVMAF_FFNVCODEC_DYNLINK_LOADER_H
#define PYVMAF_FFNVCODEC_DYNLINK_LOADER_H

#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>

#include "ffnvcodec/dynlink_cuda.h"

#define PYVMAF_CUDA_LIBRARY "libcuda.so.1"

/* cuda.h defines many of these names as macros for the present version of the function
 * (cuMemAlloc is cuMemAlloc_v2): they expand before `ENTRY` sees them. */
#define PYVMAF_CUDA_FUNCTIONS(ENTRY)  \
  ENTRY(cuInit)                       \
  ENTRY(cuGetErrorName)               \
  ENTRY(cuGetErrorString)             \
  ENTRY(cuDriverGetVersion)           \
  ENTRY(cuDeviceGetCount)             \
  ENTRY(cuDeviceGet)                  \
  ENTRY(cuDeviceGetAttribute)         \
  ENTRY(cuDeviceGetName)              \
  ENTRY(cuDeviceGetUuid)              \
  ENTRY(cuDeviceTotalMem)             \
  ENTRY(cuDevicePrimaryCtxRetain)     \
  ENTRY(cuDevicePrimaryCtxRelease)    \
  ENTRY(cuCtxPushCurrent)             \
  ENTRY(cuCtxPopCurrent)              \
  ENTRY(cuCtxGetDevice)               \
  ENTRY(cuCtxSynchronize)             \
  ENTRY(cuCtxGetStreamPriorityRange)  \
  ENTRY(cuModuleLoadData)             \
  ENTRY(cuModuleUnload)               \
  ENTRY(cuModuleGetFunction)          \
  ENTRY(cuModuleGetGlobal)            \
  ENTRY(cuFuncSetAttribute)           \
  ENTRY(cuMemGetInfo)                 \
  ENTRY(cuMemAlloc)                   \
  ENTRY(cuMemAllocPitch)              \
  ENTRY(cuMemFree)                    \
  ENTRY(cuMemFreeAsync)               \
  ENTRY(cuMemHostAlloc)               \
  ENTRY(cuMemFreeHost)                \
  ENTRY(cuMemsetD8Async)              \
  ENTRY(cuMemcpyHtoDAsync)            \
  ENTRY(cuMemcpyDtoHAsync)            \
  ENTRY(cuMemcpyDtoDAsync)            \
  ENTRY(cuMemcpy2DAsync)              \
  ENTRY(cuStreamCreate)               \
  ENTRY(cuStreamCreateWithPriority)   \
  ENTRY(cuStreamDestroy)              \
  ENTRY(cuStreamSynchronize)          \
  ENTRY(cuStreamWaitEvent)            \
  ENTRY(cuEventCreate)                \
  ENTRY(cuEventDestroy)               \
  ENTRY(cuEventQuery)                 \
  ENTRY(cuEventRecord)                \
  ENTRY(cuEventSynchronize)           \
  ENTRY(cuLaunchKernel)               \
  ENTRY(cuLaunchHostFunc)

#define PYVMAF_CUDA_PASTE_(prefix, name) prefix##name
#define PYVMAF_CUDA_PASTE(prefix, name) PYVMAF_CUDA_PASTE_(prefix, name)
#define PYVMAF_CUDA_TYPE(name) typedef __typeof__(&name) PYVMAF_CUDA_PASTE(pyvmaf_type_of_, name);
PYVMAF_CUDA_FUNCTIONS(PYVMAF_CUDA_TYPE)
#undef PYVMAF_CUDA_TYPE

/* In C++ a member may not name the type of a function that it hides. */
#define PYVMAF_CUDA_FIELD(name) PYVMAF_CUDA_PASTE(pyvmaf_type_of_, name) name;
typedef struct CudaFunctions {
  void *lib;
  PYVMAF_CUDA_FUNCTIONS(PYVMAF_CUDA_FIELD)
} CudaFunctions;
#undef PYVMAF_CUDA_FIELD

#define PYVMAF_CUDA_TEXT_(name) #name
#define PYVMAF_CUDA_TEXT(name) PYVMAF_CUDA_TEXT_(name)

static inline void cuda_free_functions(CudaFunctions **functions) {
  if (functions == NULL || *functions == NULL) {
    return;
  }
  if ((*functions)->lib != NULL) {
    dlclose((*functions)->lib);
  }
  free(*functions);
  *functions = NULL;
}

/* Returns 0, or -1 if the library or one of its functions is missing; `*functions` is then NULL,
 * and `*missing`, unless `missing` is NULL, the name of the first function that is missing or of
 * the library. */
static inline int pyvmaf_cuda_load(CudaFunctions **functions, const char **missing) {
  const char *name = PYVMAF_CUDA_LIBRARY;
  CudaFunctions *loaded = (CudaFunctions *)calloc(1, sizeof(*loaded));
  *functions = NULL;
  if (loaded == NULL) {
    return -1;
  }
  loaded->lib = dlopen(PYVMAF_CUDA_LIBRARY, RTLD_NOW | RTLD_LOCAL);
  if (loaded->lib == NULL) {
    goto failed;
  }
#define PYVMAF_CUDA_FIND(function)                                  \
  name = PYVMAF_CUDA_TEXT(function);                                \
  *(void **)&loaded->function = dlsym(loaded->lib, name);           \
  if (loaded->function == NULL) {                                   \
    goto failed;                                                    \
  }
  PYVMAF_CUDA_FUNCTIONS(PYVMAF_CUDA_FIND)
#undef PYVMAF_CUDA_FIND
  *functions = loaded;
  return 0;

failed:
  if (missing != NULL) {
    *missing = name;
  }
  cuda_free_functions(&loaded);
  return -1;
}

static inline int cuda_load_functions(CudaFunctions **functions, void *log) {
  (void)log;
  return pyvmaf_cuda_load(functions, NULL);
}

#endif
