#include "kernels/vif.hpp"

#include <stdexcept>
#include <utility>

#include "kernels/choice.hpp"

namespace pyvmaf::kernels::vif {

namespace {

std::vector<const Kernels*> available() {
#if defined(PYVMAF_X86)
  return runnable(portable, {{has_avx512, avx512}, {has_avx2, avx2}});
#else
  return runnable(portable, {});
#endif
}

}  // namespace

Measure::Measure(int width, int height, int bits, int most_distorted,
                 std::vector<double> gain_limits, const std::string& instruction_set)
    : bits_(bits),
      gain_limits_(std::move(gain_limits)),
      kernels_(chosen(available(), instruction_set)),
      scratch_(allocate(kernels_.scratch_size(width))) {
  check_ladder(most_distorted, gain_limits_);
  for (int picture = 0; picture <= most_distorted; ++picture) {
    frames_.emplace_back(width, height, bits);
    scales_[0].pictures.push_back({{}, width, height});
  }
  for (int index = 1; index < scale_count; ++index) {
    Scale& scale = scales_[static_cast<std::size_t>(index)];
    scale.width = width >> index;
    scale.height = height >> index;
    scale.pitch = pitch_of(scale.width);
    const std::size_t samples =
        static_cast<std::size_t>(scale.pitch) * static_cast<std::size_t>(scale.height) +
        static_cast<std::size_t>(2 * margin);
    for (int picture = 0; picture <= most_distorted; ++picture) {
      scale.memory.push_back(allocate(samples * sizeof(std::uint16_t)));
      const auto* origin = static_cast<std::uint16_t*>(scale.memory.back().get()) + margin;
      scale.pictures.push_back({lines_from(origin, scale.pitch, scale.height, sizeof *origin),
                                scale.width, scale.height});
    }
  }
}

void Measure::measure(const Plane& reference, const Planes& distorted, Ratio* ratios) {
  const std::size_t count = distorted.size();
  if (count == 0 || count >= scales_[0].pictures.size()) {
    throw std::invalid_argument(std::to_string(count) + " distorted versions: must be 1 to " +
                                std::to_string(scales_[0].pictures.size() - 1));
  }
  std::vector<Picture>& pictures = scales_[0].pictures;
  pictures[0].lines = frames_[0].lines(reference, "the reference");
  for (std::size_t i = 0; i < count; ++i) {
    pictures[i + 1].lines =
        frames_[i + 1].lines(distorted[i], "distorted version " + std::to_string(i));
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
  chosen(available(), instruction_set).logarithms(values.data(), found.data(), count);
  return found == expected;
}

}  // namespace pyvmaf::kernels::vif
