"""Scores of one pair of videos: one row per frame, and figures of the whole."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.extras import require
from pyvmaf.base.files import atomic_path, dumps, read_json, write_text
from pyvmaf.base.outputs import is_stream
from pyvmaf.base.parquet import ParquetTable
from pyvmaf.errors import InputError, PyvmafError, UnavailableError, unknown_name
from pyvmaf.features.catalog import TEACHER
from pyvmaf.features.pool import COUNT, POOLS, pool

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd
    import pyarrow as pa

SCHEMA = "pyvmaf-score-v1"
"""Name and version of the JSON form, in its key ``schema``."""

FORMATS: tuple[str, ...] = (".json", ".csv", ".parquet", ".ndjson", ".xml")
"""Suffixes of files that scores can be written to."""


@dataclass(frozen=True)
class Scores:
    """Scores of one pair.

    Attributes:
        frame_index: int64, frame numbers counted from 0.
        columns: float64 per frame: the features by training name in catalog order, ``vmaf`` (the score of the first
            model of libvmaf), further models by their names.
        unavailable: features of a set that cannot be computed on this pair (their columns are NaN), with the reason.
        libvmaf_models: model of libvmaf behind a column, by the column: a built-in version or the path of a file, with
            options.
        summaries: score of the whole clip by each registered model, and how much to trust it, as JSON values.
        notes: what was done to frames to show them as players do, and doubts about the scores, a line each.
        reading: the options of `pyvmaf.features.options.Reading` that were asked for (scaling, a part of the frames, film
            grain), as JSON values.
        doubts: those of the notes that say why scores may be wrong, or mean something else than they seem to.
        pools: the figures of `pooled`.
        alignment: the offset of the distorted video in "frames", if one was asked for, and the "confidence" and "correlation"
            with which it was found.
        cuts: first frames of the reference's shots but the first one, if they were looked for.
        size: width and height of the frames that were compared, as 1280x720; empty if unknown.
    """

    frame_index: NDArray[np.int64]
    columns: dict[str, NDArray[np.float64]]
    unavailable: dict[str, str] = field(default_factory=dict)
    libvmaf_models: dict[str, str] = field(default_factory=dict)
    summaries: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    reading: dict[str, Any] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)
    pools: tuple[str, ...] = POOLS
    alignment: dict[str, float] = field(default_factory=dict)
    cuts: list[int] | None = None
    size: str = ""

    def __len__(self) -> int:
        return int(self.frame_index.size)

    def __repr__(self) -> str:
        """Return one line, because arrays of a long video say nothing: the number of frames and the means."""
        finite = {name: values[np.isfinite(values)] for name, values in self.columns.items()}
        means = ", ".join(
            f"{name} {values.mean():.4f}" if values.size else f"{name} -" for name, values in finite.items()
        )
        size = f" of {self.size}" if self.size else ""
        return f"Scores({len(self)} frames{size}, means: {means})"

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        if name not in self.columns:
            raise unknown_name("column", name, self.columns)
        return self.columns[name]

    @property
    def model(self) -> str | None:
        """The model of libvmaf behind ``vmaf``; None if there is none."""
        return self.libvmaf_models.get(TEACHER)

    @property
    def headline(self) -> str:
        """The column that a single number is taken of: ``vmaf``, or that of the first registered model, or the first one."""
        return TEACHER if TEACHER in self.libvmaf_models else next(iter((*self.summaries, *self.columns)))

    def figure(self, name: str = "mean", column: str | None = None) -> float:
        """Return one number for the pair.

        Args:
            name: the figure, as in `pyvmaf.features.pool.pool`.
            column: of which column; by default `headline`.

        Raises:
            InputError: there is no such figure; a score of a whole clip has its mean only.
        """
        column = column or self.headline
        summary = self.summaries.get(column)
        if summary is None or summary["of"] != "clip":
            return pool(self[column], [name])[name]
        if name != "mean":
            raise InputError(f"model {column} scores whole clips: it has no {name} of frames, only a mean")
        return float(summary["score"])

    def pooled(self) -> dict[str, dict[str, float]]:
        """Pool every column that has values and is measured per frame to the figures `pools`.

        They are of the frames with a finite value, whose number is the figure "count"; `left_out` describes the others.
        Spreads and ends of intervals are left out: the mean of the frames' intervals is not an interval of the mean,
        which `summaries` hold.
        """
        skipped = {name for summary in self.summaries.values() for name in summary["bounds"]}
        skipped |= {name for name, summary in self.summaries.items() if summary["of"] == "clip"}
        skipped |= set(self.unavailable)
        return {
            name: pool(values, (*self.pools, COUNT)) for name, values in self.columns.items() if name not in skipped
        }

    def left_out(self) -> dict[str, dict[str, int]]:
        """Count the frames that are in no figure of `pooled`, of every column that has some.

        Returns:
            By column the number of "infinite" frames (PSNR-HVS of pictures without a difference) and of "missing" ones.
        """
        counts = {
            name: {
                "infinite": int(np.count_nonzero(np.isinf(self.columns[name]))),
                "missing": int(np.count_nonzero(np.isnan(self.columns[name]))),
            }
            for name in self.pooled()
        }
        return {name: count for name, count in counts.items() if any(count.values())}

    def smaller_screens(self) -> str:
        """Say which built-in models of libvmaf stand for a larger screen than the frames fill; empty if none does.

        No screen was asked for then (`pyvmaf.score(display=…)`).
        """
        if not self.size or "display" in self.reading:
            return ""
        width, height = map(int, self.size.split("x"))
        large = {}
        for model in self.libvmaf_models.values():
            base = model.partition(":")[0]
            wide, high = (3840, 2160) if "4k" in base or "2160" in base else (1920, 1080)
            if not base.endswith(".json") and width < wide and height < high:
                large[model] = f"{wide}x{high}"
        if not large:
            return ""
        screens = ", ".join(f"{model} for {screen}" for model, screen in large.items())
        return (
            f"frames of {self.size} are smaller than the screen that a model stands for ({screens}), and are judged more mildly than "
            "if they filled it, which --display hd or 4k makes them do"
        )

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield ``frame_index`` and the columns of each frame."""
        values = zip(self.frame_index.tolist(), *(v.tolist() for v in self.columns.values()), strict=True)
        names = ("frame_index", *self.columns)
        return (dict(zip(names, row, strict=True)) for row in values)

    def to_arrow(self) -> pa.Table:
        """Return an arrow table with one row per frame: ``frame_index`` and the columns.

        Raises:
            UnavailableError: pyarrow is not installed.
        """
        require("an arrow table", "pyarrow", extra="report")
        import pyarrow as pa

        columns = {"frame_index": self.frame_index, **self.columns}
        table = pa.table({name: pa.array(values) for name, values in columns.items()})
        blocks = {
            "libvmaf_models": self.libvmaf_models,
            "models": self.summaries,
            "notes": self.notes,
            "reading": self.reading,
            "alignment": self.alignment,
            "cuts": self.cuts,
        }
        blocks = {name: block for name, block in blocks.items() if block}
        return table.replace_schema_metadata({"pyvmaf": dumps(blocks)}) if blocks else table

    def to_pandas(self) -> pd.DataFrame:
        """Return a data frame with one row per frame: ``frame_index`` and the columns.

        Raises:
            UnavailableError: pandas is not installed.
        """
        require("a data frame", "pandas", extra="report")
        import pandas as pd

        return pd.DataFrame({"frame_index": self.frame_index, **self.columns})

    def to_polars(self) -> Any:
        """Return a polars data frame with one row per frame: ``frame_index`` and the columns.

        Raises:
            UnavailableError: polars is not installed.
        """
        try:
            # Not a dependency of this package.
            polars = import_module("polars")
        except ImportError as err:
            raise UnavailableError(
                "polars is not installed: install it (pip install polars), or use to_arrow()"
            ) from err
        return polars.DataFrame({"frame_index": self.frame_index, **self.columns})

    def plot(self, *columns: str) -> alt.Chart:
        """Return a chart of columns over the frames, which notebooks show.

        Args:
            columns: their names; by default `headline`.

        Raises:
            InputError: there is no such column.
            UnavailableError: Altair is not installed.
        """
        require("a chart", "altair", extra="report")
        import altair as alt

        names = columns or (self.headline,)
        frames = self.frame_index.tolist()
        values = [
            {"frame": frame, "column": name, "value": _json(value)}
            for name in names
            for frame, value in zip(frames, self[name].tolist(), strict=True)
            if np.isfinite(value)
        ]
        # Values given like this have no limit of rows.
        legend = None if len(names) == 1 else alt.Legend()
        chart: alt.Chart = alt.Chart(alt.InlineData(values=values)).mark_line()
        return chart.encode(
            x=alt.X("frame:Q", title="frame"),
            y=alt.Y("value:Q", title=names[0] if len(names) == 1 else "", scale=alt.Scale(zero=False)),
            color=alt.Color("column:N", title="", sort=list(names), legend=legend),
        )

    def _repr_html_(self) -> str:
        """Return the pooled figures as a table, which notebooks show."""
        from html import escape

        pooled = self.pooled()
        heads = "".join(f"<th>{escape(name)}</th>" for name in ("", *self.pools))
        lines = [
            f"<tr><th>{escape(column)}</th>" + "".join(f"<td>{figures[name]:.4f}</td>" for name in self.pools) + "</tr>"
            for column, figures in pooled.items()
        ]
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return f"<table><caption>{len(self)} frames</caption><tr>{heads}</tr>{''.join(lines)}</table>{notes}"

    def write(self, path: str | os.PathLike[str], form: str | None = None) -> None:
        """Write one row per frame as .json (with the pooled figures), .ndjson, .csv, .parquet, or as the .xml log of libvmaf.

        All digits are kept, but in the log, which has six: values that are read back equal those that were computed. NaN is null
        in JSON and empty in CSV.

        Args:
            path: the file; ``-`` for standard output, or a pipe.
            form: json, ndjson, csv, parquet or xml; by default that of the file's suffix, and json without a suffix.

        Raises:
            InputError: see `output_format`.
        """
        write_rows(self, path, form)

    def text(self, form: str) -> str:
        """Return one row per frame as text: "csv", "json", "ndjson", a line of JSON per row with a last one as `rest`, or "xml", the
        log of libvmaf.
        """
        if form == "xml":
            from pyvmaf.scoring.xml_log import xml_log

            measured = {name: values for name, values in self.columns.items() if name not in self.unavailable}
            return xml_log(self.frame_index, measured, self.size)
        if form == "json":
            return dumps(self.as_json())
        if form == "ndjson":
            return "".join([*map(row_line, self.rows()), self.last_line()])
        lines = [["frame_index", *self.columns], *(csv_cells(row.values()) for row in self.rows())]
        return "".join(",".join(cells) + "\n" for cells in lines)

    def as_json(self) -> dict[str, object]:
        """Return the content of a .json file: frames, pooled figures and what they leave out, models, unavailable features,
        notes.
        """
        return {**self.rest(), "frames": [_row(row) for row in self.rows()]}

    def rest(self) -> dict[str, object]:
        """Return what a .json file holds beside the frames."""
        return {
            "schema": SCHEMA,
            "model": self.model,
            "libvmaf_models": self.libvmaf_models,
            **({"models": self.summaries} if self.summaries else {}),
            "reading": self.reading,
            **({"alignment": self.alignment} if self.alignment else {}),
            **({} if self.cuts is None else {"cuts": self.cuts}),
            **({"size": self.size} if self.size else {}),
            "unavailable": self.unavailable,
            "notes": self.notes,
            "pooled": {c: {p: _json(v) for p, v in pools.items()} for c, pools in self.pooled().items()},
            "left_out": self.left_out(),
        }

    def last_line(self) -> str:
        """Return the last line of NDJSON, after the rows: `rest`."""
        return json.dumps(self.rest(), ensure_ascii=False, allow_nan=False) + "\n"


