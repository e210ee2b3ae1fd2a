"""A stage's fingerprint changes with the code that computes it, and with nothing else."""

from __future__ import annotations

import ast
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pyvmaf import fingerprint as fp
from pyvmaf.errors import InputError

Edit = Callable[[Path], None]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package that nobody edits."""
    folder = tmp_path_factory.mktemp("package") / "pyvmaf"
    shutil.copytree(Path(fp.__file__).parent, folder, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    return folder


@pytest.fixture
def edited(package: Path, tmp_path: Path) -> Callable[[Edit], Path]:
    """Applies an edit to another copy and gives its folder."""
    counter = iter(range(100))

    def apply(edit: Edit) -> Path:
        copy = tmp_path / f"copy{next(counter)}"
        shutil.copytree(package, copy)
        edit(copy)
        return copy

    return apply


@pytest.fixture
def changed(package: Path, edited: Callable[[Edit], Path]) -> Callable[[Edit], set[str]]:
    """The stages whose fingerprint an edit changes."""

    def stages(edit: Edit) -> set[str]:
        copy = edited(edit)
        return {stage for stage in fp.STAGES if fp.fingerprint(stage, copy) != fp.fingerprint(stage, package)}

    return stages


def append(name: str, text: str) -> Edit:
    def edit(root: Path) -> None:
        with (root / name).open("a") as stream:
            stream.write(text)

    return edit


def test_a_copy_has_the_same_fingerprints(changed: Callable[[Edit], set[str]]) -> None:
    assert changed(lambda _root: None) == set()


def test_comments_docstrings_and_layout_do_not_count(changed: Callable[[Edit], set[str]]) -> None:
    def rewrite(root: Path) -> None:
        for path in root.rglob("*.py"):
            tree = ast.parse(path.read_text())
            for node in ast.walk(tree):
                if (
                    isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
                    and ast.get_docstring(node) is not None
                ):
                    node.body[0] = ast.Expr(ast.Constant("Other words."))
            # Unparsing drops every comment, blank line, bracket and quote style of the original.
            path.write_text("# A comment.\n" + ast.unparse(ast.fix_missing_locations(tree)) + "\n")

    assert changed(rewrite) == set()


def test_code_counts_wherever_it_stands(package: Path, changed: Callable[[Edit], set[str]]) -> None:
    rng = random.Random(3)
    modules = [m for m in fp.modules("models", package) if m.startswith("pyvmaf.models.")]
    for name in rng.sample(modules, 4):

        def edit(root: Path, name: str = name) -> None:
            path = root.joinpath(*name.split(".")[1:]).with_suffix(".py")
            tree = ast.parse(path.read_text())
            numbers = [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and type(n.value) is int]
            texts = [n for n in ast.walk(tree) if isinstance(n, ast.keyword) and n.arg]
            if numbers:
                rng.choice(numbers).value = 987_654_321
            else:
                rng.choice(texts).arg = "another"
            path.write_text(ast.unparse(tree))

        assert "models" in changed(edit), name


def test_a_change_reaches_the_stage_and_those_that_import_it(changed: Callable[[Edit], set[str]]) -> None:
    stages = changed(append("models/trainer.py", "\nX = 1\n"))
    assert "models" in stages
    assert not stages & {"corpora", "encodes", "features", "tables"}


def test_a_shared_module_counts_only_where_it_is_imported(changed: Callable[[Edit], set[str]]) -> None:
    stages = changed(append("splits.py", "\nX = 1\n"))
    assert "models" in stages
    assert not stages & {"corpora", "encodes", "features"}
    assert changed(append("provenance.py", "\nX = 1\n")) == set(fp.STAGES)


def test_the_command_line_does_not_count(changed: Callable[[Edit], set[str]]) -> None:
    assert changed(append("cli/models.py", "\nX = 1\n")) == set()


def test_a_new_file_of_a_stage_counts(changed: Callable[[Edit], set[str]]) -> None:
    assert changed(append("reports/extra.py", "X = 1\n")) == {"reports"}
    assert changed(append("reports/extra.json", "{}\n")) == {"reports"}
    assert changed(append("reports/README.md", "words\n")) == set()


@pytest.mark.parametrize("name", sorted(fp.ASIDE))
def test_packages_aside_replan_nothing(name: str, package: Path, edited: Callable[[Edit], Path]) -> None:
    def grow(root: Path) -> None:
        folder = root / fp.ASIDE[name]
        folder.mkdir(exist_ok=True)
        (folder / "another.py").write_text("X = 1\n")
        (folder / "another.json").write_text("{}\n")

    copy = edited(grow)
    differs = {
        stage for stage in (*fp.STAGES, *fp.ASIDE) if fp.fingerprint(stage, copy) != fp.fingerprint(stage, package)
    }
    assert differs == {name}


def test_data_files_count_where_their_module_is_used(package: Path, changed: Callable[[Edit], set[str]]) -> None:
    schema = next((package / "encodes").glob("*.json")).relative_to(package).as_posix()
    stages = changed(append(schema, "\n"))
    assert "encodes" in stages
    assert "corpora" not in stages


def test_imports_for_types_only_do_not_count(edited: Callable[[Edit], Path]) -> None:
    text = "\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pyvmaf.models import trainer\n"

    def hint(root: Path) -> None:
        append("corpora/spec.py", text)(root)

    def hint_and_change(root: Path) -> None:
        hint(root)
        append("models/trainer.py", "\nX = 1\n")(root)

    assert fp.fingerprint("corpora", edited(hint)) == fp.fingerprint("corpora", edited(hint_and_change))


def test_no_stage_imports_a_later_one() -> None:
    order = {stage: place for place, stage in enumerate(fp.STAGES)}
    for stage in fp.STAGES:
        used = {name.split(".")[1] for name in fp.modules(stage) if name.count(".")}
        later = [other for other in used & set(order) if order[other] > order[stage]]
        assert not later, f"{stage} imports {later}"


def test_only_features_depend_on_the_native_build(
    monkeypatch: pytest.MonkeyPatch, package: Path, edited: Callable[[Edit], Path]
) -> None:
    import pyvmaf.engine

    before = {stage: fp.fingerprint(stage, package) for stage in fp.STAGES}
    monkeypatch.setattr(pyvmaf.engine, "identity", lambda: "another libvmaf")
    copy = edited(lambda _root: None)
    differs = {stage for stage in fp.STAGES if fp.fingerprint(stage, copy) != before[stage]}
    assert differs == {stage for stage in fp.STAGES if fp.uses_native(stage)} == {"features"}


def test_an_unknown_stage_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match="unknown stage 'model': did you mean 'models'"):
        fp.fingerprint("model")


def _in_a_new_process(package: Path, cache: Path) -> tuple[str, float, list[str]]:
    code = (
        "import json, sys, time\n"
        "from pathlib import Path\n"
        "start = time.process_time()\n"
        "from pyvmaf import fingerprint as fp\n"
        "found = fp.fingerprint('features', Path(sys.argv[1]))\n"
        "spent = time.process_time() - start\n"
        "print(json.dumps([found, spent, sorted(sys.modules)]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(package)],
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    found, spent, modules = json.loads(done.stdout)
    return found, spent, modules


def test_it_is_cheap_and_imports_nothing_heavy(package: Path, tmp_path: Path) -> None:
    cold, _, modules = _in_a_new_process(package, tmp_path)
    assert not {"numpy", "torch", "onnx", "pandas", "pydantic", "pyvmaf._native"} & set(modules)
    warm = [_in_a_new_process(package, tmp_path) for _ in range(4)]
    assert all(found == cold for found, _, _ in warm)
    assert min(spent for _, spent, _ in warm) < 0.06  # seconds of CPU, imports included


@pytest.mark.parametrize("damage", [b"", b"not JSON", b"[]"])
def test_a_damaged_store_changes_nothing(package: Path, tmp_path: Path, damage: bytes) -> None:
    cold, _, _ = _in_a_new_process(package, tmp_path)
    (store,) = (tmp_path / "pyvmaf").iterdir()
    store.write_bytes(damage)
    assert _in_a_new_process(package, tmp_path)[0] == cold


def test_where_nothing_can_be_written_it_works_too(package: Path, tmp_path: Path) -> None:
    nowhere = tmp_path / "file"
    nowhere.touch()
    assert _in_a_new_process(package, nowhere)[0] == _in_a_new_process(package, tmp_path)[0]


def test_the_same_process_asks_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = fp.fingerprint("reports")
    monkeypatch.setattr(fp, "_closure", None)
    start = time.perf_counter()
    assert fp.fingerprint("reports") == first
    assert time.perf_counter() - start < 0.01
