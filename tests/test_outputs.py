"""Every verb of the command line: no output is an input or somebody else's file, whatever it is called."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import pyvmaf
from pyvmaf.base.manifest import write_manifest
from pyvmaf.base.verbs import VERBS as WRITERS
from pyvmaf.cli import VERBS, build
from pyvmaf.cli.common import FOLDERS, INTO_FOLDERS, MERGES, OUTPUTS, TO_STREAMS
from tests.make.commands import refusal

INPUTS = frozenset(
    [
        "archive",
        "backbone",
        "base_dir",
        "cache",
        "caps",
        "calibration",
        "checkpoint",
        "clips",
        "config",
        "corpora",
        "distorted",
        "encodes",
        "features",
        "file",
        "files",
        "fits",
        "frames",
        "inputs",
        "labels",
        "manifest",
        "masks",
        "model",
        "model_dir",
        "mos",
        "mos_csv",
        "negatives",
        "normalization",
        "onnx",
        "opinions",
        "packages",
        "pairs",
        "pairs_csv",
        "predicted",
        "predictor",
        "rate",
        "recipes",
        "reference",
        "registry",
        "reports",
        "results",
        "root",
        "sidecar",
        "sidecars",
        "source",
        "table",
        "train_config",
        "tree",
        "truth",
        "verdict",
        "video",
        "videos",
        "weights",
    ]
)
"""Parameters that name files or folders to read."""


@cache
def commands() -> dict[str, Any]:
    return dict(get_command(build()).commands)  # type: ignore[attr-defined]


def parameters(verb: str) -> list[Any]:
    return [parameter for parameter in commands()[verb].params if parameter.name not in ("help", "code")]


def is_path(parameter: Any) -> bool:
    return "Path" in str(parameter.type_descriptor.annotation)


def is_text(parameter: Any) -> bool:
    return "str" in str(parameter.type_descriptor.annotation)


CASES = [
    (verb, parameter.name)
    for verbs in VERBS.values()
    for verb in verbs
    for parameter in parameters(verb)
    if parameter.name in OUTPUTS and is_path(parameter)
]
FILES = [
    (verb, name) for verb, name in CASES if name not in FOLDERS and not (verb in INTO_FOLDERS and name == "output")
]


def test_every_parameter_that_is_a_path_is_known_as_input_or_output() -> None:
    unknown = {
        f"{verb} {parameter.name}"
        for verb in commands()
        for parameter in parameters(verb)
        if is_path(parameter) and parameter.name not in OUTPUTS | INPUTS
    }
    assert not unknown, "add them to OUTPUTS of pyvmaf.cli.common, or to INPUTS above"
    written = {verb for verb, _ in CASES}
    assert set(WRITERS) - written <= {"register"}, "a verb that writes an artefact has an output"


def test_every_verb_that_writes_an_artefact_publishes_it() -> None:
    """Its outputs then appear together, replace no input, and are those of inputs that did not change."""
    package = Path(pyvmaf.__file__).parent
    sources = "\n".join(path.read_text() for path in package.rglob("*.py"))
    assert {verb for verb in WRITERS if f'@publishes("{verb}")' not in sources} == MERGES


def test_outputs_that_are_folders_are_known() -> None:
    folders = {
        (verb, p.name) for verb in commands() for p in parameters(verb) if p.name in OUTPUTS and p.metavar == "DIR"
    }
    assert {verb for verb, name in folders if name == "output"} == INTO_FOLDERS
    assert {name for _, name in folders} <= {"output", *FOLDERS}


def words(verb: str, values: dict[str, str]) -> list[str]:
    """Return a command line with `values` and something for every other parameter that is required."""
    options, arguments = [verb], []
    for parameter in parameters(verb):
        if parameter.name in values:
            value = values[parameter.name]
        elif parameter.required:
            new = parameter.name in OUTPUTS
            value = f"new.{parameter.name}" if new else "other" if is_path(parameter) else "1"
        else:
            continue
        if not parameter.opts[0].startswith("-"):
            arguments.append(value)
        else:
            options += [parameter.opts[0], value]
    return [*options, *arguments]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    for name in ("other", "in/mine.mkv"):
        (tmp_path / name).write_text(f"content of {name}")
    return tmp_path


def listing() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}


def spellings(folder: Path) -> Iterator[str]:
    """Give one file several names."""
    os.link("in/mine.mkv", "hard.mkv")
    Path("soft.mkv").symlink_to("in/mine.mkv")
    Path("linked").symlink_to("in")
    return cycle(
        ["in/mine.mkv", str(folder / "in/mine.mkv"), "in/../in/./mine.mkv", "hard.mkv", "soft.mkv", "linked/mine.mkv"]
    )


@pytest.mark.parametrize(("verb", "output"), FILES)
def test_an_output_is_not_an_input(folder: Path, verb: str, output: str) -> None:
    names = spellings(folder)
    before = listing()
    inputs = [p for p in parameters(verb) if p.name not in OUTPUTS and (is_path(p) or is_text(p))]
    if verb in WRITERS:
        # Even a file that the verb itself has written is kept if it is read.
        write_manifest("in/mine.mkv", verb=verb, args={}, inputs={}, outputs={"x": Path("in/mine.mkv")})
        before = listing()
    for parameter in inputs:
        for value in ["in/mine.mkv"] if is_path(parameter) else ["in/mine.mkv", "name=in/mine.mkv"]:
            spelled = next(names)
            message = refusal(*words(verb, {parameter.name: value, output: spelled}))
            assert message.startswith(f"{Path(spelled)} would be written, but it is also read"), parameter.name
    assert listing() == before
    assert inputs or verb == "audit"


@pytest.mark.parametrize(("verb", "output"), [(verb, name) for verb, name in FILES if verb in WRITERS.keys() - MERGES])
def test_what_a_verb_did_not_write_is_kept(folder: Path, verb: str, output: str) -> None:
    write_manifest("in/mine.mkv", verb="fetch", args={}, inputs={}, outputs={"x": Path("in/mine.mkv")})
    before = listing()
    message = refusal(*words(verb, {output: "in/mine.mkv"}))
    assert f"in/mine.mkv exists already, and no manifest beside it says that {verb} wrote it" in message
    assert listing() == before


@pytest.mark.parametrize(("verb", "output"), CASES)
def test_paths_that_cannot_be_written(folder: Path, verb: str, output: str) -> None:
    before = listing()
    into_folder = (verb, output) not in FILES
    cases = {"other/below": "a file, not a folder", "x" * 300: "too long"}
    if not into_folder:
        cases |= {"in": "it is a folder"}
        cases |= {} if verb in TO_STREAMS else {"/dev/null": "a device or a pipe", "-": "a device or a pipe"}
    for path, reason in cases.items():
        message = refusal(*words(verb, {output: path}))
        assert "cannot write" in message
        assert reason in message
    if not into_folder:
        write_manifest("other", verb="fetch", args={}, inputs={}, outputs={"x": Path("other")})
        before = listing()
        assert "is the name of a manifest" in refusal(*words(verb, {output: "other.manifest.json"}))
    assert listing() == before
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("verb", sorted({verb for verb, _ in FILES}))
def test_two_outputs_have_two_names(folder: Path, verb: str) -> None:
    outputs = [name for other, name in FILES if other == verb]
    if len(outputs) > 1:
        message = refusal(*words(verb, dict(zip(outputs, ["new.json", "in/../new.json"], strict=False))))
        assert "is given as two outputs" in message
    assert not Path("new.json").exists()
