"""Finding hard cuts in a video from small grey thumbnails of its frames.

A cut is a frame that resembles its predecessor in nothing: the picture changes by far more than it does in the
frames around, and what was bright is no longer bright. Motion fails the first test, a change of light the second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from av import VideoFrame
    from numpy.typing import NDArray

# Size of the thumbnails: fine detail and noise say nothing about cuts.
WIDTH, HEIGHT = 32, 18

# Mean change of the thumbnail, in grey levels of 255, below which nothing is a cut.
MIN_CHANGE = 8.0
# 1 - correlation of two thumbnails, from which on they count as different pictures. Hand-held shake reaches 0.4.
MIN_DIFFERENCE = 0.45
# How many times larger than the change of the frames around.
MIN_RATIO = 2.0
# Frames on either side that are "around".
WINDOW = 6
# Pictures that return after this many frames or fewer were interrupted by a flash, not cut.
FLASH = 3


class ShotDetector:
    """Takes frames in order and says which belong to one shot.

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
        """Take the next frame, of any size and pixel format."""
        import numpy as np

        small = frame.reformat(WIDTH, HEIGHT, "gray", interpolation="AREA").to_ndarray()
        self.add_thumbnail(small.astype(np.uint8, copy=False))

    def add_thumbnail(self, thumbnail: NDArray[np.uint8]) -> None:
        """Take the next frame as a thumbnail of shape (HEIGHT, WIDTH), 0 to 255."""
        import numpy as np

        if self._thumbnails:
            step = thumbnail.astype(np.int16) - self._thumbnails[-1]
            self._changes.append(float(np.abs(step).mean()))
        self._thumbnails.append(thumbnail)

    def cuts(self) -> list[int]:
        """Indices of the frames that start a new shot, the first frame excluded."""
        found = [t for t in range(1, self.frames) if self._is_cut(t)]
        kept: list[int] = []
        for t in found:
            if kept and t - kept[-1] <= FLASH and self._difference(kept[-1] - 1, t) < MIN_DIFFERENCE:
                kept.pop()
            else:
                kept.append(t)
        return kept

    def shots(self) -> tuple[tuple[int, int], ...]:
        """First and last frame of each shot, inclusive; none where there are no frames."""
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
        # The third largest, so that other cuts near by do not hide this one.
        usual = sorted(around)[-3] if len(around) > 2 else 0.0
        return change >= MIN_RATIO * usual and self._difference(t - 1, t) >= MIN_DIFFERENCE

    def _difference(self, before: int, after: int) -> float:
        """1 - correlation of two thumbnails: 0 the same picture, 1 unrelated, 2 its negative."""
        import numpy as np

        one, two = (self._thumbnails[t].astype(np.float64).ravel() for t in (before, after))
        one, two = one - one.mean(), two - two.mean()
        scale: Any = np.sqrt((one @ one) * (two @ two))
        if scale == 0:
            # A flat picture (black, white) has no structure to compare; it differs from any that has one.
            return float(bool(one.any()) != bool(two.any()) or self._changes_between(before, after) >= MIN_CHANGE)
        return float(1 - (one @ two) / scale)

    def _changes_between(self, before: int, after: int) -> float:
        import numpy as np

        step = self._thumbnails[after].astype(np.int16) - self._thumbnails[before]
        return float(np.abs(step).mean())
