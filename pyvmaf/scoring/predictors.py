"""Predictors of quality and bitrate: what they were measured to be worth, and their answers for a probe.

A predictor is an exported regressor that reads facts of a probe, codec, preset and CRF, together with its report
(``predictor.json`` of ``predictor-report``), which states per codec how far its answers were from what sources that it had not
seen turned out to be. A predictor of quality can name one of bitrate, whose report lies beside its own.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pyvmaf.base.document import (
    Correlation,
    Count,
    Document,
    ModelId,
    Name,
    OptionalKey,
    Part,
    Positive,
    RunProvenance,
    Sha256,
    Size,
)
from pyvmaf.base.files import sha256_file
from pyvmaf.codecs.vocabularies import VOCABULARIES
from pyvmaf.encodes.probe import Facts
from pyvmaf.errors import InputError, IntegrityError, unknown_name
from pyvmaf.registry.entry import Registry
from pyvmaf.runtime.load import Model, load_pinned
from pyvmaf.scoring.find import registry_path
from pyvmaf.scoring.search import Expected, bent, lossy
from pyvmaf.scoring.trials import Pool

if TYPE_CHECKING:
    from pyvmaf.codecs.encoders import Encoder

REPORT = "predictor.json"
"""Name of the report beside the model of a registered predictor."""

COLUMNS: dict[str, Pool] = {"vmaf_mean": "mean", "vmaf_hmean": "harmonic", "vmaf_p5": "p5"}
"""The pool that a target column is of."""

RATE = "bitrate_log2"
"""The target column of predictors of bitrate, log2 of kbit/s."""

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
    mean_plcc: Correlation | None = Field(description="Mean over the folds")
    plcc_spread: Size | None = Field(description="Largest less smallest mean PLCC among the seeds; null for one seed")
    mean_srocc: Correlation | None
    mean_rmse: Size | None
    mae: Size | None = Field(description="Mean |error| over all held-out rows")
    rate_error: OptionalKey[Size] = Field(
        default=None,
        description="Median of |predicted bitrate / true one - 1| over all held-out rows; absent if VMAF is predicted",
    )
    half_width: Size | None = Field(description="Half of an interval that holds the nominal share of held-out rows")
    n_rows_total: Count
    n_distinct_sources: Count
    failure_reasons: list[Name]
    corpus_provenance: dict[str, Count] = Field(description="Rows by corpus")
    crfs: OptionalKey[list[Count]] = Field(default=None, description="CRFs of the rows; absent: older reports")
    folds: list[FoldOfCodec] = Field(description="By source")


class PredictorGate(Part):
    """Limits that a codec keeps to pass."""

    mean_plcc_min: float
    plcc_spread_max: float
    fold_plcc_min: float
    min_sources: Positive


class RateReport(Part):
    """The predictor of bitrate that goes with one of quality."""

    report: Name = Field(description="Its report, beside this one")
    sha256: Sha256


class Summary(Part):
    """How many codecs have each status."""

    n_pass: Count
    n_fail: Count
    n_insufficient: Count
    n_missing_rows: Count


class PredictorReport(Document):
    """What a predictor of quality or bitrate is worth, codec by codec.

    The figures are of the seed that was exported: of its answers to rows that each of its folds did not train on. Of a predictor of
    bitrate they are in log2 of kbit/s: an error of 1 is a factor of two.
    """

    title: ClassVar[str] = (
        "Report of a predictor of quality or bitrate (predictor_v2): figures per codec on sources that it had not seen"
    )

    schema_version: Literal[3] = 3
    model: ModelId
    onnx: Name = Field(description="File of the model, beside this report")
    onnx_sha256: Sha256
    pool: Pool | None = Field(description="What of the frames' VMAF is predicted; null: the bitrate is")
    rate: OptionalKey[RateReport] = Field(default=None, description="The predictor of bitrate that goes with it")
    seed: int = Field(description="That of the model, whose figures these are")
    seeds: list[int] = Field(description="All that the spread is among")
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

    def knows(self, codec: str) -> bool:
        """Return whether it was trained on a codec."""
        return any(item.codec == codec and item.n_rows_total for item in self.codecs)


class Predictor:
    """A loaded predictor.

    Args:
        path: its report; the model lies beside it.

    Raises:
        MissingFileError, IntegrityError, InputError: a file is not there, damaged or not that of the report, or the model reads
            what a probe does not say.

    Attributes:
        report: its report.
        model: the model.
        rate: the predictor of bitrate that goes with it; None if there is none.
    """

    def __init__(self, path: Path) -> None:
        self.report = PredictorReport.read(path)
        self.model: Model = load_pinned(path.with_name(self.report.onnx), sha256=self.report.onnx_sha256)
        lacking = [name for name in self.model.features if name not in Facts.model_fields and name != "crf"]
        if lacking:
            raise InputError(
                f"model {self.report.model} reads {lacking[0]}, which a probe does not say: name a predictor"
            )
        self._path = path
        self.rate = None if self.report.rate is None else _rate_of(path, self.report.rate)

    @property
    def pool(self) -> Pool:
        """What of the frames' VMAF it predicts.

        Raises:
            InputError: it predicts the bitrate.
        """
        if self.report.pool is None:
            raise InputError(
                f"{self._path} predicts the bitrate: name a predictor of VMAF, whose report can name this one (predictor-report --rate)"
            )
        return self.report.pool

    @property
    def needs_saliency(self) -> bool:
        """Whether it reads the saliency of the clip."""
        return any(name.startswith("saliency") for name in self.model.features) or (
            self.rate is not None and self.rate.needs_saliency
        )

    def curve(self, facts: Facts, encoder: str, preset: str, crfs: Sequence[int]) -> NDArray[np.float64]:
        """Predict the quality, or log2 of the bitrate, of encodes that differ in their CRF; it never rises with the CRF.

        Args:
            facts: of the clip's probe.
            encoder, preset: how it would be encoded.
            crfs: ascending.

        Returns:
            Scores, float64 [n], 0 to 100, or log2 of kbit/s.

        Raises:
            InputError: a fact that the model reads was not measured.
        """
        values = facts.model_dump()
        if missing := [name for name in self.model.features if name != "crf" and values[name] is None]:
            raise InputError(f"predictor {self.report.model} reads {missing[0]}, which this probe has not measured")
        rows = {
            name: np.array([float(crf if name == "crf" else values[name]) for crf in crfs])
            for name in self.model.features
        }
        block = self.model.sidecar.get("codec")
        vocabulary = None if block is None else VOCABULARIES[block["vocabulary"]]
        codec = None if vocabulary is None else np.array([vocabulary.encode(encoder, preset, crf) for crf in crfs])
        answers = self.model.predict(rows, codec).scores
        if not np.isfinite(answers).all():
            raise IntegrityError(f"predictor {self.report.model} answers with NaN")
        return np.minimum.accumulate(answers)

    def expected(self, facts: Facts, entry: Encoder, preset: str) -> Expected:
        """Predict the whole curve of an encoder; see `curve`.

        A model may be a line with corners at the CRFs that it was trained on. Between them the logarithm of the loss is taken to
        be straight, as that of encodes nearly is.
        """
        crfs = lossy(entry)
        curve = self.curve(facts, entry.name, preset, crfs)
        trained = self.report.of(entry.name).crfs
        return Expected(crfs, curve if trained is None else bent(crfs, curve, trained))

    def rates(self, facts: Facts, encoder: str, preset: str, crfs: Sequence[int]) -> list[Rate] | None:
        """Predict the bitrate of encodes that differ in their CRF; None without a predictor of it for this encoder.

        Args:
            facts, encoder, preset, crfs: as in `curve`.
        """
        if self.rate is None or all(
            item.codec != encoder or item.half_width is None for item in self.rate.report.codecs
        ):
            return None
        half = self.rate.report.of(encoder).half_width or 0.0
        curve = self.rate.curve(facts, encoder, preset, crfs)
        return [Rate(*(float(2 ** (value + way)) for way in (0.0, -half, half))) for value in curve]


class Rate(NamedTuple):
    """A predicted bitrate, kbit/s, and the ends of the interval that holds the nominal share of clips."""

    kbps: float
    low: float
    high: float


def _rate_of(path: Path, stated: RateReport) -> Predictor:
    """Load the predictor of bitrate that the report of one of quality names."""
    beside = path.with_name(stated.report)
    sha256 = sha256_file(beside)
    if sha256 != stated.sha256:
        raise IntegrityError(f"{beside} has sha256 {sha256}, but {path} names {stated.sha256}: report on {path} again")
    return Predictor(beside)


def registered_predictor(registry: str | os.PathLike[str] | None = None, pool: Pool | None = None) -> Path | None:
    """Find the report of the registered predictor; None if there is none.

    A predictor is registered if its model is, and if its report, which names the model's SHA-256, lies beside it as `REPORT`.

    Args:
        registry: as in `pyvmaf.scoring.find.registry_path`.
        pool: the pool that it predicts; None for the mean.

    Raises:
        IntegrityError: the registry or a report is damaged.
        InputError: there are several.
    """
    path = registry_path(registry)
    if not path.exists():
        return None
    found = []
    for entry in Registry.read(path).models:
        beside = (path.parent / entry.onnx).with_name(REPORT)
        if beside.exists():
            report = PredictorReport.read(beside)
            if report.onnx_sha256 == entry.sha256 and report.pool == (pool or "mean"):
                found.append((entry.id, beside))
    if len(found) > 1:
        raise InputError(
            f"{path} lists {len(found)} predictors of the {pool or 'mean'} ({', '.join(name for name, _ in found)}): choose with "
            f"--predictor {found[0][1]}"
        )
    return found[0][1] if found else None
