"""Own kernels against libvmaf, in processor time of one thread: VIF and ADM alone, all of canonical6, and a model v1.

Frames are the pinned film's first, scaled, with its encodes at four CRFs, by turns for more rungs; neither side decodes.
Both are measured in turn, and the middle ratio counts. With each instruction set of the machine that the kernels have,
libvmaf uses it, too, and measures each rung by itself; both leave out additive impairments where canonical6 alone is measured, which does not read them. Of
the model v1, CAMBI and SpEED are libvmaf's on both sides.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.clips import ladder, report
from pyvmaf.engines.kernels.engine import KernelBatch, divide
from pyvmaf.engines.libvmaf import build
from pyvmaf.engines.libvmaf.context import Context
from pyvmaf.engines.libvmaf.engine import ENGINE as LIBVMAF
from pyvmaf.engines.libvmaf.extractors import parse_options, score_keys
from pyvmaf.engines.protocol import Request, Requests
from pyvmaf.features.catalog import FEATURES, select
from pyvmaf.features.requests import Teacher
from pyvmaf.video.format import Format

Plane = NDArray[np.uint8] | NDArray[np.uint16]
Planes = tuple[Plane, ...]

TURNS, FRAMES = 7, 2
MASKS = {"avx512": 0, "avx2": 48}
"""What is hidden from libvmaf for the instruction sets of the kernels."""

_NEG = ("vif_enhn_gain_limit", "1.0")
SETS: dict[str, tuple[Request, ...]] = {
    "VIF": (Request("vif"),),
    "VIF, default and NEG": (Request("vif"), Request("vif", (_NEG,))),
    "ADM": (FEATURES["adm2"].request,),
    "canonical6": tuple(dict.fromkeys(FEATURES[name].request for name in select("canonical6").names)),
    "v1": tuple(Teacher("vmaf_v1.0.16_3d0h").keys),
}


class Case(NamedTuple):
    """A set of requests for a number of rungs, and the least ratio of processor time per rung."""

    what: str
    rungs: int
    bits: int
    bar: float = 0.0


CASES = (
    Case("VIF", 1, 8, 2.2),
    Case("VIF", 4, 8, 2.8),
    Case("VIF", 6, 8, 2.9),
    Case("VIF, default and NEG", 4, 8, 4.0),
    Case("VIF", 4, 10, 2.0),
    Case("ADM", 1, 8, 1.8),
    Case("ADM", 4, 8, 2.5),
    Case("canonical6", 1, 8, 2.0),
    Case("canonical6", 4, 8, 2.7),
    Case("canonical6", 20, 8, 2.9),
    Case("canonical6", 4, 10, 2.0),
    Case("v1", 4, 8, 1.3),
)
SIZES = ((1280, 720), (1920, 1080))
# A frame of libvmaf's takes seconds here, so only what a ladder of this size is measured with.
LARGE = (3840, 2160)
LARGE_CASES = (Case("VIF", 4, 10, 2.0), Case("canonical6", 4, 10, 2.0))


def measured() -> Iterator[tuple[Case, int, int]]:
    """Yield the cases at each size."""
    for size in SIZES:
        yield from ((case, *size) for case in CASES)
    yield from ((case, *LARGE) for case in LARGE_CASES)


def _frames(case: Case, width: int, height: int) -> tuple[Planes, list[Planes]]:
    """Return the first frame of the film and those of its encodes, at this size; chroma for v1 only, which reads it."""
    import av

    reference, rungs = ladder()
    frames: list[Planes] = []
    for path in (reference, *rungs.values()):
        with av.open(str(path)) as container:
            rows = next(container.decode(video=0)).reformat(width, height, "yuv420p").to_ndarray().astype(np.uint8)
        luma, cb, cr = np.split(rows.ravel(), [width * height, width * height * 5 // 4])
        planes = (luma.reshape(height, width), *(c.reshape(height // 2, width // 2) for c in (cb, cr)))
        read = planes if case.what == "v1" else planes[:1]
        frames.append(tuple(p if case.bits == 8 else np.left_shift(p, case.bits - 8, dtype=np.uint16) for p in read))
    return frames[0], list(islice(cycle(frames[1:]), case.rungs))


def _seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    for _ in range(FRAMES):
        work()
    return time.process_time() - started


def compare(case: Case, width: int, height: int, level: str) -> tuple[float, float]:
    """Return milliseconds per rung of the kernels with an instruction set, and how many times longer libvmaf takes."""
    reference, distorted = _frames(case, width, height)
    requests, bits = SETS[case.what], case.bits
    layout = "420" if len(reference) > 1 else "400"
    form = Format.planar(width, height, layout, bits)

    def keys(part: Sequence[Request]) -> Requests:
        return {r: score_keys(r.extractor, parse_options(r.extractor, dict(r.options))) for r in part}

    def opened(part: Sequence[Request]) -> KernelBatch:
        own, others = divide(keys(part), form, level)
        return KernelBatch(own, LIBVMAF.open(others, form) if others else None, form, level)

    shared = [request for request in requests if LIBVMAF.needs(request).reference_only]
    of_reference = opened(shared) if shared else None
    of_pairs = opened([request for request in requests if request not in shared])
    contexts = []
    for planes in distorted:
        context = Context(width, height, layout, bits)
        for request in requests:
            context.use_feature(request.extractor, dict(request.options))
        contexts.append((context, planes))
    counts = [0, 0]

    def theirs() -> None:
        for context, planes in contexts:
            context.read(list(reference), list(planes), counts[0])
        counts[0] += 1

    def ours() -> None:
        if of_reference is not None:
            of_reference.read(counts[1], reference, None)
        of_pairs.read_versions(counts[1] * len(distorted), reference, distorted)
        counts[1] += 1

    theirs()
    ours()
    turns = [(_seconds(theirs), _seconds(ours)) for _ in range(TURNS)]
    for context, _ in contexts:
        context.close()
    own = statistics.median(o for _, o in turns) / FRAMES / len(distorted)
    return own * 1e3, statistics.median(t / o for t, o in turns)


def main() -> bool:
    """Print the ratios; return whether every bar is met."""
    levels = [name for name in build.native().instruction_sets() if name in MASKS]
    if not levels:
        print("kernels: no vector kernels on this machine, nothing to compare")
        return True
    met = True
    try:
        for level in levels:
            build.set_cpu_mask(MASKS[level])
            print(f"kernels: {level} on both sides, processor time of one thread, {build.engine()['compiler']}")
            for case, width, height in measured():
                own, ratio = compare(case, width, height, level)
                what = f"{level}, {case.what}, {width}x{height}, {case.bits} bits, {case.rungs} rungs"
                figures = f"{own:.1f} ms per rung, {ratio:.2f} times faster (bar {case.bar})"
                met &= report(what, figures, ratio >= case.bar)
    finally:
        build.set_cpu_mask(0)
    return met


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
