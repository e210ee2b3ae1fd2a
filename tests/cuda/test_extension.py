"""The extension with CUDA on a machine without a GPU: what it says about itself and the driver, and its scores."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pyvmaf
from pyvmaf.engines.libvmaf import build
from tests.make.cuda import BUILD, REPOSITORY, TOOLKIT, build_driver, python

pytestmark = pytest.mark.cuda

_ENGINE = "import json, pyvmaf; print(json.dumps(pyvmaf.engine()))"
_REFUSAL = """
from pyvmaf import _native
try:
    device = _native.CudaDevice({wanted!r}).describe()
except _native.CudaError as error:
    print(error.kind, error, sep=": ")
else:
    print(device)
"""


def said(driver: Path, wanted: str = "0", **settings: str) -> str:
    """Return what the extension says when a device is asked for."""
    done = python(_REFUSAL.format(wanted=wanted), driver, **settings)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_imports_without_a_driver_and_names_its_architectures(no_driver: Path) -> None:
    done = python(_ENGINE, no_driver)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["cuda"] is True
    # `make cuda` builds for few, an installed extension has all: see tests/native/test_build.py.
    assert facts["cuda_architectures"][0] == "sm_75"
    assert facts["cuda_architectures"][-1] == "compute_120"
    assert int(facts["nvcc"].split(".")[0]) >= 13
    # What the processor computes does not depend on CUDA: identities, and so cache entries, are the same.
    assert facts["identity"] == build.identity()
    assert "enable_cuda=true" in facts["flags"]


def test_scores_of_the_processor_are_those_of_a_build_without_cuda(
    pair: tuple[Path, Path], no_driver: Path, tmp_path: Path
) -> None:
    code = """
import numpy as np, pyvmaf
for backend in ("cpu", "auto"):
    scores = pyvmaf.score({0!r}, {1!r}, features="full", model="vmaf_v0.6.1", backend=backend, frames=(0, 24))
    np.savez({2!r} + "/" + backend + ".npz", **scores.columns)
"""
    import numpy as np

    done = python(code.format(str(pair[0]), str(pair[1]), str(tmp_path)), no_driver)
    assert done.returncode == 0, done.stderr
    for backend in ("cpu", "auto"):
        expected = pyvmaf.score(*pair, features="full", model="vmaf_v0.6.1", backend=backend, frames=(0, 24))
        columns = expected.columns
        with np.load(tmp_path / f"{backend}.npz") as found:
            assert sorted(found) == sorted(columns)
            for name, values in columns.items():
                np.testing.assert_array_equal(found[name], values, err_msg=name)


def test_no_symbol_of_libvmaf_or_cuda_is_exported_and_no_driver_is_linked() -> None:
    if shutil.which("readelf") is None or shutil.which("nm") is None:
        pytest.skip("binutils are not installed")
    where = python("from pyvmaf import _native; print(_native.__file__)").stdout.strip()
    exported = subprocess.check_output(["nm", "-D", "--defined-only", where], text=True)
    names = [line.split()[-1] for line in exported.splitlines()]
    assert "PyInit__native" in names
    assert not [name for name in names if name.startswith(("vmaf_", "cuda", "svm_")) or name.endswith("_ptx")]
    needed = subprocess.check_output(["readelf", "-d", where], text=True)
    assert "libcuda" not in needed


def test_a_missing_driver_is_named(no_driver: Path) -> None:
    assert said(no_driver) == "driver: CUDA's driver library libcuda.so.1 cannot be loaded"


def test_a_driver_that_lacks_a_function_is_refused(tmp_path: Path) -> None:
    folder = build_driver(tmp_path, "cuMemFreeAsync")
    expected = "function: CUDA's driver library libcuda.so.1 does not have the function cuMemFreeAsync: it is too old"
    assert said(folder) == expected
    # libvmaf loads the driver by the same functions.
    code = "from pyvmaf import _native; _native.Context(96, 64, '420', 8, cuda_device='0')"
    done = python(code, folder)
    assert done.returncode == 1
    assert "CudaError: CUDA's driver library libcuda.so.1 does not have" in done.stderr


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"FAKE_INIT": "999"}, "start: cuInit failed: CUDA_ERROR_999 (an error)"),
        (
            {"FAKE_VERSION": "12080"},
            "version: the driver supports CUDA 12.8, this build needs a driver for CUDA 13.0 or later",
        ),
        ({"FAKE_DEVICES": "0"}, "device: the driver reports no CUDA device"),
        (
            {"FAKE_CAPABILITY": "7.0"},
            "capability: device 0 (Test device 0) has compute capability 7.0, this build has code for {codes}",
        ),
        (
            {"FAKE_CAPABILITY": "11.0"},
            "capability: device 0 (Test device 0) has compute capability 11.0, this build has code for {codes}",
        ),
    ],
)
def test_what_is_missing_is_named(driver: Path, settings: dict[str, str], expected: str) -> None:
    codes = " ".join(json.loads(python(_ENGINE, driver).stdout)["cuda_architectures"])
    assert said(driver, **settings) == expected.format(codes=codes)


# Code for a device, for an earlier one of its generation, and what the driver compiles for a later generation.
@pytest.mark.parametrize("capability", ["7.5", "12.0", "12.1", "13.0"])
def test_devices_that_the_build_has_code_for_are_accepted(driver: Path, capability: str) -> None:
    major, minor = map(int, capability.split("."))
    assert f"'capability': ({major}, {minor})" in said(driver, FAKE_CAPABILITY=capability)


def test_a_device_is_found_by_index_and_by_uuid(driver: Path) -> None:
    uuid = "GPU-11111111-1111-1111-1111-111111111111"
    assert f"'index': 1, 'name': 'Test device 1', 'uuid': '{uuid}'" in said(driver, "1", FAKE_DEVICES="2")
    assert said(driver, uuid, FAKE_DEVICES="2") == said(driver, "1", FAKE_DEVICES="2")
    assert said(driver, "GPU-11", FAKE_DEVICES="2") == said(driver, "1", FAKE_DEVICES="2")
    assert said(driver, "2", FAKE_DEVICES="2") == (
        "device: '2' names 0 CUDA devices, not 1; the devices by index and UUID are "
        f"0 GPU-10101010-1010-1010-1010-101010101010, 1 {uuid}"
    )
    assert said(driver, "GPU-1", FAKE_DEVICES="2").startswith("device: 'GPU-1' names 2 CUDA devices, not 1")


def test_a_context_on_a_device_runs_through_libvmaf_and_has_no_threads(driver: Path) -> None:
    """The driver of the tests computes nothing: this shows that libvmaf's path is called in an order that it accepts."""
    code = """
import numpy as np
from pyvmaf import _native
context = _native.Context(96, 64, "400", 8, cuda_device="0")
for name in ("vif_cuda", "adm_cuda", "motion_cuda"):
    context.use_feature(name, {})
plane = np.arange(96 * 64, dtype=np.uint8).reshape(64, 96)
for index in range(9):
    context.read([plane], [plane], index)
context.flush()
scores, present = context.feature_scores("VMAF_integer_feature_motion2_score", np.arange(9))
print(present.all(), scores.tolist())
context.close()
try:
    _native.Context(96, 64, "400", 8, n_threads=2, cuda_device="0")
except ValueError as error:
    print(error)
"""
    done = python(code, driver)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"True {[0.0] * 9}",
        "a context on a CUDA device must have no worker threads: libvmaf flushes motion twice with them",
    ]


