"""The verb ``join``: opinion scores put beside the rows of a feature table, by keys."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyvmaf.base.files import atomic_path, write_json
from pyvmaf.base.manifest import write_manifest
from pyvmaf.base.outputs import publishes
from pyvmaf.base.parquet import ParquetTable
from pyvmaf.errors import InputError
from pyvmaf.labels.aggregate import read_rows

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("mos", "mos_std_dev", "n_ratings", "mos_native")
"""Keys of a label that become columns of the table."""

_SHOWN = 20
_ROWS = 1 << 18


@dataclass(frozen=True)
class Key:
    """How a key is read out of a text.

    Attributes:
        column: the column, or the key of a row of labels.
        pattern: regular expression with one group, which is the key; None for the whole text.
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
            return text or None
        found = set(self.pattern.findall(text))
        if len(found) > 1:
            raise InputError(
                f"{self.pattern.pattern!r} finds {len(found)} keys in {text!r} ({', '.join(sorted(found)[:3])}): make it narrower"
            )
        return next(iter(found), None)


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
) -> dict[str, Any]:
    """Write a feature table with the columns of `COLUMNS`, and a report of what matched.

    Args:
        features: the table, parquet, of frames or of clips.
        labels: rows of labels or aggregate (.jsonl).
        output: the table with the scores; rows without a label have none.
        report: what matched and what did not (.json).
        feature_key, feature_pattern: column of the table with the key, and the part of it that is the key.
        label_key, label_pattern: the same of the labels.

    Returns:
        The report.

    Raises:
        MissingFileError, IntegrityError: a file is not there or damaged.
        InputError: a key is not there, is found twice in one text, or names several videos; or nothing matches. Nothing is
            written then.
    """
    started = time.monotonic()
    of_feature, of_label = Key.of(feature_key, feature_pattern), Key.of(label_key, label_pattern)
    scores = _scores(labels, of_label)
    with ParquetTable(features) as table:
        if feature_key not in table.names:
            raise InputError(f"{features} has no column {feature_key!r}; it has {', '.join(table.names)}")
        taken = [name for name in COLUMNS if name in table.names]
        if taken:
            raise InputError(f"{features} has columns {', '.join(taken)} already: join the table without them")
        audit = _join(table, scores, of_feature, output)
    audit = {
        "features": features.name,
        "labels": [path.name for path in labels],
        "feature_key": {"column": feature_key, "pattern": feature_pattern},
        "label_key": {"key": label_key, "pattern": label_pattern},
        **audit,
    }
    write_json(report, audit)
    write_manifest(
        output,
        verb="join",
        args={
            "feature_key": feature_key,
            "feature_pattern": feature_pattern,
            "label_key": label_key,
            "label_pattern": label_pattern,
        },
        inputs={"features": features, "labels": list(labels)},
        outputs={"table": output, "report": report},
        details={name: audit[name] for name in ("rows", "rows_matched", "keys_matched")},
        seconds=time.monotonic() - started,
    )
    return audit


def _scores(labels: Sequence[Path], key: Key) -> dict[str, dict[str, Any]]:
    """The labels by key.

    Raises:
        InputError: a row has no key, or two rows have one and say different things.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in labels:
        for row in read_rows(path, ("mos", key.column)):
            name = key(str(row[key.column]))
            if name is None:
                raise InputError(f"{path}: the pattern of the labels finds no key in {row[key.column]!r}")
            values = {column: row.get(column) for column in COLUMNS}
            if found.setdefault(name, values) != values:
                raise InputError(
                    f"{path}: several labels have the key {name!r}, with scores {found[name]['mos']:g} and {row['mos']:g}: the "
                    "key is too short, or a video is listed twice"
                )
    return found


def _join(table: ParquetTable, scores: Mapping[str, Mapping[str, Any]], key: Key, output: Path) -> dict[str, Any]:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    known: dict[str, str | None] = {}
    texts: dict[str, set[str]] = defaultdict(set)
    matched: set[str] = set()
    without: dict[str, None] = {}
    rows_matched = 0
    schema = table.schema
    for name in COLUMNS:
        schema = schema.append(pa.field(name, pa.int64() if name == "n_ratings" else pa.float64()))
    with atomic_path(output) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for part in table.batches(_ROWS, table.names):
            column: Any = pc.cast(part.column(key.column), pa.string()).combine_chunks().dictionary_encode()
            names = [str(name) for name in column.dictionary.to_pylist()]
            found: list[Mapping[str, Any] | None] = []
            for name in names:
                if name not in known:
                    known[name] = key(name)
                short = known[name]
                if short is not None and short in scores:
                    texts[short].add(name)
                    matched.add(short)
                else:
                    without[name] = None
                found.append(None if short is None else scores.get(short))
            codes = column.indices
            labelled = np.array([one is not None for one in found], dtype=bool)
            rows_matched += int(np.count_nonzero(labelled[codes.drop_null().to_numpy()]))
            writer.write_table(_with_scores(part, found, codes, schema))
        if not matched:
            raise InputError(
                f"no row of {table.path} has a key of the labels: keys of rows are {_some(known.values())}, of labels "
                f"{_some(scores)}; say with --feature-key-regex and --label-key-regex which part of each is the key"
            )
    unused = sorted(set(scores) - matched)
    return {
        "rows": table.rows,
        "rows_matched": rows_matched,
        "keys_matched": len(matched),
        "texts_of_one_key": {name: sorted(of) for name, of in sorted(texts.items()) if len(of) > 1},
        "rows_without_label": {"keys": len(without), "first": sorted(without)[:_SHOWN]},
        "labels_without_row": {"keys": len(unused), "first": unused[:_SHOWN]},
    }


def _with_scores(part: pa.Table, found: Sequence[Mapping[str, Any] | None], codes: Any, schema: pa.Schema) -> pa.Table:
    """The rows with the columns of the scores; a row without a label has none."""
    import pyarrow as pa

    columns: list[Any] = list(part.columns)
    for field in list(schema)[len(columns) :]:
        values = pa.array([None if one is None else one[field.name] for one in found], field.type)
        columns.append(values.take(codes))
    return pa.table(columns, schema=schema)


def _some(names: Iterable[str | None]) -> str:
    shown = [repr(name) for name, _ in zip(names, range(3), strict=False)]
    return ", ".join(shown) or "none"
