"""Reading videos frame by frame, in display order: any container and headerless files, through PyAV.

Nothing is converted silently: frames have the samples that were coded unless another size or bit depth was asked for.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from copy import copy
from dataclasses import replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from pyvmaf.base.outputs import reading
from pyvmaf.errors import InputError, IntegrityError, MissingFileError, unknown_name
from pyvmaf.video.agree import Side, compare_colours
from pyvmaf.video.format import PLANAR, Colour, Format, Stream
from pyvmaf.video.presentation import Presentation, Turn, display_matrix

# NumPy is imported only to decode: to count the packets of an encode takes less time than that import.
if TYPE_CHECKING:
    import av.filter
    import numpy as np
    from numpy.typing import NDArray

Plane: TypeAlias = "NDArray[np.uint8] | NDArray[np.uint16]"
Planes: TypeAlias = "tuple[Plane, ...]"
"""Luma, then both chroma planes if there are any: 2-D, uint8 for 8 bit and uint16 above."""

# Decoders hand film grain over with the frame instead of adding it to the samples.
_WITHOUT_GRAIN = {"export_side_data": "film_grain"}


class FrameSource(Protocol):
    """Frames to compare: those of a file (`Reader`), or made ones (`pyvmaf.video.made.Made`).

    Attributes:
        path: the file that the frames come from, for messages.
        stated_frames: number of frames that the file's header states, None if it does not.
        interlaced: number of frames of the latest pass that are flagged as interlaced.
    """

    path: Path
    stated_frames: int | None
    interlaced: int

    @property
    def side(self) -> Side | None:
        """What the file says about itself; None for made frames, which say nothing."""

    @property
    def format(self) -> Format:
        """Format of the planes."""

    def identity(self) -> dict[str, Any]:
        """Return what decides the samples, for keys of caches."""

    def widened(self, bit_depth: int) -> FrameSource:
        """Return the same frames with `bit_depth` bits per sample, not fewer than they have."""

    def count_packets(self) -> int:
        """Count the frames without decoding them."""

    def count_frames(self) -> int:
        """Count the frames by decoding them."""

    def planes(self, *, luma: bool = False) -> Iterator[Planes]:
        """Iterate over the frames in display order; with `luma`, without chroma."""


class Reader:
    """A video file. Opening it reads the header; each iterator over its frames decodes the file anew.

    Args:
        path: any file that FFmpeg reads.
        raw: format of a headerless file.
        size: (width, height) to scale planes to (bicubic, FFmpeg's default); None for the coded size.
        bit_depth: bits per sample to widen planes to by shifting left; None for the coded depth.
        film_grain: whether the decoder adds film grain where the encoder asks for it (AV1, H.264, HEVC), as players do.

    Attributes:
        path, raw: as above.
        coded: format of the frames as they are coded.
        stated_frames: number of frames that the header states, None if it does not.
        stated_seconds: duration of the video stream that the header states, None if it does not.
        interlaced: number of frames of the latest pass that are flagged as interlaced.

    Raises:
        MissingFileError: there is no such file.
        InputError: it is not a video, or its length is not a multiple of a frame of `raw`, or a conversion would lose
            samples.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        raw: Format | None = None,
        size: tuple[int, int] | None = None,
        bit_depth: int | None = None,
        film_grain: bool = True,
    ) -> None:
        self.path = Path(path)
        reading(self.path)
        self.raw = raw
        self._size, self._bit_depth = size, bit_depth
        self.interlaced = 0
        self._film_grain = film_grain
        self._check_file()
        self.coded, self.stated_frames, self.stated_seconds = self._header()
        if raw is not None and size is not None and size != (raw.width, raw.height):
            raise InputError(f"{self.path} is raw video, which is not scaled: convert it with FFmpeg first")

    def __repr__(self) -> str:
        return f"Reader({str(self.path)!r}, {self.coded.size} {self.coded.pix_fmt})"

    @cached_property
    def format(self) -> Format:
        """Format of the planes that `planes` gives.

        Raises:
            InputError: the pixel format does not have separate planes of luma and chroma.
        """
        form = self.presentation.format(self._measurable)
        if self._size is not None:
            form = replace(form, width=self._size[0], height=self._size[1])
        if self._bit_depth is None:
            return form
        if self._bit_depth < form.bit_depth:
            raise InputError(
                f"{self.path} has {form.bit_depth} bits per sample: it is not narrowed to {self._bit_depth}"
            )
        return Format.planar(form.width, form.height, form.chroma, self._bit_depth)

    @cached_property
    def stream(self) -> Stream:
        """What the file says about its video stream."""
        with self._open() as container:
            return Stream.of(container)

    @cached_property
    def presentation(self) -> Presentation:
        """How players show the frames. `planes` gives planes like that, `frames` gives frames as they are decoded.

        Raises:
            InputError: pictures cannot be turned or cropped like that; also as `frames`.
            IntegrityError: as `frames`.
        """
        if self.raw is not None:
            return Presentation()
        matrix = self._first.matrix
        try:
            presentation = Presentation(self.stream.crop, Turn.of_matrix(matrix) if matrix else Turn())
            presentation.format(self.coded)
        except InputError as err:
            raise InputError(
                f"{self.path} cannot be shown as players do: {err}: convert it with FFmpeg first, which turns and crops when "
                "it encodes"
            ) from err
        return presentation

    @cached_property
    def side(self) -> Side:
        """What the file says about itself.

        Raises:
            InputError, IntegrityError: as `presentation`.
        """
        shown, rate = self.presentation.format(self.coded), self.coded.rate
        if self.raw is not None:
            return Side(self.path, shown.width, shown.height, rates=(rate,) if rate else ())
        stream, turn, aspect = self.stream, self.presentation.turn, self.stream.sample_aspect or Fraction(1)
        colour = self._first.colour
        if stream.codec == "vp8":
            # The decoder says BT.601 of every video.
            colour = replace(colour, matrix=stream.colour.matrix)
        return Side(
            self.path,
            shown.width,
            shown.height,
            colour=colour,
            stated=stream.colour,
            interlaced=self._first.interlaced,
            field_order=stream.field_order,
            sample_aspect=1 / aspect if turn.transposed else aspect,
            rates=stream.rates,
            shown=self.presentation.words,
        )

    @cached_property
    def _first(self) -> _Facts:
        """What the first frame says about itself."""
        bare = copy(self)
        # Decoders say that there is grain to add only if they do not add it.
        bare._film_grain = False
        frames = bare.frames()
        try:
            return _Facts.of(next(frames))
        finally:
            frames.close()

    @property
    def asks_for_grain(self) -> bool:
        """Whether the encoder asks decoders for film grain, as far as the first frame tells."""
        return self.raw is None and self._first.grain

    @property
    def _measurable(self) -> Format:
        form = self.coded.measurable
        if form is None:
            raise InputError(
                f"{self.path} is {self.coded.pix_fmt}, which does not have planes of luma and chroma: convert it to one "
                f"of {', '.join(PLANAR)} first"
            )
        return form

    def identity(self) -> dict[str, Any]:
        """Return what decides the planes: the bytes of the file, and what is done to its frames."""
        from pyvmaf.base.files import sha256_file

        raw = f"{self.raw.size} {self.raw.pix_fmt}" if self.raw else None
        key = {"sha256": sha256_file(self.path), "raw": raw, "as": f"{self.format.size} {self.format.pix_fmt}"}
        shown = {} if self.presentation.plain else {"shown": self.presentation.words}
        grain = {} if self._film_grain else {"film_grain": "off"}
        return key | shown | grain

    def widened(self, bit_depth: int) -> Reader:
        """Return a reader of the same file whose planes have `bit_depth` bits per sample."""
        if bit_depth == self.format.bit_depth:
            return self
        return Reader(self.path, raw=self.raw, size=self._size, bit_depth=bit_depth, film_grain=self._film_grain)

    def count_packets(self) -> int:
        """Count the coded pictures without decoding them: quick, and nearly always the number of frames.

        Raises:
            IntegrityError: the container is damaged.
        """
        import av

        if self.raw is not None:
            return self.stated_frames or 0
        with self._open() as container:
            stream = container.streams.video[0]
            if stream.frames:
                return int(stream.frames)
            try:
                return sum(1 for packet in container.demux(stream) if packet.size)
            except av.FFmpegError as err:
                raise IntegrityError(f"{self.path} is damaged: {_plain(err)}") from err

    def count_frames(self) -> int:
        """Count the frames by decoding all of them; raises what `frames` raises."""
        return sum(1 for _ in self.frames())

    def frames(self, *, threads: int = 1, tolerant: bool = False) -> Generator[av.VideoFrame]:
        """Iterate over the decoded frames in display order.

        Args:
            threads: threads of the decoder, 0 for as many as there are cores. More hold more frames in memory.
            tolerant: accept a file that ends a little before its header says. Edit lists may hide frames at either
                end, headers round durations, and rates may vary.

        Raises:
            InputError: there are no frames, or one has another size, or its samples stand for other colours, or players turn
                it in another way.
            IntegrityError: a frame is damaged, or the file ends before its header says.
        """
        import av

        index, end = 0, None
        first: _Facts | None = None
        self.interlaced = 0
        with self._open() as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = threads
            # Without this the decoder patches broken frames silently.
            stream.codec_context.options = {"err_detect": "explode", **({} if self._film_grain else _WITHOUT_GRAIN)}
            try:
                for frame in container.decode(stream):
                    if frame.is_corrupt:
                        raise IntegrityError(f"{self.path} is damaged: frame {index} does not decode as it was coded")
                    if (frame.width, frame.height) != (self.coded.width, self.coded.height):
                        raise InputError(
                            f"{self.path} changes its size from {self.coded.size} to {frame.width}x{frame.height} at "
                            f"frame {index}: cut it there into two files"
                        )
                    facts = _Facts.of(frame)
                    first = first or facts
                    if (facts.colour, facts.matrix) != (first.colour, first.matrix):
                        facts.check(first, self.path, index)
                    self.interlaced += facts.interlaced
                    yield frame
                    index += 1
                    if frame.pts is not None and frame.time_base is not None:
                        period = 1 / self.coded.rate if self.coded.rate else Fraction(0)
                        end = float(frame.pts * frame.time_base + max(frame.duration * frame.time_base, period))
            except av.FFmpegError as err:
                raise IntegrityError(f"{self.path} is damaged or truncated at frame {index}: {_plain(err)}") from err
            if index == 0:
                raise InputError(f"{self.path} holds no frames")
            self._check_end(int(stream.frames), index, end, tolerant=tolerant)

    def planes(self, *, luma: bool = False) -> Iterator[Planes]:
        """Iterate over the frames in display order, as views that stay valid as long as they are held.

        Args:
            luma: leave chroma out.

        Raises:
            InputError, IntegrityError: as `frames`; also if a frame has another pixel format.
        """
        form = self.format
        source = self._measurable
        presentation, shown = self.presentation, self.presentation.format(source)
        chroma = "400" if luma else source.chroma
        scale = (form.width, form.height) != (shown.width, shown.height)
        graph: av.filter.Graph | None = None
        for index, frame in enumerate(self.frames()):
            name = frame.format.name
            if name != self.coded.pix_fmt and replace(source, pix_fmt=name).measurable != source:
                raise InputError(
                    f"{self.path} changes its pixel format from {self.coded.pix_fmt} to {name} at frame {index}: cut it "
                    "there into two files"
                )
            if scale:
                if not presentation.plain:
                    graph = graph or _graph(frame, presentation.filters(source))
                    graph.push(frame)
                    frame = graph.vpull()
                frame = frame.reformat(form.width, form.height, source.pix_fmt, interpolation="BICUBIC")
            elif name != source.pix_fmt and not name.startswith("yuvj"):
                frame = frame.reformat(format=source.pix_fmt)
            planes = planes_of(frame, chroma, source.bit_depth)
            if not scale:
                planes = presentation.apply(planes, source)
            yield _widened(planes, form.bit_depth - source.bit_depth)

    def _check_file(self) -> None:
        if not self.path.exists():
            raise MissingFileError(f"no such file: {self.path}")
        if self.path.is_dir():
            raise InputError(f"{self.path} is a folder, not a video")
        length = self.path.stat().st_size
        if length == 0:
            raise InputError(f"{self.path} is empty: 0 bytes")
        if self.raw is None:
            if self.path.suffix.lower() == ".yuv":
                raise InputError(
                    f"{self.path} is raw video, which does not state its size: give --size WxH --pix-fmt FMT, or the key "
                    "raw in a corpus file"
                )
        elif length % self.raw.frame_bytes:
            raise InputError(
                f"{self.path} has {length} bytes, which is {length / self.raw.frame_bytes:.3f} frames of {self.raw.size} "
                f"{self.raw.pix_fmt} ({self.raw.frame_bytes} bytes each): it is truncated, or the size or the pixel "
                "format is wrong"
            )

    def _open(self) -> av.container.InputContainer:
        import av

        try:
            if self.raw is None:
                return av.open(str(self.path), mode="r")
            return av.open(str(self.path), mode="r", format="rawvideo", options=self.raw.raw_options)
        except av.error.PermissionError as err:
            raise InputError(f"no permission to read {self.path}") from err
        except (av.FFmpegError, ValueError) as err:
            raise InputError(f"{self.path} is not a video that FFmpeg can read ({_plain(err)})") from err

    def _header(self) -> tuple[Format, int | None, float | None]:
        """Format, number of frames and duration as the header states them."""
        with self._open() as container:
            if not container.streams.video:
                kinds = ", ".join(sorted({str(s.type) for s in container.streams})) or "nothing"
                raise InputError(f"{self.path} has no video stream, only {kinds}")
            stream = container.streams.video[0]
            context = stream.codec_context
            if self.raw is not None:
                return self.raw, self.path.stat().st_size // self.raw.frame_bytes, None
            if not context.pix_fmt or not context.width:
                raise InputError(
                    f"{self.path} has a video stream, but its first frame cannot be decoded: it is damaged"
                )
            rate = stream.average_rate or stream.guessed_rate
            form = Format(context.width, context.height, context.pix_fmt, rate or None)
            seconds = _seconds(stream.metadata.get("DURATION"))
            return form, _stated_frames(container, seconds, form.rate), seconds

    def _check_end(self, listed: int, frames: int, end: float | None, *, tolerant: bool) -> None:
        """Refuse a truncated file: it often decodes without complaint, but its header still states its length."""
        if frames < listed - (max(2, listed // 100) if tolerant else 0):
            raise IntegrityError(
                f"{self.path} is truncated: its header lists {listed} frames, but only {frames} decode; get a complete "
                "copy"
            )
        # Times count from zero, not from the stream's start: that is the time of the first packet, which in VVC is
        # not the first to be shown.
        stated = self.stated_seconds
        if stated is None or end is None:
            return
        period = float(1 / Fraction(self.coded.fps))
        if stated - end > (max(3 * period, stated / 50) if tolerant else max(2 * period, 0.1)):
            raise IntegrityError(
                f"{self.path} is truncated: its header states {stated:.3f} s, but its last frame ends at {end:.3f} s "
                f"({frames} frames); get a complete copy"
            )


class _Facts(NamedTuple):
    """What a frame says about itself.

    Attributes:
        colour: its colour.
        interlaced: whether it is flagged as interlaced.
        matrix: its display matrix, empty if it has none.
        grain: whether film grain is to be added to it.
    """

    colour: Colour
    interlaced: bool
    matrix: bytes
    grain: bool

    @classmethod
    def of(cls, frame: av.VideoFrame) -> _Facts:
        from av.sidedata.sidedata import Type

        sides: Any = frame.side_data  # a mapping by type, not by name as PyAV's stubs have it
        grain = sides.get(Type.FILM_GRAIN_PARAMS) is not None
        return cls(Colour.of(frame), bool(frame.interlaced_frame), display_matrix(frame), grain)

    def check(self, first: _Facts, path: Path, index: int) -> None:
        """Refuse a frame whose samples cannot be compared with those of the first one.

        Raises:
            InputError: they stand for other colours, or players turn the frame in another way.
        """
        if self.matrix != first.matrix:
            raise InputError(
                f"{path} turns its pictures in another way from frame {index} on: cut it there into two files"
            )
        try:
            compare_colours(first.colour, self.colour)
        except InputError as err:
            raise InputError(
                f"{path} changes its colours from {first.colour.words} to {self.colour.words} at frame {index}: cut it there "
                "into two files"
            ) from err


def _plain(error: Exception) -> str:
    """The words of an error, without number and path."""
    return str(getattr(error, "strerror", None) or error)


def _stated_frames(container: Any, seconds: float | None, rate: Fraction | None) -> int | None:
    """Number of frames that a header states or that follows from its duration."""
    import av

    stream = container.streams.video[0]
    if stream.frames:
        return int(stream.frames)
    if seconds is None and container.duration and len(container.streams) == 1:
        seconds = container.duration / av.time_base
    return round(seconds * rate) if seconds and rate else None


def _seconds(stamp: str | None) -> float | None:
    """Seconds of a tag such as 00:00:02.400000000, as Matroska has it."""
    if not stamp:
        return None
    hours, _, rest = stamp.partition(":")
    minutes, _, seconds = rest.partition(":")
    try:
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return None


def planes_of(frame: av.VideoFrame, chroma: str, bit_depth: int) -> Planes:
    """Return the planes of a decoded frame as views, without copying; of luma alone if `chroma` is "400"."""
    import numpy as np

    dtype = np.dtype("u1") if bit_depth == 8 else np.dtype("<u2")
    views: list[Plane] = []
    for plane in frame.planes[: 1 if chroma == "400" else 3]:
        rows = np.frombuffer(plane, dtype=dtype)  # type: ignore[call-overload]  # a Plane has the buffer protocol
        stride = plane.line_size // dtype.itemsize
        views.append(rows[: stride * plane.height].reshape(plane.height, stride)[:, : plane.width])
    return tuple(views)


def _graph(frame: av.VideoFrame, filters: list[str]) -> av.filter.Graph:
    """FFmpeg's filters for frames like this one."""
    import av.filter

    graph = av.filter.Graph()
    time_base = frame.time_base or Fraction(1, 25)
    buffer = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=time_base)
    nodes = [graph.add(name, arguments) for name, _, arguments in (text.partition("=") for text in filters)]
    graph.link_nodes(buffer, *nodes, graph.add("buffersink")).configure()
    return graph


def _widened(planes: Planes, shift: int) -> Planes:
    """Planes with `shift` more bits per sample: each value times 2**shift."""
    import numpy as np

    if not shift:
        return planes
    return tuple(np.left_shift(p, shift, dtype=np.uint16) for p in planes)


def frame_format(frame: av.VideoFrame) -> Format:
    """Return the format of a PyAV frame whose planes can be used as they are.

    Raises:
        InputError: its pixel format is not planar YUV or gray.
    """
    form = Format(frame.width, frame.height, frame.format.name)
    if form.pix_fmt.startswith("yuvj"):
        form = form.measurable or form
    if form.pix_fmt not in PLANAR:
        raise unknown_name("pixel format", form.pix_fmt, PLANAR)
    return form
