"""Corpora of the kind ``corpus-jsonl``: rows of vmaf-tune's corpus."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from pyvmaf.base.parse import parse_json
from pyvmaf.base.section import Section
from pyvmaf.corpora.spec import Pinned
from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.features.catalog import CANONICAL6, FEATURES, STATS, TEACHER, pooled_column
from pyvmaf.features.pool import COUNT, pool
from pyvmaf.tables.adapters.imported import (
    MOS_SCALE,
    Encode,
    Pattern,
    Rows,
    TableCorpus,
    check_context,
    complete_encoder,
    parse_number,
    rescale,
)

_LATEST_VERSION = 3


class EncodeRows(Section):
    """Rows of vmaf-tune's corpus (JSON Lines, schema versions 1 to 3), one per encode or one per frame."""

    files: tuple[Pinned, ...] = Field(min_length=1, description="The .jsonl files; of equal encodes the first counts.")
    source: Pattern = Field(
        default=None,
        description="Regular expression; its first group in `src` is the source. Default: the stem of `src`.",
    )
    group: Pattern = Field(
        default=None,
        description="Regular expression; its first group in `src` is the group. Default: the source.",
    )
    teacher: str | None = Field(
        default=None, min_length=1, description="What computed the VMAF; null: vmaf_model of the rows."
    )
    max_bad_share: float = Field(
        default=0.05,
        ge=0,
        lt=1,
        description="Refuse files if more than this share of lines is damaged or contradicts another line of the same "
        "encode. Rows without features do not count: they are left out and counted.",
    )


class Spec(TableCorpus, Section):
    """Rows of vmaf-tune's corpus."""

    kind: Literal["corpus-jsonl"] = Field(description="Rows of vmaf-tune's corpus.")
    rows: EncodeRows = Field(description="The rows.")

    @property
    def pinned(self) -> tuple[Pinned, ...]:
        """The files of rows."""
        return self.rows.files

    @property
    def max_bad_share(self) -> float:
        """Largest share of lines that may be damaged."""
        return self.rows.max_bad_share

    def read(self, files: Mapping[str, Path]) -> Rows:
        """Read the rows.

        Raises:
            InputError: the rows come from different teachers.
        """
        reader = _Reader(self.rows)
        for item in self.rows.files:
            for number, line in _lines(files[item.path]):
                reader.add(line, f"{item.path}, line {number}")
        return reader.finish()


_Key = tuple[str, ...]


class _Reader:
    """Collects the rows of each encode."""

    def __init__(self, spec: EncodeRows) -> None:
        self._spec = spec
        self._rows = Rows([], "", "clip")
        self._dropped: Counter[str] = Counter()
        self._encodes: dict[_Key, Encode] = {}
        self._series: dict[_Key, dict[int, dict[str, float]]] = {}
        self._whole: set[_Key] = set()  # encodes that have a row of their own beside rows of frames
        self._teachers: set[str] = set()

    def add(self, line: bytes, where: str) -> None:
        """Add one line of a file."""
        self._rows.rows_in += 1
        try:
            row = parse_json(line, "the line", nan=True)
            if not isinstance(row, dict):
                raise InputError("it is not a JSON object")
            _check_version(row)
            encode = _encode(self._spec, row, where)
            frame = _frame_number(_first(row, "frame_index", "frame"))
            measured = {n: _value(row, n) for n in FEATURES} if frame is not None else _pooled_values(row)
            if frame is not None:
                measured[TEACHER] = parse_number(_first(row, "vmaf", "vmaf_score"), TEACHER)
        except (InputError, IntegrityError, ValueError) as err:
            self._rows.bad.append(f"{where}: {err}")
            return
        reason = self._take(row, encode, frame, measured)
        if reason is not None:
            self._dropped[reason] += 1
        elif row.get("vmaf_model"):
            self._teachers.add(str(row["vmaf_model"]))

    def _take(
        self, row: Mapping[str, Any], encode: Encode, frame: int | None, measured: dict[str, float]
    ) -> str | None:
        """Add a row to its encode; return the reason if it is left out."""
        if row.get("exit_status") not in (None, 0):
            return "failed encodes"
        needed = CANONICAL6 if frame is not None else [f"{name}_mean" for name in CANONICAL6]
        if not any(math.isfinite(measured.get(name, math.nan)) for name in needed):
            return "rows without features"
        key = (str(row.get("src_sha256") or row["src"]), encode.columns["encoder"], encode.columns["rung"])
        if frame is None:
            encode.pooled = measured
            if key in self._whole:
                self._rows.repeated(self._encodes[key], encode, encode.where)
                return None
            self._whole.add(key)
            self._encodes[key] = encode
            return None
        series = self._series.setdefault(key, {})
        if frame in series:
            earlier = Encode(f"frame {frame}", {}, series[frame])
            self._rows.repeated(earlier, Encode("", {}, measured), encode.where)
            return None
        series[frame] = measured
        self._encodes.setdefault(key, encode)
        return None

    def finish(self) -> Rows:
        """Pool the frames, and return everything that was read.

        Raises:
            InputError: the rows come from different teachers.
        """
        for key, series in self._series.items():
            numbers = sorted(series)
            if numbers[-1] - numbers[0] + 1 != len(numbers):
                absent = next(n for n in range(numbers[0], numbers[-1]) if n not in series)
                where = (
                    f"{self._encodes[key].where}: the encode has frames {numbers[0]} to {numbers[-1]}, but not {absent}"
                )
                self._rows.bad += [f"{where}: frame {number} cannot be used" for number in numbers]
                if key not in self._whole:
                    del self._encodes[key]
                continue
            _pool_series(self._encodes[key], series)
        teachers = self._teachers
        if self._spec.teacher is None and len(teachers) > 1:
            raise InputError(f"the rows come from different teachers: {', '.join(sorted(teachers))}: split the files")
        rows = self._rows
        rows.teacher = self._spec.teacher or next(iter(teachers), "unknown")
        rows.encodes = list(self._encodes.values())
        rows.unit = "frame" if rows.encodes and all(encode.frames for encode in rows.encodes) else "clip"
        rows.dropped = dict(sorted({**rows.dropped, **self._dropped}.items()))
        return rows


