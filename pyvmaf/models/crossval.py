"""Cross-validation: how rows are divided into folds, the figures of each fold, and the held-out predictions.

Every family of models leaves the same two things: figures per fold, and ``predictions.parquet`` with the fold, the
labels, the target and the prediction of each held-out row. The verbs that follow need no more of a family than these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.coded import Coded
from pyvmaf.base.files import atomic_path
from pyvmaf.chunks import Scratch, chunks, release
from pyvmaf.errors import InputError
from pyvmaf.metrics import FIGURES, agreement, finite
from pyvmaf.models.spec import Split
from pyvmaf.splits import (
    TEST,
    TRAIN,
    VAL,
    Fold,
    check_apart,
    content_hash_sides,
    filled_sides,
    fold_of_sides,
    grouped_kfold,
    hash_kfold,
    holdout,
    leave_one_group_out,
    named,
    same_partition,
    trained,
    used,
)

SOURCE = "source"
ROW_COLUMNS = ("source", "group", "clip", "codec", "preset", "rung", "strength", "crf", "frame_index")
"""Columns that tell one row from another; predictions carry those that the table has."""
NUMBERED = ("strength", "crf", "frame_index")
"""Those of them that hold numbers."""
WHOLE = ("crf", "frame_index")
"""Those of them that hold whole numbers."""

Predict = Callable[[int, NDArray[np.int64]], NDArray[np.float64]]
"""Predictions of a member for some rows: (index of its fold, row indices [n]) → float64 [n]."""


class Keyed(Protocol):
    """Rows with the text columns that a split reads."""

    @property
    def path(self) -> Path:
        """The table that the rows come from, for errors."""

    @property
    def keys(self) -> Mapping[str, Coded]:
        """Text columns by name; ``source`` if the table has it."""


class Observed(Keyed, Protocol):
    """Rows with labels and target."""

    @property
    def y(self) -> NDArray[np.float64]:
        """The target [n]."""

    @property
    def rows(self) -> Mapping[str, Coded | NDArray[np.float64]]:
        """Those of `ROW_COLUMNS` that the table has, by name."""

    @property
    def scratch(self) -> Scratch:
        """Where further arrays of n values may lie."""


def codecs_of(data: Observed) -> list[str]:
    """Codecs of the rows, sorted; none if the table does not name them. Rows without a codec add none."""
    column = data.rows.get("codec")
    if not isinstance(column, Coded):
        return []
    return sorted(str(column.names[code]) for code in np.unique(column.codes).tolist() if column.names[code])


@dataclass(frozen=True)
class Division:
    """The folds of a model.

    Attributes:
        folds: of the protocol; the verdict rests on them.
        beside: further folds over another column, for figures of extrapolation.
        not_beside: why there are none although the spec asks for them; None otherwise.
        everything: the fold whose training rows are those of the model that ships.
    """

    folds: list[Fold]
    beside: list[Fold]
    not_beside: str | None
    everything: Fold

    @staticmethod
    def of(split: Split, table: Keyed) -> Division:
        """Divide the rows of a table.

        Raises:
            InputError: the rows cannot be divided like that, or a source would be on both sides of a fold.
        """
        folds = make_folds(split, table)
        beside, not_beside = beside_folds(split, table)
        # Named values are a test set: nothing that is judged on them may have seen them.
        everything = trained(folds[0]) if split.protocol == "named" else used(folds)
        return Division(folds, beside, not_beside, everything)

    @property
    def every(self) -> list[Fold]:
        """The folds of the protocol, then those beside."""
        return [*self.folds, *self.beside]


@dataclass(frozen=True)
class Validation:
    """Measurements of a cross-validation.

    Attributes:
        division: the folds.
        scored: the entry of each fold of the protocol, for the report.
        beside: the same for the folds beside.
        pooled: figures over the held-out rows of all folds of the protocol together.
        predicted: predictions of these rows in the order of the folds, float64 [n].
    """

    division: Division
    scored: list[dict[str, Any]]
    beside: list[dict[str, Any]]
    pooled: dict[str, Any]
    predicted: NDArray[np.float64]

    def report(self) -> dict[str, Any]:
        """The keys of ``loso.json`` that hold figures."""
        beside = None
        if self.beside:
            columns = dict.fromkeys(fold["held_out"].partition(":")[0] for fold in self.beside)
            beside = {
                "by": ", ".join(columns),
                "n_folds": len(self.beside),
                "folds": self.beside,
                **summarise(self.beside),
            }
        return {
            "n_folds": len(self.scored),
            "folds": self.scored,
            **summarise(self.scored),
            "pooled": self.pooled,
            "beside": beside,
            "no_beside": self.division.not_beside,
        }


def make_folds(split: Split, table: Keyed) -> list[Fold]:
    """Divide the rows of a table by a split's protocol; protocols with a fixed division give one fold.

    Raises:
        InputError: the rows cannot be divided like that, or a source would be on both sides of a fold.
    """
    groups = table.keys[split.by]
    try:
        if split.protocol == "leave_one_out":
            folds = leave_one_group_out(groups)
        elif split.protocol == "kfold":
            folds = grouped_kfold(groups, split.k, split.number)
        elif split.protocol == "hash_kfold":
            folds = hash_kfold(groups, split.k)
        elif split.protocol == "hash":
            folds = [fold_of_sides(filled_sides(groups, split.val_share, split.test_share))]
        elif split.protocol == "named":
            folds = [named(groups, split.values, split.by)]
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


def beside_folds(split: Split, table: Keyed) -> tuple[list[Fold], str | None]:
    """Divide the rows by each column of ``split.beside``, for figures of extrapolation.

    Returns:
        The folds, named after the column and its value ("group:bikes"), and None; or no folds and the reason, None if no
        column was asked for.

    Raises:
        InputError: a source would be on both sides of a fold.
    """
    folds: list[Fold] = []
    reasons = []
    for column in split.columns_beside:
        values = table.keys[column]
        if Coded.of(values).names.size < 2:
            reasons.append(f"the table has one {column} only")
        elif split.protocol == "leave_one_out" and same_partition(values, table.keys[split.by]):
            reasons.append(f"{column} divides the rows as {split.by} does")
        else:
            folds += [replace(fold, held_out=f"{column}:{fold.held_out}") for fold in leave_one_group_out(values)]
    try:
        _check_sources(split, table, folds)
    except InputError as err:
        raise InputError(f"{table.path}: {err}") from err
    return folds, None if folds or not reasons else "; ".join(reasons)


def _check_sources(split: Split, table: Keyed, folds: list[Fold]) -> None:
    if SOURCE in table.keys and not split.shared_sources:
        try:
            check_apart(folds, table.keys[SOURCE], SOURCE)
        except InputError as err:
            raise InputError(f"{err}. If that is intended, set split.shared_sources: true") from err


def figures(predicted: NDArray[np.float64], target: NDArray[np.float64]) -> dict[str, float | None]:
    """The figures of agreement of predictions [n] with targets [n]; None for one that is not defined."""
    values: Mapping[str, Any] = agreement(predicted, target)
    return {name: finite(values[name]) for name in FIGURES}


def summarise(folds: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Mean of each figure over the folds, and the spread of PLCC (std with ddof 1); None if a fold has none."""
    out: dict[str, float | None] = {}
    for name in FIGURES:
        values = [f[name] for f in folds]
        out[f"mean_{name}"] = None if None in values else float(np.mean(values))
    plccs = [f["plcc"] for f in folds]
    defined = None not in plccs
    out["std_plcc"] = float(np.std(plccs, ddof=1)) if defined and len(plccs) > 1 else None
    out["min_plcc"] = float(min(plccs)) if defined else None
    out["max_plcc"] = float(max(plccs)) if defined else None
    return out


