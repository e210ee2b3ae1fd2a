"""What the page shows beyond the figures that the stages wrote: curves, ranges, differences, all from their files."""

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
from pyvmaf.reports.read import Run, Seed, read_predictions, read_records, read_shards

if TYPE_CHECKING:
    import pandas as pd

# Figures in a LOSO report and those computed here from the same float64 columns differ by rounding only.
_TOLERANCE = 1e-9

# Points of one model, so that a page stays a few megabytes however many folds there are.
_MOST_POINTS = 6000


def as_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """A table as one mapping per row."""
    rows: Any = frame.to_dict("records")
    return list(rows)


def evenly(n: int, most: int) -> NDArray[np.int64]:
    """Indices of at most `most` of `n` rows, evenly spaced, first and last included."""
    if n <= most:
        return np.arange(n, dtype=np.int64)
    return np.linspace(0, n - 1, most).round().astype(np.int64)


def features_of(run: Run) -> tuple[str, ...]:
    """Every feature that a model of the run takes, in the order of first use."""
    names: dict[str, None] = {}
    for model in run.models.values():
        for seed in model.seeds.values():
            if seed.sidecar is not None:
                names.update(dict.fromkeys(seed.sidecar["features"]))
    return tuple(names)


def all_rows(run: Run) -> pd.DataFrame | None:
    """Rows of all shards with the features that models take, None where no shard was given."""
    return read_shards(sorted(run.shards), features_of(run)) if run.shards else None


def codec_order(run: Run, rows: pd.DataFrame | None) -> list[str]:
    """Every codec of the run, in the order of the table of codecs, so that each keeps its colour."""
    found: set[str] = set()
    if rows is not None:
        found.update(rows["codec"].unique())
    for model in run.models.values():
        if model.shown.predictions is not None:
            predictions = read_predictions(model.shown.predictions)
            found.update(str(name) for name in _told(predictions, "codec").unique())
    known = list(ENCODERS)
    return sorted(found, key=lambda name: (known.index(name) if name in known else len(known), name))


def _told(frame: pd.DataFrame, name: str) -> pd.Series[str]:
    """A text column, or what says that a table of clips made elsewhere has no such column."""
    import pandas as pd

    return frame[name].astype(str) if name in frame.columns else pd.Series("not stated", index=frame.index)


