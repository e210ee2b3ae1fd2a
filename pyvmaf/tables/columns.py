"""Columns of parquet tables as numpy arrays."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.parquet import ParquetTable
from pyvmaf.codecs.vocabularies import vocabulary
from pyvmaf.errors import InputError
from pyvmaf.features.catalog import CONTEXT, FEATURES, pooled_column

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

ENCODE_COLUMNS = ("encoder", "preset", "crf")
"""Columns that a codec block is made from."""


def read_columns(path: Path, columns: list[str]) -> pa.Table:
    """Columns of a parquet file, in the order and by the names asked for; it may have the other names of `clip_columns`.

    Raises:
        MissingFileError: there is no such file.
        IntegrityError: it is not a readable parquet file.
        InputError: it lacks a column.
    """
    stored = clip_columns(columns, read_schema(path))
    names = [stored.get(name, name) for name in columns]
    with open_table(path, names) as parquet:
        return _renamed(parquet.read(list(dict.fromkeys(names))), names, columns)


def _renamed(table: pa.Table, stored: Sequence[str], columns: Sequence[str]) -> pa.Table:
    """Columns of a table by other names."""
    if list(stored) == list(columns):
        return table.select(list(columns))
    import pyarrow as pa

    return pa.table([table.column(name) for name in stored], names=list(columns))


def read_schema(path: Path) -> list[str]:
    """Names of the columns of a parquet file.

    Raises:
        MissingFileError: there is no such file.
        IntegrityError: it is not a readable parquet file.
    """
    with ParquetTable(path) as parquet:
        return parquet.names


def open_table(path: Path, columns: list[str]) -> ParquetTable:
    """Open a parquet file that has all of `columns`.

    Raises:
        MissingFileError: there is no such file.
        IntegrityError: it is not a readable parquet file.
        InputError: it lacks a column.
    """
    parquet = ParquetTable(path)
    try:
        _check_present(str(path), parquet.names, columns)
    except InputError:
        parquet.close()
        raise
    return parquet


def select_columns(rows: pa.Table | pd.DataFrame, columns: Sequence[str]) -> pa.Table:
    """Columns of a table in memory, in the order and by the names asked for, as `read_columns`.

    Raises:
        InputError: it lacks a column, has one of them twice, or a column holds mixed values.
    """
    import pyarrow as pa

    names = [str(name) for name in (rows.column_names if isinstance(rows, pa.Table) else rows.columns)]
    other = clip_columns(columns, names)
    stored = [other.get(name, name) for name in columns]
    _check_present("the table", names, stored)
    twice = [name for name in dict.fromkeys(stored) if names.count(name) > 1]
    if twice:
        raise InputError(f"the table has the column {', '.join(map(repr, twice))} twice: rename one of each")
    try:
        wanted = list(dict.fromkeys(stored))
        table = rows if isinstance(rows, pa.Table) else pa.Table.from_pandas(rows[wanted], preserve_index=False)
    except pa.ArrowException as err:
        raise InputError(f"the table cannot be read ({' '.join(str(err).split())})") from err
    return _renamed(table, stored, columns)


def _check_present(where: str, present: Sequence[str], columns: Sequence[str]) -> None:
    missing = [c for c in columns if c not in present]
    if missing:
        why = {c: FEATURES[c].unavailable for c in missing if c in FEATURES and FEATURES[c].unavailable}
        hints = "".join(f" ({name}: {reason}, so it has to come with the table)" for name, reason in why.items())
        joined = [c for c in missing if c in CONTEXT and CONTEXT[c].of == "joined"]
        if joined:
            hints += f" ({', '.join(joined)}: join the table that has it, by vmaf-train join)"
        raise InputError(
            f"{where} has no column {', '.join(map(repr, missing))}{hints}; it has: {', '.join(present)}. "
            "Extract the features that are missing, or take them out of the model's inputs"
        )


def clip_columns(wanted: Iterable[str], present: Collection[str]) -> dict[str, str]:
    """Find columns of a table of clips that have one of the two names for a mean over the frames.

    Tables made elsewhere call the mean of a feature ``adm2`` or ``adm2_mean``, and a property of the whole video
    ``saliency_mean`` or ``saliency_mean_mean``. A table of frames has no means.

    Args:
        wanted: names of inputs.
        present: columns of the table.

    Returns:
        Name of an input to the table's column, for those that the table calls otherwise.
    """
    if "frame_index" in present:
        return {}
    found = {}
    for name in wanted:
        feature, stat = pooled_column(name) or (name, "")
        other = f"{name}_mean" if name in CONTEXT else feature if stat == "mean" else name
        if name not in present and other in present:
            found[name] = other
    return found


def strings(table: pa.Table, name: str) -> NDArray[np.str_]:
    """A text column as numpy strings; a missing value is the empty string."""
    names, index = coded_names(table, name)
    return names[index]


def coded_names(table: pa.Table, name: str) -> tuple[NDArray[np.str_], NDArray[np.int32]]:
    """Names of a text column, and the place among them of each row's; the last name is "", for a missing value."""
    import pyarrow as pa

    column = table.column(name)
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    chunks: list[Any] = column.unify_dictionaries().chunks
    known = ["" if value is None else str(value) for value in chunks[0].dictionary.to_pylist()] if chunks else []
    names = np.asarray([*known, ""], dtype=np.str_)
    index = [_numbers(chunk.indices, len(known)) for chunk in chunks]
    return names, np.concatenate([np.empty(0, np.int32), *index]).astype(np.int32)


def floats(table: pa.Table, name: str) -> NDArray[np.float64]:
    """A numeric column as float64; a missing value is NaN.

    Raises:
        InputError: the column is not numeric.
    """
    import pyarrow as pa

    column = table.column(name)
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise InputError(f"column {name!r} holds {column.type}, but numbers are needed")
    parts = [_numbers(chunk, float("nan")) for chunk in column.cast(pa.float64()).chunks]
    return np.concatenate([np.empty(0, np.float64), *parts])


def _numbers(array: Any, missing: float) -> NDArray[Any]:
    """Return the values of an Arrow array of numbers, with `missing` for a null.

    `to_numpy` and `fill_null` import pandas, which takes longer than to read the table of a default run.
    """
    if array.null_count:
        array = array.fill_null(missing)
    return np.from_dlpack(array)


def codec_block(version: str, encoder: NDArray[Any], preset: NDArray[Any], crf: NDArray[Any]) -> NDArray[np.float64]:
    """The codec columns of each row, float64 [n, width].

    Args:
        version: of the vocabulary.
        encoder, preset: str [n]; the empty string where it is not known.
        crf: float [n]; NaN where it is not known.

    Raises:
        InputError: an encoder or preset that the vocabulary refuses.
    """
    known = vocabulary(version)
    block = np.empty((encoder.size, known.width))
    # A table has a handful of rungs and thousands of rows of each.
    cells, index = np.unique(
        np.array([f"{e}\0{p}\0{float(c)!r}" for e, p, c in zip(encoder, preset, crf, strict=True)]),
        return_inverse=True,
    )
    encoded = []
    for cell in cells:
        e, p, c = str(cell).split("\0")
        quality = float(c)
        encoded.append(known.encode(e or None, p or None, None if np.isnan(quality) else quality))
    if encoded:
        block[:] = np.asarray(encoded)[index]
    return block
