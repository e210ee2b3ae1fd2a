#include "kernels/adm.hpp"

#include <cmath>
#include <stdexcept>
#include <utility>

#include "kernels/choice.hpp"

namespace pyvmaf::kernels::adm {

namespace {

std::vector<const Kernels*> available() {
#if defined(PYVMAF_X86)
  return runnable(portable, {{has_avx512, avx512}, {has_avx2, avx2}});
#else
  return runnable(portable, {});
#endif
}

constexpr double pi = 3.14159265358979323846;

// Visibility of quantization noise in luma (Watson, Yang, Solomon and Villasenor, "Visibility of
// wavelet quantization noise", 1997): a, k and f0 of formula 7, and g of table IV.
constexpr float threshold_a = 0.495F;
constexpr float threshold_k = 0.466F;
constexpr float threshold_f0 = 0.401F;
constexpr float orientation_gain[2] = {1.0F, 0.534F};  // horizontal and vertical, diagonal
// Amplitudes of the basis functions, of table V.
constexpr float amplitudes[scale_count][2] = {
    {0.67234F, 0.72709F}, {0.41317F, 0.49428F}, {0.22727F, 0.28688F}, {0.11792F, 0.15214F}};

// Samples per degree of visual angle, at the distance that the arithmetic was made for.
constexpr double nominal = 3.0 * 1080;

// Blends of contrast sensitivities are given for a few displays: first for horizontal and vertical
// bands from the finest scale on, then for diagonal ones.
struct Blend {
  double distance;
  int height;
  float values[2][scale_count];
  float of_absolute_errors[2][scale_count];
};

constexpr Blend blends[] = {
    {3.0,
     1080,
     {{0.01183F, 0.025026F, 0.04295F, 0.058621F}, {0.004302F, 0.011778F, 0.023918F, 0.035901F}},
     {{0.011249F, 0.022606F, 0.035930F, 0.045673F}, {0.004097F, 0.010921F, 0.021430F, 0.031313F}}},
    {5.0,
     1080,
     {{0.004212F, 0.014809F, 0.029642F, 0.047464F}, {0.000984F, 0.005852F, 0.0146F, 0.027574F}},
     {{0.004052F, 0.013939F, 0.026298F, 0.038833F}, {0.000927F, 0.005544F, 0.013415F, 0.024515F}}},
    {1.5,
     2160,
     {{0.01183F, 0.025026F, 0.04295F, 0.058621F}, {0.004302F, 0.011778F, 0.023918F, 0.035901F}},
     {{0.011249F, 0.022606F, 0.035930F, 0.045673F}, {0.004097F, 0.010921F, 0.021430F, 0.031313F}}},
    {3.0,
     2160,
     {{0.00226F, 0.01183F, 0.025026F, 0.04295F}, {0.000479F, 0.004302F, 0.011778F, 0.023918F}},
     {{0.002166F, 0.011249F, 0.022606F, 0.035930F}, {0.000447F, 0.004097F, 0.010921F, 0.021430F}}},
    {5.0,
     2160,
     {{0.000092F, 0.004212F, 0.014809F, 0.029642F}, {0.000050F, 0.000984F, 0.005852F, 0.0146F}},
     {{0.000077F, 0.004052F, 0.013939F, 0.026298F}, {0.000045F, 0.000927F, 0.005544F, 0.013415F}}},
    {5.0,
     720,
     {{0.010144F, 0.022561F, 0.040309F, 0.05672F}, {0.003463F, 0.010282F, 0.021839F, 0.034641F}},
     {{0.009689F, 0.020577F, 0.034162F, 0.044523F}, {0.003302F, 0.009579F, 0.019661F, 0.030318F}}}};

float blended_sensitivity(int scale, int row, const Viewing& viewing) {
  for (const Blend& blend : blends) {
    if (blend.distance == viewing.distance && blend.height == viewing.height) {
      return viewing.sensitivity == Sensitivity::blend ? blend.values[row][scale]
                                                       : blend.of_absolute_errors[row][scale];
    }
  }
  throw std::invalid_argument("no blended sensitivity is known for " +
                              std::to_string(viewing.height) + " lines from " +
                              std::to_string(viewing.distance) + " heights");
}

// Reciprocal of the step that is just visible (formula 9), in single precision where libvmaf has
// it.
float sensitivity(int scale, int band, const Viewing& viewing) {
  const int row = band == diagonal_band ? 1 : 0;
  if (viewing.sensitivity != Sensitivity::watson) {
    return blended_sensitivity(scale, row, viewing);
  }
  const auto resolution = static_cast<float>(viewing.distance * viewing.height * pi / 180.0);
  const auto octaves = static_cast<float>(
      std::log10(std::pow(2.0, scale + 1) * threshold_f0 * orientation_gain[row] / resolution));
  const float exponent = threshold_k * octaves * octaves;
  const auto step = static_cast<float>(2.0 * threshold_a * std::pow(10.0, double{exponent}) /
                                       amplitudes[scale][row]);
  return 1.0F / step;
}

std::uint32_t factor(int scale, int band, float value, const Viewing& viewing) {
  if (scale > 0) {
    return static_cast<std::uint32_t>(value * std::pow(2.0, 32));
  }
  if (viewing.sensitivity == Sensitivity::watson &&
      std::fabs(viewing.distance * viewing.height - nominal) < 1.0e-8) {
    return band == diagonal_band ? 49417 : 36453;
  }
  return static_cast<std::uint16_t>(value * std::pow(2.0, band == diagonal_band ? 23 : 21));
}

float cube_root(float value) { return std::pow(value, 1.0F / 3.0F); }

// Noise is a cube root of a number of samples, too, added to that of each band.
float pooled(const std::array<float, band_count>& cubes, double noise) {
  const float floor = cube_root(static_cast<float>(noise));
  const float horizontal = cube_root(cubes[horizontal_band]) + floor;
  const float vertical = cube_root(cubes[vertical_band]) + floor;
  const float diagonal = cube_root(cubes[diagonal_band]) + floor;
  return horizontal + vertical + diagonal;
}

// Sums as floats of contrasts. Scale 0 rounds to double first.
std::array<float, band_count> cubes_of(int scale, const std::int64_t* sums, int width, int height) {
  constexpr int exponents[scale_count] = {52, 45, 39, 36};
  std::array<float, band_count> cubes{};
  for (int band = 0; band < band_count; ++band) {
    const Powers bits = powers(scale, band, width, height);
    const int exponent =
        (scale == 0 && band == diagonal_band ? 57 : exponents[scale]) - bits.cube - bits.line;
    const auto index = static_cast<std::size_t>(band);
    cubes[index] =
        scale == 0 ? static_cast<float>(static_cast<double>(sums[band]) / std::pow(2.0, exponent))
                   : static_cast<float>(sums[band]) / static_cast<float>(std::pow(2.0, exponent));
  }
  return cubes;
}

std::array<float, band_count> reference_cubes(int scale, const ReferenceSums& sums, Span columns,
                                              Span rows,
                                              const std::array<float, band_count>& sensitivity) {
  constexpr int exponents[scale_count] = {18, 32, 27, 23};
  const ReferencePowers bits = reference_powers(scale, columns, rows);
  const double unit = std::pow(2.0, exponents[scale] - bits.line - bits.cube);
  std::array<float, band_count> cubes{};
  for (std::size_t band = 0; band < band_count; ++band) {
    cubes[band] = static_cast<float>(static_cast<double>(sums.cubes[band]) / unit *
                                     std::pow(double{sensitivity[band]}, 3));
  }
  return cubes;
}

}  // namespace

Pooling::Pooling(int width, int height, bool additive, const Viewing& viewing)
    : additive_(additive), noise_weight_(viewing.noise_weight) {
  if (viewing.distance * viewing.height < nominal) {
    throw std::invalid_argument("view distance times display height is " +
                                std::to_string(viewing.distance * viewing.height) +
                                ": must be 3240 or more");
  }
  if (viewing.sensitivity != Sensitivity::watson && viewing.sensitivity != Sensitivity::blend &&
      viewing.sensitivity != Sensitivity::blend_of_absolute_errors) {
    throw std::invalid_argument("sensitivity " +
                                std::to_string(static_cast<int>(viewing.sensitivity)) +
                                ": must be 0, 2 or 3");
  }
  for (int index = 0; index < scale_count; ++index) {
    Scale& scale = scales_[static_cast<std::size_t>(index)];
    scale.width = width;
    scale.height = height;
    for (int band = 0; band < band_count; ++band) {
      const float value = sensitivity(index, band, viewing);
      scale.sensitivity[static_cast<std::size_t>(band)] = value;
      scale.factors.values[band] = factor(index, band, value, viewing);
    }
    width = half_of(width);
    height = half_of(height);
  }
}

Parts Pooling::parts(int scale, const ReferenceSums& reference, const Sums& sums) const {
  const Scale& own = at(scale);
  const int width = half_of(own.width);
  const int height = half_of(own.height);
  const Span columns = counted(width);
  const Span rows = counted(height);
  const double noise = (rows.last - rows.first) * (columns.last - columns.first) * noise_weight_;
  return {pooled(cubes_of(scale, sums.detail, width, height), noise),
          pooled(reference_cubes(scale, reference, columns, rows, own.sensitivity), noise),
          additive_ ? pooled(cubes_of(scale, sums.additive, width, height), 0.0) : 0.0F};
}

Measure::Measure(int width, int height, int bits, int most_distorted,
                 std::vector<double> gain_limits, bool additive, const Viewing& viewing,
                 const std::string& instruction_set)
    : bits_(bits),
      gain_limits_(std::move(gain_limits)),
      additive_(additive),
      pooling_(width, height, additive, viewing),
      kernels_(chosen(available(), instruction_set)) {
  check_ladder(most_distorted, gain_limits_);
  for (int i = 0; i <= most_distorted; ++i) {
    frames_.emplace_back(width, height, bits);
  }
  for (int index = 0; index < scale_count; ++index) {
    Scale& scale = scales_[static_cast<std::size_t>(index)];
    scale.pitch = pitch_of(pooling_.width(index));
    const std::size_t sample_size = index == 1 ? sizeof(std::int16_t) : sizeof(std::int32_t);
    for (int i = 0; i <= most_distorted && index > 0; ++i) {
      scale.memory.push_back(
          allocate(sample_size *
                   static_cast<std::size_t>(scale.pitch * pooling_.height(index) + 2 * margin)));
      scale.pictures.push_back(static_cast<std::uint8_t*>(scale.memory.back().get()) +
                               sample_size * margin);
      scale.lines.push_back(
          lines_from(scale.pictures.back(), scale.pitch, pooling_.height(index), sample_size));
    }
  }
  scratch_ = allocate(
      kernels_.scratch_size(width, height, most_distorted, static_cast<int>(gain_limits_.size())));
}

void Measure::measure(const Plane& reference, const Planes& distorted, Parts* parts) {
  const std::size_t count = distorted.size();
  if (count == 0 || count >= frames_.size()) {
    throw std::invalid_argument(std::to_string(count) + " distorted versions: must be 1 to " +
                                std::to_string(frames_.size() - 1));
  }
  std::vector<Lines>& pictures = scales_[0].lines;
  pictures.assign(1, frames_[0].lines(reference, "the reference"));
  for (std::size_t i = 0; i < count; ++i) {
    pictures.push_back(
        frames_[i + 1].lines(distorted[i], "distorted version " + std::to_string(i)));
  }
  const std::size_t results = count * gain_limits_.size();
  for (int index = 0; index < scale_count; ++index) {
    const Scale& scale = scales_[static_cast<std::size_t>(index)];
    const Scale* next =
        index + 1 < scale_count ? &scales_[static_cast<std::size_t>(index) + 1] : nullptr;
    ReferenceSums reference_sums;
    std::vector<Sums> sums(results);
    kernels_.measure(
        {index, bits_, pooling_.width(index), pooling_.height(index), scale.lines.data(),
         next == nullptr ? nullptr : next->pictures.data(), next == nullptr ? 0 : next->pitch,
         static_cast<int>(count), gain_limits_.data(), static_cast<int>(gain_limits_.size()),
         additive_, pooling_.factors(index)},
        scratch_.get(), reference_sums, sums.data());
    for (std::size_t i = 0; i < results; ++i) {
      parts[i * scale_count + static_cast<std::size_t>(index)] =
          pooling_.parts(index, reference_sums, sums[i]);
    }
  }
}

}  // namespace pyvmaf::kernels::adm
