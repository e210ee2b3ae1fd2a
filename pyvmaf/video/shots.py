"""Detection of hard cuts in a video, from small grey thumbnails of its frames.

A frame is a cut if the picture changes by far more than in the frames around it, and if it does not correlate with its
predecessor. Motion fails the first test, a change of light the second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from av import VideoFrame
    from numpy.typing import NDArray

# Size of the thumbnails: fine detail and noise do not help to find cuts.
WIDTH, HEIGHT = 32, 18

# Smallest mean change of the thumbnail at a cut, in grey levels of 255.
MIN_CHANGE = 8.0
# Smallest 1 - correlation of the thumbnails of different pictures. A hand-held camera that shakes reaches 0.4.
MIN_DIFFERENCE = 0.45
# Smallest ratio of the change at a cut to that of the frames around it.
MIN_RATIO = 2.0
# Number of frames on either side that are around a frame.
WINDOW = 6
# A picture that returns after at most this many frames was interrupted by a flash, not by a cut.
FLASH = 3
# Samples along each side of what a thumbnail's sample is the mean of, when it is made of a plane.
_SAMPLES = 8


def thumbnail(luma: NDArray[Any], bit_depth: int, *, full: bool) -> NDArray[np.uint8]:
    """Make the thumbnail of a picture from some of its samples, at most 8 by 8 for each of the thumbnail's.

    Args:
        luma: the plane.
        bit_depth: bits per sample.
        full: whether the samples are of full range; others are expanded to it.
    """
    import numpy as np

    lines = []
    for length, count in zip(luma.shape, (HEIGHT, WIDTH), strict=True):
        each = min(_SAMPLES, max(1, length // count))
        lines.append((np.arange(count * each) * 2 + 1) * length // (2 * count * each))
    rows, columns = (len(line) for line in lines)
    blocks = luma[lines[0]][:, lines[1]].reshape(HEIGHT, rows // HEIGHT, WIDTH, columns // WIDTH)
    levels = blocks.mean((1, 3), dtype=np.float32) / np.float32(1 << (bit_depth - 8))
    if not full:
        levels = (levels - 16) * np.float32(255 / 219)
    return np.asarray(np.rint(levels).clip(0, 255), np.uint8)


class ShotDetector:
    """Divides frames, taken in order, into shots.

    Memory: 576 bytes per frame.
    """

    def __init__(self) -> None:
        self._thumbnails: list[NDArray[np.uint8]] = []
        self._changes: list[float] = []

    @property
    def frames(self) -> int:
        """Number of frames taken so far."""
        return len(self._thumbnails)

    def add(self, frame: VideoFrame) -> None:
        """Take the next frame, which may have any size and pixel format."""
        import numpy as np

        small = frame.reformat(WIDTH, HEIGHT, "gray", interpolation="AREA", threads=1).to_ndarray()
        self.add_thumbnail(small.astype(np.uint8, copy=False))

    def add_thumbnail(self, thumbnail: NDArray[np.uint8]) -> None:
        """Take the thumbnail of the next frame, of shape (HEIGHT, WIDTH), 0 to 255."""
        import numpy as np

        if self._thumbnails:
            step = thumbnail.astype(np.int16) - self._thumbnails[-1]
            self._changes.append(float(np.abs(step).mean()))
        self._thumbnails.append(thumbnail)

    def cuts(self) -> list[int]:
        """Return the indices of the frames that start a new shot, without the first frame."""
        candidates = [t for t in range(1, self.frames) if self._is_cut(t)]
        kept: list[int] = []
        for t in candidates:
            if kept and t - kept[-1] <= FLASH and self._difference(kept[-1] - 1, t) < MIN_DIFFERENCE:
                kept.pop()
            else:
                kept.append(t)
        return kept

    def shots(self) -> tuple[tuple[int, int], ...]:
        """Return the first and last frame (inclusive) of each shot; none if there are no frames."""
        if not self.frames:
            return ()
        starts = [0, *self.cuts()]
        ends = [start - 1 for start in starts[1:]] + [self.frames - 1]
        return tuple(zip(starts, ends, strict=True))

    def _is_cut(self, t: int) -> bool:
        change = self._changes[t - 1]
        if change < MIN_CHANGE:
            return False
        around = self._changes[max(0, t - 1 - WINDOW) : t - 1] + self._changes[t : t + WINDOW]
        # The third largest change, so that other cuts near by do not hide this one.
        usual = sorted(around)[-3] if len(around) > 2 else 0.0
        return change >= MIN_RATIO * usual and self._difference(t - 1, t) >= MIN_DIFFERENCE

    def _difference(self, before: int, after: int) -> float:
        """Return 1 - correlation of two thumbnails: 0 for equal pictures, 1 for unrelated ones, 2 for a negative."""
        import numpy as np

        first, second = (self._thumbnails[t].astype(np.float64).ravel() for t in (before, after))
        first, second = first - first.mean(), second - second.mean()
        scale: Any = np.sqrt((first @ first) * (second @ second))
        if scale == 0:
            # A flat picture (black, white) does not have structure to compare; it differs from every picture that has.
            one_is_flat = bool(first.any()) != bool(second.any())
            return float(one_is_flat or self._change_between(before, after) >= MIN_CHANGE)
        return float(1 - (first @ second) / scale)

    def _change_between(self, before: int, after: int) -> float:
        import numpy as np

        step = self._thumbnails[after].astype(np.int16) - self._thumbnails[before]
        return float(np.abs(step).mean())
