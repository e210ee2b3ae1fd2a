"""The verb ``import-table``: rows that another program made, checked one by one and written as a shard."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyvmaf.base.files import atomic_path, confined, write_text
from pyvmaf.base.manifest import engine_block, write_manifest
from pyvmaf.base.opinion import COLUMNS as OPINIONS
from pyvmaf.base.opinion import COUNTS, MOS
from pyvmaf.base.outputs import publishes
from pyvmaf.base.roots import locate
from pyvmaf.corpora.pinned import check_file
from pyvmaf.corpora.spec import load_corpus
from pyvmaf.errors import InputError
from pyvmaf.features.catalog import CONTEXT, FEATURES, TEACHER
from pyvmaf.features.table import STRENGTH, metadata, repeated, schema, write_table
from pyvmaf.tables.adapters.frames import FrameTable, Video
from pyvmaf.tables.adapters.imported import MOS_SCALE, Encode, Rows, TableCorpus, is_missing
from pyvmaf.tables.clips import CLIP, FRAME, clip_table

if TYPE_CHECKING:
    import pyarrow as pa

_SHOWN = 5


@dataclass(frozen=True)
class Imported:
    """Result of `import_table`.

    Attributes:
        rows: number of rows of the shard.
        unit: what one is, "clip" or "frame".
        details: the counts, as the manifest has them.
    """

    rows: int
    unit: str
    details: dict[str, Any]


@publishes("import-table")
def import_table(corpus_file: Path, output: Path, records: Path) -> Imported:
    """Read the tables of a corpus, and write them as a shard.

    Args:
        corpus_file: the corpus.
        output: the shard, parquet: clip rows, or frame rows with the columns of a feature table.
        records: where to write what is known of each encode in addition to its frames, one JSON object per line.

    Raises:
        MissingFileError, IntegrityError: a file is missing, not the pinned one, or damaged.
        InputError: the corpus holds videos, a column is missing, or more rows than allowed cannot be used.
    """
    started = time.monotonic()
    corpus = load_corpus(corpus_file)
    if not isinstance(corpus, TableCorpus):
        raise InputError(
            f"{corpus_file} is a corpus of kind {corpus.kind}: its videos are encoded and measured; only tables are "
            "imported"
        )
    root = Path(os.path.normpath(locate(corpus.root, corpus_file.parent)))
    files = {item.path: confined(root, item.path) for item in corpus.pinned}
    for item in corpus.pinned:
        check_file(files[item.path], item.sha256)
    if (tables := corpus.tables(files)) is not None:
        details = _import_frames(corpus, tables, output, records)
        _write_manifest(corpus, files, output, records, details, started)
        return Imported(details["rows"], details["unit"], details)
    content = corpus.read(files)
    _check_usable(corpus, content)
    for encode in content.encodes:
        encode.columns["corpus"] = corpus.name
    rows = _write(corpus, content, output)
    lines = [json.dumps(_record(encode), sort_keys=True, allow_nan=False) for encode in content.encodes]
    write_text(records, "".join(f"{line}\n" for line in lines))
    details = {
        "unit": content.unit,
        "rows_in": content.rows_in,
        "rows": rows,
        "encodes": len(content.encodes),
        "without_mos": sum(is_missing(encode.columns.get("mos")) for encode in content.encodes),
        "bad": content.bad,
        "dropped": content.dropped,
        "ignored_columns": content.ignored,
        "teacher": content.teacher,
    }
    _write_manifest(corpus, files, output, records, details, started)
    return Imported(rows, content.unit, details)


def _write_manifest(
    corpus: TableCorpus,
    files: Mapping[str, Path],
    output: Path,
    records: Path,
    details: Mapping[str, Any],
    started: float,
) -> None:
    write_manifest(
        output,
        verb="import-table",
        uses=corpus.uses,
        args={"corpus": corpus.model_dump(mode="json", exclude_defaults=True, exclude={"root"})},
        inputs={"files": sorted(files.values())},
        outputs={"shard": output, "records": records},
        details=details,
        seconds=time.monotonic() - started,
    )


def _import_frames(corpus: TableCorpus, tables: Sequence[FrameTable], output: Path, records: Path) -> dict[str, Any]:
    """Write tables of frames as one shard, part by part, and return the details for the manifest.

    Raises:
        InputError: a row cannot be used, or two tables have rows of one video.
    """
    import pyarrow.parquet as pq

    features = [name for name in FEATURES if any(name in table.features for table in tables)]
    target = schema(features, [name for name in OPINIONS if any(name in table.opinions for table in tables)])
    block = metadata(
        features=features,
        unavailable={},
        mos_scale=next((table.mos_scale for table in tables if table.mos_scale), None),
        model=tables[0].teacher,
        engine=engine_block("import-table", corpus.uses),
        notes=[note for table in tables for note in table.notes],
    )
    rows, home = 0, dict[Video, Path]()
    with (
        atomic_path(output) as temporary,
        pq.ParquetWriter(temporary, target.with_metadata(block), compression="zstd") as writer,
    ):
        for table in tables:
            for index in range(table.groups):
                part = _labelled(table.read_group(index), target, corpus.name)
                writer.write_table(part)
                rows += part.num_rows
            for video in table.videos:
                if (other := home.setdefault(video, table.path)) != table.path:
                    raise InputError(
                        f"{other} and {table.path} both have frames of {'/'.join(filter(None, video))}: leave one of them "
                        "out, or name the versions"
                    )
    if not rows:
        raise InputError(f"corpus {corpus.name} has no rows: the files are empty")
    lines = [json.dumps(video._asdict(), sort_keys=True) for video in home]
    write_text(records, "".join(f"{line}\n" for line in lines))
    return {
        "unit": FRAME,
        "rows_in": rows,
        "rows": rows,
        "encodes": len(home),
        "bad": [],
        "dropped": {},
        "ignored_columns": sorted({name for table in tables for name in table.ignored}),
        "teacher": tables[0].teacher,
        "tables": {table.path.name: table.details() for table in tables},
        "filled_with_nan": {
            table.path.name: missing
            for table in tables
            if (missing := [name for name in features if name not in table.features])
        },
    }


def _labelled(part: pa.Table, target: pa.Schema, corpus: str) -> pa.Table:
    """Return rows with the corpus's name, and NaN for features that they do not have."""
    import pyarrow as pa

    data: dict[str, Any] = {}
    for column in target:
        if column.name == "corpus":
            data[column.name] = repeated(corpus, part.num_rows)
        elif column.name in part.column_names:
            data[column.name] = part[column.name]
        elif column.name in COUNTS:
            data[column.name] = pa.nulls(part.num_rows, pa.int64())
        else:
            data[column.name] = pa.array(np.full(part.num_rows, np.nan))
    return pa.table(data).cast(target)


