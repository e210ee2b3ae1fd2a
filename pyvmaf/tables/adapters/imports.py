"""Tables that were made elsewhere: read, checked row by row, and written as a shard like those made here."""

from __future__ import annotations

import json
import math
import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.files import atomic_path, confined, write_text
from pyvmaf.base.manifest import engine_block, write_manifest
from pyvmaf.codecs.encoders import rung_name
from pyvmaf.codecs.vocabularies import encoder_name
from pyvmaf.corpora.fetch import check_file
from pyvmaf.corpora.spec import EncodeRows, FeatureLog, load_corpus
from pyvmaf.errors import InputError
from pyvmaf.features.catalog import CANONICAL6, CONTEXT, FEATURES, STATS, TEACHER, pooled_column
from pyvmaf.features.pool import pool
from pyvmaf.features.table import STRENGTH, metadata, repeated, schema, write_table
from pyvmaf.tables.clips import CLIP, FRAME, OPINION, clip_table

if TYPE_CHECKING:
    import pandas as pd

MOS_SCALE = (1.0, 5.0)
"""The scale that opinion scores have in tables: absolute category rating, 1 (bad) to 5 (excellent)."""

_SLACK = 0.0125
"""How far outside of its scale an opinion score may lie, as a share of the scale's width: figures are rounded."""

_AGREES = 1e-4
"""Largest relative difference between a pooled value of a log, which is rounded, and its frames pooled here."""

_SHOWN = 5

_LATEST_VERSION = 3


@dataclass
class _Video:
    """One row of a log, or all rows of one encode.

    Attributes:
        where: file and line, for messages.
        columns: of a clip table, what is known beside features.
        pooled: pooled features by column name.
        frames: per-frame values by training name, float64 [frames]; None where there are none.
    """

    where: str
    columns: dict[str, Any]
    pooled: dict[str, float] = field(default_factory=dict)
    frames: dict[str, NDArray[np.float64]] | None = None


@dataclass
class _Found:
    """What was read.

    Attributes:
        videos: in the order of the files, every encode once.
        teacher: what computed the VMAF.
        unit: what a row of the shard is to be.
        rows_in: rows of the files.
        bad: rows that cannot be used, with file, line and reason.
        dropped: how many rows were left out for which other reason.
        ignored: columns that nothing was taken from.
    """

    videos: list[_Video]
    teacher: str
    unit: str
    rows_in: int
    bad: list[str]
    dropped: dict[str, int]
    ignored: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Imported:
    """What `import_table` did.

    Attributes:
        rows: rows of the shard.
        unit: what one is, "clip" or "frame".
        details: the counts, as the manifest holds them.
    """

    rows: int
    unit: str
    details: dict[str, Any]


def import_table(corpus_file: Path, output: Path, records: Path) -> Imported:
    """Read the tables of a corpus of kind feature-log or corpus-jsonl, and write them as a shard.

    Args:
        corpus_file: the corpus.
        output: the shard, parquet: clip rows, or frame rows with the columns of a feature table.
        records: what is known of each encode beside its frames, one JSON object per line.

    Raises:
        MissingFileError, IntegrityError: a file is not there, not the one that is pinned, or damaged.
        InputError: the corpus holds videos, a column is missing, or more rows than allowed cannot be used.
    """
    started = time.monotonic()
    corpus = load_corpus(corpus_file)
    if corpus.root is None or (corpus.log is None and corpus.rows is None):
        raise InputError(
            f"{corpus_file} is a corpus of kind {corpus.kind}: its videos are encoded and measured; only tables are "
            "imported"
        )
    root = Path(os.path.normpath(corpus_file.parent / corpus.root))
    files = {item.path: confined(root, item.path) for item in corpus.pinned}
    for item in corpus.pinned:
        check_file(files[item.path], item.sha256)
    if corpus.log is not None:
        found, allowed = _read_log(corpus.log, files), corpus.log.max_bad_share
    else:
        assert corpus.rows is not None
        found, allowed = _read_rows(corpus.rows, files), corpus.rows.max_bad_share
    if len(found.bad) > allowed * found.rows_in:
        shown = "; ".join(found.bad[:_SHOWN])
        raise InputError(
            f"{len(found.bad)} of {found.rows_in} rows of corpus {corpus.name} cannot be used, more than the allowed "
            f"share {allowed:g}: {shown}{'; …' if len(found.bad) > _SHOWN else ''}"
        )
    if not found.videos:
        reasons = "; ".join(f"{reason}: {count}" for reason, count in found.dropped.items())
        raise InputError(
            f"corpus {corpus.name} has no usable row of {found.rows_in} ({reasons or 'the files are empty'})"
        )
    for video in found.videos:
        video.columns["corpus"] = corpus.name
    rows = _write(found, output)
    lines = [json.dumps(_record(video), sort_keys=True, allow_nan=False) for video in found.videos]
    write_text(records, "".join(f"{line}\n" for line in lines))
    details = {
        "unit": found.unit,
        "rows_in": found.rows_in,
        "rows": rows,
        "encodes": len(found.videos),
        "without_mos": sum(_unknown(video.columns.get("mos")) for video in found.videos),
        "bad": found.bad,
        "dropped": found.dropped,
        "ignored_columns": found.ignored,
        "teacher": found.teacher,
    }
    write_manifest(
        output,
        verb="import-table",
        args={"corpus": corpus.model_dump(mode="json", exclude_defaults=True, exclude={"root"})},
        inputs={"files": sorted(files.values())},
        outputs={"shard": output, "records": records},
        details=details,
        seconds=time.monotonic() - started,
    )
    return Imported(rows, found.unit, details)


