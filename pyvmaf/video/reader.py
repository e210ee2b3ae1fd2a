"""Reading videos frame by frame, in display order: any container and headerless files, through PyAV.

Nothing is converted silently: frames have the samples that were coded unless another size or bit depth was asked for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterable, Iterator
from copy import copy
from dataclasses import replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from pyvmaf.base.outputs import reading
from pyvmaf.errors import InputError, IntegrityError, PyvmafError
from pyvmaf.video.agree import Side, compare_colours
from pyvmaf.video.damage import reported
from pyvmaf.video.decode import Decoding, is_gap
from pyvmaf.video.ending import lost_packets, missing_bytes
from pyvmaf.video.filters import ends_fields, filter_graph, filtered
from pyvmaf.video.format import PLANAR, Colour, Format, Stream, parse_rate, untimed
from pyvmaf.video.layouts import BICUBIC, RGB_MATRIX, Layout, Separator, layout
from pyvmaf.video.log import WARNING, heard
from pyvmaf.video.opening import check_regular, choose, notice, numbered, open_video, plain
from pyvmaf.video.presentation import Presentation, Turn, display_matrix
from pyvmaf.video.sides import side_data

# NumPy is imported only to decode: to count the packets of an encode takes less time than that import.
if TYPE_CHECKING:
    import av.filter
    import numpy as np
    from numpy.typing import NDArray

# Its decoder says BT.601 of every video; only the container knows better.
_VP8 = "vp8"

Plane: TypeAlias = "NDArray[np.uint8] | NDArray[np.uint16]"
Planes: TypeAlias = "tuple[Plane, ...]"
"""Luma, then both chroma planes if there are any: 2-D, uint8 for 8 bit and uint16 above."""

# Decoders hand film grain over with the frame instead of adding it to the samples.
_UNSUPPORTED = re.compile(r"not (yet )?implemented|unsupported|not supported|image data not found", re.IGNORECASE)
_WITHOUT_GRAIN = {"export_side_data": "film_grain"}


class FrameSource(Protocol):
    """Frames to compare: those of a file (`Reader`), or made ones (`pyvmaf.video.made.Made`).

    Attributes:
        path: the file that the frames come from, for messages.
        once: whether the frames can be read only once.
        stated_frames: number of frames that the file's header states, None if it does not.
    """

    once: bool
    path: Path
    stated_frames: int | None

    @property
    def interlaced(self) -> int:
        """Number of frames of the latest pass that are flagged as interlaced."""

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
        bit_depth: bits per sample to widen planes to, as FFmpeg does; None for the coded depth.
        film_grain: whether the decoder adds film grain where the encoder asks for it (AV1, H.264, HEVC), as players do.
        stream: which video stream of a file that has several, counted from 0; None for the one that FFmpeg takes: the
            default one, then the largest. A cover picture is read only if it is asked for.
        drop_alpha: leave transparency out.
        luma_only: give planes of luma alone, as of a gray video.
        fps: frames per second of numbered pictures, whose `path` is a pattern such as ``frame_%04d.png``.
        filters: filters of FFmpeg through which decoded frames go first.
        per_frame: number of frames that they give for each one, 1 or 2.
        scaler: scaler of FFmpeg for `size`, of `pyvmaf.video.layouts.SCALERS`.

    Attributes:
        path, raw: as above.
        coded: format of the frames as they are coded.
        index: which video stream is read, counted from 0, as in FFmpeg's ``v:N``.
        stream: what the file says about it.
        stated_frames: number of frames that the header states, None if it does not.
        interlaced: number of frames of the latest pass that are flagged as interlaced.

    Raises:
        MissingFileError: there is no such file.
        InputError: it is not a video, or its length is not a multiple of a frame of `raw`, or a conversion would lose
            samples.
    """

    once = False

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        raw: Format | None = None,
        size: tuple[int, int] | None = None,
        bit_depth: int | None = None,
        film_grain: bool = True,
        stream: int | None = None,
        drop_alpha: bool = False,
        luma_only: bool = False,
        fps: str = "25",
        filters: tuple[str, ...] = (),
        per_frame: int = 1,
        scaler: str = BICUBIC,
    ) -> None:
        self.path = Path(path)
        self._filters, self.per_frame, self._scaler = filters, per_frame, scaler
        self._pictures, self._fps = numbered(self.path), str(parse_rate(fps))
        for file in self._pictures or (self.path,):
            reading(file)
        self.raw = raw
        self._size, self._bit_depth, self._number = size, bit_depth, stream
        self.interlaced = 0
        self._film_grain = film_grain
        self._drop_alpha, self._luma_only = drop_alpha, luma_only
        self._check_file()
        self.coded, self.stated_frames = self._header()

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
        return replace(Format.planar(form.width, form.height, form.chroma, self._bit_depth), rate=form.rate)

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

    @property
    def filters(self) -> list[str]:
        """The filters of FFmpeg that show decoded frames as `planes` does, for an FFmpeg that does not turn them itself."""
        chain = self.presentation.filters(self.coded)
        if self.raw is None and self.stream.codec == _VP8:
            chain.append(f"setparams=colorspace={self.side.colour.matrix or 'unknown'}")
        return chain

    @cached_property
    def side(self) -> Side:
        """What the file says about itself.

        Raises:
            InputError, IntegrityError: as `presentation`.
        """
        shown, rate = self.presentation.format(self.coded), self.coded.rate
        if self.raw is not None:
            return Side(self.path, shown.width, shown.height, rates=(rate,) if rate else (), raw=True)
        stream, turn, aspect = self.stream, self.presentation.turn, self.stream.sample_aspect or Fraction(1)
        colour = self._first.colour
        if stream.codec == _VP8:
            colour = replace(colour, matrix=stream.colour.matrix)
        if colour.matrix == "gbr" and self.coded.chroma == "400":
            # The decoder of PNG says so of gray pictures, too.
            colour = replace(colour, matrix="")
        return Side(
            self.path,
            shown.width,
            shown.height,
            colour=colour,
            stated=stream.colour,
            flagged=self._first.interlaced,
            field_order="" if any(map(ends_fields, self._filters)) else stream.field_order,
            sample_aspect=1 / aspect if turn.transposed else aspect,
            rates=tuple(rate * self.per_frame for rate in stream.rates),
            seconds=self._lasting or stream.seconds,
            shown=self.presentation.words,
            choice="; ".join(part for part in (stream.notice, self._conversion) if part),
            converted=replace(colour, range="tv", matrix="smpte170m") if self._converts else None,
            profile=self._first.profile,
            doubts=self._doubts,
        )

    @property
    def _measured(self) -> bool:
        try:
            return self._way.measured != ""
        except InputError:
            return False

    @property
    def _converts(self) -> bool:
        """Whether planes are made of RGB."""
        return self._measured and self._way.rgb

    @property
    def _conversion(self) -> str:
        """What is done to samples to measure them, and is not only another order."""
        if not self._measured or (self._luma_only and not self._way.rgb) or not self._way.note:
            return ""
        return f"{self.path} {self._way.note}"

    @property
    def _doubts(self) -> tuple[str, ...]:
        """How the file is read where a person might expect something else."""
        doubts = []
        if self._transparent:
            doubts.append("has transparency in pictures of its own, which FFmpeg's decoder leaves out")
        if self._leading:
            doubts.append(
                "begins in the middle of a group of pictures: what comes before its first key frame is left out, as players "
                f"do ({self._leading} of its pictures)"
            )
        return tuple(doubts)

    @property
    def asks_for_grain(self) -> bool:
        """Whether the encoder asks decoders for film grain, as far as the first frame tells."""
        return self.raw is None and self._first.grain

    @property
    def _fills(self) -> bool:
        """Whether samples are widened so that white of full range stays white."""
        return self.format.bit_depth > self._way.bits and self.side.colour.range == "pc"

    @cached_property
    def _way(self) -> Layout:
        """How frames come into planes."""
        try:
            return layout(self.coded.pix_fmt, drop_alpha=self._drop_alpha)
        except InputError as err:
            raise InputError(f"{self.path} cannot be measured: {err}") from err

    @property
    def _measurable(self) -> Format:
        form = replace(self.coded, pix_fmt=self._way.measured)
        if self._luma_only:
            return replace(form, pix_fmt=Format.planar(form.width, form.height, "400", form.bit_depth).pix_fmt)
        return form

    @property
    def time_stamped(self) -> bool:
        """Whether each frame that is shown has a packet of its own, with a time stamp, as far as the header tells."""
        return self.raw is None and not self._pictures and not self._leading

    @property
    def filtered(self) -> bool:
        """Whether frames go through filters."""
        return bool(self._filters)

    def identity(self) -> dict[str, Any]:
        """Return what decides the planes: the bytes of the file, and what is done to its frames."""
        key = {**self.origin(), "as": f"{self.format.size} {self.format.pix_fmt}"}
        if self._fills:
            key["range"] = "pc"
        if self._way.rgb:
            key["rgb"] = RGB_MATRIX
        return key

    def origin(self) -> dict[str, Any]:
        """Return what decides the frames, and how players show them."""
        raw = f"{self.raw.size} {self.raw.pix_fmt}" if self.raw else None
        key: dict[str, Any] = {"sha256": self._digest(), "raw": raw}
        # The bytes decide the rest; most files have one stream, and are shown as they are.
        if self.index:
            key["stream"] = str(self.index)
        if not self.presentation.plain:
            key["shown"] = self.presentation.words
        if not self._film_grain:
            key["film_grain"] = "off"
        if self._filters:
            key["filters"] = ",".join(self._filters)
        if self._size is not None and self._scaler != BICUBIC:
            key["scaler"] = self._scaler
        return key

    def _digest(self) -> str:
        """SHA-256 of the file; of numbered pictures, of the list of theirs."""
        from pyvmaf.base.files import sha256_bytes, sha256_file

        if not self._pictures:
            return sha256_file(self.path)
        return sha256_bytes("".join(sha256_file(file) for file in self._pictures).encode())

    def widened(self, bit_depth: int) -> Reader:
        """Return a reader of the same file whose planes have `bit_depth` bits per sample."""
        if bit_depth == self.format.bit_depth:
            return self
        wide = copy(self)
        wide._bit_depth = bit_depth
        del wide.format
        return wide

    def count_packets(self) -> int:
        """Count the coded pictures without decoding them: quick, and nearly always the number of frames.

        Raises:
            IntegrityError: the container is damaged.
        """
        if self.raw is not None:
            return self.stated_frames or 0
        return self.per_frame * (self._listed or sum(1 for _ in self.packets()))

    def count_frames(self) -> int:
        """Count the frames by decoding all of them; raises what `frames` raises."""
        return sum(1 for _ in self.frames())

    def packets(self) -> Generator[av.Packet[Any]]:
        """Iterate over the coded pictures of the stream, in the order of the file.

        Raises:
            IntegrityError: the container is damaged.
        """
        import av

        with self._open() as container:
            try:
                yield from (packet for packet in container.demux(container.streams.video[self.index]) if packet.size)
            except av.FFmpegError as err:
                raise IntegrityError(f"{self.path} is damaged: {plain(err)}") from err

    def frames(self, *, threads: int = 1, since: int | None = None) -> Generator[av.VideoFrame]:
        """Iterate over the decoded frames in display order.

        Args:
            threads: threads of the decoder, 0 for as many as there are cores. More hold more frames in memory.
            since: begin at the last key frame at or before this time stamp, in units of the stream's time base, as far as
                the file has an index; None for the first frame.

        Raises:
            InputError: there are no frames, or one differs from the first one in size (unless planes are scaled), pixel
                format or colour, or players turn it in another way.
            IntegrityError: FFmpeg reports damage, or bytes are missing at the end of the file.
        """
        index = 0
        first: _Facts | None = None if since is None or self.raw is not None else self._first
        self.interlaced = 0
        with self._open() as container:
            if since is not None:
                self._seek(container, since)
            for frame in self._filtered(container, threads, grain=self._film_grain):
                facts = _Facts.of(frame)
                first = first or facts
                if facts != first:
                    facts.check(first, self.path, index, scaled=self._size is not None)
                self.interlaced += facts.interlaced
                yield frame
                index += 1
            if self._missing(container):
                raise self._damaged(container, index, "")

    def _seek(self, container: av.container.InputContainer, stamp: int) -> None:
        """Go to the last key frame at or before a time stamp.

        Raises:
            InputError: the file does not allow it.
        """
        import av

        try:
            container.seek(stamp, stream=container.streams.video[self.index], backward=True)
        except av.FFmpegError as err:
            raise InputError(f"{self.path} cannot be read from a place within: {plain(err)}") from err

    def _filtered(
        self, container: av.container.InputContainer, threads: int = 1, *, grain: bool
    ) -> Generator[av.VideoFrame]:
        frames = self._decode(container, threads, grain=grain)
        return filtered(frames, self._filters) if self._filters else frames

    def _decode(
        self, container: av.container.InputContainer, threads: int = 1, *, grain: bool
    ) -> Generator[av.VideoFrame]:
        """Iterate over the frames of an open file as the decoder gives them, with the film grain that it adds or without.

        Raises:
            InputError: there are no frames.
            IntegrityError: FFmpeg reports damage.
        """
        decoding = Decoding(container, self.index, threads, {} if grain else _WITHOUT_GRAIN)
        index, sure, joined = 0, threads == 1, False
        if is_gap(self._said, container.format.name):
            joined = True
            self._check_transport(container, 0)
        elif self._said:
            raise self._damaged(container, 0, self._said)
        try:
            while (step := decoding.step()) is not None:
                if step.failed or (step.said and sure):
                    raise self._damaged(container, index, step.said)
                if step.said:
                    # Other threads of this process may decode other files: one thread alone tells whose damage it is.
                    with self._open() as again:
                        sure = sum(1 for _ in self._decode(again, grain=grain)) > 0
                if step.gap and not joined:
                    joined = True
                    self._check_transport(container, index)
                self._leading = decoding.early
                for frame in step.frames:
                    yield frame
                    index += 1
        finally:
            decoding.close()
        if index == 0:
            raise self._without_frames(container, decoding)

    def _without_frames(self, container: av.container.InputContainer, decoding: Decoding) -> PyvmafError:
        """Return the error for a file of which not a single frame was decoded."""
        if decoding.said and not decoding.keys and not self._missing(container):
            return InputError(
                f"{self.path} holds no key frame, so that none of its {decoding.early} coded pictures can be decoded "
                f"({decoding.said}): it seems to be cut out of a group of pictures; cut it again where one begins (FFmpeg's "
                "option -ss before -i does so), or encode that part anew"
            )
        if decoding.said:
            return self._damaged(container, 0, decoding.said)
        return InputError(f"{self.path} holds no frames")

    def _check_transport(self, container: av.container.InputContainer, index: int) -> None:
        """Refuse a transport stream that lost packets, but not one that was joined of several."""
        if lost := lost_packets(self.path, container.streams.video[self.index].id):
            raise self._damaged(container, index, f"packets of the stream are missing in {lost} places")

    def _missing(self, container: av.container.InputContainer) -> int:
        """Return how many bytes are missing at the end of the file at least, as far as its structure tells."""
        if self.raw is not None or self._pictures:
            return 0
        name = container.format.name
        form = container.streams.video[self.index].codec_context.format
        stored = Format(form.width, form.height, form.name).frame_bytes if name == "yuv4mpegpipe" and form else 0
        missing = missing_bytes(self.path, name, stored)
        if not missing and name.startswith("mov,"):
            # Samples that the index lists may lie beyond the last block.
            entries = container.streams.video[self.index].index_entries
            missing = max((entry.pos + entry.size for entry in entries), default=0) - self._bytes
        return max(0, missing)

    def _damaged(self, container: av.container.InputContainer, index: int, said: str) -> PyvmafError:
        """Return the error for a file that does not decode as it was coded.

        Args:
            container: the open file.
            index: number of frames that were read.
            said: what FFmpeg reports; "" if nothing.
        """
        if _UNSUPPORTED.search(said):
            return InputError(
                f"{self.path} holds pictures of a kind that FFmpeg does not decode ({said}): convert it with the program that "
                "made it"
            )
        said = f" ({said})" if said else ""
        if missing := self._missing(container):
            return IntegrityError(
                f"{self.path} is truncated: at least {missing} bytes are missing at its end, after {index} frames{said}; get "
                "a complete copy"
            )
        return IntegrityError(
            f"{self.path} is damaged: frame {index} or one near it does not decode as it was coded{said}; get an undamaged copy"
        )

    def planes(self, *, luma: bool = False) -> Iterator[Planes]:
        """Iterate over the frames in display order, as views that stay valid as long as they are held.

        Args:
            luma: leave chroma out.

        Raises:
            InputError, IntegrityError: as `frames`; also if a frame has another pixel format.
        """
        yield from self.as_planes(self.frames(), luma=luma)

    def as_planes(self, frames: Iterable[av.VideoFrame], *, luma: bool = False) -> Iterator[Planes]:
        """Iterate over the planes of frames that `frames` gave, in their order; raises what `planes` raises."""
        form = self.format
        source = self._measurable
        presentation, shown = self.presentation, self.presentation.format(source)
        way = self._way
        chroma = "400" if luma or self._luma_only else way.chroma
        whole, scaled = Separator(way), Separator(way, (form.width, form.height), self._scaler)
        graphs: dict[str, av.filter.Graph] = {}
        full = self._fills
        for frame in frames:
            here = replace(source, width=frame.width, height=frame.height)
            scale = (form.width, form.height) != (shown.width, shown.height) or here.size != source.size
            if scale and not presentation.plain:
                if here.size not in graphs:
                    graphs[here.size] = filter_graph(frame, presentation.filters(here))
                graphs[here.size].push(frame)
                frame = graphs[here.size].vpull()
            planes = planes_of((scaled if scale else whole)(frame), chroma, way.bits)
            if not scale:
                planes = presentation.apply(planes, source)
            yield widened(planes, way.bits, form.bit_depth, full=full)

    def _check_file(self) -> None:
        length = self._bytes = sum(check_regular(file) for file in self._pictures or (self.path,))
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
        with heard(WARNING) as messages:
            container = open_video(self.path, self.raw, self._pictures, self._fps)
        # What is read to find the format is not read again, so that nothing is said of it later.
        self._said = reported(messages, "", container.format.name)
        return container

    def _header(self) -> tuple[Format, int | None]:
        """Format of the first frame, and number of frames as the header states it."""
        with self._open() as container:
            self.index = choose(container, self.path, self._number)
            self.stream = Stream.of(container, self.index, notice(container, self.path, self.index))
            stream = container.streams.video[self.index]
            self._listed, self._leading = len(self._pictures) or int(stream.frames), 0
            # Of WebM; the samples of the pictures have no alpha then.
            self._transparent = "1" in (stream.metadata.get("alpha_mode"), stream.metadata.get("ALPHA_MODE"))
            if self.raw is not None:
                return self.raw, self._bytes // self.raw.frame_bytes
            rate = (not untimed(container) and stream.average_rate) or stream.guessed_rate
            rate = Fraction(self._fps) if self._pictures else rate
            # The header may describe other frames: those at the end, where the format changes.
            # Decoders say that there is grain to add only if they do not add it.
            frames = self._filtered(container, grain=False)
            self._first = _Facts.of(next(frames))
            frames.close()
            stated = self._stated(container, rate)
            form = replace(self._first.format, rate=rate * self.per_frame if rate else None)
            return form, stated and stated * self.per_frame

    def _stated(self, container: av.container.InputContainer, rate: Fraction | None) -> int | None:
        """Number of frames that a header states or that follows from its duration, unless the file is too short for it."""
        import av

        seconds = self._lasting = _seconds(container.streams.video[self.index].metadata.get("DURATION"))
        if seconds is None and container.duration and len(container.streams) == 1:
            seconds = container.duration / av.time_base
        frames = self._listed or (round(seconds * rate) if seconds and rate else 0)
        return frames if 0 < frames <= self._bytes else None