@contextmanager
def open_stream(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """Open standard output or a pipe (`pyvmaf.base.outputs.is_stream`) for text; what is written is sent at the end."""
    if os.fspath(path) in ("-", "/dev/stdout"):
        yield sys.stdout
        sys.stdout.flush()
    else:
        with open(path, "w", encoding="utf-8") as stream:
            yield stream


def row_line(row: Mapping[str, Any]) -> str:
    """Return a row as a line of NDJSON."""
    return json.dumps(_row(row), allow_nan=False) + "\n"


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _json(value) for name, value in row.items()}


class RowsOfScores(Protocol):
    """What is written to a file: a row per frame, as text or as a table."""

    def text(self, form: str) -> str:
        """Return it as "json", "ndjson", "csv" or "xml".

        Raises:
            InputError: it has no such form.
        """

    def to_arrow(self) -> pa.Table:
        """Return it as an arrow table."""


def write_rows(scores: RowsOfScores, path: str | os.PathLike[str], form: str | None = None) -> None:
    """Write scores as `Scores.write` does; raises what it raises."""
    form = output_format(path, form)
    target = Path(path)
    if form == "parquet":
        import pyarrow.parquet as pq

        with atomic_path(target) as temporary:
            pq.write_table(scores.to_arrow(), temporary, compression="zstd")
    elif is_stream(target):
        with open_stream(target) as stream:
            stream.write(scores.text(form))
    else:
        write_text(target, scores.text(form))


