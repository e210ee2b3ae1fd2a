"""Decoded video as planes: any container through PyAV, raw .yuv by hand, and what may be done to frames on request.

Nothing is converted silently: a frame leaves here as it was coded unless a size or a bit depth was asked for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.errors import InputError, MissingFileError

if TYPE_CHECKING:
    import av

Plane = NDArray[np.uint8] | NDArray[np.uint16]
Planes = tuple[Plane, ...]
"""Luma, then both chroma planes where there are any: 2-D, uint8 for 8 bit and uint16 above."""

# Planar YUV formats by FFmpeg's name: chroma layout, bits per sample.
PIX_FMTS: dict[str, tuple[str, int]] = {
    "gray": ("400", 8),
    "gray10le": ("400", 10),
    "gray12le": ("400", 12),
    "gray16le": ("400", 16),
    **{
        f"yuv{layout}p{bits if bits > 8 else ''}{'le' if bits > 8 else ''}": (layout, bits)
        for layout in ("420", "422", "444")
        for bits in (8, 10, 12, 16)
    },
}
# Same samples under another name or in another order; PyAV rearranges them without loss.
_SAME = {
    "yuvj420p": "yuv420p",
    "yuvj422p": "yuv422p",
    "yuvj444p": "yuv444p",
    "nv12": "yuv420p",
    "nv21": "yuv420p",
    "nv16": "yuv422p",
    "yuyv422": "yuv422p",
    "uyvy422": "yuv422p",
    "p010le": "yuv420p10le",
    "p210le": "yuv422p10le",
}
_CHROMA_SHIFT = {"420": (1, 1), "422": (1, 0), "444": (0, 0)}


@dataclass(frozen=True)
class Format:
    """How frames are laid out.

    Attributes:
        width, height: luma samples.
        layout: "420", "422", "444" or "400" (luma only).
        bits: bits per sample, 8, 10, 12 or 16.
    """

    width: int
    height: int
    layout: str
    bits: int

    @property
    def size(self) -> str:
        """Width and height as 1280x720."""
        return f"{self.width}x{self.height}"

    @property
    def pix_fmt(self) -> str:
        """FFmpeg's name for the layout and depth."""
        return next(name for name, value in PIX_FMTS.items() if value == (self.layout, self.bits))

    @property
    def native(self) -> tuple[int, int, str, int]:
        """Width, height, layout and bits, as libvmaf is asked."""
        return self.width, self.height, self.layout, self.bits

    def plane_sizes(self) -> list[tuple[int, int]]:
        """(height, width) of every plane; chroma sizes round up, as FFmpeg's do."""
        sizes = [(self.height, self.width)]
        if self.layout != "400":
            right, down = _CHROMA_SHIFT[self.layout]
            sizes += [(-(-self.height >> down), -(-self.width >> right))] * 2
        return sizes


@dataclass(frozen=True)
class Raw:
    """What a headerless file holds: its `format`, and frames per second where it is known."""

    format: Format
    fps: Fraction | None = None


def raw_format(size: str, pix_fmt: str) -> Raw:
    """The layout of a raw file from ``WxH`` and FFmpeg's name of the pixel format.

    Raises:
        InputError: either is not understood.
    """
    from pyvmaf.errors import unknown_name

    if pix_fmt not in PIX_FMTS:
        raise unknown_name("pixel format", pix_fmt, PIX_FMTS)
    return Raw(Format(*parse_size(size), *PIX_FMTS[pix_fmt]))


def parse_size(size: str) -> tuple[int, int]:
    """(width, height) of a text such as 1280x720.

    Raises:
        InputError: it is not of that form.
    """
    width, _, height = size.lower().partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise InputError(f"a size is written WxH, for example 1280x720, not {size!r}")
    return int(width), int(height)


