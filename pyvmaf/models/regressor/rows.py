"""A training table as arrays: the columns that a model needs, the rows that can be used, and what was left out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.coded import Labels
from pyvmaf.base.files import sha256_file
from pyvmaf.chunks import Scratch, release
from pyvmaf.codecs.vocabularies import vocabulary
from pyvmaf.errors import InputError, IntegrityError, MissingFileError
from pyvmaf.features.catalog import FEATURES
from pyvmaf.models.spec import ModelSpec, Split
from pyvmaf.splits import (
    Fold,
    check_apart,
    content_hash_sides,
    fold_of_sides,
    grouped_kfold,
    hash_sides,
    holdout,
    leave_one_group_out,
    same_partition,
)

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

SOURCE = "source"
ENCODE_COLUMNS = ("encoder", "preset", "crf")
ROW_COLUMNS = ("source", "group", "clip", "codec", "rung", "crf", "frame_index")
"""What tells one row from another; predictions carry them."""
NUMBERED = ("crf", "frame_index")
"""Those of them that are numbers."""
_ROWS_AT_A_TIME = 1 << 18


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


def read_columns(path: Path, columns: list[str]) -> pa.Table:
    """Columns of a parquet file, in the order asked for.

    Raises:
        MissingFileError: there is no such file.
        IntegrityError: it is not a readable parquet file.
        InputError: it lacks a column.
    """
    import pyarrow as pa

    try:
        with _opened(path, columns) as parquet:
            return parquet.read(columns=columns).select(columns)
    except pa.ArrowException as err:
        raise IntegrityError(f"{path} is not a readable parquet file ({err}): make it again") from err


def _opened(path: Path, columns: list[str]) -> pq.ParquetFile:
    """A parquet file that has all of `columns`. Errors as in `read_columns`, but Arrow's own for a damaged file."""
    import pyarrow.parquet as pq

    if not path.is_file():
        raise MissingFileError(f"no such file: {path}")
    parquet = pq.ParquetFile(path)
    present = parquet.schema_arrow.names
    missing = [c for c in columns if c not in present]
    if missing:
        parquet.close()
        why = {c: FEATURES[c].unavailable for c in missing if c in FEATURES and FEATURES[c].unavailable}
        hints = "".join(f" ({name}: {reason}, so it has to come with the table)" for name, reason in why.items())
        raise InputError(
            f"{path} has no column {', '.join(map(repr, missing))}{hints}; it has: {', '.join(present)}. "
            "Extract the features that are missing, or take them out of the model's inputs"
        )
    return parquet


def strings(table: pa.Table, name: str) -> NDArray[np.str_]:
    """A text column as numpy strings; a missing value is the empty string."""
    names, index = _names(table, name)
    return names[index]


def _names(table: pa.Table, name: str) -> tuple[NDArray[np.str_], NDArray[np.int32]]:
    """Names of a text column, and the place among them of each row's; the last name is "", for a missing value."""
    import pyarrow as pa

    column = table.column(name)
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    chunks: list[Any] = column.unify_dictionaries().chunks
    known = ["" if value is None else str(value) for value in chunks[0].dictionary.to_pylist()] if chunks else []
    names = np.asarray([*known, ""], dtype=np.str_)
    places = [chunk.indices.fill_null(len(known)).to_numpy(zero_copy_only=False) for chunk in chunks]
    return names, np.concatenate([np.empty(0, np.int32), *places]).astype(np.int32)


def floats(table: pa.Table, name: str) -> NDArray[np.float64]:
    """A numeric column as float64; a missing value is NaN.

    Raises:
        InputError: the column is not numeric.
    """
    import pyarrow as pa

    column = table.column(name)
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise InputError(f"column {name!r} holds {column.type}, but numbers are needed")
    # Arrow gives NaN for a missing number.
    return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)


