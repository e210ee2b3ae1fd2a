"""Stretches of a long clip, which stand for all of it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from pyvmaf.errors import InputError
from pyvmaf.scoring.heights import stored
from pyvmaf.video.reader import Reader

if TYPE_CHECKING:
    from pyvmaf.video.ffmpeg import Advance

SECONDS = 10
"""Length of a stretch."""


def sampled(
    reader: Reader, count: int, folder: Path, program: str, advance: Advance | None = None
) -> tuple[Reader, list[list[int]]]:
    """Store stretches of a clip, one after the other, without loss.

    Args:
        reader: the clip.
        count: how many stretches of `SECONDS`, spread evenly.
        folder: where they are stored.
        program: which FFmpeg.
        advance: called as frames are read.

    Returns:
        What to read instead, and first and last frame of each stretch. If they would be the whole clip, that is the clip itself,
        and there are none.

    Raises:
        InputError: the number is below 1.
        PyvmafError: as `pyvmaf.video.ffmpeg.run`.
    """
    if count < 1:
        raise InputError(f"--stretches is a number of stretches, 1 or more, not {count}")
    rate = Fraction(reader.presentation.format(reader.coded).fps)
    frames, length = reader.count_packets(), max(1, round(SECONDS * rate))
    if count * length >= frames:
        return reader, []
    firsts = [int((index + Fraction(1, 2)) * frames / count - Fraction(length, 2)) for index in range(count)]
    stretches = [[first, first + length - 1] for first in firsts]
    path = folder / "stretches.mkv"
    chosen = "+".join(f"between(n,{first},{last})" for first, last in stretches)
    chain = f"select='{chosen}',settb=expr=1/({rate}),setpts=N"
    stored(reader, path, chain, program, what=f"cut {reader.path}", frames=count * length, advance=advance)
    return Reader(path), stretches
