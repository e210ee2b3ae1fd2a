"""The verb ``join``: opinion scores, or columns of another table, put beside the rows of a feature table by keys."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyvmaf.base.files import atomic_path, write_json
from pyvmaf.base.manifest import write_manifest
from pyvmaf.base.opinion import SCALE_KEY
from pyvmaf.base.outputs import publishes
from pyvmaf.base.parquet import METADATA_KEY, ParquetTable
from pyvmaf.errors import InputError
from pyvmaf.labels.columns import Columns, Values
from pyvmaf.labels.keyed import Lookup, check_columns
from pyvmaf.labels.scores import Labels, Scores
from pyvmaf.splits import CONTENT_HASH_POLICY, content_hash_split

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 1 << 18


@publishes("join")
def join(
    features: Path,
    labels: Sequence[Path],
    output: Path,
    report: Path,
    *,
    feature_key: str = "clip",
    feature_pattern: str | None = None,
    label_key: str = "src",
    label_pattern: str | None = None,
    mos_scale: tuple[float, float] | None = None,
    label_scale: tuple[float, float] | None = None,
) -> dict[str, Any]:
    """Write a feature table with opinion scores (`pyvmaf.labels.scores.NAMES`), and a report of what matched.

    Args:
        features: the table, parquet, of frames or of clips.
        labels: rows of labels or aggregate, or others with a score (.jsonl, .csv, .parquet).
        output: the table with the scores, whose metadata state their scale; rows without a label have none.
        report: what matched and what did not (.json).
        feature_key, feature_pattern: column of the table with the key, and the part of it that is the key. Without
            expressions names are compared as keys of videos (`pyvmaf.corpora.keys.video_key`).
        label_key, label_pattern: the same of the labels.
        mos_scale: scale to map the scores to; None to leave them, on one scale.
        label_scale: scale of rows that do not state theirs.

    Returns:
        The report.

    Raises:
        MissingFileError, IntegrityError: a file is not there or damaged.
        InputError: a key is not there, is found twice in one text, or names several videos; nothing matches; or the
            scales of scores differ or are not known. Nothing is written then.
    """
    asked = Labels(
        tuple(labels), feature_key, feature_pattern, label_key, label_pattern, scale=mos_scale, stated=label_scale
    )
    scores = Scores(asked)
    stated = {} if scores.scale is None else {SCALE_KEY: list(scores.scale)}
    return _join(features, labels, output, report, scores.lookup, asked.args(), stated)


@publishes("join")
def join_columns(
    features: Path, inputs: Sequence[Path], output: Path, report: Path, columns: Columns
) -> dict[str, Any]:
    """Write a feature table with columns of other tables, and a report of what matched.

    The columns are another model's or metric's scores, saliency, or facts about the videos.

    Args:
        features: the table, parquet, of frames or of clips.
        inputs: tables that have the columns (.parquet, .csv, .jsonl).
        output: the table with the columns; rows without a match have none.
        report: what matched and what did not (.json).
        columns: which columns, and how rows find each other.

    Returns:
        The report.

    Raises:
        MissingFileError, IntegrityError: a file is not there or damaged.
        InputError: a column or key is not there, the table has a column of that name, two rows of one key differ, or
            nothing matches. Nothing is written then.
    """
    values = Values(columns, inputs)
    return _join(features, inputs, output, report, values.lookup, columns.args(), {}, columns)


def _join(
    features: Path,
    inputs: Sequence[Path],
    output: Path,
    report: Path,
    lookup: Lookup,
    args: Mapping[str, Any],
    stated: Mapping[str, Any],
    columns: Columns | None = None,
) -> dict[str, Any]:
    started = time.monotonic()
    with ParquetTable(features) as table:
        for name in lookup.columns_read:
            if name not in table.names:
                raise InputError(f"{features} has no column {name!r}; it has {', '.join(table.names)}")
        added = [*lookup.names, *(["split"] if columns is not None and columns.split is not None else [])]
        check_columns(features, added, table.names)
        _write(table, lookup, output, stated, columns)
    found = lookup.audit()
    audit = {"features": features.name, "labels": [path.name for path in inputs], **args, "columns": added, **found}
    write_json(report, audit)
    write_manifest(
        output,
        verb="join",
        args=dict(args),
        inputs={"features": features, "labels": list(inputs)},
        outputs={"table": output, "report": report},
        details={name: audit[name] for name in ("rows", "rows_matched", "keys_matched")} | dict(stated),
        seconds=time.monotonic() - started,
    )
    return audit


def _write(
    table: ParquetTable, lookup: Lookup, output: Path, stated: Mapping[str, Any], columns: Columns | None
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = table.schema
    for name, kind in lookup.fields.items():
        schema = schema.append(pa.field(name, kind))
    split = None if columns is None else columns.split
    if split is not None:
        schema = schema.append(pa.field("split", pa.string()))
    block = table.block()
    if block is not None:
        schema = schema.with_metadata({METADATA_KEY: json.dumps({**block, **stated}, sort_keys=True).encode()})
    with atomic_path(output) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for part in table.batches(_ROWS, table.names):
            more = lookup.columns(part)
            if split is not None:
                more["split"] = _split(part, more, split.column, split.seed)
            whole: list[Any] = [*part.columns, *more.values()]
            writer.write_table(pa.table(whole, schema=schema))
        # Before the file gets its name: a table of which no row matches is not written.
        lookup.check(str(table.path), "the labels" if columns is None else "the other table")


def _split(part: pa.Table, more: Mapping[str, Any], column: str, seed: str) -> pa.Array[Any]:
    """Return the side of each row by the policy `CONTENT_HASH_POLICY`; null for rows without a value of the column."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values = more[column] if column in more else part.column(column) if column in part.column_names else None
    if values is None:
        raise InputError(
            f"{CONTENT_HASH_POLICY} is to divide by {column!r}, which is neither a column of the table nor one that is joined"
        )
    texts = pc.cast(values, pa.string())
    coded: Any = (
        texts.combine_chunks().dictionary_encode() if hasattr(texts, "combine_chunks") else texts.dictionary_encode()
    )
    names = [str(name) for name in coded.dictionary.to_pylist()]
    sides = pa.array(content_hash_split(names, seed).tolist() if names else [], pa.string())
    return sides.take(coded.indices)