def _unavailable(schema: pa.Schema) -> dict[str, str]:
    metadata = schema.metadata or {}
    try:
        stated = json.loads(metadata.get(b"pyvmaf", b"{}"))
    except ValueError:
        return {}
    reasons = stated.get("unavailable", {}) if isinstance(stated, dict) else {}
    return reasons if isinstance(reasons, dict) else {}


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


def make_folds(split: Split, table: TrainingTable) -> list[Fold]:
    """The folds of a split over the rows of a table; the protocols with a fixed division have one.

    Raises:
        InputError: the rows cannot be divided like that, or a source would be on both sides of a fold.
    """
    groups = table.keys[split.by]
    try:
        if split.protocol == "leave_one_out":
            folds = leave_one_group_out(groups)
        elif split.protocol == "kfold":
            folds = grouped_kfold(groups, split.k, split.number)
        elif split.protocol == "hash":
            folds = [fold_of_sides(hash_sides(groups, split.val_share, split.test_share))]
        elif split.protocol == "content_hash":
            folds = [fold_of_sides(content_hash_sides(groups, split.text))]
        else:
            folds = [
                holdout(
                    table.keys["corpus"],
                    groups,
                    str(split.mode),
                    primary=split.primary,
                    secondary=split.secondary,
                    source=split.source,
                    share=split.share,
                    seed=split.number,
                )
            ]
        _check_sources(split, table, folds)
    except InputError as err:
        raise InputError(f"{table.path}: {err}") from err
    return folds


def beside_folds(split: Split, table: TrainingTable) -> tuple[list[Fold], str | None]:
    """The folds whose figures stand beside those of the protocol, or none and why there are none.

    Their names begin with the column's: "group:bikes".

    Raises:
        InputError: a source would be on both sides of a fold.
    """
    if split.beside is None:
        return [], None
    values = table.keys[split.beside]
    if Labels.of(values).names.size < 2:
        return [], f"the table has one {split.beside} only"
    if split.protocol == "leave_one_out" and same_partition(values, table.keys[split.by]):
        return [], f"{split.beside} divides the rows as {split.by} does"
    folds = [replace(fold, held_out=f"{split.beside}:{fold.held_out}") for fold in leave_one_group_out(values)]
    try:
        _check_sources(split, table, folds)
    except InputError as err:
        raise InputError(f"{table.path}: {err}") from err
    return folds, None


def _check_sources(split: Split, table: TrainingTable, folds: list[Fold]) -> None:
    if SOURCE in table.keys and not split.shared_sources:
        try:
            check_apart(folds, table.keys[SOURCE], SOURCE)
        except InputError as err:
            raise InputError(f"{err}. Where that is meant, say split.shared_sources: true") from err


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


def read_table(path: Path, spec: ModelSpec) -> TrainingTable:
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
        with _opened(path, needed) as parquet:
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
        for start in range(0, codes.size, _ROWS_AT_A_TIME):
            codes[start : start + _ROWS_AT_A_TIME] = place[codes[start : start + _ROWS_AT_A_TIME]]
        release()
        return Labels(names[order], codes)


def _batches(parquet: pq.ParquetFile, columns: list[str]) -> Iterator[pa.Table]:
    """A table's rows, some at a time. Over more than one row group Arrow's own reader keeps what it has read."""
    import pyarrow as pa

    for group in range(parquet.num_row_groups):
        for batch in parquet.iter_batches(_ROWS_AT_A_TIME, row_groups=[group], columns=columns, use_threads=False):
            yield pa.Table.from_batches([batch])
        pa.default_memory_pool().release_unused()


def _read(
    parquet: pq.ParquetFile,
    path: Path,
    spec: ModelSpec,
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
        text = {name: _names(batch, name) for name in labels}
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


def read_schema(path: Path) -> list[str]:
    """Names of the columns of a parquet file.

    Raises:
        MissingFileError: there is no such file.
        IntegrityError: it is not a readable parquet file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise MissingFileError(f"no such file: {path}")
    try:
        return list(pq.read_schema(path).names)
    except pa.ArrowException as err:
        raise IntegrityError(f"{path} is not a readable parquet file ({err}): make it again") from err
