"""Tables of clips: one row per encode, with its frames pooled, the format of the video and opinion scores."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from math import log2
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pyvmaf.base import layout
from pyvmaf.base.files import read_bytes
from pyvmaf.base.opinion import COLUMNS as OPINIONS
from pyvmaf.base.opinion import COUNTS, SCALE_KEY
from pyvmaf.base.parquet import METADATA_KEY
from pyvmaf.base.parse import parse_json
from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.features.catalog import CONTEXT, FEATURES, STATS, TEACHER, shot_columns
from pyvmaf.features.pool import COUNT, pool
from pyvmaf.features.table import STRENGTH, TEXT_COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa

FRAME: Literal["frame"] = "frame"
CLIP: Literal["clip"] = "clip"
"""What a row of a table is."""

_OF_VIDEO = tuple(name for name, entry in CONTEXT.items() if entry.of == "video")

LEADING: tuple[str, ...] = (
    "corpus", "group", "source", "clip", "codec", "encoder", "preset", "crf", "rung", STRENGTH, *_OF_VIDEO, "n_frames",
)  # fmt: skip
"""The columns before the pooled features, in order. `source` is the scene that a split keeps together; `strength` orders
the rungs of a ladder."""

SHOTS: tuple[str, ...] = tuple(name for name, entry in CONTEXT.items() if entry.of == "shots")
"""Columns after those, if records tell the shots of the references."""

ENCODE_KEY: tuple[str, ...] = ("clip", "codec", "rung")
"""Columns that identify an encode of a corpus."""

WHOLE: tuple[str, ...] = ("crf", "width", "height", "n_frames", *COUNTS)
"""Columns of whole numbers; null if unknown."""


_NULLABLE = ("encoder", "preset")


def unit_of(metadata: Mapping[str, Any]) -> str:
    """Return what a row of a table is, from the block in its metadata."""
    return str(metadata.get("unit", FRAME))


def pooled_columns(present: Iterable[str]) -> tuple[str, ...]:
    """Return the pooled features among `present` in the order of columns: the catalog's, the teacher's score last.

    After the statistics of each comes the number of frames that they are of.
    """
    names = set(present)
    ordered = (f"{feature}_{stat}" for feature in (*FEATURES, TEACHER) for stat in (*STATS, COUNT))
    return tuple(name for name in ordered if name in names)


def pooled_in_part(columns: Mapping[str, Sequence[Any]]) -> dict[str, int]:
    """Count the clips of which some frames have no finite value, by feature; features without such clips are left out."""
    counts = {}
    for name in (*FEATURES, TEACHER):
        pooled = columns.get(f"{name}_{COUNT}", [])
        frames = columns.get("n_frames", [])
        known = [(n, of) for n, of in zip(pooled, frames, strict=False) if n is not None and of is not None]
        counts[name] = sum(1 for n, of in known if n < of)
    return {name: count for name, count in counts.items() if count}


def clip_table(
    columns: Mapping[str, Sequence[Any]],
    *,
    teacher: str,
    engine: Mapping[str, Any],
    notes: Sequence[str] = (),
    mos_scale: tuple[float, float] | None = None,
) -> pa.Table:
    """Return a table of clips.

    Args:
        columns: values by column, all of one length; None and NaN are missing values. Columns of `LEADING` that are
            absent are filled with them.
        teacher: what computed the VMAF.
        engine: the engine's block of a manifest; kept in the file's metadata.
        notes: how the videos were read; kept there, too.
        mos_scale: the scale of the opinion scores; kept there, too.
    """
    import pyarrow as pa

    n = len(next(iter(columns.values())))
    further = (name for name in CONTEXT if name in columns and name not in LEADING)
    names = (*LEADING, *further, *pooled_columns(columns), *(name for name in OPINIONS if name in columns))
    data: dict[str, Any] = {}
    for name in names:
        values = columns.get(name, [None] * n)
        if name in TEXT_COLUMNS:
            missing_text = None if name in _NULLABLE else ""
            texts = [missing_text if v is None else str(v) for v in values]
            data[name] = pa.array(texts, pa.string()).dictionary_encode()
        else:
            numbers = np.asarray([np.nan if v is None else float(v) for v in values], dtype=np.float64)
            missing = ~np.isfinite(numbers)
            if name in WHOLE or name.endswith(f"_{COUNT}"):
                data[name] = pa.array(np.where(missing, 0, numbers).astype(np.int64), mask=missing)
            else:
                data[name] = pa.array(numbers)
    features = [name for name in FEATURES if any(f"{name}_{stat}" in data for stat in STATS)]
    block: dict[str, Any] = {
        "unit": CLIP,
        "features": features,
        "unavailable": {},
        "model": teacher,
        "engine": dict(engine),
    }
    block |= {"notes": list(notes)} if notes else {}
    block |= {SCALE_KEY: list(mos_scale)} if mos_scale else {}
    return pa.table(data).replace_schema_metadata({METADATA_KEY: json.dumps(block, sort_keys=True).encode()})


def read_records(path: Path) -> dict[tuple[str, ...], dict[str, Any]]:
    """Return the records beside a shard (.jsonl), by clip, codec and rung.

    Raises:
        IntegrityError: a line is not a record.
    """
    records = {}
    for number, line in enumerate(read_bytes(path).splitlines(), start=1):
        try:
            row = parse_json(line, "the line")
            # Of an encode outside of the run's folder only the file name is recorded, which does not identify it.
            names = row if "clip" in row else layout.ENCODE.match(row["encode_path"])
            key = tuple(str(names[name]) for name in ENCODE_KEY) if names else None
        except (IntegrityError, InputError, KeyError, TypeError) as err:
            raise IntegrityError(
                f"{path}, line {number}, is not a record of an encode ({err}): make the shard again"
            ) from err
        if key is not None:
            records[key] = row
    return records


def pool_frames(
    table: pa.Table, records: Mapping[tuple[str, ...], Mapping[str, Any]], where: str
) -> dict[str, list[Any]]:
    """Pool a table of frames to the columns of clip rows.

    Args:
        table: frame rows with the columns of a feature table.
        records: by clip, codec and rung: ``width``, ``height``, ``framerate`` and ``bitrate_kbps`` of each encode,
            ``shot_count`` and ``shot_avg_duration_sec`` of its reference, and other columns of `CONTEXT`, if there are
            any. Encodes without a record get no such values.
        where: the table's name in errors.

    Raises:
        InputError: the table has no rows.
    """
    import pandas as pd

    if not table.num_rows:
        raise InputError(f"{where} has no rows: there is nothing to pool")
    frames = table.to_pandas()
    if STRENGTH not in frames.columns:
        frames[STRENGTH] = frames["crf"].astype(float)
    measured = [name for name in (*FEATURES, TEACHER) if name in frames.columns]
    labels = [name for name in (*TEXT_COLUMNS, "crf", STRENGTH) if name in frames.columns]
    opinions = [name for name in OPINIONS if name in frames.columns]
    told = {name for record in records.values() for name in (*record, *_derived(record, 1))}
    further = [name for name in CONTEXT if name in told and name not in LEADING]
    pooled = (f"{m}_{s}" for m in measured for s in (*STATS, COUNT))
    columns: dict[str, list[Any]] = {
        name: [] for name in (*labels, *_OF_VIDEO, "n_frames", *further, *pooled, *opinions)
    }
    for key, rows in frames.groupby(list(ENCODE_KEY), observed=True, sort=False):
        first = rows.iloc[0]
        record = records.get(tuple(map(str, key)), {})
        for name in labels:
            columns[name].append(None if pd.isna(first[name]) else first[name])
        for name in _OF_VIDEO:
            columns[name].append(record.get("framerate" if name == "fps" else name))
        columns["n_frames"].append(len(rows))
        known = {**_derived(record, len(rows)), **record}
        for name in further:
            columns[name].append(known.get(name))
        for name in measured:
            for stat, value in pool(rows[name].to_numpy(), (*STATS, COUNT)).items():
                columns[f"{name}_{stat}"].append(value)
        for name in opinions:
            columns[name].append(None if pd.isna(first[name]) else first[name])
    return columns


def _derived(record: Mapping[str, Any], frames: int) -> dict[str, float]:
    """Give the columns of an encode's shots and of the rate of its pictures; without those that its record does not tell."""
    count, seconds = record.get("shot_count"), record.get("shot_avg_duration_sec")
    bits, rate = record.get("enc_internal_bits_mean"), record.get("framerate")
    columns = {} if count is None or seconds is None else shot_columns(int(count), float(seconds), frames)
    return {**columns, "bitrate_log2": log2(float(bits) * float(rate) / 1000)} if bits and rate else columns
