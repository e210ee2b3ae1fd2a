"""Names that are printed are text: no markup, no emoji codes, nothing that a terminal obeys."""

from __future__ import annotations

import ast
import io
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pyvmaf
from pyvmaf.base.terminal import console, plain, printable, say
from pyvmaf.cli.common import progress
from pyvmaf.cli.show import new_table
from tests.make.commands import command

PACKAGE = Path(pyvmaf.__file__).parent

NAMES = {
    "[Group] Show - 01 [1080p][x265].mkv": "[Group] Show - 01 [1080p][x265].mkv",
    "tag [red]x[.mkv": "tag [red]x[.mkv",
    "[/] [bold]a[/bold] [link=x].mkv": "[/] [bold]a[/bold] [link=x].mkv",
    "a :smile: b.mkv": "a :smile: b.mkv",
    "back\\[slash].mkv": "back\\[slash].mkv",
    "ü 映画 🎬.mkv": "ü 映画 🎬.mkv",
    "a\nb.mkv": "a\\nb.mkv",
    "a\r\tb.mkv": "a\\r\\tb.mkv",
    "\x1b[31mred\x1b]0;title\x07.mkv": "\\x1b[31mred\\x1b]0;title\\x07.mkv",
    "a\u202egpj.mkv": "a\\u202egpj.mkv",
    "a\u2028b\x9bc\x7f.mkv": "a\\u2028b\\x9bc\\x7f.mkv",
    "latin\udcfc.mkv": "latin\\udcfc.mkv",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_printed_as_it_is_or_escaped(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = NAMES[name]
    assert printable(name) == shown
    say(name, f"error: {name}")
    say(name, err=True)
    assert capsys.readouterr() == (f"{shown}\nerror: {shown}\n", f"{shown}\n")
    table = new_table(f"title {name}", (f"column {name}",))
    table.add_row(name)
    table.add_row(plain(name, "red"))
    table.caption = name
    out = io.StringIO()
    for terminal in (False, True):
        printer = console(file=out, width=400, force_terminal=terminal, color_system=None)
        printer.print(table)
        printer.print(name, f"because {name}", style="bold")
    lines = out.getvalue()
    assert lines.count(shown) == 2 * 7
    assert not set(lines.replace("\x1b[1m", "").replace("\x1b[0m", "").replace("\x1b[3m", "")) & {
        "\x1b",
        "\u202e",
        "\r",
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_name_beside_a_progress_bar(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress(name, show=True) as advance:
        advance(1, 2, name)
    assert NAMES[name] in out.getvalue()


def test_score_shows_the_names_of_its_files(pair: tuple[Path, Path], tmp_path: Path) -> None:
    for name, shown in NAMES.items():
        if ":" in name or "/" in name:
            continue  # whether such a file is opened is not for this test
        shutil.copyfile(pair[1], tmp_path / name)
        done = command("score", pair[0], tmp_path / name, "--frames", "0:2")
        assert done.returncode == 0, done
        assert done.stdout.splitlines()[0].startswith(f"{shown} against {pair[0].name}, 2 frames")
        (tmp_path / name).unlink()


@pytest.mark.parametrize("environment", [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}, {}])
def test_errors_show_names_in_every_locale(environment: dict[str, str]) -> None:
    for name in ("ü 映画.mkv", "latin\udcfc\n.mkv"):
        code = "from pyvmaf.base.terminal import say; import sys; say(sys.argv[1], err=True)"
        done = subprocess.run(
            [sys.executable, "-c", code, name], env=environment, capture_output=True, check=True, cwd=PACKAGE.parent
        )
        assert done.stderr.count(b"\n") == 1
        assert done.stderr.strip().isascii() == ("PYTHONIOENCODING" in environment or name.startswith("latin"))


def test_an_error_is_one_line_whatever_its_file_is_called() -> None:
    done = command("check-ops", "--model", "a\n\x1b[31m[red]\udcfc.onnx")
    assert (done.returncode, done.stderr) == (2, "error: no such file: a\\n\\x1b[31m[red]\\udcfc.onnx\n")


def calls(path: Path) -> list[tuple[int, str, ast.Call]]:
    tree = ast.parse(path.read_text())
    return [
        (node.lineno, ast.unparse(node.func), node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute)
    ]


def test_everything_that_is_printed_goes_through_one_place() -> None:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if path == PACKAGE / "base" / "terminal.py":
            continue
        for line, name, node in calls(path):
            words = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            where = f"{path.relative_to(PACKAGE)}:{line} {name}"
            if name in ("Console", "rich.print", "Text.from_markup", "Text", "secho", "typer.secho", "click.echo"):
                found.append(where)
            # Documents of our own are printed as they are.
            if name == "typer.echo" and words.get("nl") != "False":
                found.append(where)
            if name == "print" and not all("printable" in ast.unparse(argument) for argument in node.args):
                found.append(where)
            if name == "TextColumn" and words.get("markup") != "False":
                found.append(where)
    assert not found, "use pyvmaf.base.terminal"
