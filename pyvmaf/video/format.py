"""Formats of frames, and what a file says about its video stream."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from pyvmaf.errors import InputError, unknown_name
from pyvmaf.video.layouts import PLANAR as PLANAR
from pyvmaf.video.layouts import layout, pixel_layout
from pyvmaf.video.log import INFO, heard

if TYPE_CHECKING:
    import av

_CHROMA_STEP = {"420": (2, 2), "422": (2, 1)}
_DEFAULT_RATE = Fraction(25)

# FFmpeg's names of the code points of ITU-T H.273.
_RANGES = {1: "tv", 2: "pc"}
_MATRICES = {
    0: "gbr", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "ycgco", 9: "bt2020nc",
    10: "bt2020c", 11: "smpte2085", 12: "chroma-derived-nc", 13: "chroma-derived-c", 14: "ictcp",
}  # fmt: skip
_TRANSFERS = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "linear", 9: "log100", 10: "log316",
    11: "iec61966-2-4", 12: "bt1361e", 13: "iec61966-2-1", 14: "bt2020-10", 15: "bt2020-12", 16: "smpte2084",
    17: "smpte428", 18: "arib-std-b67",
}  # fmt: skip
_PRIMARIES = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film", 9: "bt2020", 10: "smpte428",
    11: "smpte431", 12: "smpte432", 22: "ebu3213",
}  # fmt: skip
_FIELD_ORDERS = {1: "progressive", 2: "tt", 3: "bb", 4: "tb", 5: "bt"}


@dataclass(frozen=True)
class Format:
    """Layout of frames.

    Attributes:
        width, height: luma samples.
        pix_fmt: FFmpeg's name of the pixel format.
        rate: average frames per second; None if unknown.
    """

    width: int
    height: int
    pix_fmt: str
    rate: Fraction | None = None

    @classmethod
    def parse(cls, size: str, pix_fmt: str = "yuv420p", fps: str | None = None) -> Format:
        """Describe a headerless file by text.

        Args:
            size: width and height as WxH, for example 1280x720.
            pix_fmt: FFmpeg's name of the pixel format.
            fps: frames per second, as a fraction; None if unknown.

        Raises:
            InputError: the size is not of that form, the rate is not a positive fraction, or FFmpeg does not have the
                pixel format.
        """
        pixel_layout(pix_fmt)
        rate = None if fps is None else parse_rate(fps)
        return cls(*parse_size(size), pix_fmt, rate)

    @classmethod
    def planar(cls, width: int, height: int, chroma: str, bit_depth: int) -> Format:
        """Return the format of separate planes.

        Args:
            width, height: luma samples.
            chroma: "420", "422", "444" or "400" (luma only).
            bit_depth: bits per sample: 8, 10, 12 or 16.

        Raises:
            InputError: there is no such layout.
        """
        for name, planes in PLANAR.items():
            if planes == (chroma, bit_depth):
                return cls(width, height, name)
        if chroma not in (*_CHROMA_STEP, "444", "400"):
            raise unknown_name("chroma layout", chroma, ["420", "422", "444", "400"])
        raise InputError(f"samples have 8, 10, 12 or 16 bits, not {bit_depth}")

    @property
    def size(self) -> str:
        """Width and height as 1280x720."""
        return f"{self.width}x{self.height}"

    @property
    def chroma(self) -> str:
        """Chroma subsampling: "420", "422", "444", "400" (luma only), or "rgb" for everything that is not YUV."""
        return pixel_layout(self.pix_fmt)[0]

    @property
    def bit_depth(self) -> int:
        """Bits per sample."""
        return pixel_layout(self.pix_fmt)[1]

    @property
    def fps(self) -> str:
        """Frames per second as a fraction in text; 25 if the rate is unknown."""
        return str(self.rate or _DEFAULT_RATE)

    @property
    def plain(self) -> bool:
        """Whether the format is planar YUV of 8 or 10 bits, as encoders take it."""
        return re.fullmatch(r"yuv4(20|22|44)p(10le)?", self.pix_fmt) is not None

    @property
    def chroma_step(self) -> tuple[int, int]:
        """Luma samples per chroma sample, across and down."""
        return _CHROMA_STEP.get(self.chroma, (1, 1))

    @property
    def even(self) -> bool:
        """Whether width and height are multiples of the chroma subsampling."""
        across, down = self.chroma_step
        return self.width % across == 0 and self.height % down == 0

    @property
    def native(self) -> tuple[int, int, str, int]:
        """Width, height, chroma subsampling and bit depth, as libvmaf takes them."""
        return self.width, self.height, self.chroma, self.bit_depth

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame in a headerless file."""
        from av import VideoFormat

        layout = VideoFormat(self.pix_fmt, self.width, self.height)
        return sum(part.width * part.height * ((part.bits + 7) // 8) for part in layout.components)

    @property
    def raw_options(self) -> dict[str, str]:
        """Options of FFmpeg's demuxer for a headerless file."""
        return {"video_size": self.size, "pixel_format": self.pix_fmt, "framerate": self.fps}

    @property
    def measurable(self) -> Format | None:
        """The format of the planes that frames of this one give (`pyvmaf.video.layouts.layout`); None if they give none."""
        try:
            return replace(self, pix_fmt=layout(self.pix_fmt).measured)
        except InputError:
            return None

    def plane_sizes(self) -> list[tuple[int, int]]:
        """(height, width) of every plane; chroma sizes round up, as FFmpeg's do."""
        sizes = [(self.height, self.width)]
        if self.chroma != "400":
            across, down = self.chroma_step
            sizes += [(-(-self.height // down), -(-self.width // across))] * 2
        return sizes


def parse_rate(fps: str) -> Fraction:
    """Return the frames per second of a text such as 30000/1001.

    Raises:
        InputError: it is not a positive fraction.
    """
    try:
        rate = Fraction(fps)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if rate <= 0:
        raise InputError(f"frames per second are a positive fraction, for example 30000/1001, not {fps!r}")
    return rate


def parse_size(size: str) -> tuple[int, int]:
    """Return (width, height) of a text such as 1280x720.

    Raises:
        InputError: it is not of that form.
    """
    width, _, height = size.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise InputError(f"a size is written WxH, for example 1280x720, not {size!r}")
    return int(width), int(height)


@dataclass(frozen=True)
class Colour:
    """How samples stand for colours, by FFmpeg's names of the code points of ITU-T H.273; "" if unspecified.

    Attributes:
        range: "tv" (limited) or "pc" (full).
        matrix: from RGB to YUV ("bt709", "smpte170m", "bt2020nc").
        transfer: transfer function ("bt709", "smpte2084").
        primaries: "bt709", "bt2020".
    """

    range: str = ""
    matrix: str = ""
    transfer: str = ""
    primaries: str = ""

    @classmethod
    def of(cls, source: av.VideoCodecContext | av.VideoFrame) -> Colour:
        """Read the colour that a decoder or a frame states; the pixel formats yuvj… state full range, too."""
        pix_fmt = source.format.name if source.format is not None else ""
        return cls(
            "pc" if pix_fmt.startswith("yuvj") else _RANGES.get(int(source.color_range), ""),
            _MATRICES.get(int(source.colorspace), ""),
            _TRANSFERS.get(int(source.color_trc), ""),
            _PRIMARIES.get(int(source.color_primaries), ""),
        )

    @property
    def words(self) -> str:
        """Range, matrix, transfer function and primaries as text: "tv/bt709/bt709/bt709"."""
        return "/".join(part or "unknown" for part in (self.range, self.matrix, self.transfer, self.primaries))

    @property
    def hdr(self) -> bool:
        """Whether the transfer function makes a video HDR."""
        return self.transfer in ("smpte2084", "arib-std-b67")


@dataclass(frozen=True)
class Crop:
    """Samples that a container asks players to hide at each edge."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0


@dataclass(frozen=True)
class Stream:
    """Properties of the video stream that is read, as its file states them.

    `pyvmaf.video.presentation` crops and turns planes by them, `pyvmaf.video.agree` compares those of two files.

    Attributes:
        codec: FFmpeg's name of the compression.
        container: FFmpeg's name of the file format ("matroska,webm").
        colour: colour of the stream; `Colour.of` reads that of a frame, which may differ.
        field_order: "progressive", "tt", "bb", "tb" or "bt" as ffprobe writes it; "" if unknown.
        sample_aspect: width over height of a sample; None if unknown.
        rotation: degrees counter-clockwise by which players turn the picture. A mirrored one is told by the display
            matrix of its frames only (`pyvmaf.video.presentation.Turn`).
        rates: frames per second that the file states: the average, and that of its shortest frames. Empty if it does not
            state any, as streams without a container.
        seconds: how long the stream lasts, as the container states it; None if it does not.
        crop: what the container asks players to hide. Cropping that the codec asks for is done by the decoder.
        index: which video stream of the file is read, counted from 0, as in FFmpeg's ``v:N``; cover pictures count.
        count: how many video streams the file has; cover pictures count.
        default: which of them the file marks as the default; None if none is marked.
        notice: which of several was read; "" if there is no doubt about it.
    """

    codec: str
    container: str
    colour: Colour = field(default_factory=Colour)
    field_order: str = ""
    sample_aspect: Fraction | None = None
    rotation: float = 0.0
    rates: tuple[Fraction, ...] = ()
    seconds: float | None = None
    crop: Crop = field(default_factory=Crop)
    index: int = 0
    count: int = 1
    default: int | None = None
    notice: str = ""

    @classmethod
    def of(cls, container: av.container.InputContainer, index: int = 0, notice: str = "") -> Stream:
        """Describe a video stream of an open file.

        Args:
            container: the file.
            index: which video stream, counted from 0.
            notice: see `notice` of the class.
        """
        from av.stream import Disposition

        streams = container.streams.video
        stream = streams[index]
        context = stream.codec_context
        aspect = stream.sample_aspect_ratio or context.sample_aspect_ratio
        marked = [i for i, other in enumerate(streams) if other.disposition & Disposition.default]
        rotation, crop = _side_data(container, stream.index)
        return cls(
            codec=context.name,
            container=container.format.name,
            colour=Colour.of(context),
            field_order=_FIELD_ORDERS.get(int(context.field_order), ""),
            sample_aspect=aspect or None,
            rotation=rotation,
            rates=_rates(container, stream),
            seconds=None if untimed(container) else _seconds(stream),
            crop=crop,
            index=index,
            count=len(streams),
            default=marked[0] if marked else None,
            notice=notice,
        )


def untimed(container: av.container.InputContainer) -> bool:
    """Return whether a file has no time stamps: pictures, and compressed streams that no container holds.

    FFmpeg makes up an average rate for them; the rate of its guess is that of the stream's header, if it has one.
    """
    from av.format import Flags

    kind = container.format
    without: Any = Flags.no_timestamps | Flags.no_file
    return bool(int(kind.flags) & without.value) or kind.name.endswith("_pipe")


def _rates(container: av.container.InputContainer, stream: av.VideoStream) -> tuple[Fraction, ...]:
    if untimed(container):
        return ()
    return tuple(dict.fromkeys(rate for rate in (stream.average_rate, stream.base_rate) if rate))


def description(container: av.container.InputContainer, index: int) -> str:
    """Return the section of a stream in FFmpeg's description of an open file, the only place where PyAV shows its side data.

    Args:
        container: the file.
        index: which stream, of any type, counted from 0.
    """
    with heard(INFO):
        text = str(container.dumps_format())  # type: ignore[attr-defined]  # missing from PyAV's stubs
    # The section of the stream ends where the next one begins.
    section = re.search(rf"Stream #0:{index}\b.*?(?=\n  Stream #0:|\Z)", text, re.DOTALL)
    return section[0] if section else ""


def _seconds(stream: av.VideoStream) -> float | None:
    return float(stream.duration * stream.time_base) if stream.duration and stream.time_base else None


def _side_data(container: av.container.InputContainer, index: int) -> tuple[float, Crop]:
    """Rotation and crop of a stream."""
    # Tags come before it, and may hold the same words; no line of a tag begins like this one.
    _, _, lines = description(container, index).partition("\n    Side data:")
    rotation = re.search(r"Display Matrix: rotation of (-?[\d.]+) degrees", lines, re.IGNORECASE)
    crop = re.search(r"Frame Cropping: (\d+)/(\d+)/(\d+)/(\d+)", lines, re.IGNORECASE)
    left, right, top, bottom = map(int, crop.groups()) if crop else (0, 0, 0, 0)
    return float(rotation[1]) if rotation else 0.0, Crop(top, bottom, left, right)
