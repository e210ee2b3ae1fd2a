"""Columns of another table by key, or by key and frame: scores of another model, saliency, facts about videos."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyvmaf.errors import InputError, unknown_name
from pyvmaf.labels.keyed import Key, Lookup
from pyvmaf.labels.rows import read_rows

if TYPE_CHECKING:
    import pyarrow as pa

_MISSING = ("", "nan", "na", "null", "none")


@dataclass(frozen=True)
class Split:
    """A column ``split`` with train, val and test, by `pyvmaf.splits.content_hash_sides`.

    Attributes:
        column: column whose values stay together.
        seed: text that goes into the hash.
    """

    column: str
    seed: str


@dataclass(frozen=True)
class Columns:
    """Which columns of another table are joined, and how rows find each other.

    Attributes:
        names: the columns.
        prefix: put before their names in the result.
        feature_key, feature_pattern: column of the feature table with the key, and the part of it that is the key.
        label_key, label_pattern: the same of the other table.
        frame: column of the frame's number in the feature table, if the values are of frames; None for those of videos.
        label_frame: the same of the other table.
        split: a column that divides the rows, or None.
    """

    names: tuple[str, ...]
    prefix: str = ""
    feature_key: str = "clip"
    feature_pattern: str | None = None
    label_key: str = "clip"
    label_pattern: str | None = None
    frame: str | None = None
    label_frame: str = "frame_index"
    split: Split | None = None

    def args(self) -> dict[str, Any]:
        """Return how keys are made, for a manifest."""
        return {
            "feature_key": {"column": self.feature_key, "pattern": self.feature_pattern, "frame": self.frame},
            "label_key": {
                "key": self.label_key,
                "pattern": self.label_pattern,
                "frame": None if self.frame is None else self.label_frame,
            },
            "prefix": self.prefix,
            **({} if self.split is None else {"split": {"column": self.split.column, "seed": self.split.seed}}),
        }


class Values:
    """The columns of other tables, read.

    Attributes:
        lookup: finds them for the rows of a table.
    """

    def __init__(self, columns: Columns, inputs: Sequence[Path]) -> None:
        """Read the tables.

        Raises:
            MissingFileError, IntegrityError: a file is not there or damaged.
            InputError: a column is not there, or two rows of one key differ.
        """
        self._columns = columns
        self._key = Key.of(columns.label_key, columns.label_pattern)
        self._found: dict[tuple[Any, ...], dict[str, Any]] = {}
        self._where: dict[tuple[Any, ...], str] = {}
        for path in inputs:
            self._read(path)
        fields = {name: self._kind(name) for name in (f"{columns.prefix}{name}" for name in columns.names)}
        numbers = [name for name, kind in fields.items() if kind == "double"]
        values = {
            key: {name: _number(value) if name in numbers else value for name, value in row.items()}
            for key, row in self._found.items()
        }
        key = Key.of(columns.feature_key, columns.feature_pattern)
        self.lookup = Lookup(values, key, _types(fields), columns.frame)

    def _read(self, path: Path) -> None:
        columns = self._columns
        needed = [columns.label_key, *([] if columns.frame is None else [columns.label_frame])]
        seen: set[str] = set()
        for where, row in read_rows(path, needed):
            seen |= row.keys()
            text = str(row[columns.label_key])
            name = self._key(text)
            if name is None:
                raise InputError(f"{where}: the expression of the other table finds no key in {text!r}")
            key = (name,) if columns.frame is None else (name, _frame(where, row[columns.label_frame]))
            values = {f"{columns.prefix}{one}": row.get(one) for one in columns.names}
            earlier = self._found.setdefault(key, values)
            if not _same(earlier, values):
                raise InputError(
                    f"{self._where[key]} and {where}: two rows have the key {'/'.join(map(str, key))!r} and differ: the key is too "
                    "short, or the values are of frames (--frame-key)"
                )
            self._where.setdefault(key, where)
        for one in columns.names:
            if one not in seen:
                raise unknown_name(f"column of {path}", one, sorted(seen))

    def _kind(self, name: str) -> str:
        """Return "double" for a column of numbers, "string" for one that holds any text."""
        for row in self._found.values():
            value = row[name]
            if isinstance(value, str) and value.strip().casefold() not in _MISSING and _number(value) is None:
                return "string"
            if value is not None and not isinstance(value, str | int | float):
                raise InputError(f"column {name!r} holds {type(value).__name__} {value!r}, neither a number nor text")
        return "double"


def _types(kinds: Mapping[str, str]) -> dict[str, pa.DataType]:
    import pyarrow as pa

    return {name: pa.float64() if kind == "double" else pa.string() for name, kind in kinds.items()}


def _number(value: Any) -> float | None:
    """Return a value as a number; None if it is missing or none."""
    try:
        return None if value is None else float(value)
    except ValueError:
        return None


def _frame(where: str, value: Any) -> int:
    number = _number(value)
    if number is None or not math.isfinite(number) or number != int(number):
        raise InputError(f"{where}: the number of its frame is {value!r}")
    return int(number)


def _same(one: Mapping[str, Any], two: Mapping[str, Any]) -> bool:
    return all(a == b or (a != a and b != b) for a, b in zip(one.values(), two.values(), strict=True))