def _check_usable(corpus: TableCorpus, content: Rows) -> None:
    if len(content.bad) > corpus.max_bad_share * content.rows_in:
        shown = "; ".join(content.bad[:_SHOWN])
        raise InputError(
            f"{len(content.bad)} of {content.rows_in} rows of corpus {corpus.name} cannot be used, more than the allowed "
            f"share {corpus.max_bad_share:g}: {shown}{'; …' if len(content.bad) > _SHOWN else ''}"
            + (f". {content.hint}" if content.hint else "")
        )
    if not content.encodes:
        reasons = "; ".join(f"{reason}: {count}" for reason, count in content.dropped.items())
        raise InputError(
            f"corpus {corpus.name} has no usable row of {content.rows_in} ({reasons or 'the files are empty'})"
        )


def _record(encode: Encode) -> dict[str, Any]:
    """Return what is known of an encode in addition to its frames: see `pyvmaf.tables.clips.read_records`."""
    known = {name: encode.columns.get(name) for name in ("clip", "codec", "rung", *CONTEXT) if name != "crf"}
    known["framerate"] = known.pop("fps")
    return {name: value for name, value in known.items() if isinstance(value, str) or not is_missing(value)}


def _write(corpus: TableCorpus, content: Rows, output: Path) -> int:
    """Write the shard, and return the number of its rows."""
    engine = engine_block("import-table", corpus.uses)
    if content.unit != CLIP:
        return _write_frames(content, output, engine)
    names: dict[str, None] = {}
    for encode in content.encodes:
        names |= dict.fromkeys([*encode.columns, *encode.pooled])
    columns = {name: [{**e.columns, **e.pooled}.get(name) for e in content.encodes] for name in names}
    scale = MOS_SCALE if MOS in names else None
    write_table(clip_table(columns, teacher=content.teacher, engine=engine, mos_scale=scale), output)
    return len(content.encodes)


def _write_frames(content: Rows, output: Path, engine: Mapping[str, Any]) -> int:
    import pyarrow.parquet as pq

    features = [name for name in FEATURES if any(name in (encode.frames or {}) for encode in content.encodes)]
    opinions = [name for name in OPINIONS if any(name in encode.columns for encode in content.encodes)]
    target = schema(features, opinions)
    scale = MOS_SCALE if opinions else None
    block = metadata(features=features, unavailable={}, model=content.teacher, engine=engine, mos_scale=scale)
    rows = 0
    with (
        atomic_path(output) as temporary,
        pq.ParquetWriter(temporary, target.with_metadata(block), compression="zstd") as writer,
    ):
        for encode in content.encodes:
            table = _frame_rows(encode, target, features)
            writer.write_table(table)
            rows += table.num_rows
    return rows


def _frame_rows(encode: Encode, target: pa.Schema, features: list[str]) -> pa.Table:
    import pyarrow as pa

    frames = encode.frames or {}
    n = len(next(iter(frames.values())))
    data: dict[str, Any] = {}
    for column in target:
        value: Any = encode.columns.get(column.name)
        if column.name == "frame_index":
            data[column.name] = np.arange(n)
        elif column.name in features or column.name == TEACHER:
            data[column.name] = frames.get(column.name, np.full(n, np.nan))
        elif column.name in ("crf", STRENGTH, *OPINIONS):
            data[column.name] = pa.array([None if is_missing(value) else float(value)] * n, pa.float64())
        else:
            data[column.name] = repeated("" if value is None else str(value), n)
    return pa.table(data).cast(target)
