"""What the verbs share: checks, options, progress."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from pyvmaf.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

EngineOption = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="FINGERPRINT",
        help="Refuse to run unless this stage's code has this fingerprint (the workflow passes it).",
        rich_help_panel="For the workflow",
    ),
]
ThreadsOption = Annotated[int, typer.Option("--threads", "-t", min=1, help="Worker threads.")]


class Advance(Protocol):
    """Called with what is done and the total, 0 while that is not known, and perhaps another label."""

    def __call__(self, done: int, total: int, label: str | None = None, /) -> None:
        """Move the bar."""


def check_engine(stage: str, expected: str | None) -> None:
    """Refuse to work where the code is not the code that the plan was made for.

    Raises:
        InputError: the fingerprint asked for is not this installation's.
    """
    if expected is None:
        return
    from pyvmaf.fingerprint import fingerprint, record_parts

    found = fingerprint(stage)
    if found != expected:
        raise InputError(
            f"the plan asks for stage {stage!r} with fingerprint {expected}, but the installed code has {found}: "
            "run snakemake again so that it plans with this code, or install the code that the plan was made with"
        )
    record_parts(stage, Path.cwd())


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


def print_whole(table: Table) -> None:
    """Print a table at its full width: a figure that is cut short is none, and a line that is folded can be read."""
    from rich.console import Console

    console = Console()
    Console(width=max(console.width, Console(width=1000).measure(table).maximum)).print(table)
