// Runs every kernel on every instruction set of the machine without Python, for tools that watch
// memory (`scripts/sanitize.py`): random sizes, strides, depths, ladders and options, frames in
// memory that ends with their last sample, and results that must not depend on the instruction set.
//
// kernels_driver ROUNDS SEED

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "kernels/adm.hpp"
#include "kernels/motion.hpp"
#include "kernels/vif.hpp"

namespace {

namespace adm = pyvmaf::kernels::adm;
namespace motion = pyvmaf::kernels::motion;
namespace vif = pyvmaf::kernels::vif;

using Random = std::mt19937;

int between(Random& random, int least, int most) {
  return std::uniform_int_distribution<int>(least, most)(random);
}

// A frame whose rows are some bytes apart, from the first or from the last one.
class Frame {
 public:
  Frame(Random& random, int width, int height, int bits)
      : width_(static_cast<std::size_t>(width)),
        height_(static_cast<std::size_t>(height)),
        item_size_(bits == 8 ? 1 : 2),
        pitch_((width_ + static_cast<std::size_t>(between(random, 0, 40))) * item_size_),
        upside_down_(between(random, 0, 3) == 0),
        bytes_(pitch_ * (height_ - 1) + width_ * item_size_) {
    const int peak = (1 << bits) - 1;
    const int content = between(random, 0, 5);
    for (std::size_t row = 0; row < height_; ++row) {
      for (std::size_t column = 0; column < width_; ++column) {
        write(row, column, sample(random, content, peak, row, column));
      }
    }
  }

  pyvmaf::Plane plane() const {
    const auto stride = static_cast<std::ptrdiff_t>(pitch_);
    const std::uint8_t* first = bytes_.data() + (upside_down_ ? pitch_ * (height_ - 1) : 0);
    return {first,
            width_,
            height_,
            upside_down_ ? -stride : stride,
            static_cast<std::ptrdiff_t>(item_size_),
            item_size_};
  }

 private:
  static int sample(Random& random, int content, int peak, std::size_t row, std::size_t column) {
    switch (content) {
      case 0:
        return between(random, 0, peak);
      case 1:
        return column % 2 != 0 ? peak : 0;
      case 2:
        return (column / 3 + row / 2) % 2 != 0 ? peak : 0;
      case 3:
        return peak;
      case 4:
        return peak / 2 + between(random, -2, 2);
      default:
        return static_cast<int>(column * 7 + row * 3) % (peak + 1);
    }
  }

  void write(std::size_t row, std::size_t column, int value) {
    std::uint8_t* to = bytes_.data() + row * pitch_ + column * item_size_;
    const auto whole = static_cast<std::uint16_t>(value);
    std::memcpy(to, &whole, item_size_);
  }

  std::size_t width_;
  std::size_t height_;
  std::size_t item_size_;
  std::size_t pitch_;
  bool upside_down_;
  std::vector<std::uint8_t> bytes_;
};

// Counts results, which are compared as bytes with those of the first instruction set.
class Comparison {
 public:
  template <typename Result>
  void add(const std::function<std::vector<Result>(const std::string&)>& results) {
    const auto names = vif::instruction_sets();
    const auto expected = results(names.back());
    compared_ += static_cast<long>(expected.size());
    for (std::size_t i = 0; i + 1 < names.size(); ++i) {
      const auto found = results(names[i]);
      if (std::memcmp(found.data(), expected.data(), expected.size() * sizeof(Result)) != 0) {
        ++different_;
      }
    }
  }

  long compared() const { return compared_; }
  long different() const { return different_; }

 private:
  long compared_ = 0;
  long different_ = 0;
};

void run(Random& random, Comparison& comparison) {
  constexpr adm::Viewing viewings[] = {
      {3.0, 1080, 0.03125, adm::Sensitivity::watson},
      {5.0, 1080, 0.02, adm::Sensitivity::blend},
      {1.5, 2160, 0.02, adm::Sensitivity::blend_of_absolute_errors}};
  const int width = between(random, 33, 180);
  const int height = between(random, 33, 110);
  const int bits = 8 + 2 * between(random, 0, 2);
  const int rungs = between(random, 1, 4);
  std::vector<Frame> frames;
  for (int i = 0; i <= rungs; ++i) {
    frames.emplace_back(random, width, height, bits);
  }
  pyvmaf::Planes distorted;
  for (int i = 1; i <= rungs; ++i) {
    distorted.push_back(frames[static_cast<std::size_t>(i)].plane());
  }
  const pyvmaf::Plane reference = frames[0].plane();
  const std::vector<double> limits =
      between(random, 0, 1) == 0 ? std::vector<double>{100.0} : std::vector<double>{100.0, 1.2};
  const std::size_t results = distorted.size() * limits.size() * std::size_t{vif::scale_count};
  const bool additive = between(random, 0, 1) == 0;
  const adm::Viewing viewing = viewings[between(random, 0, 2)];

  comparison.add<vif::Ratio>([&](const std::string& set) {
    vif::Measure kernel(width, height, bits, rungs, limits, set);
    std::vector<vif::Ratio> ratios(results);
    kernel.measure(reference, distorted, ratios.data());
    return ratios;
  });
  comparison.add<adm::Parts>([&](const std::string& set) {
    adm::Measure kernel(width, height, bits, rungs, limits, additive, viewing, set);
    std::vector<adm::Parts> parts(results);
    kernel.measure(reference, distorted, parts.data());
    return parts;
  });
  const int distance = between(random, 1, 2);
  comparison.add<std::uint64_t>([&](const std::string& set) {
    motion::Measure kernel(width, height, bits, distance, set);
    std::vector<std::uint64_t> sums;
    for (const Frame& frame : frames) {
      sums.push_back(kernel.measure(frame.plane()));
    }
    return sums;
  });
}

}  // namespace

int main(int count, char** words) {
  const int rounds = count > 1 ? std::atoi(words[1]) : 20;
  Random random(count > 2 ? static_cast<unsigned>(std::atoi(words[2])) : 1U);
  Comparison comparison;
  for (int round = 0; round < rounds; ++round) {
    run(random, comparison);
  }
  std::printf("%ld results of %d rounds on:", comparison.compared(), rounds);
  for (const std::string& name : vif::instruction_sets()) {
    std::printf(" %s", name.c_str());
  }
  std::printf("; %ld differ\n", comparison.different());
  return comparison.different() == 0 ? 0 : 1;
}
