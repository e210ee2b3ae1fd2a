#include "cuda/kernels/measures.hpp"

#include <array>
#include <cstring>
#include <stdexcept>
#include <string>

#include "cuda/kernels/entries.hpp"

namespace pyvmaf::kernels::cuda {

namespace {

// Memory of the device as kernels see it.
template <typename Value>
Value* pointer(Address address) {
  return reinterpret_cast<Value*>(static_cast<std::uintptr_t>(address));
}

// A kernel of the device's module; `Kernel` is its class in entries.hpp.
template <typename Kernel>
struct Name;

#define PYVMAF_CUDA_NAME(name, ...)             \
  template <>                                   \
  struct Name<__VA_ARGS__> {                    \
    static constexpr const char* value = #name; \
  };
PYVMAF_CUDA_ENTRIES(PYVMAF_CUDA_NAME)
#undef PYVMAF_CUDA_NAME

template <typename Kernel>
class Launcher {
 public:
  explicit Launcher(const Device& device) : function_(device.function(Name<Kernel>::value)) {}

  void operator()(const Stream& stream, Stream::Grid grid,
                  const typename Kernel::Arguments& arguments) const {
    stream.launch(function_, grid, Kernel::threads, &arguments);
  }

 private:
  Handle function_;
};

// ---- VIF ----

class Vif final : public Measure {
 public:
  Vif(const Device& device, int width, int height, int bits, int most_distorted,
      std::vector<double> gain_limits, Address logarithms)
      : bits_(bits),
        pictures_(most_distorted + 1),
        gain_limits_(std::move(gain_limits)),
        logarithms_(logarithms),
        statistics_bytes_(device),
        statistics_0_(device),
        statistics_1_(device),
        statistics_2_(device),
        statistics_3_(device),
        decimate_bytes_(device),
        decimate_0_(device),
        decimate_1_(device),
        decimate_2_(device) {
    for (int index = 0; index < vif::scale_count; ++index) {
      Scale& scale = scales_[static_cast<std::size_t>(index)];
      scale.width = width >> index;
      scale.height = height >> index;
      scale.pitch = pitch_of(scale.width);
      scale.distance = scale.pitch * scale.height;
      if (index > 0) {
        scale.begin = parts_.take(sizeof(std::uint16_t) * static_cast<std::size_t>(scale.distance) *
                                  static_cast<std::size_t>(pictures_));
      }
    }
  }

  [[nodiscard]] std::size_t scratch_size() const override { return parts_.size(); }
  [[nodiscard]] std::size_t sums_size() const override {
    return sizeof(vif::Sums) * static_cast<std::size_t>(vif::scale_count * pictures_);
  }

  void start(const Stream& stream, const Luma& luma, const std::vector<Address>& /*earlier*/,
             int count, Address scratch, Address sums) const override {
    if (count == 0) {
      return;
    }
    for (int scale = 0; scale + 1 < vif::scale_count; ++scale) {
      decimate(stream, scale, pictures(scale, luma, scratch), count, scratch);
    }
    for (int scale = 0; scale < vif::scale_count; ++scale) {
      statistics(stream, scale, pictures(scale, luma, scratch), count,
                 pointer<vif::Sums>(sums) + scale * pictures_);
    }
  }

  void finish(const void* data, int count, Measured& measured) const override {
    std::vector<vif::Sums> sums(static_cast<std::size_t>(vif::scale_count * pictures_));
    std::memcpy(static_cast<void*>(sums.data()), data, sums_size());
    std::vector<kernels::vif::Ratio> ratios;
    for (int version = 1; count > 0 && version <= count; ++version) {
      for (std::size_t limit = 0; limit < gain_limits_.size(); ++limit) {
        for (int scale = 0; scale < vif::scale_count; ++scale) {
          const vif::Sums& reference = sums[static_cast<std::size_t>(scale * pictures_)];
          vif::Sums own = sums[static_cast<std::size_t>(scale * pictures_ + version)];
          own.denominator = reference.denominator;
          own.flat_count = reference.flat_count;
          ratios.push_back({vif::numerator(own, static_cast<int>(limit)), vif::denominator(own)});
        }
      }
    }
    measured.vif.push_back(std::move(ratios));
  }

