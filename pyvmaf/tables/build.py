"""The verbs ``shard`` and ``combine``: feature tables put together, row group by row group."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pyvmaf.base import layout
from pyvmaf.base.files import atomic_path, relative, write_text
from pyvmaf.base.manifest import read_manifest, write_manifest
from pyvmaf.base.opinion import COLUMNS as OPINIONS
from pyvmaf.base.opinion import COUNTS, MOS, SCALE_KEY, read_scale
from pyvmaf.base.outputs import publishes
from pyvmaf.base.parquet import ParquetTable
from pyvmaf.corpora.skipped import check_skipped
from pyvmaf.engines.numbers import OWN_NUMBERS, own_numbers
from pyvmaf.errors import InputError, unknown_name
from pyvmaf.features.catalog import FEATURES
from pyvmaf.features.table import (
    LEADING,
    STRENGTH,
    TARGET,
    metadata,
    read_metadata,
    repeated,
    schema,
    write_table,
)
from pyvmaf.labels.scores import Labels, Scores
from pyvmaf.tables.adapters.frames import UNKNOWN, FrameTable, open_frames
from pyvmaf.tables.clips import (
    CLIP,
    ENCODE_KEY,
    FRAME,
    clip_table,
    pool_frames,
    pooled_columns,
    pooled_in_part,
    read_records,
    unit_of,
)
from pyvmaf.tables.clips import LEADING as CLIP_LEADING
from pyvmaf.tables.opinions import CorpusRatings, OneScale, Rating, Scale, rated_rows

if TYPE_CHECKING:
    import pyarrow as pa

    from pyvmaf.corpora.spec import Corpus
    from pyvmaf.encodes.record import Record


class Input:
    """One parquet input: its file, its metadata, and the number of rows taken from it."""

    def __init__(self, path: Path, teacher: str | None = None) -> None:
        self.path = path
        self.file = open_frames(path, teacher)
        self.schema: pa.Schema = self.file.schema
        self.spec = read_metadata(self.schema, path)
        self.unit = unit_of(self.spec)
        needed = (*LEADING, TARGET) if self.unit == FRAME else CLIP_LEADING
        missing = [name for name in needed if name not in (*self.schema.names, STRENGTH)]
        if missing:
            raise InputError(f"{path} lacks the columns {', '.join(missing)}; it has {', '.join(self.schema.names)}")
        self.features = [name for name in FEATURES if name in self.schema.names]
        self.opinions = [name for name in OPINIONS if name in self.schema.names]
        self.scale = read_scale(self.spec, os.fspath(path))
        self.ratings: Rating | None = None
        self.scales = OneScale(None, {}, native=False)
        self.label = ""
        self.rows = 0

    def rate(self, ratings: Rating) -> None:
        """Give the rows opinion scores that stand elsewhere.

        Raises:
            InputError: they have some.
        """
        if not ratings.names:
            return
        if self.opinions:
            raise InputError(
                f"{self.path} has opinion scores already ({', '.join(self.opinions)}): leave the others out, or make the "
                "table without them"
            )
        self.ratings, self.opinions, self.scale = ratings, list(ratings.names), ratings.scale

    def _with_opinions(self, table: pa.Table) -> pa.Table:
        """Add the opinion scores that stand elsewhere, and map all to the common scale."""
        if self.ratings is not None:
            for name, column in self.ratings.columns(table).items():
                table = table.append_column(name, column)
        return self.scales.apply(self.label, table)

    def groups(self, target: pa.Schema, label: str | None) -> Iterator[pa.Table]:
        import pyarrow as pa

        for index in range(self.file.groups):
            table = self._with_opinions(self.file.read_group(index))
            self.rows += table.num_rows
            data: dict[str, Any] = {}
            for field in target:
                if field.name == "corpus" and label is not None:
                    data[field.name] = repeated(label, table.num_rows)
                elif field.name in table.column_names:
                    data[field.name] = table[field.name]
                elif field.name == STRENGTH:
                    data[field.name] = table["crf"]
                elif field.name in COUNTS:
                    data[field.name] = pa.nulls(table.num_rows, pa.int64())
                else:
                    data[field.name] = pa.array([float("nan")] * table.num_rows, pa.float64())
            yield pa.table(data).cast(target)

    def clips(self) -> dict[str, list[Any]]:
        """Return the columns of a table of clips."""
        table = self._with_opinions(self.file.read())
        self.rows = table.num_rows
        columns: dict[str, list[Any]] = {name: table[name].to_pylist() for name in table.column_names}
        columns.setdefault(STRENGTH, columns["crf"])
        return columns

    def encodes(self) -> Iterator[pa.Table]:
        """Yield the rows in parts that hold whole encodes; a row group may hold a piece of one."""
        import numpy as np
        import pyarrow as pa

        left = self._with_opinions(self.schema.empty_table())
        for index in range(self.file.groups):
            table = pa.concat_tables([left, self._with_opinions(self.file.read_group(index))])
            if not table.num_rows:
                continue
            last = np.ones(table.num_rows, dtype=bool)
            for name in ENCODE_KEY:
                column = np.asarray(table[name].cast(pa.string()).to_numpy(zero_copy_only=False))
                last &= column == column[-1]
            start = table.num_rows - int(np.argmin(last[::-1])) if not last.all() else 0
            if start:
                self.rows += start
                yield table.slice(0, start)
            # Copied: a slice would keep the whole row group in memory.
            left = table.slice(start).take(np.arange(table.num_rows - start))
        self.rows += left.num_rows
        yield left


def _merge(inputs: Sequence[Input], labels: Sequence[str | None], output: Path) -> dict[str, Any]:
    """Write the rows of all inputs, and return the details for the manifest. Memory holds one row group at a time."""
    import pyarrow.parquet as pq

    of_clips = [item for item in inputs if item.unit != FRAME]
    if of_clips:
        raise InputError(
            f"a row of {', '.join(os.fspath(item.path) for item in of_clips)} is a clip, not a frame: make a table of "
            "clips (unit: clip in the configuration's table, --unit clip), or leave it out"
        )
    teacher, scales = teacher_of(inputs), inputs[0].scales
    features = [name for name in FEATURES if any(name in item.features for item in inputs)]
    filled = {relative(item.path): [n for n in features if n not in item.features] for item in inputs}
    unavailable: dict[str, dict[str, Any]] = {}
    for item in inputs:
        for name, reason in item.spec["unavailable"].items():
            unavailable.setdefault(name, {})[relative(item.path)] = reason
    target = schema(features, _opinions(inputs))
    block = metadata(
        features=features,
        unavailable=unavailable,
        model=teacher,
        engine=engine_of(inputs),
        notes=_notes(inputs),
        mos_scale=scales.scale,
    )
    distribution: dict[str, int] = {}
    rated = 0
    with (
        atomic_path(output) as temporary,
        pq.ParquetWriter(temporary, target.with_metadata(block), compression="zstd") as writer,
    ):
        for item, label in zip(inputs, labels, strict=True):
            for table in item.groups(target, label):
                writer.write_table(table)
                rated += rated_rows(table)
                for name, rows in _counts(table):
                    distribution[name] = distribution.get(name, 0) + rows
    return {
        "rows": sum(item.rows for item in inputs),
        "rows_by_input": {relative(item.path): item.rows for item in inputs},
        "filled_with_nan": {path: names for path, names in filled.items() if names},
        "columns": target.names,
        "corpora": distribution,
        **_rated(scales, rated),
    }


def _opinions(inputs: Sequence[Input]) -> list[str]:
    """Return the columns of opinion scores that any input has, on the common scale."""
    present = {name for item in inputs for name in (*item.opinions, *item.scales.added)}
    return [name for name in OPINIONS if name in present]


def _rated(scales: OneScale, rows: int) -> dict[str, Any]:
    """Return what the manifest says of opinion scores; nothing if there are none."""
    if scales.scale is None:
        return {}
    return {SCALE_KEY: list(scales.scale), "mos_maps": scales.names(), "rows_rated": rows}


def rate(inputs: Sequence[Input], labels: Sequence[str], asked: Labels) -> Scores:
    """Give the rows of the corpora that labels are for their scores.

    Raises:
        InputError: a corpus is not among the inputs, or its rows have scores; as `Scores`.
    """
    for corpus in asked.corpora:
        if corpus not in labels:
            raise unknown_name("corpus that labels are for", corpus, labels)
    scores = Scores(asked)
    for item, label in zip(inputs, labels, strict=True):
        if not asked.corpora or label in asked.corpora:
            item.rate(scores)
    return scores


def bring_to_one_scale(
    inputs: Sequence[Input], labels: Sequence[str], wanted: Scale | None, maps: Mapping[str, str]
) -> None:
    """Choose how the opinion scores of all inputs come to one scale; see `OneScale.of`."""
    rated = [(label, item.path, item.scale) for label, item in zip(labels, inputs, strict=True) if MOS in item.opinions]
    scales = OneScale.of(rated, wanted, maps)
    for item, label in zip(inputs, labels, strict=True):
        item.scales, item.label = scales, label


def _made_elsewhere(inputs: Sequence[Input]) -> dict[str, Any]:
    """Return what the manifest says of tables that another program wrote."""
    found = {relative(item.path): item.file.details() for item in inputs if isinstance(item.file, FrameTable)}
    return {"made_elsewhere": found} if found else {}


def teacher_of(inputs: Sequence[Input]) -> str:
    """Return the teacher of all inputs."""
    models = {str(item.spec["model"]) for item in inputs}
    if len(models) > 1:
        described = ", ".join(f"{item.path} by {item.spec['model']}" for item in inputs)
        remedy = "; name that of tables which state none with --teacher" if UNKNOWN in models else ""
        raise InputError(
            f"the targets come from different teachers: {described}: put together tables of one teacher{remedy}"
        )
    return models.pop()


def check_engines(inputs: Sequence[tuple[str, Mapping[str, Any]]], *, mixed: bool) -> None:
    """Refuse to put rows together that engines of other numbers measured.

    Args:
        inputs: what to call each input, and the block ``engine`` of its metadata.
        mixed: whether that is wanted.

    Raises:
        InputError: it is not, and the inputs come from engines whose numbers differ.
    """
    measured = {name: own_numbers(block) or "the processor" for name, block in inputs}
    if len(set(measured.values())) > 1 and not mixed:
        described = ", ".join(f"{name} by {engine}" for name, engine in measured.items())
        raise InputError(
            f"the features come from engines whose numbers differ: {described}: measure all with one backend, or allow it with "
            "--mixed-engines (`mixed_engines: true` of the table in the configuration)"
        )


def engine_of(inputs: Sequence[Input]) -> dict[str, str]:
    """Return the block ``engine`` of a table of all inputs: that of the first, and engines of other numbers of any."""
    others = {
        name: block[name] for block in (item.spec["engine"] for item in inputs) for name in OWN_NUMBERS if name in block
    }
    return {**inputs[0].spec["engine"], **others}


def _notes(inputs: Sequence[Input]) -> list[str]:
    """Return what was noted when the videos of all inputs were read, each once."""
    return list(dict.fromkeys(note for item in inputs for note in item.spec.get("notes", [])))


def _merge_clips(inputs: Sequence[Input], labels: Sequence[str], output: Path) -> dict[str, Any]:
    """Write the clips of all inputs, frames pooled, and return the details for the manifest."""
    teacher, scales = teacher_of(inputs), inputs[0].scales
    parts, without = [], []
    for item, label in zip(inputs, labels, strict=True):
        if item.unit == CLIP:
            columns = item.clips()
        else:
            records_path = item.path.with_suffix(".jsonl")
            made_here = isinstance(item.file, ParquetTable)
            records = read_records(records_path) if made_here and records_path.is_file() else {}
            if not records:
                without.append(relative(item.path))
            columns = _pooled(item, records)
        columns["corpus"] = [label] * len(columns["clip"])
        parts.append(columns)
    names = dict.fromkeys(name for columns in parts for name in columns)
    merged = {
        name: [v for columns in parts for v in columns.get(name, [None] * len(columns["clip"]))] for name in names
    }
    table = clip_table(merged, teacher=teacher, engine=engine_of(inputs), notes=_notes(inputs), mos_scale=scales.scale)
    write_table(table, output)
    filled = {
        relative(item.path): [
            name for name in table.column_names if name in pooled_columns(names) and name not in columns
        ]
        for item, columns in zip(inputs, parts, strict=True)
    }
    return {
        "unit": CLIP,
        "rows": table.num_rows,
        "rows_by_input": {relative(item.path): item.rows for item in inputs},
        "filled_with_nan": {path: names for path, names in filled.items() if names},
        "without_records": without,
        "pooled_in_part": pooled_in_part(merged),
        "columns": table.column_names,
        "corpora": dict(_counts(table)),
        **_rated(scales, rated_rows(table)),
    }


def _pooled(item: Input, records: Mapping[tuple[str, ...], Mapping[str, Any]]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {}
    for frames in item.encodes():
        for name, values in pool_frames(frames, records, os.fspath(item.path)).items():
            columns.setdefault(name, []).extend(values)
    _check_distinct(item.path, columns)
    return columns


def _check_distinct(path: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    seen = set()
    for key in zip(*(columns[name] for name in ENCODE_KEY), strict=True):
        if key in seen:
            raise InputError(f"{path}: the rows of {'/'.join(map(str, key))} are not adjacent: make the shard again")
        seen.add(key)


def _counts(table: pa.Table) -> list[tuple[str, int]]:
    counts: Any = table["corpus"].value_counts()
    return [(entry["values"], entry["counts"]) for entry in counts.to_pylist()]


@publishes("shard")
def build_shard(
    ladders: Sequence[Path],
    records: Sequence[Path],
    output: Path,
    rows_output: Path,
    *,
    corpus: Corpus | None = None,
) -> int:
    """Put the ladders of one corpus and codec into one shard, and complete their encode records.

    The records of pairs that existed already, and the encodes and pairs that were skipped, are in the manifests of their
    ladders.

    Args:
        ladders: feature tables.
        records: encode records (.json), each beside its encode and the encode's manifest.
        output: the shard to write, parquet.
        rows_output: the complete corpus rows to write, one JSON object per line, with the measured times.
        corpus: the corpus, whose opinion scores become columns, and which says how many encodes or pairs may be
            skipped; None for none.

    Returns:
        The number of frame rows.

    Raises:
        InputError: a rung has a record but no features, or features but no record; the corpus has opinion scores, but none
            of what the rows are of; or more encodes or pairs were skipped than may be.
    """
    import json

    started = time.monotonic()
    if not ladders:
        raise InputError(f"no feature tables were given for {output}")
    inputs = [Input(path) for path in sorted(ladders)]
    ratings = None if corpus is None else CorpusRatings(corpus.ratings())
    if ratings is not None:
        for item in inputs:
            item.rate(ratings)
    check_engines([(os.fspath(item.path), item.spec["engine"]) for item in inputs], mixed=False)
    bring_to_one_scale(inputs, [""] * len(inputs), None, {})
    notes = {path: read_manifest(path) for path in ladders}
    failed = [item for path in sorted(ladders) for item in notes[path].get("details", {}).get("failed", [])]
    details = _merge(inputs, [None] * len(inputs), output)
    rows = _complete_records(ladders, records, notes, failed)
    limit = 0.0 if corpus is None else corpus.skipped
    check_skipped(failed, len(rows), limit, relative(output), "encodes" if records else "pairs")
    write_text(rows_output, "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows))
    if failed:
        details["failed"] = failed
    write_manifest(
        output,
        verb="shard",
        args={} if ratings is None else ratings.args,
        inputs={"ladders": sorted(ladders), "records": sorted(records)},
        outputs={"shard": output},
        timings={"records": rows_output},
        details={**details, "records": len(rows)},
        seconds=time.monotonic() - started,
    )
    return int(details["rows"])


class _Measured(NamedTuple):
    """Measurements of a rung: mean VMAF, mean and deviation of each feature, the table's metadata, and the duration."""

    vmaf: float
    features: dict[str, tuple[float, float]]
    spec: dict[str, Any]
    seconds: float | None


