"""Conversions of decoded frames by FFmpeg's filters: a part of the picture, fields made into frames."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import TYPE_CHECKING, Literal

from pyvmaf.errors import InputError, shown

if TYPE_CHECKING:
    import av
    import av.filter

    from pyvmaf.video.format import Format

Which = Literal["reference", "distorted"]

_AREA = re.compile(r"(?:(reference|distorted)=)?([0-9]{1,6})x([0-9]{1,6})(?:\+([0-9]{1,6})\+([0-9]{1,6}))?")

DEINTERLACERS = ("bwdif", "yadif")
"""Filters that make frames of fields."""

DEINTERLACE, BOB = "mode=send_frame", "mode=send_field"
"""Their options to make one frame of both fields of each frame, and a frame of each field."""

WEAVE = "setfield=mode=prog"
"""The filter that takes both fields of each frame for one picture."""

# Frames in which fields are looked for, and the least number of them that tell.
_LOOKED_AT, _TELLING = 60, 8


def ends_fields(text: str) -> bool:
    """Return whether frames are progressive after a filter."""
    return text.startswith((*DEINTERLACERS, WEAVE))


def field_order(frames: Iterable[av.VideoFrame]) -> str:
    """Return which field of frames is shown first, "tff" or "bff", told from their pictures (FFmpeg's idet).

    Args:
        frames: some frames, of which the first ones are looked at.

    Returns:
        "" if they do not look interlaced, as still ones do not.
    """
    counts = {"tff": 0, "bff": 0, "progressive": 0}
    frames = (frame for frame in islice(frames, _LOOKED_AT))
    for frame in filtered(frames, ["idet"]):
        kind = frame.metadata.get("lavfi.idet.multiple.current_frame", "")
        if kind in counts:
            counts[kind] += 1
    first = max(("tff", "bff"), key=counts.__getitem__)
    return first if counts[first] >= _TELLING and counts[first] > 2 * (sum(counts.values()) - counts[first]) else ""


@dataclass(frozen=True)
class Area:
    """A part of the picture.

    Attributes:
        width, height: samples.
        place: columns and rows left out at the left and the top; None for the middle.
        side: the videos that it is cut out of; None for both.
    """

    width: int
    height: int
    place: tuple[int, int] | None = None
    side: Which | None = None

    @classmethod
    def parse(cls, text: str) -> Area:
        """Read ``[reference=|distorted=]WxH[+X+Y]``.

        Raises:
            InputError: the text has another form.
        """
        match = _AREA.fullmatch(text)
        if match is None or not int(match[2]) or not int(match[3]):
            raise InputError(
                f"a part of the picture is written [reference=|distorted=]WxH[+X+Y], for example distorted=640x360+0+0, not {shown(text)}"
            )
        side: Which | None = "reference" if match[1] == "reference" else "distorted" if match[1] else None
        place = None if match[4] is None else (int(match[4]), int(match[5]))
        return cls(int(match[2]), int(match[3]), place, side)

    def pad(self, form: Format, path: object) -> str:
        """Return FFmpeg's filter that puts frames of a format into a larger black picture of this size.

        Raises:
            InputError: they are larger, or their place is not one of whole samples of chroma.
        """
        across, down = form.chroma_step if form.chroma != "400" else (1, 1)
        left, top = self.place or (
            (self.width - form.width) // 2 // across * across,
            (self.height - form.height) // 2 // down * down,
        )
        if min(left, top) < 0 or left + form.width > self.width or top + form.height > self.height:
            raise InputError(
                f"{path} is {form.size}, which {self.width}x{self.height}+{left}+{top} does not hold: pad more"
            )
        if left % across or top % down:
            raise InputError(
                f"{path} is {form.pix_fmt}, which can be put only at multiples of {across} columns and {down} rows, not at {left} and {top}"
            )
        return f"pad={self.width}:{self.height}:{left}:{top}"

    def filter(self, form: Format, path: object) -> str:
        """Return FFmpeg's filter for frames of a format.

        Raises:
            InputError: the part is not inside the picture, or is not made of whole samples of chroma.
        """
        across, down = form.chroma_step if form.chroma != "400" else (1, 1)
        left, top = self.place or (
            (form.width - self.width) // 2 // across * across,
            (form.height - self.height) // 2 // down * down,
        )
        if min(left, top) < 0 or left + self.width > form.width or top + self.height > form.height:
            raise InputError(
                f"{path} is {form.size}, which does not hold {self.width}x{self.height}+{left}+{top}: crop less"
            )
        if left % across or top % down:
            raise InputError(
                f"{path} is {form.pix_fmt}, of which only multiples of {across} columns and {down} rows can be left out at the left and "
                f"the top, not {left} and {top}"
            )
        return f"crop={self.width}:{self.height}:{left}:{top}"


def filtered(frames: Generator[av.VideoFrame], chain: Sequence[str]) -> Generator[av.VideoFrame]:
    """Pass frames through filters of FFmpeg, which may give each one later.

    Args:
        frames: all of one format.
        chain: filters with their arguments.
    """
    graph: av.filter.Graph | None = None
    try:
        for frame in frames:
            if graph is None:
                graph = filter_graph(frame, chain)
            graph.push(frame)
            yield from _ready(graph)
        if graph is not None:
            graph.push(None)
            yield from _ready(graph)
    finally:
        frames.close()


def _ready(graph: av.filter.Graph) -> Generator[av.VideoFrame]:
    import av

    while True:
        try:
            yield graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return


def filter_graph(frame: av.VideoFrame, filters: Sequence[str]) -> av.filter.Graph:
    """FFmpeg's filters for frames like this one."""
    import av.filter

    graph = av.filter.Graph()
    time_base = frame.time_base or Fraction(1, 25)
    buffer = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=time_base)
    nodes = [graph.add(name, arguments) for name, _, arguments in (text.partition("=") for text in filters)]
    graph.link_nodes(buffer, *nodes, graph.add("buffersink")).configure()
    return graph