def _pool_series(encode: Encode, series: Mapping[int, Mapping[str, float]]) -> None:
    ordered = [series[index] for index in sorted(series)]
    names = [n for n in (*FEATURES, TEACHER) if any(math.isfinite(row.get(n, math.nan)) for row in ordered)]
    encode.frames = {n: np.array([row.get(n, math.nan) for row in ordered]) for n in names}
    encode.columns["n_frames"] = len(ordered)
    for name in names:
        encode.pooled |= {f"{name}_{stat}": value for stat, value in pool(encode.frames[name]).items()}
        encode.columns |= {f"{name}_{stat}": value for stat, value in pool(encode.frames[name], [COUNT]).items()}


def _first(row: Mapping[str, Any], *names: str) -> Any:
    """Return the first value that is not null."""
    return next((row[name] for name in names if row.get(name) is not None), None)


def _value(row: Mapping[str, Any], feature: str) -> float:
    """Return one feature of a row under any of its names; NaN if the row does not have it."""
    names = (feature, f"integer_{feature}", FEATURES[feature].key, f"VMAF_integer_feature_{feature}_score")
    return parse_number(_first(row, *names), feature)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                yield number, line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line


def _frame_number(value: Any) -> int | None:
    """The number of a frame; None for a row of a whole encode.

    Raises:
        InputError: it is not a whole number of 0 or more.
    """
    if value is None:
        return None
    number = parse_number(value, "frame_index")
    if not (math.isfinite(number) and number >= 0 and number == int(number)):
        raise InputError(f"frame_index is {value!r}, which is not a whole number of 0 or more")
    return int(number)


def _text(value: Any, name: str) -> str:
    """Text of a row.

    Raises:
        InputError: it is a list or an object.
    """
    if value is None or isinstance(value, str | int | float):
        return "" if value is None else str(value)
    raise InputError(f"{name} is a {type(value).__name__}, not text")


def _label(pattern: str | None, src: str) -> str | None:
    if pattern is None:
        return None
    match = re.search(pattern, src)
    if match is None or not match.group(1):
        raise InputError(f"{pattern!r} finds nothing in src {src!r}")
    return match.group(1)


def _check_version(row: Mapping[str, Any]) -> None:
    version = row.get("schema_version")
    if version is not None and version not in range(1, _LATEST_VERSION + 1):
        raise InputError(f"schema_version is {version!r}; versions 1 to {_LATEST_VERSION} can be read")


def _encode(spec: EncodeRows, row: Mapping[str, Any], where: str) -> Encode:
    src = _text(row.get("src"), "src")
    encoder = _text(_first(row, "encoder", "codec"), "encoder")
    if not src or not encoder:
        raise InputError(f"it has no {'encoder' if src else 'src'}")
    source = _label(spec.source, src) or Path(src).stem
    fps, seconds = parse_number(row.get("framerate"), "framerate"), parse_number(row.get("duration_s"), "duration_s")
    columns: dict[str, Any] = {
        "source": source,
        "group": _label(spec.group, src) or source,
        "clip": Path(src).stem,
        "codec": encoder,
        "preset": _text(row.get("preset"), "preset"),
        "crf": parse_number(_first(row, "crf", "q", "cq"), "crf"),
        "width": parse_number(row.get("width"), "width"),
        "height": parse_number(row.get("height"), "height"),
        "fps": fps,
        "bitrate_kbps": parse_number(_first(row, "bitrate_kbps", "actual_kbps"), "bitrate_kbps"),
        "n_frames": round(fps * seconds) if math.isfinite(fps * seconds) else math.nan,
    }
    check_context(columns)
    if row.get("mos") is not None:
        columns["mos"] = parse_number(row["mos"], "mos")
        rescale(columns, MOS_SCALE)
    complete_encoder(columns, {})
    return Encode(where, columns)


def _pooled_values(row: Mapping[str, Any]) -> dict[str, float]:
    """Return the pooled features of a row: of version 3, or an older row's object or bare names, which are means."""
    values = {name: parse_number(row[name], name) for name in row if pooled_column(name) is not None}
    nested = row.get("per_frame_features")
    for name in FEATURES:
        if math.isfinite(values.get(f"{name}_mean", math.nan)):
            continue
        cell = nested.get(name) if isinstance(nested, dict) else None
        if isinstance(cell, list):
            series = [parse_number(value, name) for value in cell]
            values |= {f"{name}_{stat}": value for stat, value in pool(series, (*STATS, COUNT)).items()}
            continue
        mean = parse_number(cell, name) if cell is not None else _value(row, name)
        if math.isfinite(mean):
            values[f"{name}_mean"] = mean
    score = parse_number(_first(row, "vmaf_score", "vmaf"), TEACHER)
    if math.isfinite(score):
        values[f"{TEACHER}_mean"] = score
    return values
