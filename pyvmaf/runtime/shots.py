"""Shots of a video by a model that looks at windows of thumbnails, as TransNet V2 does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.errors import InputError
from pyvmaf.runtime.tensors import TensorModel

THRESHOLD = 0.5
"""Probability from which on a frame is taken to be the last of its shot."""


def thumbnail_size(model: TensorModel) -> tuple[int, int]:
    """Width and height of the thumbnails that a model takes."""
    _, _, _, height, width = _shape(model)
    return width, height


def boundary_probabilities(
    model: TensorModel, thumbnails: Iterable[NDArray[Any]]
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Give how likely each frame is the last of its shot, and how likely it lies in a transition.

    Windows overlap by half, and of each only the middle half counts. The first and the last frame are repeated around the
    video. Memory: one window.

    Args:
        model: takes [1, window, 3, height, width], 0 to 255.
        thumbnails: of the frames in order, uint8 RGB [n, 3, height, width] each.

    Yields:
        Two arrays [n] for the next frames, 0 to 1.
    """
    _, window, channels, height, width = _shape(model)
    half, edge = window // 2, window // 4
    names = list(model.block.outputs)
    buffer = np.empty((0, channels, height, width), np.uint8)
    frames = given = 0
    last: NDArray[Any] | None = None

    def run() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        answers = model(**{next(iter(model.block.inputs)): buffer[None, :window].astype(np.float32)})
        first, second = (_sigmoid(answers[name][0, edge : edge + half]) for name in (names[0], names[-1]))
        return first, second

    for batch in thumbnails:
        if last is None:
            buffer = np.repeat(batch[:1], edge, axis=0)
        last, frames = batch[-1:], frames + len(batch)
        buffer = np.concatenate([buffer, batch])
        while len(buffer) >= window:
            yield run()
            given, buffer = given + half, buffer[half:]
    while last is not None and given < frames:
        buffer = np.concatenate([buffer, np.repeat(last, max(0, window - len(buffer)), axis=0)])
        first, second = run()
        yield first[: frames - given], second[: frames - given]
        given, buffer = given + half, buffer[half:]


def cuts(probabilities: NDArray[np.float64], threshold: float = THRESHOLD) -> list[int]:
    """Give the frames that start a new shot, without the first frame.

    Of frames in a row above the threshold, as in a long transition, the likeliest one ends the shot.

    Args:
        probabilities: [n], that a frame is the last of its shot.
        threshold: above which it is taken to be one.
    """
    above = np.flatnonzero(probabilities > threshold)
    runs = np.split(above, np.flatnonzero(np.diff(above) > 1) + 1) if above.size else []
    ends = (int(run[np.argmax(probabilities[run])]) for run in runs)
    return [end + 1 for end in ends if end + 1 < probabilities.size]


def shots_of(starts: Iterable[int], frames: int) -> tuple[tuple[int, int], ...]:
    """Give the first and last frame of each shot from the frames that start a new one; none without frames."""
    if not frames:
        return ()
    first = [0, *starts]
    return tuple(zip(first, [*(start - 1 for start in first[1:]), frames - 1], strict=True))


def _shape(model: TensorModel) -> tuple[int, int, int, int, int]:
    shape = next(iter(model.block.inputs.values()))
    if len(model.block.inputs) != 1 or len(shape) != 5 or shape[0] != 1 or shape[1] % 4 or shape[2] != 3:
        raise InputError(
            f"model {model.name} takes {shape}, but a detector of shots takes one window [1, frames, 3, height, width] of a "
            "number of frames that 4 divides"
        )
    _, window, channels, height, width = shape
    return 1, window, channels, height, width


def _sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-logits)))
