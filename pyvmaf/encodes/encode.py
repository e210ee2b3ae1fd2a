"""One distorted clip: a reference through one encoder, and the record of what was done."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

from pyvmaf.base.files import atomic_path, content_hash, relative
from pyvmaf.base.manifest import write_manifest
from pyvmaf.codecs.encoders import Encoder
from pyvmaf.codecs.encoders import encoder as find_encoder
from pyvmaf.corpora.clip import clip_video
from pyvmaf.encodes.record import Record, Transfer, unavailable
from pyvmaf.errors import InputError, IntegrityError, PyvmafError
from pyvmaf.video.ffmpeg import DETERMINISTIC, Advance, FFmpeg, ffmpeg, run
from pyvmaf.video.probe import Reader, Video


class IncompleteError(IntegrityError):
    """An encode holds another number of frames than its reference."""


@dataclass(frozen=True)
class Encoded:
    """An encode that lies ready.

    Attributes:
        path: the file.
        record_path: its record, `<rung>.json` beside it.
        record: the same in memory.
        seconds: how long the encoder took.
    """

    path: Path
    record_path: Path
    record: Record
    seconds: float


def bit_depth_for(entry: Encoder, reference: int, wanted: int | None) -> int:
    """Bits per sample of an encode.

    Args:
        entry: the codec.
        reference: bits of the reference.
        wanted: bits that were asked for; None for those of the reference, or the codec's own where it has only others.

    Raises:
        InputError: fewer bits than the reference has would be lost without having been asked for, or the codec does
            not write the bits that were asked for.
    """
    if wanted is not None:
        if wanted not in entry.bit_depths:
            depths = ", ".join(map(str, entry.bit_depths))
            raise InputError(f"{entry.name} writes {depths} bits per sample, but {wanted} were asked for")
        return wanted
    if reference in entry.bit_depths:
        return reference
    wider = [depth for depth in entry.bit_depths if depth > reference]
    if not wider:
        depths = ", ".join(map(str, entry.bit_depths))
        raise InputError(
            f"the reference has {reference} bits per sample, but {entry.name} writes {depths}: ask for one of them"
        )
    return min(wider)


def encode(
    reference: Path,
    output: Path,
    codec: str,
    preset: str | int,
    crf: int,
    *,
    bit_depth: int | None = None,
    extra: Sequence[str] = (),
    threads: int = 1,
    program: str = "embedded",
    advance: Advance | None = None,
) -> Encoded:
    """Encode a reference, check the result, and leave its record and manifest beside it.

    The same arguments give the same bytes on every run. The record holds no wall-clock values: those keys are null,
    and the time that the encoder took is in the manifest's run block (`seconds`).

    Args:
        reference: a clip, best one that `prepare` made.
        output: the encode's file, Matroska; its record gets the same name with the suffix ``.json``.
        codec: name or alias of the codec.
        preset: one of the codec's presets.
        crf: quality number in the codec's range.
        bit_depth: 8 or 10; None for that of the reference, or the codec's only one.
        extra: further options for FFmpeg, word by word.
        threads: encoder threads. Other counts may give other bytes, so this is part of the encode's identity.
        program: which FFmpeg ("embedded", "system" or a path).
        advance: called as frames are done.

    Raises:
        MissingFileError, InputError: the reference or a request is wrong.
        IntegrityError: the reference is damaged.
        IncompleteError: the encode has another number of frames.
        UnavailableError: this FFmpeg lacks the encoder.
        PyvmafError: the encoder refused.
        OSError: ENOSPC, the disk is full.
    """
    entry = find_encoder(codec)
    if output.suffix != ".mkv":
        raise InputError(f"encodes are Matroska files, but {output} ends in {output.suffix or 'nothing'!r}: use .mkv")
    preset, crf = entry.check_preset(preset), entry.check_crf(crf)
    video, sha256 = clip_video(reference)
    form = video.format
    if entry.even_size and not form.even:
        across, down = form.chroma_step
        raise InputError(
            f"{entry.name} takes no odd sizes, but {reference} is {form.width}x{form.height} with chroma {form.chroma}: "
            f"prepare it, which crops to {form.width - form.width % across}x{form.height - form.height % down}"
        )
    pix_fmt = entry.pixel_format(form.chroma, bit_depth_for(entry, form.bit_depth, bit_depth))
    arguments = entry.arguments(preset, crf, pix_fmt, extra, threads)
    tool = ffmpeg(program)
    what = f"encode {reference} with {entry.name}"
    with atomic_path(output) as temporary:
        command = _command(reference, video, arguments, temporary)
        for attempt in range(1, entry.attempts + 1):
            started = time.perf_counter()
            log = run(tool, command, what=what, frames=video.frames, advance=advance)
            seconds = time.perf_counter() - started
            try:
                _check_result(temporary, video, pix_fmt, what, tool)
                break
            except IncompleteError:
                if attempt == entry.attempts:
                    raise
    record = _record(reference, sha256, video, output, entry, preset, crf, pix_fmt, arguments, log, tool)
    record_path = output.with_suffix(".json")
    record.write(record_path)
    write_manifest(
        output,
        verb="encode",
        args={
            "codec": entry.name,
            "preset": preset,
            "crf": crf,
            "bit_depth": bit_depth,
            "extra": list(extra),
            "encoder_threads": threads,
        },
        inputs={"reference": reference},
        outputs={"encode": output, "record": record_path},
        details={
            "frames": video.frames,
            "arguments": arguments,
            "ffmpeg": tool.version,
            "encoder_version": record.encoder_version,
            "widened_from_bits": form.bit_depth if pix_fmt.endswith("10le") and form.bit_depth == 8 else None,
            "narrowed_from_bits": form.bit_depth if not pix_fmt.endswith("10le") and form.bit_depth > 8 else None,
            "unavailable": unavailable(record),
        },
        seconds=seconds,
    )
    return Encoded(output, record_path, record, seconds)


def _command(reference: Path, video: Video, arguments: Sequence[str], output: Path) -> list[str]:
    # One frame in, one frame out: neither time stamps nor a rotation tag may add, drop or turn one.
    filters = f"settb=expr=1/({video.format.fps}),setpts=N"
    return [
        *("-max_error_rate", "0", "-noautorotate", "-i", str(reference), "-map", "0:v:0", "-filter_threads", "1"),
        *("-vf", filters, "-fps_mode", "passthrough", *DETERMINISTIC, *arguments, "-f", "matroska", str(output)),
    ]


def _check_result(path: Path, video: Video, pix_fmt: str, what: str, tool: FFmpeg) -> None:
    try:
        with Reader(path) as reader:
            form, frames = reader.format, reader.packets()
    except InputError:
        # A file without a single frame is none that can be opened.
        form, frames = video.format, 0
    if frames != video.frames:
        raise IncompleteError(
            f"cannot {what}: the reference has {video.frames} frames, but the encode {frames} (FFmpeg {tool.version})"
        )
    wanted = (video.format.width, video.format.height, pix_fmt)
    if (form.width, form.height, form.pix_fmt) != wanted:
        raise PyvmafError(
            f"cannot {what}: {wanted[0]}x{wanted[1]} {wanted[2]} was asked for, but {form.width}x{form.height} "
            f"{form.pix_fmt} was written (FFmpeg {tool.version})"
        )


def _record(
    reference: Path,
    sha256: str,
    video: Video,
    output: Path,
    entry: Encoder,
    preset: str,
    crf: int,
    pix_fmt: str,
    arguments: list[str],
    log: str,
    tool: FFmpeg,
) -> Record:
    import numpy as np

    form = video.format
    fps = Fraction(form.fps)
    shots = np.array([last - first + 1 for first, last in video.shots]) / float(fps)
    version = entry.parse_version(log) or "unknown"
    bytes_ = output.stat().st_size
    identity = {"src_sha256": sha256, "arguments": arguments, "ffmpeg": tool.version, "encoder_version": version}
    return Record(
        run_id=content_hash(identity)[:16],
        src=relative(reference),
        src_sha256=sha256,
        width=form.width,
        height=form.height,
        pix_fmt=pix_fmt,
        framerate=float(fps),
        duration_s=video.seconds,
        encoder=entry.name,
        encoder_version=version,
        preset=preset,
        crf=crf,
        # Everything after codec, preset, quality number and pixel format, which have keys of their own.
        extra_params=arguments[8:],
        encode_path=relative(output),
        encode_size_bytes=bytes_,
        bitrate_kbps=bytes_ * 8 / 1000 / video.seconds,
        ffmpeg_version=tool.version,
        clip_mode="full",
        hdr_transfer=cast("Transfer", form.transfer),
        hdr_primaries=form.primaries,
        hdr_forced=False,
        shot_count=len(shots),
        shot_avg_duration_sec=float(shots.mean()),
        shot_duration_std_sec=float(shots.std()),
    )


def split_extra(text: str) -> list[str]:
    """Words of an option string as a shell would split it: "-cpu-used 5 -row-mt 0".

    Raises:
        InputError: a quotation mark is not closed.
    """
    try:
        return shlex.split(text)
    except ValueError as err:
        raise InputError(f"extra options {text!r} cannot be split into words: {err}") from err
