"""Corpora of the kind ``feature-log``: logs of libvmaf that another program made, with opinion scores."""

from __future__ import annotations

import io
import math
import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from pyvmaf.base.parquet import read_parquet
from pyvmaf.base.section import Section
from pyvmaf.corpora.spec import Pinned
from pyvmaf.errors import InputError
from pyvmaf.features.catalog import FEATURES, STATS, TEACHER
from pyvmaf.features.pool import COUNT, pool
from pyvmaf.tables.adapters.imported import (
    Encode,
    Rows,
    TableCorpus,
    check_context,
    complete_encoder,
    is_missing,
    parse_number,
    rescale,
)

if TYPE_CHECKING:
    import pandas as pd

_DAMAGE = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)
"""Errors of numpy and zipfile for damaged archives and for arrays of objects, which are not unpickled."""

_AGREES = 1e-4
"""Largest relative difference between a pooled value of a log, which is rounded, and its frames pooled here."""

_FRAME_NUMBER = r"(?i)frame(_?(index|num|number|no|id))?|poc|n_frame"
"""Names of columns by which tables of frames are known."""

_TEXTS = ("group", "source", "clip", "codec", "encoder", "preset")

Column = Literal[
    "group", "source", "clip", "codec", "encoder", "preset", "crf",
    "width", "height", "fps", "bitrate_kbps", "shot_count_norm", "shot_mean_len_norm", "shot_cut_density",
    "saliency_mean", "saliency_var", "n_frames", "mos", "mos_ci", "mos_std", "n_ratings",
]  # fmt: skip
"""Columns of a training table, other than features, that a log can have."""


class Frames(Pinned, Section):
    """An .npz file of per-frame values: one array [frames, columns] per video, and the names of the columns."""

    where: dict[str, str] = Field(
        default={},
        description="The videos whose frames it holds: column of the tables to value. Empty: all videos.",
    )


