"""Predictors of quality: what they were measured to be worth, and their answers for a probe.

A predictor is an exported regressor that reads facts of a probe, codec, preset and CRF, together with its report
(``predictor.json`` of ``predictor-report``), which states per codec how far its answers were from what sources that it had not
seen turned out to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pyvmaf.base.document import (
    Correlation,
    Count,
    Document,
    ModelId,
    Name,
    Part,
    Positive,
    RunProvenance,
    Sha256,
    Size,
)
from pyvmaf.encodes.probe import Facts
from pyvmaf.errors import InputError, IntegrityError, unknown_name
from pyvmaf.runtime.load import Model, load_pinned

Pool = Literal["mean", "harmonic", "p5"]
COLUMNS: dict[str, Pool] = {"vmaf_mean": "mean", "vmaf_hmean": "harmonic", "vmaf_p5": "p5"}
"""The pool that a target column is of."""

LEAST_SOURCES = 5
"""Sources below which a codec is not judged."""


class FoldOfCodec(Part):
    """Figures of a codec on the rows of one source that was held out; null if not defined."""

    held_out: Name
    n: Positive
    plcc: Correlation | None
    srocc: Correlation | None
    rmse: Size
    mae: Size


class CodecReport(Part):
    """What a predictor is worth for one codec."""

    codec: Name
    status: Literal["pass", "fail", "insufficient-sources", "missing-rows"]
    mean_plcc: Correlation | None = Field(description="Mean over folds and seeds")
    plcc_spread: Size | None = Field(description="Largest less smallest mean PLCC among the seeds; null for one seed")
    mean_srocc: Correlation | None
    mean_rmse: Size | None
    mae: Size | None = Field(description="Mean |error| over all held-out rows, of the mean of the seeds")
    half_width: Size | None = Field(description="Half of an interval that holds the nominal share of held-out rows")
    n_rows_total: Count
    n_distinct_sources: Count
    failure_reasons: list[Name]
    corpus_provenance: dict[str, Count] = Field(description="Rows by corpus")
    folds: list[FoldOfCodec] = Field(description="By source, of the mean of the seeds")


class PredictorGate(Part):
    """Limits that a codec keeps to pass."""

    mean_plcc_min: float
    plcc_spread_max: float
    fold_plcc_min: float
    min_sources: Positive


class Summary(Part):
    """How many codecs have each status."""

    n_pass: Count
    n_fail: Count
    n_insufficient: Count
    n_missing_rows: Count


class PredictorReport(Document):
    """What a predictor of quality is worth, codec by codec."""

    title: ClassVar[str] = (
        "Report of a predictor of quality (predictor_v2): figures per codec on sources that it had not seen"
    )

    schema_version: Literal[2] = 2
    model: ModelId
    onnx: Name = Field(description="File of the model, beside this report")
    onnx_sha256: Sha256
    pool: Pool = Field(description="What of the frames' VMAF is predicted")
    seeds: list[int]
    facts_not_read: list[Name] = Field(
        description="Facts of a probe that are no inputs of the model, such as the saliency"
    )
    nominal_coverage: float = Field(gt=0, lt=1)
    table_sha256: Sha256
    gate: PredictorGate
    codecs: list[CodecReport]
    summary: Summary
    run_provenance: RunProvenance

    def of(self, codec: str) -> CodecReport:
        """Return the figures of a codec.

        Raises:
            InputError: the predictor has none, because it was not trained on it.
        """
        for item in self.codecs:
            if item.codec == codec and item.n_rows_total:
                return item
        raise unknown_name("codec of this predictor", codec, [item.codec for item in self.codecs if item.n_rows_total])


class Predictor:
    """A loaded predictor.

    Args:
        path: its report; the model lies beside it.

    Raises:
        MissingFileError, IntegrityError, InputError: a file is not there, damaged or not that of the report, or the model reads
            what a probe does not say.
    """

    def __init__(self, path: Path) -> None:
        self.report = PredictorReport.read(path)
        self.model: Model = load_pinned(path.with_name(self.report.onnx), sha256=self.report.onnx_sha256)
        lacking = [name for name in self.model.features if name not in Facts.model_fields and name != "crf"]
        if lacking:
            raise InputError(
                f"model {self.report.model} reads {lacking[0]}, which a probe does not say: name a predictor"
            )

    @property
    def needs_saliency(self) -> bool:
        """Whether it reads the saliency of the clip."""
        return any(name.startswith("saliency") for name in self.model.features)

    def curve(self, facts: Facts, encoder: str, preset: str, crfs: Sequence[int]) -> NDArray[np.float64]:
        """Predict the quality of encodes that differ in their CRF; it never rises with the CRF.

        Args:
            facts: of the clip's probe.
            encoder, preset: how it would be encoded.
            crfs: ascending.

        Returns:
            Scores, float64 [n], 0 to 100.

        Raises:
            InputError: a fact that the model reads was not measured.
        """
        values = facts.model_dump()
        if missing := [name for name in self.model.features if name != "crf" and values[name] is None]:
            raise InputError(f"predictor {self.report.model} reads {missing[0]}, which this probe has not measured")
        answers = []
        for crf in crfs:
            row = {name: np.array([float(crf if name == "crf" else values[name])]) for name in self.model.features}
            codec = (encoder, preset, crf) if self.model.sidecar.get("codec") else None
            answers.append(float(self.model.predict(row, codec).scores[0]))
        if not np.isfinite(answers).all():
            raise IntegrityError(f"predictor {self.report.model} answers with NaN")
        return np.minimum.accumulate(np.array(answers))
