"""Expected cost of jobs, from Snakemake's benchmark files of earlier runs."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from pyvmaf.base.manifest import read_manifest
from pyvmaf.errors import PyvmafError
from pyvmaf.workflow.audit.planned import Job

_MOST_FILES = 200
"""Benchmark files that are read per rule: their median is as good as that of all."""


def estimate(jobs: Sequence[Job], folder: Path) -> list[float | None]:
    """Estimate the CPU seconds of each pending job; None for jobs that do not run or were never measured.

    A job that ran before is expected to cost the same again; another one the median of its rule. Rules without a
    benchmark count with the seconds in their manifests.

    Args:
        jobs: all jobs of the plan.
        folder: working folder of the run.
    """
    own = [_measured(job, folder) if job.pending else None for job in jobs]
    by_rule: dict[str, list[float]] = {}
    for job, seconds in zip(jobs, own, strict=True):
        if seconds is not None:
            by_rule.setdefault(job.rule, []).append(seconds)
    needed = {job.rule for job, seconds in zip(jobs, own, strict=True) if job.pending and seconds is None}
    for job in jobs:
        if job.rule in needed and not job.pending and len(by_rule.get(job.rule, ())) < _MOST_FILES:
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
    """Read the CPU seconds of a benchmark file, or wall-clock seconds if the job was too short to be sampled."""
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
