"""Pooling: one figure per clip out of one figure per frame.

Tables of clips hold the figures `STATS`, and `vmaf-train score` prints the figures `POOLS`. Figures of both are the same
numbers: ``hmean`` is ``harmonic_mean``, and ``p50`` is ``median``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyvmaf.errors import InputError
from pyvmaf.features.catalog import STATS

__all__ = ["COUNT", "POOLS", "STATS", "pool"]

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
_PERCENTILES = {"p1": 1, "p5": 5, "p10": 10, "p50": 50, "median": 50}


def pool(values: ArrayLike, names: Sequence[str] = STATS) -> dict[str, float]:
    """Pool the finite values of one column of frames; every figure but the count is NaN if no value is finite.

    libvmaf writes null for a frame whose value is infinite (PSNR-HVS of identical pictures), and pools the others; so
    does this, and `COUNT` tells how many they are.

    mean and std (population form), min and max are as their names say. The harmonic mean is libvmaf's,
    1 / mean(1 / (x + 1)) - 1, which holds for values above -1 and is NaN for others. Percentiles (p5, and the median)
    interpolate linearly between the closest ranks.

    Args:
        values: one value per frame.
        names: the figures to compute, of `STATS`, `POOLS` and `COUNT`.

    Raises:
        InputError: the values are not a single column.
    """
    column = np.asarray(values, dtype=np.float64)
    if column.ndim != 1:
        raise InputError(f"pooling takes one column of frames, not an array of shape {column.shape}")
    finite = column[np.isfinite(column)]
    if not finite.size:
        return {name: 0 if name == COUNT else float("nan") for name in names}
    ranks = [name for name in names if name in _PERCENTILES]
    percentiles = np.percentile(finite, [_PERCENTILES[name] for name in ranks])
    ranked = dict(zip(ranks, percentiles.tolist(), strict=True))
    return {name: ranked[name] if name in ranked else _FIGURES[name](finite) for name in names}
