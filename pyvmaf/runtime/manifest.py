"""The manifest of an ensemble (``ensemble.json``): its members, and intervals with their measured coverage."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, ConfigDict, Field

from pyvmaf.base.document import (
    Bounds,
    Count,
    Document,
    ModelId,
    Name,
    OpenPart,
    Part,
    Positive,
    RunProvenance,
    Sha256,
    Share,
    Size,
)
from pyvmaf.runtime.sidecar import ConfigHash, License


def _inside(path: str) -> str:
    if ".." in path.split("/"):
        raise ValueError(f"{path!r} leads out of the folder of this file")
    return path


FilePath = Annotated[
    str,
    Field(
        min_length=1,
        max_length=256,
        pattern=r"^[^/\\][^\\]*$",
        description="A path below the folder of this file",
    ),
    AfterValidator(_inside),
]
Above = Annotated[float, Field(gt=0)]


class Constants(Part):
    """mean ± gaussian_z sigma; mean ± conformal_q_residual max(sigma, 1e-6); mean ± normalised_q (sigma + normalised_beta)."""

    rows: Positive = Field(description="Held-out rows that it was calibrated on")
    gaussian_z: Above
    conformal_q_residual: Size | None = Field(description="null: too few rows")
    normalised_beta: Above = Field(description="Mean sigma of those rows")
    normalised_q: Size | None = Field(description="null: too few rows")


class Confidence(Constants):
    """The intervals of predictions."""

    method: Literal["ensemble", "ensemble+conformal", "ensemble+conformal-normalised"]
    interval: Literal["gaussian", "conformal", "normalised"]
    nominal_coverage: float = Field(ge=0.5, le=0.999)
    clip_mean: Constants | None = Field(
        description="The constants for the mean over a clip's frames; null if rows are not frames or clips are too few"
    )


class Member(Part):
    """One member of an ensemble."""

    id: ModelId
    seed: Count
    onnx: FilePath
    sha256: Sha256 = Field(description="Of the ONNX file")
    sidecar: FilePath
    sidecar_sha256: Sha256
    mean_plcc: float | None = Field(description="Over the folds")


class Coverage(Part):
    """Coverage of the intervals of one method, each unit's calibrated on the other units."""

    empirical_coverage: Share | None = Field(description="Share of all held-out rows inside")
    mean_width: Size | None
    mean_over_units: Share | None
    worst_unit: str | None
    worst_coverage: Share | None


class PerMethod(Part):
    """A figure of each method."""

    gaussian: Size | None
    conformal: Size | None
    normalised: Size | None


class CoverageByMethod(Part):
    """Coverage of each method."""

    gaussian: Coverage
    conformal: Coverage
    normalised: Coverage


class Unit(Part):
    """A source, or another group that the split holds out together."""

    held_out: str
    n: Positive
    rmse: Size
    mean_sigma: Size
    calibration: Constants = Field(description="On the rows of the other units")
    coverage: PerMethod
    mean_width: PerMethod


class Assessment(Part):
    """Calibration and coverage on held-out rows."""

    calibration: Constants = Field(description="On all held-out rows: the constants that the intervals use")
    n: Positive
    units: int = Field(ge=2)
    plcc: float | None = Field(description="Of the members' mean on held-out rows")
    srocc: float | None
    rmse: Size
    mean_sigma: Size
    coverage: CoverageByMethod
    per_unit: list[Unit] = Field(min_length=2)


class CoverageGate(Part):
    """The limit on coverage."""

    nominal_coverage: float
    empirical_coverage: Share | None
    coverage_tolerance: Above
    passed: bool
    why: Name | None


class Evaluation(Part):
    """Measurements on held-out rows."""

    protocol: Name
    rows: Assessment
    clip_means: Assessment | None


class EnsembleManifest(Document):
    """Everything that a caller of an ensemble needs to know. Keys that are not declared are those of its family."""

    model_config = ConfigDict(extra="allow")

    title: ClassVar[str] = "Manifest of an ensemble (ensemble.json): its members, intervals and measured coverage"

    schema_version: Literal[1] = 1
    id: ModelId
    kind: str = Field(pattern=r"^[a-z0-9_-]+_ensemble$")
    description: str = Field(max_length=256)
    license: License
    ensemble_size: int = Field(ge=2)
    members: list[Member] = Field(min_length=2)
    expected_output_range: Bounds
    target: str
    dataset: Name
    dataset_sha256: Sha256
    train_commit: Name
    train_config_hash: ConfigHash
    confidence: Confidence
    smoke: Literal[False] = False
    verdict: Literal["PROMOTE", "HOLD"] = Field(description="HOLD: of the members, or of the intervals (coverage_gate)")
    verdict_sha256: Sha256 = Field(description="Of the members' verdict.json")
    gates: OpenPart
    coverage_gate: CoverageGate
    eval: Evaluation
    run_provenance: RunProvenance

    @property
    def family_keys(self) -> dict[str, Any]:
        """The keys of the family."""
        return dict(self.__pydantic_extra__ or {})
