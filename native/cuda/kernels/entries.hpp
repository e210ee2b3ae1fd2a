#pragma once

#include "cuda/kernels/adm.hpp"
#include "cuda/kernels/motion.hpp"
#include "cuda/kernels/vif.hpp"

// Every kernel and the name under which a module has it: ENTRY(name, ...), where the rest is the
// kernel's class.
#define PYVMAF_CUDA_ENTRIES(ENTRY)                                                        \
  ENTRY(adm_divide_0_bytes, pyvmaf::kernels::cuda::adm::Divide<std::uint8_t, 0>)          \
  ENTRY(adm_divide_0, pyvmaf::kernels::cuda::adm::Divide<std::uint16_t, 0>)               \
  ENTRY(adm_divide_1, pyvmaf::kernels::cuda::adm::Divide<std::int16_t, 1>)                \
  ENTRY(adm_divide_2, pyvmaf::kernels::cuda::adm::Divide<std::int32_t, 2>)                \
  ENTRY(adm_divide_3, pyvmaf::kernels::cuda::adm::Divide<std::int32_t, 3>)                \
  ENTRY(adm_reference_cubes_0, pyvmaf::kernels::cuda::adm::ReferenceCubes<0>)             \
  ENTRY(adm_reference_cubes_1, pyvmaf::kernels::cuda::adm::ReferenceCubes<1>)             \
  ENTRY(adm_reference_cubes_2, pyvmaf::kernels::cuda::adm::ReferenceCubes<2>)             \
  ENTRY(adm_reference_cubes_3, pyvmaf::kernels::cuda::adm::ReferenceCubes<3>)             \
  ENTRY(adm_visible_0, pyvmaf::kernels::cuda::adm::Visible<0>)                            \
  ENTRY(adm_visible_1, pyvmaf::kernels::cuda::adm::Visible<1>)                            \
  ENTRY(adm_visible_2, pyvmaf::kernels::cuda::adm::Visible<2>)                            \
  ENTRY(adm_visible_3, pyvmaf::kernels::cuda::adm::Visible<3>)                            \
  ENTRY(adm_lines, pyvmaf::kernels::cuda::adm::Lines)                                     \
  ENTRY(vif_statistics_0_bytes, pyvmaf::kernels::cuda::vif::Statistics<std::uint8_t, 0>)  \
  ENTRY(vif_statistics_0, pyvmaf::kernels::cuda::vif::Statistics<std::uint16_t, 0>)       \
  ENTRY(vif_statistics_1, pyvmaf::kernels::cuda::vif::Statistics<std::uint16_t, 1>)       \
  ENTRY(vif_statistics_2, pyvmaf::kernels::cuda::vif::Statistics<std::uint16_t, 2>)       \
  ENTRY(vif_statistics_3, pyvmaf::kernels::cuda::vif::Statistics<std::uint16_t, 3>)       \
  ENTRY(vif_decimate_0_bytes, pyvmaf::kernels::cuda::vif::Decimate<std::uint8_t, 0>)      \
  ENTRY(vif_decimate_0, pyvmaf::kernels::cuda::vif::Decimate<std::uint16_t, 0>)           \
  ENTRY(vif_decimate_1, pyvmaf::kernels::cuda::vif::Decimate<std::uint16_t, 1>)           \
  ENTRY(vif_decimate_2, pyvmaf::kernels::cuda::vif::Decimate<std::uint16_t, 2>)           \
  ENTRY(motion_difference_bytes, pyvmaf::kernels::cuda::motion::Difference<std::uint8_t>) \
  ENTRY(motion_difference, pyvmaf::kernels::cuda::motion::Difference<std::uint16_t>)