class FeatureLog(Section):
    """Logs of libvmaf, one row per video, with what viewers said about it."""

    tables: tuple[Pinned, ...] = Field(min_length=1, description="Tables of pooled values, .csv or .parquet.")
    frames: tuple[Frames, ...] = Field(
        default=(), description="Per-frame values of the same videos (.npz). They are pooled here, and must agree."
    )
    frame_key: str | None = Field(default=None, description="Column of the tables whose values name the npz's arrays.")
    frame_names: str = Field(default="__features__", description="Array of the npz that names the columns.")
    columns: dict[Column, str | tuple[str, ...]] = Field(
        description="Column of a training table to the log's column that it is taken from; of several columns the "
        "values are joined with '/'. source, clip and codec are needed."
    )
    features: dict[str, str] = Field(
        default={}, description="Feature's name in the log to its training name; equal names need no entry."
    )
    codecs: dict[str, str] = Field(
        default={},
        description="Codec as the log writes it to the encoder that it stands for; names and aliases of encoders need "
        "no entry.",
    )
    mos_scale: tuple[float, float] = Field(
        default=(1.0, 5.0),
        description="Ends of the scale of opinion scores. They are mapped linearly to 1 to 5, their intervals with them.",
    )
    teacher: str = Field(
        min_length=1, description="What computed the log's VMAF. Tables of different teachers are not put together."
    )
    unit: Literal["clip", "frame"] = Field(
        default="clip", description="What a row of the training table is: a video, or a frame of `frames`."
    )
    max_bad_share: float = Field(
        default=0.05, ge=0, lt=1, description="Refuse a log if more than this share of rows cannot be used."
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        missing = [name for name in ("source", "clip", "codec") if name not in self.columns]
        if missing:
            raise ValueError(f"columns lacks {', '.join(missing)}: say which columns of the log they are")
        if self.unit == "frame" and not self.frames:
            raise ValueError("unit: frame needs frames, the files of per-frame values")
        if self.frames and self.frame_key is None:
            raise ValueError("frames need frame_key, the column whose values name the arrays")
        if self.mos_scale[0] >= self.mos_scale[1]:
            raise ValueError(f"mos_scale {list(self.mos_scale)} is not a scale: write [lowest, highest]")
        return self


class Spec(TableCorpus, Section):
    """Tables of libvmaf features and opinion scores."""

    kind: Literal["feature-log"] = Field(description="Tables of libvmaf features and opinion scores.")
    log: FeatureLog = Field(description="The tables.")

    @property
    def pinned(self) -> tuple[Pinned, ...]:
        """The tables and the files of frames."""
        return (*self.log.tables, *self.log.frames)

    @property
    def max_bad_share(self) -> float:
        """Largest share of rows that may be unusable."""
        return self.log.max_bad_share

    def read(self, files: Mapping[str, Path]) -> Rows:
        """Read the tables and the frames of their videos.

        Raises:
            InputError: a file cannot be read, does not have a column, or the corpus file names an unknown feature.
        """
        return _Reader(self.log, files).read()


class _Reader:
    """Reads the tables of a log row by row."""

    def __init__(self, log: FeatureLog, files: Mapping[str, Path]) -> None:
        names = (*FEATURES, TEACHER)
        for name in log.features.values():
            if name not in names:
                raise InputError(f"log.features maps to {name!r}, which is not a feature: {', '.join(names)}")
        self._log = log
        self._files = files
        self._training_names = {**{name: name for name in names}, **log.features}
        self._frames = [
            _FrameFile(item, files[item.path], log.frame_names, self._training_names) for item in log.frames
        ]
        self._rows = Rows([], log.teacher, log.unit)
        self._seen: dict[tuple[str, str, str], Encode] = {}

    def read(self) -> Rows:
        """Read every table."""
        rows = self._rows
        for item in self._log.tables:
            table = _read_text_table(self._files[item.path])
            named = _named_columns(self._log, table, self._files[item.path])
            pooled = {column: name for column in table.columns if (name := self._pooled_name(column)) is not None}
            unused = [str(column) for column in table.columns if column not in named and column not in pooled]
            rows.ignored += [column for column in unused if column not in rows.ignored]
            rows.rows_in += len(table)
            if frames := [column for column in unused if re.fullmatch(_FRAME_NUMBER, column)]:
                rows.hint = (
                    f"{item.path} has a column {frames[0]!r}: if its rows are frames, this kind cannot read them, because "
                    "it takes one row per video. Write them as JSON Lines with src, encoder and frame_index (kind "
                    "corpus-jsonl), or as arrays of an .npz file (log.frames)"
                )
            for number, row in enumerate(table.to_dict("records"), start=2):
                self._read_row(row, f"{item.path}, line {number}", pooled)
        return rows

    def _read_row(self, row: Mapping[Any, Any], where: str, pooled: Mapping[str, str]) -> None:
        try:
            encode = _encode(self._log, row, where, pooled)
            _add_frames(self._log, row, encode, self._frames)
            _check_unit(encode, self._log.unit)
        except InputError as err:
            self._rows.bad.append(f"{where}: {err}")
            return
        if (first := self._seen.setdefault(encode.key, encode)) is not encode:
            self._rows.repeated(first, encode, where)
            return
        self._rows.encodes.append(encode)

    def _pooled_name(self, column: str) -> str | None:
        """Return the clip table's name of a log's column; a feature without a statistic is its mean."""
        names = self._training_names
        if column in names:
            return f"{names[column]}_mean"
        feature, _, stat = column.rpartition("_")
        return f"{names[feature]}_{stat}" if stat in STATS and feature in names else None


def _check_unit(encode: Encode, unit: str) -> None:
    if unit == "frame" and not encode.frames:
        raise InputError("it has no frames")
    if unit == "clip" and not any(math.isfinite(value) for value in encode.pooled.values()):
        raise InputError("it has no features")


def _read_text_table(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        if path.suffix.lower() == ".parquet":
            return read_parquet(path).to_pandas()
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as err:
        raise InputError(f"{path} cannot be read as a table ({err})") from err


def _sources(columns: Mapping[Any, str | tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Return the log's columns of each column of a training table."""
    return {str(name): (source,) if isinstance(source, str) else tuple(source) for name, source in columns.items()}


def _named_columns(log: FeatureLog, table: pd.DataFrame, path: Path) -> set[str]:
    """Return the columns that the corpus file names.

    Raises:
        InputError: the table does not have one of them.
    """
    named = {name for names in _sources(log.columns).values() for name in names}
    named |= {log.frame_key} if log.frame_key is not None else set()
    named |= {name for item in log.frames for name in item.where}
    missing = sorted(named - set(table.columns))
    if missing:
        raise InputError(f"{path} has no column {', '.join(missing)}; it has: {', '.join(map(str, table.columns))}")
    return named


def _encode(log: FeatureLog, row: Mapping[Any, Any], where: str, pooled: Mapping[str, str]) -> Encode:
    columns: dict[str, Any] = {}
    for name, sources in _sources(log.columns).items():
        if name in _TEXTS:
            parts = [str(row[source]).strip() for source in sources]
            if not all(parts) and name in ("source", "clip", "codec"):
                raise InputError(f"it has no {name} ({', '.join(sources)})")
            columns[name] = "/".join(parts)
        else:
            columns[name] = parse_number(row[sources[0]], sources[0])
    columns.setdefault("group", columns["source"])
    check_context(columns)
    complete_encoder(columns, log.codecs)
    rescale(columns, log.mos_scale)
    return Encode(where, columns, {name: parse_number(row[source], source) for source, name in pooled.items()})


class _FrameFile:
    """Per-frame values of many videos in one .npz file."""

    def __init__(self, item: Frames, path: Path, names: str, training_names: Mapping[str, str]) -> None:
        try:
            # numpy leaves a damaged file open.
            self._arrays = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
            columns = [str(column) for column in self._arrays[names]]
            self._names = frozenset(self._arrays.files)
        except (*_DAMAGE, KeyError, AttributeError, TypeError) as err:
            raise InputError(f"{path} is not an .npz file with an array {names!r} of column names ({err})") from err
        self.name = item.path
        self._where = item.where
        self._columns = [
            (index, training_names[column]) for index, column in enumerate(columns) if column in training_names
        ]
        self._width = len(columns)

    def covers(self, row: Mapping[Any, Any]) -> bool:
        """Return whether it holds the frames of a row."""
        return all(str(row[column]) == value for column, value in self._where.items())

    def frames(self, key: str) -> dict[str, NDArray[np.float64]]:
        """Return the frames of one video.

        Raises:
            InputError: it has none, or they are not a matrix.
        """
        if key not in self._names:
            raise InputError(f"{self.name} holds no frames of {key!r}")
        try:
            values = np.asarray(self._arrays[key], dtype=np.float64)
        except (*_DAMAGE, TypeError) as err:
            raise InputError(f"the frames of {key!r} in {self.name} cannot be read ({err})") from err
        if values.ndim != 2 or values.shape[1] != self._width or not len(values):
            raise InputError(f"the frames of {key!r} in {self.name} have shape {values.shape}, not [n, {self._width}]")
        return {name: values[:, index] for index, name in self._columns}


def _add_frames(log: FeatureLog, row: Mapping[Any, Any], encode: Encode, files: Sequence[_FrameFile]) -> None:
    """Add a video's frames if a file holds them; the pooled values of the log must agree.

    Raises:
        InputError: they are missing or do not agree.
    """
    holding = [item for item in files if item.covers(row)]
    if not holding:
        return
    encode.frames = holding[0].frames(str(row[log.frame_key]))
    length = len(next(iter(encode.frames.values())))
    stated = encode.columns.get("n_frames", math.nan)
    if not is_missing(stated) and stated != length:
        raise InputError(f"{holding[0].name} has {length} frames of it, the table says {stated:g}")
    encode.columns["n_frames"] = length
    for feature, values in encode.frames.items():
        for stat, value in pool(values).items():
            name = f"{feature}_{stat}"
            logged = encode.pooled.get(name, math.nan)
            if math.isfinite(logged) and not math.isclose(logged, value, rel_tol=_AGREES, abs_tol=_AGREES * 1e-2):
                raise InputError(f"its frames pool to {name} {value:.6g}, the table says {logged:.6g}")
            encode.pooled[name] = value
        encode.columns |= {f"{feature}_{stat}": value for stat, value in pool(values, [COUNT]).items()}