def _unknown(value: Any) -> bool:
    return value is None or not math.isfinite(value)


def _record(video: _Video) -> dict[str, Any]:
    """What stands beside frames: see `pyvmaf.tables.clips.read_records`."""
    known = {name: video.columns.get(name) for name in ("clip", "codec", "rung", *CONTEXT, *OPINION)}
    known["framerate"] = known.pop("fps")
    return {name: value for name, value in known.items() if isinstance(value, str) or not _unknown(value)}


def _write(found: _Found, output: Path) -> int:
    import pyarrow as pa

    engine = engine_block("import-table")
    if found.unit == CLIP:
        names: dict[str, None] = {}
        for video in found.videos:
            names |= dict.fromkeys([*video.columns, *video.pooled])
        columns = {name: [{**v.columns, **v.pooled}.get(name) for v in found.videos] for name in names}
        write_table(clip_table(columns, teacher=found.teacher, engine=engine), output)
        return len(found.videos)
    features = [name for name in FEATURES if any(name in (video.frames or {}) for video in found.videos)]
    target = schema(features)
    block = metadata(features=features, unavailable={}, model=found.teacher, engine=engine)
    rows = 0
    with atomic_path(output) as temporary:
        import pyarrow.parquet as pq

        with pq.ParquetWriter(temporary, target.with_metadata(block), compression="zstd") as writer:
            for video in found.videos:
                frames = video.frames or {}
                n = len(next(iter(frames.values())))
                data: dict[str, Any] = {}
                for column in target:
                    if column.name == "frame_index":
                        data[column.name] = np.arange(n)
                    elif column.name in features or column.name == TEACHER:
                        data[column.name] = frames.get(column.name, np.full(n, np.nan))
                    else:
                        value = video.columns.get(column.name)
                        value = None if isinstance(value, float) and math.isnan(value) else value
                        if column.name in ("crf", STRENGTH):
                            data[column.name] = pa.array([value] * n, pa.float64())
                        else:
                            data[column.name] = repeated("" if value is None else str(value), n)
                writer.write_table(pa.table(data).cast(target))
                rows += n
    return rows


# --- logs with opinion scores -----------------------------------------------------------------------------------------


def _read_log(log: FeatureLog, files: Mapping[str, Path]) -> _Found:
    named = {**{name: name for name in (*FEATURES, TEACHER)}, **log.features}
    for known in log.features.values():
        if known not in (*FEATURES, TEACHER):
            raise InputError(f"log.features maps to {known!r}, which is no feature: {', '.join((*FEATURES, TEACHER))}")
    frames = [_FrameFile(item.path, item.where, files[item.path], log.frame_names, named) for item in log.frames]
    found = _Found([], log.teacher, log.unit, 0, [], {})
    seen: set[tuple[str, str, str]] = set()
    for item in log.tables:
        table = _read_text_table(files[item.path])
        taken = _needed(log, table, files[item.path])
        pooled = {column: name for column in table.columns if (name := _pooled_as(column, named)) is not None}
        found.ignored += [
            str(c) for c in table.columns if c not in taken and c not in pooled and c not in found.ignored
        ]
        found.rows_in += len(table)
        for number, row in enumerate(table.to_dict("records"), start=2):
            where = f"{item.path}, line {number}"
            try:
                video = _video(log, row, where, pooled)
                _add_frames(log, row, video, frames)
                _check_unit(video, found.unit)
            except InputError as err:
                found.bad.append(f"{where}: {err}")
                continue
            key = (video.columns["clip"], video.columns["codec"], video.columns["rung"])
            if key in seen:
                found.dropped["duplicates"] = found.dropped.get("duplicates", 0) + 1
                continue
            seen.add(key)
            found.videos.append(video)
    return found


