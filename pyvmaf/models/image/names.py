"""Names of the tensors in the graphs of models of pictures."""

from __future__ import annotations

FRAME, MOS = "frame", "mos"
"""Input and output of a score."""

DEGRADED, FILTERED = "degraded", "filtered"
"""Input and output of a filter."""

SHARED_BY_MEMBERS = "backbone."
"""Prefix of the weights that all members have in common; they are kept once."""
