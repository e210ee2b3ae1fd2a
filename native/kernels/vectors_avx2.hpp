#pragma once

#include <immintrin.h>

#include <cstdint>

// Vectors of 256 bits. Kernels are written against these names once; a file for another instruction
// set offers the same ones. Everything has internal linkage: see vif_kernels.hpp.
namespace pyvmaf::kernels {
namespace {

using Ints = __m256i;     // lanes of 16, 32 or 64 bits
using Floats = __m256;    // 8 lanes
using Doubles = __m256d;  // 4 lanes

constexpr int lanes16 = 16;
constexpr int lanes32 = 8;

#define PYVMAF_INLINE inline __attribute__((always_inline))

PYVMAF_INLINE Ints load(const void* p) { return _mm256_load_si256(static_cast<const Ints*>(p)); }
PYVMAF_INLINE Ints load_unaligned(const void* p) {
  return _mm256_loadu_si256(static_cast<const Ints*>(p));
}
PYVMAF_INLINE void store(void* p, Ints v) { _mm256_store_si256(static_cast<Ints*>(p), v); }
PYVMAF_INLINE void store_unaligned(void* p, Ints v) {
  _mm256_storeu_si256(static_cast<Ints*>(p), v);
}

// 16 samples as 16-bit lanes.
PYVMAF_INLINE Ints load_samples(const std::uint8_t* p) {
  return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
PYVMAF_INLINE Ints load_samples(const std::uint16_t* p) { return load_unaligned(p); }

PYVMAF_INLINE Ints zero() { return _mm256_setzero_si256(); }
PYVMAF_INLINE Ints all32(std::int32_t x) { return _mm256_set1_epi32(x); }
PYVMAF_INLINE Ints all16(int x) { return _mm256_set1_epi16(static_cast<short>(x)); }

// 16-bit lanes of a and b by turns; the two halves in the order that `narrow` undoes.
PYVMAF_INLINE Ints interleave_low(Ints a, Ints b) { return _mm256_unpacklo_epi16(a, b); }
PYVMAF_INLINE Ints interleave_high(Ints a, Ints b) { return _mm256_unpackhi_epi16(a, b); }
// 32-bit lanes of at most 16 bits to 16-bit lanes.
PYVMAF_INLINE Ints narrow(Ints low, Ints high) { return _mm256_packus_epi32(low, high); }
// The same of lanes with sign.
PYVMAF_INLINE Ints narrow_signed(Ints low, Ints high) { return _mm256_packs_epi32(low, high); }
// Stores 8 lanes of at most 16 bits as uint16.
PYVMAF_INLINE void store_narrow(std::uint16_t* p, Ints v) {
  const Ints packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(v, v), 0xD8);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(packed));
}

PYVMAF_INLINE Ints bit_and(Ints a, Ints b) { return _mm256_and_si256(a, b); }
PYVMAF_INLINE Ints bit_or(Ints a, Ints b) { return _mm256_or_si256(a, b); }
PYVMAF_INLINE Ints bit_xor(Ints a, Ints b) { return _mm256_xor_si256(a, b); }
PYVMAF_INLINE Ints multiply_low16(Ints a, Ints b) { return _mm256_mullo_epi16(a, b); }
PYVMAF_INLINE Ints multiply_high16(Ints a, Ints b) { return _mm256_mulhi_epu16(a, b); }
// sum + a[2i] b[2i] + a[2i + 1] b[2i + 1], signed 16-bit lanes, modulo 2^32.
PYVMAF_INLINE Ints multiply_add(Ints sum, Ints a, Ints b) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
}
PYVMAF_INLINE Ints add32(Ints a, Ints b) { return _mm256_add_epi32(a, b); }
PYVMAF_INLINE Ints subtract32(Ints a, Ints b) { return _mm256_sub_epi32(a, b); }
PYVMAF_INLINE Ints subtract16(Ints a, Ints b) { return _mm256_sub_epi16(a, b); }
PYVMAF_INLINE Ints absolute32(Ints a) { return _mm256_abs_epi32(a); }
PYVMAF_INLINE Ints larger32(Ints a, Ints b) { return _mm256_max_epi32(a, b); }
PYVMAF_INLINE Ints greater32(Ints a, Ints b) { return _mm256_cmpgt_epi32(a, b); }
template <int count>
PYVMAF_INLINE Ints right32(Ints a) {
  return _mm256_srli_epi32(a, count);
}
// Copies of the sign move in.
template <int count>
PYVMAF_INLINE Ints signed_right32(Ints a) {
  return _mm256_srai_epi32(a, count);
}
template <int count>
PYVMAF_INLINE Ints left32(Ints a) {
  return _mm256_slli_epi32(a, count);
}
// (a b + 2^31) >> 32 of unsigned 32-bit lanes.
PYVMAF_INLINE Ints mean_products(Ints a, Ints b) {
  const Ints half = _mm256_set1_epi64x(std::int64_t{1} << 31);
  const Ints even = _mm256_add_epi64(_mm256_mul_epu32(a, b), half);
  const Ints odd =
      _mm256_add_epi64(_mm256_mul_epu32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(b, 32)), half);
  return _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
}
// Whether any bit is set.
PYVMAF_INLINE bool any(Ints mask) { return _mm256_testz_si256(mask, mask) == 0; }

