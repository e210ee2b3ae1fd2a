#pragma once

#include <immintrin.h>

#include <cstdint>

// Vectors of 512 bits, with AVX-512 F, BW, DQ, VL and VNNI; the names of vectors_avx2.hpp, where
// each is described. "In the order of `interleave`" is by quarters of 128 bits here, too.
namespace pyvmaf::kernels {
namespace {

using Ints = __m512i;     // lanes of 16, 32 or 64 bits
using Floats = __m512;    // 16 lanes
using Doubles = __m512d;  // 8 lanes

constexpr int lanes16 = 32;
constexpr int lanes32 = 16;
constexpr int registers = 32;

#define PYVMAF_INLINE inline __attribute__((always_inline))

PYVMAF_INLINE Ints load(const void* p) { return _mm512_load_si512(p); }
PYVMAF_INLINE Ints load_unaligned(const void* p) { return _mm512_loadu_si512(p); }
PYVMAF_INLINE void store(void* p, Ints v) { _mm512_store_si512(p, v); }
PYVMAF_INLINE void store_unaligned(void* p, Ints v) { _mm512_storeu_si512(p, v); }

PYVMAF_INLINE void prefetch(const void* p) {
  _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0);
}

PYVMAF_INLINE Ints load_samples(const std::uint8_t* p) {
  return _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
PYVMAF_INLINE Ints load_samples(const std::uint16_t* p) { return load_unaligned(p); }
PYVMAF_INLINE Ints load_samples(const std::int16_t* p) { return load_unaligned(p); }

PYVMAF_INLINE Ints zero() { return _mm512_setzero_si512(); }
PYVMAF_INLINE Ints all32(std::int32_t x) { return _mm512_set1_epi32(x); }
PYVMAF_INLINE Ints all16(int x) { return _mm512_set1_epi16(static_cast<short>(x)); }

PYVMAF_INLINE Ints interleave_low(Ints a, Ints b) { return _mm512_unpacklo_epi16(a, b); }
PYVMAF_INLINE Ints interleave_high(Ints a, Ints b) { return _mm512_unpackhi_epi16(a, b); }
PYVMAF_INLINE Ints narrow(Ints low, Ints high) { return _mm512_packus_epi32(low, high); }
PYVMAF_INLINE Ints narrow_signed(Ints low, Ints high) { return _mm512_packs_epi32(low, high); }
PYVMAF_INLINE Ints narrow_in_order(Ints low, Ints high) {
  return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7),
                                  _mm512_packs_epi32(low, high));
}
PYVMAF_INLINE Ints first_in_order(Ints low, Ints high) {
  return _mm512_permutex2var_epi64(low, _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), high);
}
PYVMAF_INLINE Ints second_in_order(Ints low, Ints high) {
  return _mm512_permutex2var_epi64(low, _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15), high);
}
PYVMAF_INLINE Ints load_widened(const std::int16_t* p) {
  return _mm512_cvtepi16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
PYVMAF_INLINE void store_narrow(std::uint16_t* p, Ints v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(v));
}

