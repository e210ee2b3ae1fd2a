"""Facts about a whole video: format, number of frames, shots."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from pyvmaf.video.agree import refuse_interlaced
from pyvmaf.video.ffmpeg import Advance
from pyvmaf.video.format import Colour, Format
from pyvmaf.video.reader import Reader
from pyvmaf.video.shots import ShotDetector


@dataclass(frozen=True)
class Video:
    """A video that was decoded to its end.

    Attributes:
        format: format of its pictures as players show them: cropped and turned.
        codec: FFmpeg's name of the compression.
        container: FFmpeg's name of the file format ("matroska,webm").
        transfer: HDR transfer function ("smpte2084", "arib-std-b67"), empty for SDR.
        primaries: colour primaries of an HDR video, empty for SDR.
        frames: number of frames that decode.
        shots: first and last frame (inclusive) of each shot, in order; they cover all frames.
        stream: which of several video streams it is, where there is a choice; None otherwise, and if read back.
        notice: about that choice; "" if there is none.
        colour: how its samples stand for colours.
        interlaced: number of frames that are flagged as interlaced.
        field_order: what the header says of that, as `pyvmaf.video.format.Stream.field_order`.
        remarks: what a person should know of it, as `pyvmaf.video.agree.Side.remarks`.
    """

    format: Format
    codec: str
    container: str
    transfer: str
    primaries: str
    frames: int
    shots: tuple[tuple[int, int], ...]
    stream: int | None = None
    notice: str = ""
    colour: Colour = field(default_factory=Colour)
    interlaced: int = 0
    field_order: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Duration: frames over frames per second."""
        return float(self.frames / Fraction(self.format.fps))

    def as_dict(self) -> dict[str, Any]:
        """Return the facts as a manifest holds them."""
        return {
            "width": self.format.width,
            "height": self.format.height,
            "pix_fmt": self.format.pix_fmt,
            "chroma": self.format.chroma,
            "bit_depth": self.format.bit_depth,
            "fps": self.format.fps,
            "codec": self.codec,
            "container": self.container,
            "transfer": self.transfer,
            "primaries": self.primaries,
            "frames": self.frames,
            "shots": [list(shot) for shot in self.shots],
            "colour": asdict(self.colour),
            "interlaced": self.interlaced,
            "field_order": self.field_order,
            "remarks": list(self.remarks),
        }

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Video:
        """Read what `as_dict` returned."""
        return cls(
            format=Format(value["width"], value["height"], value["pix_fmt"], Fraction(value["fps"])),
            codec=value["codec"],
            container=value["container"],
            transfer=value["transfer"],
            primaries=value["primaries"],
            frames=value["frames"],
            shots=tuple((first, last) for first, last in value["shots"]),
            # Manifests of earlier versions do not have the rest.
            colour=Colour(**value.get("colour", {})),
            interlaced=value.get("interlaced", 0),
            field_order=value.get("field_order", ""),
            remarks=tuple(value.get("remarks", ())),
        )

    def check(self, path: str | os.PathLike[str]) -> None:
        """Refuse a video that cannot be a reference.

        Raises:
            InputError: it is interlaced.
        """
        if error := refuse_interlaced(Path(path), self.interlaced, self.field_order):
            raise error


def inspect(
    path: str | os.PathLike[str],
    raw: Format | None = None,
    advance: Advance | None = None,
    stream: int | None = None,
) -> Video:
    """Decode a video to its end, count its frames and find its shots.

    Args:
        path: the file.
        raw: format of a headerless file.
        advance: called as frames are decoded.
        stream: which video stream, as `Reader` takes it.

    Raises:
        MissingFileError, InputError: as `Reader`; also if the video has no frames or changes its format.
        IntegrityError: it is damaged or truncated.
    """
    reader, detector = Reader(path, raw=raw, stream=stream), ShotDetector()
    for frame in reader.frames(threads=0):
        detector.add(frame)
        if advance is not None:
            advance(detector.frames, reader.stated_frames or 0)
    about, side, form = reader.stream, reader.side, reader.presentation.format(reader.coded)
    # Files without a rate are taken to have the rate that Format.fps falls back on, here and when read back.
    form = Format(form.width, form.height, form.pix_fmt, Fraction(form.fps))
    hdr = side.colour.hdr
    return Video(
        format=form,
        codec=about.codec,
        container=about.container,
        transfer=side.colour.transfer if hdr else "",
        primaries=side.colour.primaries if hdr else "",
        frames=detector.frames,
        shots=detector.shots(),
        stream=about.index if about.notice else None,
        notice=about.notice,
        colour=side.colour,
        interlaced=reader.interlaced,
        field_order=about.field_order,
        remarks=tuple(side.remarks()),
    )
