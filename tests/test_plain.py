"""Plain command lines, which are parsed without typer: to the same arguments, or not at all."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.main import get_command

from pyvmaf.cli import HIDDEN, VERBS, _registered, build
from pyvmaf.cli.plain import parse

FUNCTIONS = {item.name: item.function for item in _registered(VERBS)}
COMMANDS = get_command(build()).commands  # type: ignore[attr-defined]

WORDS = st.sampled_from(
    [
        *(
            "-",
            "--",
            "a.mkv",
            "b.mkv",
            "3",
            "-3",
            "0",
            "1.5",
            "1e3",
            "nan",
            "",
            "on",
            "off",
            "x=y",
            "-q",
            "-qo",
            "-t",
            "-o",
        ),
        *(
            "--threads",
            "--threads=4",
            "--threads=0",
            "--quiet",
            "--quiet=1",
            "--crop",
            "--crop=8x8",
            "--offset",
            "--sync",
        ),
        *(
            "--film-grain",
            "--film-grain=off",
            "--crf",
            "--crf=28.5",
            "--fps",
            "--model",
            "-m",
            "--pairs",
            "--output",
            "--scale",
        ),
        *(
            "--help",
            "-h",
            "--no-such",
            "--sync-window",
            "--subsample",
            "--bit-depth",
            "--stream",
            "--plot",
            "--luma-only",
        ),
    ]
)


def parsed(verb: str, words: list[str]) -> dict[str, Any] | None:
    """What typer makes of a command line; None if it refuses it or prints help."""
    try:
        context = COMMANDS[verb].make_context(verb, list(words))
    except (Exception, SystemExit):
        return None
    return dict(context.params)


def same(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    def plain(value: Any) -> Any:
        # Nothing given is None or empty, which verbs take for the same.
        return None if value in ((), []) else list(value) if isinstance(value, tuple) else value

    return {name: (type(plain(value)), plain(value)) for name, value in ours.items()} == {
        name: (type(plain(value)), plain(value)) for name, value in theirs.items()
    }


@settings(max_examples=400, deadline=None)
@given(words=st.lists(WORDS, max_size=6))
def test_what_is_parsed_is_what_typer_parses(words: list[str]) -> None:
    ours = parse(FUNCTIONS["score"], words)
    if ours is not None:
        theirs = parsed("score", words)
        assert theirs is not None, (words, ours)
        assert same(ours, theirs), (words, ours, theirs)


@pytest.mark.parametrize(
    "line",
    [
        "score a.mkv b.mkv -o x.json --model v1 -m v0.6 --crop 8x8 --offset -3 --quiet",
        "score a.mkv - --film-grain off --threads=4 --context fps=25 --pool p25",
        "score --pairs pairs.csv -q",
        "extract-features --reference r.mkv --corpus c --clip a --codec x264 -o t.parquet one=a.mkv two=b.mkv",
        "encode a.mkv b.mkv --codec libx264 --preset fast --crf 30",
        "combine a=b.parquet -o t.parquet --unit clip",
        "shard a.parquet --corpus mine -o s.parquet --records s.jsonl",
        "verify results",
    ],
)
def test_the_lines_of_the_workflow_are_plain(line: str) -> None:
    verb, *words = line.split()
    ours, theirs = parse(FUNCTIONS[verb], words), parsed(verb, words)
    assert ours is not None
    assert theirs is not None
    assert same(ours, theirs)


@pytest.mark.parametrize("words", [["--help"], ["a", "--thread", "2"], ["a", "b", "--threads", "0"], ["-qo", "x"]])
def test_the_rest_is_left_to_typer(words: list[str]) -> None:
    assert parse(FUNCTIONS["score"], words) is None


@pytest.mark.parametrize("verb", FUNCTIONS)
def test_summaries_are_those_of_the_verbs(verb: str) -> None:
    function: Callable[..., Any] = FUNCTIONS[verb]
    first = " ".join((function.__doc__ or "").split("\n\n")[0].split())
    written = next(verbs[verb] for verbs in VERBS.values() if verb in verbs)
    assert written == first
    assert (verb in HIDDEN) == COMMANDS[verb].hidden


def test_a_score_does_without_typer_and_pydantic() -> None:
    code = (
        "import sys; sys.argv[1:] = ['score', 'none.mkv', 'none.mkv']\n"
        "from pyvmaf.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    print([name for name in ('typer', 'pydantic', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert "no such file" in done.stderr
