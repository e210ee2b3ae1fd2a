"""Agreement between predictions and targets: the one place where it is computed.

Definitions as in ITU-T P.1401: PLCC is Pearson's r, SROCC Spearman's rho and KROCC Kendall's tau-b
(both with average ranks for ties), RMSE the root of the mean squared difference.
"""

from __future__ import annotations

import warnings
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyvmaf.errors import InputError


class Agreement(TypedDict):
    """All four figures over `n` pairs; a figure that is not defined is NaN."""

    n: int
    plcc: float
    srocc: float
    krocc: float
    rmse: float


def _pair(x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a = np.asarray(x, dtype=np.float64)
    b = np.asarray(y, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape:
        raise InputError(f"predictions and targets must be two 1-D arrays of one length, not {a.shape} and {b.shape}")
    bad = int(np.count_nonzero(~np.isfinite(a) | ~np.isfinite(b)))
    if bad:
        raise InputError(f"{bad} of {a.size} pairs hold NaN or infinity: drop and count them before judging")
    return a, b


def _constant(a: NDArray[np.float64]) -> bool:
    return a.size < 2 or bool(np.all(a == a[0]))


def plcc(x: ArrayLike, y: ArrayLike) -> float:
    """Pearson's linear correlation in [-1, 1]; NaN where either side is constant."""
    from scipy import stats

    a, b = _pair(x, y)
    if _constant(a) or _constant(b):
        return float("nan")
    with warnings.catch_warnings():
        # Nearly constant input: the figure is as good as float64 allows.
        warnings.simplefilter("ignore", stats.NearConstantInputWarning)
        return float(stats.pearsonr(a, b).statistic)


def srocc(x: ArrayLike, y: ArrayLike) -> float:
    """Spearman's rank correlation in [-1, 1], average ranks for ties; NaN where either side is constant."""
    from scipy import stats

    a, b = _pair(x, y)
    if _constant(a) or _constant(b):
        return float("nan")
    return float(stats.spearmanr(a, b).statistic)


def krocc(x: ArrayLike, y: ArrayLike) -> float:
    """Kendall's tau-b in [-1, 1]; NaN where either side is constant."""
    from scipy import stats

    a, b = _pair(x, y)
    if _constant(a) or _constant(b):
        return float("nan")
    return float(stats.kendalltau(a, b).statistic)


def rmse(x: ArrayLike, y: ArrayLike) -> float:
    """Root mean squared difference, in the unit of the scores; NaN for no pairs."""
    a, b = _pair(x, y)
    if a.size == 0:
        return float("nan")
    return float(np.sqrt(np.mean((a - b) ** 2)))


def agreement(x: ArrayLike, y: ArrayLike) -> Agreement:
    """All four figures for predictions `x` and targets `y`, each a 1-D array of one length."""
    a, b = _pair(x, y)
    return Agreement(n=int(a.size), plcc=plcc(a, b), srocc=srocc(a, b), krocc=krocc(a, b), rmse=rmse(a, b))
