"""Pooling: one figure per clip out of one figure per frame, as tables of clips hold it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pyvmaf.errors import InputError
from pyvmaf.features.catalog import STATS

__all__ = ["STATS", "pool"]


def pool(values: ArrayLike) -> dict[str, float]:
    """Every figure of `STATS` over the finite values of one column of frames; NaN where there are none.

    mean and std (population form), min and max are as their names say. hmean is libvmaf's harmonic mean,
    1 / mean(1 / (x + 1)) - 1, which holds for values above -1 and is NaN for others. p5 and p50 are percentiles that
    interpolate linearly between the closest ranks.

    Raises:
        InputError: the values are no single column.
    """
    column = np.asarray(values, dtype=np.float64)
    if column.ndim != 1:
        raise InputError(f"pooling takes one column of frames, not an array of shape {column.shape}")
    finite = column[np.isfinite(column)]
    if not finite.size:
        return dict.fromkeys(STATS, float("nan"))
    low = float(finite.min())
    p5, p50 = np.percentile(finite, [5, 50])
    return {
        "mean": float(finite.mean()),
        "hmean": float(1 / np.mean(1 / (finite + 1)) - 1) if low > -1 else float("nan"),
        "std": float(finite.std()),
        "min": low,
        "max": float(finite.max()),
        "p5": float(p5),
        "p50": float(p50),
    }
