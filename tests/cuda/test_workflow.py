"""Runs whose configuration measures on a device: planned with the extension that has CUDA, and what each job takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.make.cuda import REPOSITORY, environment

pytestmark = pytest.mark.cuda


def test_jobs_that_measure_on_a_device_take_the_resource_gpu(tmp_path: Path) -> None:
    """A plan needs the build, not the device: the machine that plans for a cluster may have none."""
    table = "results/features/embedded/carphone/libx264.parquet"
    command = [str(Path(sys.executable).with_name("snakemake")), "-n", "-p", "-s", f"{REPOSITORY}/workflow/Snakefile"]
    done = subprocess.run(
        [*command, "-d", str(tmp_path), "--config", "backend=libvmaf-cuda", "--", table],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    jobs = done.stdout.split("\n\n")
    measuring = [job for job in jobs if "rule extract_features" in job]
    assert len(measuring) == 1
    assert "gpu=1" in measuring[0]
    assert "--backend libvmaf-cuda" in done.stdout
    assert not [job for job in jobs if "rule encode_rung" in job and "gpu=" in job]
