"""Feature tables: one parquet file per ladder, one row per frame of each rung."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pyvmaf.base.files import atomic_path
from pyvmaf.base.opinion import COLUMNS as OPINIONS
from pyvmaf.base.opinion import COUNTS, SCALE_KEY
from pyvmaf.base.parquet import METADATA_KEY, read_parquet
from pyvmaf.base.parse import parse_json
from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.features.catalog import FEATURES, TEACHER

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from pyvmaf.encodes.record import Record
    from pyvmaf.features.ladder import Ladder

TEXT_COLUMNS: tuple[str, ...] = ("corpus", "group", "source", "clip", "codec", "encoder", "preset", "rung")
"""Text columns that name the ladder and rung of a row; stored with dictionaries."""

LEADING: tuple[str, ...] = (
    "corpus", "group", "source", "clip", "codec", "encoder", "preset", "crf", "rung", "strength", "frame_index",
)  # fmt: skip
"""Columns before the features, in order. `source` is the scene that a split keeps together, `group` the film.
`strength` orders the rungs of a ladder; `encoder`, `preset` and `crf` are null if no encoder made the rung."""

STRENGTH = "strength"
"""Column of `LEADING` that tables of version 0.1.0 do not have; `crf` stands for it there."""

TARGET = TEACHER
"""Column after the features: the teacher's score."""


def columns(features: Iterable[str], opinions: Iterable[str] = ()) -> tuple[str, ...]:
    """List all columns of a table of these features and columns of opinion scores, in order."""
    present, rated = set(features), set(opinions)
    ordered = (name for name in FEATURES if name in present)
    return (*LEADING, *ordered, TARGET, *(name for name in OPINIONS if name in rated))


def schema(features: Iterable[str], opinions: Iterable[str] = ()) -> pa.Schema:
    """Return the arrow schema of a table of these features and columns of opinion scores."""
    import pyarrow as pa

    def kind(name: str) -> pa.DataType:
        if name in TEXT_COLUMNS:
            return pa.dictionary(pa.int32(), pa.string())
        return pa.int64() if name in ("crf", "frame_index", *COUNTS) else pa.float64()

    return pa.schema([pa.field(name, kind(name)) for name in columns(features, opinions)])


def ladder_table(
    ladder: Ladder,
    labels: Mapping[str, str],
    records: Mapping[str, Record],
    strengths: Mapping[str, float],
    model: str,
    engine: Mapping[str, Any],
) -> pa.Table:
    """Build the table of a ladder.

    Args:
        ladder: the measured features.
        labels: ``corpus``, ``group``, ``source``, ``clip`` and ``codec`` of all its rows.
        records: the encode record of each rung, for encoder, preset and CRF.
        strengths: the strength of each rung; NaN if nothing orders them, which becomes null.
        model: the teacher.
        engine: the manifest's block about the code that computed it; kept in the file's metadata.
    """
    import numpy as np
    import pyarrow as pa

    names = tuple(next(iter(ladder.rungs.values())).features)
    parts = []
    for rung, scores in ladder.rungs.items():
        record = records[rung]
        n = scores.indices.size
        text = {**labels, "encoder": record.encoder, "preset": record.preset, "rung": rung}
        data: dict[str, Any] = {name: repeated(value, n) for name, value in text.items()}
        data["crf"] = pa.nulls(n, pa.int64()) if record.crf is None else _array(np.full(n, record.crf, np.int64))
        strength = strengths[rung]
        unknown = strength != strength
        data[STRENGTH] = pa.nulls(n, pa.float64()) if unknown else _array(np.full(n, strength, np.float64))
        data["frame_index"] = _array(scores.indices)
        data |= {name: _array(values) for name, values in scores.features.items()}
        data[TARGET] = _array(scores.vmaf) if scores.vmaf is not None else pa.nulls(n, pa.float64())
        order = columns(names)
        parts.append(pa.table({name: data[name] for name in order}))
    merged = pa.concat_tables(parts).cast(schema(names))
    return merged.replace_schema_metadata(
        metadata(features=names, unavailable=ladder.unavailable, model=model, engine=engine, notes=ladder.notes)
    )


def empty_table(features: Sequence[str], model: str, engine: Mapping[str, Any]) -> pa.Table:
    """Build the table of a ladder of which nothing can be measured; the arguments are those of `ladder_table`."""
    block = metadata(features=features, unavailable={}, model=model, engine=engine)
    return schema(features).with_metadata(block).empty_table()


def repeated(text: str | None, n: int) -> pa.StringArray:
    """Return a text column of `n` equal values; None is a missing value."""
    import numpy as np
    import pyarrow as pa

    if text is None:
        return pa.nulls(n, pa.string())
    # Made of buffers as in `_array`.
    data = text.encode()
    offsets = np.arange(n + 1, dtype=np.int32) * len(data)
    return pa.StringArray.from_buffers(n, pa.py_buffer(offsets.tobytes()), pa.py_buffer(data * n))


def _array(values: NDArray[Any]) -> pa.Array[Any]:
    """Return numbers as an Arrow array.

    `pyarrow.array`, `scalar` and `repeat` would import pandas, which takes longer than all else that this module does.
    """
    import pyarrow as pa

    buffers = [None, pa.py_buffer(values.tobytes())]
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), values.size, buffers)


def metadata(
    *,
    features: Sequence[str],
    unavailable: Mapping[str, Any],
    model: str,
    engine: Mapping[str, Any],
    notes: Sequence[str] = (),
    mos_scale: tuple[float, float] | None = None,
) -> dict[bytes, bytes]:
    """Return the file metadata of a table.

    Notes on how its videos were read are left out if there are none, and so is the scale of its opinion scores.
    """
    block = {
        "features": list(features),
        "unavailable": dict(unavailable),
        "model": model,
        "engine": dict(engine),
        **({"notes": list(notes)} if notes else {}),
        **({SCALE_KEY: list(mos_scale)} if mos_scale else {}),
    }
    return {METADATA_KEY: json.dumps(block, sort_keys=True).encode()}


def read_metadata(stored: pa.Schema, path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the metadata of a table.

    Args:
        stored: schema of the parquet file.
        path: its path, for the message.

    Raises:
        IntegrityError: the file has none, so it is not a feature table.
    """
    text = (stored.metadata or {}).get(METADATA_KEY)
    if text is None:
        raise IntegrityError(
            f"{os.fspath(path)} is a parquet file, but not a table of pyvmaf: its metadata lack the feature spec"
        )
    block = parse_json(text, f"the metadata of {os.fspath(path)}")
    kinds = {"unavailable": dict, "model": str, "engine": dict}
    wrong = [key for key, kind in kinds.items() if not isinstance(block, dict) or not isinstance(block.get(key), kind)]
    if wrong:
        raise IntegrityError(f"the metadata of {os.fspath(path)} lack {', '.join(wrong)}: it is not a table of pyvmaf")
    return dict(block)


def write_table(table: pa.Table, path: str | os.PathLike[str]) -> None:
    """Write a table atomically as parquet with zstd."""
    import pyarrow.parquet as pq

    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_table(path: str | os.PathLike[str]) -> pa.Table:
    """Read a whole table with its metadata.

    Raises:
        MissingFileError: there is no such file.
        IntegrityError: it is damaged, or not a table of this project.
        InputError: it lacks a column.
    """
    table = read_parquet(path)
    read_metadata(table.schema, path)
    missing = [name for name in LEADING if name not in (*table.column_names, STRENGTH)]
    if missing:
        raise InputError(
            f"{os.fspath(path)} lacks the columns {', '.join(missing)}; it has {', '.join(table.column_names)}"
        )
    return table
