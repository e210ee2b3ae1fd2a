"""Memory of contexts and predictions, measured as the resident size of this process."""

from __future__ import annotations

import gc
import re
from pathlib import Path

import numpy as np
import pytest

from pyvmaf.engines.libvmaf.context import Context
from pyvmaf.engines.libvmaf.models import Model, predict


def _resident_kb() -> int:
    match = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert match is not None
    return int(match.group(1))


def _threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


@pytest.mark.parametrize("n_threads", [0, 2])
def test_memory_stays_flat_over_2000_frames(n_threads: int) -> None:
    rng = np.random.default_rng(5)
    planes = [rng.integers(0, 256, (64, 96), np.uint8)]
    with Context(96, 64, "400", n_threads=n_threads) as context:
        for name in ("vif", "adm", "motion"):
            context.use_feature(name)
        sizes = []
        for index in range(2000):
            context.read(planes, planes, index)
            if index in (200, 1999):
                sizes.append(_resident_kb())
        context.flush()
        # 14 scores of 16 bytes per frame are 0.4 MB; pictures alone would be 23 MB.
        assert sizes[1] - sizes[0] < 3000


@pytest.mark.parametrize("n_threads", [0, 2])
@pytest.mark.parametrize("end", ["close", "drop"])
def test_contexts_free_their_memory_and_threads(end: str, n_threads: int) -> None:
    """Closed and dropped contexts alike; each of the 24 that are measured would leave several MB.

    In a process that has run for long, the allocator keeps up to half a MB for each that had threads.
    """
    planes = [np.zeros((360, 640), np.uint8)]
    sizes, threads = [], []
    for repeat in range(35):
        context = Context(640, 360, "400", n_threads=n_threads)
        context.use_model("vmaf_v0.6.1")
        context.read(planes, planes, 0)
        context.flush()
        if end == "close":
            context.close()
        del context
        if repeat in (10, 34):
            gc.collect()
            sizes.append(_resident_kb())
            threads.append(_threads())
    assert sizes[1] - sizes[0] < 24 * 1000
    assert threads[1] == threads[0]


def test_memory_of_predictions_does_not_grow_with_the_rows() -> None:
    model = Model("vmaf_v0.6.1")
    features = {key: np.full(20_000, 0.7) for key in model.info.keys}
    predict(model, {key: values[:2000] for key, values in features.items()})
    before = _resident_kb()
    predict(model, features)
    assert _resident_kb() - before < 8000