PYVMAF_INLINE Doubles low_doubles(Ints a) { return _mm256_cvtepi32_pd(_mm256_castsi256_si128(a)); }
PYVMAF_INLINE Doubles high_doubles(Ints a) {
  return _mm256_cvtepi32_pd(_mm256_extracti128_si256(a, 1));
}
PYVMAF_INLINE Doubles all(double x) { return _mm256_set1_pd(x); }
PYVMAF_INLINE Doubles add(Doubles a, Doubles b) { return _mm256_add_pd(a, b); }
PYVMAF_INLINE Doubles subtract(Doubles a, Doubles b) { return _mm256_sub_pd(a, b); }
PYVMAF_INLINE Doubles multiply(Doubles a, Doubles b) { return _mm256_mul_pd(a, b); }
PYVMAF_INLINE Doubles divide(Doubles a, Doubles b) { return _mm256_div_pd(a, b); }
PYVMAF_INLINE Doubles larger(Doubles a, Doubles b) { return _mm256_max_pd(a, b); }
PYVMAF_INLINE Doubles smaller(Doubles a, Doubles b) { return _mm256_min_pd(a, b); }
PYVMAF_INLINE Doubles truncated(Doubles a) {
  return _mm256_round_pd(a, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
}
// The high 32 bits of doubles; lanes of the two in an order of their own.
PYVMAF_INLINE Ints high_words(Doubles a, Doubles b) {
  return _mm256_castps_si256(_mm256_shuffle_ps(_mm256_castpd_ps(a), _mm256_castpd_ps(b), 0xDD));
}

PYVMAF_INLINE Floats all(float x) { return _mm256_set1_ps(x); }
PYVMAF_INLINE Floats as_floats(Ints a) { return _mm256_castsi256_ps(a); }
PYVMAF_INLINE Floats subtract(Floats a, Floats b) { return _mm256_sub_ps(a, b); }
PYVMAF_INLINE Floats multiply(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
// a b + c, rounded once.
PYVMAF_INLINE Floats fused(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
PYVMAF_INLINE Ints nearest_ints(Floats a) { return _mm256_cvtps_epi32(a); }

PYVMAF_INLINE std::int64_t sum32(Ints a) {
  alignas(64) std::int32_t lanes[lanes32];
  store(lanes, a);
  std::int64_t sum = 0;
  for (const std::int32_t lane : lanes) {
    sum += lane;
  }
  return sum;
}

}  // namespace
}  // namespace pyvmaf::kernels
