# Defines the target pyvmaf::libvmaf and its facts: PYVMAF_LIBVMAF_VERSION, PYVMAF_LIBVMAF_COMMIT,
# PYVMAF_RECIPE (a hash of options and edits), PYVMAF_REPAIRS (their names), PYVMAF_FLAGS, PYVMAF_LIBVMAF_COMPILER (of the pinned
# library), PYVMAF_CUDA_ARCHITECTURES (with CUDA), PYVMAF_LICENCES.
add_library(pyvmaf::libvmaf INTERFACE IMPORTED)

if(PYVMAF_LIBVMAF STREQUAL "system")
  find_package(PkgConfig REQUIRED)
  pkg_check_modules(LIBVMAF REQUIRED IMPORTED_TARGET "libvmaf>=3.2")
  target_link_libraries(pyvmaf::libvmaf INTERFACE PkgConfig::LIBVMAF)
  set(PYVMAF_LIBVMAF_VERSION "${LIBVMAF_VERSION}")
  # A system library does not name its commit; its version identifies it as far as possible.
  set(PYVMAF_LIBVMAF_COMMIT "system-${LIBVMAF_VERSION}")
  set(PYVMAF_RECIPE "system")
  set(PYVMAF_REPAIRS "")
  set(PYVMAF_FLAGS "system libvmaf ${LIBVMAF_VERSION}")
  set(PYVMAF_LICENCES "")
  if(PYVMAF_CUDA)
    include(CheckCXXSourceCompiles)
    set(CMAKE_REQUIRED_LIBRARIES PkgConfig::LIBVMAF)
    check_cxx_source_compiles(
      "#include <libvmaf/libvmaf_cuda.h>
      int main() { VmafCudaState* state = nullptr; return vmaf_cuda_state_init(&state, VmafCudaConfiguration{}); }"
      PYVMAF_SYSTEM_LIBVMAF_HAS_CUDA)
    unset(CMAKE_REQUIRED_LIBRARIES)
    if(NOT PYVMAF_SYSTEM_LIBVMAF_HAS_CUDA)
      message(FATAL_ERROR
        "PYVMAF_CUDA=ON: the system's libvmaf ${LIBVMAF_VERSION} was built without CUDA (it has no "
        "vmaf_cuda_state_init). Install one that has it, or use -DPYVMAF_LIBVMAF=pinned.")
    endif()
    # A system library does not say what it has code for; this is what libvmaf's build takes.
    set(PYVMAF_CUDA_ARCHITECTURES "sm_75 sm_80 sm_90 sm_100 sm_120 compute_120")
  endif()
elseif(PYVMAF_LIBVMAF STREQUAL "pinned")
  find_package(Threads REQUIRED)
  set(builder "${CMAKE_CURRENT_SOURCE_DIR}/scripts/build_libvmaf.py")
  set(manifest "${CMAKE_CURRENT_SOURCE_DIR}/native/libvmaf/Cargo.toml")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${builder}" "${manifest}")
  set(ninja_arguments)
  if(CMAKE_GENERATOR MATCHES "Ninja")
    set(ninja_arguments --ninja "${CMAKE_MAKE_PROGRAM}")
  endif()
  set(sanitize)
  if(PYVMAF_SANITIZE)
    set(sanitize --sanitize)
  endif()
  set(cuda)
  if(PYVMAF_CUDA)
    set(cuda --cuda "${PYVMAF_CUDA_TOOLKIT}" --cuda-headers "${CMAKE_CURRENT_SOURCE_DIR}/native/cuda")
    if(PYVMAF_CUDA_CODE)
      list(APPEND cuda --architectures "${PYVMAF_CUDA_CODE}")
    endif()
    file(GLOB headers "${CMAKE_CURRENT_SOURCE_DIR}/native/cuda/ffnvcodec/*.h")
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${headers})
  endif()
  message(STATUS "libvmaf: building the pinned source, unless ${PYVMAF_CACHE_DIR} has the build")
  execute_process(
    COMMAND "${Python_EXECUTABLE}" "${builder}" --manifest "${manifest}"
      --cache "${PYVMAF_CACHE_DIR}" --cc "${CMAKE_C_COMPILER}" --cxx "${CMAKE_CXX_COMPILER}"
      ${ninja_arguments} ${sanitize} ${cuda}
    OUTPUT_VARIABLE prefix OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "The pinned libvmaf was not built: see the error above.")
  endif()
  target_include_directories(pyvmaf::libvmaf SYSTEM INTERFACE "${prefix}/include")
  target_link_libraries(pyvmaf::libvmaf INTERFACE "${prefix}/lib/libvmaf.a" Threads::Threads m)
  file(READ "${prefix}/libvmaf.json" facts)
  string(JSON PYVMAF_LIBVMAF_VERSION GET "${facts}" version)
  string(JSON PYVMAF_LIBVMAF_COMMIT GET "${facts}" commit)
  string(JSON PYVMAF_RECIPE GET "${facts}" recipe)
  string(JSON PYVMAF_REPAIRS GET "${facts}" repairs)
  string(JSON PYVMAF_FLAGS GET "${facts}" flags_text)
  string(JSON PYVMAF_LIBVMAF_COMPILER GET "${facts}" compiler)
  string(JSON PYVMAF_CUDA_ARCHITECTURES GET "${facts}" architectures)
  file(GLOB PYVMAF_LICENCES "${prefix}/licences/*.txt")
else()
  message(FATAL_ERROR "PYVMAF_LIBVMAF=${PYVMAF_LIBVMAF}: must be pinned or system")
endif()
string(REPLACE " " ";" PYVMAF_CUDA_ARCHITECTURES_LIST "${PYVMAF_CUDA_ARCHITECTURES}")
