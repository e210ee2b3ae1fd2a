"""Limits of gates whose family has them; those of other families have none of the key."""

from __future__ import annotations

from typing import Any

from pyvmaf.models.gates.gate import Judged


def limits_of(judged: Judged, key: str) -> Any:
    """Give the limits ``gates.{key}`` of a model's spec; None for null, or a family without the key."""
    return getattr(judged.spec.gates, key, None)