 private:
  struct Scale {
    int width = 0;
    int height = 0;
    std::ptrdiff_t pitch = 0;
    std::ptrdiff_t distance = 0;
    std::size_t begin = 0;
  };

  [[nodiscard]] const Scale& scale_at(int index) const {
    return scales_[static_cast<std::size_t>(index)];
  }

  [[nodiscard]] vif::Pictures pictures(int index, const Luma& luma, Address scratch) const {
    const Scale& scale = scale_at(index);
    if (index == 0) {
      return {pointer<void>(luma.samples), luma.distance, luma.pitch, luma.width, luma.height};
    }
    return {pointer<void>(scratch + scale.begin), scale.distance, scale.pitch, scale.width,
            scale.height};
  }

  template <typename Kernel>
  void run_statistics(const Launcher<Kernel>& launch, const Stream& stream,
                      const vif::Pictures& pictures, int count, vif::Sums* sums) const {
    launch(stream,
           {Kernel::blocks(0, pictures.width, pictures.height),
            Kernel::blocks(1, pictures.width, pictures.height), 1},
           {pictures,
            bits_,
            count,
            {gain_limits_.front(), gain_limits_.back()},
            static_cast<int>(gain_limits_.size()),
            pointer<const std::uint16_t>(logarithms_),
            sums});
  }

  void statistics(const Stream& stream, int scale, const vif::Pictures& pictures, int count,
                  vif::Sums* sums) const {
    switch (scale) {
      case 0:
        return bits_ == 8 ? run_statistics(statistics_bytes_, stream, pictures, count, sums)
                          : run_statistics(statistics_0_, stream, pictures, count, sums);
      case 1:
        return run_statistics(statistics_1_, stream, pictures, count, sums);
      case 2:
        return run_statistics(statistics_2_, stream, pictures, count, sums);
      default:
        return run_statistics(statistics_3_, stream, pictures, count, sums);
    }
  }

  template <typename Kernel>
  void run_decimate(const Launcher<Kernel>& launch, const Stream& stream,
                    const vif::Pictures& pictures, int count, const Scale& next,
                    Address scratch) const {
    launch(
        stream,
        {Kernel::blocks(0, pictures.width, pictures.height),
         Kernel::blocks(1, pictures.width, pictures.height), count + 1},
        {pictures, bits_, pointer<std::uint16_t>(scratch + next.begin), next.distance, next.pitch});
  }

  void decimate(const Stream& stream, int scale, const vif::Pictures& pictures, int count,
                Address scratch) const {
    const Scale& next = scale_at(scale + 1);
    switch (scale) {
      case 0:
        return bits_ == 8 ? run_decimate(decimate_bytes_, stream, pictures, count, next, scratch)
                          : run_decimate(decimate_0_, stream, pictures, count, next, scratch);
      case 1:
        return run_decimate(decimate_1_, stream, pictures, count, next, scratch);
      default:
        return run_decimate(decimate_2_, stream, pictures, count, next, scratch);
    }
  }

