"""A training table as arrays: the columns that a model needs, the rows that can be used, and what was left out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.coded import Labels
from pyvmaf.base.files import sha256_file
from pyvmaf.chunks import CHUNK_ROWS, Scratch, chunks, release
from pyvmaf.codecs.vocabularies import vocabulary
from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.models.crossval import NUMBERED, ROW_COLUMNS, SOURCE
from pyvmaf.models.regressor.spec import RegressorSpec
from pyvmaf.tables.columns import (
    ENCODE_COLUMNS,
    codec_block,
    coded_names,
    floats,
    open_table,
    read_schema,
    strings,
)

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


@dataclass(frozen=True)
class TrainingTable:
    """The usable rows of a table.

    Attributes:
        path, sha256: the file that was read.
        features: names of the columns of `X`.
        X: float64 [n, len(features)], finite.
        codec: float64 [n, vocabulary width] in [0, 1], or None for a model without a codec block.
        y: float64 [n], finite.
        groups: of the n rows, what is held out together: the column that the split goes by.
        keys: every text column that the split reads, by name, each of n rows; ``source`` where the table has one.
        rows: the columns of `ROW_COLUMNS` that the table has, each of n rows.
        n_total: rows of the file.
        dropped: rows left out, and for how many of them each column was the reason.
        scratch: where the arrays lie.
    """

    path: Path
    sha256: str
    features: tuple[str, ...]
    X: NDArray[np.float64]
    codec: NDArray[np.float64] | None
    y: NDArray[np.float64]
    groups: Labels
    keys: dict[str, Labels]
    rows: dict[str, Labels | NDArray[np.float64]]
    n_total: int
    dropped: dict[str, Any]
    scratch: Scratch = field(default_factory=lambda: Scratch(0), compare=False)

    @property
    def width(self) -> int:
        """Number of columns that the network sees."""
        return int(self.X.shape[1] + (0 if self.codec is None else self.codec.shape[1]))

    @property
    def inputs(self) -> NDArray[np.float64]:
        """float64 [n, features + codec columns], the columns in the network's order."""
        return self.X if self.codec is None else np.hstack([self.X, self.codec])


def _unavailable(schema: pa.Schema) -> dict[str, str]:
    metadata = schema.metadata or {}
    try:
        stated = json.loads(metadata.get(b"pyvmaf", b"{}"))
    except ValueError:
        return {}
    reasons = stated.get("unavailable", {}) if isinstance(stated, dict) else {}
    return reasons if isinstance(reasons, dict) else {}


