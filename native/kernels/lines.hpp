#pragma once

#include <cstddef>

#include "kernels/margin.hpp"

namespace pyvmaf::kernels {

// The lines of a picture. Around each, `margin` samples can be read, whatever they hold. All but
// the first and the last stand in one piece of memory, which those two need not: it may begin and
// end with samples of the picture.
struct Lines {
  const void* first;
  const void* inner;  // where the first line would stand, too
  const void* last;
  std::ptrdiff_t pitch;  // samples from line to line
  int count;

  template <typename Sample>
  [[gnu::always_inline]] const Sample* at(int index) const noexcept {
    if (index == 0) {
      return static_cast<const Sample*>(first);
    }
    if (index == count - 1) {
      return static_cast<const Sample*>(last);
    }
    return static_cast<const Sample*>(inner) + index * pitch;
  }
};

}  // namespace pyvmaf::kernels
