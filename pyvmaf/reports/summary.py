"""``vmaf-train summary``: per model its figures on held-out sources, its verdict, sizes and int8 drop."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import ConfigDict, Field

from pyvmaf.base.document import Call, Count, Document, Name, Part, Positive, Sha256, publish
from pyvmaf.base.files import dumps
from pyvmaf.base.manifest import read_manifest
from pyvmaf.base.outputs import publishes
from pyvmaf.errors import PyvmafError
from pyvmaf.models.verdicts import PROMOTE, FitReport, Verdict
from pyvmaf.quantized.report import Int8Report
from pyvmaf.reports.read import Model, Run, read_run


class OverSeeds(Part):
    """Mean and standard deviation (ddof 1) over the seeds of the mean over the folds; null if not defined."""

    mean: float | None
    std: float | None


class SpreadFigures(Part):
    """Figures of all seeds."""

    plcc: OverSeeds
    srocc: OverSeeds
    krocc: OverSeeds
    rmse: OverSeeds


class SeedFigures(Part):
    """Figures of one seed."""

    seed: int
    plcc: float | None
    srocc: float | None
    krocc: float | None
    rmse: float | None


class WorstFold(Part):
    """The lowest PLCC of all folds and seeds."""

    plcc: float | None = Field(description="null if predictions are constant, which is worse than any value.")
    held_out: str
    seed: int


class VariantSummary(Part):
    """One int8 mode: figures of the shown seed, and the worst drop of all seeds."""

    mode: str
    bytes: Count
    size_ratio: float = Field(description="Bytes of int8 over bytes of fp32; above 1 int8 saves nothing.")
    plcc_fp32: float | None
    plcc_int8: float | None
    drop: float | None = Field(description="plcc_fp32 - plcc_int8 on rows of held-out sources.")
    drop_worst_seed: float | None
    budget: float
    rmse_int8_fp32: float | None
    srocc_int8_fp32: float | None = Field(
        description="Rank agreement of int8 with fp32 on held-out rows, mean over the folds."
    )
    n_heldout: int
    passed: bool
    missed: list[str] = Field(description="Limits that it misses, and operators that are not allowed.")


class ModelSummary(Part):
    """One model."""

    model: Name
    n_params: Positive = Field(description="Weights and biases.")
    features: int | None = Field(description="Columns of the feature input.")
    codec_block: str | None = Field(
        description="Version of the codec vocabulary; null if the model has no codec input."
    )
    seeds: list[Count] = Field(min_length=1)
    shown_seed: int = Field(description="The seed of the sizes and drops: the one that ships.")
    n_folds: Positive
    rows: Positive = Field(description="Rows of the table that were used.")
    table_sha256: Sha256
    loso: SpreadFigures
    per_seed: list[SeedFigures]
    worst_fold: WorstFold
    verdict: Literal["PROMOTE", "HOLD"] | None
    reason: str | None = Field(description="Why the model is held.")
    onnx_bytes: Positive | None
    int8: list[VariantSummary]


class Summary(Document):
    """Closing figures of a run."""

    model_config = ConfigDict(json_schema_extra={"$id": "pyvmaf:summary-v1"})
    title: ClassVar[str] = "Closing summary of a run (summary.json)"

    schema_: Literal["pyvmaf-summary-v1"] = Field(default="pyvmaf-summary-v1", alias="schema")
    schema_version: Literal[1] = 1
    models: list[ModelSummary]


def over_seeds(values: Sequence[float | None]) -> OverSeeds:
    """Compute mean and standard deviation (ddof 1; None for one seed); None if a seed lacks the figure."""
    defined = [value for value in values if value is not None]
    if not defined or len(defined) < len(values):
        return OverSeeds(mean=None, std=None)
    std = float(np.std(defined, ddof=1)) if len(defined) > 1 else None
    return OverSeeds(mean=float(np.mean(defined)), std=std)


def _variant(variants: Sequence[tuple[int, Int8Report, int]], shown: int, mode: str) -> VariantSummary:
    """Summarise one int8 mode of one model, given seed, report and size of each variant."""
    by_seed = {seed: (report, size) for seed, report, size in variants}
    report, size = by_seed.get(shown, next(iter(by_seed.values())))
    drops = [other.drop for other, _ in by_seed.values() if other.drop is not None]
    return VariantSummary(
        mode=mode,
        bytes=size,
        size_ratio=report.size_ratio,
        plcc_fp32=report.plcc_fp32,
        plcc_int8=report.plcc_int8,
        drop=report.drop,
        drop_worst_seed=max(drops) if len(drops) == len(by_seed) else None,
        budget=report.budget,
        rmse_int8_fp32=report.rmse_int8_fp32,
        srocc_int8_fp32=report.srocc_int8_fp32,
        n_heldout=report.n_heldout,
        passed=report.passed,
        missed=report.missed,
    )


def _size(path: Path | None) -> int | None:
    return path.stat().st_size if path is not None and path.exists() else None


def _reason(verdict: Verdict | None) -> str | None:
    """Return why a model is held; None if it is not."""
    if verdict is None or verdict.verdict == PROMOTE:
        return None
    return "; ".join(verdict.gate.reasons) or "the verdict gives no reason"


def summarise_model(model: Model) -> ModelSummary:
    """Summarise one model."""
    seeds = [seed for seed in model.seeds.values() if seed.loso is not None]
    losos = [seed.loso for seed in seeds if seed.loso is not None]
    shown = model.shown
    by_mode: dict[str, list[tuple[int, Int8Report, int]]] = {}
    for seed in seeds:
        for variant in seed.variants:
            size = _size(variant.onnx)
            by_mode.setdefault(variant.mode, []).append((seed.number, variant.data, size or 0))
    return ModelSummary(
        model=model.name,
        n_params=losos[0].n_params,
        features=len(shown.features) or None,
        codec_block=losos[0].encoder_vocab_version,
        seeds=[seed.number for seed in seeds],
        shown_seed=shown.number,
        n_folds=losos[0].n_folds,
        rows=losos[0].table.rows_used,
        table_sha256=losos[0].table.sha256,
        loso=SpreadFigures(
            plcc=over_seeds([loso.mean_plcc for loso in losos]),
            srocc=over_seeds([loso.mean_srocc for loso in losos]),
            krocc=over_seeds([loso.mean_krocc for loso in losos]),
            rmse=over_seeds([loso.mean_rmse for loso in losos]),
        ),
        per_seed=[
            SeedFigures(
                seed=loso.seed,
                plcc=loso.mean_plcc,
                srocc=loso.mean_srocc,
                krocc=loso.mean_krocc,
                rmse=loso.mean_rmse,
            )
            for loso in losos
        ],
        worst_fold=_worst(losos),
        verdict=None if model.verdict is None else model.verdict.verdict,
        reason=_reason(model.verdict),
        onnx_bytes=_size(shown.onnx),
        int8=[_variant(by_mode[mode], shown.number, mode) for mode in sorted(by_mode)],
    )


def _worst(losos: Sequence[FitReport]) -> WorstFold:
    folds = [(fold.plcc, fold.held_out, loso.seed) for loso in losos for fold in loso.folds]
    # A fold with constant predictions has no correlation, which is worse than any value.
    plcc, held_out, seed = min(folds, key=lambda fold: (fold[0] is not None, fold[0] or 0.0, fold[1:]))
    return WorstFold(plcc=plcc, held_out=held_out, seed=seed)


def summarise(run: Run) -> Summary:
    """Summarise a run."""
    return Summary(models=[summarise_model(model) for model in run.models.values() if _fitted(model)])


def _fitted(model: Model) -> bool:
    return any(seed.loso is not None for seed in model.seeds.values())


def _is_current(target: Path, summary: Summary) -> bool:
    """Return whether the file holds the same figures and has a valid manifest.

    It is then left as it is, so that a second look at a finished run changes nothing in it.
    """
    try:
        return target.read_bytes() == dumps(summary.as_json()).encode() and bool(read_manifest(target))
    except (OSError, PyvmafError):
        return False


@publishes("summary")
def write_summary(paths: Iterable[str | os.PathLike[str]], output: str | os.PathLike[str]) -> Summary:
    """Write ``summary.json``, unless it holds the same figures already.

    Args:
        paths: as in `read_run`.
        output: the file to write, with its manifest beside it.

    Raises:
        MissingFileError, InputError, IntegrityError: see `read_run`.
    """
    target = Path(output)
    run = read_run(paths)
    summary = summarise(run)
    if _is_current(target, summary):
        return summary
    call = Call("summary", args={"output": target}, inputs={"read": run.files})
    details = {"table_sha256": sorted({model.table_sha256 for model in summary.models})}
    return publish(summary, target, call, role="summary", details=details)
