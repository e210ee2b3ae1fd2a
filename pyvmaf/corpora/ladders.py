"""Ladders of pairs that exist: the distorted versions of a reference by codec, and what orders them.

The planner imports this module, which needs the standard library only: entries are mappings as a corpus file has them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

GIVEN = "given"
"""Codec of a distorted version of which nobody says what made it."""

PAIR_LABELS = frozenset({"mos", "mos_std", "n_ratings", "probe"})
"""Keys of a pair that decide neither its pictures nor the columns of its rows."""


def taken(spec: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the entries of a corpus that are used: the first `max_clips`, all if that is not set."""
    entries: Sequence[Mapping[str, Any]] = spec.get("entries", ())
    return entries[: spec["max_clips"]] if spec.get("max_clips") else entries


def ladders(entry: Mapping[str, Any]) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Return the pairs of a reference by codec and rung, in the order of the corpus file."""
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for pair in entry["pairs"]:
        found.setdefault(pair.get("codec") or GIVEN, {})[pair["rung"]] = pair
    return found


def strengths(ladder: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Return the number that orders each rung of a ladder; a higher one is a stronger distortion.

    It is the CRF where each pair has one, else the bitrate with a minus sign where each has one; NaN for all rungs
    where neither is known of all, because two scales do not order one ladder.
    """
    for key, sign in (("crf", 1.0), ("bitrate_kbps", -1.0)):
        values = {rung: pair.get(key) for rung, pair in ladder.items()}
        numbers = {rung: sign * float(value) for rung, value in values.items() if value is not None}
        if len(numbers) == len(ladder):
            return numbers
    return dict.fromkeys(ladder, math.nan)


def conversions(spec: Mapping[str, Any], entry: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what is done to the frames of the pairs of a reference; None if nothing is."""
    return entry.get("convert") or spec.get("convert") or None


def made_from(spec: Mapping[str, Any], entry: Mapping[str, Any], codec: str) -> dict[str, Any]:
    """Return the keys that decide the features of a ladder, and the columns of their rows other than labels."""
    apart = ("source", "group", "pairs", "convert", *PAIR_LABELS)
    reference = {key: value for key, value in entry.items() if key not in apart}
    pairs = [
        {key: value for key, value in pair.items() if key not in PAIR_LABELS}
        for pair in ladders(entry).get(codec, {}).values()
    ]
    limits = {key: spec.get(key) for key in ("max_frames", "max_height")}
    return {"reference": reference, "pairs": pairs, **limits, "convert": conversions(spec, entry)}
