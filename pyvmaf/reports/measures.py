"""Values that pages show and no document holds: curves, ranges, points of charts. All are computed from files of the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.files import content_hash
from pyvmaf.codecs.encoders import ENCODERS
from pyvmaf.errors import IntegrityError
from pyvmaf.metrics import FIGURES, agreement, finite
from pyvmaf.models.verdicts import FoldFigures
from pyvmaf.reports.read import Run, Seed, read_predictions, read_records, read_shards

if TYPE_CHECKING:
    import pandas as pd

# Figures of a report and those computed here, from the same float64 columns, differ by rounding only.
_TOLERANCE = 1e-9

# Most points of a model, so that a page has a few megabytes for any number of folds.
_MOST_POINTS = 6000


def as_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Convert a table to one mapping per row."""
    rows: Any = frame.to_dict("records")
    return list(rows)


def evenly(n: int, most: int) -> NDArray[np.int64]:
    """Choose at most `most` of `n` row indices, evenly spaced, with the first and the last."""
    if n <= most:
        return np.arange(n, dtype=np.int64)
    return np.linspace(0, n - 1, most).round().astype(np.int64)


def features_of(run: Run) -> tuple[str, ...]:
    """List the features that models of the run take, in the order of first use."""
    names: dict[str, None] = {}
    for model in run.models.values():
        for seed in model.seeds.values():
            names.update(dict.fromkeys(seed.features))
    return tuple(names)


def all_rows(run: Run) -> pd.DataFrame | None:
    """Read the rows of all shards with the features that models take; None without shards."""
    return read_shards(sorted(run.shards), features_of(run)) if run.shards else None


def codec_order(run: Run, rows: pd.DataFrame | None) -> list[str]:
    """List the codecs of the run in the order of the table of encoders, so that each keeps its colour."""
    names: set[str] = set()
    if rows is not None:
        names.update(rows["codec"].unique())
    for model in run.models.values():
        if model.shown.predictions is not None:
            predictions = read_predictions(model.shown.predictions)
            names.update(str(name) for name in _text(predictions, "codec").unique())
    order = list(ENCODERS)
    return sorted(names, key=lambda name: (order.index(name) if name in order else len(order), name))


def _text(frame: pd.DataFrame, name: str) -> pd.Series[str]:
    """A text column; "not stated" in each row if the table, made elsewhere, does not have it."""
    import pandas as pd

    return frame[name].astype(str) if name in frame.columns else pd.Series("not stated", index=frame.index)