def held_out(seed: Seed, most: int, panels: int) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Points to draw for one seed, and its figures per fold, computed anew from the predictions.

    Args:
        seed: with predictions and LOSO report.
        most: points per fold; fewer where there are many folds.
        panels: folds to draw, those with the lowest PLCC where there are more.

    Returns:
        A table with the columns panel, codec, clip, rung, frame, target, prediction, and one mapping per fold with
        held_out, n_val, plcc, srocc, krocc, rmse (None where a figure is not defined).

    Raises:
        IntegrityError: a figure of the LOSO report is not that of the predictions.
    """
    import pandas as pd

    if seed.predictions is None or seed.loso is None:
        raise IntegrityError(f"seed {seed.number} has no predictions or no LOSO report")
    frame = read_predictions(seed.predictions)
    found = {str(name): part for name, part in frame.groupby("fold", observed=True, sort=False)}
    folds = []
    for stated in seed.loso["folds"]:
        part = found[stated["held_out"]]
        figures: Mapping[str, Any] = agreement(part["prediction"].to_numpy(), part["target"].to_numpy())
        fold: dict[str, Any] = {"held_out": stated["held_out"], "n_val": len(part)}
        for name in FIGURES:
            value, said = finite(figures[name]), stated[name]
            if (value is None) != (said is None) or (value is not None and abs(value - said) > _TOLERANCE):
                raise IntegrityError(
                    f"{seed.predictions}: {name.upper()} of fold {fold['held_out']} is {value}, but the LOSO report says "
                    f"{said}: they are not of the same fit"
                )
            fold[name] = value
        folds.append(fold)
    drawn = folds
    if len(folds) > panels:
        worst = sorted(folds, key=lambda f: (f["plcc"] is not None, f["plcc"] or 0.0))[:panels]
        drawn = [fold for fold in folds if fold in worst]
    points = min(most, max(20, _MOST_POINTS // len(drawn)))
    parts = []
    for fold in drawn:
        part = found[fold["held_out"]]
        taken = part.iloc[evenly(len(part), points)]
        plcc = "not defined" if fold["plcc"] is None else f"{fold['plcc']:.4f}"
        parts.append(
            pd.DataFrame(
                {
                    "panel": f"{fold['held_out']} \N{MIDDLE DOT} PLCC {plcc}",
                    **{name: _told(taken, name) for name in ("codec", "clip", "rung")},
                    # A row of a whole clip has no frame.
                    "frame": taken["frame_index"].astype(int) if "frame_index" in taken.columns else 0,
                    "target": taken["target"].round(3),
                    "prediction": taken["prediction"].round(3),
                }
            )
        )
    return pd.concat(parts, ignore_index=True), folds


def loso_frame(run: Run) -> pd.DataFrame:
    """Every fold of every seed of every model: panel, fold, seed, the four figures, gap = 1 - PLCC, allowed."""
    import pandas as pd

    rows = []
    for model in run.models.values():
        allowed = None if model.verdict is None else 1 - float(model.verdict["gate"]["mean_plcc_threshold"])
        for seed in model.seeds.values():
            for fold in seed.loso["folds"] if seed.loso else ():
                plcc = fold["plcc"]
                rows.append(
                    {
                        "panel": model.name,
                        "fold": fold["held_out"],
                        "seed": str(seed.number),
                        **{name: fold[name] for name in FIGURES},
                        "gap": None if plcc is None else round(1 - plcc, 9),
                        "allowed": allowed,
                    }
                )
    return pd.DataFrame(rows)


def rate_quality(records: Sequence[Path], rows: pd.DataFrame | None) -> pd.DataFrame:
    """Bitrate and mean VMAF of every encode: panel (clip), codec, rung, kbps, vmaf, low (5th percentile)."""
    import pandas as pd

    found = read_records(records)
    low: dict[Any, float] = {}
    if rows is not None:
        low = rows.groupby(["corpus", "clip", "codec", "rung"], sort=False)["vmaf"].quantile(0.05).to_dict()
    several = len({r["corpus"] for r in found}) > 1
    out: list[dict[str, Any]] = []
    for r in found:
        fifth = low.get((r["corpus"], r["clip"], r["codec"], r["rung"]))
        out.append(
            {
                "panel": f"{r['corpus']}/{r['clip']}" if several else r["clip"],
                "codec": r["codec"],
                "rung": r["rung"],
                "kbps": round(float(r["bitrate_kbps"]), 3),
                "vmaf": None if r["vmaf_score"] is None else round(float(r["vmaf_score"]), 4),
                "low": None if fifth is None else round(fifth, 4),
            }
        )
    out.sort(key=lambda r: (r["panel"], r["codec"], r["kbps"]))
    return pd.DataFrame(out)


def records_digest(records: Sequence[Path]) -> str | None:
    """Hash over the corpus rows less their clock readings, None where there are none."""
    if not records:
        return None
    return content_hash(read_records(records))


def int8_frame(run: Run) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Every fold of every int8 variant (panel, fold, seed, drop, plcc_fp32, plcc_int8, rmse, budget), and the reports."""
    import pandas as pd

    rows, reports = [], []
    for model in run.models.values():
        for seed in model.seeds.values():
            for variant in seed.variants:
                reports.append({**variant.data, "model": model.name, "seed": seed.number, "mode": variant.mode})
                rows += [
                    {
                        "panel": f"{model.name} \N{MIDDLE DOT} {variant.mode}",
                        "fold": fold["held_out"],
                        "seed": str(seed.number),
                        "drop": fold["plcc_drop"],
                        "plcc_fp32": fold["plcc_fp32"],
                        "plcc_int8": fold["plcc_int8"],
                        "rmse": fold["rmse_int8_fp32"],
                        "budget": float(variant.data["budget"]),
                    }
                    for fold in variant.data["folds"]
                ]
    return pd.DataFrame(rows), reports


