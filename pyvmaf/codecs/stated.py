"""What an encoded file states about its encoder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pyvmaf.codecs.encoders import encoder as find_encoder
from pyvmaf.errors import InputError, PyvmafError

if TYPE_CHECKING:
    from pyvmaf.video.reader import Reader

# x264 and x265 write their settings into the first coded picture, as text.
_SETTINGS = re.compile(rb"x26[45] .{0,3000}?\brc=(\w+)\b.{0,400}?\b(?:crf|qp|bitrate)=(\d+(?:\.\d+)?)", re.DOTALL)


@dataclass(frozen=True)
class Stated:
    """What a file states about its encoder; None for what it does not state.

    Attributes:
        encoder: name of the encoder in `pyvmaf.codecs.encoders`.
        rate_control: "crf", "cqp", "abr", …, as x264 and x265 write it.
        number: the CRF, quantiser or bitrate of that rate control.
    """

    encoder: str
    rate_control: str | None = None
    number: float | None = None

    @property
    def crf(self) -> float | None:
        """The CRF, if the stream was coded with one."""
        return self.number if self.rate_control == "crf" else None

    def agrees(self, crf: int) -> bool:
        """Return whether the stream may have been coded with this quality number."""
        if self.rate_control is None or (self.number == crf and self.rate_control == "crf"):
            return True
        # x264 codes 8 bits with CRF 0 without loss, and writes that as quantiser 0.
        return (self.rate_control, self.number, crf) == ("cqp", 0, 0)

    @property
    def settings(self) -> str:
        """The settings in words: "CRF 23"."""
        if self.rate_control is None or self.number is None:
            return "settings that it does not state"
        names = {"crf": "CRF", "cqp": "a constant quantiser of", "abr": "a bitrate of"}
        return f"{names.get(self.rate_control, self.rate_control)} {self.number:g}"


def stated(path: Path, stream: int | None = None) -> Stated | None:
    """Read what a file states about its encoder; None if nothing is known.

    The encoder comes from the name that FFmpeg's muxers write, or from the format of the stream: h264 counts as libx264,
    as everywhere in this project. Raw files state nothing.

    Args:
        path: the file.
        stream: which video stream, as `pyvmaf.video.reader.Reader` takes it.
    """
    if path.suffix.lower() == ".yuv":
        return None
    from pyvmaf.video.reader import Reader

    try:
        return stated_in(Reader(path, stream=stream))
    except PyvmafError:
        return None


def stated_in(reader: Reader) -> Stated | None:
    """Read what an open file states about its encoder, as `stated`."""
    try:
        packets = reader.packets()
        packet = next(packets, None)
    except PyvmafError:
        return None
    if packet is None:
        return None
    about = packet.stream
    words = [*about.metadata.get("ENCODER", "").split(), about.codec.canonical_name]
    head = (about.codec_context.extradata or b"") + bytes(packet)
    packets.close()
    # The last word before the stream's format is the encoder: "Lavc60.31.102 libx264".
    for name in (*reversed(words[:-1]), words[-1]):
        try:
            encoder = find_encoder(name).name
        except InputError:
            continue
        settings = _SETTINGS.search(head)
        return Stated(encoder, settings[1].decode(), float(settings[2])) if settings else Stated(encoder)
    return None