class Video:
    """A video file, opened far enough to know its format, then read frame by frame in display order.

    Args:
        path: any file that FFmpeg reads, or a raw one where `raw` says what it holds.
        raw: layout of a headerless file.
        size: (width, height) to scale to (bicubic, as FFmpeg's default), None for the coded size.
        bits: depth to widen samples to by shifting left, None for the coded depth.

    Raises:
        MissingFileError: there is no such file.
        InputError: it is no video, holds no frames, has a pixel format without planes of luma, or is raw and
            its size is no multiple of a frame.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        raw: Raw | None = None,
        size: tuple[int, int] | None = None,
        bits: int | None = None,
    ) -> None:
        self.path = Path(path)
        self.raw = raw
        if not self.path.exists():
            raise MissingFileError(f"no such file: {self.path}")
        if self.path.is_dir():
            raise InputError(f"{self.path} is a folder, not a video")
        if self.path.stat().st_size == 0:
            raise InputError(f"{self.path} is empty: 0 bytes")
        self.fps: Fraction | None = None
        self.stated_frames: int | None = None
        self._rearrange: str | None = None
        if raw is None and self.path.suffix.lower() == ".yuv":
            raise InputError(
                f"{self.path} is raw video, which does not say its own size: give --size WxH --pix-fmt FMT"
            )
        self.coded = self._probe_raw(raw) if raw else self._probe()
        self.format = self.coded
        if size is not None:
            self.format = replace(self.format, width=size[0], height=size[1])
        if bits is not None:
            if bits < self.coded.bits:
                raise InputError(f"{self.path} has {self.coded.bits} bits per sample: it is not narrowed to {bits}")
            self.format = replace(self.format, bits=bits)

    def __repr__(self) -> str:
        return f"Video({str(self.path)!r}, {self.format.size} {self.format.pix_fmt})"

    def identity(self) -> dict[str, Any]:
        """What decides the frames that are read: the file's bytes, and what is done to them."""
        from pyvmaf.base.files import sha256_file

        raw = f"{self.coded.size} {self.coded.pix_fmt}" if self.raw else None
        return {"sha256": sha256_file(self.path), "raw": raw, "as": f"{self.format.size} {self.format.pix_fmt}"}

    def _probe_raw(self, raw: Raw) -> Format:
        size = sum(h * w for h, w in raw.format.plane_sizes()) * (1 if raw.format.bits == 8 else 2)
        total = self.path.stat().st_size
        if total % size:
            raise InputError(
                f"{self.path} has {total} bytes, which is no multiple of {size}, a frame of {raw.format.size} "
                f"{raw.format.pix_fmt}: it is cut short, or --size or --pix-fmt is wrong"
            )
        self.fps = raw.fps
        self.stated_frames = total // size
        return raw.format

    def _open(self) -> av.container.InputContainer:
        import av

        try:
            return av.open(str(self.path), mode="r")
        except av.error.PermissionError as err:
            raise InputError(f"no permission to read {self.path}") from err
        except av.error.FFmpegError as err:
            reason = str(err.strerror or err)
            raise InputError(f"{self.path} is not a video that can be read ({reason})") from err

    def _probe(self) -> Format:
        with self._open() as container:
            if not container.streams.video:
                kinds = ", ".join(sorted({str(s.type) for s in container.streams})) or "nothing"
                raise InputError(f"{self.path} has no video stream, only {kinds}")
            stream = container.streams.video[0]
            context = stream.codec_context
            self.fps = stream.average_rate or stream.guessed_rate
            self.stated_frames = _stated_frames(container, stream, self.fps)
            pix_fmt = context.pix_fmt
            if not pix_fmt or not context.width:
                raise InputError(
                    f"{self.path} has a video stream, but its first frame cannot be decoded: it is damaged"
                )
            name = _SAME.get(pix_fmt, pix_fmt)
            if name not in PIX_FMTS:
                raise InputError(
                    f"{self.path} is {pix_fmt}, which has no planes of luma and chroma: convert it to one of "
                    f"{', '.join(PIX_FMTS)} first"
                )
            self._rearrange = name if name != pix_fmt and not pix_fmt.startswith("yuvj") else None
            return Format(context.width, context.height, *PIX_FMTS[name])

    def count_packets(self) -> int:
        """How many coded pictures the container lists, without decoding: quick, and almost always the frame count."""
        if self.raw:
            return self.stated_frames or 0
        import av

        with self._open() as container:
            stream = container.streams.video[0]
            if stream.frames:
                return int(stream.frames)
            try:
                return sum(1 for packet in container.demux(stream) if packet.size)
            except av.error.FFmpegError as err:
                raise InputError(f"{self.path} is damaged: {err.strerror or err}") from err

    def count_frames(self) -> int:
        """How many frames decode, by decoding all of them."""
        return sum(1 for _ in self._decode()) if not self.raw else self.count_packets()

    def frames(self, *, luma: bool = False) -> Iterator[Planes]:
        """Every frame in display order. The planes are views that stay valid as long as they are held.

        Args:
            luma: leave chroma out.

        Raises:
            InputError: a frame cannot be decoded, changes its size, or the file ends before its own header says.
        """
        if self.raw:
            yield from self._raw_frames()
            return
        shift = self.format.bits - self.coded.bits
        layout = "400" if luma else self.coded.layout
        scale = (self.format.width, self.format.height) != (self.coded.width, self.coded.height)
        for index, frame in enumerate(self._decode()):
            if (frame.width, frame.height) != (self.coded.width, self.coded.height):
                raise InputError(
                    f"{self.path} changes its size at frame {index}, from {self.coded.size} to "
                    f"{frame.width}x{frame.height}: split it there"
                )
            if scale:
                frame = frame.reformat(
                    width=self.format.width,
                    height=self.format.height,
                    format=self.coded.pix_fmt,
                    interpolation="BICUBIC",
                )
            elif self._rearrange:
                frame = frame.reformat(format=self._rearrange)
            yield widened(planes_of(frame, layout, self.coded.bits), shift)

    def _raw_frames(self) -> Iterator[Planes]:
        if (self.format.width, self.format.height) != (self.coded.width, self.coded.height):
            raise InputError(f"{self.path} is raw video, which is not scaled: convert it with FFmpeg first")
        dtype = np.dtype("u1") if self.coded.bits == 8 else np.dtype("<u2")
        sizes = self.coded.plane_sizes()
        shift = self.format.bits - self.coded.bits
        count = sum(h * w for h, w in sizes)
        with self.path.open("rb") as stream:
            while (data := np.fromfile(stream, dtype=dtype, count=count)).size:
                planes: list[Any] = []
                at = 0
                for height, width in sizes:
                    planes.append(data[at : at + height * width].reshape(height, width))
                    at += height * width
                yield widened(tuple(planes), shift)

    def _decode(self) -> Iterator[av.VideoFrame]:
        import av

        index = 0
        end: float | None = None
        with self._open() as container:
            stream = container.streams.video[0]
            # Scoring keeps the cores busy; more decoder threads would only hold more frames in memory.
            stream.codec_context.thread_count = 1
            try:
                for frame in container.decode(stream):
                    if frame.is_corrupt:
                        raise InputError(f"{self.path} is damaged: frame {index} does not decode as it was coded")
                    yield frame
                    index += 1
                    if frame.pts is not None and frame.time_base is not None:
                        end = float(frame.pts * frame.time_base)
            except av.error.FFmpegError as err:
                raise InputError(
                    f"{self.path} is damaged or cut short at frame {index}: {err.strerror or err}"
                ) from err
            if index == 0:
                raise InputError(f"{self.path} holds no frames")
            self._check_end(stream, index, end)

    def _check_end(self, stream: Any, frames: int, last: float | None) -> None:
        """A file that was cut short often decodes without complaint; its header still tells the length it had."""
        if stream.frames and frames < stream.frames:
            raise InputError(f"{self.path} is cut short: its header lists {stream.frames} frames, only {frames} decode")
        stated = _seconds(stream.metadata.get("DURATION"))
        if stated is None or last is None or not self.fps:
            return
        # Counted from zero, not from the stream's start: what FFmpeg calls that is the first packet's time, and in
        # VVC that packet is not the first to be shown.
        period = 1 / float(self.fps)
        if stated - (last + period) > max(2 * period, 0.1):
            raise InputError(
                f"{self.path} is cut short: its header says {stated:.3f} s, its frames end at {last + period:.3f} s "
                f"({frames} frames)"
            )


