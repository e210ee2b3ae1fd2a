"""The offset between two videos of one scene, found from small pictures of their first frames."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pyvmaf.errors import InputError

if TYPE_CHECKING:
    from pyvmaf.video.reader import FrameSource, Plane

Pictures: TypeAlias = NDArray[np.float32]
"""Small pictures, [frame, value]."""

WINDOW = 60
"""Frames within which an offset is looked for, unless another number is given."""

# Samples per side of the blocks that small pictures are made of, and frames beyond the window that are compared at least.
_BLOCK = 8
_FRAMES = 48
_FEWEST = 4
# Seconds are often rounded to milliseconds.
_OFF_GRID = 0.1
# Frames by which the whole pictures may mislead.
_NEAR = 4

_MATCH = 0.8


class Offset(NamedTuple):
    """An offset between two videos.

    Attributes:
        frames: by how many frames the distorted video starts later: frame `frames` of the reference is its first frame.
            Negative if it has more frames in front.
        confidence: 1 minus the error at this offset over that at the next best one, from 0 (nothing moves) to 1.
        correlation: of the pictures at this offset, mean of the frames; both are None of an offset that was given.
    """

    frames: int
    confidence: float | None
    correlation: float | None

    def as_json(self) -> dict[str, float | int]:
        """Return what is known of it as JSON values."""
        return {name: value for name, value in self._asdict().items() if value is not None}


def parse_offset(offset: int | str) -> int | float:
    """Return the frames of an offset as an integer, or its seconds as a float.

    Args:
        offset: frames, or text: frames ("-3"), or seconds ("0.1s").

    Raises:
        InputError: it has another form.
    """
    text = str(offset).strip()
    try:
        if not text.endswith("s"):
            return int(text)
        seconds = float(text.removesuffix("s"))
        if not math.isfinite(seconds):
            raise ValueError
    except ValueError:
        raise InputError(
            f"an offset of {text!r} is not of the form N (frames) or N.Ns (seconds), for example -3 or 0.12s"
        ) from None
    return seconds


def offset_frames(offset: int | str, rate: Fraction | None) -> int:
    """Return an offset in frames.

    Args:
        offset: frames, or text: frames ("-3"), or seconds ("0.1s").
        rate: frames per second of the reference.

    Raises:
        InputError: it has another form, or is not a whole number of frames.
    """
    value = parse_offset(offset)
    if isinstance(value, int):
        return value
    text = f"{value:g}s"
    if rate is None:
        raise InputError(
            f"an offset of {text} needs the frame rate of the reference, which it does not state: give frames"
        )
    frames = value * float(rate)
    if abs(frames - round(frames)) > _OFF_GRID:
        raise InputError(
            f"an offset of {text} is {frames:.3f} frames at {float(rate):.6g} frames per second: give a whole number of frames, "
            f"such as {round(frames)}"
        )
    return round(frames)


def find_offset(reference: FrameSource, distorted: FrameSource, window: int = WINDOW) -> Offset:
    """Find the offset of a distorted video.

    Args:
        reference, distorted: videos of one size.
        window: frames by which it starts earlier or later at most.

    Raises:
        InputError: nowhere within the window do the pictures look like each other, the best offset lies at the window's end,
            or one of the videos is too short or can be read only once.
    """
    for video in (reference, distorted):
        if video.once:
            raise InputError(
                f"{video.path} is a pipe, which can be read only once: save it to a file, or give --offset"
            )
    ours, theirs = (pictures(video, window + _FRAMES) for video in (reference, distorted))
    return match(ours, theirs, window, (str(reference.path), str(distorted.path)))


def match(ours: Pictures, theirs: Pictures, window: int, names: tuple[str, str]) -> Offset:
    """Find the offset between two rows of pictures.

    Args:
        ours, theirs: small pictures of the first frames of a reference and a distorted video, as from `pictures`.
        window: as of `find_offset`.
        names: of the two, for messages.

    Raises:
        InputError: as `find_offset`.
    """
    reference, distorted = names
    shortest = min(len(ours), len(theirs))
    if shortest < _FEWEST:
        raise InputError(f"an offset needs at least {_FEWEST} frames of each video, one has {shortest}")
    least = max(_FEWEST, shortest // 3)
    sides = {shift: (ours[max(0, shift) :], theirs[max(0, -shift) :]) for shift in range(-window, window + 1)}
    sides = {shift: both for shift, both in sides.items() if min(map(len, both)) >= least}
    errors = {shift: _error(*both) for shift, both in sides.items()}
    near = min(errors, key=lambda shift: (errors[shift], abs(shift)))
    changes = {
        shift: _error_of_changes(*sides[shift]) for shift in range(near - _NEAR, near + _NEAR + 1) if shift in sides
    }
    best = min(changes, key=lambda shift: (changes[shift], errors[shift], abs(shift)))
    correlation, reach = _correlation(*sides[best]), max(map(abs, errors))
    if correlation < _MATCH:
        raise InputError(
            f"{distorted} does not look like {reference} at any offset of up to {reach} frames: the best one, {best}, has "
            f"a correlation of {correlation:.2f}, and {_MATCH} is the least for one scene; give the right pair, or a larger "
            "--sync-window"
        )
    beyond = best + (1 if best > 0 else -1)
    if best and beyond not in errors and errors[best] < errors[2 * best - beyond]:
        raise InputError(
            f"{distorted} looks most like {reference} at an offset of {best} frames, where the search ends: give a larger "
            "--sync-window"
        )
    second = min((error for shift, error in changes.items() if shift != best), default=0.0)
    return Offset(best, max(0.0, 1 - changes[best] / second) if second else 0.0, correlation)


def pictures(video: FrameSource, most: int) -> NDArray[np.float32]:
    """Small pictures of the first frames, [frame, value], on a scale of 8 bits."""
    scale = np.float32(1 << (video.format.bit_depth - 8))
    small = [_blocks(planes[0]) / scale for planes in islice(video.planes(luma=True), most)]
    return np.stack(small) if small else np.empty((0, 1), np.float32)


def _blocks(plane: Plane) -> NDArray[np.float32]:
    """Means of blocks of a plane, in one row."""
    height, width = (max(1, length // _BLOCK) for length in plane.shape)
    down, across = (min(_BLOCK, length) for length in plane.shape)
    blocks = plane[: height * down, : width * across].reshape(height, down, width, across)
    return np.asarray(blocks.mean((1, 3), dtype=np.float32).ravel())


def _error(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    """Mean squared difference of the frames that both have."""
    count = min(len(ours), len(theirs))
    return float(np.square(ours[:count] - theirs[:count]).mean(dtype=np.float64))


def _error_of_changes(ours: Pictures, theirs: Pictures) -> float:
    """Mean squared difference, in each frame weighted by how much the distorted one changes from the frame before.

    Encoders of low quality leave what moves slowly as it was in the frame before, so that a frame as a whole looks like an
    earlier one. What they did code anew belongs to its own frame.
    """
    count = min(len(ours), len(theirs))
    weights = np.square(np.diff(theirs[:count], axis=0))
    wrong = (weights * np.square(ours[1:count] - theirs[1:count])).sum(1, dtype=np.float64)
    return float(np.mean(wrong / np.maximum(weights.sum(1, dtype=np.float64), 1e-9)))


def _correlation(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    """Mean correlation of the frames that both have; 1 of frames that are equal and of one value."""
    values = []
    for left, right in zip(ours, theirs, strict=False):
        spread = float(left.std() * right.std())
        shared = float(((left - left.mean()) * (right - right.mean())).mean())
        values.append(shared / spread if spread > 1e-3 else float(np.abs(left - right).max() < 16))
    return float(np.mean(values))
