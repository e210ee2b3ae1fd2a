"""The command as a whole: quick to start, light, and clear about what goes wrong."""

from __future__ import annotations

import ast
import gc
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest
from typer.main import get_command

from pyvmaf.cli import VERBS, build, leave_garbage
from tests.make.commands import command, refusal

HEAVY = ("torch", "onnx", "onnxruntime", "pandas", "pyarrow", "scipy", "sklearn", "altair", "av", "pyvmaf._native")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pyvmaf", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_help_imports_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "pyvmaf", "--help"], capture_output=True, text=True, check=True
    )
    imported = {line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if "|" in line}
    assert "typer" in imported
    assert not imported & set(HEAVY)


@pytest.mark.parametrize("module", VERBS)
def test_the_table_of_verbs_names_what_a_module_registers(module: str) -> None:
    assert tuple(get_command(build([module])).commands) == tuple(VERBS[module])  # type: ignore[attr-defined]


def test_a_verb_loads_no_other_module_of_the_command_line() -> None:
    code = "import sys; sys.argv[1:] = ['encode', '--help']; from pyvmaf.cli import main; main()"
    report = (
        "import atexit, sys; atexit.register(lambda: print([m for m in sys.modules if m.startswith('pyvmaf.cli.')]))"
    )
    done = subprocess.run([sys.executable, "-c", f"{report}; {code}"], capture_output=True, text=True, check=True)
    modules = {name.removeprefix("pyvmaf.cli.") for name in ast.literal_eval(done.stdout.splitlines()[-1])}
    assert modules == {"common", "declared", "encodes", "plain", "verbs"}


def test_the_help_lists_every_verb() -> None:
    commands = command("--help").stdout.split("Commands:")[1]
    listed = re.findall(r"^  ([a-z][a-z0-9-]+)  ", commands, re.MULTILINE)
    shown = {name for name, verb in get_command(build()).commands.items() if not verb.hidden}  # type: ignore[attr-defined]
    assert set(listed) == shown


@pytest.mark.parametrize("verb", [verb for verbs in VERBS.values() for verb in verbs])
def test_every_verb_explains_itself(verb: str) -> None:
    done = command(verb, "--help")
    assert done.returncode == 0
    assert len(done.stdout) > 200


def test_a_mistyped_verb_is_an_error() -> None:
    done = run("scor")
    assert done.returncode == 2
    assert "scor" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    done = subprocess.run(
        ["vmaf-train", f"--show-completion={shell}"], capture_output=True, text=True, check=False,
        env={"PATH": f"{sys.prefix}/bin:/usr/bin:/bin", "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
    )  # fmt: skip
    assert done.returncode == 0
    assert "_VMAF_TRAIN_COMPLETE" in done.stdout


def test_a_stale_plan_is_refused() -> None:
    message = refusal("combine", "--code", "0123456789abcdef", "-o", "x.parquet", "a=b.parquet")
    assert re.search(
        r"the plan asks for 'combine' with code 0123456789abcdef, but the installed code is \w{16}", message
    )


def test_a_process_refuses_as_these_tests_do() -> None:
    words = ("score", "none.mkv", "none.mkv")
    done = run(*words)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {refusal(*words)}\n")


def test_garbage_is_left_unless_bindings_would_call_it_leaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "triton", types.ModuleType("triton"))
    gc.unfreeze()
    try:
        leave_garbage()
        assert gc.get_freeze_count() == 0
        monkeypatch.delitem(sys.modules, "triton")
        leave_garbage()
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


@pytest.mark.parametrize(
    ("frames", "message"),
    [("1,b", "--frames '1,b' is not a list of whole numbers"), ("-1,2", "--frames '-1,2' has -1, but the lowest is 0")],
)
def test_lists_of_numbers_name_their_option(frames: str, message: str, tmp_path: Path) -> None:
    assert message in refusal(
        "extract-frames", tmp_path / "a.mkv", "-o", tmp_path / "a.safetensors", f"--frames={frames}"
    )