def _measurements(ladders: Sequence[Path], notes: Mapping[Path, Any]) -> dict[tuple[str, ...], _Measured]:
    """Return the measurements of every rung, by clip, codec and rung."""
    import numpy as np

    from pyvmaf.encodes.record import ROW_FEATURES
    from pyvmaf.features.table import read_table

    measured: dict[tuple[str, ...], _Measured] = {}
    for path in ladders:
        table = read_table(path)
        spec = read_metadata(table.schema, path)
        frame = table.select(
            [*(n for n in ROW_FEATURES if n in table.column_names), "clip", "codec", "rung", TARGET]
        ).to_pandas()
        run = notes[path].get("run", {})
        for (clip, codec, rung), rows in frame.groupby(["clip", "codec", "rung"], observed=True, sort=False):
            # A ladder is measured in one pass; a rung's share of the time is its share of the rows.
            seconds = None if run.get("seconds") is None else run["seconds"] * len(rows) / len(frame)
            features = {
                name: (float(np.mean(rows[name])), float(np.std(rows[name])))
                for name in ROW_FEATURES
                if name in rows.columns
            }
            vmaf = float(np.mean(rows[TARGET]))
            measured[str(clip), str(codec), str(rung)] = _Measured(vmaf, features, spec, seconds)
    return measured


