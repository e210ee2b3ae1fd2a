"""``vmaf-train repair``: damaged results are made again, exactly those.

Snakemake does not look into files, and if an intermediate file is missing whose followers exist, it makes nothing. So
files that fail `verify` are moved aside and their jobs are requested by name. A file that comes out with the same bytes
gets its old time back, so that nothing that follows is made once more.
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
from pyvmaf.base.manifest import read_manifest
from pyvmaf.base.outputs import MANIFEST_SUFFIX
from pyvmaf.errors import InputError, MissingFileError, PyvmafError
from pyvmaf.registry.verify import Finding, is_leftover, verify
from pyvmaf.workflow.audit.planned import Job, Plan, load

DAMAGED = "damaged"
"""Folder, beside the results, that damaged files are moved to."""


@dataclass
class Repaired:
    """Outcome of `repair`.

    Attributes:
        findings: the problems of the results.
        jobs: (rule, first output) of each job that was run again.
        same: files that came out with the recorded bytes.
        different: files that came out with other bytes: the next run makes their followers again.
        cache: damaged cache entries that were moved aside; they are computed again on demand.
        left: findings that no job can repair.
        aside: folder with the damaged files, None if none was moved.
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
    """Find damaged files below ``results`` and make them again.

    Args:
        arguments: options of Snakemake, so that its plan is that of the run (``--configfile mine.yaml``).
        cores: for Snakemake.
        dry_run: change nothing.
        cache: the feature cache if it is outside of the results.
        say: called with a line about each step.

    Raises:
        MissingFileError: there are no results.
        PyvmafError: a job failed; the damaged files stay in the folder that they were moved to.
    """
    plan = load(arguments)
    folder = Path(plan.folder)
    if not (folder / layout.RESULTS).is_dir():
        raise MissingFileError(f"no folder {layout.RESULTS} in {folder.name}: there is nothing to repair")
    damage = _Damage(plan, Repaired(verify(folder / layout.RESULTS, cache=cache).findings))
    if dry_run or not (damage.jobs or damage.aside):
        return damage.repaired
    expected, times = damage.expected_hashes(), damage.times()
    damage.move_aside()
    for jobs in _rounds(plan.jobs, damage.jobs):
        say(f"making again: {', '.join(jobs)}")
        _make(list(jobs), cores, arguments, damage.repaired)
        for first, job in jobs.items():
            damage.compare(job, expected, times[first])
    return damage.repaired


