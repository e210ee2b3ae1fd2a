"""Smaller versions of a clip, whose encodes are measured at the clip's own size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pyvmaf.errors import InputError
from pyvmaf.video.ffmpeg import DETERMINISTIC, Advance, ffmpeg, run
from pyvmaf.video.reader import Reader

SMALLEST = 36
"""Lines that the smallest version has at least: fewer can be neither probed nor measured."""


class Version(NamedTuple):
    """A clip at a size.

    Attributes:
        path: the file to encode.
        reference: the clip itself, which encodes are measured against.
        width, height: of `path`.
    """

    path: Path
    reference: Path
    width: int
    height: int

    @property
    def scaled(self) -> bool:
        """Whether encodes are scaled up to be measured."""
        return self.path != self.reference


def versions(reader: Reader, heights: Sequence[int], folder: Path, program: str) -> Iterator[Version]:
    """Give a clip at each height, smaller ones scaled by FFmpeg (Lanczos) and stored without loss.

    Args:
        reader: the file.
        heights: lines, even; none for the clip's own size.
        folder: where smaller versions are written.
        program: which FFmpeg.

    Raises:
        MissingFileError, IntegrityError: as `Reader`.
        InputError: a height is odd, named twice, larger than the clip's, or smaller than `SMALLEST`.
    """
    clip = reader.path
    form = reader.presentation.format(reader.coded)
    own = Version(clip, clip, form.width, form.height)
    if len(set(heights)) < len(heights):
        raise InputError(f"--height names a height twice: {', '.join(map(str, heights))}")
    for height in heights:
        if height != form.height and not (SMALLEST <= height < form.height and height % 2 == 0):
            raise InputError(
                f"--height {height} is not possible for {clip}, which has {form.height} lines: name its own height or an even "
                f"one from {SMALLEST} on below it"
            )
    for height in heights or (form.height,):
        if height == form.height:
            yield own
            continue
        width = max(2, round(form.width * height / form.height / 2) * 2)
        path = folder / f"{height}.mkv"
        stored(reader, path, f"scale={width}:{height}:flags=lanczos+accurate_rnd", program, what=f"scale {clip}")
        yield Version(path, clip, width, height)


def stored(
    reader: Reader, path: Path, chain: str, program: str, *, what: str, frames: int = 0, advance: Advance | None = None
) -> None:
    """Store frames of a clip without loss.

    Args:
        reader: the clip.
        path: the file to write, Matroska.
        chain: filters of FFmpeg that the frames pass.
        program: which FFmpeg.
        what, frames, advance: as of `pyvmaf.video.ffmpeg.run`.
    """
    words: list[str | Path] = ["-max_error_rate", "0", "-i", reader.path, "-map", f"0:v:{reader.index}", "-an"]
    words += [
        *DETERMINISTIC,
        "-vf",
        chain,
        "-fps_mode",
        "passthrough",
        "-c:v",
        "ffv1",
        "-level",
        "3",
        "-f",
        "matroska",
        path,
    ]
    run(ffmpeg(program), words, what=what, frames=frames, advance=advance)
