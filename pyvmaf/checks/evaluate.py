"""``vmaf-train eval``: how well a model file agrees with the target on rows of a table."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pyvmaf.base.code import NOTHING
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
from pyvmaf.checks.comparison import SPLITS, Asked, Compared, compare_arrays, compare_table
from pyvmaf.checks.subject import Limit, Subject, drawn_feeds, open_subject, parse_shape, start, time_runs, trained_on
from pyvmaf.errors import InputError, unknown_name
from pyvmaf.features.catalog import CANONICAL6
from pyvmaf.metrics import agreement, finite
from pyvmaf.runtime.ensemble import Ensemble
from pyvmaf.runtime.intervals import METHODS
from pyvmaf.runtime.predictor import Prediction
from pyvmaf.runtime.session import CPU

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

CLIP_FRAMES = 240
"""Rows of the run whose latency is measured: the frames of a clip of ten seconds."""

_WARMUP, _TIMED = 5, 50


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


class Figures(Part):
    """Agreement of one model's scores with the target."""

    plcc: Correlation | None
    srocc: Correlation | None
    krocc: Correlation | None
    rmse: Size


class OtherModel(Figures):
    """A model that was compared on the same rows."""

    model: Name
    model_sha256: Sha256
    feature_dim: Positive


class Evaluation(Document):
    """How well a model or an ensemble agrees with the target on rows of a table."""

    title: ClassVar[str] = "Report of eval: how well a model agrees with the target on rows of a table"

    schema_version: Literal[2] = 2
    model: Name
    model_sha256: Sha256 = Field(description="Of the file that was named; of an ensemble its manifest")
    feature_dim: Positive = Field(description="Number of features that the model reads")
    table_sha256: Sha256 | None = Field(description="null: the rows came from memory")
    split: Name
    split_note: str | None = Field(description="What is unusual about the rows of the split")
    key: Name
    groups: list[str] = Field(description="Values of the key among the rows")
    target: Name
    n_samples: Positive
    rows_left_out: Count = Field(description="Rows of the split that lack a value")
    plcc: Correlation | None
    srocc: Correlation | None
    krocc: Correlation | None
    rmse: Size
    outside_training_range: OutsideRange
    outside_output_range: Share
    trained_on_this_table: bool | None = Field(description="null: the sidecar does not name the table of its training")
    intervals: Intervals | None = Field(description="null for a single model")
    against: list[OtherModel] = Field(description="Other models on the same rows")
    limits: list[Limit]
    missed: list[str] = Field(description="Limits that the model misses, in words")
    passed: bool = Field(description="No limit is missed")
    run_provenance: RunProvenance