class _Facts(NamedTuple):
    """What a frame says about itself.

    Attributes:
        format: its size and pixel format.
        colour: its colour.
        interlaced: whether it is flagged as interlaced.
        matrix: its display matrix, empty if it has none.
        grain: whether film grain is to be added to it.
        profile: hash of its colour profile (ICC), empty if it has none.
    """

    format: Format
    colour: Colour
    interlaced: bool
    matrix: bytes
    grain: bool
    profile: str

    @classmethod
    def of(cls, frame: av.VideoFrame) -> _Facts:
        form = Format(frame.width, frame.height, frame.format.name)
        grain = side_data(frame, "FILM_GRAIN_PARAMS") is not None
        profile = side_data(frame, "ICC_PROFILE")
        digest = "" if profile is None else _hash(bytes(profile))
        return cls(form, Colour.of(frame), bool(frame.interlaced_frame), display_matrix(frame), grain, digest)

    def check(self, first: _Facts, path: Path, index: int, *, scaled: bool) -> None:
        """Refuse a frame whose samples cannot be compared with those of the first one.

        Args:
            first: what the first frame says.
            path: the file.
            index: number of the frame.
            scaled: whether all frames are scaled to one size.

        Raises:
            InputError: it has another size or pixel format, or stands for other colours, or players turn it in another way.
        """
        since = f"at frame {index}: cut it there into two files"
        before, here = first.format, self.format
        if here.pix_fmt != before.pix_fmt:
            raise InputError(f"{path} changes its pixel format from {before.pix_fmt} to {here.pix_fmt} {since}")
        if here.size != before.size and not scaled:
            raise InputError(
                f"{path} changes its size from {before.size} to {here.size} {since}, or scale every frame to one size "
                "(score --scale WxH)"
            )
        # H.264 states its orientation once for all pictures that follow.
        if self.matrix and self.matrix != first.matrix:
            raise InputError(f"{path} turns its pictures in another way {since}")
        try:
            compare_colours(first.colour, self.colour)
        except InputError as err:
            raise InputError(
                f"{path} changes its colours from {first.colour.words} to {self.colour.words} {since}"
            ) from err


