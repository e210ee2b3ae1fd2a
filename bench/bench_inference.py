"""The tiny networks against libvmaf's support vector machine, on the features of a 240-frame clip, one CPU thread.

Both sides start from the clip's six features in memory and end with 240 scores. A network is timed as `Model.predict` on
a loaded model file, with all its checks of the rows; the runtime alone is printed beside it. libvmaf's vmaf_v0.6.1 is
timed through `pyvmaf.engines.libvmaf.models.predict`, and through the bare extension on a ready table, which is the
fastest way; the bar is against the faster of the two. The model files hold initial weights, because the time that a
network takes does not depend on their values.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from bench.clips import long_pair, report
from pyvmaf import _native
from pyvmaf.engines.libvmaf.models import Model, predict
from pyvmaf.features.catalog import CANONICAL6, FEATURES
from pyvmaf.models.export import export
from pyvmaf.models.fit import fit
from pyvmaf.models.regressor.inputs import feeds
from pyvmaf.models.spec import load_spec
from pyvmaf.runtime.load import load_model
from pyvmaf.runtime.session import run, session
from pyvmaf.scoring.score import score

FRAMES, RUNS, WARM, BAR = 240, 100, 5, 20.0
SPECS = Path(__file__).parents[1] / "config" / "models"


def alternate(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return the median milliseconds of each call, straight after an equal call that warms the caches.

    The calls take turns, so that a busy machine slows all of them.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(RUNS + WARM):
        for name, call in calls.items():
            call()
            started = time.perf_counter()
            call()
            times[name].append(1e3 * (time.perf_counter() - started))
    return {name: float(np.median(values[WARM:])) for name, values in times.items()}


def main() -> bool:
    """Print milliseconds per clip and the ratios; return False if a bar is missed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    scores = score(*long_pair(FRAMES), threads=2)
    features = {name: scores[name] for name in CANONICAL6}
    X = np.column_stack(list(features.values()))
    svr = Model("vmaf_v0.6.1")
    named = {FEATURES[name].key: values for name, values in features.items()}
    keys = svr.info.keys
    ready = np.ascontiguousarray(np.column_stack([named[key] for key in keys]))
    calls: dict[str, Callable[[], object]] = {
        "vmaf_v0.6.1, engine.predict": partial(predict, svr, named),
        "vmaf_v0.6.1, bare extension": partial(_native.predict, svr.raw, keys, ready, FRAMES),
    }
    names = []
    with tempfile.TemporaryDirectory(prefix="pyvmaf-bench-") as folder:
        table = Path(folder) / "default.parquet"
        half = np.where(np.arange(FRAMES) < FRAMES // 2, "first", "second")
        columns = {**features, "vmaf": scores["vmaf"], "source": half, "group": half}
        pq.write_table(pa.table({name: pa.array(values) for name, values in columns.items()}), table)
        for path in sorted(SPECS.glob("vmaf_tiny_v*.yaml")):
            spec = load_spec(path)
            weights = fit(path, table, Path(folder) / spec.name, seed=0, epochs=0).weights
            file = weights.with_name("model.onnx")
            export(path, weights, None, None, file)
            model, runtime = load_model(file), session(file.read_bytes())
            names.append(spec.name)
            calls[spec.name] = partial(model.predict, X)
            calls[f"{spec.name}, runtime alone"] = partial(run, runtime, feeds(X, None))
        medians = alternate(calls)
    print(f"inference: {FRAMES} frames' features of one clip, one thread, median of {RUNS}")
    for name, value in medians.items():
        print(f"  {name:34} {value:8.4f} ms")
    fastest = min(medians["vmaf_v0.6.1, engine.predict"], medians["vmaf_v0.6.1, bare extension"])
    met = True
    for name in names:
        ratio = fastest / medians[name]
        met &= report(f"{name} against vmaf_v0.6.1", f"{ratio:.0f} times as fast (bar {BAR:g})", ratio >= BAR)
    return met


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
