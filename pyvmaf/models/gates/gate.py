"""The protocol of gates: a gate measures a model's fits, and gives rows that can be shown without knowing the gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from pyvmaf.base.files import sha256_file
from pyvmaf.errors import IntegrityError, MissingFileError
from pyvmaf.models.spec import ModelSpec


@dataclass(frozen=True)
class Seed:
    """One seed's fit, as its report describes it.

    Attributes:
        number: the seed.
        path: its ``loso.json``; weights and predictions lie beside it.
        report: its content.
    """

    number: int
    path: Path
    report: dict[str, Any]

    def beside(self, name: str) -> Path:
        """A file that fit left beside the report, and that must still be the one that the report speaks of.

        Raises:
            MissingFileError: it is not there.
            IntegrityError: it is another one.
        """
        path = self.path.with_name(name)
        stated = self.report[f"{path.stem}_sha256"]
        if not path.is_file():
            raise MissingFileError(f"no such file: {path}; fit leaves it beside {self.path.name}, and judge reads both")
        found = sha256_file(path)
        if found != stated:
            raise IntegrityError(f"{path} has sha256 {found}, but {self.path} names {stated}: fit the model again")
        return path


@dataclass(frozen=True)
class Judged:
    """The fits that gates measure.

    Attributes:
        spec: the model.
        seeds: its fits.
        negatives: table of hard negatives (`pyvmaf.features.negatives`); None if there is none.
    """

    spec: ModelSpec
    seeds: Sequence[Seed]
    negatives: Path | None = None


@dataclass(frozen=True)
class Row:
    """One line of a verdict.

    Attributes:
        what: name of the measured quantity.
        measured: the value, as text.
        limit: the limit, as text; empty if there is none.
        passed: whether the value keeps the limit; None if it was not judged.
        why: the reason with its values, if it does not pass or was not judged; None otherwise.
    """

    what: str
    measured: str
    limit: str
    passed: bool | None
    why: str | None = None

    def as_json(self, gate: str) -> dict[str, Any]:
        """The row with the name of its gate."""
        return {"gate": gate, **asdict(self)}


class Gate(Protocol):
    """Limits on one property of a model."""

    @property
    def name(self) -> str:
        """Key of its block in the verdict."""

    def measure(self, judged: Judged) -> dict[str, Any]:
        """Give its block of the verdict: every measured value beside its limit.

        A block has the keys ``judged``, ``passed`` (None if there was nothing to judge) and ``why``.

        Raises:
            InputError, MissingFileError, IntegrityError: a file that it reads is not there, damaged, or lacks a column.
        """

    def rows(self, block: Mapping[str, Any]) -> list[Row]:
        """Give the rows of a block that `measure` returned."""


def not_judged(why: str, passed: bool | None = None) -> dict[str, Any]:
    """The block of a gate that could not measure anything."""
    return {"judged": False, "passed": passed, "why": why}


def row_of_not_judged(what: str, block: Mapping[str, Any]) -> list[Row]:
    """The row of such a block."""
    return [Row(what, "-", "", block["passed"], block["why"])]


def shown(value: float | None, digits: int = 4) -> str:
    """A figure as text; a dash if it is not defined."""
    return "-" if value is None else f"{value:.{digits}f}"
