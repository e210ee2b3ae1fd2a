"""Opinion scores: the columns that tables have for them, and the check that a score lies on its scale."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pyvmaf.errors import InputError, IntegrityError

MOS = "mos"
"""Column of the mean opinion score, on the scale that the table's metadata state."""

NATIVE = "mos_native"
"""Column of the score as it was before it was mapped to another scale."""

COLUMNS: tuple[str, ...] = (MOS, "mos_ci", "mos_std", "n_ratings", NATIVE)
"""Columns of tables of frames and of clips after the features, if viewers rated videos: mean opinion score, half the width
of its 95 % interval, standard deviation over the viewers, their number, and the score on its native scale. Missing values
are NaN, and null for the number."""

SPREADS: tuple[str, ...] = ("mos_ci", "mos_std")
"""The columns that are scaled with the score, but not moved."""

COUNTS: tuple[str, ...] = ("n_ratings",)
"""The columns of whole numbers."""

SCALE_KEY = "mos_scale"
"""Key of a table's metadata with the ends of the scale of `MOS`, [lowest, highest]."""

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


def read_scale(block: Mapping[str, Any], where: str) -> tuple[float, float] | None:
    """Return the scale that the metadata of a table state; None if they state none.

    Args:
        block: the metadata.
        where: the table's name, for the message.

    Raises:
        IntegrityError: it is not a scale.
    """
    value = block.get(SCALE_KEY)
    if value is None:
        return None
    numbers = isinstance(value, list) and all(isinstance(v, int | float) and math.isfinite(v) for v in value)
    if not numbers or len(value) != 2 or not value[0] < value[1]:
        raise IntegrityError(f"the metadata of {where} have {SCALE_KEY} {value!r}, which is not [lowest, highest]")
    return float(value[0]), float(value[1])


def shown_scale(scale: tuple[float, float]) -> str:
    """Return a scale as messages have it."""
    return f"{scale[0]:g} to {scale[1]:g}"
