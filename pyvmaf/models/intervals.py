"""Intervals around the mean of an ensemble, and how often they hold what they should.

Members disagree by sigma (standard deviation, ddof 1). The Gaussian interval is mean ± z sigma. The conformal one is
mean ± q sigma, where q is a quantile of |target - mean| / max(sigma, floor) over rows that no member was trained on
(Papadopoulos et al., "Inductive confidence machines for regression", 2002; Lei et al., "Distribution-free predictive
inference for regression", 2018). Whole sources are left out to calibrate and to measure, because rows of one source
resemble one another, and rows of the next source are what an interval is for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.errors import InputError
from pyvmaf.metrics import plcc, rmse

MIN_SIGMA = 1e-6
"""Smallest spread that a residual is divided by."""

METHODS = ("conformal", "gaussian")


def combine(members: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation (ddof 1) over the members.

    Args:
        members: predictions [members, n].

    Returns:
        Both float64 [n].

    Raises:
        InputError: there are fewer than two members.
    """
    if members.ndim != 2 or len(members) < 2:
        raise InputError(f"an ensemble needs predictions of at least 2 members, not an array of shape {members.shape}")
    return members.mean(axis=0), members.std(axis=0, ddof=1)


def gaussian_z(nominal: float) -> float:
    """How many standard deviations a normal distribution holds `nominal` of itself within, 1.96 for .95."""
    from statistics import NormalDist

    return NormalDist().inv_cdf((1 + nominal) / 2)


def nonconformity(
    target: NDArray[np.float64], mean: NDArray[np.float64], sigma: NDArray[np.float64], floor: float = MIN_SIGMA
) -> NDArray[np.float64]:
    """|target - mean| / max(sigma, floor), float64 [n]."""
    return np.asarray(np.abs(target - mean) / np.maximum(sigma, floor), dtype=np.float64)


def conformal_quantile(scores: NDArray[np.float64], nominal: float) -> float | None:
    """The score at 0-based rank ceil((n + 1) nominal) - 1 in ascending order.

    A new score from the same distribution is no larger with a probability of at least `nominal`. None where n is too
    small for that: fewer than nominal / (1 - nominal) scores hold no such rank (19 for .95).
    """
    # The product of .95 and 20 must not become 19.000000000000004 and then 20.
    rank = math.ceil(round((scores.size + 1) * nominal, 9)) - 1
    if rank >= scores.size:
        return None
    return float(np.partition(scores, rank)[rank])
