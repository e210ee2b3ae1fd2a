"""Frames that no file holds: some of a video in another order, or made ones in its format."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.errors import unknown_name
from pyvmaf.video.format import Format
from pyvmaf.video.reader import FrameSource, Plane, Planes

LEVELS: Mapping[str, int] = {"black": 16, "flat": 128}
"""Luma of the pictures of one colour, of 255."""

BLOCK = 8
"""Side of the blocks of "coarse", in samples of each plane."""


def _noise(index: int, shape: tuple[int, ...], low: int, high: int) -> NDArray[np.int64]:
    """Random levels from `low` to `high`, the same for the same frame number on every machine."""
    return np.random.Generator(np.random.PCG64([17, index])).integers(low, high, size=shape, endpoint=True)


def _like(plane: Plane, values: NDArray[Any]) -> Plane:
    """Values with the type of a plane's samples."""
    return values.astype(np.uint8) if plane.dtype.itemsize == 1 else values.astype(np.uint16)


def _blocks(plane: Plane) -> Plane:
    rows, columns = (np.minimum(np.arange(n) // BLOCK * BLOCK + BLOCK // 2, n - 1) for n in plane.shape)
    return _like(plane, plane[np.ix_(rows, columns)])


def _mirrored(planes: Planes, _index: int, _shift: int) -> Planes:
    return tuple(_like(plane, plane[:, ::-1]) for plane in planes)


def _coarse(planes: Planes, _index: int, _shift: int) -> Planes:
    return tuple(_blocks(plane) for plane in planes)


def _noisy(planes: Planes, index: int, shift: int) -> Planes:
    luma = planes[0]
    changed = luma.astype(np.int64) + (_noise(index, luma.shape, -40, 40) << shift)
    return _like(luma, changed.clip(0, 255 << shift)), *planes[1:]


def _faded(planes: Planes, _index: int, shift: int) -> Planes:
    # Towards mid-grey: the middle of luma and of chroma is the same number.
    return tuple(_like(plane, plane // 2 + (64 << shift)) for plane in planes)


def _vivid(planes: Planes, _index: int, shift: int) -> Planes:
    middle = 128 << shift
    return tuple(
        _like(plane, (plane.astype(np.int64) * 3 // 2 - middle // 2).clip(0, 255 << shift)) for plane in planes
    )


CHANGED: Mapping[str, Callable[[Planes, int, int], Planes]] = {
    "mirrored": _mirrored,
    "coarse": _coarse,
    "noisy": _noisy,
    "faded": _faded,
    "vivid": _vivid,
}
"""Each frame of the video changed: planes, frame number and bits per sample beyond 8 to planes."""

KINDS = (*LEVELS, *CHANGED, "noise")


class Held:
    """Some frames of a video in memory. They are decoded when the first of them is asked for, all in one pass.

    Args:
        video: the video.
        frames: frame numbers, in any order; its memory holds each once.
    """

    def __init__(self, video: FrameSource, frames: Iterable[int]) -> None:
        self.video, self._frames = video, frozenset(frames)

    @cached_property
    def planes(self) -> dict[int, Planes]:
        """The frames by number."""
        first = itertools.islice(self.video.planes(), max(self._frames) + 1)
        return {n: tuple(plane.copy() for plane in planes) for n, planes in enumerate(first) if n in self._frames}


class Chosen:
    """Frames of a video in any order, each as often as it is named.

    Args:
        held: frames of the video, the chosen ones among them.
        frames: frame numbers, in the order of the frames to be.
    """

    once = False

    def __init__(self, held: Held, frames: Sequence[int]) -> None:
        self.path = held.video.path
        self.stated_frames: int | None = len(frames)
        self.side, self.interlaced = None, 0
        self._held, self._frames = held, list(frames)

    @property
    def format(self) -> Format:
        """Format of the planes."""
        return self._held.video.format

    def identity(self) -> dict[str, Any]:
        """Return what decides the samples."""
        return {**self._held.video.identity(), "frames": self._frames}

    def widened(self, bit_depth: int) -> Chosen:
        """Return the same frames with `bit_depth` bits per sample."""
        return Chosen(Held(self._held.video.widened(bit_depth), self._frames), self._frames)

    def count_packets(self) -> int:
        """Return the number of frames."""
        return len(self._frames)

    def count_frames(self) -> int:
        """Return the number of frames."""
        return len(self._frames)

    def planes(self, *, luma: bool = False) -> Iterator[Planes]:
        """Iterate over the frames; with `luma`, without chroma."""
        for number in self._frames:
            planes = self._held.planes[number]
            yield planes[:1] if luma else planes


class Made:
    """Made frames in the format of a video.

    Args:
        like: the video.
        kind: one of `KINDS`: pictures that are "black", "flat" (mid-grey) or "noise", as many as anybody takes, or each
            frame of the video "mirrored", "coarse", "noisy", "faded" or "vivid".

    Raises:
        InputError: the kind is unknown.
    """

    once = False

    def __init__(self, like: FrameSource, kind: str) -> None:
        if kind not in KINDS:
            raise unknown_name("kind of frames", kind, KINDS)
        self.path, self.stated_frames = like.path, like.stated_frames
        self._like, self._kind = like, kind
        self.side, self.interlaced = None, 0

    @property
    def format(self) -> Format:
        """Format of the planes."""
        return self._like.format

    def identity(self) -> dict[str, Any]:
        """Return what decides the samples; of pictures without anything of the video, its format alone."""
        form = self.format
        base = self._like.identity() if self._kind in CHANGED else {"as": f"{form.size} {form.pix_fmt}"}
        return {**base, "made": self._kind}

    def widened(self, bit_depth: int) -> Made:
        """Return the same pictures with `bit_depth` bits per sample."""
        return Made(self._like.widened(bit_depth), self._kind)

    def count_packets(self) -> int:
        """Return the number of frames of the video."""
        return self._like.count_packets()

    def count_frames(self) -> int:
        """Return the number of frames of the video, by decoding them."""
        return self._like.count_frames()

    def planes(self, *, luma: bool = False) -> Iterator[Planes]:
        """Iterate over the frames; with `luma`, without chroma."""
        shift = self.format.bit_depth - 8
        if self._kind in CHANGED:
            change = CHANGED[self._kind]
            return (change(planes, n, shift) for n, planes in enumerate(self._like.planes(luma=luma)))
        grey = uniform(self.format, LEVELS.get(self._kind, LEVELS["flat"]))
        rest = () if luma else grey[1:]
        if self._kind in LEVELS:
            return itertools.repeat((grey[0], *rest))
        shape = grey[0].shape
        return ((_like(grey[0], _noise(n, shape, 16, 235) << shift), *rest) for n in itertools.count())


def uniform(form: Format, level: int) -> Planes:
    """Return a picture without colour whose luma is `level` of 255 everywhere (16 is black, 128 mid-grey)."""
    dtype = np.uint8 if form.bit_depth == 8 else np.uint16
    shift = form.bit_depth - 8
    levels = (level << shift, 128 << shift, 128 << shift)
    return tuple(np.full(size, value, dtype) for size, value in zip(form.plane_sizes(), levels, strict=False))
