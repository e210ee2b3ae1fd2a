"""The hard negatives by name: the contract between the stage that measures them and the judge that reads them."""

from __future__ import annotations

from collections.abc import Mapping

CASES: Mapping[str, str] = {
    "identical": "the clip against itself",
    "flat": "a picture of one grey against itself",
    "flat_reference": "the clip against a picture of one grey as its reference; libvmaf's features hardly see it",
    "frozen": "the clip's first frame, held, against the clip",
    "frozen_later": "the clip's middle frame, held, against the clip",
    "black": "a black picture against the clip",
    "noise": "random noise against the clip",
    "swapped": "another clip against the clip",
    "mirrored": "the clip mirrored left to right against the clip",
    "late": "the clip four frames late against the clip",
    "coarse": "the clip in blocks of 8 samples against the clip",
    "noisy": "the clip with strong noise against the clip",
    "faded": "the clip with half its contrast against the clip",
    "vivid": "the clip with half as much contrast again against the clip",
}
"""Every case, with the two sides that it compares."""

AT_LEAST: Mapping[str, str] = {"identical": "identical_min", "flat": "flat_min"}
"""Cases whose meaning sets a least score: the limit of `gates.hard_negatives` that holds it."""

AT_MOST: Mapping[str, str] = {
    **dict.fromkeys(("black", "noise"), "black_max"),
    **dict.fromkeys(("swapped", "mirrored"), "swapped_max"),
}
"""Cases whose meaning sets a largest score. All others are held against the teacher alone."""

LABELS: tuple[str, ...] = ("corpus", "group", "source", "clip", "size", "other", "case")
"""Text columns of a table of hard negatives; then come ``frame_index``, the features, and the teacher's score.

``size`` is that of the pictures, ``other`` the source of the other clip of a swapped pair, else empty.
"""

DEFAULT_FRAMES = 8
"""Frames of each clip and size that are measured by default, evenly spaced over the clip."""
