"""A training table as arrays: the columns that a model needs, the rows that can be used, and what was left out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.codecs import vocabulary
from pyvmaf.errors import InputError, IntegrityError, MissingFileError
from pyvmaf.features.catalog import FEATURES
from pyvmaf.models.spec import ModelSpec, Split
from pyvmaf.provenance import sha256_file
from pyvmaf.splits import (
    Fold,
    check_apart,
    content_hash_split,
    fold_of_sides,
    grouped_kfold,
    hash_split,
    holdout,
    leave_one_group_out,
    same_partition,
)

if TYPE_CHECKING:
    import pyarrow as pa

SOURCE = "source"
ENCODE_COLUMNS = ("encoder", "preset", "crf")
ROW_COLUMNS = ("source", "group", "clip", "codec", "rung", "crf", "frame_index")
"""What tells one row from another; predictions carry them."""


@dataclass(frozen=True)
class TrainingTable:
    """The usable rows of a table.

    Attributes:
        path, sha256: the file that was read.
        features: names of the columns of `X`.
        X: float64 [n, len(features)], finite.
        codec: float64 [n, vocabulary width] in [0, 1], or None for a model without a codec block.
        y: float64 [n], finite.
        groups: str [n], what is held out together: the column that the split goes by.
        keys: every text column that the split reads, by name, each [n]; ``source`` where the table has one.
        rows: the columns of `ROW_COLUMNS` that the table has, each [n].
        n_total: rows of the file.
        dropped: rows left out, and for how many of them each column was the reason.
    """

    path: Path
    sha256: str
    features: tuple[str, ...]
    X: NDArray[np.float64]
    codec: NDArray[np.float64] | None
    y: NDArray[np.float64]
    groups: NDArray[np.str_]
    keys: dict[str, NDArray[np.str_]]
    rows: dict[str, NDArray[Any]]
    n_total: int
    dropped: dict[str, Any]

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
    import pyarrow.parquet as pq

    if not path.is_file():
        raise MissingFileError(f"no such file: {path}")
    try:
        with pq.ParquetFile(path) as parquet:
            present = parquet.schema_arrow.names
            missing = [c for c in columns if c not in present]
            if missing:
                why = {c: FEATURES[c].unavailable for c in missing if c in FEATURES and FEATURES[c].unavailable}
                hints = "".join(
                    f" ({name}: {reason}, so it has to come with the table)" for name, reason in why.items()
                )
                raise InputError(
                    f"{path} has no column {', '.join(map(repr, missing))}{hints}; it has: {', '.join(present)}. "
                    "Extract the features that are missing, or take them out of the model's inputs"
                )
            return parquet.read(columns=columns).select(columns)
    except pa.ArrowException as err:
        raise IntegrityError(f"{path} is not a readable parquet file ({err}): make it again") from err


def strings(table: pa.Table, name: str) -> NDArray[np.str_]:
    """A text column as numpy strings; a missing value is the empty string."""
    import pyarrow as pa

    column = table.column(name)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return np.asarray(["" if value is None else value for value in column.to_pylist()], dtype=np.str_)


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


def _unavailable(table: pa.Table) -> dict[str, str]:
    metadata = table.schema.metadata or {}
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
            folds = [fold_of_sides(hash_split(groups, split.val_share, split.test_share))]
        elif split.protocol == "content_hash":
            folds = [fold_of_sides(content_hash_split(groups, split.text))]
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
    if np.unique(values).size < 2:
        return [], f"the table has one {split.beside} only"
    if split.protocol == "leave_one_out" and same_partition(values, table.keys[split.by]):
        return [], f"{split.beside} divides the rows as {split.by} does"
    folds = [Fold(f"{split.beside}:{f.held_out}", f.train, f.test) for f in leave_one_group_out(values)]
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
    features = list(spec.inputs.names)
    key_names = list(spec.split.columns)
    needed = list(dict.fromkeys([*features, spec.target.column, *key_names]))
    if spec.inputs.codec is not None:
        needed += [c for c in ENCODE_COLUMNS if c not in needed]
    present = set(read_schema(path))
    extra = [c for c in ROW_COLUMNS if c in present and c not in needed]
    table = read_columns(path, needed + extra)
    n = table.num_rows
    if n == 0:
        raise InputError(f"{path} has no rows: there is nothing to train on")

    X = np.column_stack([floats(table, name) for name in features])
    y = floats(table, spec.target.column)
    keys = {name: strings(table, name) for name in key_names}
    lacking = {name: ~np.isfinite(column) for name, column in zip(features, X.T, strict=True)}
    lacking[spec.target.column] = ~np.isfinite(y)
    lacking |= {name: column == "" for name, column in keys.items()}
    usable = ~np.logical_or.reduce(list(lacking.values()))
    reasons = {name: int(count) for name, mask in lacking.items() if (count := np.count_nonzero(mask))}
    if reasons.get(spec.target.column) == n:
        raise InputError(
            f"{path}: none of {n} rows has a value of {spec.target.column!r}, which model {spec.name} is to predict: "
            "there is nothing to learn from"
        )
    n_dropped = n - int(np.count_nonzero(usable))
    if n_dropped == n or n_dropped / n > spec.rows.max_dropped_share:
        why = _unavailable(table)
        named = "; ".join(
            f"{name}: {count} rows" + (f" ({why[name]})" if name in why else "") for name, count in reasons.items()
        )
        raise InputError(
            f"{path}: {n_dropped} of {n} rows lack a value that model {spec.name} needs ({named}), which is more than "
            f"the allowed share {spec.rows.max_dropped_share}: take such columns out of the model's inputs, or "
            "extract them"
        )
    if spec.inputs.codec is not None and spec.rows.unlisted_encoders == "leave_out":
        listed = _listed(spec.inputs.codec, strings(table, "encoder"))
        if not (usable & listed).any():
            raise InputError(f"{path}: no row's encoder has a place in codec vocabulary {spec.inputs.codec}")
        if not listed.all():
            reasons["encoder"] = int(np.count_nonzero(~listed))
        usable &= listed
    keep = np.flatnonzero(usable)
    codec = None
    if spec.inputs.codec is not None:
        encoder, preset = strings(table, "encoder")[keep], strings(table, "preset")[keep]
        try:
            codec = codec_block(spec.inputs.codec, encoder, preset, floats(table, "crf")[keep])
        except InputError as err:
            raise InputError(f"{path}: {err}") from err
    if SOURCE in table.column_names and SOURCE not in keys:
        keys[SOURCE] = strings(table, SOURCE)
    rows: dict[str, NDArray[Any]] = {}
    for name in ROW_COLUMNS:
        if name in table.column_names:
            column = floats(table, name) if name in ("crf", "frame_index") else strings(table, name)
            rows[name] = column[keep]
    return TrainingTable(
        path=path,
        sha256=sha256_file(path),
        features=tuple(features),
        X=np.ascontiguousarray(X[keep]),
        codec=codec,
        y=y[keep],
        groups=keys[spec.split.by][keep],
        keys={name: column[keep] for name, column in keys.items()},
        rows=rows,
        n_total=n,
        dropped={"rows": n - int(keep.size), "by_column": reasons},
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
