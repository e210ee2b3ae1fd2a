"""The verb combine-pictures: a training table whose rows are pictures, with the scores of their frames."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pyvmaf.base.files import relative
from pyvmaf.base.layout import REFERENCE
from pyvmaf.base.manifest import engine_block, manifest_path, read_manifest, write_manifest
from pyvmaf.base.opinion import COLUMNS as OPINIONS
from pyvmaf.base.opinion import SCALE_KEY
from pyvmaf.base.outputs import claim, publishes
from pyvmaf.errors import InputError
from pyvmaf.features.table import TARGET, schema, write_table
from pyvmaf.frames.table import FILES, SIZES, File, PictureTable, metadata, name_in, picture_table
from pyvmaf.labels.scores import Labels, Scores
from pyvmaf.tables.build import Input, bring_to_one_scale, rate, teacher_of
from pyvmaf.tables.opinions import Scale

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

_KEY = ("corpus", "clip", "codec", "rung", "frame_index")
_TEXT = ("corpus", "group", "source", "clip", "codec", "encoder", "preset", "rung", *FILES)


@dataclass
class _Rows:
    """Rows of all tables of pictures that are put together.

    Attributes:
        data: the rows.
        colour: of all pictures.
        files: the files of pictures by their names in the new table.
        scale: of opinion scores that pictures have already; None if they have none.
        opinions: columns of opinion scores.
    """

    data: pd.DataFrame
    colour: str
    files: dict[str, File]
    scale: Scale | None = None
    opinions: list[str] = field(default_factory=list)


def _read(paths: Sequence[Path], output: Path) -> _Rows:
    """Read tables of pictures.

    Raises:
        InputError: their colours or their scales of opinion scores differ.
    """
    import pandas as pd

    from pyvmaf.base.opinion import read_scale

    tables = [PictureTable(path) for path in paths]
    files: dict[str, File] = {}
    parts = []
    scales: dict[Scale, Path] = {}
    for table in tables:
        if table.colour != tables[0].colour:
            raise InputError(
                f"{tables[0].path} is of {tables[0].colour} pictures, {table.path} of {table.colour}: one table has pictures of "
                "one colour"
            )
        if (scale := read_scale(table.block, os.fspath(table.path))) is not None:
            scales.setdefault(scale, table.path)
        names = {name: name_in(output, table.locate(name)) for name in table.files}
        files |= {names[name]: described for name, described in table.files.items()}
        part = table.rows.to_pandas()
        for column in _TEXT:
            part[column] = part[column].astype(object).where(part[column].notna(), None)
        for column in FILES:
            part[column] = part[column].map(lambda name, names=names: names.get(name))
        parts.append(part)
    if len(scales) > 1:
        described = ", ".join(f"{list(scale)} in {path}" for scale, path in scales.items())
        raise InputError(f"the images have opinion scores on different scales, {described}: put together those of one")
    data = pd.concat([part.astype(object) for part in parts], ignore_index=True)
    opinions = [name for name in OPINIONS if any(name in table.opinions for table in tables)]
    return _Rows(data, tables[0].colour, files, next(iter(scales), None), opinions)


class _Place(NamedTuple):
    """Where a picture is, and of which frame."""

    corpus: str
    clip: str
    codec: str | None
    rung: str | None
    frame_index: int
    file: str
    row: int
    width: int
    height: int

    @property
    def key(self) -> tuple[str, str, int]:
        """Corpus, clip and frame."""
        return self.corpus, self.clip, self.frame_index


def _add_references(data: pd.DataFrame) -> int:
    """Name the pristine picture of each distorted one, and return how many have one."""
    columns = (
        data[name].tolist() for name in ("corpus", "clip", "codec", "rung", "frame_index", "file", "row", *SIZES)
    )
    pictures = [_Place(*values) for values in zip(*columns, strict=True)]
    pristine = {item.key: item for item in pictures if item.rung == REFERENCE and item.codec is None}
    names: list[str | None] = []
    rows: list[int | None] = []
    for item in pictures:
        found = pristine.get(item.key) if item.codec is not None else None
        if found is not None and (found.width, found.height) != (item.width, item.height):
            raise InputError(
                f"pictures of {item.clip} by {item.codec} have {item.width}x{item.height}, the pristine ones "
                f"{found.width}x{found.height}: take both with the same settings"
            )
        names.append(None if found is None else found.file)
        rows.append(None if found is None else found.row)
    data["reference_file"] = np.array(names, object)
    data["reference_row"] = np.array(rows, object)
    return sum(name is not None for name in names)


def _add_scores(rows: _Rows, shards: Sequence[Input]) -> int:
    """Give distorted pictures the scores of their frames, and return how many of them none was measured of.

    Raises:
        InputError: frames of a ladder were not measured.
    """
    import pandas as pd

    data = rows.data
    wanted = data[data["codec"].notna()]
    keys = pd.DataFrame({name: wanted[name] for name in _KEY})
    keys["frame_index"] = keys["frame_index"].astype(np.int64)
    keys["position"] = wanted.index
    names = [TARGET, *(name for name in OPINIONS if any(name in item.opinions for item in shards))]
    names += [name for name in (item for shard in shards for item in shard.scales.added) if name not in names]
    values: dict[str, NDArray[Any]] = {
        name: data[name].to_numpy(object, copy=True) if name in data else np.full(len(data), None, object)
        for name in names
    }
    found = np.zeros(len(data), bool)
    target = schema((), [name for name in names if name != TARGET])
    for item in shards:
        for group in item.groups(target, item.label):
            part = group.select([*_KEY, *names]).to_pandas()
            for name in _KEY[:-1]:
                part[name] = part[name].astype(object)
            merged = keys.merge(part, on=list(_KEY), how="inner")
            at = merged["position"].to_numpy(np.int64)
            found[at] = True
            for name in names:
                column = merged[name]
                values[name][at] = column.astype(object).where(column.notna(), None).to_numpy(object)
    for name in names:
        data[name] = values[name]
    rows.opinions = [name for name in OPINIONS if name in names or name in rows.opinions]
    missing = wanted.index[~found[wanted.index]]
    return _drop_skipped(rows, missing, shards)


def _drop_skipped(rows: _Rows, missing: Any, shards: Sequence[Input]) -> int:
    """Leave out pictures of pairs that were skipped when they were measured."""
    if not len(missing):
        return 0
    skipped = {
        (item.label, pair["clip"], pair["codec"], pair["rung"])
        for item in shards
        if manifest_path(item.path).is_file()
        for pair in read_manifest(item.path).get("details", {}).get("failed", [])
    }
    absent = rows.data.loc[missing]
    for corpus, clip, codec, rung, frame in zip(*(absent[name].tolist() for name in _KEY), strict=True):
        if (corpus, clip, codec, rung) not in skipped:
            raise InputError(
                f"frame {frame} of clip {clip}, codec {codec}, rung {rung} of corpus {corpus} was not "
                f"measured: it is not in {', '.join(os.fspath(item.path) for item in shards) or 'any shard'}: measure the ladders that "
                "the pictures are of"
            )
    rows.data = rows.data.drop(missing).reset_index(drop=True)
    return len(missing)


@publishes("combine-pictures")
def combine_pictures(
    tables: Sequence[Path],
    shards: Sequence[tuple[str, Path]],
    output: Path,
    *,
    mos_scale: Scale | None = None,
    mos_maps: Mapping[str, str] = MappingProxyType({}),
    labels_of: Labels | None = None,
) -> int:
    """Put tables of pictures into one, with VMAF and opinion scores of the frames.

    Args:
        tables: of the verb extract-frames.
        shards: (corpus, shard) pairs with the scores of the frames of ladders; none if all pictures are of images.
        output: the table to write, parquet. The files of pictures lie below its folder, or, if that is called ``tables``,
            below the folder around it.
        mos_scale, mos_maps, labels_of: as in `pyvmaf.tables.build.combine`.

    Returns:
        The number of rows.

    Raises:
        InputError: there are no pictures, colours differ, a frame was not measured, or the targets come from different
            teachers.
    """
    started = time.monotonic()
    claim(output)
    if not tables:
        raise InputError(f"no tables of pictures were given for {output}")
    rows = _read(tables, output)
    inputs = [Input(path) for _, path in shards]
    labels = [label for label, _ in shards]
    scores = None if labels_of is None else rate(inputs, labels, replace(labels_of, scale=mos_scale))
    bring_to_one_scale(inputs, labels, mos_scale, mos_maps)
    scale = _scale(rows, inputs)
    paired = _add_references(rows.data)
    dropped = _add_scores(rows, inputs)
    data = rows.data
    if not len(data):
        raise InputError(f"no rows: {', '.join(map(os.fspath, tables))} hold no pictures that were measured")
    used = {name for column in FILES for name in data[column] if name is not None}
    block = metadata(
        colour=rows.colour,
        files={name: described for name, described in rows.files.items() if name in used},
        model=teacher_of(inputs) if inputs else "",
        engine=engine_block("combine-pictures"),
        mos_scale=scale,
    )
    columns = {name: _listed(data[name]) for name in data.columns}
    write_table(picture_table(columns, block, rows.opinions), output)
    rated = sum(value is not None for value in columns.get("mos", ()))
    write_manifest(
        output,
        verb="combine-pictures",
        args={
            "labels": labels,
            **({} if mos_scale is None else {"mos_scale": list(mos_scale), "mos_maps": dict(mos_maps)}),
            **({} if labels_of is None else labels_of.args()),
        },
        inputs={
            "tables": list(tables),
            "shards": [path for _, path in shards],
            **({} if labels_of is None else {"labels": list(labels_of.paths)}),
        },
        outputs={"table": output},
        details={
            "rows": len(data),
            "rows_by_input": {relative(path): int(PictureTable(path).rows.num_rows) for path in tables},
            "pairs": paired,
            "masks": sum(value is not None for value in columns["mask_file"]),
            "rows_rated": rated,
            "skipped": dropped,
            "colour": rows.colour,
            **({} if scale is None else {SCALE_KEY: list(scale)}),
            **({} if scores is None else {"labels": _audit(scores, shards)}),
        },
        seconds=time.monotonic() - started,
    )
    return len(data)


def _audit(scores: Scores, shards: Sequence[tuple[str, Path]]) -> Any:
    scores.lookup.check(" or ".join(os.fspath(path) for _, path in shards))
    return scores.lookup.audit()


def _scale(rows: _Rows, shards: Sequence[Input]) -> Scale | None:
    """Return the scale of all opinion scores.

    Raises:
        InputError: those of images are on another scale than those of ladders.
    """
    measured = shards[0].scales.scale if shards else None
    if measured is not None and rows.scale is not None and measured != rows.scale:
        raise InputError(
            f"opinion scores of images are on the scale {list(rows.scale)}, those of videos on {list(measured)}: set mos_scale to "
            "that of the images"
        )
    return measured or rows.scale


def _listed(column: pd.Series[Any]) -> list[Any]:
    """Return values as Python's, with None for what is missing."""
    return [None if missing else value for value, missing in zip(column.tolist(), column.isna(), strict=True)]
