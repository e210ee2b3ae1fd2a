"""What encoders say in their logs about their own decisions: quantisers, and shares of blocks.

A value is returned only if the log states it. x264 and x265 print means for each type of picture, with the number of pictures, so
that means over all pictures follow from them; deviations between pictures do not. SVT-AV1, libvpx and VVenC print none of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import fsum

from pyvmaf.base.table import Table

_PICTURES = re.compile(r"frame ([IPB]):\s*(\d+),?\s+Avg QP:\s*(-?\d+(?:\.\d+)?)")
_BLOCKS = re.compile(r"mb ([IPB])\s+I16\.\.4:((?:\s*\d+\.\d%){3})(.*)")
_SKIPPED = re.compile(r"skip:\s*(\d+\.\d)%")


def _quantisers(log: str) -> dict[str, float]:
    """Mean quantiser over the pictures, by number of pictures of each type."""
    counts = {kind: (int(n), float(qp)) for kind, n, qp in _PICTURES.findall(log)}
    total = sum(n for n, _ in counts.values())
    return {"qp_mean": fsum(n * qp for n, qp in counts.values()) / total} if total else {}


def _blocks(log: str) -> dict[str, float]:
    """Shares of the blocks that are intra coded and skipped, over all pictures, which have one number of blocks each."""
    counts = {kind: int(n) for kind, n, _ in _PICTURES.findall(log)}
    shares = {kind: (sum(map(float, re.findall(r"[\d.]+", intra))), rest) for kind, intra, rest in _BLOCKS.findall(log)}
    if not counts or shares.keys() < counts.keys():
        return {}
    intra, skipped = 0.0, 0.0
    for kind, n in counts.items():
        share, rest = shares[kind]
        found = _SKIPPED.search(rest)
        intra += n * share
        skipped += n * float(found[1]) if found else 0.0
    total = 100 * sum(counts.values())
    # x264 rounds each share to .1 %.
    return {"intra_ratio": min(intra / total, 1.0), "skip_ratio": min(skipped / total, 1.0)}


LOGS: Table[tuple[Callable[[str], Mapping[str, float]], ...]] = {
    "libx264": (_quantisers, _blocks),
    "libx265": (_quantisers,),
}
"""Readers of the log of each encoder that says something."""


def internals(encoder: str, log: str) -> dict[str, float]:
    """Return what the log of an encoder states, by the names of the record's keys without ``enc_internal_``."""
    return {name: value for read in LOGS.get(encoder, ()) for name, value in read(log).items()}