PYVMAF_INLINE Ints bit_and(Ints a, Ints b) { return _mm512_and_si512(a, b); }
PYVMAF_INLINE Ints bit_or(Ints a, Ints b) { return _mm512_or_si512(a, b); }
PYVMAF_INLINE Ints bit_xor(Ints a, Ints b) { return _mm512_xor_si512(a, b); }
PYVMAF_INLINE Ints multiply_low16(Ints a, Ints b) { return _mm512_mullo_epi16(a, b); }
PYVMAF_INLINE Ints multiply_high16(Ints a, Ints b) { return _mm512_mulhi_epu16(a, b); }
PYVMAF_INLINE Ints multiply_add(Ints sum, Ints a, Ints b) { return _mm512_dpwssd_epi32(sum, a, b); }
PYVMAF_INLINE Ints add32(Ints a, Ints b) { return _mm512_add_epi32(a, b); }
PYVMAF_INLINE Ints subtract32(Ints a, Ints b) { return _mm512_sub_epi32(a, b); }
PYVMAF_INLINE Ints add16(Ints a, Ints b) { return _mm512_add_epi16(a, b); }
PYVMAF_INLINE Ints absolute16(Ints a) { return _mm512_abs_epi16(a); }
PYVMAF_INLINE Ints greater16(Ints a, Ints b) {
  return _mm512_movm_epi16(_mm512_cmpgt_epi16_mask(a, b));
}
PYVMAF_INLINE Ints smaller_unsigned16(Ints a, Ints b) { return _mm512_min_epu16(a, b); }
PYVMAF_INLINE Ints multiply_rounded16(Ints a, Ints b) { return _mm512_mulhrs_epi16(a, b); }
PYVMAF_INLINE Ints with_sign16(Ints a, Ints b) {
  const Ints kept = _mm512_maskz_mov_epi16(_mm512_test_epi16_mask(b, b), a);
  return _mm512_mask_sub_epi16(kept, _mm512_movepi16_mask(b), zero(), a);
}
PYVMAF_INLINE Ints with_sign32(Ints a, Ints b) {
  const Ints kept = _mm512_maskz_mov_epi32(_mm512_test_epi32_mask(b, b), a);
  return _mm512_mask_sub_epi32(kept, _mm512_movepi32_mask(b), zero(), a);
}
PYVMAF_INLINE Ints multiply_low32(Ints a, Ints b) { return _mm512_mullo_epi32(a, b); }
PYVMAF_INLINE Ints smaller_unsigned32(Ints a, Ints b) { return _mm512_min_epu32(a, b); }
PYVMAF_INLINE Ints left32_by(Ints a, Ints counts) { return _mm512_sllv_epi32(a, counts); }
PYVMAF_INLINE Ints right32_by(Ints a, Ints counts) { return _mm512_srlv_epi32(a, counts); }
PYVMAF_INLINE Ints and_not(Ints a, Ints b) { return _mm512_andnot_si512(a, b); }
PYVMAF_INLINE Ints select(Ints mask, Ints a, Ints b) {
  return _mm512_ternarylogic_epi64(mask, b, a, 0xCA);
}
PYVMAF_INLINE Ints all64(std::int64_t x) { return _mm512_set1_epi64(x); }
PYVMAF_INLINE Ints add64(Ints a, Ints b) { return _mm512_add_epi64(a, b); }
PYVMAF_INLINE Ints multiply_unsigned64(Ints a, Ints b) { return _mm512_mul_epu32(a, b); }
PYVMAF_INLINE Ints multiply_signed64(Ints a, Ints b) { return _mm512_mul_epi32(a, b); }
template <int count>
PYVMAF_INLINE Ints right64(Ints a) {
  return _mm512_srli_epi64(a, count);
}
template <int count>
PYVMAF_INLINE Ints left64(Ints a) {
  return _mm512_slli_epi64(a, count);
}
PYVMAF_INLINE Ints right64_by(Ints a, Ints counts) { return _mm512_srlv_epi64(a, counts); }
PYVMAF_INLINE Ints merge(Ints even, Ints odd) { return _mm512_mask_blend_epi32(0xAAAA, even, odd); }
PYVMAF_INLINE Ints lower_halves(Ints a, Ints b) {
  return _mm512_permutex2var_epi32(
      a, _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30), b);
}
PYVMAF_INLINE Ints subtract16(Ints a, Ints b) { return _mm512_sub_epi16(a, b); }
PYVMAF_INLINE Ints absolute32(Ints a) { return _mm512_abs_epi32(a); }
PYVMAF_INLINE Ints larger32(Ints a, Ints b) { return _mm512_max_epi32(a, b); }
PYVMAF_INLINE Ints greater32(Ints a, Ints b) {
  return _mm512_movm_epi32(_mm512_cmpgt_epi32_mask(a, b));
}
template <int count>
PYVMAF_INLINE Ints right32(Ints a) {
  return _mm512_srli_epi32(a, count);
}
template <int count>
PYVMAF_INLINE Ints signed_right32(Ints a) {
  return _mm512_srai_epi32(a, count);
}
template <int count>
PYVMAF_INLINE Ints left32(Ints a) {
  return _mm512_slli_epi32(a, count);
}
PYVMAF_INLINE Ints mean_products(Ints a, Ints b) {
  const Ints half = all64(std::int64_t{1} << 31);
  const Ints even = add64(multiply_unsigned64(a, b), half);
  const Ints odd = add64(multiply_unsigned64(right64<32>(a), right64<32>(b)), half);
  // The upper halves of `even` into the lower ones of `odd`.
  return _mm512_mask_shuffle_epi32(odd, 0x5555, even, _MM_PERM_DDBB);
}
PYVMAF_INLINE bool any_lane32(Ints mask) { return _mm512_movepi32_mask(mask) != 0; }
PYVMAF_INLINE bool any(Ints mask) { return _mm512_test_epi64_mask(mask, mask) != 0; }

