"""FFmpeg from clip to clip, frame by frame, and the checks of what it wrote."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pyvmaf.encodes.distortion import Reference
from pyvmaf.errors import InputError, IntegrityError, PyvmafError
from pyvmaf.video.agree import compare_colours
from pyvmaf.video.ffmpeg import DETERMINISTIC, Advance, FFmpeg, run
from pyvmaf.video.probe import Video
from pyvmaf.video.reader import Reader


class IncompleteError(IntegrityError):
    """A distorted clip does not have as many frames as its reference."""


class Transcoded(NamedTuple):
    """Result of `transcode`.

    Attributes:
        log: what FFmpeg printed.
        seconds: duration of its last run.
        reader: the file that it wrote.
    """

    log: str
    seconds: float
    reader: Reader


def transcode(
    reference: Reference,
    output: Path,
    arguments: Sequence[str],
    pix_fmt: str,
    *,
    tool: FFmpeg,
    what: str,
    filters: Sequence[str] = (),
    attempts: int = 1,
    advance: Advance | None = None,
) -> Transcoded:
    """Run FFmpeg over a clip so that each frame of the clip gives one frame, and check the result.

    Args:
        reference: the clip.
        output: the file to write, Matroska.
        arguments: output options: the encoder and its settings.
        pix_fmt: pixel format that the result must have.
        tool: the FFmpeg program.
        what: the work, for messages: "encode FILE with libx264".
        filters: FFmpeg filters that the frames pass.
        attempts: how often to run before a result with too few frames is an error.
        advance: called as frames are done.

    Raises:
        IncompleteError: the result does not have as many frames as the clip.
        UnavailableError: this FFmpeg does not have the encoder.
        InputError: the result states other colours than the clip, or is interlaced.
        PyvmafError: FFmpeg failed, or the result has another size or pixel format.
        OSError: ENOSPC, the disk is full.
    """
    video = reference.video
    # One frame in, one frame out: time stamps must not add or drop a frame. Frames are turned as players show them, by
    # filters that are the same in every FFmpeg.
    reader = reference.reader
    chain = ",".join([*reader.filters, f"settb=expr=1/({video.format.fps}),setpts=N", *filters])
    command: list[str | Path] = [
        *("-max_error_rate", "0", "-noautorotate", "-i"),
        reference.path,
        *("-map", f"0:v:{reader.index}", "-filter_threads", "1"),
        *("-vf", chain, "-fps_mode", "passthrough", *DETERMINISTIC, *arguments, "-f", "matroska"),
        output,
    ]
    for attempt in range(1, attempts + 1):
        started = time.perf_counter()
        log = run(tool, command, what=what, frames=video.frames, advance=advance)
        seconds = time.perf_counter() - started
        try:
            written = _check_result(output, video, pix_fmt, what, tool)
            break
        except IncompleteError:
            if attempt == attempts:
                raise
    return Transcoded(log, seconds, written)


def _check_result(path: Path, video: Video, pix_fmt: str, what: str, tool: FFmpeg) -> Reader:
    try:
        reader = Reader(path)
        form, frames = reader.coded, reader.count_packets()
        form = form.measurable or form  # yuvj420p is yuv420p of full range
    except InputError:
        # PyAV cannot open a file without frames.
        form, frames = video.format, 0
    if frames != video.frames:
        raise IncompleteError(
            f"cannot {what}: the reference has {video.frames} frames, but the encode {frames} (FFmpeg {tool.version})"
        )
    expected = (video.format.width, video.format.height, pix_fmt)
    if (form.width, form.height, form.pix_fmt) != expected:
        raise PyvmafError(
            f"cannot {what}: {expected[0]}x{expected[1]} {expected[2]} was expected, but {form.width}x{form.height} "
            f"{form.pix_fmt} was written (FFmpeg {tool.version})"
        )
    if reader.side.interlaced:
        raise InputError(f"cannot {what}: the result is interlaced, the reference is not")
    if not reader.presentation.plain:
        raise PyvmafError(f"cannot {what}: FFmpeg {tool.version} wrote pictures that are {reader.presentation.words}")
    try:
        compare_colours(video.colour, reader.side.colour, names=("the reference", "the encode"))
    except InputError as err:
        raise InputError(
            f"cannot {what}: it does not keep how the samples of the reference stand for colours ({video.colour.words}, in the "
            f"encode {reader.side.colour.words}): convert the reference first, or use another encoder"
        ) from err
    return reader
