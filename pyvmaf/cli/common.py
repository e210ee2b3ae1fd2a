"""What the verbs share: checks, options, progress."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Protocol

import typer

from pyvmaf.base.code import NOTHING, Uses
from pyvmaf.errors import InputError

CodeOption = Annotated[
    str | None,
    typer.Option(
        "--code",
        metavar="IDENTITY",
        help="Refuse to run unless this verb's code has this identity (the workflow passes it).",
    ),
]
ThreadsOption = Annotated[int, typer.Option("--threads", "-t", min=1, help="Worker threads.")]


class Advance(Protocol):
    """Called with what is done and the total, 0 while that is not known, and perhaps another label."""

    def __call__(self, done: int, total: int, label: str | None = None, /) -> None:
        """Move the bar."""


def check_code(verb: str, expected: str | None, uses: Uses = NOTHING) -> None:
    """Refuse to work if the code is not the code that the plan was made for.

    Args:
        verb: the verb that is about to run.
        expected: the identity that the plan asks for; None for none.
        uses: what the verb uses beside its imports, as the plan knows it.

    Raises:
        InputError: the identity asked for is not this installation's.
    """
    if expected is None:
        return
    from pyvmaf.base.code import identity, record_parts

    actual = identity(verb, uses)
    if actual != expected:
        raise InputError(
            f"the plan asks for {verb!r} with code {expected}, but the installed code is {actual}: run snakemake again "
            "so that it plans with this code, or install the code that the plan was made with"
        )
    record_parts(verb, uses, Path.cwd())


@contextmanager
def progress(label: str, unit: str = "frames", show: bool | None = None) -> Iterator[Advance]:
    """A progress bar on stderr, where that is a terminal; elsewhere nothing is printed.

    Args:
        label: what is being done.
        unit: what is counted.
        show: force it on or off.
    """
    if not (sys.stderr.isatty() if show is None else show):
        yield lambda _done, _total, _label=None: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            total = "" if task.total is None else f"/{int(task.total)}"
            speed = f" {task.speed:.1f}/s" if task.speed else ""
            return Text(f"{int(task.completed)}{total} {unit}{speed}")

    columns = (TextColumn("{task.description}"), BarColumn(), Rate(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total, text=None: bar.update(
            task, completed=done, total=total or None, description=text or label
        )
