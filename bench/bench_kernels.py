"""Own kernels of VIF against libvmaf's, in processor time of one thread: one pair, and ladders of four and six rungs.

Frames are the pinned film's first, scaled, with its encodes at four CRFs (two of them twice for six rungs); neither side
decodes. Both are measured in turn, and the middle ratio counts. libvmaf uses the instruction set that the kernels use.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.clips import ladder, report
from pyvmaf import _native
from pyvmaf.engines.kernels.check import instruction_set
from pyvmaf.engines.libvmaf import build
from pyvmaf.engines.libvmaf.context import Context

Plane = NDArray[np.uint8] | NDArray[np.uint16]

TURNS, FRAMES = 7, 2
NEG = {"vif_enhn_gain_limit": 1.0}
MASKS = {"avx2": 48}

BARS: dict[tuple[int, int, int], float] = {
    (1, 1, 8): 2.2,
    (4, 1, 8): 2.8,
    (6, 1, 8): 2.9,
    (4, 2, 8): 4.0,
    (4, 1, 10): 2.0,
}
"""Least ratio of processor time per rung by (rungs, limits of the gain, bits)."""


def _frames(width: int, height: int, bits: int) -> tuple[Plane, list[Plane]]:
    """Return the first luma plane of the film and of its encodes, at this size."""
    import av

    reference, rungs = ladder()
    planes: list[Plane] = []
    for path in (reference, *rungs.values()):
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
            plane = frame.reformat(width, height, "gray").to_ndarray().astype(np.uint8)
        planes.append(plane if bits == 8 else np.left_shift(plane, bits - 8, dtype=np.uint16))
    return planes[0], [*planes[1:], *planes[1:3]]


def _seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    for _ in range(FRAMES):
        work()
    return time.process_time() - started


def _ratio(reference: Plane, distorted: Sequence[Plane], limits: int, bits: int, level: str) -> tuple[float, float]:
    """Return milliseconds per rung of the kernels, and how many times longer libvmaf takes."""
    height, width = reference.shape
    kernel = _native.Vif(width, height, bits, len(distorted), [100.0, 1.0][:limits], level)
    options: list[dict[str, float]] = [{}, NEG][:limits]
    contexts = []
    for _ in distorted:
        for chosen in options:
            context = Context(width, height, "400", bits)
            context.use_feature("vif", dict(chosen))
            contexts.append(context)
    counts = [0]

    def theirs() -> None:
        for position, context in enumerate(contexts):
            context.read([reference], [distorted[position // limits]], counts[0])
        counts[0] += 1

    def ours() -> None:
        kernel.measure(reference, distorted)

    theirs()
    ours()
    turns = [(_seconds(theirs), _seconds(ours)) for _ in range(TURNS)]
    for context in contexts:
        context.close()
    own = statistics.median(o for _, o in turns) / FRAMES / len(distorted)
    return own * 1e3, statistics.median(t / o for t, o in turns)


def main() -> bool:
    """Print the ratios; return whether every bar is met."""
    level = instruction_set()
    if level not in MASKS:
        print(f"kernels: no vector kernels on this machine ({level}), nothing to compare")
        return True
    print(f"kernels: VIF of {level} against libvmaf's VIF of {level}, {build.engine()['compiler']}")
    met = True
    build.set_cpu_mask(MASKS[level])
    try:
        for width, height in ((1280, 720), (1920, 1080)):
            for (rungs, limits, bits), bar in BARS.items():
                reference, distorted = _frames(width, height, bits)
                own, ratio = _ratio(reference, distorted[:rungs], limits, bits, level)
                what = f"{width}x{height}, {bits} bits, {rungs} rungs{', default and NEG' if limits == 2 else ''}"
                figure = f"{own:.1f} ms per rung, {ratio:.2f} times faster (bar {bar})"
                met &= report(what, figure, ratio >= bar)
    finally:
        build.set_cpu_mask(0)
    return met


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
