"""Frames without noise, by a model that looks at a window of frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray


def windows(frames: Iterable[NDArray[np.float32]], size: int = 5) -> Iterator[NDArray[np.float32]]:
    """Give the window [size, h, w] around each frame [h, w]; the first and the last frame are repeated at the ends.

    Memory: one window.

    Args:
        frames: of a video, in order.
        size: number of frames of a window, odd.
    """
    half = size // 2
    held: deque[NDArray[np.float32]] = deque(maxlen=size)
    behind = 0
    for frame in frames:
        if not held:
            held.extend([frame] * half)
        held.append(frame)
        behind += 1
        if behind > half:
            yield np.stack(held)
    # What is not given yet are as many windows as there are frames behind the middle, or fewer of a short video.
    for _ in range(min(half, behind)):
        while len(held) < size - 1:
            held.append(held[-1])
        held.append(held[-1])
        yield np.stack(held)
