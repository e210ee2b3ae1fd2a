"""A training table as arrays: the columns that a model needs, the rows that can be used, and the number of rows left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.coded import Coded
from pyvmaf.base.files import sha256_file
from pyvmaf.base.opinion import MOS
from pyvmaf.base.parquet import ParquetTable
from pyvmaf.chunks import CHUNK_ROWS, Scratch, chunks, release
from pyvmaf.codecs.vocabularies import vocabulary
from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.features.catalog import CONTEXT
from pyvmaf.models.crossval import NUMBERED, ROW_COLUMNS, SOURCE
from pyvmaf.models.regressor.spec import RegressorSpec
from pyvmaf.splits import TEST, TRAIN, VAL, Fold
from pyvmaf.tables.columns import (
    ENCODE_COLUMNS,
    clip_columns,
    codec_block,
    coded_names,
    floats,
    open_table,
    read_columns,
    read_schema,
    strings,
)

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Negatives:
    """The usable rows of a table of hard negatives.

    Attributes:
        path, sha256: the file that was read.
        n_total: rows of the file.
        X: float64 [n, features], finite.
        y: float64 [n], the teacher's scores.
        sources, others: str [n], the scene of each row's clip, and that of the other clip of a swapped pair, else empty.
    """

    path: Path
    sha256: str
    n_total: int
    X: NDArray[np.float64]
    y: NDArray[np.float64]
    sources: NDArray[np.str_]
    others: NDArray[np.str_]

    @staticmethod
    def read(path: Path, spec: RegressorSpec) -> Negatives:
        """Read the rows that a model can be trained on.

        Raises:
            MissingFileError, IntegrityError: the file is not there or is damaged.
            InputError: it lacks a column, or no row has all features of the model.
        """
        table = read_columns(path, ["source", "other", *spec.inputs.names, spec.target.column])
        X = np.column_stack([floats(table, name) for name in spec.inputs.names])
        y = floats(table, spec.target.column)
        keep = np.isfinite(X).all(axis=1) & np.isfinite(y)
        if not keep.any():
            raise InputError(
                f"{path}: none of {table.num_rows} rows has all features of {spec.name} ({', '.join(spec.inputs.names)}): "
                "make it again with those features"
            )
        sources, others = strings(table, "source")[keep], strings(table, "other")[keep]
        return Negatives(path, sha256_file(path), table.num_rows, X[keep], y[keep], sources, others)

    def facts(self) -> dict[str, Any]:
        """What a report says of them."""
        return {"name": self.path.stem, "sha256": self.sha256, "rows": self.n_total, "rows_used": int(self.y.size)}


@dataclass(frozen=True)
class Whole:
    """All rows that members are trained on: those of the table, then the hard negatives.

    Attributes:
        X, codec, y: as in `TrainingTable`.
    """

    X: NDArray[np.float64]
    codec: NDArray[np.float64] | None
    y: NDArray[np.float64]


@dataclass(frozen=True)
class TrainingTable:
    """The usable rows of a table.

    Attributes:
        path, sha256: the file that was read.
        features: names of the columns of `X`.
        X: float64 [n, len(features)], finite.
        codec: float64 [n, vocabulary width] in [0, 1], or None for a model without a codec block.
        y: float64 [n], finite.
        groups: of the n rows, the value of the column that the split goes by.
        keys: every text column that the split reads, by name, each of n rows; ``source`` if the table has it.
        rows: the columns of `ROW_COLUMNS` that the table has, each of n rows.
        n_total: rows of the file.
        dropped: rows left out, and for how many of them each column was the reason.
        whole: the same rows with the hard negatives after them.
        negatives: the hard negatives, or None.
        scratch: where the arrays lie.
    """

    path: Path
    sha256: str
    features: tuple[str, ...]
    X: NDArray[np.float64]
    codec: NDArray[np.float64] | None
    y: NDArray[np.float64]
    groups: Coded
    keys: dict[str, Coded]
    rows: dict[str, Coded | NDArray[np.float64]]
    n_total: int
    dropped: dict[str, Any]
    whole: Whole
    negatives: Negatives | None = None
    scratch: Scratch = field(default_factory=lambda: Scratch(0), compare=False)

    @property
    def width(self) -> int:
        """Number of columns that the network sees."""
        return int(self.X.shape[1] + (0 if self.codec is None else self.codec.shape[1]))

    def training_rows(self, fold: Fold, *, shared: bool) -> NDArray[np.int64]:
        """Indices into `whole` of the rows that the member of a fold is trained on.

        Hard negatives are among them if their scenes (both of a swapped pair) are among the fold's training rows, and on
        no other side of it unless `shared`.
        """
        rows = fold.rows(TRAIN)
        if self.negatives is None:
            return rows
        allowed = self._scenes(rows)
        if not shared:
            allowed -= self._scenes(fold.rows(TEST, VAL))
        mine = np.isin(self.negatives.sources, list(allowed)) & np.isin(self.negatives.others, ["", *allowed])
        return np.concatenate([rows, self.y.size + np.flatnonzero(mine)])

    def _scenes(self, rows: NDArray[np.int64]) -> set[str]:
        scenes = Coded.of(self.keys[SOURCE])
        seen = np.zeros(scenes.names.size, dtype=np.bool_)
        for part in chunks(rows.size):
            seen[scenes.codes[rows[part]]] = True
        return set(scenes.names[seen].tolist())

    @property
    def inputs(self) -> NDArray[np.float64]:
        """float64 [n, features + codec columns], the columns in the network's order."""
        return self.X if self.codec is None else np.hstack([self.X, self.codec])


