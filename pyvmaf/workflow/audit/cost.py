"""What jobs will cost, from what such jobs cost before: Snakemake's benchmark files."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from pyvmaf.base.manifest import read_manifest
from pyvmaf.errors import PyvmafError
from pyvmaf.workflow.audit.planned import Job

# A median of this many is as good as one of all.
_MOST_FILES = 200


def estimate(jobs: Sequence[Job], folder: Path) -> list[float | None]:
    """CPU seconds of each pending job, None for what does not run or was never measured.

    A job that ran before is expected to cost what it did; another one what the median job of its rule did. Rules
    that keep no benchmark count with the seconds that their manifests hold.

    Args:
        jobs: all jobs of the plan.
        folder: where the run works.
    """
    own = [_measured(job, folder) if job.pending else None for job in jobs]
    by_rule: dict[str, list[float]] = {}
    for job, seconds in zip(jobs, own, strict=True):
        if seconds is not None:
            by_rule.setdefault(job.rule, []).append(seconds)
    wanted = {job.rule for job, seconds in zip(jobs, own, strict=True) if job.pending and seconds is None}
    for job in jobs:
        known = by_rule.get(job.rule, [])
        if job.rule in wanted and not job.pending and len(known) < _MOST_FILES:
            seconds = _measured(job, folder)
            if seconds is not None:
                by_rule.setdefault(job.rule, []).append(seconds)
    typical = {rule: median(values) for rule, values in by_rule.items()}
    return [
        (typical.get(job.rule) if seconds is None else seconds) if job.pending else None
        for job, seconds in zip(jobs, own, strict=True)
    ]


def _measured(job: Job, folder: Path) -> float | None:
    if job.benchmark is not None:
        return _benchmark(folder / job.benchmark)
    artefact = folder / job.outputs[0]
    try:
        seconds = read_manifest(artefact).get("run", {}).get("seconds")
    except PyvmafError:
        return None
    return float(seconds) if isinstance(seconds, int | float) else None


def _benchmark(path: Path) -> float | None:
    """CPU seconds of a benchmark file, or wall-clock seconds where the job was too short to be sampled."""
    try:
        with path.open(newline="") as stream:
            row = next(csv.DictReader(stream, delimiter="\t"), None)
    except OSError:
        return None
    for column in ("cpu_time", "s") if row else ():
        try:
            seconds = float(row[column])  # type: ignore[index]
        except (KeyError, TypeError, ValueError):
            continue
        if seconds > 0:
            return seconds
    return None
