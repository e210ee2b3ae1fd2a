"""A plan of 20,000 jobs: planning, auditing, the same with everything made, and 1,000 jobs that do nothing.

Figures are processor seconds: a plan is one thread, so on an idle machine they are what the clock shows, and a busy one
flatters nobody. The clock stands beside them. Of the 1,000 jobs either may meet the bar: two of them run at a time.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.clips import report

REPOSITORY = Path(__file__).parents[1]
PLANNED = [
    "--snakefile", str(REPOSITORY / "workflow" / "Snakefile"),
    "--profile", str(REPOSITORY / "profiles" / "default"),
    "--configfile", "big.yaml",
]  # fmt: skip
CLIPS = 766
"""With the default run's five ladders of four rungs: 26 jobs per clip, 20,000 in all."""
TRIVIAL = 1_000

PLAN_SECONDS, PLAN_MB, AUDIT_SECONDS, AUDIT_RATIO, TRIVIAL_SECONDS = 20.0, 600.0, 30.0, 1.5, 25.0

_TRIVIAL = f"""
rule all:
    input: expand("out/{{i}}.txt", i=range({TRIVIAL}))
    localrule: True

rule trivial:
    output: "out/{{i}}.txt"
    shell: "echo {{wildcards.i}} > {{output:q}}"
"""

# Everything as a finished run leaves it: files, manifests that hold their hashes, and Snakemake's own records, written
# by Snakemake's own planner and keeper of records. What is in the files no plan or audit reads, but for the registry.
_FINISH = """
import asyncio, sys
from graphlib import TopologicalSorter
from pathlib import Path
from pyvmaf import provenance
from pyvmaf.audit import planned
from snakemake.settings.types import ExecutionSettings

provenance.os.fsync = lambda handle: None

def finish(workflow):
    dag, keeper = workflow.dag, workflow.persistence
    workflow.iocache.deactivate()
    workflow.execution_settings = ExecutionSettings()
    jobs = {job: list(dag.dependencies[job]) for job in dag.jobs}
    for job in TopologicalSorter(jobs).static_order():
        if not job.output:
            continue
        files = [Path(path) for path in job.output if not path.endswith(provenance.MANIFEST_SUFFIX)]
        for path in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            registry = path.name == "registry.json"
            path.write_text('{"schema_version": 0, "models": [], "held": []}' if registry else str(path))
        read = [Path(path) for path in job.input if not path.endswith(provenance.MANIFEST_SUFFIX)]
        provenance.write_manifest(
            files[0], verb=job.rule.name, args={}, inputs={"read": read}, outputs={"made": files},
            seconds=1.0,
        )
        asyncio.run(keeper.finished(job))
    return []

planned._records = finish
planned.load(sys.argv[1:])
"""


@dataclass(frozen=True)
class _Cost:
    """What a command took: exit code, processor seconds, seconds, peak resident megabytes."""

    code: int
    processor: float
    clock: float
    mb: float

    def __str__(self) -> str:
        return f"{self.processor:.1f} s ({self.clock:.1f} s by the clock), {self.mb:.0f} MB"


def _run(folder: Path, *command: str) -> _Cost:
    """Run a command in `folder`, quietly. Its children count with their processor time."""
    with tempfile.TemporaryFile() as said:
        before = os.times()
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        clock = os.times().elapsed - before.elapsed
        if process.returncode not in (0, 1):
            said.seek(0)
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {said.read()[-2000:].decode()}")
    return _Cost(process.returncode, usage.ru_utime + usage.ru_stime, clock, usage.ru_maxrss / 1024)


def _snakemake(folder: Path, *arguments: str) -> _Cost:
    cost = _run(folder, sys.executable, "-m", "snakemake", *arguments)
    if cost.code != 0:
        raise RuntimeError(f"snakemake {' '.join(arguments)} failed in {folder}")
    return cost


def _configure(folder: Path) -> None:
    """A folder corpus of many clips; only their names and labels matter to a plan."""
    import yaml

    (folder / "videos").mkdir(parents=True)
    (folder / "config" / "corpora").mkdir(parents=True)
    keys = [f"clip{place:05d}" for place in range(CLIPS)]
    for key in keys:
        (folder / "videos" / f"{key}.mkv").write_text(key)
    entries = [
        {"key": key, "path": f"{key}.mkv", "sha256": f"{place:064x}", "source": key, "group": f"film{place // 10}"}
        for place, key in enumerate(keys)
    ]
    corpus = {"name": "big", "kind": "folder", "license": "CC0-1.0", "root": "../../videos", "entries": entries}
    (folder / "config" / "corpora" / "big.yaml").write_text(yaml.safe_dump(corpus))
    (folder / "big.yaml").write_text(yaml.safe_dump({"corpora": ["big"]}))


def _compared(folder: Path, state: str, code: int, repeats: int) -> bool:
    """Audits against summaries, in turns; the ratio is the median of those of each turn."""
    audits, summaries = [], []
    for _ in range(repeats):
        summaries.append(_snakemake(folder, *PLANNED, "--summary"))
        audits.append(_run(folder, sys.executable, "-m", "pyvmaf", "audit", *PLANNED))
    assert {audit.code for audit in audits} == {code}, f"the audit ended with {audits}"
    best = min(audits, key=lambda cost: cost.processor)
    ratio = statistics.median(a.processor / s.processor for a, s in zip(audits, summaries, strict=True))
    met = report(
        f"audit, {state}", f"{best} (bar {AUDIT_SECONDS:g} s)", min(best.processor, best.clock) <= AUDIT_SECONDS
    )
    return met & report(
        f"audit against snakemake --summary, {state}",
        f"{ratio:.2f} (bar {AUDIT_RATIO:g}; summary {min(s.processor for s in summaries):.1f} s)",
        ratio <= AUDIT_RATIO,
    )


def main() -> bool:
    """Print each figure; False where a bar is missed."""
    repeats = int(os.environ.get("BENCH_REPEATS", "3"))
    print(f"scale: the workflow with {CLIPS} clips and the default run's ladders, best of {repeats}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "big"
        _configure(folder)
        plans = [_snakemake(folder, *PLANNED, "-n", "--quiet") for _ in range(repeats)]
        best = min(plans, key=lambda cost: cost.processor)
        met = report(
            "plan of 20,000 jobs",
            f"{best} (bar {PLAN_SECONDS:g} s, {PLAN_MB:g} MB)",
            min(best.processor, best.clock) <= PLAN_SECONDS and best.mb <= PLAN_MB,
        )
        met &= _compared(folder, "nothing made", 1, repeats)
        if _run(folder, sys.executable, "-c", _FINISH, *PLANNED).code != 0:
            raise RuntimeError("the finished run could not be made")
        met &= _compared(folder, "everything made", 0, repeats)

        small = Path(name) / "small"
        small.mkdir()
        (small / "Snakefile").write_text(_TRIVIAL)
        runs = [
            _snakemake(small, "--profile", PLANNED[3], "--cores", "2", "--quiet", "--forceall") for _ in range(repeats)
        ]
        best = min(runs, key=lambda cost: cost.processor)
        met &= report(
            f"{TRIVIAL:,} trivial jobs at --cores 2",
            f"{best} (bar {TRIVIAL_SECONDS:g} s)",
            min(best.processor, *(run.clock for run in runs)) <= TRIVIAL_SECONDS,
        )
    return met


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
