"""Score one video pair: one row per frame, and the figures that people quote of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.files import atomic_path, dumps, write_text
from pyvmaf.errors import InputError, unknown_name
from pyvmaf.features.catalog import DEFAULT_FEATURES, DEFAULT_MODEL
from pyvmaf.features.extract import ALL, Window
from pyvmaf.features.ladder import extract_ladder
from pyvmaf.video.format import Format

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

POOLS: tuple[str, ...] = ("mean", "harmonic_mean", "min", "p1", "p5", "p10", "median")
"""How frame scores are pooled, in the order in which they are shown."""

FORMATS: tuple[str, ...] = (".json", ".csv", ".parquet")


def pooled(values: NDArray[np.float64]) -> dict[str, float]:
    """Every pool of `POOLS` over the finite values; NaN where there are none.

    The harmonic mean is libvmaf's, 1 / mean(1 / (x + 1)) - 1, which holds for values from 0 upwards. Percentiles
    interpolate linearly between the closest ranks.
    """
    finite = values[np.isfinite(values)]
    if not finite.size:
        return dict.fromkeys(POOLS, float("nan"))
    p1, p5, p10, median = np.percentile(finite, [1, 5, 10, 50])
    with np.errstate(divide="ignore"):
        harmonic = 1 / np.mean(1 / (finite + 1)) - 1 if finite.min() > -1 else float("nan")
    return {
        "mean": float(finite.mean()),
        "harmonic_mean": float(harmonic),
        "min": float(finite.min()),
        "p1": float(p1),
        "p5": float(p5),
        "p10": float(p10),
        "median": float(median),
    }


@dataclass(frozen=True)
class Scores:
    """Scores of one pair.

    Attributes:
        frame_index: int64, frame numbers counted from 0.
        columns: float64 per frame: the features by training name in catalog order, ``vmaf`` (the score of the first
            model of libvmaf), further models by their names.
        unavailable: features of a set that cannot be computed on this pair (their columns are NaN), with the reason.
        model: the model behind ``vmaf``, None where there is none.
        judged: what registered models say about the whole clip, by their names, as JSON values.
    """

    frame_index: NDArray[np.int64]
    columns: dict[str, NDArray[np.float64]]
    unavailable: dict[str, str] = field(default_factory=dict)
    model: str | None = None
    judged: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.frame_index.size)

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        if name not in self.columns:
            raise unknown_name("column", name, self.columns)
        return self.columns[name]

    def pooled(self) -> dict[str, dict[str, float]]:
        """Every pool of every column that has values and is measured per frame.

        Spreads and ends of intervals are left out: the mean of the frames' intervals is no interval of the mean, which
        is among what is `judged`.
        """
        bounds = {name for said in self.judged.values() for name in said["bounds"]}
        bounds |= {name for name, said in self.judged.items() if said["of"] == "clip"}
        skipped = bounds | set(self.unavailable)
        return {name: pooled(values) for name, values in self.columns.items() if name not in skipped}

    def to_arrow(self) -> pa.Table:
        """One row per frame: ``frame_index`` and the columns."""
        import pyarrow as pa

        columns = {"frame_index": self.frame_index, **self.columns}
        table = pa.table({name: pa.array(values) for name, values in columns.items()})
        return table.replace_schema_metadata({"pyvmaf": dumps({"models": self.judged})}) if self.judged else table

    def to_pandas(self) -> pd.DataFrame:
        """One row per frame: ``frame_index`` and the columns."""
        import pandas as pd

        return pd.DataFrame({"frame_index": self.frame_index, **self.columns})

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write one row per frame as .json (with the pooled figures), .csv or .parquet, by the file's suffix.

        All digits are kept: what is read back equals what was computed. NaN is null in JSON and empty in CSV.

        Raises:
            InputError: the suffix is none of these.
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
        """What a .json file holds: frames, pooled figures, model, registered models, unavailable features."""
        rows = zip(self.frame_index.tolist(), *(v.tolist() for v in self.columns.values()), strict=True)
        return {
            "model": self.model,
            **({"models": self.judged} if self.judged else {}),
            "unavailable": self.unavailable,
            "pooled": {c: {p: _json(v) for p, v in pools.items()} for c, pools in self.pooled().items()},
            "frames": [
                {"frame_index": i, **{n: _json(v) for n, v in zip(self.columns, values, strict=True)}}
                for i, *values in rows
            ],
        }


def _json(value: float) -> float | str | None:
    """JSON has no infinity: PSNR-HVS and CIEDE2000 of identical frames are written as text, NaN as null."""
    if np.isfinite(value):
        return float(value)
    return None if np.isnan(value) else ("inf" if value > 0 else "-inf")


def score(
    reference: str | os.PathLike[str],
    distorted: str | os.PathLike[str],
    *,
    features: str | Iterable[str] = DEFAULT_FEATURES,
    model: str | Sequence[str] | None = DEFAULT_MODEL,
    threads: int = 1,
    frames: tuple[int, int | None] | None = None,
    subsample: int = 1,
    shortest: bool = False,
    raw: Format | None = None,
    scale: bool | str = False,
    match_depth: bool = False,
    backend: str = "cpu",
    advance: Callable[[int, int], None] | None = None,
) -> Scores:
    """Score a distorted video against its reference, in process and without temporary files.

    Args:
        reference, distorted: video files of equal size, bit depth and frame count.
        features: training names and names of sets ("canonical6", "full"), as a list or with commas.
        model: a built-in model of libvmaf or the path of its JSON, or several; None for features only.
        threads: worker threads; the scores do not depend on it.
        frames: (first, stop) of the frames to score, stop excluded. The rows equal those of the whole clip.
        subsample: score every n-th frame only. The rows equal those of the whole clip.
        shortest: stop at the end of the shorter clip.
        raw: layout of files that end in .yuv, see `pyvmaf.video.format.Format.parse`.
        scale: True scales the distorted clip to the reference's size (bicubic), "WxH" both clips to that size.
        match_depth: widen the clip of fewer bits per sample to the other's depth.
        backend: "cpu", or "cuda" where the build and the machine have it.
        advance: called with (frames done, total or 0).

    Returns:
        One row per scored frame at full double precision.

    Raises:
        InputError: the pair cannot be compared as it is; the message says what differs and what to do.
        UnavailableError: the backend is not in this build.
        NativeError: libvmaf failed.

    Example:
        >>> scores = pyvmaf.score("reference.mkv", "distorted.mkv", threads=2)
        >>> scores["vmaf"].mean(), scores.pooled()["vmaf"]["p5"]
    """
    first, stop = frames or (0, None)
    window = ALL if (first, stop, subsample) == (0, None, 1) else Window(first, stop, subsample)
    ladder = extract_ladder(
        reference,
        {"distorted": distorted},
        features=features,
        model=model,
        threads=threads,
        window=window,
        shortest=shortest,
        raw=raw,
        scale=scale,
        match_depth=match_depth,
        backend=backend,
        advance=advance,
    )
    rung = ladder.rungs["distorted"]
    columns = dict(rung.features)
    for place, (name, values) in enumerate(rung.models.items()):
        columns["vmaf" if place == 0 else Path(name).stem if name.endswith(".json") else name] = values
    return Scores(rung.indices, columns, ladder.unavailable, next(iter(rung.models), None))
