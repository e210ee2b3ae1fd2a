"""The hard negatives by name: the contract between the stage that measures them and the judge that reads them."""

from __future__ import annotations

from collections.abc import Mapping

CASES: Mapping[str, str] = {
    "identical": "the clip against itself",
    "flat": "a picture of one grey against itself",
    "flat_reference": "the clip against a picture of one grey as its reference; libvmaf's features hardly see it",
    "frozen": "the clip's first frame, held, against the clip",
    "black": "a black picture against the clip",
    "swapped": "another clip against the clip",
}
"""Every case, with the two sides that it compares."""

LABELS: tuple[str, ...] = ("corpus", "group", "source", "clip", "case")
"""Text columns of a table of hard negatives; then come ``frame_index``, the features, and the teacher's score."""

DEFAULT_FRAMES = 24
"""Frames of each clip that are measured by default, from the first one on."""
