#include "kernels/vif.hpp"

#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>
#include <utility>

namespace pyvmaf::kernels::vif {

namespace {

constexpr std::size_t alignment = 64;
constexpr int smallest_side = 33;

std::vector<const Kernels*> available() {
  std::vector<const Kernels*> kernels;
#if defined(PYVMAF_AVX2)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    kernels.push_back(&avx2());
  }
#endif
  kernels.push_back(&portable());
  return kernels;
}

const Kernels& kernels_of(const std::string& name) {
  std::string names;
  for (const Kernels* kernels : available()) {
    if (name == kernels->name) {
      return *kernels;
    }
    names += (names.empty() ? "" : ", ") + std::string(kernels->name);
  }
  throw std::invalid_argument("instruction set '" + name + "' is not one of " + names);
}

}  // namespace

void Measure::Free::operator()(void* memory) const noexcept { std::free(memory); }

Measure::Memory Measure::allocate(std::size_t size) {
  const std::size_t whole = (size + alignment - 1) / alignment * alignment;
  Memory memory(std::aligned_alloc(alignment, whole));
  if (memory == nullptr) {
    throw std::bad_alloc();
  }
  // Margins are read, though what they hold does not count.
  std::memset(memory.get(), 0, whole);
  return memory;
}

Measure::Measure(int width, int height, int bits, int most_distorted,
                 std::vector<double> gain_limits, const std::string& instruction_set)
    : bits_(bits),
      gain_limits_(std::move(gain_limits)),
      kernels_(kernels_of(instruction_set)),
      scratch_(allocate(kernels_.scratch_size(width))) {
  if (width < smallest_side || height < smallest_side) {
    throw std::invalid_argument("frames of " + std::to_string(width) + "x" +
                                std::to_string(height) + " are smaller than 33x33");
  }
  if (bits != 8 && bits != 10 && bits != 12) {
    throw std::invalid_argument(std::to_string(bits) + " bits: must be 8, 10 or 12");
  }
  if (most_distorted < 1) {
    throw std::invalid_argument("a ladder has one distorted version or more");
  }
  if (gain_limits_.empty() || gain_limits_.size() > 2) {
    throw std::invalid_argument(std::to_string(gain_limits_.size()) +
                                " limits of the gain: must be 1 or 2");
  }
  for (int index = 0; index < scale_count; ++index) {
    Scale& scale = scales_[static_cast<std::size_t>(index)];
    scale.width = width >> index;
    scale.height = height >> index;
    scale.sample_size = index == 0 && bits == 8 ? 1 : 2;
    const int unit = static_cast<int>(alignment);
    scale.pitch = (scale.width + 2 * margin + unit - 1) / unit * unit;
    const std::size_t samples =
        static_cast<std::size_t>(scale.pitch) * static_cast<std::size_t>(scale.height) +
        static_cast<std::size_t>(2 * margin);
    for (int picture = 0; picture <= most_distorted; ++picture) {
      scale.memory.push_back(allocate(samples * scale.sample_size));
      auto* origin = static_cast<std::uint8_t*>(scale.memory.back().get()) +
                     static_cast<std::size_t>(margin) * scale.sample_size;
      scale.pictures.push_back({origin, scale.pitch, scale.width, scale.height});
    }
  }
}

void Measure::copy(const Plane& plane, std::size_t index, const std::string& name) {
  const Scale& scale = scales_[0];
  const auto width = static_cast<std::size_t>(scale.width);
  const auto height = static_cast<std::size_t>(scale.height);
  check_sample_size(plane, static_cast<unsigned>(bits_), name);
  if (plane.width != width || plane.height != height) {
    throw std::invalid_argument(name + " is " + size_text(plane.width, plane.height) +
                                ", must be " + size_text(width, height));
  }
  auto* first = static_cast<std::uint8_t*>(scale.memory[index].get()) +
                static_cast<std::size_t>(margin) * scale.sample_size;
  copy_samples(plane,
               {first, scale.pitch * static_cast<std::ptrdiff_t>(scale.sample_size), width, height,
                static_cast<unsigned>(bits_)},
               name);
}

void Measure::measure(const Plane& reference, const Planes& distorted, Ratio* ratios) {
  const std::size_t count = distorted.size();
  if (count == 0 || count >= scales_[0].pictures.size()) {
    throw std::invalid_argument(std::to_string(count) + " distorted versions: must be 1 to " +
                                std::to_string(scales_[0].pictures.size() - 1));
  }
  copy(reference, 0, "the reference");
  for (std::size_t i = 0; i < count; ++i) {
    copy(distorted[i], i + 1, "distorted version " + std::to_string(i));
  }
  const auto limits = static_cast<int>(gain_limits_.size());
  for (int index = 0; index < scale_count; ++index) {
    const Scale& scale = scales_[static_cast<std::size_t>(index)];
    std::vector<Sums> sums(count);
    kernels_.statistics({index, bits_, scale.pictures[0], scale.pictures.data() + 1,
                         static_cast<int>(count), gain_limits_.data(), limits},
                        scratch_.get(), sums.data());
    for (std::size_t i = 0; i < count; ++i) {
      for (int limit = 0; limit < limits; ++limit) {
        ratios[(i * gain_limits_.size() + static_cast<std::size_t>(limit)) * scale_count +
               static_cast<std::size_t>(index)] = {numerator(sums[i], limit), denominator(sums[i])};
      }
    }
    if (index + 1 < scale_count) {
      const Scale& next = scales_[static_cast<std::size_t>(index) + 1];
      for (std::size_t i = 0; i <= count; ++i) {
        auto* target = static_cast<std::uint16_t*>(next.memory[i].get()) + margin;
        kernels_.decimate(index, bits_, scale.pictures[i], target, next.pitch, scratch_.get());
      }
    }
  }
}

std::vector<std::string> instruction_sets() {
  std::vector<std::string> names;
  for (const Kernels* kernels : available()) {
    names.emplace_back(kernels->name);
  }
  return names;
}

bool logarithms_agree(const std::string& instruction_set) {
  // The lowest and the highest value of each mantissa, between 2^17 and 2^18: what is left out
  // below the 16 highest bits must not count.
  constexpr int mantissas = 1 << 15;
  std::vector<double> values;
  for (int i = 0; i < mantissas; ++i) {
    values.push_back(4.0 * (mantissas + i));
    values.push_back(4.0 * (mantissas + i) + 3.0);
  }
  const auto count = static_cast<int>(values.size());
  std::vector<std::int32_t> expected(values.size());
  std::vector<std::int32_t> found(values.size());
  portable().logarithms(values.data(), expected.data(), count);
  kernels_of(instruction_set).logarithms(values.data(), found.data(), count);
  return found == expected;
}

}  // namespace pyvmaf::kernels::vif