def _stated_frames(container: Any, stream: Any, fps: Fraction | None) -> int | None:
    """How many frames the header tells, where it does."""
    import av

    if stream.frames:
        return int(stream.frames)
    seconds = _seconds(stream.metadata.get("DURATION"))
    if seconds is None and container.duration and len(container.streams) == 1:
        seconds = container.duration / av.time_base
    return round(seconds * fps) if seconds and fps else None


def _seconds(stamp: str | None) -> float | None:
    if not stamp:
        return None
    hours, _, rest = stamp.partition(":")
    minutes, _, seconds = rest.partition(":")
    try:
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return None


def planes_of(frame: av.VideoFrame, layout: str, bits: int) -> Planes:
    """The planes of a decoded frame as views, without copying."""
    dtype = np.dtype("u1") if bits == 8 else np.dtype("<u2")
    views: list[Plane] = []
    for plane in frame.planes[: 1 if layout == "400" else 3]:
        rows = np.frombuffer(plane, dtype=dtype)  # type: ignore[call-overload]  # a Plane has the buffer protocol
        stride = plane.line_size // dtype.itemsize
        views.append(rows[: stride * plane.height].reshape(plane.height, stride)[:, : plane.width])
    return tuple(views)


def widened(planes: Planes, shift: int) -> Planes:
    """The same planes with `shift` more bits per sample, each value times 2**shift."""
    if not shift:
        return planes
    return tuple(np.left_shift(p, shift, dtype=np.uint16) for p in planes)


def frame_format(frame: av.VideoFrame) -> Format:
    """The format of a PyAV frame that needs no conversion to be used.

    Raises:
        InputError: its pixel format is not planar YUV or gray.
    """
    from pyvmaf.errors import unknown_name

    name = frame.format.name
    name = _SAME.get(name, name) if name.startswith("yuvj") else name
    if name not in PIX_FMTS:
        raise unknown_name("pixel format", name, PIX_FMTS)
    return Format(frame.width, frame.height, *PIX_FMTS[name])