def int8_difference(run: Run, rows: pd.DataFrame, most: int) -> pd.DataFrame | None:
    """Scores of the files that ship on evenly taken rows: panel, codec, clip, rung, frame, fp32, delta = int8 - fp32.

    None where no model file lies beside its sidecar.
    """
    import pandas as pd

    from pyvmaf.codecs.vocabularies import vocabulary
    from pyvmaf.runtime.load import load_model

    parts = []
    for model in run.models.values():
        seed = model.shown
        if seed.onnx is None or not seed.onnx.exists() or seed.sidecar is None:
            continue
        wanted = list(seed.sidecar["features"])
        usable = rows[np.isfinite(rows[wanted].to_numpy()).all(axis=1)]
        taken = usable.iloc[evenly(len(usable), 3 * most)]
        codec = None
        if seed.sidecar["codec"] is not None:
            block = vocabulary(seed.sidecar["codec"]["vocabulary"])
            codec = np.array(
                [
                    block.encode(r.codec, r.preset or None, None if np.isnan(r.crf) else int(r.crf))
                    for r in taken.itertuples()
                ]
            )
        fp32 = load_model(seed.onnx).predict(taken[wanted], codec).scores
        for variant in seed.variants:
            # What the allowlist refuses is measured where it is made, and loaded nowhere else.
            if not variant.onnx.exists() or not variant.data["allowlist"]["passed"]:
                continue
            int8 = load_model(variant.onnx, sidecar=seed.sidecar_path, sha256=variant.data["int8"]["sha256"])
            delta = int8.predict(taken[wanted], codec).scores - fp32
            parts.append(
                pd.DataFrame(
                    {
                        "panel": f"{model.name} · {variant.mode}",
                        "codec": taken["codec"].to_numpy(),
                        "clip": taken["clip"].to_numpy(),
                        "rung": taken["rung"].to_numpy(),
                        "frame": taken["frame_index"].to_numpy(),
                        "fp32": fp32.round(3),
                        "delta": delta.round(4),
                    }
                )
            )
    return pd.concat(parts, ignore_index=True) if parts else None


def corpora_frame(rows: pd.DataFrame, records: Sequence[Path]) -> pd.DataFrame:
    """One row per clip: corpus, clip, source, group, size, rate, frames, rungs, rows, and 1st, 50th, 99th percentile
    of VMAF as low, median, high.
    """
    import pandas as pd

    shapes = {
        (r["corpus"], r["clip"]): (f"{r['width']}x{r['height']}", f"{r['framerate']:g}") for r in read_records(records)
    }
    out = []
    keyed: Any = rows.groupby(["corpus", "clip"], sort=True)
    for (corpus, clip), part in keyed:
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
    """Per fold and set of features: the share of held-out rows outside of the ranges that the fold trained on.

    Returns:
        Mappings fold, models (names, joined), rows, share (any feature outside), feature and feature_share (the one
        outside most often), seen ("2.1…17.3 against 0.4…6.2").
    """
    by_set: dict[tuple[tuple[str, ...], str], list[str]] = {}
    for model in run.models.values():
        seed = model.shown
        if seed.sidecar is not None and seed.loso is not None:
            by_set.setdefault((tuple(seed.sidecar["features"]), seed.loso["split"]["by"]), []).append(model.name)
    out = []
    for (features, by), names in sorted(by_set.items()):
        values = rows[list(features)].to_numpy()
        groups = rows[by].to_numpy()
        finite = np.isfinite(values).all(axis=1)
        for fold in sorted(set(groups.tolist())):
            test, train = values[finite & (groups == fold)], values[finite & (groups != fold)]
            if not len(test) or not len(train):
                continue
            low, high = train.min(axis=0), train.max(axis=0)
            outside = (test < low) | (test > high)
            per_feature = outside.mean(axis=0)
            worst = int(per_feature.argmax())
            any_outside = bool(per_feature[worst] > 0)
            out.append(
                {
                    "fold": fold,
                    "models": ", ".join(names),
                    "rows": len(test),
                    "share": float(outside.any(axis=1).mean()),
                    "feature": features[worst] if any_outside else None,
                    "feature_share": float(per_feature[worst]),
                    "seen": f"{test[:, worst].min():.3g} to {test[:, worst].max():.3g}, trained on "
                    f"{low[worst]:.3g} to {high[worst]:.3g}"
                    if any_outside
                    else "inside in all features",
                }
            )
    return out


def teachers(shards: Sequence[Path]) -> list[tuple[str, str]]:
    """What the shards say about the engine and the teacher that made them: name and value, each once."""
    import pyarrow.parquet as pq

    from pyvmaf.features.table import read_metadata

    facts: dict[tuple[str, str], None] = {}
    for path in sorted(shards):
        block = read_metadata(pq.read_schema(path), path)
        facts["teacher", str(block["model"])] = None
        for key, value in sorted(block["engine"].items()):
            facts[f"features: {key}", str(value)] = None
        for name, reason in sorted(block["unavailable"].items()):
            facts[f"feature {name}", f"unavailable: {reason}"] = None
    return list(facts)
