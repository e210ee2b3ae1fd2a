"""Bjøntegaard's differences of two rate-quality curves: how much more bitrate one needs for the same quality, and how much
better it is at the same bitrate.

G. Bjøntegaard, "Calculation of average PSNR differences between RD-curves", VCEG-M33, 2001, with the monotone cubic interpolation
(PCHIP) that replaced the polynomial of third order in later practice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyvmaf.errors import InputError

FEWEST = 4
"""Fewest points of a curve."""

_FALLS = "quality does not rise with the bitrate in one of them"


class Point(NamedTuple):
    """A rung of a ladder.

    Attributes:
        kbps: bitrate of its video stream, kbit/s.
        score: its quality.
    """

    kbps: float
    score: float


class BdRate(NamedTuple):
    """A difference of rates.

    Attributes:
        percent: mean difference of the bitrate for equal quality; negative if less is needed.
        low, high: the qualities that both curves have, over which the mean is taken.
    """

    percent: float
    low: float
    high: float


class BdScore(NamedTuple):
    """A difference of qualities.

    Attributes:
        difference: mean difference of the quality at equal bitrate; negative if it is worse.
        low, high: the bitrates that both curves have, over whose logarithm the mean is taken, kbit/s.
    """

    difference: float
    low: float
    high: float


def bd_rate(anchor: Sequence[Point], other: Sequence[Point]) -> BdRate:
    """Return by how much the bitrate of a curve differs from that of another one, at the same quality.

    Raises:
        InputError: a curve has fewer than four points, its quality does not rise with the bitrate, or the curves have no
            quality in common.
    """
    from scipy.interpolate import PchipInterpolator

    curves = [_curve(points) for points in (anchor, other)]
    low = max(scores[0] for scores, _ in curves)
    high = min(scores[-1] for scores, _ in curves)
    if low >= high:
        raise InputError("they have no quality in common")
    means = [float(PchipInterpolator(scores, rates).integrate(low, high)) / (high - low) for scores, rates in curves]
    return BdRate((float(np.exp(means[1] - means[0])) - 1) * 100, float(low), float(high))


def bd_score(anchor: Sequence[Point], other: Sequence[Point]) -> BdScore:
    """Return by how much the quality of a curve differs from that of another one, at the same bitrate.

    Raises:
        InputError: a curve has fewer than four points or two of one bitrate, or the curves have no bitrate in common.
    """
    from scipy.interpolate import PchipInterpolator

    curves = [_by_rate(points) for points in (anchor, other)]
    low = max(rates[0] for _, rates in curves)
    high = min(rates[-1] for _, rates in curves)
    if low >= high:
        raise InputError("they have no bitrate in common")
    means = [float(PchipInterpolator(rates, scores).integrate(low, high)) / (high - low) for scores, rates in curves]
    return BdScore(means[1] - means[0], float(np.exp(low)), float(np.exp(high)))


def _curve(points: Sequence[Point]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores, which rise, and logarithms of the bitrates."""
    scores, rates = _by_rate(points)
    if not (np.diff(scores) > 0).all():
        raise InputError(_FALLS)
    return scores, rates


def _by_rate(points: Sequence[Point]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores, and logarithms of the bitrates, by rising bitrate."""
    if len(points) < FEWEST:
        raise InputError(f"a curve needs at least {FEWEST} rungs, one has {len(points)}")
    ordered = sorted(points)
    rates, scores = (np.asarray(values, dtype=np.float64) for values in zip(*ordered, strict=True))
    if not (np.isfinite(scores).all() and (rates > 0).all()):
        raise InputError("a rung has no score or no bitrate")
    if not (np.diff(rates) > 0).all():
        raise InputError(_FALLS)
    return scores, np.log(rates)
