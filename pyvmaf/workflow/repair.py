"""Make damaged results again, exactly those: ``vmaf-train repair``.

Snakemake does not look into files, and where an intermediate file is gone whose followers are there it makes
nothing. So what fails `verify` is set aside, its jobs are asked for by name, and where the same bytes come out
again the file gets its old time back, so that nothing that follows is made once more.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pyvmaf.base import layout
from pyvmaf.base.files import sha256_file
from pyvmaf.base.manifest import MANIFEST_SUFFIX, read_manifest
from pyvmaf.errors import InputError, MissingFileError, PyvmafError
from pyvmaf.registry.verify import Finding, is_leftover, verify
from pyvmaf.workflow.audit.planned import Job, load

DAMAGED = "damaged"
"""Folder, beside the results, that damaged files are moved to."""


@dataclass
class Repaired:
    """What was done.

    Attributes:
        findings: what was wrong.
        jobs: (rule, first output) of each job that was run again.
        same: files that came out with the bytes that had been recorded.
        different: files that came out with other bytes: what is made from them is made again by the next run.
        cache: damaged cache entries that were set aside; they are computed again when they are needed.
        left: findings that no job can repair.
        aside: folder with the damaged files, None where none was moved.
    """

    findings: list[Finding]
    jobs: list[tuple[str, str]] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    cache: list[str] = field(default_factory=list)
    left: list[Finding] = field(default_factory=list)
    aside: str | None = None


def repair(
    arguments: Sequence[str] = (),
    *,
    cores: int = 1,
    dry_run: bool = False,
    cache: Path | None = None,
    say: Callable[[str], None] = lambda _text: None,
) -> Repaired:
    """Find what is damaged below ``results`` and make it again.

    Args:
        arguments: options as Snakemake takes them, so that its plan is that of the run (``--configfile mine.yaml``).
        cores: for Snakemake.
        dry_run: only say what would be done.
        cache: the feature cache where it lies outside of the results.
        say: called with a line about each step.

    Raises:
        MissingFileError: there are no results.
        PyvmafError: a job failed; the damaged files are still where they were set aside.
    """
    plan = load(arguments)
    folder = Path(plan.folder)
    if not (folder / layout.RESULTS).is_dir():
        raise MissingFileError(f"no folder {layout.RESULTS} in {folder.name}: there is nothing to repair")
    found = verify(folder / layout.RESULTS, cache=cache).findings
    done = Repaired(found)
    makers = {os.path.normpath(path): job for job in plan.jobs for path in job.outputs}
    again: dict[str, Job] = {}
    expected: dict[str, str] = {}
    aside: list[Path] = []
    for finding in found:
        job = makers.get(os.path.normpath(finding.path))
        if finding.kind == "cache":
            aside.append(folder / finding.path)
            done.cache.append(finding.path)
        elif finding.kind == "unaccounted" and is_leftover(Path(finding.path)):
            aside.append(folder / finding.path)
        elif job is not None:
            again[job.outputs[0]] = job
            if finding.kind in ("changed", "missing") and finding.expected is not None:
                expected[finding.path] = finding.expected
        else:
            done.left.append(finding)
    done.jobs = [(job.rule, first) for first, job in again.items()]
    if dry_run or not (again or aside):
        return done
    known = {output: digest for job in again.values() for output, digest in _hashes(folder, job).items()} | expected
    times = {first: _oldest(folder, job) for first, job in again.items()}
    target = _free(folder / DAMAGED)
    for path in [*aside, *(folder / output for job in again.values() for output in job.outputs)]:
        if path.exists():
            place = target / path.relative_to(folder)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, place)
            done.aside = os.path.relpath(target, folder)
    for jobs in _rounds(plan.jobs, again):
        say(f"making again: {', '.join(jobs)}")
        _make(list(jobs), cores, arguments, done)
        for first, job in jobs.items():
            timed = _timed(folder, job)
            outputs = [o for o in job.outputs if not o.endswith(MANIFEST_SUFFIX) and os.path.normpath(o) not in timed]
            differing = [output for output in outputs if known.get(output) != sha256_file(folder / output)]
            done.different += differing
            done.same += [output for output in outputs if output not in differing]
            time = times[first]
            if not differing and time is not None:
                for output in job.outputs:
                    os.utime(folder / output, ns=(time, time))
    return done


def _rounds(jobs: Sequence[Job], wanted: Mapping[str, Job]) -> Iterator[dict[str, Job]]:
    """The wanted jobs, those that others need first.

    One that is asked for together with what it is made from would make everything between the two as well.
    """
    depth: dict[int, int] = {}
    chosen = {id(job) for job in wanted.values()}
    for start in range(len(jobs)):
        waiting = [start]
        while waiting:
            place = waiting[-1]
            unknown = [other for other in jobs[place].needs if other not in depth]
            if unknown:
                waiting += unknown
                continue
            waiting.pop()
            deepest = max((depth[other] for other in jobs[place].needs), default=0)
            depth[place] = deepest + (id(jobs[place]) in chosen)
    levels: dict[int, dict[str, Job]] = {}
    for place, job in enumerate(jobs):
        if id(job) in chosen:
            levels.setdefault(depth[place], {})[job.outputs[0]] = job
    for level in sorted(levels):
        yield levels[level]


def _make(outputs: Sequence[str], cores: int, arguments: Sequence[str], done: Repaired) -> None:
    command = [
        sys.executable,
        "-m",
        "snakemake",
        *outputs,
        "--cores",
        str(cores),
        *arguments,
        "--quiet",
        "rules",
        "host",
    ]
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode != 0:
        last = "\n".join((ran.stdout + ran.stderr).splitlines()[-15:])
        raise PyvmafError(
            f"snakemake failed while it made damaged results again; they lie in {done.aside}. It said:\n{last}"
        )


def _timed(folder: Path, job: Job) -> set[str]:
    """Outputs that hold measured times, hence other bytes each time."""
    found: set[str] = set()
    for output in job.outputs:
        if output.endswith(MANIFEST_SUFFIX):
            timings = read_manifest(folder / output.removesuffix(MANIFEST_SUFFIX)).get("run", {}).get("timings", {})
            for item in timings.values():
                found.update(os.path.normpath(entry["path"]) for entry in (item if isinstance(item, list) else [item]))
    return found


def _hashes(folder: Path, job: Job) -> dict[str, str]:
    """Hashes of a job's outputs as they lie there; a damaged one's is replaced by the recorded one."""
    return {output: sha256_file(folder / output) for output in job.outputs if (folder / output).is_file()}


def _oldest(folder: Path, job: Job) -> int | None:
    """When a job's outputs were made: an edited one is newer than the others. None where none is left."""
    times = [(folder / output).stat().st_mtime_ns for output in job.outputs if (folder / output).is_file()]
    return min(times, default=None)


def _free(folder: Path) -> Path:
    """A folder below `folder` that does not exist yet."""
    for number in range(1, 10_000):
        place = folder / str(number)
        if not place.exists():
            return place
    raise InputError(f"{folder} holds 10,000 repairs: empty it")