def _unavailable(parquet: ParquetTable) -> dict[str, str]:
    try:
        stated = parquet.block() or {}
    except IntegrityError:
        return {}
    reasons = stated.get("unavailable", {})
    return reasons if isinstance(reasons, dict) else {}


def _listed(version: str, encoder: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Which rows' encoders have a slot in a vocabulary."""
    known = vocabulary(version)
    names, index = np.unique(encoder, return_inverse=True)
    able = np.ones(names.size, dtype=bool)
    for place, name in enumerate(names.tolist()):
        try:
            known.slot(name)
        except InputError:
            able[place] = False
    return np.asarray(able[index], dtype=np.bool_)


def read_table(path: Path, spec: RegressorSpec, negatives: Path | None = None) -> TrainingTable:
    """Read the columns that `spec` needs; rows that lack a needed value are left out and counted.

    Args:
        path: the table.
        spec: the model.
        negatives: table of hard negatives to train on as well.

    Raises:
        MissingFileError, IntegrityError: a file is not there or is damaged.
        InputError: it has no rows, none with a value of the target, lacks columns, or more rows lack a value than the
            spec allows; an encoder has no slot in the spec's vocabulary.
    """
    more = None if negatives is None else Negatives.read(negatives, spec)
    needed = list(dict.fromkeys([*spec.inputs.names, spec.target.column, *spec.split.columns]))
    if spec.inputs.codec is not None:
        needed += [c for c in ENCODE_COLUMNS if c not in needed]
    present = set(read_schema(path))
    needed += [c for c in ROW_COLUMNS if c in present and c not in needed]
    stored = clip_columns(spec.inputs.names, present)
    needed = [stored.get(name, name) for name in needed]
    if more is not None and SOURCE not in needed:
        raise InputError(f"{path} has no column {SOURCE!r}, which says where the scenes of hard negatives belong")
    with open_table(path, needed) as parquet:
        rows = _Rows(parquet, path, spec, needed, more, stored)
        for batch in parquet.batches(CHUNK_ROWS, needed):
            rows.add(batch)
            release()
        rows.check(parquet)
        return rows.table()


class _Coded:
    """A text column that is encoded batch by batch."""

    def __init__(self, codes: NDArray[np.int32]) -> None:
        self._codes = codes
        self._numbers: dict[str, int] = {}
        self._end = 0

    def add(self, names: NDArray[np.str_], index: NDArray[np.int32]) -> None:
        """Add the rows of a batch: the index among `names` of each row's name."""
        seen = np.bincount(index, minlength=names.size) > 0
        numbers = np.zeros(names.size, dtype=np.int32)
        for position in np.flatnonzero(seen).tolist():
            numbers[position] = self._numbers.setdefault(str(names[position]), len(self._numbers))
        self._codes[self._end : self._end + index.size] = numbers[index]
        self._end += index.size

    def labels(self) -> Coded:
        """All rows of the column."""
        codes = self._codes[: self._end]
        names = np.array([*self._numbers], dtype=np.str_)
        order = np.argsort(names, kind="stable")
        rank = np.zeros(names.size, dtype=np.int32)
        rank[order] = np.arange(order.size, dtype=np.int32)
        for part in chunks(codes.size):
            codes[part] = rank[codes[part]]
        return Coded(names[order], codes)


class _Rows:
    """The usable rows of a table, added a batch at a time."""

    def __init__(
        self,
        parquet: ParquetTable,
        path: Path,
        spec: RegressorSpec,
        columns: list[str],
        negatives: Negatives | None,
        stored: Mapping[str, str],
    ) -> None:
        self.n = n = parquet.rows
        self._negatives = negatives
        room = n + (0 if negatives is None else negatives.y.size)
        if n == 0:
            raise InputError(f"{path} has no rows: there is nothing to train on")
        self._path, self._spec = path, spec
        self._features, self._keys = list(spec.inputs.names), list(spec.split.columns)
        self._stored = stored
        low, high = spec.target.range
        self._in_range = f"{spec.target.column} in [{low:g}, {high:g}]"
        self._version = spec.inputs.codec
        texts = dict.fromkeys(c for c in (*self._keys, *ROW_COLUMNS) if c in columns and c not in NUMBERED)
        numbers = [c for c in NUMBERED if c in columns]
        width = 0 if self._version is None else vocabulary(self._version).width
        scratch = Scratch(room * (8 * (len(self._features) + width + 1 + len(numbers)) + 4 * len(texts)))
        self._scratch = scratch
        self._X = scratch.array((room, len(self._features)), np.float64)
        self._y = scratch.array(room, np.float64)
        self._codec = None if self._version is None else scratch.array((room, width), np.float64)
        self._labels = {name: _Coded(scratch.array(n, np.int32)) for name in texts}
        self._numbers: dict[str, NDArray[np.float64]] = {name: scratch.array(n, np.float64) for name in numbers}
        self._lacking = dict.fromkeys([*self._features, spec.target.column, self._in_range, *self._keys], 0)
        self._n_usable, self._n_unlisted, self._end = 0, 0, 0
        self._refused: InputError | None = None

    def add(self, batch: pa.Table) -> None:
        """Add the usable rows of a batch."""
        inputs = [floats(batch, self._stored.get(name, name)) for name in self._features]
        target = floats(batch, self._spec.target.column)
        text = {name: coded_names(batch, name) for name in self._labels}
        lacking = {name: ~np.isfinite(column) for name, column in zip(self._features, inputs, strict=True)}
        lacking[self._spec.target.column] = ~np.isfinite(target)
        if self._spec.rows.outside_target == "leave_out":
            low, high = self._spec.target.range
            lacking[self._in_range] = np.isfinite(target) & ((target < low) | (target > high))
        lacking |= {name: (text[name][0] == "")[text[name][1]] for name in self._keys}
        for name, mask in lacking.items():
            self._lacking[name] += int(np.count_nonzero(mask))
        usable = ~np.logical_or.reduce(list(lacking.values()))
        self._n_usable += int(np.count_nonzero(usable))
        if self._version is not None and self._spec.rows.unlisted_encoders == "leave_out":
            listed = _listed(self._version, strings(batch, "encoder"))
            self._n_unlisted += int(np.count_nonzero(~listed))
            usable &= listed
        keep = np.flatnonzero(usable)
        part = slice(self._end, self._end + keep.size)
        self._end += keep.size
        for number, column in enumerate(inputs):
            self._X[part, number] = column[keep]
        self._y[part] = target[keep]
        self._add_codec(batch, part, keep)
        for name, coded in self._labels.items():
            names, index = text[name]
            coded.add(names, index[keep])
        for name, values in self._numbers.items():
            values[part] = floats(batch, name)[keep]

    def _add_codec(self, batch: pa.Table, part: slice, keep: NDArray[np.int64]) -> None:
        if self._version is None or self._codec is None:
            return
        encoder, preset = strings(batch, "encoder")[keep], strings(batch, "preset")[keep]
        try:
            self._codec[part] = codec_block(self._version, encoder, preset, floats(batch, "crf")[keep])
        except InputError as err:
            self._refused = self._refused or err

    def check(self, parquet: ParquetTable) -> None:
        """Refuse a table whose rows are not usable; see `read_table`."""
        path, spec, n = self._path, self._spec, self.n
        if self._lacking[spec.target.column] == n:
            raise InputError(
                f"{path}: none of {n} rows has a value of {spec.target.column!r}, which model {spec.name} is to predict: "
                "there is nothing to learn from"
            )
        n_dropped = n - self._n_usable
        if n_dropped == n or n_dropped / n > spec.rows.max_dropped_share:
            why = _unavailable(parquet)
            named = "; ".join(
                f"{name}: {count} rows" + (f" ({why[name]})" if name in why else "")
                for name, count in self._lacking.items()
                if count
            )
            raise InputError(
                f"{path}: {n_dropped} of {n} rows lack a value that model {spec.name} needs ({named}), which is more than "
                f"the allowed share {spec.rows.max_dropped_share}: take such columns out of the model's inputs, or "
                f"extract them{self._remedies()}"
            )
        if self._n_unlisted and self._end == 0:
            raise InputError(f"{path}: no row's encoder has a place in codec vocabulary {self._version}")
        if self._refused is not None:
            raise InputError(f"{path}: {self._refused}") from self._refused

    def _remedies(self) -> str:
        """Say what else helps, for columns that no verb extracts."""
        texts = []
        if self._lacking[self._in_range]:
            texts.append(f"; target.range is to be the scale of {self._spec.target.column}")
        if self._spec.target.column == MOS and self._lacking[MOS]:
            texts.append("; rows without an opinion score are left out if rows.max_dropped_share allows for them")
        joined = [name for name in self._features if name in CONTEXT and CONTEXT[name].of == "joined"]
        if any(self._lacking[name] for name in joined):
            texts.append(f"; {', '.join(joined)} come from another table, by vmaf-train join")
        return "".join(texts)

    def _add_negatives(self) -> int:
        """Put the hard negatives after the table's rows, and give the number of all rows."""
        start, more = self._end, self._negatives
        if more is None:
            return start
        part = slice(start, start + more.y.size)
        self._X[part], self._y[part] = more.X, more.y
        if self._codec is not None:
            # A codec that no other row has would tell them apart, so each has that of a row of the table.
            self._codec[part] = self._codec[np.random.default_rng(17).integers(0, start, more.y.size)]
        return part.stop

    def table(self) -> TrainingTable:
        """The rows that were added."""
        reasons = {name: count for name, count in self._lacking.items() if count}
        if self._n_unlisted:
            reasons["encoder"] = self._n_unlisted
        end = self._end
        labels = {name: coded.labels() for name, coded in self._labels.items()}
        numbers = {name: values[:end] for name, values in self._numbers.items()}
        release()
        columns: dict[str, Coded | NDArray[np.float64]] = {**labels, **numbers}
        last = self._add_negatives()
        return TrainingTable(
            path=self._path,
            sha256=sha256_file(self._path),
            features=tuple(self._features),
            X=self._X[:end],
            codec=None if self._codec is None else self._codec[:end],
            y=self._y[:end],
            groups=labels[self._spec.split.by],
            keys={name: labels[name] for name in (*self._keys, *((SOURCE,) if SOURCE in labels else ()))},
            rows={name: columns[name] for name in ROW_COLUMNS if name in columns},
            n_total=self.n,
            dropped={"rows": self.n - end, "by_column": reasons},
            whole=Whole(self._X[:last], None if self._codec is None else self._codec[:last], self._y[:last]),
            negatives=self._negatives,
            scratch=self._scratch,
        )