def _complete_records(
    ladders: Sequence[Path], records: Sequence[Path], notes: Mapping[Path, Any], failed: Sequence[Mapping[str, str]]
) -> list[dict[str, Any]]:
    """Return the complete rows: of encodes in the order of their files, then of pairs that existed already.

    An encode that was skipped has no row.
    """
    from pyvmaf.encodes.record import Record

    measured = _measurements(ladders, notes)
    completed = []
    skipped = {tuple(item[name] for name in ENCODE_KEY) for item in failed}
    for path in sorted(records):
        parts = layout.RECORD.parts(os.path.abspath(path))
        key = tuple(parts[name] for name in ENCODE_KEY)
        if key in skipped:
            continue
        if key not in measured:
            raise InputError(f"{path} has no rows in the feature tables given ({', '.join(map(str, ladders))})")
        encoding = read_manifest(path.with_suffix(".mkv")).get("run", {})
        completed.append(_completed(Record.read(path), measured.pop(key), encoding).as_json())
    for path in sorted(ladders):
        for pair in notes[path].get("details", {}).get("pairs", []):
            names = {name: str(pair[name]) for name in ENCODE_KEY}
            record = Record(**{name: value for name, value in pair.items() if name not in ENCODE_KEY})
            rung = measured.pop(tuple(names.values()), None)
            if rung is None:
                raise InputError(
                    f"{path} has no rows of {'/'.join(names.values())}, which its manifest lists: make it again"
                )
            completed.append({**_completed(record, rung, {}).as_json(), **names})
    if measured:
        raise InputError(f"rungs without an encode record: {', '.join('/'.join(key) for key in measured)}")
    return completed