def held_out(seed: Seed, most: int, panels: int) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Choose the points to draw for a seed, and compute its figures per fold from the predictions.

    Args:
        seed: with predictions and cross-validation report.
        most: points per fold; fewer if there are many folds.
        panels: most folds to draw: those with the lowest PLCC.

    Returns:
        Table with columns panel, codec, clip, rung, frame, target and prediction, and one mapping per fold with keys
        held_out, n_val, plcc, srocc, krocc and rmse (None if a figure is not defined).

    Raises:
        IntegrityError: a figure of the report differs from that of the predictions.
    """
    import pandas as pd

    if seed.predictions is None or seed.loso is None:
        raise IntegrityError(f"seed {seed.number} has no predictions or no cross-validation report")
    frame = read_predictions(seed.predictions)
    by_fold = {str(name): part for name, part in frame.groupby("fold", observed=True, sort=False)}
    folds = [_checked(fold, by_fold[fold.held_out], seed.predictions) for fold in seed.loso.folds]
    drawn = folds
    if len(folds) > panels:
        worst = sorted(folds, key=lambda fold: (fold["plcc"] is not None, fold["plcc"] or 0.0))[:panels]
        drawn = [fold for fold in folds if fold in worst]
    points = min(most, max(20, _MOST_POINTS // len(drawn)))
    parts = [_points(fold, by_fold[fold["held_out"]], points) for fold in drawn]
    return pd.concat(parts, ignore_index=True), folds


def _checked(fold: FoldFigures, rows: pd.DataFrame, path: Path) -> dict[str, Any]:
    """Compute the figures of a fold, and compare them with those of the report."""
    computed: Mapping[str, Any] = agreement(rows["prediction"].to_numpy(), rows["target"].to_numpy())
    figures: dict[str, Any] = {"held_out": fold.held_out, "n_val": len(rows)}
    for name in FIGURES:
        value, reported = finite(computed[name]), getattr(fold, name)
        if (value is None) != (reported is None) or (value is not None and abs(value - reported) > _TOLERANCE):
            raise IntegrityError(
                f"{path}: {name.upper()} of fold {fold.held_out} is {value}, but the cross-validation report has "
                f"{reported}: they are not of the same fit; fit the model again"
            )
        figures[name] = value
    return figures


def _points(fold: Mapping[str, Any], rows: pd.DataFrame, most: int) -> pd.DataFrame:
    import pandas as pd

    sample = rows.iloc[evenly(len(rows), most)]
    plcc = "not defined" if fold["plcc"] is None else f"{fold['plcc']:.4f}"
    return pd.DataFrame(
        {
            "panel": f"{fold['held_out']} \N{MIDDLE DOT} PLCC {plcc}",
            **{name: _text(sample, name) for name in ("codec", "clip", "rung")},
            # A row of a whole clip has no frame.
            "frame": sample["frame_index"].astype(int) if "frame_index" in sample.columns else 0,
            "target": sample["target"].round(3),
            "prediction": sample["prediction"].round(3),
        }
    )


def loso_frame(run: Run) -> pd.DataFrame:
    """List the folds of all seeds and models: columns panel, fold, seed, the four figures, gap (1 - PLCC) and allowed."""
    import pandas as pd

    rows = []
    for model in run.models.values():
        limit = None if model.verdict is None else getattr(model.verdict.gate, "mean_plcc_threshold", None)
        for seed in model.seeds.values():
            rows += [
                {
                    "panel": model.name,
                    "fold": fold.held_out,
                    "seed": str(seed.number),
                    **{name: getattr(fold, name) for name in FIGURES},
                    "gap": None if fold.plcc is None else round(1 - fold.plcc, 9),
                    "allowed": None if limit is None else 1 - limit,
                }
                for fold in (seed.loso.folds if seed.loso else ())
            ]
    return pd.DataFrame(rows)


def rate_quality(records: Sequence[Path], rows: pd.DataFrame | None) -> pd.DataFrame:
    """List bitrate and mean VMAF of all encodes: columns panel (clip), codec, rung, kbps, vmaf and low (5th percentile).

    Its attribute ``without_rate`` is the number of encodes that it lacks, because their rate is unknown.
    """
    import pandas as pd

    encodes = read_records(records)
    low: dict[Any, float] = {}
    if rows is not None:
        low = rows.groupby(["corpus", "clip", "codec", "rung"], sort=False)["vmaf"].quantile(0.05).to_dict()
    several = len({encode["corpus"] for encode in encodes}) > 1
    out: list[dict[str, Any]] = []
    for encode in encodes:
        if encode["bitrate_kbps"] is None:
            continue  # a raw file, of which nobody knows the rate of its encode
        fifth = low.get((encode["corpus"], encode["clip"], encode["codec"], encode["rung"]))
        out.append(
            {
                "panel": f"{encode['corpus']}/{encode['clip']}" if several else encode["clip"],
                "codec": encode["codec"],
                "rung": encode["rung"],
                "kbps": round(float(encode["bitrate_kbps"]), 3),
                "vmaf": None if encode["vmaf_score"] is None else round(float(encode["vmaf_score"]), 4),
                "low": None if fifth is None else round(fifth, 4),
            }
        )
    out.sort(key=lambda row: (row["panel"], row["codec"], row["kbps"]))
    frame = pd.DataFrame(out, columns=["panel", "codec", "rung", "kbps", "vmaf", "low"])
    frame.attrs["without_rate"] = len(encodes) - len(out)
    return frame


def records_digest(records: Sequence[Path]) -> str | None:
    """Hash the encode records without their clock readings; None without records."""
    return content_hash(read_records(records)) if records else None


def int8_frame(run: Run) -> pd.DataFrame:
    """List the folds of all int8 variants: columns panel, fold, seed, drop, plcc_fp32, plcc_int8, rmse and budget."""
    import pandas as pd

    rows = []
    for model in run.models.values():
        for seed in model.seeds.values():
            for variant in seed.variants:
                rows += [
                    {
                        "panel": f"{model.name} \N{MIDDLE DOT} {variant.mode}",
                        "fold": fold.held_out,
                        "seed": str(seed.number),
                        "drop": fold.plcc_drop,
                        "plcc_fp32": fold.plcc_fp32,
                        "plcc_int8": fold.plcc_int8,
                        "rmse": fold.rmse_int8_fp32,
                        "budget": float(variant.data.budget),
                    }
                    for fold in variant.data.folds
                ]
    return pd.DataFrame(rows)


def corpora_frame(rows: pd.DataFrame, records: Sequence[Path]) -> pd.DataFrame:
    """List the clips.

    Returns:
        Table with columns corpus, clip, source, group, size, rate, frames, rungs, rows, and low, median, high: the 1st,
        50th and 99th percentile of VMAF.
    """
    import pandas as pd

    shapes = {
        (r["corpus"], r["clip"]): (f"{r['width']}x{r['height']}", f"{r['framerate']:g}") for r in read_records(records)
    }
    out = []
    clips: Any = rows.groupby(["corpus", "clip"], sort=True)
    for (corpus, clip), part in clips:
        low, median, high = np.nanpercentile(part["vmaf"], [1, 50, 99])
        size, rate = shapes.get((corpus, clip), ("unknown", "unknown"))
        out.append(
            {
                "corpus": corpus,
                "clip": clip,
                "source": part["source"].iloc[0],
                "group": part["group"].iloc[0],
                "size": size,
                "rate": rate,
                "frames": part["frame_index"].nunique(),
                "rungs": part.groupby(["codec", "rung"]).ngroups,
                "rows": len(part),
                "low": low,
                "median": median,
                "high": high,
            }
        )
    return pd.DataFrame(out)


def out_of_range(run: Run, rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Compute the share of held-out rows outside of the training range, per fold and set of features.

    Returns:
        Mappings with keys fold, models (names, joined), rows, share (any feature outside), feature and feature_share (of
        the feature that is outside most often), and seen (the ranges of that feature, as text).
    """
    by_set: dict[tuple[tuple[str, ...], str], list[str]] = {}
    for model in run.models.values():
        seed = model.shown
        if seed.features and seed.loso is not None:
            by_set.setdefault((seed.features, seed.loso.split.by), []).append(model.name)
    out = []
    for (features, by), names in sorted(by_set.items()):
        values = rows[list(features)].to_numpy()
        groups = rows[by].to_numpy()
        usable = np.isfinite(values).all(axis=1)
        for fold in sorted(set(groups.tolist())):
            test, train = values[usable & (groups == fold)], values[usable & (groups != fold)]
            if len(test) and len(train):
                out.append({"fold": fold, "models": ", ".join(names), **_outside(test, train, features)})
    return out


def _outside(test: NDArray[np.float64], train: NDArray[np.float64], features: Sequence[str]) -> dict[str, Any]:
    low, high = train.min(axis=0), train.max(axis=0)
    outside = (test < low) | (test > high)
    per_feature = outside.mean(axis=0)
    worst = int(per_feature.argmax())
    seen, feature = "inside in all features", None
    if per_feature[worst] > 0:
        feature = features[worst]
        seen = f"{test[:, worst].min():.3g} to {test[:, worst].max():.3g}, trained on {low[worst]:.3g} to {high[worst]:.3g}"
    return {
        "rows": len(test),
        "share": float(outside.any(axis=1).mean()),
        "feature": feature,
        "feature_share": float(per_feature[worst]),
        "seen": seen,
    }
