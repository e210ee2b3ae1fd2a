"""The profiles of clusters: they are complete, and a scheduler of scripts receives the jobs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from pyvmaf.base.files import sha256_file
from tests.make.videos import REPOSITORY
from tests.make.workflows import SNAKEFILE, prepare_small_run
from tests.workflow.loaded import JOBS, SOURCES

PROFILES = REPOSITORY / "profiles"
PLUGIN = REPOSITORY / "requirements" / "generic.txt"


def profile(name: str) -> dict[str, Any]:
    settings: dict[str, Any] = yaml.safe_load((PROFILES / name / "config.yaml").read_text())
    return settings


@pytest.mark.parametrize("name", ["slurm", "generic"])
def test_a_cluster_profile_is_complete(name: str) -> None:
    """Snakemake replaces keys of profiles/default instead of merging them, so the profile repeats everything.

    How many devices there are is told to a cluster's jobs by their resources; the default profile counts those of one machine.
    """
    found, default = profile(name), profile("default")
    assert default.pop("resources") == ["gpu=1"]
    assert {key: found.get(key) for key in default} == default
    assert found["executor"] == {"slurm": "slurm", "generic": "cluster-generic"}[name]
    assert found["jobs"] >= 100
    assert found["latency-wait"] >= 30
    assert found["retries"] >= 1
    assert {"mem_mb", "runtime"} <= set(found["default-resources"])
    assert f"--workflow-profile profiles/{name}" in (PROFILES / name / "config.yaml").read_text()
    assert f"profiles/{name}" in (REPOSITORY / "docs" / "workflow.md").read_text()


def test_the_slurm_profile_sets_status_command_and_arrays() -> None:
    found, text = profile("slurm"), (PROFILES / "slurm" / "config.yaml").read_text()
    assert "slurm_partition" in found["default-resources"]
    assert re.search(r"^ *#? *slurm_account: ", text, re.MULTILINE)
    assert found["slurm-status-command"] == "squeue"
    assert set(found["slurm-array-jobs"].split(", ")) == {"encode_rung", "extract_features"} <= JOBS


@pytest.mark.parametrize("name", sorted(JOBS))
def test_a_retry_asks_for_more_memory_and_time(name: str) -> None:
    block = SOURCES[name].text
    memory = re.search(r"mem_mb=(?:lambda wildcards, attempt: (\d+) \* attempt|(\d+)),", block)
    time = re.search(r"runtime=(?:lambda wildcards, attempt: (\d+) \* attempt|(\d+)),", block)
    assert memory
    assert time
    assert bool(memory[1]) == bool(time[1])
    # Jobs whose size does not depend on the data only list or fetch files.
    assert memory[1] or int(memory[2]) <= 500


@pytest.fixture(scope="module")
def plugin() -> Path:
    """A folder with the executor that the profile names; it is no part of the lock."""
    folder = REPOSITORY / ".cache" / "generic"
    if not (folder / "snakemake_executor_plugin_cluster_generic").is_dir():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--require-hashes", "--target", str(folder), "-r", str(PLUGIN)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode and "PYVMAF_REQUIRE_NETWORK" not in os.environ:
            pytest.skip(f"the plugin cannot be downloaded: {done.stderr.strip()}")
        assert done.returncode == 0, done.stderr
    return folder


# A scheduler of one machine that answers as PBS Professional does. It keeps the request and the exit status of each job.
_QSUB = """#!/bin/bash
for script; do :; done
id=$$.pbs
printf '%s\\n' "$*" > "$QUEUE/$id.asked"
(setsid bash "$script" > "$QUEUE/$id.out" 2>&1; echo $? > "$QUEUE/$id.exit") > /dev/null 2>&1 &
echo "$id"
"""
_QSTAT = """#!/bin/bash
[ "$1 $2" = "-x -f" ] || exit 2
[ -e "$QUEUE/$3.asked" ] || exit 153
echo "Job Id: $3"
if [ -e "$QUEUE/$3.exit" ]; then
    echo "    job_state = F"
    echo "    Exit_status = $(cat "$QUEUE/$3.exit")"
else
    echo "    job_state = R"
fi
"""


@pytest.fixture
def cluster(tmp_path: Path, plugin: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the scheduler keeps its jobs."""
    queue, programs = tmp_path / "queue", tmp_path / "programs"
    queue.mkdir()
    programs.mkdir()
    for name, text in {"qsub": _QSUB, "qstat": _QSTAT}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("QUEUE", str(queue))
    monkeypatch.setenv("PYTHONPATH", str(plugin))
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    return queue


def generic(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(SNAKEFILE), "--configfile", "small.yaml"]
    command += ["--workflow-profile", str(PROFILES / "generic"), "--seconds-between-status-checks", "1"]
    return subprocess.run([*command, *arguments], cwd=folder, capture_output=True, text=True)


@pytest.fixture
def folder(tmp_path: Path, embedded_corpus: Mapping[str, Path]) -> Path:
    """A small run that nobody has started."""
    prepare_small_run(tmp_path / "run", embedded_corpus)
    return tmp_path / "run"


@pytest.mark.slow
def test_a_dry_run_with_the_generic_profile_submits_nothing(cluster: Path, folder: Path) -> None:
    whole = generic(folder, "--dry-run", "--quiet", "rules", "host")
    assert whole.returncode == 0, whole.stderr
    assert re.search(r"^encode_rung +8$", whole.stdout + whole.stderr, re.MULTILINE)
    assert not list(cluster.iterdir())


@pytest.mark.slow
def test_the_generic_profile_submits_a_job_with_its_resources(cluster: Path, folder: Path, finished_run: Path) -> None:
    clip = "results/corpora/mine/carphone.mkv"
    done = generic(folder, clip)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sha256_file(folder / clip) == sha256_file(finished_run / clip)
    [request] = [path.read_text() for path in cluster.glob("*.asked")]
    for words in ("-N prepare_clip", "select=1:ncpus=1:mem=1500mb", "walltime=3600"):
        assert words in request


@pytest.mark.slow
def test_a_failed_job_is_submitted_again_with_more_memory_and_time(cluster: Path, folder: Path) -> None:
    (folder / "videos" / "bikes_1.mkv").write_bytes(b"no video")
    failed = generic(folder, "results/corpora/mine/bikes_1.mkv")
    assert failed.returncode != 0
    requests = "".join(path.read_text() for path in cluster.glob("*.asked"))
    attempts = range(1, profile("generic")["retries"] + 2)
    assert {int(mb) for mb in re.findall(r"mem=(\d+)mb", requests)} == {1500 * attempt for attempt in attempts}
    assert {int(s) for s in re.findall(r"walltime=(\d+)", requests)} == {3600 * attempt for attempt in attempts}
    assert "no video" not in failed.stdout
    assert "bikes_1" in failed.stdout + failed.stderr
    shutil.rmtree(folder)
