"""The extension and the build of libvmaf in it: identity, symbols, licences, stub, docstrings."""

from __future__ import annotations

import ast
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
from typing import Any

import pytest

import pyvmaf
from pyvmaf import _native
from pyvmaf.engines.libvmaf import build

REPOSITORY = Path(__file__).parents[2]
EXTENSION = Path(_native.__file__)


def test_engine_describes_the_build() -> None:
    facts = build.engine()
    assert facts["pyvmaf"] == importlib.metadata.version("vmaf-train")
    assert tuple(map(int, facts["libvmaf"].split(".")[:2])) >= (3, 2)
    assert facts["sha256"] == hashlib.sha256(EXTENSION.read_bytes()).hexdigest()
    assert facts["commit"] in facts["identity"]
    assert facts["compiler"]
    assert facts["simd"] in ("avx512icl", "avx512", "avx2", "neon", "c")
    assert facts["cuda"] is bool(facts["cuda_architectures"]) is bool(facts["nvcc"])
    assert json.dumps(facts)


def test_the_package_exports_engine() -> None:
    code = "import pyvmaf; from pyvmaf.engines.libvmaf import build; assert pyvmaf.engine() == build.engine()"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_identity_does_not_load_the_extension() -> None:
    code = (
        "import sys; from pyvmaf.engines.libvmaf.build import identity; print(identity()); "
        "print([name for name in ('pyvmaf._native', 'numpy') if name in sys.modules])"
    )
    lines = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split("\n")
    assert lines[0] == build.identity()
    assert lines[1] == "[]"
    pinned = re.fullmatch(r"libvmaf-[0-9a-f]{40}-[0-9a-f]{16}(\+adm-[a-z-]+){3}", lines[0])
    assert pinned or lines[0].startswith("libvmaf-system-")


def test_build_file_and_extension_agree() -> None:
    file = json.loads(EXTENSION.with_name("_native_build.json").read_text())
    compiled = _native.build_info()
    assert {key: file[key] for key in compiled} == compiled
    assert file["version"] == _native.version().split("-")[0]


def _parameters(function: ast.stmt) -> tuple[list[str], list[str], int]:
    """Return names of the positional and of the keyword-only parameters, and the number of defaults."""
    assert isinstance(function, ast.FunctionDef)
    positional, keyword_only = function.args.args, function.args.kwonlyargs
    defaults = [default for default in (*function.args.defaults, *function.args.kw_defaults) if default is not None]
    return [item.arg for item in positional], [item.arg for item in keyword_only], len(defaults)


def _stub() -> dict[str, ast.stmt]:
    """Return the public definitions of the stub by qualified name."""
    tree = ast.parse(Path(pyvmaf.__file__).with_name("_native.pyi").read_text())
    definitions: dict[str, ast.stmt] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            definitions[node.name] = node
        if isinstance(node, ast.ClassDef):
            members = (member for member in node.body if isinstance(member, ast.FunctionDef))
            definitions |= {f"{node.name}.{member.name}": member for member in members}
    return definitions


def _bindings() -> dict[str, Any]:
    """Return the public classes, functions, methods and properties of the extension by qualified name."""
    bindings = {name: value for name, value in vars(_native).items() if not name.startswith("_")}
    classes = [value for value in bindings.values() if isinstance(value, type) and not issubclass(value, Exception)]
    for kind in classes:
        members = {name: value for name, value in vars(kind).items() if name == "__init__" or not name.startswith("_")}
        bindings |= {f"{kind.__name__}.{name}": value for name, value in members.items()}
    return bindings


def test_stub_and_extension_have_the_same_names() -> None:
    assert set(_stub()) == set(_bindings())


def test_the_package_is_typed() -> None:
    assert Path(pyvmaf.__file__).with_name("py.typed").is_file()
    options = ("--mypy-config-file", "native/stubtest.ini", "--allowlist", "native/stubtest.txt")
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "pyvmaf._native", *options],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", list(_bindings()))
def test_a_binding_has_a_docstring_and_the_signature_of_the_stub(name: str) -> None:
    binding, doc = _bindings()[name], _bindings()[name].__doc__
    if callable(binding) and not isinstance(binding, type):
        # pybind11 writes the signature above the text.
        signature, _, doc = doc.partition("\n\n")
        assert _parameters(ast.parse(f"def {signature}: ...").body[0]) == _parameters(_stub()[name])
    assert re.match(r"[A-Z][^\n]+[^ ]\.(\n|$)", doc.strip()), doc