def _listed(version: str, encoder: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Which rows' encoders a vocabulary has a place for."""
    known = vocabulary(version)
    names, index = np.unique(encoder, return_inverse=True)
    able = np.ones(names.size, dtype=bool)
    for place, name in enumerate(names.tolist()):
        try:
            known.slot(name)
        except InputError:
            able[place] = False
    return np.asarray(able[index], dtype=np.bool_)


def read_table(path: Path, spec: RegressorSpec) -> TrainingTable:
    """Read what `spec` needs from a table; rows that lack a needed value are left out and counted.

    Raises:
        MissingFileError, IntegrityError: the file is not there or is damaged.
        InputError: it has no rows, none with a value of the target, lacks columns, or more rows lack a value than the
            spec allows; an encoder has no place in the spec's vocabulary.
    """
    import pyarrow as pa

    features = list(spec.inputs.names)
    key_names = list(spec.split.columns)
    needed = list(dict.fromkeys([*features, spec.target.column, *key_names]))
    if spec.inputs.codec is not None:
        needed += [c for c in ENCODE_COLUMNS if c not in needed]
    present = set(read_schema(path))
    needed += [c for c in ROW_COLUMNS if c in present and c not in needed]
    try:
        with open_table(path, needed) as parquet:
            return _read(parquet, path, spec, features, key_names, needed)
    except pa.ArrowException as err:
        raise IntegrityError(f"{path} is not a readable parquet file ({err}): make it again") from err


class _Coded:
    """The numbers of a text column's names, batch by batch."""

    def __init__(self, codes: NDArray[np.int32]) -> None:
        self._codes = codes
        self._numbers: dict[str, int] = {}
        self._end = 0

    def add(self, names: NDArray[np.str_], index: NDArray[np.int32]) -> None:
        """Rows of the next batch: their names' places among `names`."""
        seen = np.bincount(index, minlength=names.size) > 0
        numbers = np.zeros(names.size, dtype=np.int32)
        for place in np.flatnonzero(seen).tolist():
            numbers[place] = self._numbers.setdefault(str(names[place]), len(self._numbers))
        self._codes[self._end : self._end + index.size] = numbers[index]
        self._end += index.size

    def labels(self) -> Labels:
        """All rows of the column."""
        codes = self._codes[: self._end]
        names = np.array([*self._numbers], dtype=np.str_)
        order = np.argsort(names, kind="stable")
        place = np.zeros(names.size, dtype=np.int32)
        place[order] = np.arange(order.size, dtype=np.int32)
        for part in chunks(codes.size):
            codes[part] = place[codes[part]]
        return Labels(names[order], codes)


def _batches(parquet: pq.ParquetFile, columns: list[str]) -> Iterator[pa.Table]:
    """A table's rows, some at a time. Over more than one row group Arrow's own reader keeps what it has read."""
    import pyarrow as pa

    for group in range(parquet.num_row_groups):
        for batch in parquet.iter_batches(CHUNK_ROWS, row_groups=[group], columns=columns, use_threads=False):
            yield pa.Table.from_batches([batch])
        pa.default_memory_pool().release_unused()


def _read(
    parquet: pq.ParquetFile,
    path: Path,
    spec: RegressorSpec,
    features: list[str],
    key_names: list[str],
    columns: list[str],
) -> TrainingTable:
    """The table, a batch of rows at a time."""
    n = parquet.metadata.num_rows
    if n == 0:
        raise InputError(f"{path} has no rows: there is nothing to train on")
    texts = [c for c in (*key_names, *ROW_COLUMNS) if c in columns and c not in NUMBERED]
    numbers = [c for c in NUMBERED if c in columns and c in parquet.schema_arrow.names]
    version = spec.inputs.codec
    width = 0 if version is None else vocabulary(version).width
    wide = len(features) + width
    scratch = Scratch(n * (8 * (wide + 1 + len(numbers)) + 4 * len(texts)))
    X = scratch.array((n, len(features)), np.float64)
    y = scratch.array(n, np.float64)
    codec = None if version is None else scratch.array((n, width), np.float64)
    labels = {name: _Coded(scratch.array(n, np.int32)) for name in dict.fromkeys(texts)}
    rows: dict[str, NDArray[np.float64]] = {name: scratch.array(n, np.float64) for name in numbers}
    counts = dict.fromkeys([*features, spec.target.column, *key_names], 0)
    n_usable, n_unlisted, end = 0, 0, 0
    refused: InputError | None = None
    for batch in _batches(parquet, columns):
        inputs = [floats(batch, name) for name in features]
        target = floats(batch, spec.target.column)
        text = {name: coded_names(batch, name) for name in labels}
        lacking = {name: ~np.isfinite(column) for name, column in zip(features, inputs, strict=True)}
        lacking[spec.target.column] = ~np.isfinite(target)
        lacking |= {name: (text[name][0] == "")[text[name][1]] for name in key_names}
        for name, mask in lacking.items():
            counts[name] += int(np.count_nonzero(mask))
        usable = ~np.logical_or.reduce(list(lacking.values()))
        n_usable += int(np.count_nonzero(usable))
        encoder = None if version is None else strings(batch, "encoder")
        if version is not None and encoder is not None and spec.rows.unlisted_encoders == "leave_out":
            listed = _listed(version, encoder)
            n_unlisted += int(np.count_nonzero(~listed))
            usable &= listed
        keep = np.flatnonzero(usable)
        here = slice(end, end + keep.size)
        end += keep.size
        for place, column in enumerate(inputs):
            X[here, place] = column[keep]
        y[here] = target[keep]
        if version is not None and encoder is not None and codec is not None:
            try:
                codec[here] = codec_block(
                    version, encoder[keep], strings(batch, "preset")[keep], floats(batch, "crf")[keep]
                )
            except InputError as err:
                refused = refused or err
        for name, coded in labels.items():
            names, index = text[name]
            coded.add(names, index[keep])
        for name, values in rows.items():
            values[here] = floats(batch, name)[keep]
        release()

    reasons = {name: count for name, count in counts.items() if count}
    if counts[spec.target.column] == n:
        raise InputError(
            f"{path}: none of {n} rows has a value of {spec.target.column!r}, which model {spec.name} is to predict: "
            "there is nothing to learn from"
        )
    n_dropped = n - n_usable
    if n_dropped == n or n_dropped / n > spec.rows.max_dropped_share:
        why = _unavailable(parquet.schema_arrow)
        named = "; ".join(
            f"{name}: {count} rows" + (f" ({why[name]})" if name in why else "") for name, count in reasons.items()
        )
        raise InputError(
            f"{path}: {n_dropped} of {n} rows lack a value that model {spec.name} needs ({named}), which is more than "
            f"the allowed share {spec.rows.max_dropped_share}: take such columns out of the model's inputs, or "
            "extract them"
        )
    if n_unlisted:
        if end == 0:
            raise InputError(f"{path}: no row's encoder has a place in codec vocabulary {version}")
        reasons["encoder"] = n_unlisted
    if refused is not None:
        raise InputError(f"{path}: {refused}") from refused
    coded_rows = {name: coded.labels() for name, coded in labels.items()}
    release()
    return TrainingTable(
        path=path,
        sha256=sha256_file(path),
        features=tuple(features),
        X=X[:end],
        codec=None if codec is None else codec[:end],
        y=y[:end],
        groups=coded_rows[spec.split.by],
        keys={name: coded_rows[name] for name in (*key_names, *((SOURCE,) if SOURCE in coded_rows else ()))},
        rows={
            name: coded_rows[name] if name in coded_rows else rows[name][:end]
            for name in ROW_COLUMNS
            if name in coded_rows or name in rows
        },
        n_total=n,
        dropped={"rows": n - end, "by_column": reasons},
        scratch=scratch,
    )
