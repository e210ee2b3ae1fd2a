"""Fewer points for the charts of long videos: the least, mean and largest value of each stretch of frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

POINTS = 600
"""Most points of a curve."""

_DIGITS = 6


class Curve(NamedTuple):
    """Values over time; those of several frames where there are more than `POINTS`.

    Attributes:
        frame: number of the first frame of each stretch.
        at: the middle of each stretch, in frames.
        low, mean, high: least, mean and largest finite value; NaN where there is none.
    """

    frame: NDArray[np.int64]
    at: NDArray[np.float64]
    low: NDArray[np.float64]
    mean: NDArray[np.float64]
    high: NDArray[np.float64]

    @property
    def columns(self) -> dict[str, list[float | None]]:
        """The values by name, with as many digits as a chart shows."""
        return {name: digits(getattr(self, name)) for name in ("low", "mean", "high")}


def thinned(frames: NDArray[np.int64], values: NDArray[np.float64], points: int = POINTS) -> Curve:
    """Divide frames into at most so many stretches of equal length."""
    count = min(points, frames.size)
    edges = np.arange(count + 1) * frames.size // count
    finite = np.where(np.isfinite(values), values, np.nan)
    there = np.isfinite(finite)
    filled = np.add.reduceat(there, edges[:-1], dtype=np.int64)
    empty = filled == 0
    low = np.minimum.reduceat(np.where(there, finite, np.inf), edges[:-1])
    high = np.maximum.reduceat(np.where(there, finite, -np.inf), edges[:-1])
    mean = np.add.reduceat(np.where(there, finite, 0.0), edges[:-1]) / np.maximum(filled, 1)
    parts = (np.where(empty, np.nan, part) for part in (low, mean, high))
    return Curve(frames[edges[:-1]], (frames[edges[:-1]] + frames[edges[1:] - 1]) / 2, *parts)


def digits(values: NDArray[np.float64]) -> list[float | None]:
    """Round values to significant digits; None for those that are not finite."""
    return [float(f"{value:.{_DIGITS}g}") if np.isfinite(value) else None for value in values.tolist()]
