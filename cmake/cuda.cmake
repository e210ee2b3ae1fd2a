# Finds CUDA's compiler and defines: PYVMAF_CUDA_TOOLKIT, PYVMAF_NVCC_VERSION, and the function
# pyvmaf_add_kernels(target source...), which compiles device code into arrays of a target.
#
# The toolkit is used while the extension is built. Nothing of it is linked: the driver is loaded at
# run time (native/cuda/ffnvcodec/dynlink_loader.h).
set(PYVMAF_CUDA_TOOLKIT "" CACHE PATH
  "CUDA toolkit: a folder with bin/nvcc and include/cuda.h; by default that of scripts/setup.sh, then that of nvcc")
if(NOT PYVMAF_CUDA_TOOLKIT)
  set(pinned "${CMAKE_CURRENT_SOURCE_DIR}/.cache/cuda/nvidia/cu13")
  find_program(nvcc_of_path nvcc NO_CACHE)
  if(EXISTS "${pinned}/bin/nvcc")
    set(PYVMAF_CUDA_TOOLKIT "${pinned}")
  elseif(nvcc_of_path)
    get_filename_component(PYVMAF_CUDA_TOOLKIT "${nvcc_of_path}" REALPATH)
    get_filename_component(PYVMAF_CUDA_TOOLKIT "${PYVMAF_CUDA_TOOLKIT}/../.." ABSOLUTE)
  endif()
endif()
set(PYVMAF_CUDA_CODE "" CACHE STRING
  "What to have code for, as nvcc names it and separated by spaces; by default ARCHITECTURES of scripts/build_libvmaf.py")
foreach(file bin/nvcc bin/bin2c include/cuda.h)
  if(NOT PYVMAF_CUDA_TOOLKIT OR NOT EXISTS "${PYVMAF_CUDA_TOOLKIT}/${file}")
    message(FATAL_ERROR
      "PYVMAF_CUDA=ON needs CUDA's compiler, and ${file} is not in the toolkit "
      "'${PYVMAF_CUDA_TOOLKIT}': run `make setup CUDA=1`, or set PYVMAF_CUDA_TOOLKIT to a folder "
      "with bin/nvcc and include/cuda.h.")
  endif()
endforeach()
execute_process(
  COMMAND "${PYVMAF_CUDA_TOOLKIT}/bin/nvcc" --version OUTPUT_VARIABLE version COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCH "V([0-9.]+)" version "${version}")
set(PYVMAF_NVCC_VERSION "${CMAKE_MATCH_1}")

# Each source becomes an array `<name>_fatbin` (const unsigned char, ends with a zero byte) with code
# for PYVMAF_CUDA_ARCHITECTURES. Doubles are neither fused nor approximated: they must give the
# processor's bits.
function(pyvmaf_add_kernels target)
  set(gencode)
  foreach(architecture IN LISTS PYVMAF_CUDA_ARCHITECTURES_LIST)
    string(REGEX REPLACE "^(sm|compute)_" "compute_" virtual "${architecture}")
    list(APPEND gencode "-gencode=arch=${virtual},code=${architecture}")
  endforeach()
  foreach(source IN LISTS ARGN)
    get_filename_component(name "${source}" NAME_WE)
    set(fatbin "${CMAKE_CURRENT_BINARY_DIR}/${name}.fatbin")
    set(array "${CMAKE_CURRENT_BINARY_DIR}/${name}_fatbin.c")
    add_custom_command(
      OUTPUT "${fatbin}"
      COMMAND "${PYVMAF_CUDA_TOOLKIT}/bin/nvcc" -fatbin -std=c++17 -O3 -fmad=false -prec-div=true
        -prec-sqrt=true -ftz=false ${gencode} -I "${CMAKE_CURRENT_SOURCE_DIR}/native"
        -I "${PYVMAF_CUDA_TOOLKIT}/include" -MD -MF "${fatbin}.d" -MT "${fatbin}"
        "${CMAKE_CURRENT_SOURCE_DIR}/${source}" -o "${fatbin}"
      DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${source}" DEPFILE "${fatbin}.d"
      COMMENT "Building ${source} with nvcc ${PYVMAF_NVCC_VERSION}" VERBATIM)
    add_custom_command(
      OUTPUT "${array}"
      COMMAND "${CMAKE_COMMAND}" -DBIN2C=${PYVMAF_CUDA_TOOLKIT}/bin/bin2c -DNAME=${name}_fatbin
        -DINPUT=${fatbin} -DOUTPUT=${array} -P "${CMAKE_CURRENT_SOURCE_DIR}/cmake/embed.cmake"
      DEPENDS "${fatbin}" VERBATIM)
    target_sources(${target} PRIVATE "${array}")
  endforeach()
endfunction()
