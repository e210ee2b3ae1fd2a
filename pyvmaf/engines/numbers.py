"""Which engines give numbers of their own, so that their rows and those of the processor are not one table by accident.

A module apart: tables depend on it, and on nothing else of the engines.
"""

from __future__ import annotations

from collections.abc import Mapping

OWN_NUMBERS = ("libvmaf-cuda",)
"""Engines whose numbers differ from libvmaf's on the processor."""


def own_numbers(block: Mapping[str, str]) -> str | None:
    """Return the engine that measured a table, if its numbers are its own; None if they are libvmaf's.

    Args:
        block: the block ``engine`` of a table's metadata, which holds the identity of each engine by name.
    """
    return next((name for name in OWN_NUMBERS if name in block), None)
