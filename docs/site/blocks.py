"""Code blocks of Markdown pages, and the calls that a shell would make of the commands in them.

The site's gallery and the tests of the pages run the same blocks, so that what a page says is what was run.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

PROGRAMS = ("vmaf-train", "snakemake", "make", "python", "pip", "ffmpeg", "pytest", "snakefmt")
"""Programs whose calls are found; a command of another one is an error."""

LANGUAGES = ("console", "python", "yaml", "json", "csv", "diff", "snakemake", "text")
"""Kinds of blocks. Each has a test, or is prose (`text`)."""

_FENCE = re.compile(
    r"^(?P<indent> *)(?P<fence>`{3,})(?P<language>[^`\n]*)\n(?P<text>.*?)^(?P=indent)(?P=fence) *$", re.M | re.S
)
_SPAN = re.compile(r"(?<!`)`([^`\n]+(?:\n[^`\n]+)?)`(?!`)")

# The shell expands words and runs loops; programs become functions that print their arguments.
_FUNCTION = '{name}() {{ printf \'%s\\0\' "$#" {name} "$@"; }}\n'
_COMMIT = "git() { printf 0123456789abcdef0123456789abcdef01234567; }\n"


class PageError(ValueError):
    """A page holds something that no test could run or check."""


class Block(NamedTuple):
    """A block of code.

    Attributes:
        line: number of its first line in the page.
        language: word after the fence.
        text: its lines.
    """

    line: int
    language: str
    text: str


def blocks(page: str) -> list[Block]:
    """Find the code blocks of a page.

    Args:
        page: Markdown.

    Raises:
        PageError: a block has no language, an unknown one, or is indented instead of fenced.
    """
    found = []
    for match in _FENCE.finditer(page):
        line = page.count("\n", 0, match.start()) + 2
        language = match["language"].strip()
        if language not in LANGUAGES:
            raise PageError(f"line {line - 1}: a block of kind {language!r}, known are {', '.join(LANGUAGES)}")
        indent = len(match["indent"])
        text = "".join(part[indent:] for part in match["text"].splitlines(keepends=True))
        found.append(Block(line, language, text))
    rest = _FENCE.sub(lambda match: "\n" * match[0].count("\n"), page)
    # A list may go on in indented lines after a blank one, which is no code.
    for match in re.finditer(r"(?:\A|\n\n)    (?![ *-]|\d+\.)(?P<text>.*)", rest):
        before = rest[: match.start()].rsplit("\n\n", 1)[-1]
        if not re.match(r"\s*(?:[*-]|\d+\.) ", before):
            line = rest.count("\n", 0, match.start("text")) + 1
            raise PageError(f"line {line}: an indented block ({match['text'][:40]!r}); fence it and name its kind")
    return found


def spans(page: str) -> list[str]:
    """Find the inline code of a page, line breaks as blanks."""
    return [" ".join(match[1].split()) for match in _SPAN.finditer(_FENCE.sub("", page))]


def commands(block: Block) -> list[str]:
    """Return the commands of a console block, without what they print.

    A command starts with ``$ `` and goes on after a backslash, or in lines that start with ``> ``.
    """
    found: list[str] = []
    more = False
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append(line[2:])
        elif found and line.startswith("> "):
            found[-1] += "\n" + line[2:]
        elif more:
            found[-1] += "\n" + line
        else:
            continue
        more = line.endswith("\\")
    return found


def calls(command: str, folder: Path, variables: Mapping[str, str] | None = None) -> list[list[str]]:
    """Return the calls that bash would make: patterns, variables and loops expanded, each a program with its arguments.

    Args:
        command: without pipes; those are run by a shell as a whole.
        folder: where patterns are looked up.
        variables: environment of the shell; that of this process without.

    Raises:
        PageError: a program that is not one of `PROGRAMS`, or a mistake of the shell's language.
    """
    shims = "".join(_FUNCTION.format(name=name) for name in PROGRAMS) + _COMMIT
    done = subprocess.run(
        ["bash", "-c", f"set -u\n{shims}{command}"], cwd=folder, capture_output=True, text=True, env=variables,
    )  # fmt: skip
    if done.returncode or done.stderr:
        raise PageError(f"bash says of {command!r}: {done.stderr.strip() or f'status {done.returncode}'}")
    words, found = done.stdout.split("\0")[:-1], []
    while words:
        count = int(words[0]) + 2
        found.append(words[1:count])
        words = words[count:]
    return found
