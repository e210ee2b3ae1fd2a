// What one thread of this machine can do: multiply-adds of 16-bit lanes with AVX2, and bytes read.
// Prints both per second, the best of several turns.

#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <vector>

namespace {

double seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

constexpr int turns = 9;
// As many sums as hide the latency of an instruction, and fit into the registers.
constexpr int chains = 12;

double multiply_adds() {
  constexpr int rounds = 2'000'000;
  double best = 0;
  for (int turn = 0; turn < turns; ++turn) {
    __m256i sums[chains];
    for (int i = 0; i < chains; ++i) {
      sums[i] = _mm256_set1_epi16(static_cast<short>(turn + i));
    }
    __m256i value = _mm256_set1_epi16(static_cast<short>(3 + turn));
    const double started = seconds();
    for (int round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
      for (int i = 0; i < chains; ++i) {
        // Nothing may be computed once for all rounds.
        asm volatile("" : "+x"(value));
        sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(value, value));
      }
    }
    const double taken = seconds() - started;
    for (const __m256i& sum : sums) {
      asm volatile("" ::"x"(sum));
    }
    best = std::max(best, 16.0 * chains * rounds / taken);
  }
  return best;
}

double bytes_read() {
  const std::vector<std::uint8_t> memory(std::size_t{256} << 20, 1);
  double best = 0;
  for (int turn = 0; turn < turns; ++turn) {
    __m256i sums[4] = {};
    const double started = seconds();
    for (std::size_t at = 0; at < memory.size(); at += 128) {
      for (std::size_t i = 0; i < 4; ++i) {
        const auto* from = reinterpret_cast<const __m256i*>(memory.data() + at + 32 * i);
        sums[i] = _mm256_xor_si256(sums[i], _mm256_loadu_si256(from));
      }
    }
    const double taken = seconds() - started;
    for (const __m256i& sum : sums) {
      asm volatile("" ::"x"(sum));
    }
    best = std::max(best, static_cast<double>(memory.size()) / taken);
  }
  return best;
}

}  // namespace

int main() { std::printf("%.4e %.4e\n", multiply_adds(), bytes_read()); }
