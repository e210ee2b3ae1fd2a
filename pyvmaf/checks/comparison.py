"""Rows of a table, or arrays, on which models are compared with the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.parquet import ParquetTable
from pyvmaf.checks.subject import TARGETS, Subject, bare_input, bare_scores
from pyvmaf.errors import InputError, unknown_name
from pyvmaf.runtime.predictor import Prediction
from pyvmaf.splits import filled_hash_sides, hash_sides
from pyvmaf.tables.columns import ENCODE_COLUMNS, codec_block, floats, read_columns, select_columns, strings

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SPLITS = ("all", "train", "val", "test")


@dataclass(frozen=True)
class Asked:
    """A model with the columns that it reads.

    Attributes:
        subject: the model.
        columns: its features, in the order of its input.
        input_name: input of a model without a sidecar; None for a model with one.
    """

    subject: Subject
    columns: tuple[str, ...]
    input_name: str | None = None

    @staticmethod
    def of(subject: Subject, columns: Sequence[str], input_name: str | None) -> Asked:
        """Find the columns of a model: those of its sidecar, else `columns`.

        Raises:
            InputError: a model without a sidecar has several inputs, or one of another name or width.
        """
        if subject.model is not None:
            return Asked(subject, subject.model.features)
        return Asked(subject, tuple(columns), bare_input(subject, columns, input_name))

    @property
    def vocabulary(self) -> str | None:
        """Version of the codec vocabulary of a model with a codec block."""
        block = None if self.subject.model is None else self.subject.model.sidecar.get("codec")
        return None if block is None else str(block["vocabulary"])

    @property
    def needed(self) -> tuple[str, ...]:
        """Every column of a table that the model reads."""
        return (*self.columns, *(ENCODE_COLUMNS if self.vocabulary else ()))

    @property
    def target(self) -> str | None:
        """Column that the model was trained on; None without a sidecar."""
        return None if self.subject.model is None else str(self.subject.model.sidecar.get("target", "vmaf"))

    def predict(self, X: NDArray[np.float64], codec: Any) -> Prediction:
        """Score rows: raw features [n, columns], and for a model with a codec block what `Model.predict` takes."""
        if self.subject.model is not None:
            return self.subject.model.predict(X, codec)
        assert self.input_name is not None
        scores = bare_scores(self.subject.graphs[0], self.input_name, X)
        return Prediction(scores, {}, None, 0.0)


@dataclass(frozen=True)
class Compared:
    """The rows on which models are compared.

    Attributes:
        target: name of the target.
        y: the target, float64 [n], finite.
        keys: str [n], the value that the split keeps together; None if there is none.
        split: name of the selection.
        note: what is unusual about it; None for nothing.
        left_out: rows of the selection that lack a value.
        inputs: by model, raw features [n, columns] and its codec block or None.
    """

    target: str
    y: NDArray[np.float64]
    keys: NDArray[np.str_] | None
    split: str
    note: str | None
    left_out: int
    inputs: list[tuple[NDArray[np.float64], Any]]


def compare_arrays(asked: Sequence[Asked], X: Any, y: Any, codec: Any, n_rows: int | None) -> Compared:
    """Select rows of arrays.

    Args:
        asked: the models, all with the columns of the first.
        X: raw features [n, columns].
        y: the target [n].
        codec: as `Model.predict` takes it, for all rows.
        n_rows: number of rows at the start that count; None for all.

    Raises:
        InputError: shapes do not fit, a model reads other columns, or no row is finite.
    """
    try:
        features, target = np.asarray(X, dtype=np.float64), np.asarray(y, dtype=np.float64)
    except (TypeError, ValueError) as err:
        raise InputError(f"X and y hold something else than numbers ({err})") from err
    first = asked[0]
    if features.ndim != 2 or target.ndim != 1 or len(features) != len(target) or not len(target):
        raise InputError(
            f"X has shape {features.shape} and y {target.shape}: X is [n, {len(first.columns)}], y [n], n 1 or more"
        )
    for other in asked:
        if other.columns != first.columns:
            raise InputError(
                f"{other.subject.path} reads {', '.join(other.columns)}, but X has the columns of {first.subject.path} "
                f"({', '.join(first.columns)}): compare them on a table"
            )
        if features.shape[1] != len(other.columns):
            raise InputError(
                f"X has {features.shape[1]} columns, but {other.subject.path} reads {len(other.columns)}: "
                f"{', '.join(other.columns)}"
            )
    usable = np.isfinite(features).all(axis=1) & np.isfinite(target)
    keep = np.flatnonzero(usable)[:n_rows]
    if keep.size == 0:
        raise InputError(f"none of the {len(target)} rows of X and y is finite")
    chosen = codec
    if codec is not None and not isinstance(codec, tuple):
        chosen = np.asarray(codec, dtype=np.float64)
        if len(chosen) != len(target):
            raise InputError(f"codec has {len(chosen)} rows, but y has {len(target)}")
        chosen = chosen[keep]
    inputs = [(features[keep], chosen if item.vocabulary else None) for item in asked]
    left_out = len(target) - int(np.count_nonzero(usable))
    return Compared("y", target[keep], None, "all", None, left_out, inputs)


def compare_table(
    asked: Sequence[Asked],
    rows: Path | pa.Table | pd.DataFrame,
    *,
    target: str | None,
    split: str,
    key: str,
    only: Sequence[str],
    n_rows: int | None,
) -> Compared:
    """Select rows of a table that every model can score.

    Args:
        asked: the models.
        rows: the table, or the parquet file of one.
        target: column to compare with; None for that of the first model's training, else the first of `TARGETS`.
        split: "train", "val" or "test" by a hash of `key`, or "all".
        key: column whose values the split keeps together.
        only: values of `key`; the split is not applied then.
        n_rows: number of rows at the start of the selection that count; None for all.

    Raises:
        InputError: a column or value is not in the table, or no rows are left.
    """
    where = str(rows) if isinstance(rows, Path) else "the table"
    present = _present(rows)
    target = target or asked[0].target or next((name for name in TARGETS if name in present), None)
    if target is None:
        raise InputError(f"{where} has none of the columns {', '.join(TARGETS)}: name the target with --target")
    keyed = [key] if key in present or only or split != "all" else []
    names = list(dict.fromkeys([*(name for item in asked for name in item.needed), target, *keyed]))
    data = read_columns(rows, names) if isinstance(rows, Path) else select_columns(rows, names)
    y = floats(data, target)
    usable = np.isfinite(y)
    for name in dict.fromkeys(name for item in asked for name in item.columns):
        usable &= np.isfinite(floats(data, name))
    keys = strings(data, key) if keyed else None
    if not usable.any():
        raise InputError(f"none of the {y.size} rows of {where} has a value in every column that is needed")
    chosen, label, note = _chosen(keys, usable, split, key, only, where)
    selected = np.flatnonzero(chosen & usable)[:n_rows]
    inputs = []
    for item in asked:
        X = np.column_stack([floats(data, name)[selected] for name in item.columns])
        codec = None
        if item.vocabulary:
            encoder, preset = strings(data, "encoder")[selected], strings(data, "preset")[selected]
            codec = codec_block(item.vocabulary, encoder, preset, floats(data, "crf")[selected])
        inputs.append((X, codec))
    return Compared(
        target,
        y[selected],
        None if keys is None else keys[selected],
        label if n_rows is None else f"{label}, first {selected.size} rows",
        note,
        int(np.count_nonzero(chosen & ~usable)),
        inputs,
    )


def _present(rows: Path | pa.Table | pd.DataFrame) -> list[str]:
    if isinstance(rows, Path):
        with ParquetTable(rows) as table:
            return table.names
    return [str(name) for name in getattr(rows, "column_names", rows.columns)]


def _chosen(
    keys: NDArray[np.str_] | None, usable: NDArray[np.bool_], split: str, key: str, only: Sequence[str], where: str
) -> tuple[NDArray[np.bool_], str, str | None]:
    """Choose the rows to look at, their name in the report, and a note on the choice.

    A table of few keys may have none in a side of the published split. Test and val then get the key whose hash is next
    to theirs, so that they are never empty if there are enough keys.
    """
    if keys is None or (split == "all" and not only):
        return np.ones(usable.size, dtype=np.bool_), "all", None
    if only:
        absent = sorted(set(only) - set(keys.tolist()))
        if absent:
            raise unknown_name(f"{key} of {where}", absent[0], sorted(set(keys.tolist())))
        chosen = np.isin(keys, list(only))
        if not (chosen & usable).any():
            raise InputError(
                f"no row of {where} with {key} {', '.join(only)} has a value in every column that is needed"
            )
        return chosen, f"{key} in {', '.join(only)}", None
    by_hash = np.asarray(hash_sides(keys)) == split
    distinct = np.unique(keys[usable]).tolist()
    sides = filled_hash_sides(distinct)
    members = [name for name in distinct if sides[name] == split]
    if not members:
        counts = {
            side: int(np.isin(keys[usable], [k for k in distinct if sides[k] == side]).sum()) for side in SPLITS[1:]
        }
        having = ", ".join(f"--split {side} ({n} rows)" for side, n in counts.items() if n)
        raise InputError(
            f"{where} has no usable rows in split {split!r}, because {key} has {len(distinct)} values "
            f"({', '.join(distinct[:12])}): take {having}, --split all ({usable.sum()} rows), or --only with one of "
            "these values"
        )
    chosen = np.isin(keys, members)
    if (chosen & usable).any() and (chosen & usable == by_hash & usable).all():
        return by_hash, split, None
    shown = ", ".join(members[:6]) + (f", … ({len(members)})" if len(members) > 6 else "")
    note = (
        f"{key} has {len(distinct)} values, too few for the hash to put some on every side: {split} is {shown}, by the "
        "order of the hashes"
    )
    return chosen, split, note