def csv_cells(values: Iterable[Any]) -> list[str]:
    """Return values as cells of CSV with all digits; NaN is empty."""
    return ["" if value != value else repr(value) if isinstance(value, float) else str(value) for value in values]


def output_format(path: str | os.PathLike[str], form: str | None = None) -> str:
    """Return the format in which scores are written to a path: json, ndjson, csv, parquet or xml.

    Args:
        path: the file; ``-`` for standard output, or a pipe.
        form: the format that was asked for.

    Raises:
        InputError: the suffix and the format do not name one, parquet would go to a pipe, or the file exists and holds
            something else than scores.
    """
    target = Path(path)
    suffix = target.suffix.lower()
    names = [name.removeprefix(".") for name in FORMATS]
    if form is not None and form not in names:
        raise unknown_name("format", form, names)
    if is_stream(target):
        form = form or (suffix.removeprefix(".") if suffix in FORMATS else "json")
        if form == "parquet":
            raise InputError(f"cannot write parquet to {target}, which is not a file: use --format csv, json or ndjson")
        return form
    if form is None:
        if suffix not in FORMATS:
            raise InputError(
                f"cannot write {target}: the suffix {suffix!r} is none of {', '.join(FORMATS)}; name a format with --format"
            )
        form = suffix.removeprefix(".")
    if form == "parquet":
        require("to write parquet", "pyarrow", extra="report")
    if target.is_file() and target.stat().st_size and not _holds_scores(target, form):
        raise InputError(f"{target} exists already, and is not {form} of scores: remove it, or name another output")
    return form


_STARTS = {
    "ndjson": (b'{"frame_index"', b'{"reference"'),
    "csv": (b"frame_index", b"reference,distorted,frame_index"),
    "xml": (b"<VMAF",),
}


def _holds_scores(path: Path, form: str) -> bool:
    try:
        if form == "parquet":
            with ParquetTable(path) as table:
                return table.names[:1] == ["frame_index"] or table.names[:3] == [
                    "reference",
                    "distorted",
                    "frame_index",
                ]
        if form == "json":
            body = read_json(path)
            return isinstance(body, dict) and ({"pooled", "frames"} <= body.keys() or {"comparisons"} <= body.keys())
        with open(path, "rb") as stream:
            return stream.read(40).startswith(_STARTS[form])
    except PyvmafError:
        return False


def _json(value: float | str) -> float | str | None:
    """Spell a value for JSON, which has no infinity: PSNR-HVS of identical frames is written as text, NaN as null."""
    if isinstance(value, int | str) or np.isfinite(value):
        return value
    return None if np.isnan(value) else ("inf" if value > 0 else "-inf")