def test_no_symbol_of_libvmaf_is_exported() -> None:
    if shutil.which("nm") is None:
        pytest.skip("nm is not installed")
    process = subprocess.run(["nm", "-D", "--defined-only", EXTENSION], capture_output=True, text=True, check=True)
    names = [line.split()[-1] for line in process.stdout.splitlines()]
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


def test_an_extension_with_cuda_has_code_for_each_generation_of_devices(tmp_path: Path) -> None:
    """The builds of the tests have less (`make cuda`), the default of the script is what `make setup CUDA=1` installs."""
    build_libvmaf = _script()
    codes = ("sm_75", "sm_80", "sm_90", "sm_100", "sm_120", "compute_120")
    toolkit, manifest = tmp_path / "toolkit", REPOSITORY / "native" / "libvmaf" / "Cargo.toml"
    nvcc = toolkit / "bin" / "nvcc"
    nvcc.parent.mkdir(parents=True)
    nvcc.write_text("#!/bin/sh\necho V13.0.88\n")
    nvcc.chmod(0o755)
    cc, cxx = build_libvmaf.compilers("cc", "c++")
    inputs = {
        "manifest": manifest.read_text(),
        "script": (REPOSITORY / "scripts" / "build_libvmaf.py").read_text(),
        "cc": build_libvmaf.first_line(cc, "--version"),
        "cxx": build_libvmaf.first_line(cxx, "--version"),
        "cuda": build_libvmaf.Cuda(toolkit, REPOSITORY / "native" / "cuda", codes).inputs(),
    }
    prefix = tmp_path / build_libvmaf.digest(inputs)[:16]
    prefix.mkdir()
    (prefix / "libvmaf.json").write_text("{}")
    command = [sys.executable, str(REPOSITORY / "scripts" / "build_libvmaf.py"), "--manifest", str(manifest)]
    command += ["--cache", str(tmp_path), "--cuda", str(toolkit)]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    assert process.stdout.strip() == str(prefix)
    # Nothing else says which: the option of CMake stays empty, and a system library is taken to have the same.
    assert "PYVMAF_CUDA_CODE" not in (REPOSITORY / "scripts" / "setup.sh").read_text()
    assert f'PYVMAF_CUDA_ARCHITECTURES "{" ".join(codes)}"' in (REPOSITORY / "cmake" / "libvmaf.cmake").read_text()
    assert f"| {', '.join(codes[:-1])}, and PTX of 12.0" in (REPOSITORY / "docs" / "cuda.md").read_text()


def test_the_list_of_architectures_takes_the_place_of_libvmafs(tmp_path: Path) -> None:
    build_libvmaf = _script()
    name, line = build_libvmaf.GENCODE
    path = tmp_path / name
    path.parent.mkdir()
    path.write_text(f"    gencode = ['--fatbin', '-gencode=arch=compute_90,code=sm_90']\n{line}")
    build_libvmaf.Cuda(tmp_path, tmp_path, ("sm_75", "compute_120")).edit(tmp_path)
    *_, last, used = path.read_text().splitlines(keepends=True)
    assert used == line
    flags = ["--fatbin", "-gencode=arch=compute_75,code=sm_75", "-gencode=arch=compute_120,code=compute_120"]
    assert ast.literal_eval(last.partition("=")[2].strip()) == flags
    path.write_text("gencode = []\n")
    with pytest.raises(build_libvmaf.BuildError, match="occurs 0 times, not once"):
        build_libvmaf.Cuda(tmp_path, tmp_path).edit(tmp_path)


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
    # The cache answers without any tool but the compilers.
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    assert process.stdout.strip() == str(prefix)
    changed = tmp_path / "Cargo.toml"
    changed.write_text(manifest.read_text() + "# another\n")
    command[3] = str(changed)
    process = subprocess.run(
        [*command, "--cc", shutil.which("cc") or "cc", "--cxx", shutil.which("c++") or "c++"],
        capture_output=True,
        text=True,
        env={"PATH": str(tmp_path)},
    )
    assert process.returncode == 1
    assert "needs cargo, nasm, pkg-config, xxd: install with `apt-get install" in process.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([prefix.name, "Cargo.toml", "lock"])


def test_an_edit_that_does_not_apply_is_an_error(tmp_path: Path) -> None:
    build_libvmaf = _script()
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "meson.build").write_text("avx2_cflags = ['-mavx']\n")
    with pytest.raises(build_libvmaf.BuildError, match="occurs 0 times, not once"):
        build_libvmaf.edit(tmp_path)
    library = tmp_path / "libvmaf.a"
    library.write_bytes(b"src_vmaf_v0_6_1_json")
    with pytest.raises(build_libvmaf.BuildError, match=r"lacks the built-in models vmaf_b_v0_6_3"):
        build_libvmaf.check_models(library)
