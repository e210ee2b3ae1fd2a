"""Values put beside the rows of a table by keys: a part of a name, perhaps together with the number of a frame."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyvmaf.corpora.keys import video_key
from pyvmaf.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

_SHOWN = 20


@dataclass(frozen=True)
class Key:
    """How a key is read out of a text.

    Attributes:
        column: the column that has the text.
        pattern: regular expression with one group, which is the key; None for the whole name of a video, as
            `pyvmaf.corpora.keys.video_key` writes it.
    """

    column: str
    pattern: re.Pattern[str] | None = None

    @staticmethod
    def of(column: str, pattern: str | None) -> Key:
        """Compile the expression.

        Raises:
            InputError: it is no regular expression, or does not have exactly one group.
        """
        if pattern is None:
            return Key(column)
        try:
            compiled = re.compile(pattern)
        except re.error as err:
            raise InputError(f"{pattern!r} is no regular expression ({err})") from err
        if compiled.groups != 1:
            raise InputError(
                f"{pattern!r} has {compiled.groups} groups: put the part that is the key into one pair of parentheses, as in "
                "([0-9]{6,})"
            )
        return Key(column, compiled)

    def __call__(self, text: str) -> str | None:
        """Return the key in a text, None if there is none.

        Raises:
            InputError: the expression finds different keys in it.
        """
        if self.pattern is None:
            return video_key(text) if text else None
        found = set(self.pattern.findall(text))
        if len(found) > 1:
            raise InputError(
                f"{self.pattern.pattern!r} finds {len(found)} keys in {text!r} ({', '.join(sorted(found)[:3])}): make it narrower"
            )
        return next(iter(found), None)


Find = Callable[[tuple[Any, ...]], Mapping[str, Any] | None]


def keyed_columns(
    table: pa.Table, keys: Sequence[str], find: Find, fields: Mapping[str, pa.DataType]
) -> dict[str, pa.Array[Any]]:
    """Return further columns for the rows of a table; a missing number with a fraction is NaN, anything else null.

    Args:
        table: rows.
        keys: columns of text or of whole numbers that together name what the values are of.
        find: the values by column for those of `keys` of a row; None if there are none.
        fields: type of each column to return.
    """
    import numpy as np
    import pyarrow as pa

    codes = np.zeros(table.num_rows, np.int64)
    parts = [_coded(table.column(name)) for name in keys]
    for values, index in parts:
        codes = codes * max(1, len(values)) + index
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    found = [find(tuple(values[index[row]] for values, index in parts)) or {} for row in first.tolist()]
    columns: dict[str, pa.Array[Any]] = {}
    for name, kind in fields.items():
        missing = float("nan") if pa.types.is_floating(kind) else None
        cells = pa.array([missing if one.get(name) is None else one[name] for one in found], kind)
        columns[name] = cells.take(inverse) if found else cells
    return columns


def _coded(column: Any) -> tuple[list[Any], NDArray[Any]]:
    """Return the distinct values of a column, and the index among them of each row's; "" for a missing text."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_integer(column.type):
        values, index = np.unique(np.asarray(column.fill_null(-1)), return_inverse=True)
        return values.tolist(), index
    array = pc.fill_null(pc.cast(column, pa.string()), "").combine_chunks()
    coded: Any = array.dictionary_encode()
    return coded.dictionary.to_pylist(), np.asarray(coded.indices)


class Lookup:
    """Values by key, put beside the rows of tables, with a count of what matched.

    Args:
        values: what is known of each key, or of each key and frame, by column.
        key: how the key is read out of a row.
        fields: type of each column.
        frame: column of the frame's number; None if the values are of videos.
    """

    def __init__(
        self,
        values: Mapping[tuple[Any, ...], Mapping[str, Any]],
        key: Key,
        fields: Mapping[str, pa.DataType],
        frame: str | None = None,
    ) -> None:
        self._values, self._key, self._frame = values, key, frame
        self.fields = dict(fields)
        self._keys = {one[0] for one in values}
        self._known: dict[str, str | None] = {}
        self._texts: dict[str, set[str]] = defaultdict(set)
        self._without: dict[str, None] = {}
        self._matched: set[tuple[Any, ...]] = set()
        self._rows = self._rows_matched = 0

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that are added."""
        return tuple(self.fields)

    @property
    def columns_read(self) -> tuple[str, ...]:
        """The columns of a table that are read."""
        return (self._key.column,) if self._frame is None else (self._key.column, self._frame)

    def columns(self, table: pa.Table) -> dict[str, pa.Array[Any]]:
        """Return the columns for some rows of a table.

        Raises:
            InputError: the table does not have the column of the key, or the key is found twice in a text.
        """
        import numpy as np
        import pyarrow as pa

        for name in self.columns_read:
            if name not in table.column_names:
                raise InputError(f"the table has no column {name!r}; it has {', '.join(table.column_names)}")
        flagged = keyed_columns(table, self.columns_read, self._find, {**self.fields, _MATCHED: pa.int64()})
        matched = flagged.pop(_MATCHED)
        self._rows += table.num_rows
        self._rows_matched += int(np.count_nonzero(np.asarray(matched.fill_null(0))))
        return flagged

    def _find(self, texts: tuple[Any, ...]) -> Mapping[str, Any] | None:
        text, *frame = texts
        text = str(text)
        if text not in self._known:
            self._known[text] = self._key(text)
        short = self._known[text]
        values = self._values.get((short, *frame))
        if short not in self._keys:
            self._without[text] = None
        else:
            self._texts[str(short)].add(text)
        if values is None:
            return None
        self._matched.add((short, *frame))
        return {**values, _MATCHED: 1}

    def check(self, where: str, what: str = "the labels") -> None:
        """Refuse a table of which no row has matched.

        Raises:
            InputError: none has.
        """
        if not self._matched:
            keys = self._known.values()
            raise InputError(
                f"no row of {where} has a key of {what}: keys of rows are {_some(keys)}, of {what.removeprefix('the ')} "
                f"{_some(sorted(self._keys))}; say with --feature-key-regex and --label-key-regex which part of each is the key"
            )

    def audit(self) -> dict[str, Any]:
        """Return what matched and what did not."""
        matched = {str(one[0]) for one in self._matched}
        unused = sorted(self._keys - matched)
        return {
            "rows": self._rows,
            "rows_matched": self._rows_matched,
            "keys_matched": len(matched),
            "texts_of_one_key": {name: sorted(of) for name, of in sorted(self._texts.items()) if len(of) > 1},
            "rows_without_label": {"keys": len(self._without), "first": sorted(self._without)[:_SHOWN]},
            "labels_without_row": {"keys": len(unused), "first": unused[:_SHOWN]},
            **({} if self._frame is None else {"frames_without_row": len(self._values) - len(self._matched)}),
        }


_MATCHED = "\0matched"


def check_columns(path: Path, names: Iterable[str], taken: Iterable[str]) -> None:
    """Refuse columns that a table has already.

    Raises:
        InputError: it has one.
    """
    there = set(taken)
    if both := [name for name in names if name in there]:
        raise InputError(
            f"{path} has columns {', '.join(both)} already: join the table without them, or give the new ones a prefix"
        )


def _some(names: Iterable[str | None]) -> str:
    shown = [repr(name) for name, _ in zip(names, range(3), strict=False)]
    return ", ".join(shown) or "none"
