"""Scores of every instruction set against plain C at each width from 33 to 600, at 8 and 10 bits: none may differ.

Two frames of a moving texture and its coarse, noisy copy; the height goes with the width. The bar is equality to the
last bit.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.clips import report
from pyvmaf.engines.libvmaf import build
from pyvmaf.engines.libvmaf.context import Context
from pyvmaf.engines.libvmaf.extractors import adm_last_column_counts

WIDTHS = range(33, 601)
MASKS = {"avx512icl": 0, "avx512": 32, "avx2": 48, "c": 2**64 - 1}
"""Instruction sets, with the CPU mask that hides the later ones."""

SCORES = ("VMAF_integer_feature_adm2_score", "vmaf_v0.6.1")


def _pair(width: int, height: int, bits: int, shift: int) -> tuple[list[NDArray[np.uint16]], list[NDArray[np.uint16]]]:
    """Make luma planes of a reference and a distorted frame."""
    rng = np.random.default_rng([width, bits, shift])
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    wave = np.sin((x + 3 * shift) / 7) * np.cos((y - shift) / 5) + 0.5 * np.sin(x * y / 900 + shift / 9)
    texture = 0.5 + 0.28 * wave + rng.normal(0, 0.08, wave.shape)
    peak = 2**bits - 1
    coarse = np.round(texture * 24) / 24 + rng.normal(0, 0.0125, wave.shape)
    kind = np.uint8 if bits == 8 else np.uint16
    reference, distorted = (np.clip(plane * peak, 0, peak).astype(kind) for plane in (texture, coarse))
    return [reference], [distorted]


def _scores(pairs: Sequence[tuple[list[NDArray[np.uint16]], list[NDArray[np.uint16]]]], bits: int) -> dict[str, bytes]:
    """Return the bits of each score."""
    height, width = pairs[0][0][0].shape
    with Context(width, height, "400", bits) as context:
        model = context.use_model("vmaf_v0.6.1")
        for index, (reference, distorted) in enumerate(pairs):
            context.read(reference, distorted, index)
        context.flush()
        scores = {key: context.feature_scores(key).tobytes() for key in context.keys}
        return {**scores, model.info.source: context.scores(model).tobytes()}


def main() -> bool:
    """Print how many widths have other scores than plain C; return whether there are none."""
    print(f"widths: scores at {len(WIDTHS)} widths ({WIDTHS[0]} to {WIDTHS[-1]}), repairs {build.repairs()}")
    print(f"  {sum(map(adm_last_column_counts, WIDTHS))} widths need the repair of ADM's last column")
    different: dict[tuple[str, int, str], list[int]] = {}
    try:
        for width in WIDTHS:
            for bits in (8, 10):
                pairs = [_pair(width, 34 + width % 31, bits, shift) for shift in range(2)]
                found = {}
                for name, mask in MASKS.items():
                    build.set_cpu_mask(mask)
                    if build.simd() == name:
                        found[name] = _scores(pairs, bits)
                for name, scores in found.items():
                    for key, value in scores.items():
                        widths = different.setdefault((name, bits, key), [])
                        if value != found["c"][key]:
                            widths.append(width)
    finally:
        build.set_cpu_mask(0)
    met = True
    for (name, bits, key), widths in different.items():
        if name != "c" and (key in SCORES or widths):
            met &= report(
                f"{name}, {bits} bits, {key}", f"differs from C at {len(widths)} widths {widths[:8]}", not widths
            )
    return met


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