class _Damage:
    """The damaged files of a plan, sorted by remedy.

    Attributes:
        repaired: the outcome.
        jobs: the jobs to run again, by first output.
        aside: files that are only moved.
    """

    def __init__(self, plan: Plan, repaired: Repaired) -> None:
        self.folder = Path(plan.folder)
        self.repaired = repaired
        self.jobs: dict[str, Job] = {}
        self.aside: list[Path] = []
        self._recorded: dict[str, str] = {}
        makers = {os.path.normpath(path): job for job in plan.jobs for path in job.outputs}
        for finding in repaired.findings:
            self._sort(finding, makers.get(os.path.normpath(finding.path)))
        repaired.jobs = [(job.rule, first) for first, job in self.jobs.items()]

    def _sort(self, finding: Finding, job: Job | None) -> None:
        if finding.kind == "cache":
            self.aside.append(self.folder / finding.path)
            self.repaired.cache.append(finding.path)
        elif finding.kind == "unaccounted" and is_leftover(Path(finding.path)):
            self.aside.append(self.folder / finding.path)
        elif job is not None:
            self.jobs[job.outputs[0]] = job
            if finding.kind in ("changed", "missing") and finding.expected is not None:
                self._recorded[finding.path] = finding.expected
        else:
            self.repaired.left.append(finding)

    def _existing(self, job: Job) -> list[str]:
        return [output for output in job.outputs if (self.folder / output).is_file()]

    def expected_hashes(self) -> dict[str, str]:
        """Hash the outputs of the jobs; for a damaged one its recorded hash counts."""
        present = {
            output: sha256_file(self.folder / output) for job in self.jobs.values() for output in self._existing(job)
        }
        return present | self._recorded

    def times(self) -> dict[str, dict[str, int]]:
        """Return when the outputs of each job were made, by its first output; none if all of them are gone.

        An edited file is newer than those made beside it, so damaged and missing files count as made with the first.
        """
        damaged = {os.path.normpath(finding.path) for finding in self.repaired.findings}
        times: dict[str, dict[str, int]] = {}
        for first, job in self.jobs.items():
            made = {output: (self.folder / output).stat().st_mtime_ns for output in self._existing(job)}
            earliest = min(made.values(), default=None)
            times[first] = (
                {}
                if earliest is None
                else {
                    output: earliest if os.path.normpath(output) in damaged else made.get(output, earliest)
                    for output in job.outputs
                }
            )
        return times

    def move_aside(self) -> None:
        """Move the damaged files, and all outputs of the jobs, to a new folder."""
        target = _new_folder(self.folder / DAMAGED)
        outputs = [self.folder / output for job in self.jobs.values() for output in job.outputs]
        for path in [*self.aside, *outputs]:
            if path.exists():
                new = target / path.relative_to(self.folder)
                new.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(path, new)
                self.repaired.aside = os.path.relpath(target, self.folder)

    def compare(self, job: Job, expected: Mapping[str, str], times: Mapping[str, int]) -> None:
        """Compare the new outputs of a job with the expected hashes, and restore their times if all agree."""
        timed = self._timed(job)
        outputs = [o for o in job.outputs if not o.endswith(MANIFEST_SUFFIX) and os.path.normpath(o) not in timed]
        different = [output for output in outputs if expected.get(output) != sha256_file(self.folder / output)]
        self.repaired.different += different
        self.repaired.same += [output for output in outputs if output not in different]
        if not different:
            for output, time in times.items():
                os.utime(self.folder / output, ns=(time, time))

    def _timed(self, job: Job) -> set[str]:
        """Return the outputs that hold measured times, hence other bytes each time."""
        timed: set[str] = set()
        for output in job.outputs:
            if output.endswith(MANIFEST_SUFFIX):
                run = read_manifest(self.folder / output.removesuffix(MANIFEST_SUFFIX)).get("run", {})
                for item in run.get("timings", {}).values():
                    timed.update(
                        os.path.normpath(file["path"]) for file in (item if isinstance(item, list) else [item])
                    )
        return timed


def _rounds(jobs: Sequence[Job], requested: Mapping[str, Job]) -> Iterator[dict[str, Job]]:
    """Divide the requested jobs into rounds: jobs that others need come first.

    A job that is requested together with the origin of its inputs would make everything in between as well.

    Args:
        jobs: all jobs of the plan.
        requested: jobs by first output.
    """
    depth: dict[int, int] = {}
    chosen = {id(job) for job in requested.values()}
    for start in range(len(jobs)):
        waiting = [start]
        while waiting:
            index = waiting[-1]
            unknown = [other for other in jobs[index].needs if other not in depth]
            if unknown:
                waiting += unknown
                continue
            waiting.pop()
            deepest = max((depth[other] for other in jobs[index].needs), default=0)
            depth[index] = deepest + (id(jobs[index]) in chosen)
    rounds: dict[int, dict[str, Job]] = {}
    for index, job in enumerate(jobs):
        if id(job) in chosen:
            rounds.setdefault(depth[index], {})[job.outputs[0]] = job
    for number in sorted(rounds):
        yield rounds[number]


def _make(outputs: Sequence[str], cores: int, arguments: Sequence[str], repaired: Repaired) -> None:
    command = [
        *(sys.executable, "-m", "snakemake", *outputs, "--cores", str(cores), *arguments),
        *("--quiet", "rules", "host"),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        last = " | ".join((done.stdout + done.stderr).splitlines()[-15:])
        raise PyvmafError(
            f"snakemake failed while it made damaged results again; they lie in {repaired.aside}. Its last lines: {last}"
        )


def _new_folder(folder: Path) -> Path:
    """Return a folder below `folder` that does not exist yet."""
    for number in range(1, 10_000):
        path = folder / str(number)
        if not path.exists():
            return path
    raise InputError(f"{folder} holds 10,000 repairs: empty it")
