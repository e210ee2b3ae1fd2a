"""Frames without noise, by a model that looks at a window of frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from pyvmaf.errors import InputError
from pyvmaf.runtime.tensors import TensorModel


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


def denoised(model: TensorModel, planes: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.float64]]:
    """Give each plane [h, w] without noise, in levels of 0 to 255.

    Args:
        model: of the task ``denoise``: frames [1, n, h, w] of 0 to 1 to one [1, 1, h, w].
        planes: luma of the frames of a video in levels, in order.

    Raises:
        InputError: a frame has another size than those of the model.
        IntegrityError: as `TensorModel`.
    """
    (name, (_, size, height, width)), (answer, _) = *model.block.inputs.items(), *model.block.outputs.items()

    def scaled() -> Iterator[NDArray[np.float32]]:
        for plane in planes:
            if plane.shape != (height, width):
                raise InputError(
                    f"model {model.name} takes frames of {width}x{height}, but this one has {plane.shape[1]}x{plane.shape[0]}: "
                    f"convert the checkpoint for this size (size: {{width: {plane.shape[1]}, height: {plane.shape[0]}}} in its "
                    "YAML file), or scale the video"
                )
            yield plane.astype(np.float32) / np.float32(255)

    for window in windows(scaled(), size):
        yield 255 * model(**{name: window[None]})[answer][0, 0]
