"""Scores of one pair of videos: one row per frame, and figures of the whole."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.files import atomic_path, dumps, write_text
from pyvmaf.errors import InputError, unknown_name
from pyvmaf.features.pool import COUNT, POOLS, pool

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

FORMATS: tuple[str, ...] = (".json", ".csv", ".parquet")
"""Suffixes of files that scores can be written to."""


@dataclass(frozen=True)
class Scores:
    """Scores of one pair.

    Attributes:
        frame_index: int64, frame numbers counted from 0.
        columns: float64 per frame: the features by training name in catalog order, ``vmaf`` (the score of the first
            model of libvmaf), further models by their names.
        unavailable: features of a set that cannot be computed on this pair (their columns are NaN), with the reason.
        model: the model behind ``vmaf``, None if there is none.
        summaries: score of the whole clip by each registered model, and how much to trust it, as JSON values.
        notes: what was done to frames to show them as players do, and doubts about the scores, a line each.
        reading: the options of `pyvmaf.features.options.Reading` that were asked for (scaling, a part of the frames, film
            grain), as JSON values.
    """

    frame_index: NDArray[np.int64]
    columns: dict[str, NDArray[np.float64]]
    unavailable: dict[str, str] = field(default_factory=dict)
    model: str | None = None
    summaries: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    reading: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.frame_index.size)

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        if name not in self.columns:
            raise unknown_name("column", name, self.columns)
        return self.columns[name]

    def pooled(self) -> dict[str, dict[str, float]]:
        """Pool every column that has values and is measured per frame to the figures `POOLS`.

        They are of the frames with a finite value, whose number is the figure "count"; `left_out` describes the others.
        Spreads and ends of intervals are left out: the mean of the frames' intervals is not an interval of the mean,
        which `summaries` hold.
        """
        skipped = {name for summary in self.summaries.values() for name in summary["bounds"]}
        skipped |= {name for name, summary in self.summaries.items() if summary["of"] == "clip"}
        skipped |= set(self.unavailable)
        return {name: pool(values, (*POOLS, COUNT)) for name, values in self.columns.items() if name not in skipped}

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

    def to_arrow(self) -> pa.Table:
        """Return an arrow table with one row per frame: ``frame_index`` and the columns."""
        import pyarrow as pa

        columns = {"frame_index": self.frame_index, **self.columns}
        table = pa.table({name: pa.array(values) for name, values in columns.items()})
        blocks = {"models": self.summaries, "notes": self.notes, "reading": self.reading}
        blocks = {name: block for name, block in blocks.items() if block}
        return table.replace_schema_metadata({"pyvmaf": dumps(blocks)}) if blocks else table

    def to_pandas(self) -> pd.DataFrame:
        """Return a data frame with one row per frame: ``frame_index`` and the columns."""
        import pandas as pd

        return pd.DataFrame({"frame_index": self.frame_index, **self.columns})

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write one row per frame as .json (with the pooled figures), .csv or .parquet, by the file's suffix.

        All digits are kept: values that are read back equal those that were computed. NaN is null in JSON and empty in
        CSV.

        Raises:
            InputError: the file has another suffix.
        """
        target = Path(path)
        suffix = target.suffix.lower()
        if suffix == ".parquet":
            import pyarrow.parquet as pq

            with atomic_path(target) as temporary:
                pq.write_table(self.to_arrow(), temporary, compression="zstd")
        elif suffix == ".csv":
            names = ",".join(["frame_index", *self.columns])
            rows = zip(self.frame_index.tolist(), *(v.tolist() for v in self.columns.values()), strict=True)
            lines = [",".join([str(i), *("" if v != v else repr(v) for v in values)]) for i, *values in rows]
            write_text(target, "\n".join([names, *lines]) + "\n")
        elif suffix == ".json":
            write_text(target, dumps(self.as_json()))
        else:
            raise InputError(f"cannot write {target}: the suffix {suffix!r} is none of {', '.join(FORMATS)}")

    def as_json(self) -> dict[str, object]:
        """Return the content of a .json file: frames, pooled figures and what they leave out, models, unavailable features,
        notes.
        """
        rows = zip(self.frame_index.tolist(), *(v.tolist() for v in self.columns.values()), strict=True)
        return {
            "model": self.model,
            **({"models": self.summaries} if self.summaries else {}),
            "reading": self.reading,
            "unavailable": self.unavailable,
            "notes": self.notes,
            "pooled": {c: {p: _json(v) for p, v in pools.items()} for c, pools in self.pooled().items()},
            "left_out": self.left_out(),
            "frames": [
                {"frame_index": i, **{n: _json(v) for n, v in zip(self.columns, values, strict=True)}}
                for i, *values in rows
            ],
        }


def _json(value: float) -> float | str | None:
    """Spell a value for JSON, which has no infinity: PSNR-HVS of identical frames is written as text, NaN as null."""
    if isinstance(value, int) or np.isfinite(value):
        return value
    return None if np.isnan(value) else ("inf" if value > 0 else "-inf")
