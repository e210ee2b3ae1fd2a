"""The line on a real SLURM: a job is lost, the run is interrupted, and every byte in the end is that of a local run.

`make test-slurm` starts the cluster and runs this test; without a cluster it is skipped.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.make.videos import REPOSITORY
from tests.make.workflows import SNAKEFILE, artefacts, prepare_small_run, snakemake, write_yaml

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(
        shutil.which("sbatch") is None or not Path("/etc/slurm/slurm.conf").is_file(),
        reason="no SLURM runs here: `make test-slurm` starts one",
    ),
]

PROFILE = REPOSITORY / "profiles" / "slurm"
# By default the plugin asks for the first status after 40 s, and then less and less often.
SOON = ("--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "1")


def squeue(*arguments: str) -> list[str]:
    done = subprocess.run(["squeue", "-h", *arguments], capture_output=True, text=True, check=True)
    return done.stdout.split()


@contextmanager
def started(folder: Path, log: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start the workflow on the cluster; a run that is still there in the end is interrupted, so that it cancels its jobs."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(SNAKEFILE), "--configfile", "small.yaml"]
    command += ["--workflow-profile", str(PROFILE), *SOON, *arguments]
    with log.open("wb") as stream:
        # In a session of its own, so that the signal below reaches Snakemake alone.
        run = subprocess.Popen(command, cwd=folder, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        yield run
    finally:
        if run.poll() is None:
            run.send_signal(signal.SIGINT)
            try:
                run.wait(timeout=60)
            except subprocess.TimeoutExpired:
                run.kill()
                run.wait()


def wait_until(seen: Callable[[], bool], run: subprocess.Popen[bytes], log: Path, seconds: float = 900) -> None:
    deadline = time.monotonic() + seconds
    while not seen():
        assert run.poll() is None, f"the run ended too early:\n{log.read_text()}"
        assert time.monotonic() < deadline, f"not seen within {seconds} s:\n{log.read_text()}"
        time.sleep(0.2)


def wait_until_empty(seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while squeue():
        assert time.monotonic() < deadline, f"cancelling the run left jobs in the queue: {squeue()}"
        time.sleep(0.2)


def prepare(folder: Path, clips: Mapping[str, Path]) -> None:
    """Write a small run with jobs of every rule and arrays of four; each job starts Snakemake, which takes seconds."""
    prepare_small_run(folder, clips)
    run = yaml.safe_load((folder / "small.yaml").read_text())
    write_yaml(folder / "small.yaml", run | {"codecs": ["libx264"], "seeds": [0]})


def test_a_run_with_a_lost_job_and_an_interruption_gives_the_bytes_of_a_local_run(
    embedded_corpus: Mapping[str, Path], tmp_path: Path
) -> None:
    local, cluster = tmp_path / "local", tmp_path / "cluster"
    prepare(local, embedded_corpus)
    begin = time.monotonic()
    snakemake(local, "--configfile", "small.yaml", "--cores", str(os.cpu_count()))
    seconds = {"local": time.monotonic() - begin}

    prepare(cluster, embedded_corpus)
    log = tmp_path / "first.log"
    begin = time.monotonic()
    with started(cluster, log) as run:
        killed: set[str] = set()

        def a_job_runs() -> bool:
            killed.update(squeue("-t", "RUNNING", "-o", "%A"))
            return bool(killed)

        wait_until(a_job_runs, run, log)
        # A lost node ends its jobs.
        subprocess.run(["scancel", "--signal=KILL", "--full", *killed], check=True)
        wait_until(lambda: "Trying to restart job" in log.read_text(), run, log)
        wait_until(lambda: len(list(cluster.glob("results/encodes/*/*/*/*.mkv"))) >= 2, run, log)
        wait_until(lambda: bool(squeue()), run, log)
        run.send_signal(signal.SIGINT)
        assert run.wait(timeout=300) == 1, log.read_text()
    wait_until_empty(seconds=120)
    half = {path for path in cluster.glob("results/**/*") if path.is_file()}
    assert half
    assert not (cluster / "results" / "registry" / "registry.json").exists()

    log = tmp_path / "second.log"
    with started(cluster, log) as again:
        assert again.wait(timeout=1800) == 0, log.read_text()
    seconds["SLURM, with a lost job and an interruption"] = time.monotonic() - begin

    first, second = artefacts(local / "results"), artefacts(cluster / "results")
    assert set(first) == set(second)
    assert {name for name in first if first[name] != second[name]} == set()
    # The profile submits ladders as arrays.
    text = (tmp_path / "first.log").read_text() + log.read_text()
    assert re.search(r"array", text, re.IGNORECASE), text
    snakemake(cluster, "--configfile", "small.yaml", "-n")
    audit = [sys.executable, "-m", "pyvmaf", "audit", "--snakefile", str(SNAKEFILE), "--configfile", "small.yaml"]
    done = subprocess.run(audit, cwd=cluster, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    ratio = seconds["SLURM, with a lost job and an interruption"] / seconds["local"]
    print(f"\n{len(first)} files equal; {seconds}; ratio {ratio:.1f}")
