"""Coverage: how often the intervals of an ensemble hold rows of sources that calibration did not see."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.errors import InputError
from pyvmaf.metrics import agreement
from pyvmaf.runtime.intervals import METHODS, Calibration


def measure(
    target: NDArray[np.float64],
    mean: NDArray[np.float64],
    sigma: NDArray[np.float64],
    units: NDArray[np.str_],
    nominal: float,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> dict[str, Any]:
    """How many held-out rows each method's intervals hold, calibrated without the unit that is looked at.

    Args:
        target, mean, sigma: float64 [n]; mean and sigma of members that were not trained on the row's unit.
        units: str [n], the group that each row was held out with.
        nominal: share of rows that intervals are to hold.
        bounds: range that the ends of intervals are kept in.

    Returns:
        ``coverage``: per method over all rows ``empirical_coverage`` and ``mean_width``, and over units
        ``mean_over_units``, ``worst_unit`` and ``worst_coverage``; None throughout if the calibration of some unit has
        too few rows. ``per_unit``: the same per unit, with its agreement with the target.

    Raises:
        InputError: there is one unit only, so that nothing is left to calibrate on.
    """
    names = np.unique(units)
    if names.size < 2:
        raise InputError(
            f"all {target.size} held-out rows are of one unit ({names[0] if names.size else 'none'}): coverage on rows "
            "that calibration did not see needs at least 2"
        )
    held: dict[str, NDArray[np.float64]] = {method: np.full(target.size, np.nan) for method in METHODS}
    width: dict[str, NDArray[np.float64]] = {method: np.full(target.size, np.nan) for method in METHODS}
    per_unit = []
    for name in names.tolist():
        here = units == name
        calibration = Calibration.fit(target[~here], mean[~here], sigma[~here], nominal)
        shares: dict[str, float | None] = {}
        widths: dict[str, float | None] = {}
        for method in METHODS:
            try:
                half = calibration.half_width(sigma[here], method)
            except InputError:
                shares[method] = widths[method] = None
                continue
            held[method][here] = np.abs(target[here] - mean[here]) <= half
            width[method][here] = np.clip(mean[here] + half, *bounds) - np.clip(mean[here] - half, *bounds)
            shares[method], widths[method] = float(held[method][here].mean()), float(width[method][here].mean())
        figures = agreement(mean[here], target[here])
        per_unit.append(
            {
                "held_out": name,
                "n": int(np.count_nonzero(here)),
                "rmse": figures["rmse"],
                "mean_sigma": float(sigma[here].mean()),
                "calibration": calibration.described(),
                "coverage": shares,
                "mean_width": widths,
            }
        )
    coverage: dict[str, Any] = {}
    for method in METHODS:
        if not np.isfinite(held[method]).all():
            coverage[method] = dict.fromkeys(
                ("empirical_coverage", "mean_width", "mean_over_units", "worst_unit", "worst_coverage")
            )
            continue
        each: list[float] = [unit["coverage"][method] for unit in per_unit]
        worst = int(np.argmin(each))
        coverage[method] = {
            "empirical_coverage": float(held[method].mean()),
            "mean_width": float(width[method].mean()),
            "mean_over_units": float(np.mean(each)),
            "worst_unit": per_unit[worst]["held_out"],
            "worst_coverage": each[worst],
        }
    return {"coverage": coverage, "per_unit": per_unit}
