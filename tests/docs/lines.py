"""Command lines whether the programs would take their words, and the files that they would write."""

from __future__ import annotations

import re
import shlex
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from typer.main import get_command

from pyvmaf.cli import build
from pyvmaf.cli.common import OUTPUTS
from pyvmaf.workflow.config import Config
from tests.make.videos import REPOSITORY

MAKEFILE = (REPOSITORY / "Makefile").read_text()
TARGETS = set(re.findall(r"^([\w-]+):", MAKEFILE, re.MULTILINE))
RULES = set(
    re.findall(r"^rule (\w+):", "".join(path.read_text() for path in (REPOSITORY / "rules").glob("*.smk")), re.M)
)
RULES |= set(re.findall(r"^rule (\w+):", (REPOSITORY / "workflow" / "Snakefile").read_text(), re.MULTILINE))
EXTRAS = set(tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"])


@cache
def verbs() -> dict[str, Any]:
    """The commands of ``vmaf-train`` by name."""
    found: dict[str, Any] = get_command(build()).commands  # type: ignore[attr-defined]
    return found


@cache
def snakemake_parser() -> Any:
    from snakemake.cli import get_argument_parser

    return get_argument_parser()


def parse(program: str, words: list[str]) -> None:
    """Check a call that is not run.

    Raises:
        AssertionError: the program would refuse it, or nothing here knows the program.
    """
    checks = {"vmaf-train": _verb, "snakemake": _snakemake, "make": _make, "pip": _pip, "python": _python}
    assert program in checks, f"no check of calls of {program}"
    checks[program](words)


def _verb(words: list[str]) -> None:
    verb, *rest = words
    assert verb in verbs(), f"vmaf-train has no verb {verb!r}"
    try:
        verbs()[verb].make_context(f"vmaf-train {verb}", rest)
    except Exception as err:
        # Typer has click inside of it, so that the class of the error has no public name.
        if not hasattr(err, "format_message"):
            raise
        raise AssertionError(f"vmaf-train {shlex.join(words)}: {err.format_message()}") from None


def outputs(words: list[str]) -> list[Path]:
    """Return the files and folders that the words of a call of ``vmaf-train`` name as outputs."""
    verb, *rest = words
    context = verbs()[verb].make_context(f"vmaf-train {verb}", rest)
    named = [name for name in sorted(OUTPUTS) if str(context.get_parameter_source(name)).endswith("COMMANDLINE")]
    found = [context.params[name] for name in named if isinstance(context.params[name], str | Path)]
    return [Path(path) for path in found if str(path) != "-"]


def _snakemake(words: list[str]) -> None:
    try:
        arguments = snakemake_parser().parse_args(words)
    except SystemExit:
        raise AssertionError(f"snakemake {shlex.join(words)}: refused") from None
    for key, value in (item.split("=", 1) for item in arguments.config or []):
        assert key in Config.model_fields, f"the configuration has no key {key!r}"
        assert value
    if arguments.workflow_profile:
        assert (REPOSITORY / arguments.workflow_profile / "config.yaml").is_file()
    for file in arguments.configfile or []:
        assert Path(file).name == "mine.yaml" or (REPOSITORY / file).is_file(), file
    for target in arguments.targets or []:
        assert target in RULES or "/" in target, f"no rule {target!r}"


def _make(words: list[str]) -> None:
    for word in words:
        name, given, _ = word.partition("=")
        assert name in TARGETS or (given and (f"$({name})" in MAKEFILE or f"{name} " in MAKEFILE)), f"make {word}"


def _pip(words: list[str]) -> None:
    assert words[0] in ("install", "wheel"), words
    for word in words[1:]:
        for extra in re.findall(r"\[(.*)\]", word):
            assert set(extra.split(",")) <= EXTRAS, word
        if word.endswith(".txt"):
            assert (REPOSITORY / word).is_file(), word


def _python(words: list[str]) -> None:
    assert words[:2] == ["-m", "bench"], words
    for name in words[2:]:
        assert (REPOSITORY / "bench" / f"bench_{name}.py").is_file(), f"no benchmark {name!r}"


def check_span(text: str) -> str | None:
    """Check the words of inline code that look like a call; return the program that was recognised.

    Such words are parts of calls: the program or verb and each option have to exist.

    Raises:
        AssertionError: one does not.
    """
    try:
        program, *words = shlex.split(text)
    except ValueError:
        return None
    if program == "vmaf-train" and words and re.fullmatch(r"[a-z][a-z0-9-]+", words[0]):
        program, words = words[0], words[1:]
        assert program in verbs(), f"`{text}`: no verb {program!r}"
    elif program == "snakemake":
        known = set(snakemake_parser()._option_string_actions)
        _check_options(text, words, known)
        return "snakemake"
    elif program == "make":
        _make([word for word in words if not word.startswith("{")])
        return "make"
    elif program not in verbs() or not any(word.startswith("--") for word in words):
        return None
    known = {name for parameter in verbs()[program].params for name in (*parameter.opts, *parameter.secondary_opts)}
    _check_options(text, words, known | {"--help", "-h"})
    return "vmaf-train"


def _check_options(text: str, words: list[str], known: set[str]) -> None:
    for word in words:
        name = word.partition("=")[0]
        if re.fullmatch(r"--[a-z][a-z0-9-]*", name):
            assert name in known, f"`{text}`: no option {name}"
