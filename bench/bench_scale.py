"""A plan of 20,000 jobs: planning and auditing with nothing and with everything made, and 1,000 jobs that do nothing.

Figures are processor seconds, which a busy machine changes less than the clock; the clock stands beside them. A plan is
one thread. The 1,000 jobs meet their bar by either figure, because two of them run at a time.
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

# Leaves everything as a finished run does: files, manifests with their hashes, and Snakemake's records, written by
# Snakemake itself. No plan or audit reads the content of the files, except that of the registry.
_FINISH = """
import asyncio, os, sys
from graphlib import TopologicalSorter
from pathlib import Path
from pyvmaf.base import manifest
from pyvmaf.workflow.audit import planned
from snakemake.settings.types import ExecutionSettings

os.fsync = lambda handle: None

def finish(workflow):
    dag, persistence = workflow.dag, workflow.persistence
    workflow.iocache.deactivate()
    workflow.execution_settings = ExecutionSettings()
    jobs = {job: list(dag.dependencies[job]) for job in dag.jobs}
    for job in TopologicalSorter(jobs).static_order():
        if not job.output:
            continue
        files = [Path(path) for path in job.output if not path.endswith(manifest.MANIFEST_SUFFIX)]
        for path in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            registry = path.name == "registry.json"
            path.write_text('{"schema_version": 0, "models": [], "held": []}' if registry else str(path))
        inputs = [Path(path) for path in job.input if not path.endswith(manifest.MANIFEST_SUFFIX)]
        manifest.write_manifest(
            files[0], verb=job.shellcmd.split()[1], args={}, inputs={"files": inputs}, outputs={"files": files},
            seconds=1.0,
        )
        asyncio.run(persistence.finished(job))
    return []

planned._records = finish
planned.load(sys.argv[1:])
"""


@dataclass(frozen=True)
class _Cost:
    """Cost of a command: exit code, processor seconds, seconds of the clock, peak resident megabytes."""

    code: int
    processor: float
    clock: float
    mb: float

    def __str__(self) -> str:
        return f"{self.processor:.1f} s ({self.clock:.1f} s by the clock), {self.mb:.0f} MB"


def _run(folder: Path, *command: str) -> _Cost:
    """Run a command in `folder` without output. The processor time of its children counts."""
    with tempfile.TemporaryFile() as output:
        before = os.times()
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        clock = os.times().elapsed - before.elapsed
        if process.returncode not in (0, 1):
            output.seek(0)
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {output.read()[-2000:].decode()}")
    return _Cost(process.returncode, usage.ru_utime + usage.ru_stime, clock, usage.ru_maxrss / 1024)


def _snakemake(folder: Path, *arguments: str) -> _Cost:
    cost = _run(folder, sys.executable, "-m", "snakemake", *arguments)
    if cost.code != 0:
        raise RuntimeError(f"snakemake {' '.join(arguments)} failed in {folder}")
    return cost


def _configure(folder: Path) -> None:
    """Write a folder corpus of many clips; a plan reads only their names and labels."""
    import yaml

    (folder / "videos").mkdir(parents=True)
    (folder / "config" / "corpora").mkdir(parents=True)
    keys = [f"clip{index:05d}" for index in range(CLIPS)]
    for key in keys:
        (folder / "videos" / f"{key}.mkv").write_text(key)
    entries = [
        {"key": key, "path": f"{key}.mkv", "sha256": f"{index:064x}", "source": key, "group": f"film{index // 10}"}
        for index, key in enumerate(keys)
    ]
    corpus = {"name": "big", "kind": "folder", "license": "CC0-1.0", "root": "../../videos", "entries": entries}
    (folder / "config" / "corpora" / "big.yaml").write_text(yaml.safe_dump(corpus))
    (folder / "big.yaml").write_text(yaml.safe_dump({"corpora": ["big"]}))


def _compared(folder: Path, state: str, code: int, repeats: int) -> bool:
    """Compare audits with summaries in turn; the ratio is the median over the turns."""
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
    """Print each figure; False if a bar is missed."""
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