def _check_unit(video: _Video, unit: str) -> None:
    if unit == FRAME and not video.frames:
        raise InputError("it has no frames")
    if unit == CLIP and not any(math.isfinite(value) for value in video.pooled.values()):
        raise InputError("it has no features")


def _read_text_table(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        if path.suffix.lower() == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as err:
        raise InputError(f"{path} cannot be read as a table ({err})") from err


def _sources(columns: Mapping[Any, str | tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return {str(ours): (theirs,) if isinstance(theirs, str) else tuple(theirs) for ours, theirs in columns.items()}


def _needed(log: FeatureLog, table: pd.DataFrame, path: Path) -> set[str]:
    """Columns that the corpus file names.

    Raises:
        InputError: the table has not all of them.
    """
    wanted = {name for names in _sources(log.columns).values() for name in names}
    wanted |= {log.frame_key} if log.frame_key is not None else set()
    wanted |= {name for item in log.frames for name in item.where}
    missing = sorted(wanted - set(table.columns))
    if missing:
        raise InputError(f"{path} has no column {', '.join(missing)}; it has: {', '.join(map(str, table.columns))}")
    return wanted


def _pooled_as(column: str, named: Mapping[str, str]) -> str | None:
    """The clip table's name of a log's column; a feature without a stat is its mean."""
    if column in named:
        return f"{named[column]}_mean"
    feature, _, stat = column.rpartition("_")
    return f"{named[feature]}_{stat}" if stat in STATS and feature in named else None


def _number(value: Any, name: str) -> float:
    """A cell as a number; NaN where it is empty.

    Raises:
        InputError: it is neither.
    """
    if value is None or (isinstance(value, str) and value.strip().lower() in ("", "nan", "na", "null")):
        return math.nan
    try:
        number = float(value)
    except (TypeError, ValueError) as err:
        raise InputError(f"{name} is {value!r}, no number") from err
    if math.isinf(number):
        raise InputError(f"{name} is {value!r}, which is not finite")
    return number


def _encode_columns(columns: dict[str, Any], codecs: Mapping[str, str]) -> None:
    """Fill in encoder, preset, CRF and rung of a video from what is known.

    Raises:
        InputError: nobody knows the encoder, or a CRF is no whole number.
    """
    given = str(columns.get("encoder") or columns["codec"])
    encoder = encoder_name(codecs.get(given, given))
    columns["codec"] = codecs.get(columns["codec"], columns["codec"]) if columns.get("encoder") else encoder
    columns["encoder"] = encoder
    preset, crf = str(columns.get("preset") or ""), columns.get("crf", math.nan)
    if not _unknown(crf) and crf != int(crf):
        raise InputError(f"CRF {crf} is no whole number")
    columns["preset"] = preset
    columns[STRENGTH] = crf
    columns["rung"] = preset if _unknown(crf) else rung_name(preset, int(crf)).removeprefix("-")


def _video(log: FeatureLog, row: Mapping[Any, Any], where: str, pooled: Mapping[str, str]) -> _Video:
    columns: dict[str, Any] = {}
    for ours, theirs in _sources(log.columns).items():
        if ours in ("group", "source", "clip", "codec", "encoder", "preset"):
            parts = [str(row[name]).strip() for name in theirs]
            if not all(parts) and ours in ("source", "clip", "codec"):
                raise InputError(f"it has no {ours} ({', '.join(theirs)})")
            columns[ours] = "/".join(parts)
        else:
            columns[ours] = _number(row[theirs[0]], theirs[0])
    columns.setdefault("group", columns["source"])
    for name, entry in CONTEXT.items():
        value = columns.get(name, math.nan)
        if not _unknown(value) and not (entry.low <= value and (entry.high is None or value <= entry.high)):
            raise InputError(f"{name} is {value:g} {entry.unit}, outside of what is believed")
    _encode_columns(columns, log.codecs)
    _rescale(columns, log.mos_scale)
    return _Video(where, columns, {ours: _number(row[theirs], theirs) for theirs, ours in pooled.items()})


def _rescale(columns: dict[str, Any], scale: tuple[float, float]) -> None:
    """Opinion scores on the scale of 1 to 5.

    Raises:
        InputError: a score lies outside of its own scale.
    """
    mos = columns.get("mos", math.nan)
    width = scale[1] - scale[0]
    if not _unknown(mos) and not scale[0] - _SLACK * width <= mos <= scale[1] + _SLACK * width:
        raise InputError(f"MOS {mos:g} lies outside of its scale, {scale[0]:g} to {scale[1]:g}")
    if scale == MOS_SCALE:
        return
    factor = (MOS_SCALE[1] - MOS_SCALE[0]) / width
    for name in ("mos_ci", "mos_std"):
        if name in columns:
            columns[name] *= factor
    if "mos" in columns:
        columns["mos"] = MOS_SCALE[0] + (mos - scale[0]) * factor


class _FrameFile:
    """Per-frame values of many videos in one .npz file."""

    def __init__(self, name: str, where: Mapping[str, str], path: Path, names: str, known: Mapping[str, str]) -> None:
        try:
            self._arrays = np.load(path, allow_pickle=False)
            columns = [str(column) for column in self._arrays[names]]
        except (OSError, ValueError, KeyError) as err:
            raise InputError(f"{path} is no .npz with an array {names!r} that names the columns ({err})") from err
        self.name, self.where = name, where
        self._columns = [(place, known[column]) for place, column in enumerate(columns) if column in known]
        self._width = len(columns)

    def covers(self, row: Mapping[Any, Any]) -> bool:
        """Whether it is to hold the frames of a row."""
        return all(str(row[column]) == value for column, value in self.where.items())

    def frames(self, key: str) -> dict[str, NDArray[np.float64]]:
        """The frames of one video.

        Raises:
            InputError: it has none, or they are no matrix.
        """
        if key not in self._arrays:
            raise InputError(f"{self.name} holds no frames of {key!r}")
        values = np.asarray(self._arrays[key], dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != self._width or not len(values):
            raise InputError(f"the frames of {key!r} in {self.name} have shape {values.shape}, not [n, {self._width}]")
        return {name: values[:, place] for place, name in self._columns}


def _add_frames(log: FeatureLog, row: Mapping[Any, Any], video: _Video, files: Sequence[_FrameFile]) -> None:
    """Take over a video's frames where there are some; what the log pooled of them must agree.

    Raises:
        InputError: they are missing or do not agree.
    """
    holding = [item for item in files if item.covers(row)]
    if not holding:
        return
    video.frames = holding[0].frames(str(row[log.frame_key]))
    length = len(next(iter(video.frames.values())))
    stated = video.columns.get("n_frames", math.nan)
    if not _unknown(stated) and stated != length:
        raise InputError(f"{holding[0].name} has {length} frames of it, the table says {stated:g}")
    video.columns["n_frames"] = length
    for feature, values in video.frames.items():
        for stat, value in pool(values).items():
            name = f"{feature}_{stat}"
            given = video.pooled.get(name, math.nan)
            if math.isfinite(given) and not math.isclose(given, value, rel_tol=_AGREES, abs_tol=_AGREES * 1e-2):
                raise InputError(f"its frames pool to {name} {value:.6g}, the table says {given:.6g}")
            video.pooled[name] = value


# --- rows of vmaf-tune's corpus ---------------------------------------------------------------------------------------


def _aliases(row: Mapping[str, Any], *names: str) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _value(row: Mapping[str, Any], feature: str) -> float:
    """One feature of a row under any of the names that it goes by; NaN without one."""
    names = (feature, f"integer_{feature}", FEATURES[feature].key, f"VMAF_integer_feature_{feature}_score")
    return _number(_aliases(row, *names), feature)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with path.open(encoding="utf-8", errors="replace") as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                yield number, line


def _label(pattern: str | None, src: str) -> str | None:
    if pattern is None:
        return None
    match = re.search(pattern, src)
    if match is None or not match.group(1):
        raise InputError(f"{pattern!r} finds nothing in src {src!r}")
    return match.group(1)


def _read_rows(spec: EncodeRows, files: Mapping[str, Path]) -> _Found:
    found = _Found([], "", CLIP, 0, [], {})
    dropped: Counter[str] = Counter()
    videos: dict[tuple[str, ...], _Video] = {}
    series: dict[tuple[str, ...], dict[int, dict[str, float]]] = {}
    whole: set[tuple[str, ...]] = set()  # encodes that have a row of their own beside rows of frames
    teachers: set[str] = set()
    for item in spec.files:
        for number, line in _lines(files[item.path]):
            found.rows_in += 1
            where = f"{item.path}, line {number}"
            try:
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise InputError("it is no JSON object")
                _check_version(row)
                video = _encode(spec, row, where)
                frame = _aliases(row, "frame_index", "frame")
                measured = {n: _value(row, n) for n in FEATURES} if frame is not None else _pooled_of(row)
            except (InputError, ValueError) as err:
                found.bad.append(f"{where}: {err}")
                continue
            if row.get("exit_status") not in (None, 0):
                dropped["failed encodes"] += 1
                continue
            key = (str(row.get("src_sha256") or row["src"]), video.columns["encoder"], video.columns["rung"])
            wanted = CANONICAL6 if frame is not None else [f"{name}_mean" for name in CANONICAL6]
            if not any(math.isfinite(measured.get(name, math.nan)) for name in wanted):
                dropped["rows without features"] += 1
                continue
            if frame is None:
                if key in whole:
                    dropped["duplicates"] += 1
                    continue
                whole.add(key)
                video.pooled = measured
                videos[key] = video
            else:
                measured[TEACHER] = _number(_aliases(row, "vmaf", "vmaf_score"), TEACHER)
                rows = series.setdefault(key, {})
                if int(frame) in rows:
                    dropped["duplicates"] += 1
                    continue
                rows[int(frame)] = measured
                videos.setdefault(key, video)
            if row.get("vmaf_model"):
                teachers.add(str(row["vmaf_model"]))
    for of, rows in series.items():
        ordered = [rows[index] for index in sorted(rows)]
        names = [n for n in (*FEATURES, TEACHER) if any(math.isfinite(r.get(n, math.nan)) for r in ordered)]
        video = videos[of]
        video.frames = {n: np.array([r.get(n, math.nan) for r in ordered]) for n in names}
        video.columns["n_frames"] = len(ordered)
        for name in names:
            video.pooled |= {f"{name}_{stat}": value for stat, value in pool(video.frames[name]).items()}
    if spec.teacher is None and len(teachers) > 1:
        raise InputError(f"the rows come from different teachers: {', '.join(sorted(teachers))}: split the files")
    found.teacher = spec.teacher or (teachers.pop() if teachers else "unknown")
    found.videos = list(videos.values())
    found.unit = FRAME if found.videos and all(video.frames for video in found.videos) else CLIP
    found.dropped = dict(sorted(dropped.items()))
    return found


def _check_version(row: Mapping[str, Any]) -> None:
    version = row.get("schema_version")
    if version is not None and version not in range(1, _LATEST_VERSION + 1):
        raise InputError(f"schema_version is {version!r}; versions 1 to {_LATEST_VERSION} can be read")


def _encode(spec: EncodeRows, row: Mapping[str, Any], where: str) -> _Video:
    src = str(row.get("src") or "")
    encoder = _aliases(row, "encoder", "codec")
    if not src or encoder is None:
        raise InputError(f"it has no {'encoder' if src else 'src'}")
    source = _label(spec.source, src) or Path(src).stem
    fps, seconds = _number(row.get("framerate"), "framerate"), _number(row.get("duration_s"), "duration_s")
    preset = row.get("preset")
    columns: dict[str, Any] = {
        "source": source,
        "group": _label(spec.group, src) or source,
        "clip": Path(src).stem,
        "codec": str(encoder),
        "preset": "" if preset is None else str(preset),
        "crf": _number(_aliases(row, "crf", "q", "cq"), "crf"),
        "width": _number(row.get("width"), "width"),
        "height": _number(row.get("height"), "height"),
        "fps": fps,
        "bitrate_kbps": _number(_aliases(row, "bitrate_kbps", "actual_kbps"), "bitrate_kbps"),
        "n_frames": round(fps * seconds) if math.isfinite(fps * seconds) else math.nan,
    }
    if row.get("mos") is not None:
        columns["mos"] = _number(row["mos"], "mos")
        _rescale(columns, MOS_SCALE)
    _encode_columns(columns, {})
    return _Video(where, columns)


def _pooled_of(row: Mapping[str, Any]) -> dict[str, float]:
    """Pooled features of a row: of version 3, or an older row's object or bare names, which are means."""
    found = {name: _number(row[name], name) for name in row if pooled_column(name) is not None}
    nested = row.get("per_frame_features")
    for name in FEATURES:
        if math.isfinite(found.get(f"{name}_mean", math.nan)):
            continue
        given = nested.get(name) if isinstance(nested, dict) else None
        if isinstance(given, list):
            found |= {f"{name}_{stat}": value for stat, value in pool([_number(v, name) for v in given]).items()}
            continue
        value = _number(given, name) if given is not None else _value(row, name)
        if math.isfinite(value):
            found[f"{name}_mean"] = value
    score = _number(_aliases(row, "vmaf_score", "vmaf"), TEACHER)
    if math.isfinite(score):
        found[f"{TEACHER}_mean"] = score
    return found
