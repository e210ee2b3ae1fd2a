"""``vmaf-train eval``: how well a model file agrees with the target on rows of a table."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pyvmaf.base.document import (
    Call,
    Correlation,
    Count,
    Document,
    Name,
    Part,
    Positive,
    RunProvenance,
    Sha256,
    Share,
    Size,
    publish,
)
from pyvmaf.base.families import uses
from pyvmaf.base.files import sha256_file
from pyvmaf.base.outputs import publishes
from pyvmaf.checks.subject import trained_on
from pyvmaf.errors import InputError, unknown_name
from pyvmaf.metrics import agreement, finite
from pyvmaf.runtime.ensemble import Ensemble
from pyvmaf.runtime.intervals import METHODS
from pyvmaf.runtime.predictor import Prediction
from pyvmaf.scoring.find import locate
from pyvmaf.splits import hash_split
from pyvmaf.tables.columns import ENCODE_COLUMNS, codec_block, floats, read_columns, strings

SPLITS = ("all", "train", "val", "test")


class OutsideRange(Part):
    """Rows outside the range of the training rows."""

    share: Share | None = Field(description="null: the model's sidecar does not state the range")
    by_feature: dict[str, Share]


class Held(Part):
    """Coverage of some intervals."""

    empirical_coverage: Share | None = Field(description="Share of rows inside")
    mean_width: Size | None


class HeldByMethod(Part):
    """Coverage of the intervals of each method."""

    gaussian: Held
    conformal: Held
    normalised: Held


class Intervals(Part):
    """Coverage of an ensemble's intervals on these rows."""

    interval: Literal["gaussian", "conformal", "normalised"] = Field(description="The method of predictions")
    nominal_coverage: float = Field(ge=0.5, le=0.999)
    mean_sigma: Size
    coverage: HeldByMethod
    by_group: dict[str, Held] = Field(description="Coverage of the intervals of predictions, per value of the key")


class Evaluation(Document):
    """How well a model or an ensemble agrees with the target on rows of a table."""

    title: ClassVar[str] = "Report of eval: how well a model agrees with the target on rows of a table"

    schema_version: Literal[1] = 1
    model: Name
    model_sha256: Sha256 = Field(description="Of the file that was named; of an ensemble its manifest")
    table_sha256: Sha256
    split: Name
    key: Name
    groups: list[str] = Field(description="Values of the key among the rows")
    target: Name
    n: Positive
    rows_left_out: Count = Field(description="Rows of the split that lack a value")
    plcc: Correlation | None
    srocc: Correlation | None
    krocc: Correlation | None
    rmse: Size
    outside_training_range: OutsideRange
    outside_output_range: Share
    trained_on_this_table: bool | None = Field(description="null: the sidecar does not name the table of its training")
    intervals: Intervals | None = Field(description="null for a single model")
    run_provenance: RunProvenance


@publishes("eval")
def evaluate(
    model: str | Path,
    table: Path,
    *,
    split: str = "test",
    key: str = "source",
    only: Sequence[str] = (),
    target: str | None = None,
    sidecar: Path | None = None,
    sha256: str | None = None,
    registry: Path | None = None,
    output: Path | None = None,
) -> dict[str, Any]:
    """Compare predictions with the target, and write the report if `output` is given.

    Args:
        model: an ONNX file, an int8 variant, the manifest of an ensemble (``ensemble.json``), or the id of a registered
            model.
        table: parquet table with the model's features.
        split: "train", "val" or "test" of the key-hash split (10 % each for val and test), or "all".
        key: column whose values the split keeps together.
        only: values of `key` to look at; the split is not applied then.
        target: column to compare with; by default the one that the model was trained on.
        sidecar, sha256, registry: as in `pyvmaf.load_model`.
        output: JSON file for the report.

    Raises:
        InputError: a column or value is not in the table, or no rows are left.
    """
    started = time.perf_counter()
    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    located = locate(model, registry=registry, sidecar=sidecar, sha256=sha256)
    loaded = located.load()
    column = target or str(loaded.sidecar.get("target", "vmaf"))
    args = {"split": split, "key": key, "only": list(only), "target": column}
    used = uses("eval", loaded.sidecar["kind"])
    call = Call("eval", args=args, inputs={"model": located.path, "features": table}, uses=used, started=started)
    block = loaded.sidecar.get("codec")
    names = [*loaded.features, column, key, *(ENCODE_COLUMNS if block else ())]
    data = read_columns(table, list(dict.fromkeys(names)))
    keys = strings(data, key)
    chosen, label = _chosen(keys, split, key, only, table)
    X = np.column_stack([floats(data, n) for n in loaded.features])
    y = floats(data, column)
    rows = np.flatnonzero(chosen & np.isfinite(X).all(axis=1) & np.isfinite(y))
    if rows.size == 0:
        raise InputError(_no_rows(table, label, key, keys, np.isfinite(X).all(axis=1) & np.isfinite(y)))
    codec = None
    if block:
        encoder, preset = strings(data, "encoder")[rows], strings(data, "preset")[rows]
        codec = codec_block(block["vocabulary"], encoder, preset, floats(data, "crf")[rows])
    predicted = loaded.predict(X[rows], codec)
    measured = agreement(predicted.scores, y[rows])
    table_sha256 = sha256_file(table)
    report = Evaluation(
        model=loaded.name,
        model_sha256=sha256_file(located.path),
        table_sha256=table_sha256,
        split=label,
        key=key,
        groups=sorted(set(keys[rows].tolist())),
        target=column,
        n=measured["n"],
        rows_left_out=int(np.count_nonzero(chosen)) - int(rows.size),
        plcc=finite(measured["plcc"]),
        srocc=finite(measured["srocc"]),
        krocc=finite(measured["krocc"]),
        rmse=measured["rmse"],
        outside_training_range=OutsideRange(share=predicted.outside_share, by_feature=predicted.outside),
        outside_output_range=predicted.unexpected_share,
        trained_on_this_table=trained_on(loaded, table_sha256),
        intervals=_intervals(loaded, predicted, y[rows], keys[rows]) if isinstance(loaded, Ensemble) else None,
        run_provenance=call.provenance(),
    )
    return publish(report, output, call).as_json()


