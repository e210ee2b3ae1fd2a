"""The verb ``encode``: one distorted version of a clip, its record and its manifest."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

from pyvmaf.base.files import atomic_path, content_hash, relative
from pyvmaf.base.manifest import write_manifest
from pyvmaf.base.outputs import claim, place, publishes
from pyvmaf.corpora.clip import clip_video
from pyvmaf.corpora.failure import Failure, failure_at, refuse_failure
from pyvmaf.corpora.skipped import is_of_file, portable
from pyvmaf.encodes.distortion import Distortion, Made, Reference, uses
from pyvmaf.encodes.record import Record, Transfer, shot_facts, unavailable
from pyvmaf.errors import InputError, PyvmafError
from pyvmaf.video.ffmpeg import Advance, FFmpeg, ffmpeg
from pyvmaf.video.probe import Video


@dataclass(frozen=True)
class Encoded:
    """A finished encode.

    Attributes:
        path: the file.
        record_path: the file of its record, ``{rung}.json`` beside it.
        record: its record.
        seconds: duration of the work.
    """

    path: Path
    record_path: Path
    record: Record
    seconds: float


@publishes("encode")
def encode(
    reference: Path,
    output: Path,
    distortion: Distortion,
    *,
    threads: int = 1,
    program: str = "embedded",
    advance: Advance | None = None,
) -> Encoded:
    """Make one distorted version of a reference, check it, and write its record and manifest beside it.

    The same arguments give the same bytes on every run. The record does not hold wall-clock values: those keys are null,
    and the manifest's run block has the duration (`seconds`).

    Args:
        reference: a clip, best one from `prepare`.
        output: the file to write, Matroska; its record gets the same name with the suffix ``.json``.
        distortion: how to make it: `pyvmaf.encodes.encoder.encoder_rung`, or a rung of another kind.
        threads: threads of an encoder. Another count may give other bytes, so it is part of the encode's identity.
        program: which FFmpeg ("embedded", "system" or a path).
        advance: called as frames are done.

    Raises:
        MissingFileError, InputError: the reference does not exist, is interlaced, or does not suit the distortion.
        IntegrityError: the reference is damaged.
        IncompleteError: the result does not have as many frames as the reference.
        UnavailableError: this FFmpeg does not have the encoder.
        PyvmafError: FFmpeg failed.
        OSError: ENOSPC, the disk is full.
    """
    _claim(output)
    if (failure := failure_at(reference)) is not None:
        raise refuse_failure(reference, failure)
    return _make(reference, output, distortion, threads, ffmpeg(program), advance)


@publishes("encode")
def encode_or_skip(
    reference: Path,
    output: Path,
    distortion: Distortion,
    *,
    threads: int = 1,
    program: str = "embedded",
    advance: Advance | None = None,
) -> Encoded | Failure:
    """Encode as `encode` does or, if the clip cannot be encoded, leave the reason in the place of the encode and its record.

    Raises:
        PyvmafError: as `encode`, if it is not the fault of the clip.
    """
    _claim(output)
    tool = ffmpeg(program)
    failure = failure_at(reference)
    if failure is None:
        try:
            return _make(reference, output, distortion, threads, tool, advance)
        except PyvmafError as err:
            if not is_of_file(err):
                raise
            failure = Failure(path=relative(reference), why=portable(str(err)))
    failure.leave(output, output.with_suffix(".json"))
    write_manifest(
        output,
        verb="encode",
        uses=uses(distortion.kind),
        args=_arguments(distortion, threads),
        inputs={"reference": reference},
        outputs={"encode": output, "record": output.with_suffix(".json")},
        details={"failed": failure.as_dict()},
    )
    return failure


def _claim(output: Path) -> None:
    if output.suffix != ".mkv":
        raise InputError(f"encodes are Matroska files, but {output} ends in {output.suffix or 'nothing'!r}: use .mkv")
    claim(output, output.with_suffix(".json"))


def _arguments(distortion: Distortion, threads: int) -> dict[str, Any]:
    return {"distortion": distortion.kind, **distortion.settings, "encoder_threads": threads}


def _make(
    reference: Path, output: Path, distortion: Distortion, threads: int, tool: FFmpeg, advance: Advance | None
) -> Encoded:
    """Make an encode, its record and its manifest."""
    video, sha256 = clip_video(reference)
    video.check(reference)
    with atomic_path(output) as temporary:
        made = distortion.make(Reference(reference, video), temporary, tool=tool, threads=threads, advance=advance)
    record = _record(reference, sha256, video, output, made, tool)
    record_path = output.with_suffix(".json")
    record.write(record_path)
    write_manifest(
        output,
        verb="encode",
        uses=uses(distortion.kind),
        args=_arguments(distortion, threads),
        inputs={"reference": reference},
        outputs={"encode": output, "record": record_path},
        details=_details(video, made, record, distortion.strength, tool),
        seconds=made.seconds,
    )
    return Encoded(output, record_path, record, made.seconds)


def _details(video: Video, made: Made, record: Record, strength: float, tool: FFmpeg) -> dict[str, Any]:
    bits = video.format.bit_depth
    ten = made.pix_fmt.endswith("10le")
    return {
        "frames": video.frames,
        "strength": strength,
        "arguments": made.arguments,
        "ffmpeg": tool.version,
        "encoder_version": record.encoder_version,
        "widened_from_bits": bits if ten and bits == 8 else None,
        "colour": asdict(video.colour),
        "remarks": list(video.remarks),
        "narrowed_from_bits": bits if not ten and bits > 8 else None,
        "unavailable": unavailable(record, made.record),
    }


def _record(reference: Path, sha256: str, video: Video, output: Path, made: Made, tool: FFmpeg) -> Record:
    form = video.format
    fps = Fraction(form.fps)
    size = place(output).stat().st_size
    encoder = {"encoder": None, "encoder_version": None, "preset": None, "crf": None} | made.record
    identity = {
        "src_sha256": sha256,
        "arguments": made.arguments,
        "ffmpeg": tool.version,
        "encoder_version": encoder["encoder_version"],
    }
    return Record(
        run_id=content_hash(identity)[:16],
        src=relative(reference),
        src_sha256=sha256,
        width=form.width,
        height=form.height,
        pix_fmt=made.pix_fmt,
        framerate=float(fps),
        duration_s=video.seconds,
        **encoder,
        encode_path=relative(output),
        encode_size_bytes=size,
        bitrate_kbps=size * 8 / 1000 / video.seconds,
        ffmpeg_version=tool.version,
        clip_mode="full",
        hdr_transfer=cast("Transfer", video.transfer),
        hdr_primaries=video.primaries,
        hdr_forced=False,
        **shot_facts(video),
    )
