"""A video whose frames stay in memory after the first pass, for whoever reads it again and again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyvmaf.video.agree import Side
from pyvmaf.video.format import Format

if TYPE_CHECKING:
    from pyvmaf.video.reader import FrameSource, Planes

LIMIT = 1 << 28
"""Bytes of frames that are kept; a video with more is decoded in each pass."""


class Remembered:
    """The frames of a video.

    Args:
        source: the video.
        limit: most bytes to keep.
    """

    once = False

    def __init__(self, source: FrameSource, limit: int = LIMIT) -> None:
        self.source = source
        self.path: Path = source.path
        self.stated_frames = source.stated_frames
        self._limit = limit
        self._kept: dict[bool, list[Planes]] = {}

    @property
    def interlaced(self) -> int:
        """Number of frames of the latest pass that are flagged as interlaced."""
        return self.source.interlaced

    @property
    def side(self) -> Side | None:
        """What the file says about itself."""
        return self.source.side

    @property
    def format(self) -> Format:
        """Format of the planes."""
        return self.source.format

    def identity(self) -> dict[str, Any]:
        """Return what decides the samples."""
        return self.source.identity()

    def widened(self, bit_depth: int) -> FrameSource:
        """Return the same frames with `bit_depth` bits per sample."""
        return self if bit_depth == self.format.bit_depth else self.source.widened(bit_depth)

    def count_packets(self) -> int:
        """Count the frames without decoding them."""
        return self.source.count_packets()

    def count_frames(self) -> int:
        """Count the frames by decoding them."""
        return self.source.count_frames()

    def planes(self, *, luma: bool = False) -> Iterator[Planes]:
        """Iterate over the frames; with `luma`, without chroma. A pass that reaches the end is kept for the next ones."""
        if luma in self._kept:
            yield from self._kept[luma]
            return
        frames: list[Planes] = []
        left = self._limit
        for planes in self.source.planes(luma=luma):
            left -= sum(plane.nbytes for plane in planes)
            if left >= 0:
                # A view would keep the decoder's whole picture.
                planes = tuple(plane.copy() for plane in planes)
                frames.append(planes)
            else:
                frames.clear()
            yield planes
        if left >= 0:
            self._kept[luma] = frames
