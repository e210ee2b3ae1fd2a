"""What was built, and that the build is what it says."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from pyvmaf import _native
from pyvmaf.engines.libvmaf import build
from pyvmaf.engines.libvmaf.context import Context
from pyvmaf.engines.libvmaf.models import Model, predict

REPOSITORY = Path(__file__).parents[2]
EXTENSION = Path(_native.__file__)


def test_engine_says_what_computes() -> None:
    found = build.engine()
    assert found["pyvmaf"] == importlib.metadata.version("vmaf-train")
    assert tuple(map(int, found["libvmaf"].split(".")[:2])) >= (3, 2)
    assert found["sha256"] == hashlib.sha256(EXTENSION.read_bytes()).hexdigest()
    assert found["commit"] in found["identity"]
    assert found["compiler"]
    assert found["simd"] in ("avx512icl", "avx512", "avx2", "neon", "c")
    assert found["cuda"] is ("cuda" in build.backends())
    assert json.dumps(found)


def test_the_package_answers_for_its_engine() -> None:
    code = "import pyvmaf; from pyvmaf.engines.libvmaf import build; assert pyvmaf.engine() == build.engine()"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_identity_comes_without_the_extension() -> None:
    code = (
        "import sys; from pyvmaf.engines.libvmaf.build import identity; print(identity()); "
        "print([name for name in ('pyvmaf._native', 'numpy') if name in sys.modules])"
    )
    lines = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split("\n")
    assert lines[0] == build.identity()
    assert lines[1] == "[]"
    pinned = re.fullmatch(r"libvmaf-[0-9a-f]{40}-[0-9a-f]{16}", lines[0])
    assert pinned or lines[0].startswith("libvmaf-system-")


def test_build_file_and_extension_agree() -> None:
    beside = json.loads(EXTENSION.with_name("_native_build.json").read_text())
    inside = _native.build_info()
    assert {key: beside[key] for key in inside} == inside
    assert beside["version"] == _native.version().split("-")[0]


def test_no_symbol_of_the_library_gets_out() -> None:
    if shutil.which("nm") is None:
        pytest.skip("nm is not installed")
    done = subprocess.run(["nm", "-D", "--defined-only", EXTENSION], capture_output=True, text=True, check=True)
    names = [line.split()[-1] for line in done.stdout.splitlines()]
    assert "PyInit__native" in names
    assert not [name for name in names if name.startswith(("vmaf_", "svm_", "adm_", "vif_"))]


def test_the_wheel_carries_the_licences_of_what_it_links() -> None:
    if build.engine()["commit"].startswith("system"):
        pytest.skip("a system library is linked at run time")
    files = importlib.metadata.files("vmaf-train") or []
    texts = {path.name: path.read_text() for path in files if "licenses" in path.parts}
    assert "BSD+Patent" in texts["LICENSE"]
    assert "Netflix" in texts["libvmaf.txt"]
    for name in ("libsvm.txt", "pybind11.txt", "xiph.txt", "iqa.txt"):
        assert "Redistribution" in texts[name], name


def _script() -> ModuleType:
    path = REPOSITORY / "scripts" / "build_libvmaf.py"
    spec = importlib.util.spec_from_file_location("build_libvmaf", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_build_that_changes_nothing_builds_nothing(tmp_path: Path) -> None:
    script = REPOSITORY / "scripts" / "build_libvmaf.py"
    manifest = REPOSITORY / "native" / "libvmaf" / "Cargo.toml"
    build_libvmaf = _script()
    cc, cxx = build_libvmaf.compilers("cc", "c++")
    inputs = {
        "manifest": manifest.read_text(),
        "script": script.read_text(),
        "cc": build_libvmaf.first_line(cc, "--version"),
        "cxx": build_libvmaf.first_line(cxx, "--version"),
    }
    prefix = tmp_path / build_libvmaf.digest(inputs)[:16]
    prefix.mkdir()
    (prefix / "libvmaf.json").write_text("{}")
    command = [sys.executable, str(script), "--manifest", str(manifest), "--cache", str(tmp_path)]
    # Without any tool on the path but the compilers' own, only the cache can answer.
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(prefix)
    broken = tmp_path / "Cargo.toml"
    broken.write_text(manifest.read_text() + "# another\n")
    command[3] = str(broken)
    done = subprocess.run(
        [*command, "--cc", shutil.which("cc") or "cc", "--cxx", shutil.which("c++") or "c++"],
        capture_output=True,
        text=True,
        env={"PATH": str(tmp_path)},
    )
    assert done.returncode == 1
    assert "needs cargo, nasm, pkg-config, xxd: install with `apt-get install" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([prefix.name, "Cargo.toml", "lock"])


def test_the_edits_of_the_source_must_apply(tmp_path: Path) -> None:
    build_libvmaf = _script()
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "meson.build").write_text("avx2_cflags = ['-mavx']\n")
    with pytest.raises(build_libvmaf.BuildError, match="holds the text to be replaced 0 times, not once"):
        build_libvmaf.edit(tmp_path)
    library = tmp_path / "libvmaf.a"
    library.write_bytes(b"src_vmaf_v0_6_1_json")
    with pytest.raises(build_libvmaf.BuildError, match=r"lacks the built-in models vmaf_b_v0_6_3"):
        build_libvmaf.check_models(library)


def _resident_kb() -> int:
    match = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert match is not None
    return int(match.group(1))


@pytest.mark.parametrize("n_threads", [0, 2])
def test_memory_stays_flat_over_2000_frames(n_threads: int) -> None:
    rng = np.random.default_rng(5)
    planes = [rng.integers(0, 256, (64, 96), np.uint8)]
    with Context(96, 64, "400", n_threads=n_threads) as context:
        for name in ("vif", "adm", "motion"):
            context.use_feature(name)
        sizes = []
        for index in range(2000):
            context.read(planes, planes, index)
            if index in (200, 1999):
                sizes.append(_resident_kb())
        context.flush()
        # 14 scores of 16 bytes per frame are 0.4 MB; pictures alone would be 23 MB.
        assert sizes[1] - sizes[0] < 3000


def test_contexts_give_their_memory_back() -> None:
    planes = [np.zeros((360, 640), np.uint8)]
    sizes = []
    for turn in range(60):
        with Context(640, 360, "400") as context:
            context.use_model("vmaf_v0.6.1")
            context.read(planes, planes, 0)
            context.flush()
        if turn in (10, 59):
            sizes.append(_resident_kb())
    assert sizes[1] - sizes[0] < 10_000


def test_prediction_does_not_grow_with_the_rows() -> None:
    model = Model("vmaf_v0.6.1")
    features = {key: np.full(20_000, 0.7) for key in model.info.keys}
    predict(model, {key: values[:2000] for key, values in features.items()})
    before = _resident_kb()
    predict(model, features)
    assert _resident_kb() - before < 8000
