"""Installed without extras, the package scores; a verb or option that lacks its extra says in one line which one it is.

The environment is made of links to what the dependencies of pyproject.toml bring, as pip would install it.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pyvmaf.base.extras import EXTRAS, contents, extra_of, package_of
from pyvmaf.base.verbs import STAGES
from pyvmaf.base.verbs import VERBS as ROWS
from pyvmaf.cli import VERBS
from tests.make.videos import REPOSITORY, make_video
from tests.workflow import linked
from tests.workflow.loaded import JOBS
from tests.workflow.test_environments import environment_of

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
ALL = [verb for verbs in VERBS.values() for verb in verbs]
BASE = {canonicalize_name(Requirement(item).name) for item in PROJECT["dependencies"]}
MODEL = REPOSITORY / "tests" / "artefacts" / "0.1.0" / "results" / "models" / "frame_model" / "seed0" / "model.onnx"
# Verbs that need nothing beside what scoring needs, at least with some of their options.
LIGHT = {
    "score",
    "features",
    "aggregate",
    "merge",
    "register",
    "verify",
    "trace",
    "schema",
    "code",
    "fetch-checkpoint",
    "probe",
    "hardware-caps",
    "calibrate-recipes",
}

# Calls every verb in one process, as a shell would: status and messages as JSON.
_CALLS = """
import contextlib, io, json, sys
from pyvmaf import cli
results = {}
for verb in sys.argv[1:]:
    for more in ([], ["--help"]):
        sys.argv = ["vmaf-train", verb, *more]
        out, err, code = io.StringIO(), io.StringIO(), 0
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                cli.main()
            except SystemExit as stopped:
                code = stopped.code
        results[" ".join([verb, *more])] = (code, out.getvalue(), err.getvalue())
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment without extras."""
    return linked.make(tmp_path_factory.mktemp("lean") / "environment", linked.closure(PROJECT["dependencies"]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pair")
    make_video(folder / "a.mkv", "240x176", 6)
    make_video(folder / "b.mkv", "240x176", 6, "-vf", "boxblur=1")
    return folder


def run(programs: Path, folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command of the environment, with nothing of this Python on any path."""
    passed = {"PATH": f"{programs}:/usr/bin:/bin", **variables}
    return subprocess.run(
        [programs / "vmaf-train", *words], cwd=folder, env=passed, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def called(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, tuple[int, str, str]]:
    """Status, output and messages of each verb, and of its help."""
    done = subprocess.run(
        [programs / "python", "-c", _CALLS, *ALL], cwd=tmp_path_factory.mktemp("calls"), capture_output=True, text=True,
        env={"PATH": f"{programs}:/usr/bin:/bin"}, check=True,
    )  # fmt: skip
    found: Mapping[str, tuple[int, str, str]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("verb", sorted(set(ALL) - LIGHT))
def test_a_verb_without_its_extra_names_it_in_one_line(verb: str, called: Mapping[str, tuple[int, str, str]]) -> None:
    code, out, err = called[verb]
    assert (code, out) == (2, "")
    assert err.startswith(f"error: vmaf-train {verb} needs ")
    assert err.count("\n") == 1
    assert extra_of(verb) in err.partition("vmaf-train[")[2]


@pytest.mark.parametrize("verb", ALL)
def test_the_help_needs_no_extra(verb: str, called: Mapping[str, tuple[int, str, str]]) -> None:
    code, out, err = called[f"{verb} --help"]
    assert (code, err) == (0, "")
    assert f"vmaf-train {verb}" in out


@pytest.mark.parametrize("verb", sorted(LIGHT))
def test_a_light_verb_lacks_nothing(verb: str, called: Mapping[str, tuple[int, str, str]]) -> None:
    _code, _out, err = called[verb]
    assert "pip install" not in err
    assert "Traceback" not in err


def test_a_pair_is_scored_without_extras(programs: Path, folder: Path) -> None:
    import pyvmaf

    done = run(programs, folder, "score", "a.mkv", "b.mkv", "-m", "v0.6", "-m", "v1", "-o", "rows.csv")
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0), done.stderr
    expected = pyvmaf.score(folder / "a.mkv", folder / "b.mkv", model=["v0.6", "v1"], threads=2)
    assert (folder / "rows.csv").read_text() == expected.text("csv")


def test_several_versions_are_scored_without_extras(programs: Path, folder: Path) -> None:
    for rung in range(4):
        for name in ("first", "second"):
            (folder / name).mkdir(exist_ok=True)
            (folder / name / f"{rung}.mkv").write_bytes((folder / "b.mkv").read_bytes())
    done = run(programs, folder, "score", "a.mkv", "first", "second")
    assert done.returncode == 0, done.stderr
    assert "a BD-rate needs scipy: pip install 'vmaf-train[report]'" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["-o", "rows.parquet"], "needs pyarrow: pip install 'vmaf-train[report]'"),
        (["--report", "page.html"], "pip install 'vmaf-train[report]'"),
        (["-m", str(MODEL)], "pip install 'vmaf-train[models]'"),
    ],
)
def test_an_option_without_its_extra_names_it_in_one_line(
    words: list[str], named: str, programs: Path, folder: Path
) -> None:
    done = run(programs, folder, "score", "a.mkv", "b.mkv", *words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert named in done.stderr
    assert not (folder / "rows.parquet").exists()


# --- one set everywhere ---------------------------------------------------------------------------------------------


def test_the_table_of_extras_is_that_of_the_project() -> None:
    declared = {
        name: [str(Requirement(item).name) + (f"[{','.join(Requirement(item).extras)}]" if item.startswith("vmaf-") else "")
               for item in items]
        for name, items in PROJECT["optional-dependencies"].items()
    }  # fmt: skip
    assert {name: sorted(items) for name, items in declared.items()} == {
        name: sorted(items) for name, items in EXTRAS.items()
    }


def _imported() -> Iterator[tuple[str, str]]:
    for path in [*REPOSITORY.glob("pyvmaf/**/*.py"), *REPOSITORY.glob("snakemake_logger_plugin_pyvmaf/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            yield from ((name.partition(".")[0], str(path)) for name in names)


def test_everything_that_is_imported_has_an_extra_or_comes_with_scoring() -> None:
    ours = {*sys.stdlib_module_names, *BASE, "pyvmaf", "__future__"}
    # Installed with typer, pydantic, optuna, onnx and snakemake.
    ours |= {"click", "pydantic_core", "sqlalchemy", "google", "snakemake_interface_logger_plugins"}
    strangers = {(name, path) for name, path in _imported() if name not in ours and package_of(name) is None}
    assert not strangers


def test_the_lock_has_every_extra() -> None:
    locked = linked.locked()
    left_out = {"ray", "snakemake-executor-plugin-slurm"}  # for their size, and for the program `which`
    wanted = BASE.union(*map(contents, EXTRAS)) - left_out
    assert not wanted - locked.keys()


@pytest.mark.parametrize("rule", sorted(JOBS))
def test_an_environment_of_conda_has_what_its_verbs_refuse_to_start_without(rule: str) -> None:
    from tests.workflow.loaded import SOURCES

    verb = SOURCES[rule].text.partition("vmaf-train ")[2].split()[0].strip('"')
    pins = linked.pins(REPOSITORY / "envs" / f"{environment_of(rule)}.yaml")
    assert not set(ROWS[verb].packages) - pins.keys()
    assert ROWS[verb].stage in STAGES
    # pip resolves what an environment pins from the same sets.
    assert set(ROWS[verb].packages) <= BASE | contents(extra_of(verb)) | (
        {"pyarrow"} if verb in ("report", "card") else set()
    )
