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
constexpr int registers = 16;

#define PYVMAF_INLINE inline __attribute__((always_inline))

PYVMAF_INLINE Ints load(const void* p) { return _mm256_load_si256(static_cast<const Ints*>(p)); }
PYVMAF_INLINE Ints load_unaligned(const void* p) {
  return _mm256_loadu_si256(static_cast<const Ints*>(p));
}
PYVMAF_INLINE void store(void* p, Ints v) { _mm256_store_si256(static_cast<Ints*>(p), v); }
PYVMAF_INLINE void store_unaligned(void* p, Ints v) {
  _mm256_storeu_si256(static_cast<Ints*>(p), v);
}

// Asks for memory that will be read later, into the nearest cache; any address will do.
PYVMAF_INLINE void prefetch(const void* p) {
  _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0);
}

// 16 samples as 16-bit lanes.
PYVMAF_INLINE Ints load_samples(const std::uint8_t* p) {
  return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
PYVMAF_INLINE Ints load_samples(const std::uint16_t* p) { return load_unaligned(p); }
PYVMAF_INLINE Ints load_samples(const std::int16_t* p) { return load_unaligned(p); }

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
// The same, in the order of lanes instead of that of `interleave`.
PYVMAF_INLINE Ints narrow_in_order(Ints low, Ints high) {
  return _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xD8);
}
// 32-bit lanes in the order of `interleave`, in the order of lanes.
PYVMAF_INLINE Ints first_in_order(Ints low, Ints high) {
  return _mm256_permute2x128_si256(low, high, 0x20);
}
PYVMAF_INLINE Ints second_in_order(Ints low, Ints high) {
  return _mm256_permute2x128_si256(low, high, 0x31);
}
// 8 signed 16-bit values as 32-bit lanes.
PYVMAF_INLINE Ints load_widened(const std::int16_t* p) {
  return _mm256_cvtepi16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
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
PYVMAF_INLINE Ints add16(Ints a, Ints b) { return _mm256_add_epi16(a, b); }
PYVMAF_INLINE Ints absolute16(Ints a) { return _mm256_abs_epi16(a); }
PYVMAF_INLINE Ints greater16(Ints a, Ints b) { return _mm256_cmpgt_epi16(a, b); }
PYVMAF_INLINE Ints smaller_unsigned16(Ints a, Ints b) { return _mm256_min_epu16(a, b); }
// (a b + 2^14) >> 15.
PYVMAF_INLINE Ints multiply_rounded16(Ints a, Ints b) { return _mm256_mulhrs_epi16(a, b); }
// a with the sign of b multiplied, 0 where b is 0.
PYVMAF_INLINE Ints with_sign16(Ints a, Ints b) { return _mm256_sign_epi16(a, b); }
PYVMAF_INLINE Ints with_sign32(Ints a, Ints b) { return _mm256_sign_epi32(a, b); }
PYVMAF_INLINE Ints multiply_low32(Ints a, Ints b) { return _mm256_mullo_epi32(a, b); }
PYVMAF_INLINE Ints smaller_unsigned32(Ints a, Ints b) { return _mm256_min_epu32(a, b); }
PYVMAF_INLINE Ints left32_by(Ints a, Ints counts) { return _mm256_sllv_epi32(a, counts); }
PYVMAF_INLINE Ints right32_by(Ints a, Ints counts) { return _mm256_srlv_epi32(a, counts); }
// ~a & b.
PYVMAF_INLINE Ints and_not(Ints a, Ints b) { return _mm256_andnot_si256(a, b); }
// b where the mask is set, a elsewhere.
PYVMAF_INLINE Ints select(Ints mask, Ints a, Ints b) { return _mm256_blendv_epi8(a, b, mask); }
// Lanes of 64 bits. Products are of the lower halves.
PYVMAF_INLINE Ints all64(std::int64_t x) { return _mm256_set1_epi64x(x); }
PYVMAF_INLINE Ints add64(Ints a, Ints b) { return _mm256_add_epi64(a, b); }
PYVMAF_INLINE Ints multiply_unsigned64(Ints a, Ints b) { return _mm256_mul_epu32(a, b); }
PYVMAF_INLINE Ints multiply_signed64(Ints a, Ints b) { return _mm256_mul_epi32(a, b); }
template <int count>
PYVMAF_INLINE Ints right64(Ints a) {
  return _mm256_srli_epi64(a, count);
}
template <int count>
PYVMAF_INLINE Ints left64(Ints a) {
  return _mm256_slli_epi64(a, count);
}
PYVMAF_INLINE Ints right64_by(Ints a, Ints counts) { return _mm256_srlv_epi64(a, counts); }
// 32-bit lanes: the lower halves of `even`, and the upper halves of `odd`.
PYVMAF_INLINE Ints merge(Ints even, Ints odd) { return _mm256_blend_epi32(even, odd, 0xAA); }
// The lower halves of the 64-bit lanes of two vectors.
PYVMAF_INLINE Ints lower_halves(Ints a, Ints b) {
  return _mm256_permute4x64_epi64(
      _mm256_castps_si256(_mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), 0x88)),
      0xD8);
}
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
// Whether any lane of a mask is set, all of whose bits are.
PYVMAF_INLINE bool any_lane32(Ints mask) { return _mm256_testz_si256(mask, mask) == 0; }
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
// Doubles from 0 on of which the whole parts count, and sums of two, of which one is whole: a file
// for an instruction set may drop the fraction here, or leave it and round the sum toward zero.
PYVMAF_INLINE Doubles wholes(Doubles a) { return truncated(a); }
PYVMAF_INLINE Doubles add_wholes(Doubles a, Doubles b) { return _mm256_add_pd(a, b); }
// The high 32 bits of doubles; lanes of the two in an order of their own.
PYVMAF_INLINE Ints high_words(Doubles a, Doubles b) {
  return _mm256_castps_si256(_mm256_shuffle_ps(_mm256_castpd_ps(a), _mm256_castpd_ps(b), 0xDD));
}