def test_a_build_without_cuda_says_so() -> None:
    if build.cuda_architectures():
        pytest.skip("the installed build has CUDA")
    from pyvmaf import _native

    with pytest.raises(_native.CudaError, match="this build of pyvmaf computes on the processor only") as raised:
        _native.cuda_devices()
    assert raised.value.kind == "build"


def test_a_build_without_the_compiler_is_refused(tmp_path: Path) -> None:
    options = ["-DPYVMAF_CUDA=ON", f"-DPYVMAF_CUDA_TOOLKIT={tmp_path}"]
    command = ["cmake", "-S", REPOSITORY, "-B", tmp_path / "build", *options]
    process = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert process.returncode != 0
    assert "bin/nvcc is not in the toolkit" in " ".join(process.stderr.split())
    assert "run `make setup CUDA=1`" in " ".join(process.stderr.split())


def test_the_built_extension_has_the_names_of_the_installed_one() -> None:
    if not BUILD.is_dir():
        pytest.skip("the extension with CUDA is not built beside the installed one: run `make cuda`")
    from pyvmaf import _native

    code = "from pyvmaf import _native; print(*sorted(vars(_native)))"
    assert python(code).stdout.split() == sorted(vars(_native))


@pytest.mark.parametrize("with_cuda", [True, False])
def test_a_system_library_is_taken_if_it_has_cuda(tmp_path: Path, with_cuda: bool) -> None:
    """The builds of the pinned library serve as system libraries: they come with files for pkg-config."""
    if shutil.which("pkg-config") is None:
        pytest.skip("pkg-config is not installed")
    builds = {
        bool(json.loads(path.read_text())["nvcc"]): path.parent
        for path in sorted(BUILD.parent.glob("libvmaf/*/libvmaf.json"))
        if "nvcc" in path.read_text()
    }
    if with_cuda not in builds or not TOOLKIT.is_dir():
        pytest.skip("build/libvmaf has no such build of libvmaf: run `make cuda`")
    options = ["-DPYVMAF_LIBVMAF=system", "-DPYVMAF_CUDA=ON", f"-DPYVMAF_CUDA_TOOLKIT={TOOLKIT}"]
    process = subprocess.run(
        ["cmake", "-S", REPOSITORY, "-B", tmp_path, f"-DPython_EXECUTABLE={sys.executable}", *options],
        capture_output=True,
        text=True,
        env={**os.environ, "PKG_CONFIG_PATH": str(builds[with_cuda] / "lib" / "pkgconfig")},
    )
    if with_cuda:
        assert process.returncode == 0, process.stderr
        facts = json.loads((tmp_path / "_native_build.json").read_text())
        assert facts["cuda"] is True
        assert facts["commit"].startswith("system-")
    else:
        assert process.returncode != 0
        assert "was built without CUDA" in " ".join(process.stderr.split())