  const int bits_;
  const int pictures_;
  const std::vector<double> gain_limits_;
  const Address logarithms_;
  std::array<Scale, vif::scale_count> scales_;
  Parts parts_;
  Launcher<vif::Statistics<std::uint8_t, 0>> statistics_bytes_;
  Launcher<vif::Statistics<std::uint16_t, 0>> statistics_0_;
  Launcher<vif::Statistics<std::uint16_t, 1>> statistics_1_;
  Launcher<vif::Statistics<std::uint16_t, 2>> statistics_2_;
  Launcher<vif::Statistics<std::uint16_t, 3>> statistics_3_;
  Launcher<vif::Decimate<std::uint8_t, 0>> decimate_bytes_;
  Launcher<vif::Decimate<std::uint16_t, 0>> decimate_0_;
  Launcher<vif::Decimate<std::uint16_t, 1>> decimate_1_;
  Launcher<vif::Decimate<std::uint16_t, 2>> decimate_2_;
};

// ---- ADM ----

class Adm final : public Measure {
 public:
  Adm(const Device& device, int width, int height, int bits, int most_distorted,
      const Wanted::Adm& wanted)
      : bits_(bits),
        pictures_(most_distorted + 1),
        gain_limits_(wanted.gain_limits),
        additive_(wanted.additive),
        pooling_(width, height, wanted.additive, wanted.viewing),
        divide_bytes_(device),
        divide_0_(device),
        divide_1_(device),
        divide_2_(device),
        divide_3_(device),
        cubes_0_(device),
        cubes_1_(device),
        cubes_2_(device),
        cubes_3_(device),
        visible_0_(device),
        visible_1_(device),
        visible_2_(device),
        visible_3_(device),
        lines_(device) {
    std::size_t widest = 0;
    for (int index = 0; index < adm::scale_count; ++index) {
      Scale& scale = scales_[static_cast<std::size_t>(index)];
      scale.width = adm::half_of(pooling_.width(index));
      scale.height = adm::half_of(pooling_.height(index));
      scale.pitch = pitch_of(scale.width);
      scale.area = scale.pitch * scale.height;
      const auto area = static_cast<std::size_t>(scale.area) * static_cast<std::size_t>(pictures_);
      if (index + 1 < adm::scale_count) {
        scale.approximations =
            parts_.take(area * (index == 0 ? sizeof(std::int16_t) : sizeof(std::int32_t)));
      }
      widest = std::max(widest, area * adm::band_count *
                                    (index == 0 ? sizeof(std::int16_t) : sizeof(std::int32_t)));
    }
    bands_ = parts_.take(widest);
    lines_begin_ = parts_.take(lines_size(scales_[0].height, most_distorted));
  }

  [[nodiscard]] std::size_t scratch_size() const override { return parts_.size(); }
  [[nodiscard]] std::size_t sums_size() const override {
    return sizeof(std::int64_t) * adm::scale_count * sets(pictures_ - 1);
  }

  void start(const Stream& stream, const Luma& luma, const std::vector<Address>& /*earlier*/,
             int count, Address scratch, Address sums) const override {
    if (count == 0) {
      return;
    }
    const auto sums_of = [&](int scale) {
      return sums + sizeof(std::int64_t) * static_cast<std::size_t>(scale) * sets(pictures_ - 1);
    };
    if (bits_ == 8) {
      measure<0>(stream, divide_bytes_, cubes_0_, visible_0_, luma, count, scratch, sums_of(0));
    } else {
      measure<0>(stream, divide_0_, cubes_0_, visible_0_, luma, count, scratch, sums_of(0));
    }
    measure<1>(stream, divide_1_, cubes_1_, visible_1_, luma, count, scratch, sums_of(1));
    measure<2>(stream, divide_2_, cubes_2_, visible_2_, luma, count, scratch, sums_of(2));
    measure<3>(stream, divide_3_, cubes_3_, visible_3_, luma, count, scratch, sums_of(3));
  }

  void finish(const void* data, int count, Measured& measured) const override {
    const auto limits = static_cast<int>(gain_limits_.size());
    std::vector<std::int64_t> sums(adm::scale_count * sets(pictures_ - 1));
    std::memcpy(sums.data(), data, sums_size());
    std::vector<kernels::adm::Parts> parts;
    for (int version = 0; version < count; ++version) {
      for (int limit = 0; limit < limits; ++limit) {
        for (int scale = 0; scale < adm::scale_count; ++scale) {
          const std::int64_t* own =
              sums.data() + static_cast<std::size_t>(scale) * sets(pictures_ - 1);
          adm::ReferenceSums reference;
          adm::Sums version_sums;
          for (int band = 0; band < adm::band_count; ++band) {
            reference.cubes[band] = static_cast<std::uint64_t>(own[band]);
            version_sums.detail[band] = own[adm::line_set(version, limit, limits, false) + band];
            version_sums.additive[band] = own[adm::line_set(version, limit, limits, true) + band];
          }
          parts.push_back(pooling_.parts(scale, reference, version_sums));
        }
      }
    }
    measured.adm.push_back(std::move(parts));
  }

