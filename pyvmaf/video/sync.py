"""The offset between two videos of one scene, found from small pictures of their first frames."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pyvmaf.errors import InputError

if TYPE_CHECKING:
    from pyvmaf.video.reader import FrameSource

Pictures: TypeAlias = NDArray[np.float32]
"""Small pictures, [frame, row, column]."""

WINDOW = 60
"""Frames within which an offset is looked for, unless another number is given."""

# Columns of small pictures, of blocks of two samples or more; how many of these side by side are one value of the first look; and
# frames beyond the window that are compared at least.
_WIDTH, _FINEST = 160, 2
_COARSE = 4
_FRAMES = 48
_FEWEST = 4
# Seconds are often rounded to milliseconds.
_OFF_GRID = 0.1
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
    first, second = (np.stack([_blocks(picture, _COARSE) for picture in side]) for side in (ours, theirs))
    errors = {shift: _error(first[max(0, shift) :], second[max(0, -shift) :]) for shift in sides}
    changes = _errors_of_changes(ours, theirs, errors)
    best = min(changes, key=lambda shift: (changes[shift], errors[shift], abs(shift)))
    correlation, reach = _correlation(first[max(0, best) :], second[max(0, -best) :]), max(map(abs, errors))
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
    next_best = min((error for shift, error in changes.items() if shift != best), default=0.0)
    return Offset(best, max(0.0, 1 - changes[best] / next_best) if next_best > 0 else 0.0, correlation)


def pictures(video: FrameSource, most: int) -> Pictures:
    """Small pictures of the first frames, [frame, row, column], on a scale of 8 bits."""
    scale = np.float32(1 << (video.format.bit_depth - 8))
    size = max(_FINEST, video.format.width // _WIDTH)
    small = [_blocks(planes[0], size) / scale for planes in islice(video.planes(luma=True), most)]
    return np.stack(small) if small else np.empty((0, 1, 1), np.float32)


def _blocks(plane: NDArray[Any], size: int) -> NDArray[np.float32]:
    """Means of square blocks of a plane."""
    height, width = (max(1, length // size) for length in plane.shape)
    down, across = (min(size, length) for length in plane.shape)
    blocks = plane[: height * down, : width * across].reshape(height, down, width, across)
    return np.asarray(blocks.mean((1, 3), dtype=np.float32))


def _error(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    """Mean squared difference of the frames that both have."""
    count = min(len(ours), len(theirs))
    return float(np.square(ours[:count] - theirs[:count]).mean(dtype=np.float64))


def _errors_of_changes(ours: Pictures, theirs: Pictures, shifts: Iterable[int]) -> dict[int, float]:
    """1 minus the correlation of what changes from frame to frame, mean of the frames, for each shift; between 0 and 2.

    Encoders of low quality leave what moves slowly as it was in the frame before, so that a frame as a whole looks like an
    earlier one. What they did code anew belongs to its own frame, where the scene changes in the same way.
    """
    left, right = (np.diff(side, axis=0) for side in (ours, theirs))
    powers = [np.einsum("tyx,tyx->t", side, side, dtype=np.float64) for side in (left, right)]
    found = {}
    for shift in shifts:
        first, second = max(0, shift), max(0, -shift)
        count = min(len(left) - first, len(right) - second)
        pairs = (side[start : start + count] for side, start in ((left, first), (right, second)))
        shared = np.einsum("tyx,tyx->t", *pairs, dtype=np.float64)
        power = powers[0][first : first + count] * powers[1][second : second + count]
        found[shift] = float(np.mean(1 - shared / np.sqrt(power + 1e-9)))
    return found


def _correlation(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    """Mean correlation of the frames that both have; 1 of frames that are equal and of one value."""
    values = []
    for left, right in zip(ours, theirs, strict=False):
        spread = float(left.std() * right.std())
        shared = float(((left - left.mean()) * (right - right.mean())).mean())
        values.append(shared / spread if spread > 1e-3 else float(np.abs(left - right).max() < 16))
    return float(np.mean(values))
