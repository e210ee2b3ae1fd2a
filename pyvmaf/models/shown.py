"""What the card of a finished model says of it beyond what every model has: text that its family gives (part ``shown``)."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from pyvmaf.base.families import load_part
from pyvmaf.runtime.sidecar import Sidecar
from pyvmaf.runtime.tasks import TASKS


@dataclass(frozen=True)
class Ranges:
    """A table of what the training rows were like.

    Attributes:
        caption: its heading.
        head: names of the columns; the first names a row.
        rows: text, and numbers.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str | float, ...], ...]


@dataclass(frozen=True)
class Shown:
    """A family's part of a card.

    Attributes:
        what: the kind of model in words.
        use: lines of commands and code.
        inputs: facts about what it takes, as name and value.
        warnings: sentences on what it is not suitable for.
        ranges: what its training rows were like; None for nothing known.
    """

    what: str
    use: tuple[str, ...]
    inputs: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...] = ()
    ranges: Ranges | None = None


class ShownPart(Protocol):
    """The part ``shown``."""

    def shown(self, name: str, sidecar: Sidecar) -> Shown:
        """Describe a model; `name` is what a command calls it by: its id, or the path of its file."""


def shown_of(name: str, sidecar: Sidecar) -> Shown:
    """Describe a model by its family; by its description if the family has no such part.

    Raises:
        InputError: its kind is unknown.
    """
    part = load_part(sidecar.kind, "shown")
    if not hasattr(part, "shown"):
        return Shown(sidecar.description or "", (f"pyvmaf.load_model({name!r})",), ())
    return cast(ShownPart, part).shown(name, sidecar)


def tensor_use(name: str, keys: Mapping[str, Any]) -> tuple[str, ...]:
    """Say how to call a model whose sidecar states a task and tensors."""
    return (TASKS[keys["task"]].use.format(shlex.quote(name)),)


def tensor_inputs(keys: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Give the facts about the tensors of such a model."""
    yield "network", str(keys["architecture"])
    for name, shape in keys["inputs"].items():
        low, high = keys["input_ranges"][name]
        yield f"input {name}", f"{_sizes(shape)}, {low:g} to {high:g}"
    for name, shape in keys["outputs"].items():
        yield f"output {name}", _sizes(shape)


def _sizes(shape: list[int]) -> str:
    return "x".join(map(str, shape))
