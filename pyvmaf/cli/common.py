"""What the verbs share: checks, options, progress."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

from pyvmaf.base.verbs import VERBS
from pyvmaf.cli import declared as typer
from pyvmaf.errors import InputError

if TYPE_CHECKING:
    from pyvmaf.base.code import Uses

CodeOption = Annotated[
    str | None,
    typer.Option(
        "--code",
        metavar="IDENTITY",
        help="Refuse to run unless this verb's code has this identity (the workflow passes it).",
    ),
]
RegistryOption = Annotated[
    Path | None,
    typer.Option(
        "--registry",
        metavar="JSON",
        help="Where ids are looked up. Default: $PYVMAF_REGISTRY, else results/registry/registry.json.",
    ),
]
ThreadsOption = Annotated[int, typer.Option("--threads", "-t", min=1, help="Worker threads.")]
FeatureRegex = Annotated[
    str | None,
    typer.Option("--feature-key-regex", metavar="REGEX", help="The part of it that is the key, one group."),
]
LabelRegex = Annotated[
    str | None,
    typer.Option("--label-key-regex", metavar="REGEX", help="The part of it that is the key, one group."),
]


class Advance(Protocol):
    """Called with what is done and the total, 0 while that is not known, and perhaps another label."""

    def __call__(self, done: int, total: int, label: str | None = None, /) -> None:
        """Move the bar."""


OUTPUTS = frozenset({"output", "json", "plot", "records", "report", "output_dir", "write", "heatmap"})
"""Parameters of verbs that name files, or folders for files, to write."""

FOLDERS = frozenset({"output_dir", "write", "heatmap"})
"""Those that name folders for every verb."""

TO_STREAMS = frozenset({"score"})
"""Verbs whose ``--output`` can be ``-``, for standard output, or a pipe."""

MERGES = frozenset({"manifest-scan"})
"""Verbs that add to what their output holds, and check it themselves."""

INTO_FOLDERS = frozenset({"fit", "card", "tune", "build-bisect-cache", "analyze-sweep"})
"""Verbs whose ``--output`` is a folder."""


def whole_numbers(option: str, text: str, example: str, *, least: int | None = None) -> tuple[int, ...]:
    """Return whole numbers that are written with commas.

    Args:
        option: its name, for messages.
        text: its value.
        example: a list that is right, for messages.
        least: the lowest number that is allowed; None for any.

    Raises:
        InputError: a part is not a whole number, or is below the lowest.
    """
    try:
        numbers = tuple(int(word) for word in text.split(","))
    except ValueError:
        raise InputError(f"{option} {text!r} is not a list of whole numbers such as {example}") from None
    if least is not None and min(numbers) < least:
        raise InputError(
            f"{option} {text!r} has {min(numbers)}, but the lowest is {least}: give numbers such as {example}"
        )
    return numbers


def check_outputs(verb: str, options: Mapping[str, Any]) -> None:
    """Refuse, before a verb starts, outputs that it must not write; `pyvmaf.base.outputs` checks each when it is written.

    Args:
        verb: the command's name.
        options: values of its parameters by name.

    Raises:
        InputError: an output is also an input or another output, cannot be a file, or is somebody else's file.
    """
    outputs = {name: path for name, path in options.items() if name in OUTPUTS and isinstance(path, Path)}
    if not outputs:
        return
    from pyvmaf.base.manifest import manifest_path
    from pyvmaf.base.outputs import MANIFEST_SUFFIX, check_output, is_stream, refuse_manifest

    inputs = [path for name, value in options.items() if name not in OUTPUTS for path in _existing(value)]
    seen: dict[str, str] = {}
    for name, path in outputs.items():
        if verb in TO_STREAMS and is_stream(path):
            continue
        if path.name.endswith(MANIFEST_SUFFIX):
            refuse_manifest(path)
        if seen.setdefault(os.path.realpath(path), name) != name:
            raise InputError(f"{path} is given as two outputs: give them different names")
        if name in FOLDERS or (name == "output" and verb in INTO_FOLDERS):
            check_output(path / "file", inputs, None)
        else:
            check_output(path, inputs, verb if verb in VERBS.keys() - MERGES else None)
            check_output(manifest_path(path), inputs, None)


def _existing(value: Any) -> Iterator[Path]:
    """Find the files that a parameter names, on its own, in a list or as NAME=FILE."""
    for item in value if isinstance(value, list | tuple) else [value]:
        if isinstance(item, str | Path):
            text = os.fspath(item)
            with suppress(OSError, ValueError):
                yield from (Path(word) for word in {text, text.partition("=")[2]} if word and os.path.isfile(word))


def check_code(verb: str, expected: str | None, uses: Uses | None = None) -> None:
    """Refuse to work if the code is not the code that the plan was made for.

    Args:
        verb: the verb that is about to run.
        expected: the identity that the plan asks for; None for none.
        uses: what the verb uses beside its imports, as the plan knows it; None for nothing.

    Raises:
        InputError: the identity asked for is not this installation's.
    """
    if expected is None:
        return
    from pyvmaf.base.code import NOTHING, identity, record_parts

    uses = uses or NOTHING
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
    from rich.console import RenderableType
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn

    from pyvmaf.base.terminal import console, plain, printable

    class Rate(ProgressColumn):
        def render(self, task: Task) -> RenderableType:
            total = "" if task.total is None else f"/{int(task.total)}"
            speed = f" {task.speed:.1f}/s" if task.speed else ""
            return plain(f"{int(task.completed)}{total} {unit}{speed}")

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), Rate(), TimeRemainingColumn())
    with Progress(*columns, console=console(err=True), transient=True) as bar:
        task = bar.add_task(printable(label), total=None)
        yield lambda done, total, text=None: bar.update(
            task, completed=done, total=total or None, description=printable(text or label)
        )
