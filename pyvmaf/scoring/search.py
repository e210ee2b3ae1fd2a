"""The search for a CRF by measuring: where an expected curve crosses the target, corrected by each measurement.

Quality numbers are whole, so that two neighbours can lie on either side of the target without one being close enough to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pyvmaf.codecs.encoders import Encoder

TOLERANCE = 0.5
"""How far from the target a measured quality may be."""

MOST_ENCODES = 8


_BEYOND = 6.0
"""VMAF above 100 that losses are counted from, so that their logarithm is as uncertain for a small loss as for a large one."""

_REACH = 0.8
"""Distance in the logarithm of the loss over which deviations from an expected curve are alike."""

_NOISE = 0.06
"""What deviates for one CRF alone, as a share of all deviation."""

_APART = 0.6
"""What deviates for one encoder alone, as a share of all deviation."""

Deviation = tuple[float, float]
"""Logarithm of the expected loss, and how far that of the measured one is from it."""

NEUTRAL: dict[str, tuple[float, float]] = {
    "libx264": (26.3, 31.5),
    "libx265": (26.8, 32.3),
    "libsvtav1": (48.0, 57.1),
    "libvpx-vp9": (43.3, 53.1),
}
"""CRFs at which the mean of clips has a VMAF of 90 and of 80, by encoder."""


def lossy(entry: Encoder) -> range:
    """Return the CRFs of an encoder; 0 is lossless for some."""
    return range(max(entry.crf_min, 1), entry.crf_max + 1)


@dataclass(frozen=True)
class Expected:
    """A curve of quality over the CRF, to be corrected by measurements.

    The deviation of a clip from its expected curve is taken to be a Gaussian process: in the logarithm of the loss it is
    alike where the expected loss is, whatever the encoder's scale of CRFs.

    Attributes:
        crfs: the CRFs there are, ascending, one apart.
        curve: their expected quality [n], which does not rise.
        others: deviations of the clip from the curves of other encoders.
    """

    crfs: range
    curve: NDArray[np.float64]
    others: tuple[Deviation, ...] = ()

    @classmethod
    def neutral(cls, entry: Encoder) -> Expected:
        """Return the curve that is expected of an encoder if nothing is known of the clip."""
        crfs = lossy(entry)
        at_90, at_80 = NEUTRAL.get(entry.name, (entry.crf_default + 4.0, entry.crf_default + 10.0))
        loss = 10 * 2 ** ((np.array(crfs) - at_90) / (at_80 - at_90))
        return cls(crfs, np.maximum(100 - loss, 0))

    def given(self, measured: Mapping[int, float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Correct the curve by measurements.

        Args:
            measured: quality by CRF.

        Returns:
            The curve [n], 0 to 100, and how uncertain it still is [n]: 0 where it was measured, 1 as before.
        """
        known = [*self.deviations(measured), *self.others]
        if not known:
            return self.curve, np.ones(len(self.crfs))
        expected = _loss(self.curve)
        at, away = np.array(known).T
        noise = np.repeat([_NOISE, _APART], [len(measured), len(self.others)])
        alike = _alike(expected, at)
        weights = np.linalg.solve(_alike(at, at) + np.diag(noise**2), alike.T)
        curve, left = _quality(expected + weights.T @ away), 1 - np.einsum("ij,ji->i", alike, weights)
        for crf, quality in measured.items():
            curve[crf - self.crfs[0]], left[crf - self.crfs[0]] = quality, 0
        return curve, np.sqrt(np.maximum(left, 0))

    def deviations(self, measured: Mapping[int, float]) -> list[Deviation]:
        """Return how far measurements, by CRF, are from the curve."""
        at = [crf - self.crfs[0] for crf in measured]
        expected = _loss(self.curve[at])
        return list(zip(expected.tolist(), (_loss(np.array([*measured.values()])) - expected).tolist(), strict=True))


def bent(crfs: range, curve: NDArray[np.float64], corners: Iterable[int]) -> NDArray[np.float64]:
    """Bend a curve [n] between corners, and between the outer ones and its ends, so that the logarithm of its loss is straight."""
    inside = [crf for crf in corners if crf in crfs]
    at = np.unique([crfs[0], *inside, crfs[-1]])
    return _quality(np.interp(crfs, at, _loss(curve[at - crfs[0]])))


def _alike(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how alike deviations are where so much is expected to be lost, [n, m] of [n] and [m]."""
    alike: NDArray[np.float64] = np.exp(-0.5 * (np.subtract.outer(one, other) / _REACH) ** 2)
    return alike


def _loss(quality: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log(100 + _BEYOND - quality)


def _quality(loss: NDArray[np.float64]) -> NDArray[np.float64]:
    quality: NDArray[np.float64] = np.clip(100 + _BEYOND - np.exp(loss), 0, 100)
    return quality


@dataclass(frozen=True)
class Found:
    """Result of `search`.

    Attributes:
        crf: the CRF whose quality is nearest to the target among those measured.
        measured: quality by CRF.
        why: why it is further from the target than `TOLERANCE`; None if it is not.
    """

    crf: int
    measured: dict[int, float]
    why: str | None


def search(expected: Expected, target: float, measure: Callable[[int], float], most: int = MOST_ENCODES) -> Found:
    """Find a CRF whose measured quality is within `TOLERANCE` of a target, with few measurements.

    It ends at such a CRF, between two neighbours on either side of the target, at an end of the range, or after `most`
    measurements; no CRF is measured twice.

    Args:
        expected: what to expect.
        target: the quality.
        measure: gives the quality of an encode.
        most: measurements at most.
    """
    crfs = expected.crfs
    measured: dict[int, float] = {}
    first, last = crfs[0], crfs[-1]
    while True:
        curve, _ = expected.given(measured)
        among = range(first, last + 1)
        crf = min(among, key=lambda one: (abs(curve[one - crfs[0]] - target), one))
        value = measured[crf] = measure(crf)
        nearest = min(measured, key=lambda one: (abs(measured[one] - target), one))
        if abs(value - target) <= TOLERANCE:
            return Found(crf, measured, None)
        better = max((one for one, got in measured.items() if got >= target), default=None)
        worse = min(
            (one for one, got in measured.items() if got < target and (better is None or one > better)), default=None
        )
        first = crfs[0] if better is None else better + 1
        last = crfs[-1] if worse is None else worse - 1
        if worse is None and better == crfs[-1]:
            return Found(nearest, measured, f"the largest CRF, {better}, still has {measured[better]:.2f}")
        if better is None and worse == crfs[0]:
            return Found(nearest, measured, f"the smallest CRF, {worse}, has no more than {measured[worse]:.2f}")
        if better is not None and worse is not None and first > last:
            return Found(
                nearest,
                measured,
                f"CRF {better} has {measured[better]:.2f} and CRF {worse} has {measured[worse]:.2f}: there is none between",
            )
        if len(measured) >= most:
            return Found(nearest, measured, f"{most} encodes did not reach it")
