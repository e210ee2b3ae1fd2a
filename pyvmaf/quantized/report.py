"""The report beside an int8 file (``{mode}.json``): its cost on held-out rows, against limits."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from pyvmaf.base.document import (
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


class FileFacts(Part):
    """A model file."""

    path: Name
    sha256: Sha256
    bytes: Count


class Int8Facts(FileFacts):
    """An int8 file."""

    operators: dict[str, Count]


class Allowlist(Part):
    """Whether a model file may hold the operators of this one. A refused variant never ships."""

    passed: bool
    reason: str | None


class CalibrationRows(Part):
    """The rows that activation ranges are measured on."""

    rows: Count
    sources: list[str]
    rows_sha256: Sha256
    rule: str


class TrainingSettings(Part):
    """The fine-tuning of mode qat."""

    epochs: Count
    lr: float = Field(gt=0)
    batch_size: Positive
    rule: str


class HeldOutRows(Part):
    """The rows that the figures are measured on."""

    rule: str
    sources: list[str]


class Int8Fold(Part):
    """Figures of one fold's model on the rows that it did not train on; null if not defined (constant predictions)."""

    held_out: Name
    n: Positive
    n_calibration: Positive
    plcc_fp32: float | None
    plcc_int8: float | None
    plcc_drop: float | None
    srocc_fp32: float | None
    srocc_int8: float | None
    srocc_drop: float | None
    rmse_fp32: Size | None
    rmse_int8: Size | None
    rmse_int8_fp32: Size
    srocc_int8_fp32: float | None


class Int8Report(Document):
    """The cost of an int8 variant on rows that neither weights, scaler nor activation ranges have seen.

    A figure that is not defined (constant predictions) is null.
    """

    title: ClassVar[str] = "Report of quantize-int8: the cost of an int8 variant on held-out rows"

    schema_version: Literal[2] = 2
    model: ModelId
    seed: Count
    mode: Literal["dynamic", "static", "static_qdq", "qat"]
    fp32: FileFacts
    int8: Int8Facts
    allowlist: Allowlist
    size_ratio: float = Field(description="Bytes of int8 over bytes of fp32")
    larger_than_fp32: bool
    size_note: str
    table_sha256: Sha256
    calibration: CalibrationRows
    training: TrainingSettings | None
    heldout: HeldOutRows
    n_heldout: Positive
    folds: list[Int8Fold] = Field(min_length=1)
    plcc_fp32: float | None
    plcc_int8: float | None
    drop: float | None
    drop_worst_fold: float | None
    srocc_fp32: float | None
    srocc_int8: float | None
    srocc_drop: float | None
    rmse_int8_fp32: Size | None
    rmse_int8_fp32_shipped: Size
    srocc_int8_fp32: float | None
    srocc_int8_fp32_worst_fold: float | None
    budget: Size
    rmse_max: float = Field(gt=0)
    srocc_min: float
    missed: list[Name]
    passed: bool
    run_provenance: RunProvenance
