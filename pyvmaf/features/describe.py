"""The catalog as rows for people and programs."""

from __future__ import annotations

from typing import Any

from pyvmaf.engines.libvmaf.extractors import LIMITS
from pyvmaf.features.catalog import FEATURES, SETS, Feature


def _smallest(feature: Feature) -> str:
    if feature.unit is None:
        return feature.unavailable or ""
    limit = LIMITS[feature.unit.extractor]
    words = [f"{limit.width}x{limit.height}"]
    if limit.longer_side > 1:
        words = [f"longer side {limit.longer_side}"]
    if limit.even_420:
        words.append("even 4:2:0")
    if feature.chroma:
        words.append("chroma")
    if limit.max_bits < 16:
        words.append(f"up to {limit.max_bits} bit")
    return ", ".join(words)


def catalog_rows() -> list[dict[str, Any]]:
    """One row per feature, in catalog order: name, sets, extractor, options, key, range, cost, limits, meaning."""
    return [
        {
            "name": feature.name,
            "sets": [name for name, members in SETS.items() if feature.name in members],
            "extractor": feature.unit.extractor if feature.unit else None,
            "options": dict(feature.unit.options) if feature.unit else {},
            "key": feature.key,
            "range": f"{feature.low:g} to {'∞' if feature.high is None else f'{feature.high:g}'}",
            "cost_ms": feature.cost,
            "smallest": _smallest(feature),
            "about": feature.about,
            "unavailable": feature.unavailable,
        }
        for feature in FEATURES.values()
    ]
