"""Files by the engine ``cuda`` beside the processor: frames per second with decoding, and equal features.

The pinned film and four encodes of it, one pair and the ladder, canonical6. Without a build with CUDA, a driver or a
device it says so, and there is no bar to miss. The kernels alone are timed by scripts/gpu_check.sh.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from bench.clips import ladder, report
from pyvmaf import engines
from pyvmaf.engines.protocol import Requests
from pyvmaf.errors import UnavailableError
from pyvmaf.features.catalog import FEATURES, select
from pyvmaf.video.format import Format
from pyvmaf.video.reader import Reader


def measure(backend: str, reference: Path, versions: list[Path]) -> tuple[float, dict[str, list[float]]]:
    """Measure versions of a video together.

    Returns:
        Frames of versions per second, and the scores by libvmaf's names.
    """
    requests: Requests = {}
    for name in select("canonical6").names:
        row = FEATURES[name]
        requests = {**requests, row.request: [*requests.get(row.request, []), row.key]}
    readers = [Reader(path, luma_only=True) for path in (reference, *versions)]
    form = Format.planar(readers[0].format.width, readers[0].format.height, "400", readers[0].format.bit_depth)
    needs = engines.load("cpu").needs
    alone = {request: keys for request, keys in requests.items() if needs(request).reference_only}
    pairs = {request: keys for request, keys in requests.items() if request not in alone}
    engine = engines.load(backend)
    start, count = time.perf_counter(), 0
    batches = engine.open(alone, form), engine.open(pairs, form)
    for index, planes in enumerate(zip(*(reader.planes() for reader in readers), strict=True)):
        batches[0].read(index, planes[0], None)
        batches[1].read_versions(count, planes[0], planes[1:])
        count += len(versions)
    scores = {**batches[0].harvest(), **batches[1].harvest()}
    return count / (time.perf_counter() - start), {key: values.tolist() for key, values in scores.items()}


def main() -> bool:
    """Print the figures; return whether both engines gave the same numbers."""
    try:
        engines.load("cuda").open({FEATURES["vif_scale0"].request: []}, Format.planar(64, 64, "400", 8)).close()
    except UnavailableError as error:
        print(f"  not measured: {error}")
        return True
    reference, rungs = ladder()
    met = True
    for versions in (list(rungs.values())[:1], list(rungs.values())):
        speed, found = measure("cuda", reference, versions)
        other, expected = measure("kernels", reference, versions)
        same = all(np.array_equal(found[key], values) for key, values in expected.items())
        figure = (
            f"{speed:.0f} frames per second, {other:.0f} on the processor, features {'equal' if same else 'DIFFER'}"
        )
        met &= report(f"1280x720, {len(versions)} versions", figure, same)
    return met


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
