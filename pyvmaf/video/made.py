"""Frames that no file holds, in the format of a video."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from pyvmaf.errors import unknown_name
from pyvmaf.video.format import Format
from pyvmaf.video.reader import FrameSource, Planes

FROZEN = "frozen"
LEVELS = {"black": 16, "flat": 128}
"""Luma of the pictures of one colour, of 255."""


class Made:
    """One picture again and again, without end.

    Args:
        like: the video whose format the frames have.
        kind: "black", "flat" (mid-grey) or "frozen" (the first frame of the video).

    Raises:
        InputError: the kind is unknown.
    """

    def __init__(self, like: FrameSource, kind: str) -> None:
        if kind not in (FROZEN, *LEVELS):
            raise unknown_name("kind of frames", kind, [FROZEN, *LEVELS])
        self.path, self.stated_frames = like.path, like.stated_frames
        self._like, self._kind = like, kind
        self.side, self.interlaced = None, 0

    @property
    def format(self) -> Format:
        """Format of the planes."""
        return self._like.format

    def identity(self) -> dict[str, Any]:
        """Return what decides the samples; of a picture of one colour, its format alone."""
        form = self.format
        base = self._like.identity() if self._kind == FROZEN else {"as": f"{form.size} {form.pix_fmt}"}
        return {**base, "made": self._kind}

    def widened(self, bit_depth: int) -> Made:
        """Return the same picture with `bit_depth` bits per sample."""
        return Made(self._like.widened(bit_depth), self._kind)

    def count_packets(self) -> int:
        """Return the number of frames of the video."""
        return self._like.count_packets()

    def count_frames(self) -> int:
        """Return the number of frames of the video, by decoding them."""
        return self._like.count_frames()

    def planes(self, *, luma: bool = False) -> Iterator[Planes]:
        """Repeat the picture; with `luma`, without chroma."""
        if self._kind == FROZEN:
            first = next(self._like.planes(luma=luma))
            return itertools.repeat(tuple(plane.copy() for plane in first))
        picture = uniform(self.format, LEVELS[self._kind])
        return itertools.repeat(picture[:1] if luma else picture)


def uniform(form: Format, level: int) -> Planes:
    """Return a picture without colour whose luma is `level` of 255 everywhere (16 is black, 128 mid-grey)."""
    dtype = np.uint8 if form.bit_depth == 8 else np.uint16
    shift = form.bit_depth - 8
    levels = (level << shift, 128 << shift, 128 << shift)
    return tuple(np.full(size, value, dtype) for size, value in zip(form.plane_sizes(), levels, strict=False))
