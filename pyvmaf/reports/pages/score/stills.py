"""The worst frames as pictures: of the reference, of the distorted video, and their difference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pyvmaf.errors import InputError
from pyvmaf.reports.elements import Image
from pyvmaf.reports.pages.score.pictures import WIDTH, encoded, rgb
from pyvmaf.video.piped import is_piped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pyvmaf.features.options import Reading
    from pyvmaf.scoring.compare import Comparison, Version
    from pyvmaf.scoring.scores import Scores
    from pyvmaf.video.format import Colour, Format
    from pyvmaf.video.reader import FrameSource, Planes

DETAIL = (320, 180)
"""Width and height of the details, in samples of the video."""

GAIN = 4
"""Factor of the differences."""

MOST = 6
"""Pictures of a single version."""

MOST_VERSIONS = 8
"""Versions of which the worst frame is shown."""

# Seconds between the worst frames: those beside one another look alike.
_APART = 1.0
_BLOCK = 8


@dataclass(frozen=True)
class Still:
    """A frame.

    Attributes:
        version: number of the version, in the order of `Comparison.ranked`.
        frame: its number, as in the rows of the scores.
        images: the pictures of the whole frame.
        details: those of the part that differs most, sample by sample.
        where: left and top of that part.
    """

    version: int
    frame: int
    images: tuple[Image, ...]
    details: tuple[Image, ...] = ()
    where: tuple[int, int] = (0, 0)


def worst(scores: Scores, rate: float | None, most: int = MOST) -> list[int]:
    """Return the frames with the lowest scores, the worst first, which are apart from one another.

    Args:
        scores: the scores; of their `headline`.
        rate: frames per second; None if unknown.
        most: how many at most.
    """
    values = scores[scores.headline]
    apart = max(1.0, _APART * (rate or 25.0))
    chosen: list[int] = []
    for row in np.argsort(np.where(np.isfinite(values), values, np.inf), kind="stable"):
        frame = int(scores.frame_index[row])
        if not np.isfinite(values[row]) or len(chosen) == most:
            break
        if all(abs(frame - other) >= apart for other in chosen):
            chosen.append(frame)
    return chosen


def take_stills(comparison: Comparison, reading: Reading, rate: float | None, *, judged: bool = True) -> list[Still]:
    """Decode the worst frames of versions, as they were compared.

    Args:
        comparison: the versions: several of one frame of each is shown, and of one several frames.
        reading: how they were read.
        rate: frames per second; None if unknown.
        judged: False if there is no reference.

    Raises:
        PyvmafError: they cannot be read again.
    """
    ranked = comparison.ranked
    for path in (comparison.reference, *(version.path for version in ranked)):
        if is_piped(path):
            raise InputError(f"{path} is a pipe, which cannot be read twice")
    most = MOST if len(ranked) == 1 else 1
    # The worst version of many is looked at for sure.
    chosen = dict(list(enumerate(ranked))[-MOST_VERSIONS:])
    frames = {number: worst(version.scores, rate, most) for number, version in chosen.items()}
    frames = {number: worst_ones for number, worst_ones in frames.items() if worst_ones}
    if not judged:
        return [
            Still(number, frame, (encoded("video", shown),))
            for number, numbers in frames.items()
            for frame, shown in _alone(ranked[number].path, numbers, reading)
        ]
    return [
        still
        for number, numbers in frames.items()
        for still in _beside(comparison.reference, ranked[number], number, numbers, reading)
    ]


def _alone(path: Path, frames: Sequence[int], reading: Reading) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    from pyvmaf.features.ladder import open_pair
    from pyvmaf.video.moments import pictures

    video, _, _ = open_pair(path, {}, reading)
    found = pictures(video, frames)
    for frame in frames:
        yield frame, rgb(found[frame], video.format, _colour(video))


def _beside(reference: Path, version: Version, number: int, frames: Sequence[int], reading: Reading) -> Iterator[Still]:
    from pyvmaf.features.ladder import aligned, open_pair
    from pyvmaf.video.moments import pictures

    # The offset is known by now.
    offset = int(version.scores.alignment.get("frames", 0))
    reading = replace(reading, sync=None, offset=offset)
    ours, others, _ = open_pair(reference, {"distorted": version.path}, reading)
    ours, others, _ = aligned(ours, others, reading)
    theirs = others["distorted"]
    left, right = pictures(ours, frames), pictures(theirs, frames)
    for frame in frames:
        pair = left[frame], right[frame]
        yield _still(number, frame, pair, ours.format, _colour(ours))


def _colour(video: FrameSource) -> Colour:
    from pyvmaf.video.format import Colour

    return Colour() if video.side is None else (video.side.converted or video.side.colour)


def _still(version: int, frame: int, pair: tuple[Planes, Planes], form: Format, colour: Colour) -> Still:
    shift = form.bit_depth - 8
    lumas = [planes[0].astype(np.int32) for planes in pair]
    change = np.abs(lumas[0] - lumas[1])
    difference = np.minimum(255, (change * GAIN) >> shift).astype(np.uint8)
    wholes = [rgb(planes, form, colour) for planes in pair]
    gray = np.repeat(difference[:, :, None], 3, axis=2)
    labels = ("reference", "distorted", f"difference of luma, {GAIN} times")
    images = tuple(encoded(label, picture) for label, picture in zip(labels, (*wholes, gray), strict=True))
    if form.width <= WIDTH:
        return Still(version, frame, images)
    x, y, width, height = _busiest(change)
    parts = tuple(
        encoded(label, np.ascontiguousarray(picture[y : y + height, x : x + width]))
        for label, picture in zip(labels, (*wholes, gray), strict=True)
    )
    return Still(version, frame, images, parts, (x, y))


def _busiest(change: NDArray[np.int32]) -> tuple[int, int, int, int]:
    """Left, top, width and height of the part that differs most."""
    rows, columns = (length // _BLOCK for length in change.shape)
    width, height = min(DETAIL[0], change.shape[1]), min(DETAIL[1], change.shape[0])
    blocks = change[: rows * _BLOCK, : columns * _BLOCK].reshape(rows, _BLOCK, columns, _BLOCK).sum((1, 3))
    table = np.zeros((rows + 1, columns + 1), np.int64)
    table[1:, 1:] = blocks.cumsum(0).cumsum(1)
    down, across = max(1, height // _BLOCK), max(1, width // _BLOCK)
    sums = table[down:, across:] - table[:-down, across:] - table[down:, :-across] + table[:-down, :-across]
    row, column = np.unravel_index(int(sums.argmax()), sums.shape)
    return int(column) * _BLOCK, int(row) * _BLOCK, width, height