PYVMAF_INLINE Ints as_ints(Doubles a) { return _mm256_castpd_si256(a); }
// As 32-bit lanes, toward zero.
PYVMAF_INLINE Ints truncated_ints(Doubles low, Doubles high) {
  return _mm256_set_m128i(_mm256_cvttpd_epi32(high), _mm256_cvttpd_epi32(low));
}

PYVMAF_INLINE Floats all(float x) { return _mm256_set1_ps(x); }
PYVMAF_INLINE Floats as_floats(Ints a) { return _mm256_castsi256_ps(a); }
PYVMAF_INLINE Floats to_floats(Ints a) { return _mm256_cvtepi32_ps(a); }
PYVMAF_INLINE Floats load_floats(const float* p) { return _mm256_loadu_ps(p); }
PYVMAF_INLINE void store_floats(float* p, Floats v) { _mm256_storeu_ps(p, v); }
PYVMAF_INLINE Floats add(Floats a, Floats b) { return _mm256_add_ps(a, b); }
PYVMAF_INLINE Floats absolute(Floats a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0F), a); }
PYVMAF_INLINE Ints at_least(Floats a, Floats b) {
  return _mm256_castps_si256(_mm256_cmp_ps(a, b, _CMP_GE_OQ));
}
PYVMAF_INLINE Ints less(Floats a, Floats b) {
  return _mm256_castps_si256(_mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
PYVMAF_INLINE Floats subtract(Floats a, Floats b) { return _mm256_sub_ps(a, b); }
PYVMAF_INLINE Floats multiply(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
// a b + c, rounded once.
PYVMAF_INLINE Floats fused(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
PYVMAF_INLINE Ints nearest_ints(Floats a) { return _mm256_cvtps_epi32(a); }

PYVMAF_INLINE std::int64_t sum32(Ints a) {
  const Ints pairs = _mm256_add_epi64(_mm256_cvtepi32_epi64(_mm256_castsi256_si128(a)),
                                      _mm256_cvtepi32_epi64(_mm256_extracti128_si256(a, 1)));
  const __m128i pair =
      _mm_add_epi64(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
  return _mm_cvtsi128_si64(pair) + _mm_extract_epi64(pair, 1);
}

PYVMAF_INLINE std::uint64_t sum64(Ints a) {
  alignas(64) std::uint64_t lanes[4];
  store(lanes, a);
  return lanes[0] + lanes[1] + lanes[2] + lanes[3];
}

}  // namespace
}  // namespace pyvmaf::kernels
