"""Intervals around the mean of an ensemble.

The members' predictions of a row have a mean and a standard deviation sigma (ddof 1). Three ways to a half-width:

- ``gaussian``: z sigma. It has its nominal coverage only if the errors of the members are independent, and they are not:
  members are trained on the same rows.
- ``conformal``: q max(sigma, 1e-6). Of rows that no member was trained on, q is a quantile of
  |target - mean| / max(sigma, 1e-6) (split conformal prediction, Papadopoulos et al. 2002).
- ``normalised``: q (sigma + beta), the same with |target - mean| / (sigma + beta) (Papadopoulos, Gammerman and Vovk,
  "Normalized nonconformity measures for regression conformal prediction", 2008); beta is the mean sigma of the rows
  that it is calibrated on. If members happen to agree closely, q max(sigma, 1e-6) is far too narrow, which widens
  all other intervals; beta evens that out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.errors import InputError, unknown_name

MIN_SIGMA = 1e-6
"""Smallest spread that a residual is divided by."""

METHODS = ("gaussian", "conformal", "normalised")


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
    """How many standard deviations around its mean hold `nominal` of a normal distribution (1.96 for .95)."""
    return NormalDist().inv_cdf((1 + nominal) / 2)


def conformal_quantile(scores: NDArray[np.float64], nominal: float) -> float | None:
    """The score at 0-based rank ceil((n + 1) nominal) - 1 in ascending order.

    A new score that is exchangeable with these is no larger with a probability of at least `nominal`. None if
    there are too few for that: fewer than nominal / (1 - nominal), 19 for .95.
    """
    # 20 * .95 must not come out a little above 19.
    rank = math.ceil(round((scores.size + 1) * nominal, 9)) - 1
    return float(np.partition(scores, rank)[rank]) if rank < scores.size else None


@dataclass(frozen=True)
class Calibration:
    """The constants that turn a sigma into the half-width of an interval.

    Attributes:
        nominal: share of rows that intervals are to hold.
        rows: how many rows it was calibrated on.
        z: standard deviations of the Gaussian interval.
        q: factor of the conformal interval; None if there were too few rows.
        beta: addend to sigma in the normalised interval.
        q_normalised: factor of the normalised interval; None if there were too few rows.
    """

    nominal: float
    rows: int
    z: float
    q: float | None
    beta: float
    q_normalised: float | None

    @staticmethod
    def fit(
        target: NDArray[np.float64], mean: NDArray[np.float64], sigma: NDArray[np.float64], nominal: float
    ) -> Calibration:
        """Calibrate on rows [n] that no member was trained on, n >= 1."""
        residual = np.abs(target - mean)
        beta = max(float(sigma.mean()), MIN_SIGMA)
        return Calibration(
            nominal=nominal,
            rows=int(target.size),
            z=gaussian_z(nominal),
            q=conformal_quantile(residual / np.maximum(sigma, MIN_SIGMA), nominal),
            beta=beta,
            q_normalised=conformal_quantile(residual / (sigma + beta), nominal),
        )

    def half_width(self, sigma: NDArray[np.float64], method: str) -> NDArray[np.float64]:
        """Half of the interval's width for each sigma, float64 [n].

        Raises:
            InputError: no such method, or it was calibrated on too few rows.
        """
        if method not in METHODS:
            raise unknown_name("interval method", method, METHODS)
        if method == "gaussian":
            return np.asarray(self.z * sigma, dtype=np.float64)
        factor = self.q if method == "conformal" else self.q_normalised
        if factor is None:
            needed = math.ceil(round(self.nominal / (1 - self.nominal), 9))
            raise InputError(
                f"{self.rows} held-out rows are too few to calibrate intervals that hold {self.nominal:g} of all rows: "
                f"at least {needed} are needed"
            )
        scale = np.maximum(sigma, MIN_SIGMA) if method == "conformal" else sigma + self.beta
        return np.asarray(factor * scale, dtype=np.float64)

    def described(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {
            "rows": self.rows,
            "gaussian_z": self.z,
            "conformal_q_residual": self.q,
            "normalised_beta": self.beta,
            "normalised_q": self.q_normalised,
        }

    @staticmethod
    def of(described: Mapping[str, Any], nominal: float) -> Calibration:
        """Back from `described`."""
        return Calibration(
            nominal=nominal,
            rows=int(described["rows"]),
            z=float(described["gaussian_z"]),
            q=described["conformal_q_residual"],
            beta=float(described["normalised_beta"]),
            q_normalised=described["normalised_q"],
        )
