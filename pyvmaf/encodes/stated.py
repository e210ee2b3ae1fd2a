"""What an encoded file states about its encoder, and whether the record beside it is its own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pyvmaf.codecs.encoders import ENCODERS
from pyvmaf.codecs.encoders import encoder as find_encoder
from pyvmaf.errors import InputError, IntegrityError, MissingFileError, PyvmafError

if TYPE_CHECKING:
    from pyvmaf.encodes.record import Record

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
        packets = Reader(path, stream=stream).packets()
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


def check_record(path: Path, record: Record) -> None:
    """Check that a record describes a file: its size, its hash if a manifest states one, and what the stream states.

    Raises:
        InputError: the record is that of another file.
        MissingFileError: there is no such file.
    """
    other = f"{path.with_suffix('.json')} is the record of another encode than {path}"
    remedy = "encode it again, or put its own record beside it"
    if not path.is_file():
        raise MissingFileError(f"no such file: {path}")
    size = path.stat().st_size
    if record.encode_size_bytes != size:
        raise InputError(f"{other}: it is of a file of {record.encode_size_bytes} bytes, this one has {size}; {remedy}")
    _check_hash(path, other, remedy)
    found = stated(path) if record.encoder in ENCODERS else None
    if found is None:
        return
    if found.encoder != record.encoder:
        raise InputError(f"{other}: it says {record.encoder}, the stream is of {found.encoder}; {remedy}")
    if record.crf is not None and not found.agrees(record.crf):
        raise InputError(f"{other}: it says CRF {record.crf}, the stream says {found.settings}; {remedy}")


def _check_hash(path: Path, other: str, remedy: str) -> None:
    """Compare the hash of a file with that in its manifest, if it has one."""
    from pyvmaf.base.files import sha256_file
    from pyvmaf.base.manifest import read_manifest

    try:
        wanted = read_manifest(path)["outputs"]["encode"]["sha256"]
    except (MissingFileError, KeyError, TypeError):
        return
    except IntegrityError as err:
        raise InputError(f"{err}; {remedy}") from err
    digest = sha256_file(path)
    if wanted is not None and digest != wanted:
        raise InputError(f"{other}: the manifest says SHA-256 {wanted}, this file has {digest}; {remedy}")
