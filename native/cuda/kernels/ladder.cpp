#include "cuda/kernels/ladder.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "cuda/kernels/measures.hpp"
#include "kernels/luma.hpp"
#include "kernels/vif_kernels.hpp"

namespace pyvmaf::kernels::cuda {

namespace {

// Frames before a frame that its motion reads.
constexpr std::size_t most_earlier = 2;

std::string bytes_text(std::size_t bytes) {
  return std::to_string((bytes + (std::size_t{1} << 20) - 1) >> 20) + " MiB";
}

}  // namespace

class Ladder::Frames {
 public:
  Frames(const Device& device, int width, int height, int bits, int most_distorted, Wanted wanted,
         int at_once)
      : device_(device),
        most_distorted_(most_distorted),
        sample_size_(bits == 8 ? 1 : 2),
        luma_{0, pitch_of(width) * height, pitch_of(width), width, height, bits} {
    take_logarithms();
    for (const std::vector<double>& limits : wanted.vif) {
      kernels::check_ladder(most_distorted, limits);
      measures_.push_back(
          vif_measure(device, width, height, bits, most_distorted, limits, logarithms_.address()));
    }
    for (const Wanted::Adm& adm : wanted.adm) {
      kernels::check_ladder(most_distorted, adm.gain_limits);
      measures_.push_back(adm_measure(device, width, height, bits, most_distorted, adm));
    }
    for (const int distance : wanted.motion) {
      measures_.push_back(motion_measure(device, width, height, bits, distance));
    }
    for (const std::unique_ptr<Measure>& measure : measures_) {
      scratch_.push_back(scratch_parts_.take(measure->scratch_size()));
      sums_.push_back(sums_parts_.take(measure->sums_size()));
    }
    take_memory(static_cast<std::size_t>(at_once));
  }

  ~Frames() {
    // Kernels may still write into what is freed.
    for (const Slot& slot : slots_) {
      try {
        slot.stream.synchronize();
      } catch (const Error&) {
        // What failed has been said, or nobody waits for it.
      }
    }
  }

  Frames(const Frames&) = delete;
  Frames& operator=(const Frames&) = delete;
  Frames(Frames&&) = delete;
  Frames& operator=(Frames&&) = delete;

  void push(const Plane& reference, const Planes& distorted) {
    if (distorted.size() > static_cast<std::size_t>(most_distorted_)) {
      throw std::invalid_argument(std::to_string(distorted.size()) +
                                  " distorted versions: must be 0 to " +
                                  std::to_string(most_distorted_));
    }
    device_.enter();
    make_room();
    const Slot& slot = slots_[pushed_ % slots_.size()];
    copy(reference, slot, 0, "the reference");
    for (std::size_t i = 0; i < distorted.size(); ++i) {
      copy(distorted[i], slot, i + 1, "distorted version " + std::to_string(i));
    }
    start(static_cast<int>(distorted.size()));
  }

  void push_again() {
    if (pushed_ < slots_.size()) {
      throw std::logic_error("no frame was pushed that could be measured again");
    }
    device_.enter();
    make_room();
    start(slots_[pushed_ % slots_.size()].count);
  }

  Measured pop() {
    if (known_.empty()) {
      if (finished_ == pushed_) {
        throw std::logic_error("no frame is being measured");
      }
      device_.enter();
      finish();
    }
    Measured measured = std::move(known_.front());
    known_.pop_front();
    return measured;
  }

  [[nodiscard]] std::size_t pending() const noexcept { return pushed_ - finished_ + known_.size(); }
  [[nodiscard]] int at_once() const noexcept {
    return static_cast<int>(slots_.size() - most_earlier);
  }
  [[nodiscard]] std::size_t device_memory() const noexcept {
    return logarithms_.size() + slots_.size() * slot_size();
  }
  [[nodiscard]] std::size_t pinned_memory() const noexcept {
    return slots_.size() * (input_size() + sums_parts_.size());
  }

 private:
  // One frame. Its input stays until the motion of two later frames has been measured.
  struct Slot {
    explicit Slot(const Device& device) : stream(device), copied(device), done(device) {}

    Stream stream;
    Event copied;
    Event done;
    PinnedMemory pinned_input;
    PinnedMemory pinned_sums;
    DeviceMemory input;
    DeviceMemory scratch;
    DeviceMemory sums;
    int count = 0;
  };

  [[nodiscard]] std::size_t picture_size() const {
    return sample_size_ * static_cast<std::size_t>(luma_.distance);
  }
  [[nodiscard]] std::size_t input_size() const {
    return picture_size() * static_cast<std::size_t>(most_distorted_ + 1);
  }
  [[nodiscard]] std::size_t slot_size() const {
    return input_size() + scratch_parts_.size() + sums_parts_.size();
  }

  void take_logarithms() {
    constexpr std::size_t size = sizeof(std::uint16_t) * kernels::vif::logarithm_table_size;
    logarithms_ = DeviceMemory(device_, size);
    const Stream stream(device_);
    stream.upload(logarithms_.address(), kernels::vif::logarithm_table(), size);
    stream.synchronize();
  }

