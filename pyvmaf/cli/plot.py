"""Curves of scores, drawn with characters."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pyvmaf.base.terminal import say

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pyvmaf.scoring.scores import Scores

_ROWS = 10
_MOST, _FEWEST = 100, 20
# Dots of a character of Braille: four rows of two, and the bit of each.
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_DOWN, _ACROSS = 4, 2


def print_plot(scores: Scores, columns: Sequence[str]) -> None:
    """Draw columns over the frames, one below the other, as wide as the terminal.

    Args:
        scores: the scores.
        columns: their names.
    """
    from pyvmaf.base.terminal import console

    braille = _braille()
    for name in columns:
        values = scores[name]
        if np.isfinite(values).any():
            say("", *drawn(name, scores.frame_index, values, console().width, braille=braille))


def print_curve(name: str, crfs: Sequence[int], curve: Sequence[float], measured: Mapping[int, float]) -> None:
    """Draw a curve of quality over the CRF, with measured points.

    Args:
        name: what it is of, for the heading.
        crfs: the CRFs, ascending.
        curve: quality at each.
        measured: quality by CRF, drawn as circles.
    """
    from pyvmaf.base.terminal import console

    values = np.asarray(curve, dtype=np.float64)
    say("", *drawn(name, np.asarray(crfs), values, console().width, braille=_braille(), by="CRF", marks=measured))


def _braille() -> bool:
    """Return whether the terminal shows characters of Braille."""
    return (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")


def drawn(
    name: str,
    frames: NDArray[np.int64],
    values: NDArray[np.float64],
    width: int,
    *,
    braille: bool = True,
    by: str = "frame",
    marks: Mapping[int, float] | None = None,
) -> list[str]:
    """Draw values over frames: each column of dots is from the least to the largest value of the frames there.

    Args:
        name: what they are, for the heading.
        frames: their numbers.
        values: the values; those that are not finite are left out.
        width: of the terminal, in characters.
        braille: whether it shows characters of Braille, of two by four dots; stars are drawn otherwise.
        by: what they are drawn over, for the heading.
        marks: further values by number, drawn as circles.
    """
    marks = marks or {}
    down, across = (_DOWN, _ACROSS) if braille else (1, 1)
    finite = np.array([*values[np.isfinite(values)], *marks.values()])
    low, high = float(finite.min()), float(finite.max())
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    labels = [f"{level:.4g}" for level in np.linspace(high, low, _ROWS)]
    margin = max(map(len, labels))
    columns = max(_FEWEST, min(_MOST, width - margin - 2))
    grid = np.zeros((_ROWS * down, columns * across), bool)
    for column, span in enumerate(_spans(values, grid.shape[1])):
        if span is not None:
            bottom, top = (round((high - level) / (high - low) * (grid.shape[0] - 1)) for level in span)
            grid[top : bottom + 1, column] = True
    rows = [list(_line(grid[row * down : (row + 1) * down], braille)) for row in range(_ROWS)]
    for number, value in marks.items():
        column = int((np.searchsorted(frames, number) + 0.5) * columns / frames.size)
        rows[round((high - value) / (high - low) * (grid.shape[0] - 1)) // down][column] = "o"
    lines = [f"{label:>{margin}} {''.join(row)}" for label, row in zip(labels, rows, strict=True)]
    last = str(frames[-1])
    axis = f"{frames[0]}{last:>{columns - len(str(frames[0]))}}"
    return [f"{name}, by {by}", *(line.rstrip() for line in lines), f"{'':>{margin}} {axis}"]


def _spans(values: NDArray[np.float64], count: int) -> Iterator[tuple[float, float] | None]:
    """Least and largest value of the frames of each column; None if none of them is finite."""
    edges = np.arange(count + 1) * values.size / count
    for first, last in zip(np.floor(edges[:-1]).astype(int), np.ceil(edges[1:]).astype(int), strict=True):
        here = values[first : max(last, first + 1)]
        here = here[np.isfinite(here)]
        yield (float(here.min()), float(here.max())) if here.size else None


def _line(dots: NDArray[np.bool_], braille: bool) -> str:
    if not braille:
        return "".join("*" if dot else " " for dot in dots[0])
    cells = dots.reshape(_DOWN, -1, _ACROSS)
    codes = sum(cells[row, :, side] * bit for row, bits in enumerate(_DOTS) for side, bit in enumerate(bits))
    return "".join(chr(0x2800 + int(code)) if code else " " for code in np.asarray(codes))