 private:
  // Of the bands that a scale makes.
  struct Scale {
    int width = 0;
    int height = 0;
    std::ptrdiff_t pitch = 0;
    std::ptrdiff_t area = 0;
    std::size_t approximations = 0;
  };

  [[nodiscard]] std::size_t sets(int count) const {
    return static_cast<std::size_t>(adm::line_sets(count, static_cast<int>(gain_limits_.size())));
  }
  [[nodiscard]] std::size_t lines_size(int height, int count) const {
    return sizeof(std::int64_t) * static_cast<std::size_t>(height) * sets(count);
  }

  template <int scale, typename Divide>
  void divide(const Stream& stream, const Launcher<Divide>& launch, const Luma& luma, int count,
              const adm::Bands<scale>& bands, Address scratch) const {
    const Scale& own = scales_[scale];
    typename Divide::Arguments arguments{};
    if constexpr (scale == 0) {
      arguments.samples = pointer<void>(luma.samples);
      arguments.distance = luma.distance;
      arguments.pitch = luma.pitch;
    } else {
      const Scale& before = scales_[scale - 1];
      arguments.samples = pointer<void>(scratch + before.approximations);
      arguments.distance = before.area;
      arguments.pitch = before.pitch;
    }
    arguments.width = pooling_.width(scale);
    arguments.height = pooling_.height(scale);
    arguments.bits = bits_;
    if constexpr (scale + 1 < adm::scale_count) {
      arguments.approximations =
          pointer<typename Divide::Approximation>(scratch + own.approximations);
      arguments.approximation_distance = own.area;
      arguments.approximation_pitch = own.pitch;
    }
    arguments.bands = bands;
    launch(stream,
           {Divide::blocks(0, arguments.width, arguments.height),
            Divide::blocks(1, arguments.width, arguments.height), count + 1},
           arguments);
  }

  template <int scale, typename Divide>
  void measure(const Stream& stream, const Launcher<Divide>& divider,
               const Launcher<adm::ReferenceCubes<scale>>& cubes,
               const Launcher<adm::Visible<scale>>& visible, const Luma& luma, int count,
               Address scratch, Address sums) const {
    const Scale& own = scales_[scale];
    const adm::Bands<scale> bands{pointer<adm::Coefficient<scale>>(scratch + bands_),
                                  adm::band_count * own.area,
                                  own.area,
                                  own.pitch,
                                  own.width,
                                  own.height};
    auto* lines = pointer<std::int64_t>(scratch + lines_begin_);
    stream.clear(scratch + lines_begin_, lines_size(own.height, count));
    divide<scale>(stream, divider, luma, count, bands, scratch);

    const adm::Span columns = adm::counted(own.width);
    const adm::Span rows = adm::counted(own.height);
    const adm::ReferencePowers reference_bits = adm::reference_powers(scale, columns, rows);
    cubes(stream,
          {parts_of(columns.last - columns.first, adm::ReferenceCubes<scale>::threads),
           rows.last - rows.first, 1},
          {bands, columns, rows, reference_bits, lines});

    typename adm::Visible<scale>::Arguments arguments{};
    typename adm::Lines::Arguments totals{};
    for (int band = 0; band < adm::band_count; ++band) {
      arguments.bits[band] = adm::powers(scale, band, own.width, own.height);
      totals.bits[band] = arguments.bits[band].line;
    }
    arguments.bands = bands;
    arguments.factors = pooling_.factors(scale);
    arguments.gain_limits[0] = gain_limits_.front();
    arguments.gain_limits[1] = gain_limits_.back();
    arguments.limit_count = static_cast<int>(gain_limits_.size());
    arguments.additive = additive_;
    arguments.lines = lines;
    visible(stream,
            {adm::Visible<scale>::blocks(0, own.width, own.height),
             adm::Visible<scale>::blocks(1, own.width, own.height), count},
            arguments);

    totals.lines = lines;
    totals.height = own.height;
    totals.reference_bits = reference_bits.line;
    totals.sums = pointer<std::int64_t>(sums);
    lines_(stream, {static_cast<int>(sets(count)), 1, 1}, totals);
  }

