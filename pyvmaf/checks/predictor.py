"""``vmaf-train predictor-report``: what a predictor of quality or bitrate is worth for each codec, on sources that it had not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pyvmaf.base.document import Call, publish
from pyvmaf.base.files import sha256_file
from pyvmaf.base.outputs import claim, publishes, reading
from pyvmaf.base.parquet import ParquetTable
from pyvmaf.codecs.encoders import encoder as find_encoder
from pyvmaf.encodes.probe import Facts
from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.metrics import finite, plcc, rmse, srocc
from pyvmaf.models.verdicts import FitReport
from pyvmaf.models.weights import PREDICTIONS, REPORT, WEIGHTS
from pyvmaf.runtime.intervals import conformal_quantile
from pyvmaf.runtime.load import load_model
from pyvmaf.scoring.predictors import (
    COLUMNS,
    LEAST_SOURCES,
    RATE,
    CodecReport,
    FoldOfCodec,
    PredictorGate,
    PredictorReport,
    RateReport,
    Summary,
)

if TYPE_CHECKING:
    import pandas as pd

GATE = PredictorGate(mean_plcc_min=0.95, plcc_spread_max=0.005, fold_plcc_min=0.95, min_sources=LEAST_SOURCES)
NOMINAL = 0.9

_KEYS = ["fold", "clip", "codec", "rung"]


@publishes("predictor-report")
def predictor_report(
    onnx: Path,
    fits: Sequence[Path],
    table: Path,
    output: Path,
    *,
    codecs: Sequence[str] = (),
    rate: Path | None = None,
) -> PredictorReport:
    """Judge a predictor codec by codec.

    The figures are of the fit that the model was exported from, on the rows that each of its folds did not train on. The other fits
    tell how much they depend on the seed.

    Args:
        onnx: the exported model, with its sidecar beside it.
        fits: the folder that ``fit`` left for each seed.
        table: the table that it was trained on.
        output: the report (.json), beside the model.
        codecs: codecs to report although the table may lack them; by default those of the table.
        rate: the report of a predictor of bitrate that goes with it, beside `output`.

    Returns:
        The report.

    Raises:
        MissingFileError, IntegrityError: a file is not there or damaged.
        InputError: the fits are of other tables or models, were not divided by source, predict something else than a clip's
            pooled VMAF or bitrate, or the model is of none of them.
    """
    for path in (onnx, table, *(() if rate is None else (rate,))):
        reading(path)
    claim(output)
    if output.resolve().parent != onnx.resolve().parent:
        raise InputError(f"{output} names its model by the file beside it: write it into {onnx.parent}")
    model = load_model(onnx)
    column = str(model.sidecar.get("target"))
    frames, reports = [], []
    digest = sha256_file(table)
    for folder in fits:
        report = FitReport.read(folder / REPORT)
        if report.table.sha256 != digest:
            raise InputError(
                f"{folder / REPORT} is of table {report.table.sha256}, but {table} has {digest}: fit again"
            )
        if report.split.by != "source" or report.split.shared_sources:
            raise InputError(
                f"{folder / REPORT} divides rows by {report.split.by}: a predictor is judged on unseen sources"
            )
        if report.model != model.sidecar["name"]:
            raise InputError(f"{folder / REPORT} is of model {report.model}, but {onnx} is {model.sidecar['name']}")
        if sha256_file(folder / PREDICTIONS) != report.predictions_sha256:
            raise IntegrityError(f"{folder / PREDICTIONS} is not the file that {folder / REPORT} names: fit again")
        reports.append(report)
        with ParquetTable(folder / PREDICTIONS) as parquet:
            frames.append(parquet.read([*_KEYS, "target", "prediction"]).to_pandas())
    if column not in (*COLUMNS, RATE):
        raise InputError(f"model {model.name} predicts {column}, but a predictor is of {', '.join(COLUMNS)} or {RATE}")
    merged = _merged(frames, _exported(onnx, model.sidecar, fits))
    with ParquetTable(table) as parquet:
        labels = parquet.read(["corpus", "clip", "codec", "crf"]).to_pandas()
    names = list(dict.fromkeys([*(find_encoder(name).name for name in codecs), *sorted(merged["codec"].unique())]))
    items = [_codec(name, merged, labels, len(frames), rates=column == RATE) for name in names]
    call = Call(
        "predictor-report",
        args={"codecs": list(codecs)},
        inputs={
            "model": onnx,
            "table": table,
            "fits": [folder / PREDICTIONS for folder in fits],
            **({} if rate is None else {"rate": rate}),
        },
    )
    statuses = [item.status for item in items]
    document = PredictorReport(
        model=model.sidecar["name"],
        onnx=onnx.name,
        onnx_sha256=sha256_file(onnx),
        pool=COLUMNS.get(column),
        rate=None if rate is None else _rate(rate, output, column),
        seed=int(model.sidecar["seed"]),
        seeds=[report.seed for report in reports],
        facts_not_read=[name for name in Facts.model_fields if name not in model.features],
        nominal_coverage=NOMINAL,
        table_sha256=digest,
        gate=GATE,
        codecs=items,
        summary=Summary(
            n_pass=statuses.count("pass"),
            n_fail=statuses.count("fail"),
            n_insufficient=statuses.count("insufficient-sources"),
            n_missing_rows=statuses.count("missing-rows"),
        ),
        run_provenance=call.provenance(),
    )
    return publish(document, output, call)


def _exported(onnx: Path, sidecar: Mapping[str, Any], fits: Sequence[Path]) -> int:
    """Find the fit that a model was exported from."""
    weights = sidecar["run_provenance"]["inputs"].get("checkpoint", {}).get("sha256")
    for index, folder in enumerate(fits):
        if sha256_file(folder / WEIGHTS) == weights:
            return index
    raise InputError(
        f"{onnx} was exported from weights {weights}, which are in none of {', '.join(map(str, fits))}: name the folder of its "
        "fit with --fit, or export it again"
    )


def _rate(path: Path, output: Path, column: str) -> RateReport:
    """Name the predictor of bitrate that goes with one of quality."""
    if path.resolve().parent != output.resolve().parent:
        raise InputError(f"{output} names {path} by the file beside it: write both into one folder")
    if PredictorReport.read(path).pool is not None or column == RATE:
        raise InputError(f"--rate names a predictor of {RATE} for one of VMAF: {path} and {output} are not such a pair")
    return RateReport(report=path.name, sha256=sha256_file(path))


def _merged(frames: Sequence[pd.DataFrame], exported: int) -> pd.DataFrame:
    """Put the predictions of the seeds side by side: columns seed0, seed1, …, and those of the exported one in `prediction`."""
    first = frames[0].copy()
    for name in _KEYS:
        first[name] = first[name].astype(str)
    seeds = []
    for index, frame in enumerate(frames):
        if len(frame) != len(first) or not np.array_equal(frame["target"].to_numpy(), first["target"].to_numpy()):
            raise InputError("the fits do not hold out the same rows: fit every seed with one table and config")
        seeds.append(f"seed{index}")
        first[seeds[-1]] = frame["prediction"].to_numpy()
    first["prediction"] = first[seeds[exported]]
    return first


def _codec(name: str, rows: pd.DataFrame, labels: pd.DataFrame, seeds: int, *, rates: bool) -> CodecReport:
    own = rows[rows["codec"] == name]
    labels = labels[labels["codec"].astype(str) == name]
    crfs = sorted({int(crf) for crf in labels["crf"]})
    counts = labels["corpus"].astype(str).value_counts()
    provenance = {str(corpus): int(n) for corpus, n in sorted(counts.items()) if n}
    folds = [_fold(str(source), part) for source, part in own.groupby("fold", sort=True)]
    status: Literal["pass", "fail", "insufficient-sources", "missing-rows"]
    if own.empty or len(folds) < LEAST_SOURCES:
        status = "missing-rows" if own.empty else "insufficient-sources"
        why = "no rows of this codec" if own.empty else f"{len(folds)} sources, {LEAST_SOURCES} are needed"
        return CodecReport(
            codec=name, status=status, mean_plcc=None, plcc_spread=None, mean_srocc=None, mean_rmse=None, mae=None,
            half_width=None, n_rows_total=len(own), n_distinct_sources=len(folds), failure_reasons=[why],
            corpus_provenance=provenance, crfs=crfs, folds=folds,
        )  # fmt: skip
    means = [_mean_plcc(own, f"seed{index}") for index in range(seeds)]
    known = [value for value in means if value is not None]
    mean = _mean_plcc(own, "prediction")
    spread = max(known) - min(known) if seeds > 1 and len(known) == seeds else None
    errors = (own["prediction"] - own["target"]).abs().to_numpy()
    reasons = _reasons(mean, spread, folds)
    srocc_of = [fold.srocc for fold in folds if fold.srocc is not None]
    return CodecReport(
        codec=name,
        status="fail" if reasons else "pass",
        mean_plcc=mean,
        plcc_spread=spread,
        mean_srocc=float(np.mean(srocc_of)) if srocc_of else None,
        mean_rmse=float(np.mean([fold.rmse for fold in folds])),
        mae=float(errors.mean()),
        rate_error=float(np.median(np.abs(np.exp2(own["prediction"] - own["target"]) - 1))) if rates else None,
        half_width=conformal_quantile(errors, NOMINAL),
        n_rows_total=len(own),
        n_distinct_sources=len(folds),
        failure_reasons=reasons,
        corpus_provenance=provenance,
        crfs=crfs,
        folds=folds,
    )


def _fold(source: str, rows: pd.DataFrame) -> FoldOfCodec:
    predicted, target = rows["prediction"].to_numpy(), rows["target"].to_numpy()
    return FoldOfCodec(
        held_out=source,
        n=len(rows),
        plcc=finite(plcc(predicted, target)),
        srocc=finite(srocc(predicted, target)),
        rmse=float(rmse(predicted, target)),
        mae=float(np.abs(predicted - target).mean()),
    )


def _mean_plcc(rows: pd.DataFrame, seed: str) -> float | None:
    values = [finite(plcc(part[seed].to_numpy(), part["target"].to_numpy())) for _, part in rows.groupby("fold")]
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def _reasons(mean: float | None, spread: float | None, folds: Sequence[FoldOfCodec]) -> list[str]:
    """Say which limits of the gate a codec misses."""
    reasons = []
    if mean is None or mean < GATE.mean_plcc_min:
        shown = "is not defined" if mean is None else f"is {mean:.4f}"
        reasons.append(f"mean PLCC {shown}, {GATE.mean_plcc_min:g} is needed")
    if spread is None:
        reasons.append("the spread among seeds needs two seeds")
    elif spread > GATE.plcc_spread_max:
        reasons.append(f"the spread among seeds is {spread:.4f}, {GATE.plcc_spread_max:g} is allowed")
    low = [fold for fold in folds if fold.plcc is None or fold.plcc < GATE.fold_plcc_min]
    if low:
        worst = min(low, key=lambda fold: -2.0 if fold.plcc is None else fold.plcc)
        shown = "is not defined" if worst.plcc is None else f"is {worst.plcc:.4f}"
        reasons.append(f"PLCC of {worst.held_out} {shown}, {GATE.fold_plcc_min:g} is needed ({len(low)} folds miss it)")
    return reasons
