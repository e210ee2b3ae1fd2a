"""``vmaf-train profile``: how long a model takes and how much memory, per batch shape and provider."""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from pyvmaf.base.document import publish_body
from pyvmaf.base.files import relative
from pyvmaf.checks.subject import CPU, SCHEMAS, Feeds, made_feeds, open_subject, parse_shape, provider, start
from pyvmaf.errors import InputError

SHAPES = ("1", "240")
"""One row, and a clip of 240 frames."""

OnRun = Callable[[int, int], None]
"""Called with (measurements done, measurements in all)."""


def _status(field: str) -> int:
    """A field of /proc/self/status in KiB."""
    with open("/proc/self/status") as stream:
        return next(int(line.split()[1]) for line in stream if line.startswith(f"{field}:"))


def _peak() -> int:
    """Most resident memory of this process so far (Linux: since `_reset`), in KiB."""
    try:
        return _status("VmHWM")
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak // 1024 if sys.platform == "darwin" else peak


def _reset() -> int:
    """Forget the peak where the system can, and return where the memory stands now, in KiB."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return _status("VmRSS")
    except (OSError, StopIteration):
        return _peak()


def _measure(
    graphs: tuple[bytes, ...], name: str, feeds: Feeds, threads: int, warmup: int, iterations: int
) -> dict[str, float]:
    """Load and run a model in this process, which must be a fresh one: memory that was freed before would hide it."""
    import onnxruntime  # noqa: F401  (its own footprint is no model's)

    before = _reset()
    begun = time.perf_counter()
    sessions = [start(data, name, threads) for data in graphs]
    loading = 1e3 * (time.perf_counter() - begun)
    times = np.empty(iterations)
    for place in range(-warmup, iterations):
        begun = time.perf_counter()
        for session in sessions:
            session.run(None, feeds)
        if place >= 0:
            times[place] = 1e3 * (time.perf_counter() - begun)
    p50, p99 = np.percentile(times, [50, 99])
    return {
        "load_ms": loading,
        "mean_ms": float(times.mean()),
        "min_ms": float(times.min()),
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "peak_rss_delta_kib": max(_peak() - before, 0),
    }


def profile(
    models: Sequence[str | Path],
    *,
    shapes: Sequence[str] = SHAPES,
    providers: Sequence[str] = (CPU,),
    warmup: int = 5,
    iterations: int = 100,
    threads: int = 1,
    sidecar: Path | None = None,
    registry: Path | None = None,
    output: Path | None = None,
    on_run: OnRun | None = None,
) -> dict[str, Any]:
    """Measure models, each combination in a process of its own.

    Args:
        models: as in `open_subject`; the first is what the others are compared with. Of an ensemble all members run,
            one after the other.
        shapes: what to feed; see `parse_shape`.
        providers: of onnxruntime, by name or short name (cpu, cuda).
        warmup, iterations: runs that are not timed, and that are.
        threads: of the runtime.
        sidecar: of the models, where it does not lie beside them.
        registry: where ids are looked up.
        output: JSON file for the report; it holds times, so that its bytes differ from run to run.
        on_run: called after each measurement.

    Returns:
        The report; ``runs`` has for each combination the times in milliseconds, the peak of resident memory above
        what the process had before the model was loaded (KiB), and how many times as long as the first model it took.

    Raises:
        InputError: a shape does not fit, or there is nothing to time.
        UnavailableError: a provider is not installed.
    """
    started = time.perf_counter()
    if iterations < 1 or warmup < 0:
        raise InputError(f"{iterations} timed runs after {warmup} others: at least 1 after 0 are needed")
    names = [provider(name) for name in providers]
    subjects = [open_subject(model, sidecar=sidecar, registry=registry) for model in models]
    jobs = [(s, parse_shape(shape, s), name, shape) for shape in shapes for name in names for s in subjects]
    runs: list[dict[str, Any]] = []
    context = multiprocessing.get_context("spawn")
    for subject, shape, name, asked in jobs:
        feeds = made_feeds(subject, shape)
        with ProcessPoolExecutor(1, mp_context=context) as fresh:
            found = fresh.submit(_measure, subject.graphs, name, feeds, threads, warmup, iterations).result()
        first = next((r for r in runs if r["asked"] == asked and r["provider"] == name), None)
        runs.append(
            {
                "model": subject.name,
                "path": relative(subject.path),
                "sha256": subject.sha256,
                "bytes": subject.size,
                "provider": name,
                "asked": asked,
                "shapes": {key: list(sizes) for key, sizes in shape.items()},
                **found,
                "times_first": 1.0 if first is None else found["p50_ms"] / first["p50_ms"],
            }
        )
        if on_run is not None:
            on_run(len(runs), len(jobs))
    settings = {"warmup": warmup, "iterations": iterations, "threads": threads}
    return publish_body(
        {"settings": settings, "runs": runs},
        output,
        schema=SCHEMAS / "profile.schema.json",
        verb="profile",
        args={"model": [str(m) for m in models], "shape": list(shapes), "provider": names, **settings},
        inputs={"model": [s.path for s in subjects]},
        started=started,
        timed=True,
    )