def _completed(record: Record, rung: _Measured, encoding: Mapping[str, Any]) -> Record:
    """Complete a record with the measurements of its rung and the times of its encode."""
    from pyvmaf.encodes.record import complete

    return complete(
        record,
        vmaf=rung.vmaf,
        vmaf_model=str(rung.spec["model"]),
        features=rung.features,
        vmaf_binary_version=str(rung.spec["engine"].get("libvmaf")),
        encode_seconds=encoding.get("seconds"),
        score_seconds=rung.seconds,
        timestamp=encoding.get("finished_utc"),
    )


@publishes("combine")
def combine(
    inputs: Mapping[str, Path] | Sequence[tuple[str, Path]],
    output: Path,
    *,
    unit: Literal["frame", "clip"] = FRAME,
    teacher: str | None = None,
    mos_scale: Scale | None = None,
    mos_maps: Mapping[str, str] = MappingProxyType({}),
    labels_of: Labels | None = None,
    mixed_engines: bool = False,
) -> int:
    """Put tables into one training table; the rows of each input get its corpus label.

    Features that an input does not have become NaN and are listed in the manifest.

    Args:
        inputs: (label, table) pairs; a label may repeat. A table may be one of frames that another program wrote
            (`pyvmaf.tables.adapters.frames`).
        output: the training table to write, parquet.
        unit: what a row of it is. "clip" pools tables of frames, and takes each encode's size and rates from the
            records beside its shard (same name, .jsonl), if there are any.
        teacher: what computed the VMAF of tables of another program that do not state it.
        mos_scale: scale that opinion scores are mapped to, by `pyvmaf.labels.scales`; the native ones are kept. None to
            leave them as they are.
        labels_of: label files that rate the rows; their scores are mapped to `mos_scale`, too.
        mos_maps: name of the map by label, for inputs whose scores do not take the usual one.
        mixed_engines: allow inputs that engines of other numbers measured (`pyvmaf.engines`).

    Returns:
        The number of rows.

    Raises:
        InputError: there is no input, the targets come from different teachers, the tables have no rows, an input has
            clips where frames are needed, the opinion scores are on different scales and `mos_scale` is not given, or engines
            of other numbers measured the inputs and `mixed_engines` is not set.
    """
    started = time.monotonic()
    pairs = list(inputs.items()) if isinstance(inputs, Mapping) else list(inputs)
    if not pairs:
        raise InputError(f"no tables were given for {output}")
    files = [Input(path, teacher) for _, path in pairs]
    if not sum(item.file.rows for item in files):
        raise InputError(f"no rows: {', '.join(os.fspath(path) for _, path in pairs)} are empty")
    check_engines([(os.fspath(item.path), item.spec["engine"]) for item in files], mixed=mixed_engines)
    labels = [label for label, _ in pairs]
    scores = None if labels_of is None else rate(files, labels, replace(labels_of, scale=mos_scale))
    bring_to_one_scale(files, labels, mos_scale, mos_maps)
    details = _merge(files, labels, output) if unit == FRAME else _merge_clips(files, labels, output)
    details |= _made_elsewhere(files)
    if scores is not None:
        scores.lookup.check(" or ".join(os.fspath(path) for _, path in pairs))
        details["labels"] = scores.lookup.audit()
    write_manifest(
        output,
        verb="combine",
        args={
            "labels": labels,
            "unit": unit,
            **({} if teacher is None else {"teacher": teacher}),
            **({} if mos_scale is None else {"mos_scale": list(mos_scale), "mos_maps": dict(mos_maps)}),
            **({} if labels_of is None else labels_of.args()),
            **({"mixed_engines": True} if mixed_engines else {}),
        },
        inputs={
            "tables": [path for _, path in pairs],
            **({} if labels_of is None else {"labels": list(labels_of.paths)}),
        },
        outputs={"table": output},
        details=details,
        seconds=time.monotonic() - started,
    )
    return int(details["rows"])
