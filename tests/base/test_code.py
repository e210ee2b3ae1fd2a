"""The identity of a verb's code changes with the code that computes it, and with nothing else."""

from __future__ import annotations

import ast
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pyvmaf.base import code
from pyvmaf.base.code import Uses, identity, modules
from pyvmaf.base.families import uses
from pyvmaf.base.verbs import VERBS
from pyvmaf.errors import InputError

Edit = Callable[[Path], None]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package that nobody edits."""
    folder = tmp_path_factory.mktemp("package") / "pyvmaf"
    shutil.copytree(Path(code.__file__).parents[1], folder, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
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
    """The verbs whose identity for a regressor an edit changes."""

    def verbs(edit: Edit) -> set[str]:
        copy = edited(edit)
        return {
            verb
            for verb in VERBS
            if identity(verb, uses(verb, "fr"), root=copy) != identity(verb, uses(verb, "fr"), root=package)
        }

    return verbs


def append(name: str, text: str) -> Edit:
    def edit(root: Path) -> None:
        path = root / name
        path.parent.mkdir(exist_ok=True)
        with path.open("a") as stream:
            stream.write(text)

    return edit


def replace(name: str, old: str, new: str) -> Edit:
    def edit(root: Path) -> None:
        text = (root / name).read_text()
        assert text.count(old) == 1, f"{name} holds {text.count(old)} times {old!r}"
        (root / name).write_text(text.replace(old, new))

    return edit


def test_a_copy_has_the_same_identities(changed: Callable[[Edit], set[str]]) -> None:
    assert changed(lambda _root: None) == set()


def test_comments_docstrings_layout_and_the_words_of_messages_do_not_count(changed: Callable[[Edit], set[str]]) -> None:
    def rewrite(root: Path) -> None:
        rewritten = {"docstring": 0, "message": 0}
        for path in root.rglob("*.py"):
            tree = ast.parse(path.read_text())
            for node in ast.walk(tree):
                if (
                    isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
                    and ast.get_docstring(node) is not None
                ):
                    node.body[0] = ast.Expr(ast.Constant("Other words."))
                    rewritten["docstring"] += 1
                if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                    for text in ast.walk(node.exc):
                        if isinstance(text, ast.Constant) and isinstance(text.value, str):
                            text.value = f"{text.value} Other words."
                            rewritten["message"] += 1
            # Unparsing drops every comment, blank line, bracket and quote style of the original.
            path.write_text("# A comment.\n" + ast.unparse(ast.fix_missing_locations(tree)) + "\n")
        assert min(rewritten.values()) > 100

    assert changed(rewrite) == set()


def test_code_counts_wherever_it_stands(package: Path, changed: Callable[[Edit], set[str]]) -> None:
    rng = random.Random(3)
    for name in rng.sample([m for m in modules("fit", root=package) if m.startswith("pyvmaf.models.")], 4):

        def edit(root: Path, name: str = name) -> None:
            path = root.joinpath(*name.split(".")[1:]).with_suffix(".py")
            tree = ast.parse(path.read_text())
            functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
            rng.choice(functions).body.append(ast.Expr(ast.Constant(987_654_321)))
            path.write_text(ast.unparse(ast.fix_missing_locations(tree)))

        assert "fit" in changed(edit), name


CODE = "\nADDED = 1\n"
FITTED = {"fit", "tune", "subset-sweep"}


@pytest.mark.parametrize(
    ("edit", "some", "none"),
    [
        pytest.param(append("models/regressor/trainer.py", CODE), FITTED, {"encode", "combine"}, id="trainer"),
        pytest.param(
            append("splits.py", CODE), {"fit", "eval"}, {"prepare", "encode", "extract-features"}, id="shared"
        ),
        pytest.param(append("base/files.py", CODE), set(VERBS), set(), id="foundation"),
        pytest.param(append("video/shots.py", CODE), {"prepare", "encode"}, {"fit", "judge"}, id="video"),
    ],
)
def test_a_change_reaches_the_verbs_that_import_it(
    changed: Callable[[Edit], set[str]], edit: Edit, some: set[str], none: set[str]
) -> None:
    verbs = changed(edit)
    assert some <= verbs
    assert not verbs & none


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(append("cli/models.py", CODE), id="command line"),
        pytest.param(append("errors.py", CODE), id="errors"),
        pytest.param(append("base/verbs.py", CODE), id="table of verbs"),
        pytest.param(append("models/unused.py", CODE), id="new file"),
        pytest.param(append("reports/README.md", "words\n"), id="words beside code"),
        pytest.param(
            replace("codecs/encoders.py", 'aliases=("x264", "h264", "avc"),', 'aliases=("x264", "h264"),'),
            id="row of encoders",
        ),
        pytest.param(replace("features/catalog.py", '("debug", "true")', '("debug", "false")'), id="row of features"),
        pytest.param(
            replace(
                "models/spec.py",
                "class Gates(Section):",
                "class More(Section):\n    x: int = 1\n\n\nclass Gates(Section):",
            ),
            id="section of a model",
        ),
        pytest.param(
            replace(
                "corpora/spec.py",
                "class Raw(Section):",
                "class More(Section):\n    x: int = 1\n\n\nclass Raw(Section):",
            ),
            id="section of a corpus",
        ),
    ],
)
def test_what_no_verb_computes_with_changes_nothing(changed: Callable[[Edit], set[str]], edit: Edit) -> None:
    assert changed(edit) == set()


def test_every_group_of_keys_is_seen_to_be_one() -> None:
    """The bases are read as they are written, without following imports."""
    from pyvmaf.base.section import Section
    from pyvmaf.workflow import config

    config.documents()  # imports every kind of corpus and family
    waiting, hidden = [Section], []
    while waiting:
        below = waiting.pop().__subclasses__()
        hidden += [
            kind.__qualname__
            for kind in below
            if Section not in kind.__bases__ and kind.__module__.startswith("pyvmaf.")
        ]
        waiting += below
    assert not hidden


def test_a_file_that_a_module_reads_counts(changed: Callable[[Edit], set[str]]) -> None:
    assert changed(append("reports/assets/page.css", "\n")) >= {"report", "card"}
    assert not changed(append("reports/assets/page.css", "\n")) & {"fit", "summary"}


def test_imports_for_types_only_do_not_count(edited: Callable[[Edit], Path]) -> None:
    text = "\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pyvmaf.models.regressor import trainer\n"

    def hint(root: Path) -> None:
        append("corpora/spec.py", text)(root)

    def hint_and_change(root: Path) -> None:
        hint(root)
        append("models/regressor/trainer.py", CODE)(root)

    assert identity("prepare", root=edited(hint)) == identity("prepare", root=edited(hint_and_change))


def test_what_data_choose_is_named_by_the_plan() -> None:
    plain = identity("fetch")
    assert identity("fetch", Uses(modules=("pyvmaf.models.regressor.kernels",))) != plain
    first, second = (identity("fetch", Uses(facts=(("engine", name),))) for name in ("a", "b"))
    assert len({plain, first, second}) == 3


def test_every_verb_has_an_entry_module(package: Path) -> None:
    for verb, row in VERBS.items():
        assert row.entry in modules(verb, root=package), verb


def test_an_unknown_verb_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match="unknown verb 'fitt': did you mean 'fit'"):
        identity("fitt")


def _in_a_new_process(package: Path, cache: Path) -> tuple[str, int, list[str]]:
    """Identity, number of syntax trees that were parsed, imported modules."""
    program = (
        "import ast, json, sys\n"
        "from pathlib import Path\n"
        "parsed, parse = [], ast.parse\n"
        "ast.parse = lambda *words: parsed.append(1) or parse(*words)\n"
        "from pyvmaf.base.code import identity\n"
        "found = identity('extract-features', root=Path(sys.argv[1]))\n"
        "print(json.dumps([found, len(parsed), sorted(sys.modules)]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(package)],
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    digest, parsed, imported = json.loads(done.stdout)
    return digest, parsed, imported


def test_the_second_process_parses_nothing_and_none_imports_anything_heavy(package: Path, tmp_path: Path) -> None:
    cold, parsed, imported = _in_a_new_process(package, tmp_path)
    assert parsed > 10
    assert not {"numpy", "torch", "onnx", "pandas", "pydantic", "pyvmaf._native"} & set(imported)
    assert _in_a_new_process(package, tmp_path)[:2] == (cold, 0)


@pytest.mark.parametrize("damage", [b"", b"not JSON", b"[]"])
def test_a_damaged_store_changes_nothing(package: Path, tmp_path: Path, damage: bytes) -> None:
    cold = _in_a_new_process(package, tmp_path)[0]
    (store,) = (tmp_path / "pyvmaf").iterdir()
    store.write_bytes(damage)
    assert _in_a_new_process(package, tmp_path)[0] == cold


def test_where_nothing_can_be_written_it_works_too(package: Path, tmp_path: Path) -> None:
    nowhere = tmp_path / "file"
    nowhere.touch()
    assert _in_a_new_process(package, nowhere)[0] == _in_a_new_process(package, tmp_path)[0]


def test_a_process_keeps_the_identity_that_it_read_first(edited: Callable[[Edit], Path]) -> None:
    copy = edited(lambda _: None)
    first = identity("report", root=copy)
    shutil.rmtree(copy)
    assert identity("report", root=copy) == first