  void take_memory(std::size_t at_once) {
    while (slots_.size() < at_once + most_earlier) {
      try {
        Slot slot(device_);
        slot.input = DeviceMemory(device_, input_size());
        // A driver refuses to allocate nothing.
        slot.scratch = DeviceMemory(device_, std::max<std::size_t>(scratch_parts_.size(), 1));
        slot.sums = DeviceMemory(device_, sums_parts_.size());
        slot.pinned_input = PinnedMemory(device_, input_size());
        slot.pinned_sums = PinnedMemory(device_, sums_parts_.size());
        slots_.push_back(std::move(slot));
      } catch (const Error& error) {
        if (error.kind() != Kind::memory) {
          throw;
        }
        if (slots_.size() <= most_earlier) {
          throw Error(
              Kind::memory,
              "frames of " + std::to_string(luma_.width) + "x" + std::to_string(luma_.height) +
                  " with " + std::to_string(most_distorted_) + " distorted versions need " +
                  bytes_text(slot_size() * (most_earlier + 1)) +
                  " of the CUDA device's memory, of which " +
                  bytes_text(device_.memory().first + slot_size() * slots_.size()) + " are free");
        }
        return;
      }
    }
  }

  void copy(const Plane& plane, const Slot& slot, std::size_t index,
            const std::string& name) const {
    check_sample_size(plane, static_cast<unsigned>(luma_.bits), name);
    const auto width = static_cast<std::size_t>(luma_.width);
    const auto height = static_cast<std::size_t>(luma_.height);
    if (plane.width != width || plane.height != height) {
      throw std::invalid_argument(name + " is " + size_text(plane.width, plane.height) +
                                  ", must be " + size_text(width, height));
    }
    copy_samples(plane,
                 {slot.pinned_input.data() + index * picture_size(),
                  luma_.pitch * static_cast<std::ptrdiff_t>(sample_size_), width, height,
                  static_cast<unsigned>(luma_.bits)},
                 name);
  }

  // Waits for the frame that the next one takes the place of, and those that are too many.
  void make_room() {
    while (pushed_ - finished_ >= slots_.size() - most_earlier) {
      finish();
    }
  }

  void start(int count) {
    Slot& slot = slots_[pushed_ % slots_.size()];
    slot.count = count;
    std::vector<Address> earlier(most_earlier, 0);
    // All frames that read the input of this place have been finished: they are not among the last
    // ones, which are being measured.
    slot.stream.upload(slot.input.address(), slot.pinned_input.data(),
                       picture_size() * static_cast<std::size_t>(count + 1));
    slot.stream.record(slot.copied);
    for (std::size_t i = 0; i < most_earlier && i < pushed_; ++i) {
      const Slot& before = slots_[(pushed_ - 1 - i) % slots_.size()];
      slot.stream.wait_for(before.copied);
      earlier[i] = before.input.address();
    }
    slot.stream.clear(slot.sums.address(), sums_parts_.size());
    Luma luma = luma_;
    luma.samples = slot.input.address();
    for (std::size_t i = 0; i < measures_.size(); ++i) {
      measures_[i]->start(slot.stream, luma, earlier, count, slot.scratch.address() + scratch_[i],
                          slot.sums.address() + sums_[i]);
    }
    slot.stream.download(slot.pinned_sums.data(), slot.sums.address(), sums_parts_.size());
    slot.stream.record(slot.done);
    ++pushed_;
  }

  void finish() {
    const Slot& slot = slots_[finished_ % slots_.size()];
    slot.done.wait();
    Measured measured;
    measured.count = slot.count;
    for (std::size_t i = 0; i < measures_.size(); ++i) {
      measures_[i]->finish(slot.pinned_sums.data() + sums_[i], slot.count, measured);
    }
    known_.push_back(std::move(measured));
    ++finished_;
  }

  const Device& device_;
  const int most_distorted_;
  const std::size_t sample_size_;
  const Luma luma_;
  DeviceMemory logarithms_;
  std::vector<std::unique_ptr<Measure>> measures_;
  Parts scratch_parts_;
  Parts sums_parts_;
  std::vector<std::size_t> scratch_;
  std::vector<std::size_t> sums_;
  std::vector<Slot> slots_;
  std::size_t pushed_ = 0;
  std::size_t finished_ = 0;
  std::deque<Measured> known_;
};

Ladder::Ladder(std::shared_ptr<const Device> device, int width, int height, int bits,
               int most_distorted, Wanted wanted, int at_once)
    : device_(std::move(device)) {
  kernels::check_frames(width, height, bits);
  if (most_distorted < 0) {
    throw std::invalid_argument(std::to_string(most_distorted) +
                                " distorted versions: must be 0 or more");
  }
  if (at_once < 1) {
    throw std::invalid_argument(std::to_string(at_once) + " frames at once: must be 1 or more");
  }
  if (wanted.vif.empty() && wanted.adm.empty() && wanted.motion.empty()) {
    throw std::invalid_argument("nothing is to be measured");
  }
  device_->enter();
  frames_ = std::make_unique<Frames>(*device_, width, height, bits, most_distorted,
                                     std::move(wanted), at_once);
}

Ladder::~Ladder() = default;

void Ladder::push(const Plane& reference, const Planes& distorted) {
  frames_->push(reference, distorted);
}

void Ladder::push_again() { frames_->push_again(); }

Measured Ladder::pop() { return frames_->pop(); }

std::size_t Ladder::pending() const noexcept { return frames_->pending(); }

int Ladder::at_once() const noexcept { return frames_->at_once(); }

std::size_t Ladder::device_memory() const noexcept { return frames_->device_memory(); }

std::size_t Ladder::pinned_memory() const noexcept { return frames_->pinned_memory(); }

}  // namespace pyvmaf::kernels::cuda
