"""What a video file is: format, frames, shots. Decoding is done in process by PyAV."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyvmaf.errors import InputError, IntegrityError, MissingFileError
from pyvmaf.video.ffmpeg import Advance

if TYPE_CHECKING:
    from av import VideoFrame

# Transfer functions of ITU-T H.273 that make a video HDR, and its wide primaries.
_HDR_TRANSFERS = {16: "smpte2084", 18: "arib-std-b67"}
_PRIMARIES = {1: "bt709", 5: "bt470bg", 6: "smpte170m", 9: "bt2020", 11: "smpte431", 12: "smpte432"}


@dataclass(frozen=True)
class RawFormat:
    """What a headerless file does not say about itself.

    Attributes:
        width, height: luma samples.
        pix_fmt: FFmpeg's name of the pixel format ("yuv420p").
        fps: frames per second as a fraction ("30000/1001").
    """

    width: int
    height: int
    pix_fmt: str
    fps: str = "25"

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame."""
        from av import VideoFormat

        layout = VideoFormat(self.pix_fmt, self.width, self.height)
        return sum(part.width * part.height * ((part.bits + 7) // 8) for part in layout.components)

    def options(self) -> dict[str, str]:
        """Options of FFmpeg's rawvideo demuxer."""
        return {"video_size": f"{self.width}x{self.height}", "pixel_format": self.pix_fmt, "framerate": self.fps}


@dataclass(frozen=True)
class Format:
    """Format of a video.

    Attributes:
        width, height: luma samples.
        pix_fmt: FFmpeg's name.
        chroma: subsampling ("420", "422", "444", "400"; "rgb" for anything that is no YUV).
        bit_depth: bits per sample.
        fps: average frames per second, as a fraction in text.
        codec: FFmpeg's name of the compression.
        container: FFmpeg's name of the file format ("matroska,webm").
        transfer: HDR transfer function ("smpte2084", "arib-std-b67"), empty for SDR.
        primaries: colour primaries of an HDR video, empty for SDR.
    """

    width: int
    height: int
    pix_fmt: str
    chroma: str
    bit_depth: int
    fps: str
    codec: str
    container: str
    transfer: str = ""
    primaries: str = ""

    @property
    def plain(self) -> bool:
        """Whether it is planar YUV of 8 or 10 bits, as encoders take it."""
        return re.fullmatch(r"yuv4(20|22|44)p(10le)?", self.pix_fmt) is not None

    @property
    def chroma_step(self) -> tuple[int, int]:
        """Luma samples per chroma sample, across and down."""
        return {"420": (2, 2), "422": (2, 1)}.get(self.chroma, (1, 1))

    @property
    def even(self) -> bool:
        """Whether width and height are multiples of the chroma subsampling."""
        across, down = self.chroma_step
        return self.width % across == 0 and self.height % down == 0


@dataclass(frozen=True)
class Video:
    """A video that was decoded to its end.

    Attributes:
        format: its format.
        frames: number of frames that decode.
        shots: first and last frame (inclusive) of each shot, in order; they cover all frames.
    """

    format: Format
    frames: int
    shots: tuple[tuple[int, int], ...]

    @property
    def seconds(self) -> float:
        """Duration: frames over frames per second."""
        return float(self.frames / Fraction(self.format.fps))

    def as_dict(self) -> dict[str, Any]:
        """For a manifest."""
        return {**asdict(self.format), "frames": self.frames, "shots": [list(shot) for shot in self.shots]}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Video:
        """The inverse of `as_dict`."""
        rest = dict(value)
        frames, shots = rest.pop("frames"), rest.pop("shots")
        return cls(Format(**rest), frames, tuple((first, last) for first, last in shots))


def pixel_layout(pix_fmt: str) -> tuple[str, int]:
    """Chroma subsampling and bits per sample of a pixel format.

    Raises:
        InputError: FFmpeg knows no such format.
    """
    from av import VideoFormat

    try:
        layout = VideoFormat(pix_fmt, 16, 16)
    except ValueError as err:
        raise InputError(
            f"unknown pixel format {pix_fmt!r}: use FFmpeg's name, such as yuv420p or yuv420p10le"
        ) from err
    parts = layout.components
    bits = parts[0].bits
    if layout.is_rgb or (not layout.is_planar and len(parts) > 1):
        return "rgb", bits
    if len(parts) < 3:
        return "400", bits
    return {(8, 8): "420", (8, 16): "422", (16, 16): "444"}.get((parts[1].width, parts[1].height), "rgb"), bits


class Reader:
    """An open video, to be used as a context manager.

    Attributes:
        format: format as the header says it.
        declared: frames that the header promises, 0 where it does not.
        seconds: duration of the video that the header promises, 0 where it does not.
    """

    def __init__(self, path: str | os.PathLike[str], raw: RawFormat | None = None) -> None:
        """Open `path`.

        Raises:
            MissingFileError: it does not exist.
            InputError: it is no video, or a raw file without its format or of another size.
        """
        import av

        self._path = Path(path)
        if not self._path.is_file():
            raise MissingFileError(f"no such file: {self._path}")
        size = self._path.stat().st_size
        if size == 0:
            raise InputError(f"{self._path} is empty (0 bytes)")
        if raw is None and self._path.suffix.lower() == ".yuv":
            raise InputError(f"{self._path} has no header: say its size and pixel format (WxH, yuv420p)")
        if raw is not None and size % raw.frame_bytes:
            raise InputError(
                f"{self._path} holds {size} bytes, which is {size / raw.frame_bytes:.3f} frames of "
                f"{raw.width}x{raw.height} {raw.pix_fmt} ({raw.frame_bytes} bytes each): the size or the pixel format "
                "is another one, or the file was cut short"
            )
        try:
            if raw is not None:
                self._container = av.open(str(self._path), format="rawvideo", options=raw.options())
            else:
                self._container = av.open(str(self._path))
        except (av.FFmpegError, ValueError) as err:
            raise InputError(f"{self._path} is not a video that FFmpeg can read: {_plain(err)}") from err
        if not self._container.streams.video:
            self._container.close()
            raise InputError(f"{self._path} holds no video stream")
        self._stream = self._container.streams.video[0]
        context = self._stream.codec_context
        if not context.width or not context.pix_fmt:
            self._container.close()
            raise InputError(f"{self._path} is not a video that FFmpeg can read: size and pixel format are unknown")
        chroma, depth = pixel_layout(context.pix_fmt)
        transfer = _HDR_TRANSFERS.get(int(context.color_trc), "")
        self.format = Format(
            width=context.width,
            height=context.height,
            pix_fmt=context.pix_fmt,
            chroma=chroma,
            bit_depth=depth,
            fps=str(self._stream.average_rate or self._stream.guessed_rate or Fraction(25)),
            codec=context.name,
            container=self._container.format.name,
            transfer=transfer,
            primaries=_PRIMARIES.get(int(context.color_primaries), "") if transfer else "",
        )
        # Whoever decodes a broken frame must learn of it, instead of getting a patched one.
        context.options = {"err_detect": "explode"}
        self.declared = int(self._stream.frames)
        # Matroska writes the stream's duration as a tag, "00:00:02.400000000".
        tag = re.match(r"(\d+):(\d+):(\d+(?:\.\d+)?)", self._stream.metadata.get("DURATION", ""))
        self.seconds = 0.0
        if tag:
            hours, minutes, rest = tag.groups()
            self.seconds = int(hours) * 3600 + int(minutes) * 60 + float(rest)

    @property
    def about(self) -> int:
        """Frames to expect, roughly, for a progress bar; 0 where nothing is known."""
        return self.declared or round(self.seconds * Fraction(self.format.fps))

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def frames(self) -> Iterator[VideoFrame]:
        """Every frame in display order.

        Raises:
            IntegrityError: a frame is damaged.
        """
        import av

        count = 0
        try:
            for frame in self._container.decode(self._stream):
                if frame.is_corrupt:
                    raise IntegrityError(f"{self._path}: frame {count} is damaged; get an undamaged copy of the file")
                yield frame
                count += 1
        except av.FFmpegError as err:
            raise IntegrityError(
                f"{self._path}: after {count} frames it cannot be decoded ({_plain(err)}): truncated or damaged"
            ) from err

    def packets(self) -> int:
        """Number of frames by counting packets, which decodes nothing; each packet of a Matroska file is one frame."""
        return sum(1 for packet in self._container.demux(self._stream) if packet.size)


def _plain(error: Exception) -> str:
    """The error's own words, without number and path."""
    text = getattr(error, "strerror", None) or str(error)
    return str(text)


def read_format(path: str | os.PathLike[str], raw: RawFormat | None = None) -> Format:
    """Format of a video, from its header.

    Raises:
        MissingFileError, InputError: as `Reader`.
    """
    with Reader(path, raw) as reader:
        return reader.format


def count_packets(path: str | os.PathLike[str]) -> int:
    """Frames of an encode that this project wrote, without decoding them."""
    with Reader(path) as reader:
        return reader.packets()


def inspect(path: str | os.PathLike[str], raw: RawFormat | None = None, advance: Advance | None = None) -> Video:
    """Decode a video to its end: format, number of frames and shots.

    Args:
        path: the file.
        raw: format of a headerless file.
        advance: called as frames are decoded.

    Raises:
        MissingFileError, InputError: as `Reader`; also a video without frames, or one that changes its size.
        IntegrityError: it is damaged, or ends before the number of frames that its header promises.
    """
    from pyvmaf.video.shots import ShotDetector

    detector, end = ShotDetector(), 0.0
    with Reader(path, raw) as reader:
        size = (reader.format.width, reader.format.height)
        for frame in reader.frames():
            if (frame.width, frame.height) != size:
                raise InputError(
                    f"{path} changes its size from {size[0]}x{size[1]} to {frame.width}x{frame.height} at frame "
                    f"{detector.frames}: cut it there into two files"
                )
            detector.add(frame)
            if advance is not None:
                advance(detector.frames, reader.about)
            end = (frame.time or 0.0) + float(frame.duration * frame.time_base if frame.time_base else 0)
        if not detector.frames:
            raise InputError(f"{path} holds no frames")
        # Edit lists may hide a frame at either end.
        if detector.frames < reader.declared - max(2, reader.declared // 100):
            raise IntegrityError(
                f"{path}: its header promises {reader.declared} frames, but only {detector.frames} decode: "
                "it is truncated; get a complete copy"
            )
        # Headers round durations, and the last frame of a varying rate does not say how long it stays.
        if end < reader.seconds - max(float(3 / Fraction(reader.format.fps)), reader.seconds / 50):
            raise IntegrityError(
                f"{path}: its header promises {reader.seconds:.2f} s, but its last frame ends at {end:.2f} s: "
                "it is truncated; get a complete copy"
            )
        return Video(reader.format, detector.frames, detector.shots())
