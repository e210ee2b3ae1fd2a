"""scripts/gpu_check.sh: what it says without a device, and that it compares (with a driver on the processor)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.make.cuda_driver import fake_driver

pytestmark = pytest.mark.xdist_group("cuda")

REPOSITORY = Path(__file__).parents[2]
SCRIPT = REPOSITORY / "scripts" / "gpu_check.sh"


def run(out: Path, *words: str) -> tuple[int, dict[str, Any]]:
    command = [str(SCRIPT), "--out", str(out), *words]
    environment = {**os.environ, "PYTHON": sys.executable}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    print(result.stdout, result.stderr)
    return result.returncode, json.loads((out / "verdict.json").read_text())


@pytest.fixture
def image(tmp_path: Path) -> str:
    path = tmp_path / "image"
    path.write_bytes(b"fake\0")
    return str(path)


def test_a_machine_without_a_device_is_said_to_have_none(tmp_path: Path, image: str) -> None:
    with fake_driver(FAKE_CUDA_DEVICES="0"):
        status, verdict = run(tmp_path, "--image", image)
    assert status == 3
    assert verdict["verdict"] == "no device"
    assert "the CUDA driver does not start: CUDA_ERROR_NO_DEVICE" in verdict["reason"]


def test_equal_results(tmp_path: Path, image: str) -> None:
    with fake_driver():
        status, verdict = run(tmp_path, "--image", image, "--quick")
    assert status == 0
    assert verdict["verdict"] == "equal"
    assert verdict["compared"] == 108
    assert verdict["memory_not_freed"] == 0
    assert "108 results compared, 0 differ" in (tmp_path / "raw.txt").read_text()


def test_a_difference_is_found(tmp_path: Path, image: str) -> None:
    with fake_driver(FAKE_CUDA_WRONG="adm_visible_1", FAKE_CUDA_FROM="20"):
        status, verdict = run(tmp_path, "--image", image, "--quick")
    assert status == 1
    assert verdict["verdict"] == "differs"
    assert all(name.startswith("adm ") for name in verdict["mismatches"])
