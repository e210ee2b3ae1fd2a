"""The engine `libvmaf-cuda` with the extension that has CUDA, on drivers without a device.

Such a driver runs libvmaf's whole path on the host, but kernels compute nothing: what a broken device would do.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.make.cuda import build_driver, python

pytestmark = pytest.mark.cuda

_SCORE = """
import pyvmaf
from pyvmaf.errors import PyvmafError
try:
    scores = pyvmaf.score({0!r}, {1!r}, features="canonical6,psnr_y", model={2!r}, backend="libvmaf-cuda", frames=(0, 6))
except PyvmafError as error:
    print(type(error).__name__, error, sep=": ")
else:
    print(scores.columns)
"""


def scored(pair: tuple[Path, Path], driver: Path, **settings: str) -> str:
    """Return what scoring a pair says."""
    done = python(_SCORE.format(str(pair[0]), str(pair[1]), None), driver, **settings)
    assert done.returncode == 0, done.stderr
    # The child's errors are in the exception, not on the terminal.
    assert done.stderr == ""
    return done.stdout.strip()


def test_a_device_that_computes_nothing_gives_no_score(pair: tuple[Path, Path], driver: Path) -> None:
    said = scored(pair, driver)
    assert said.startswith("NativeError: engine 'libvmaf-cuda' ")
    assert "no score of it is used" in said


@pytest.mark.parametrize(
    ("settings", "start", "part"),
    [
        (
            {"FAKE_FAIL": "cuLaunchKernel:700:9"},
            "NativeError: the process of engine 'libvmaf-cuda' printed an error (read): code: 700; description: CUDA_ERROR_700",
            "no score of it is used",
        ),
        (
            {"FAKE_FAIL": "cuMemAlloc:2:3"},
            "NativeError: the process of engine 'libvmaf-cuda' printed an error",
            "CUDA_ERROR_OUT_OF_MEMORY",
        ),
        (
            {"FAKE_ABORT": "cuLaunchKernel"},
            "NativeError: the process of engine 'libvmaf-cuda' ended by signal 6 (read)",
            "",
        ),
        (
            {"FAKE_FREE": "100000000"},
            "UnavailableError: engine 'libvmaf-cuda' cannot compute: frames of 176x144 need ",
            "of 8192 MiB 95 MiB are free: use fewer threads or another device",
        ),
        (
            {"FAKE_CAPABILITY": "6.1"},
            "UnavailableError: engine 'libvmaf-cuda' cannot compute: device 0 (Test device 0) has compute capability 6.1",
            "use a device of compute capability 7.5 or later",
        ),
        (
            {"FAKE_DEVICES": "0"},
            "UnavailableError: engine 'libvmaf-cuda' cannot compute: the driver reports no CUDA device",
            "set PYVMAF_CUDA_DEVICE",
        ),
        (
            {"PYVMAF_CUDA_DEVICE": "3"},
            "UnavailableError: engine 'libvmaf-cuda' cannot compute: '3' names 0 CUDA devices, not 1",
            "0 GPU-10101010-",
        ),
        (
            {"FAKE_INIT": "100"},
            "UnavailableError: engine 'libvmaf-cuda' cannot compute: cuInit failed: CUDA_ERROR_100",
            "check the driver with nvidia-smi",
        ),
    ],
)
def test_what_fails_on_a_device_is_named(
    pair: tuple[Path, Path], driver: Path, settings: dict[str, str], start: str, part: str
) -> None:
    said = scored(pair, driver, **settings)
    assert said.startswith(start)
    assert part in said
    assert "\n" not in said


def test_a_missing_driver_and_one_that_lacks_a_function_are_named(
    pair: tuple[Path, Path], no_driver: Path, tmp_path: Path
) -> None:
    assert scored(pair, no_driver) == (
        "UnavailableError: engine 'libvmaf-cuda' cannot compute: CUDA's driver library libcuda.so.1 cannot be loaded: install "
        "NVIDIA's driver on this machine, or use backend auto"
    )
    assert "does not have the function cuMemFreeAsync: it is too old: install a newer driver" in scored(
        pair, build_driver(tmp_path, "cuMemFreeAsync")
    )


def test_processes_choose_different_devices(driver: Path, tmp_path: Path) -> None:
    code = """
import json
from pyvmaf.engines.device.process import DeviceProcess
from pyvmaf.engines.libvmaf_cuda import device
children = [DeviceProcess("libvmaf-cuda", device.__name__, "any") for _ in range(3)]
print(json.dumps([child.device for child in children]))
for child in children:
    child.stop()
"""
    done = python(code, driver, FAKE_DEVICES="2", TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    # A third one shares the first device.
    assert [device["index"] for device in found] == [0, 1, 0]
    assert found[0]["driver"] == 13000
    assert found[0]["capability"] == [12, 0]
