"""How a video was encoded, as far as its file tells: encoder, preset and CRF, for models that read them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pyvmaf.errors import InputError, PyvmafError
from pyvmaf.features.catalog import shot_columns

if TYPE_CHECKING:
    from pyvmaf.video.format import Format
    from pyvmaf.video.reader import Reader


@dataclass(frozen=True)
class Origin:
    """How a video was encoded; None for an unknown part.

    Attributes:
        encoder: name or alias of the codec in `pyvmaf.codecs.encoders`.
        preset: the encoder's preset.
        crf: its CRF.
        how: source of the knowledge: "given", "record", "stream" or "unknown".
    """

    encoder: str | None = None
    preset: str | None = None
    crf: float | None = None
    how: str = "unknown"

    @property
    def triple(self) -> tuple[str | None, str | None, float | None]:
        """Encoder, preset and CRF, as `Model.predict` takes them."""
        return self.encoder, self.preset, self.crf

    def __str__(self) -> str:
        if self.encoder is None and self.crf is None:
            return "codec not known"
        preset = "preset not known" if self.preset is None else f"preset {self.preset}"
        crf = "CRF not known" if self.crf is None else f"CRF {self.crf:g}"
        return f"{self.encoder or 'codec not known'}, {preset}, {crf} ({self.how})"


def origin(path: Path, stream: int | None = None) -> Origin:
    """Read how a file was encoded.

    The record that `vmaf-train encode` leaves beside a file holds everything. Without one, the encoder comes from the
    name that FFmpeg's muxers write or from the format of the stream (h264 counts as libx264, as everywhere in this
    project), and the CRF from the settings that x264 and x265 write. Nothing else is guessed; raw files tell nothing.

    Args:
        path: the file.
        stream: which video stream, as `pyvmaf.video.reader.Reader` takes it.
    """
    return _recorded(path) or _streamed(path, stream) or Origin()


def _recorded(path: Path) -> Origin | None:
    from pyvmaf.encodes.record import Record
    from pyvmaf.encodes.stated import check_record

    try:
        record = Record.read(path.with_suffix(".json"))
        # A record of another file must not describe this one.
        check_record(path, record)
    except PyvmafError:
        return None
    if Path(record.encode_path).name != path.name:
        return None
    return Origin(record.encoder, record.preset, None if record.crf is None else float(record.crf), "record")


def _streamed(path: Path, stream: int | None) -> Origin | None:
    from pyvmaf.codecs.stated import stated

    found = stated(path, stream)
    return None if found is None else Origin(found.encoder, None, found.crf, "stream")


def properties(path: Path, raw: Format | None = None, stream: int | None = None) -> dict[str, float]:
    """Return width and height of the picture, frames per second and average bitrate in kbit/s of a video as it was encoded.

    Unknown properties are left out: raw video has no bitrate. The bitrate is that of the video stream alone, its coded
    bytes over the duration of its frames.

    Args:
        path: the file.
        raw: format of a headerless file.
        stream: which video stream, as `pyvmaf.video.reader.Reader` takes it.

    Raises:
        MissingFileError, InputError, IntegrityError: as `Reader.presentation`.
    """
    from pyvmaf.video.reader import Reader

    is_raw = path.suffix.lower() == ".yuv"
    reader = Reader(path, raw=raw if is_raw else None, stream=stream)
    shown = reader.presentation.format(reader.coded)
    values = {"width": float(shown.width), "height": float(shown.height)}
    if reader.coded.rate:
        values["fps"] = float(reader.coded.rate)
        if not is_raw:
            values["bitrate_kbps"] = _rate(reader, values["fps"])
    return values


def shots(path: Path, raw: Format | None = None, stream: int | None = None) -> dict[str, float]:
    """Find the shots of a video, and return the context columns of them.

    Args:
        path: the file.
        raw: format of a headerless file.
        stream: which video stream, as `pyvmaf.video.reader.Reader` takes it.

    Raises:
        MissingFileError, InputError, IntegrityError: as `pyvmaf.video.probe.inspect`.
    """
    from pyvmaf.video.probe import inspect

    video = inspect(path, raw=raw if path.suffix.lower() == ".yuv" else None, stream=stream)
    return shot_columns(len(video.shots), video.seconds / len(video.shots), video.frames)


def _rate(reader: Reader, fps: float) -> float:
    sizes = [int(packet.size) for packet in reader.packets()]
    if not sizes:
        raise InputError(f"{reader.path} holds no frames")
    return sum(sizes) * 8 / 1000 / (len(sizes) / fps)