def validate(
    division: Division,
    table: Observed,
    predict: Predict,
    train_losses: Sequence[float | None],
    baselines: Mapping[str, Predict] | None = None,
) -> Validation:
    """Predict the held-out rows of every fold, and compare them with the target.

    Args:
        division: the folds.
        table: the rows.
        predict: predictions of the member that was trained for a fold of ``division.every``.
        train_losses: last training loss of each of these members, None if it was not trained.
        baselines: by name, simpler answers of the same members; the folds beside show their figures, too.
    """
    starts = np.cumsum([0, *(fold.count(TEST) for fold in division.folds)])
    # All predictions of the protocol's folds are kept: they are judged together, too.
    predicted, targets = (table.scratch.array(int(starts[-1]), np.float64) for _ in range(2))
    entries = []
    for index, (fold, loss) in enumerate(zip(division.every, train_losses, strict=True)):
        entry: dict[str, Any] = {
            "held_out": fold.held_out,
            "n_train": fold.count(TRAIN),
            "n_val": fold.count(TEST),
            "train_loss": None if loss is None else finite(loss),
        }
        for side in (TEST, VAL):
            if not fold.count(side):
                continue
            rows = fold.rows(side)
            values, target = predict(index, rows), table.y[rows]
            if side == TEST and index < len(division.folds):
                part = slice(starts[index], starts[index + 1])
                predicted[part], targets[part] = values, target
            release()
            measured = figures(values, target)
            if side == TEST:
                entry |= measured
                if index >= len(division.folds) and baselines:
                    simple = {name: answer(index, rows) for name, answer in baselines.items()}
                    entry["baselines"] = {name: figures(answers, target) for name, answers in simple.items()}
            else:
                entry["validation"] = {"n": fold.count(VAL), **measured}
            del rows, values, target
        entries.append(entry)
    n = len(division.folds)
    pooled = figures(predicted, targets) | {"n": int(predicted.size)}
    return Validation(division, entries[:n], entries[n:], pooled, predicted)


def write_predictions(path: Path, table: Observed, validation: Validation) -> None:
    """Write the held-out rows of every fold of the protocol, in the order of the folds.

    Columns: fold, the labels of the row (`ROW_COLUMNS`), target, prediction.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds: dict[str, Any] = {"fold": pa.dictionary(pa.int32(), pa.string())}
    for name in table.rows:
        number = pa.int64() if name in WHOLE else pa.float64()
        kinds[name] = number if name in NUMBERED else pa.dictionary(pa.int32(), pa.string())
    kinds |= {"target": pa.float64(), "prediction": pa.float64()}
    schema = pa.schema(kinds)
    end = 0
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for fold in validation.division.folds:
            rows = fold.test
            for chunk in chunks(rows.size):
                part = rows[chunk]
                columns: list[Any] = [_coded(np.zeros(part.size, dtype=np.int32), [fold.held_out])]
                columns += [_column(values, part, kinds[name]) for name, values in table.rows.items()]
                columns += [pa.array(table.y[part]), pa.array(validation.predicted[end : end + part.size])]
                end += part.size
                writer.write_table(pa.table(columns, schema=schema))


def _column(values: Coded | NDArray[np.float64], rows: NDArray[np.int64], kind: Any) -> Any:
    """Some rows of a label column as Arrow has them."""
    import pyarrow as pa

    if isinstance(values, Coded):
        return _coded(values.codes[rows], values.names.tolist())
    column = values[rows]
    present = np.isfinite(column)
    return pa.array(np.where(present, column, 0), mask=~present).cast(kind)


def _coded(codes: NDArray[np.int32], names: Sequence[str]) -> Any:
    """A text column. A missing name is the empty string."""
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(codes, pa.array(names, pa.string()))