def _no_rows(table: Path, label: str, key: str, keys: NDArray[np.str_], usable: NDArray[np.bool_]) -> str:
    """Say why there are no rows to compare, and which splits of the table have some."""
    if not usable.any():
        return f"none of the {keys.size} rows of {table} has a value in every column that is needed"
    sides = np.asarray(hash_split(keys))[usable]
    counts = {side: int(np.count_nonzero(sides == side)) for side in SPLITS[1:]}
    having = ", ".join(f"--split {side} ({n} rows)" for side, n in counts.items() if n)
    values = np.unique(keys)
    return (
        f"{table} has no usable rows in split {label!r}: the hash of {key} puts its {values.size} values "
        f"({', '.join(values[:12].tolist())}) elsewhere. Take {having}, --split all ({usable.sum()} rows), or --only with "
        "one of these values. Predictions of rows that a model did not train on are in predictions.parquet beside its "
        "weights, and their figures in loso.json"
    )


def _chosen(
    keys: NDArray[np.str_], split: str, key: str, only: Sequence[str], table: Path
) -> tuple[NDArray[np.bool_], str]:
    """Choose the rows to look at, and their name in the report."""
    if only:
        absent = sorted(set(only) - set(keys.tolist()))
        if absent:
            raise unknown_name(f"{key} of {table}", absent[0], sorted(set(keys.tolist())))
        return np.isin(keys, list(only)), f"{key} in {', '.join(only)}"
    if split == "all":
        return np.ones(keys.size, dtype=np.bool_), "all"
    return np.asarray(hash_split(keys) == split, dtype=np.bool_), split


def _intervals(
    ensemble: Ensemble, predicted: Prediction, y: NDArray[np.float64], groups: NDArray[np.str_]
) -> Intervals:
    """How many rows the intervals of each method hold, and how wide they are."""
    assert predicted.sigma is not None
    by_method: dict[str, Held] = {}
    by_group: dict[str, Held] = {}
    for method in METHODS:
        try:
            low, high = ensemble.interval(predicted.scores, predicted.sigma, method)
        except InputError:
            # Calibrated on too few rows for this method; the ensemble's own always has enough.
            by_method[method] = Held(empirical_coverage=None, mean_width=None)
            continue
        inside, width = (low <= y) & (y <= high), high - low
        by_method[method] = _held(inside, width)
        if method == ensemble.method:
            by_group = {
                name: _held(inside[groups == name], width[groups == name]) for name in np.unique(groups).tolist()
            }
    return Intervals.model_validate(
        {
            "interval": ensemble.method,
            "nominal_coverage": ensemble.nominal,
            "mean_sigma": float(predicted.sigma.mean()),
            "coverage": by_method,
            "by_group": by_group,
        }
    )


def _held(inside: NDArray[np.bool_], width: NDArray[np.float64]) -> Held:
    return Held(empirical_coverage=float(inside.mean()), mean_width=float(width.mean()))