  const int bits_;
  const int pictures_;
  const std::vector<double> gain_limits_;
  const bool additive_;
  const kernels::adm::Pooling pooling_;
  std::array<Scale, adm::scale_count> scales_;
  Parts parts_;
  std::size_t bands_ = 0;
  std::size_t lines_begin_ = 0;
  Launcher<adm::Divide<std::uint8_t, 0>> divide_bytes_;
  Launcher<adm::Divide<std::uint16_t, 0>> divide_0_;
  Launcher<adm::Divide<std::int16_t, 1>> divide_1_;
  Launcher<adm::Divide<std::int32_t, 2>> divide_2_;
  Launcher<adm::Divide<std::int32_t, 3>> divide_3_;
  Launcher<adm::ReferenceCubes<0>> cubes_0_;
  Launcher<adm::ReferenceCubes<1>> cubes_1_;
  Launcher<adm::ReferenceCubes<2>> cubes_2_;
  Launcher<adm::ReferenceCubes<3>> cubes_3_;
  Launcher<adm::Visible<0>> visible_0_;
  Launcher<adm::Visible<1>> visible_1_;
  Launcher<adm::Visible<2>> visible_2_;
  Launcher<adm::Visible<3>> visible_3_;
  Launcher<adm::Lines> lines_;
};

// ---- motion ----

class Motion final : public Measure {
 public:
  Motion(const Device& device, int width, int height, int bits, int distance)
      : width_(width),
        height_(height),
        bits_(bits),
        distance_(static_cast<std::size_t>(distance)),
        difference_bytes_(device),
        difference_(device) {
    if (distance != 1 && distance != 2) {
      throw std::invalid_argument("distance " + std::to_string(distance) + ": must be 1 or 2");
    }
  }

  [[nodiscard]] std::size_t scratch_size() const override { return 0; }
  [[nodiscard]] std::size_t sums_size() const override { return sizeof(std::uint64_t); }

  void start(const Stream& stream, const Luma& luma, const std::vector<Address>& earlier,
             int /*count*/, Address /*scratch*/, Address sums) const override {
    const Address before = earlier[distance_ - 1];
    if (before == 0) {
      return;
    }
    const auto run = [&](const auto& launch, auto kernel) {
      using Kernel = decltype(kernel);
      launch(stream, {Kernel::blocks(0, width_, height_), Kernel::blocks(1, width_, height_), 1},
             {pointer<void>(before), pointer<void>(luma.samples), luma.pitch, width_, height_,
              bits_, pointer<std::uint64_t>(sums)});
    };
    if (bits_ == 8) {
      run(difference_bytes_, motion::Difference<std::uint8_t>{});
    } else {
      run(difference_, motion::Difference<std::uint16_t>{});
    }
  }

  void finish(const void* data, int /*count*/, Measured& measured) const override {
    std::uint64_t sum = 0;
    std::memcpy(&sum, data, sizeof(sum));
    measured.motion.push_back(sum);
  }

 private:
  const int width_;
  const int height_;
  const int bits_;
  const std::size_t distance_;
  Launcher<motion::Difference<std::uint8_t>> difference_bytes_;
  Launcher<motion::Difference<std::uint16_t>> difference_;
};

}  // namespace

std::unique_ptr<Measure> vif_measure(const Device& device, int width, int height, int bits,
                                     int most_distorted, const std::vector<double>& gain_limits,
                                     Address logarithms) {
  return std::make_unique<Vif>(device, width, height, bits, most_distorted, gain_limits,
                               logarithms);
}

std::unique_ptr<Measure> adm_measure(const Device& device, int width, int height, int bits,
                                     int most_distorted, const Wanted::Adm& wanted) {
  return std::make_unique<Adm>(device, width, height, bits, most_distorted, wanted);
}

std::unique_ptr<Measure> motion_measure(const Device& device, int width, int height, int bits,
                                        int distance) {
  return std::make_unique<Motion>(device, width, height, bits, distance);
}

}  // namespace pyvmaf::kernels::cuda