PYVMAF_INLINE Doubles low_doubles(Ints a) { return _mm512_cvtepi32_pd(_mm512_castsi512_si256(a)); }
PYVMAF_INLINE Doubles high_doubles(Ints a) {
  return _mm512_cvtepi32_pd(_mm512_extracti64x4_epi64(a, 1));
}
PYVMAF_INLINE Doubles all(double x) { return _mm512_set1_pd(x); }
PYVMAF_INLINE Doubles add(Doubles a, Doubles b) { return _mm512_add_pd(a, b); }
PYVMAF_INLINE Doubles subtract(Doubles a, Doubles b) { return _mm512_sub_pd(a, b); }
PYVMAF_INLINE Doubles multiply(Doubles a, Doubles b) { return _mm512_mul_pd(a, b); }
PYVMAF_INLINE Doubles divide(Doubles a, Doubles b) { return _mm512_div_pd(a, b); }
PYVMAF_INLINE Doubles larger(Doubles a, Doubles b) { return _mm512_max_pd(a, b); }
PYVMAF_INLINE Doubles smaller(Doubles a, Doubles b) { return _mm512_min_pd(a, b); }
PYVMAF_INLINE Doubles truncated(Doubles a) {
  return _mm512_roundscale_pd(a, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
}
PYVMAF_INLINE Doubles wholes(Doubles a) { return a; }
PYVMAF_INLINE Doubles add_wholes(Doubles a, Doubles b) {
  return _mm512_add_round_pd(a, b, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
}
PYVMAF_INLINE Ints high_words(Doubles a, Doubles b) {
  return _mm512_castps_si512(_mm512_shuffle_ps(_mm512_castpd_ps(a), _mm512_castpd_ps(b), 0xDD));
}

PYVMAF_INLINE Ints as_ints(Doubles a) { return _mm512_castpd_si512(a); }
PYVMAF_INLINE Ints truncated_ints(Doubles low, Doubles high) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvttpd_epi32(low)),
                            _mm512_cvttpd_epi32(high), 1);
}

PYVMAF_INLINE Floats all(float x) { return _mm512_set1_ps(x); }
PYVMAF_INLINE Floats as_floats(Ints a) { return _mm512_castsi512_ps(a); }
PYVMAF_INLINE Floats to_floats(Ints a) { return _mm512_cvtepi32_ps(a); }
PYVMAF_INLINE Floats load_floats(const float* p) { return _mm512_loadu_ps(p); }
PYVMAF_INLINE void store_floats(float* p, Floats v) { _mm512_storeu_ps(p, v); }
PYVMAF_INLINE Floats add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
PYVMAF_INLINE Floats absolute(Floats a) { return _mm512_abs_ps(a); }
PYVMAF_INLINE Ints at_least(Floats a, Floats b) {
  return _mm512_movm_epi32(_mm512_cmp_ps_mask(a, b, _CMP_GE_OQ));
}
PYVMAF_INLINE Ints less(Floats a, Floats b) {
  return _mm512_movm_epi32(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ));
}
PYVMAF_INLINE Floats subtract(Floats a, Floats b) { return _mm512_sub_ps(a, b); }
PYVMAF_INLINE Floats multiply(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
PYVMAF_INLINE Floats fused(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
PYVMAF_INLINE Ints nearest_ints(Floats a) { return _mm512_cvtps_epi32(a); }

PYVMAF_INLINE std::int64_t sum32(Ints a) {
  return _mm512_reduce_add_epi64(
      _mm512_add_epi64(_mm512_cvtepi32_epi64(_mm512_castsi512_si256(a)),
                       _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(a, 1))));
}

// In plain C++, where sums that wrap around are defined.
PYVMAF_INLINE std::uint64_t sum64(Ints a) {
  alignas(64) std::uint64_t lanes[8];
  store(lanes, a);
  std::uint64_t sum = 0;
  for (const std::uint64_t lane : lanes) {
    sum += lane;
  }
  return sum;
}

}  // namespace
}  // namespace pyvmaf::kernels
