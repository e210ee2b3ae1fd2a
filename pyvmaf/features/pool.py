"""Pooling: one figure per clip out of one figure per frame.

Tables of clips hold the figures `STATS`, and `vmaf-train score` prints the figures `POOLS`. Figures of both are the same
numbers: ``hmean`` is ``harmonic_mean``, and ``p50`` is ``median``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyvmaf.errors import InputError, shown
from pyvmaf.features.catalog import STATS

__all__ = ["COUNT", "POOLS", "STATS", "check_pools", "pool"]

COUNT = "count"
"""Figure beside the others: the number of frames with a finite value, which the others are figures of."""

POOLS: tuple[str, ...] = ("mean", "harmonic_mean", "min", "p1", "p5", "p10", "median")
"""Figures of a pair of videos, in the order in which they are shown."""


def _harmonic_mean(values: NDArray[np.float64]) -> float:
    return float(1 / np.mean(1 / (values + 1)) - 1) if values.min() > -1 else float("nan")


_FIGURES: dict[str, Callable[[NDArray[np.float64]], float]] = {
    "mean": lambda values: float(values.mean()),
    "hmean": _harmonic_mean,
    "harmonic_mean": _harmonic_mean,
    "std": lambda values: float(values.std()),
    "min": lambda values: float(values.min()),
    "max": lambda values: float(values.max()),
    COUNT: len,
}


def check_pools(names: Iterable[str]) -> tuple[str, ...]:
    """Return names of figures that `pool` computes.

    Raises:
        InputError: there is no such figure.
    """
    checked = tuple(names)
    for name in checked:
        if name not in _FIGURES and _rank(name) is None:
            raise InputError(
                f"unknown figure {shown(name)}: valid: {', '.join(_FIGURES)}, median, and percentiles from p0 to p100 (p5, p99.9)"
            )
    return checked


@cache
def _rank(name: str) -> float | None:
    """Return the rank of a percentile by its name; None for another figure."""
    if name == "median":
        return 50.0
    rank = float(name[1:]) if re.fullmatch(r"p[0-9]{1,3}(\.[0-9]{1,6})?", name) else None
    return rank if rank is not None and rank <= 100 else None


def _percentiles(values: NDArray[np.float64], ranks: Sequence[float]) -> list[float]:
    """Return what np.percentile returns, which imports masked arrays: a tenth of the score of one frame."""
    if not ranks:
        return []
    ordered = np.sort(values)
    place = np.asarray(ranks) / 100 * (ordered.size - 1)
    before = np.floor(place).astype(np.intp)
    part = place - before
    low, high = ordered[before], ordered[np.minimum(before + 1, ordered.size - 1)]
    step = high - low
    figures: list[float] = np.where(part < 0.5, low + step * part, high - step * (1 - part)).tolist()
    return figures


def pool(values: ArrayLike, names: Sequence[str] = STATS) -> dict[str, float]:
    """Pool the finite values of one column of frames; every figure but the count is NaN if no value is finite.

    libvmaf writes null for a frame whose value is infinite (PSNR-HVS of identical pictures), and pools the others; so
    does this, and `COUNT` tells how many they are.

    mean and std (population form), min and max are as their names say. The harmonic mean is libvmaf's,
    1 / mean(1 / (x + 1)) - 1, which holds for values above -1 and is NaN for others. Percentiles (p5, and the median)
    interpolate linearly between the closest ranks.

    Args:
        values: one value per frame.
        names: the figures to compute, of `STATS`, `POOLS` and `COUNT`, and any percentile ("p25", "p99.9").

    Raises:
        InputError: the values are not a single column, or there is no such figure.
    """
    names = check_pools(names)
    column = np.asarray(values, dtype=np.float64)
    if column.ndim != 1:
        raise InputError(f"pooling takes one column of frames, not an array of shape {column.shape}")
    finite = column[np.isfinite(column)]
    if not finite.size:
        return {name: 0 if name == COUNT else float("nan") for name in names}
    ranks = {name: rank for name in names if (rank := _rank(name)) is not None}
    ranked = dict(zip(ranks, _percentiles(finite, list(ranks.values())), strict=True))
    return {name: ranked[name] if name in ranked else _FIGURES[name](finite) for name in names}
