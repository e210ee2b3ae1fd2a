"""Opinion scores: the columns that tables have for them, and the check that a score lies on its scale."""

from __future__ import annotations

import math

from pyvmaf.errors import InputError

MOS = "mos"
"""Column of the mean opinion score, on the scale that the table's metadata state."""

SLACK_SHARE = 0.0125
"""How far outside of its scale a score may lie, as a share of the scale's width: scores are rounded."""


def check_on_scale(score: float, scale: tuple[float, float], slack: float | None = None) -> None:
    """Check that a score lies on its scale.

    Args:
        score: the score.
        scale: lowest and highest score.
        slack: how far outside of it a score may lie; None for `SLACK_SHARE` of its width.

    Raises:
        InputError: it does not, or is not a finite number; the message names both.
    """
    low, high = scale
    allowed = SLACK_SHARE * (high - low) if slack is None else slack
    if not low - allowed <= score <= high + allowed:
        raise InputError(f"MOS {score:g} lies outside of its scale, {low:g} to {high:g}")


def parse_scale(text: str) -> tuple[float, float]:
    """Return the scale that an option such as ``1,5`` names.

    Raises:
        InputError: it is not two numbers, the lower first.
    """
    try:
        low, high = (float(word) for word in text.split(","))
    except ValueError:
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(f"{text!r} is not a scale: write the lowest and the highest score, for example 1,5")
    return low, high
