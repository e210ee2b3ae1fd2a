"""Simple figures of a picture, whose range over the training pictures tells when another picture is unlike them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

LEVELS = ("mean", "deviation", "detail", "height")
"""Mean and standard deviation of the samples, mean absolute difference of neighbours, all in levels of 0 to 255; height in
samples."""


def levels(picture: NDArray[np.uint8]) -> dict[str, float]:
    """Measure a gray picture [h, w]."""
    samples = picture.astype(np.float32)
    detail = (np.abs(np.diff(samples, axis=0)).mean() + np.abs(np.diff(samples, axis=1)).mean()) / 2
    values = (float(samples.mean()), float(samples.std()), float(detail), float(picture.shape[0]))
    return dict(zip(LEVELS, values, strict=True))


def ranges(pictures: Iterable[NDArray[np.uint8]]) -> dict[str, tuple[float, float]]:
    """Give the smallest and largest value of each figure over pictures."""
    measured = [levels(picture) for picture in pictures]
    return {name: (min(m[name] for m in measured), max(m[name] for m in measured)) for name in LEVELS}


def beyond(measured: Mapping[str, float], known: Mapping[str, tuple[float, float]], margin: float = 0.1) -> list[str]:
    """Name the figures that lie outside of their range by more than a share of its width."""
    out = []
    for name, (low, high) in known.items():
        slack = margin * max(high - low, 1e-6)
        if not low - slack <= measured[name] <= high + slack:
            out.append(name)
    return out
