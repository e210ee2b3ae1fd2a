"""A video without its first frames."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyvmaf.video.agree import Side
from pyvmaf.video.format import Format

if TYPE_CHECKING:
    from pyvmaf.video.reader import FrameSource, Planes


class Shifted:
    """Frames of a video from a certain one on.

    Args:
        source: the video.
        skip: number of frames to leave out.
    """

    def __init__(self, source: FrameSource, skip: int) -> None:
        self.source, self.skip = source, skip
        self.path: Path = source.path
        self.once = source.once
        stated = source.stated_frames
        self.stated_frames = None if stated is None else max(0, stated - skip)

    @property
    def interlaced(self) -> int:
        """Number of frames of the latest pass that are flagged as interlaced, those that were left out included."""
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
        return {**self.source.identity(), "skip": self.skip}

    def widened(self, bit_depth: int) -> FrameSource:
        """Return the same frames with `bit_depth` bits per sample."""
        return Shifted(self.source.widened(bit_depth), self.skip)

    def count_packets(self) -> int:
        """Count the frames without decoding them."""
        return max(0, self.source.count_packets() - self.skip)

    def count_frames(self) -> int:
        """Count the frames by decoding them."""
        return max(0, self.source.count_frames() - self.skip)

    def planes(self, *, luma: bool = False) -> Iterator[Planes]:
        """Iterate over the frames; with `luma`, without chroma."""
        return islice(self.source.planes(luma=luma), self.skip, None)


def whole(video: FrameSource) -> FrameSource:
    """Return a video with the frames that were left out."""
    return video.source if isinstance(video, Shifted) else video
