"""The upper convex hull of quality over the logarithm of the bitrate."""

from __future__ import annotations

from collections.abc import Sequence
from math import log


def hull(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points (rate, quality) on the upper convex hull over the logarithm of the rate, by rate.

    Points after the one of the best quality are left out: they cost more for less.
    """
    kept: list[tuple[float, float]] = []
    for rate, quality in sorted(set(points), key=lambda one: (one[0], -one[1])):
        if kept and quality <= kept[-1][1]:
            continue
        while len(kept) > 1 and _cross(kept[-2], kept[-1], (rate, quality)) >= 0:
            kept.pop()
        kept.append((rate, quality))
    return kept


def _cross(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    """Positive if the way from a over b to c turns left: b lies below the line from a to c."""
    (ax, ay), (bx, by), (cx, cy) = ((log(rate), quality) for rate, quality in (a, b, c))
    return (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