def _hash(data: bytes) -> str:
    from pyvmaf.base.files import sha256_bytes

    return sha256_bytes(data)


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
    """Return the planes of a decoded frame as views, without copying; of luma alone if `chroma` is "400".

    Planes of samples in the other byte order are copied.
    """
    import numpy as np

    dtype = np.dtype("u1") if bit_depth == 8 else np.dtype(">u2" if frame.format.is_big_endian else "<u2")
    views: list[Plane] = []
    for plane in frame.planes[: 1 if chroma == "400" else 3]:
        rows = np.frombuffer(plane, dtype=dtype)  # type: ignore[call-overload]  # a Plane has the buffer protocol
        stride = plane.line_size // dtype.itemsize
        rows = rows[: stride * plane.height].reshape(plane.height, stride)[:, : plane.width]
        views.append(rows.astype(dtype.newbyteorder("="), copy=False))
    return tuple(views)


def widened(planes: Planes, bits: int, wanted: int, *, full: bool) -> Planes:
    """Return planes with more bits per sample, as FFmpeg widens them.

    Each value is multiplied by a power of two; luma of full range is filled up with its own high bits, so that white stays
    white.
    """
    import numpy as np

    shift = wanted - bits
    if not shift:
        return planes
    wide = [np.left_shift(p, shift, dtype=np.uint16) for p in planes]
    if full:
        wide[0] |= planes[0] >> (bits - shift)
    return tuple(wide)


def frame_format(frame: av.VideoFrame) -> Format:
    """Return the format of a PyAV frame whose planes can be used as they are.

    Raises:
        InputError: its pixel format is not planar YUV or gray.
    """
    form = Format(frame.width, frame.height, frame.format.name)
    if form.pix_fmt.startswith("yuvj"):
        form = form.measurable or form
    if form.pix_fmt not in PLANAR:
        planes = form.measurable
        remedy = (
            "pyvmaf.Session says which formats it converts"
            if planes is None
            else (f"convert it with frame.reformat(format={planes.pix_fmt!r}), or use pyvmaf.Session, which does so")
        )
        raise InputError(f"a {form.pix_fmt} frame does not hold planes that can be read as they are: {remedy}")
    return form
