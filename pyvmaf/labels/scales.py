"""Maps between scales of opinion scores, by name: every conversion of the project is one of these rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pyvmaf.base.opinion import shown_scale
from pyvmaf.errors import InputError, unknown_name


@dataclass(frozen=True)
class ScaleMap:
    """A linear map of scores.

    Attributes:
        name: how specs and rows call it.
        low, high: ends of the scale that it maps from.
        slope, offset: value * slope + offset.
        to: ends of the scale that it maps to; values are kept inside.
        about: where it comes from.
    """

    name: str
    low: float
    high: float
    slope: float
    offset: float
    to: tuple[float, float]
    about: str

    def value(self, score: float) -> float:
        """Map a score; the result is kept inside `to`."""
        return min(max(score * self.slope + self.offset, self.to[0]), self.to[1])

    def deviation(self, deviation: float) -> float:
        """Map a standard deviation or the half width of an interval, which do not move with the offset."""
        return abs(self.slope) * deviation


SCALE_MAPS: Mapping[str, ScaleMap] = {
    entry.name: entry
    for entry in (
        ScaleMap("1-5-acr", 1, 5, 25.0, -25.0, (0, 100), "absolute category rating (ITU-T P.910), to 0 to 100"),
        ScaleMap("0-100", 0, 100, 1.0, 0.0, (0, 100), "as it is"),
        ScaleMap("0-100-dcr", 0, 100, 1.0, 0.0, (0, 100), "degradation category rating, higher is better, as it is"),
        ScaleMap("0-100-dmos", 0, 100, -1.0, 100.0, (0, 100), "difference scores, where higher is worse, turned round"),
        ScaleMap("0-100-to-1-5", 0, 100, 0.04, 1.0, (1, 5), "0 to 100 to the five categories"),
        ScaleMap("phase-f", 1, 5, 20.0, 0.0, (0, 100), "the calibration of phase F: VMAF is 20 times the MOS"),
        ScaleMap("predictor", 0, 100, 1 / 14, -30 / 14, (1, 5), "the predictor's fallback: MOS is (VMAF - 30) / 14"),
    )
}
"""Every map, by its name."""


def scale_map(name: str) -> ScaleMap:
    """Return a map by its name.

    Raises:
        InputError: there is none.
    """
    if name not in SCALE_MAPS:
        raise unknown_name("map between scales", name, SCALE_MAPS)
    return SCALE_MAPS[name]


def default_map(scale: tuple[float, float], to: tuple[float, float]) -> ScaleMap | None:
    """Return the map that is taken from one scale to another if none is named: the first of `SCALE_MAPS`.

    None if the scales are the same.

    Raises:
        InputError: there is no such map.
    """
    if scale == to:
        return None
    for entry in SCALE_MAPS.values():
        if (entry.low, entry.high) == scale and entry.to == to:
            return entry
    raise InputError(
        f"there is no map of opinion scores from {shown_scale(scale)} to {shown_scale(to)}: "
        f"{', '.join(f'{e.name} ({shown_scale((e.low, e.high))} to {shown_scale(e.to)})' for e in SCALE_MAPS.values())}"
    )


def fitting_map(name: str, scale: tuple[float, float], to: tuple[float, float], what: str) -> ScaleMap:
    """Return a map by its name, if it maps from one scale to another.

    Args:
        name: of the map.
        scale, to: the scales.
        what: whose scores they are, for the message.

    Raises:
        InputError: there is no such map, or it maps other scales.
    """
    entry = scale_map(name)
    if (entry.low, entry.high) != scale or entry.to != to:
        raise InputError(
            f"map {name} is from {shown_scale((entry.low, entry.high))} to {shown_scale(entry.to)}, but the scores of {what} "
            f"are on {shown_scale(scale)} and {shown_scale(to)} is wanted"
        )
    return entry
