"""The extension with CUDA, and drivers without a device, for processes that tests start."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pyvmaf.engines.libvmaf import build

REPOSITORY = Path(__file__).parents[2]
BUILD = REPOSITORY / "build" / "cuda"
TOOLKIT = REPOSITORY / ".cache" / "cuda" / "nvidia" / "cu13"
HEADERS = TOOLKIT / "include"
SOURCE = REPOSITORY / "tests" / "cuda" / "driver.c"


def extension_path() -> list[str]:
    """Return what ``PYTHONPATH`` needs so that a process has the extension with CUDA; skip the test if there is none."""
    site = BUILD / "site"
    if (site / "sitecustomize.py").is_file():
        return [str(site)]
    if build.cuda_architectures():
        return []
    pytest.skip("the extension with CUDA is not built: run `make cuda` (no GPU needed)")


def environment(driver: Path | None = None, **more: str) -> dict[str, str]:
    """Return the environment of a process with the extension with CUDA.

    Args:
        driver: folder of the driver library that it finds.
        more: further variables.
    """
    paths = [*extension_path(), str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
    libraries = [str(driver)] if driver else []
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "LD_LIBRARY_PATH": os.pathsep.join([*libraries, os.environ.get("LD_LIBRARY_PATH", "")]),
        **more,
    }


def python(code: str, driver: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    """Run code in a Python with the extension with CUDA."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, env=environment(driver, **more), timeout=300)


def build_driver(folder: Path, *without: str) -> Path:
    """Build a driver library into a folder.

    Args:
        folder: where it is made.
        without: functions that it lacks.
    """
    compiler = shutil.which("cc")
    if compiler is None or not (HEADERS / "cuda.h").is_file():
        pytest.skip("the driver of the tests needs a C compiler and CUDA's headers: run `make cuda`")
    folder.mkdir(parents=True, exist_ok=True)
    options = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", f"-I{HEADERS}"]
    leave_out = [f"-DWITHOUT_{name}" for name in without]
    subprocess.run([compiler, *options, *leave_out, SOURCE, "-o", folder / "libcuda.so.1"], check=True)
    return folder
