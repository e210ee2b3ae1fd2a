"""``vmaf-train eval``: how well a model file agrees with the target on rows of a table."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.document import publish_body
from pyvmaf.base.files import sha256_file
from pyvmaf.errors import InputError, unknown_name
from pyvmaf.metrics import agreement
from pyvmaf.models.intervals import METHODS
from pyvmaf.models.regressor.rows import ENCODE_COLUMNS, codec_block, floats, read_columns, strings
from pyvmaf.runtime.load import Ensemble, Model, Prediction, load_ensemble, load_model
from pyvmaf.splits import hash_split

SCHEMA = Path(__file__).with_name("schemas") / "eval.schema.json"
SPLITS = ("all", "train", "val", "test")


def evaluate(
    model: Path,
    table: Path,
    *,
    split: str = "test",
    key: str = "source",
    only: Sequence[str] = (),
    target: str | None = None,
    sidecar: Path | None = None,
    sha256: str | None = None,
    output: Path | None = None,
) -> dict[str, Any]:
    """Compare predictions with the target, and write the report where `output` is given.

    Args:
        model: the ONNX file, or the manifest of an ensemble (``ensemble.json``).
        table: parquet table with the model's features.
        split: "train", "val" or "test" of the key-hash split (10 % each for val and test), or "all".
        key: column whose values the split keeps together.
        only: values of `key` to look at; the split is not applied then.
        target: column to compare with; by default the one that the model was trained on.
        sidecar, sha256: as in `load_model`; an ensemble's manifest names its members' sidecars.
        output: JSON file for the report.

    Raises:
        InputError: a column or value is not in the table, or no rows are left.
    """
    started = time.perf_counter()
    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    loaded: Model
    if model.suffix == ".json":
        if sidecar is not None:
            raise InputError(f"{model} names the sidecars of its members: leave --sidecar out")
        loaded = load_ensemble(model, sha256=sha256)
    else:
        loaded = load_model(model, sidecar=sidecar, sha256=sha256)
    column = target or str(loaded.sidecar.get("target", "vmaf"))
    block = loaded.sidecar["codec"]
    names = [*loaded.features, column, key, *(ENCODE_COLUMNS if block else ())]
    data = read_columns(table, list(dict.fromkeys(names)))
    keys = strings(data, key)
    if only:
        absent = sorted(set(only) - set(keys.tolist()))
        if absent:
            raise unknown_name(f"{key} of {table}", absent[0], sorted(set(keys.tolist())))
        chosen, label = np.isin(keys, list(only)), f"{key} in {', '.join(only)}"
    elif split == "all":
        chosen, label = np.ones(keys.size, dtype=bool), "all"
    else:
        chosen, label = hash_split(keys) == split, split
    X = np.column_stack([floats(data, n) for n in loaded.features])
    y = floats(data, column)
    usable = chosen & np.isfinite(X).all(axis=1) & np.isfinite(y)
    rows = np.flatnonzero(usable)
    if rows.size == 0:
        values = np.unique(keys)
        raise InputError(
            f"{table} has no usable rows in split {label!r}: its {values.size} values of {key} "
            f"({', '.join(values[:12].tolist())}) fall elsewhere. Name some with --only, or take --split all"
        )
    codec = None
    if block:
        encoder, preset = strings(data, "encoder")[rows], strings(data, "preset")[rows]
        codec = codec_block(block["vocabulary"], encoder, preset, floats(data, "crf")[rows])
    predicted = loaded.predict(X[rows], codec)
    figures = agreement(predicted.scores, y[rows])
    inputs = {"model": model, "features": table}
    args = {"split": split, "key": key, "only": list(only), "target": column}
    report: dict[str, Any] = {
        "model": loaded.sidecar["name"],
        "model_sha256": sha256_file(model),
        "table_sha256": sha256_file(table),
        "split": label,
        "key": key,
        "groups": sorted(set(keys[rows].tolist())),
        "target": column,
        "n": figures["n"],
        "rows_left_out": int(np.count_nonzero(chosen)) - int(rows.size),
        "plcc": None if np.isnan(figures["plcc"]) else figures["plcc"],
        "srocc": None if np.isnan(figures["srocc"]) else figures["srocc"],
        "krocc": None if np.isnan(figures["krocc"]) else figures["krocc"],
        "rmse": figures["rmse"],
        "outside_training_range": {"share": predicted.outside_share, "by_feature": predicted.outside},
        "outside_output_range": predicted.unexpected_share,
        "trained_on_this_table": loaded.sidecar["dataset_sha256"] == sha256_file(table),
        "intervals": _intervals(loaded, predicted, y[rows], keys[rows]) if isinstance(loaded, Ensemble) else None,
    }
    return publish_body(report, output, schema=SCHEMA, verb="eval", args=args, inputs=inputs, started=started)


def _intervals(
    ensemble: Ensemble, predicted: Prediction, y: NDArray[np.float64], groups: NDArray[np.str_]
) -> dict[str, Any]:
    """How many rows the intervals of each method hold, and how wide they are."""
    assert predicted.sigma is not None
    residual = np.abs(y - predicted.scores)
    held: dict[str, dict[str, float | None]] = {}
    by_group: dict[str, dict[str, float | None]] = {}
    for method in METHODS:
        try:
            half = ensemble.half_width(predicted.sigma, method)
        except InputError:
            # Calibrated on too few rows for this one; the ensemble's own method always is on enough.
            held[method] = {"empirical_coverage": None, "mean_width": None}
            continue
        inside = residual <= half
        held[method] = {"empirical_coverage": float(inside.mean()), "mean_width": float(2 * half.mean())}
        if method == ensemble.method:
            for name in np.unique(groups).tolist():
                here = groups == name
                by_group[name] = {
                    "empirical_coverage": float(inside[here].mean()),
                    "mean_width": float(2 * half[here].mean()),
                }
    return {
        "interval": ensemble.method,
        "nominal_coverage": ensemble.nominal,
        "mean_sigma": float(predicted.sigma.mean()),
        "coverage": held,
        "by_group": by_group,
    }
