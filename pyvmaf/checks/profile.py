"""``vmaf-train profile``: times and memory of models, per batch shape and provider."""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from pyvmaf.base.document import Call, Count, Document, Name, Part, Positive, RunProvenance, Sha256, Size, publish
from pyvmaf.base.files import relative
from pyvmaf.base.outputs import publishes
from pyvmaf.checks.subject import Feeds, Subject, drawn_feeds, open_subject, parse_shape, provider, time_runs
from pyvmaf.errors import InputError
from pyvmaf.runtime.session import CPU, session

SHAPES = ("1", "240")
"""One row, and a clip of 240 frames."""

OnRun = Callable[[int, int], None]
"""Called with (measurements done, measurements in all)."""


class ProfileSettings(Part):
    """Number of runs and threads of each measurement."""

    warmup: Count
    iterations: Positive
    threads: Positive


class Timing(Part):
    """Times and memory of one model in a process of its own."""

    load_ms: Size = Field(description="Creation of the session.")
    mean_ms: Size
    min_ms: Size
    p50_ms: Size
    p99_ms: Size
    peak_rss_delta_kib: Count = Field(
        description="Peak of resident memory above that of a process that has imported the runtime and loaded nothing."
    )


class ProfileRun(Timing):
    """One model with one shape on one provider."""

    model: Name
    path: Name
    sha256: Sha256
    bytes: Count
    provider: Name
    asked: Name = Field(description="The shape as it was requested.")
    shapes: dict[str, list[Positive]] = Field(description="Shape of each input.")
    times_first: Size = Field(description="Median over that of the first model with the same shape and provider.")


class Profile(Document):
    """Report of ``vmaf-train profile``. It holds times, so that its bytes differ from run to run."""

    title: ClassVar[str] = "Report of vmaf-train profile"

    schema_version: Literal[1] = 1
    settings: ProfileSettings
    runs: list[ProfileRun] = Field(min_length=1)
    run_provenance: RunProvenance


def _status(field: str) -> int:
    """Read a field of /proc/self/status, in KiB."""
    with open("/proc/self/status") as stream:
        return next(int(line.split()[1]) for line in stream if line.startswith(f"{field}:"))


def peak_memory() -> int:
    """Return the largest resident memory of this process in KiB; on Linux since `reset_peak`."""
    try:
        return _status("VmHWM")
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak // 1024 if sys.platform == "darwin" else peak


def reset_peak() -> int:
    """Forget the peak, if the system can, and return the resident memory of now in KiB."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return _status("VmRSS")
    except (OSError, StopIteration):
        return peak_memory()


def _measure(graphs: tuple[bytes, ...], name: str, feeds: Feeds, settings: ProfileSettings) -> Timing:
    """Load and run a model in this process, which must be new: memory that was freed before would hide the peak.

    Args:
        graphs: checked files whose extent for these inputs is established.
        name: full name of the provider.
        feeds, settings: the inputs, and how often they run.
    """
    import onnxruntime  # noqa: F401  (its own memory does not count)

    before = reset_peak()
    begun = time.perf_counter()
    sessions = [session(data, settings.threads, provider=name) for data in graphs]
    loading = 1e3 * (time.perf_counter() - begun)
    times = time_runs(sessions, feeds, settings.warmup, settings.iterations)
    p50, p99 = np.percentile(times, [50, 99])
    return Timing(
        load_ms=loading,
        mean_ms=float(times.mean()),
        min_ms=float(times.min()),
        p50_ms=float(p50),
        p99_ms=float(p99),
        peak_rss_delta_kib=max(peak_memory() - before, 0),
    )


class _Job(NamedTuple):
    subject: Subject
    provider: str
    asked: str
    shapes: dict[str, tuple[int, ...]]


def _run_job(job: _Job, settings: ProfileSettings, done: Sequence[ProfileRun]) -> ProfileRun:
    """Measure in a new process, and compare with the first of the runs that are done."""
    feeds = drawn_feeds(job.subject, job.shapes)
    for graph in job.subject.graphs:
        graph.check_extent(job.shapes)
    graphs = tuple(graph.data for graph in job.subject.graphs)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        timing = process.submit(_measure, graphs, job.provider, feeds, settings).result()
    first = next((run for run in done if run.asked == job.asked and run.provider == job.provider), None)
    return ProfileRun(
        model=job.subject.name,
        path=relative(job.subject.path),
        sha256=job.subject.sha256,
        bytes=job.subject.size,
        provider=job.provider,
        asked=job.asked,
        shapes={name: list(sizes) for name, sizes in job.shapes.items()},
        times_first=1.0 if first is None else timing.p50_ms / first.p50_ms,
        **timing.model_dump(),
    )


@publishes("profile")
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
) -> Profile:
    """Measure models, each combination in a process of its own.

    Args:
        models: as in `open_subject`; the others are compared with the first. All members of an ensemble run, one after
            the other.
        shapes: shapes of the inputs; see `parse_shape`.
        providers: of onnxruntime, by name or short name (cpu, cuda).
        warmup, iterations: number of runs before the clock starts, and of timed ones.
        threads: of the runtime.
        sidecar: of the models, if it is not beside them.
        registry: where ids are looked up.
        output: JSON file for the report; it holds times, so that its bytes differ from run to run.
        on_run: called after each measurement.

    Returns:
        The report. ``runs`` has for each combination the times in milliseconds, the peak of resident memory above that
        of the process before the model was loaded (KiB), and the ratio of its median to that of the first model.

    Raises:
        InputError: a shape does not fit, or there are no runs to time.
        UnavailableError: a provider is not installed.
    """
    if iterations < 1 or warmup < 0:
        raise InputError(f"{iterations} timed runs after {warmup} others: at least 1 after 0 are needed")
    settings = ProfileSettings(warmup=warmup, iterations=iterations, threads=threads)
    names = [provider(name) for name in providers]
    subjects = [open_subject(model, sidecar=sidecar, registry=registry) for model in models]
    call = Call(
        "profile",
        args={
            "model": [str(model) for model in models],
            "shape": list(shapes),
            "provider": names,
            **settings.model_dump(),
        },
        inputs={"model": [subject.path for subject in subjects]},
    )
    jobs = [
        _Job(subject, name, shape, parse_shape(shape, subject))
        for shape in shapes
        for name in names
        for subject in subjects
    ]
    runs: list[ProfileRun] = []
    for job in jobs:
        runs.append(_run_job(job, settings, runs))
        if on_run is not None:
            on_run(len(runs), len(jobs))
    return publish(Profile(settings=settings, runs=runs, run_provenance=call.provenance()), output, call, timed=True)
