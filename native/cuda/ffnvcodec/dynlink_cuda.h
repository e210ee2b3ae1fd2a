/* The types of CUDA's driver API, by the name under which libvmaf includes them. */
#ifndef PYVMAF_FFNVCODEC_DYNLINK_CUDA_H
#define PYVMAF_FFNVCODEC_DYNLINK_CUDA_H

#include <cuda.h>

#endif