@publishes("eval")
def evaluate(
    model: str | Path,
    rows: str | Path | pa.Table | pd.DataFrame | NDArray[Any],
    y: NDArray[Any] | Sequence[float] | None = None,
    *,
    codec: Any = None,
    split: str = "test",
    key: str = "source",
    only: Sequence[str] = (),
    n_rows: int | None = None,
    target: str | None = None,
    columns: Sequence[str] = CANONICAL6,
    input_name: str | None = None,
    min_plcc: float | None = None,
    min_srocc: float | None = None,
    max_rmse: float | None = None,
    against: Sequence[str | Path] = (),
    sidecar: Path | None = None,
    sha256: str | None = None,
    registry: Path | None = None,
    output: Path | None = None,
) -> dict[str, Any]:
    """Compare predictions with the target, measure the latency, and write the report if `output` is given.

    Args:
        model: an ONNX file with or without a sidecar, an int8 variant, the manifest of an ensemble
            (``ensemble.json``), or the id of a registered model.
        rows: a parquet file, an Arrow table or a data frame with the model's features; or, with `y`, raw features
            [n, columns] in the order of the model's.
        y: the target [n] of `rows`.
        codec: for `y` and a model with a codec block, as `Model.predict` takes it; None: not known.
        split: "train", "val" or "test" of the key-hash split (10 % each for val and test), or "all". Of few keys, test
            and val get the ones with the hashes next to theirs, and the report's ``split_note`` says so.
        key: column whose values the split keeps together; a table does not need it for "all".
        only: values of `key` to look at; the split is not applied then.
        n_rows: number of rows at the start of the selection that count; None for all.
        target: column to compare with; by default the one that the model was trained on, and for a model without a
            sidecar the first of mos, dmos, target, score, vmaf.
        columns: features of a model without a sidecar.
        input_name: required input of a model without a sidecar; by default any.
        min_plcc, min_srocc, max_rmse: limits of the report's ``passed``; an undefined figure misses its limit.
        against: other models, compared on the same rows: those that every model can score.
        sidecar, sha256, registry: as in `pyvmaf.load_model`.
        output: JSON file for the report.

    Returns:
        The report, and ``latency_ms_p50_per_clip`` and ``latency_ms_p95_per_clip``: milliseconds of a run over 240 rows
        in a warm session on one thread of the CPU. They differ from run to run, so the file does not hold them, but
        the block ``run`` of its manifest.

    Raises:
        InputError: a column or value is not in the table, shapes do not fit, or no rows are left.
    """
    started = time.perf_counter()
    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    if n_rows is not None and n_rows < 1:
        raise InputError(f"--rows must be 1 or more, not {n_rows}")
    table = Path(rows) if isinstance(rows, str | os.PathLike) else None
    subject = open_subject(model, sidecar=sidecar, sha256=sha256, registry=registry)
    others = [open_subject(other, registry=registry) for other in against]
    asked = [Asked.of(item, columns, input_name) for item in (subject, *others)]
    if y is not None:
        if table is not None or only or target is not None:
            raise InputError("y goes with an array of features; split, only and target with a table")
        compared = compare_arrays(asked, rows, y, codec, n_rows)
    else:
        if codec is not None or (table is None and not hasattr(rows, "columns")):
            raise InputError("an array of features needs y, its target; codec goes with them, a table has its own")
        compared = compare_table(
            asked,
            table if table is not None else rows,  # type: ignore[arg-type]
            target=target,
            split=split,
            key=key,
            only=only,
            n_rows=n_rows,
        )
    limits = _limits(min_plcc, min_srocc, max_rmse)
    call = Call(
        "eval",
        args={
            "split": split,
            "key": key,
            "only": list(only),
            "rows": n_rows,
            "target": compared.target,
            **{f"{limit.kind}_{limit.figure}": limit.value for limit in limits},
        },
        inputs={
            "model": subject.path,
            **({} if table is None else {"features": table}),
            **({"against": [other.path for other in others]} if others else {}),
        },
        uses=NOTHING if subject.model is None else uses("eval", subject.model.sidecar["kind"]),
        started=started,
    )
    predicted = asked[0].predict(*compared.inputs[0])
    figures = _figures(predicted.scores, compared.y)
    missed = _missed(limits, figures)
    table_sha256 = None if table is None else sha256_file(table)
    report = Evaluation(
        model=subject.name,
        model_sha256=subject.sha256,
        feature_dim=len(asked[0].columns),
        table_sha256=table_sha256,
        split=compared.split,
        split_note=compared.note,
        key=key,
        groups=[] if compared.keys is None else sorted(set(compared.keys.tolist())),
        target=compared.target,
        n_samples=int(compared.y.size),
        rows_left_out=compared.left_out,
        outside_training_range=OutsideRange(share=predicted.outside_share, by_feature=predicted.outside),
        outside_output_range=predicted.unexpected_share,
        trained_on_this_table=None
        if subject.model is None or table_sha256 is None
        else trained_on(subject.model, table_sha256),
        intervals=_intervals(subject.model, predicted, compared) if isinstance(subject.model, Ensemble) else None,
        against=[_other(item, inputs, compared.y) for item, inputs in zip(asked[1:], compared.inputs[1:], strict=True)],
        limits=limits,
        missed=missed,
        passed=not missed,
        run_provenance=call.provenance(),
        **figures.model_dump(),
    )
    latencies = [_latency(item) for item in (subject, *others)]
    measured = latencies[0] | ({"against": latencies[1:]} if others else {})
    result = publish(report, output, call, measured=measured).as_json()
    for described, latency in zip(result["against"], latencies[1:], strict=True):
        described.update(latency)
    return {**result, **latencies[0]}


def _figures(scores: NDArray[np.float64], y: NDArray[np.float64]) -> Figures:
    measured = agreement(scores, y)
    return Figures(
        plcc=finite(measured["plcc"]),
        srocc=finite(measured["srocc"]),
        krocc=finite(measured["krocc"]),
        rmse=measured["rmse"],
    )


def _other(asked: Asked, inputs: tuple[NDArray[np.float64], Any], y: NDArray[np.float64]) -> OtherModel:
    subject = asked.subject
    figures = _figures(asked.predict(*inputs).scores, y)
    return OtherModel(
        model=subject.name, model_sha256=subject.sha256, feature_dim=len(asked.columns), **figures.model_dump()
    )


def _limits(min_plcc: float | None, min_srocc: float | None, max_rmse: float | None) -> list[Limit]:
    limits = (("plcc", "min", min_plcc), ("srocc", "min", min_srocc), ("rmse", "max", max_rmse))
    return [Limit.model_validate({"figure": f, "kind": k, "value": v}) for f, k, v in limits if v is not None]


def _missed(limits: Sequence[Limit], figures: Figures) -> list[str]:
    """Name the limits that the figures miss."""
    missed = []
    for limit in limits:
        value = getattr(figures, limit.figure)
        if not limit.allows(value):
            found = "is not defined, because scores or targets are constant" if value is None else f"is {value:.6g}"
            least = "at least" if limit.kind == "min" else "at most"
            missed.append(f"{limit.figure.upper()} {found}: {least} {limit.value:g} is needed")
    return missed


def _latency(subject: Subject) -> dict[str, float]:
    """Measure runs of a clip of `CLIP_FRAMES` rows, all members of an ensemble one after the other."""
    feeds = drawn_feeds(subject, parse_shape(str(CLIP_FRAMES), subject))
    runtimes = [start(graph, CPU, feeds) for graph in subject.graphs]
    p50, p95 = np.percentile(time_runs(runtimes, feeds, _WARMUP, _TIMED), [50, 95])
    return {"latency_ms_p50_per_clip": float(p50), "latency_ms_p95_per_clip": float(p95)}


def _intervals(ensemble: Ensemble, predicted: Prediction, compared: Compared) -> Intervals:
    """How many rows the intervals of each method hold, and how wide they are."""
    assert predicted.sigma is not None
    y, groups = compared.y, compared.keys
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
        if method == ensemble.method and groups is not None:
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
