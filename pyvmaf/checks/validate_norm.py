"""``vmaf-train validate-norm``: whether a table is distributed like the rows that a model's scaler was fitted on."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pyvmaf.base.document import Bounds, Call, Count, Document, Name, Part, RunProvenance, Sha256, Share, publish
from pyvmaf.base.files import relative, sha256_file
from pyvmaf.base.outputs import publishes
from pyvmaf.checks.subject import open_subject, trained_on
from pyvmaf.errors import InputError
from pyvmaf.models.regressor.inputs import Preparation, of_sidecar
from pyvmaf.tables.columns import floats, read_columns


class ShiftLimits(Part):
    """Limits beyond which a feature gets a warning."""

    max_mean_shift: float = Field(description="Standard deviations of the training rows.")
    sigmas: float
    max_beyond: float = Field(description="Share of rows farther than `sigmas` from the training mean.")


class FeatureShift(Part):
    """One feature of the table compared with the training rows."""

    name: Name
    mean: float = Field(description="Mean of the finite raw values.")
    std: float
    train_mean: float = Field(description="Mean of the scaler, after the model's transform.")
    train_std: Annotated[float, Field(gt=0)]
    transform: str | None
    mean_shift: float = Field(description="(mean - training mean) / training standard deviation, after the transform.")
    std_ratio: float = Field(description="Standard deviation over that of the training rows.")
    beyond_share: Share
    outside_range_share: Share | None = Field(
        description="Share of values outside the range of the training rows; null: the sidecar does not state it."
    )
    range: Bounds
    train_range: Bounds | None
    not_finite: Count
    warnings: list[Name]


class ValidateNorm(Document):
    """Report of ``vmaf-train validate-norm``."""

    title: ClassVar[str] = "Report of vmaf-train validate-norm"

    schema_version: Literal[1] = 1
    model: Name
    model_path: Name
    model_sha256: Sha256
    table: Name
    table_sha256: Sha256
    trained_on_this_table: bool | None = Field(description="null: the sidecar does not name the table of its training.")
    n: Count
    limits: ShiftLimits
    features: list[FeatureShift] = Field(min_length=1)
    warnings: list[Name]
    passed: bool = Field(description="No warning.")
    run_provenance: RunProvenance


def _compare(
    name: str, values: NDArray[np.float64], scaler: Preparation, index: int, limits: ShiftLimits
) -> FeatureShift:
    """Compare the values of one feature with its training rows.

    Args:
        name: of the feature.
        values: raw, float64 [n]; NaN and infinity are counted and left out.
        scaler: the model's, without a guard.
        index: of the feature in the scaler.
        limits: beyond which there is a warning.
    """
    usable = values[np.isfinite(values)]
    # The scaler takes all features: the others are filled with a constant, because each is scaled alone.
    rows = np.tile(scaler.mean if np.isinf(scaler.low).any() else scaler.low, (usable.size, 1))
    rows[:, index] = usable
    z = scaler(rows)[:, index]
    low, high = float(scaler.low[index]), float(scaler.high[index])
    shift, beyond = float(z.mean()), float(np.mean(np.abs(z) > limits.sigmas))
    missing = len(values) - int(usable.size)
    warnings = []
    if abs(shift) > limits.max_mean_shift:
        warnings.append(f"its mean lies {shift:+.2f} standard deviations from the training mean")
    if beyond > limits.max_beyond:
        warnings.append(f"{beyond:.1%} of its values lie beyond {limits.sigmas:g} standard deviations")
    if missing:
        warnings.append(f"{missing} of {len(values)} rows do not have a finite value")
    return FeatureShift(
        name=name,
        mean=float(usable.mean()),
        std=float(usable.std()),
        train_mean=float(scaler.mean[index]),
        train_std=float(scaler.std[index]),
        transform=scaler.transforms[index] if scaler.transforms else None,
        mean_shift=shift,
        std_ratio=float(z.std()),
        beyond_share=beyond,
        outside_range_share=float(np.mean((usable < low) | (usable > high))) if np.isfinite(low) else None,
        range=[float(usable.min()), float(usable.max())],
        train_range=[low, high] if np.isfinite(low) else None,
        not_finite=missing,
        warnings=warnings,
    )


@publishes("validate-norm")
def validate_norm(
    model: str | Path,
    table: Path,
    *,
    max_mean_shift: float = 1.0,
    sigmas: float = 3.0,
    max_beyond: float = 0.05,
    sidecar: Path | None = None,
    sha256: str | None = None,
    registry: Path | None = None,
    output: Path | None = None,
) -> ValidateNorm:
    """Compare the columns of a table with the mean and standard deviation in a model's sidecar.

    Columns are compared as the scaler sees them, that is after the model's transforms and without its guard, in
    standard deviations of the training rows.

    Args:
        model: as in `open_subject`.
        table: parquet table with the model's features, unscaled.
        max_mean_shift: warn about a feature whose mean is farther from the training mean than this.
        sigmas, max_beyond: warn about a feature if more than the share `max_beyond` of its values is farther than
            `sigmas` from the training mean.
        sidecar, sha256, registry: as in `open_subject`.
        output: JSON file for the report.

    Returns:
        The report: the figures and warnings of each feature; ``passed`` if there is no warning.

    Raises:
        InputError: the model does not have a sidecar, or the table lacks a feature or has no finite value of it.
    """
    limits = ShiftLimits(max_mean_shift=max_mean_shift, sigmas=sigmas, max_beyond=max_beyond)
    subject = open_subject(model, sidecar=sidecar, sha256=sha256, registry=registry)
    inputs = {"model": subject.path, "features": table}
    if subject.sidecar is not None:
        inputs["sidecar"] = subject.sidecar
    call = Call("validate-norm", args={"model": str(model), **limits.model_dump()}, inputs=inputs)
    described = subject.described()
    if described.sidecar["input_normalization"] is None:
        raise InputError(
            f"{subject.sidecar} states no mean and standard deviation of the training rows: register the model with "
            "--normalization"
        )
    scaler = dataclasses.replace(of_sidecar(described.sidecar), guard="none")
    data = read_columns(table, list(described.features))
    features = []
    for index, name in enumerate(described.features):
        values = floats(data, name)
        if not np.isfinite(values).any():
            raise InputError(f"{table} has no finite value in column {name!r} ({len(values)} rows): extract it")
        features.append(_compare(name, values, scaler, index, limits))
    warnings = [f"{feature.name}: {text}" for feature in features for text in feature.warnings]
    table_sha256 = sha256_file(table)
    report = ValidateNorm(
        model=subject.name,
        model_path=relative(subject.path),
        model_sha256=subject.sha256,
        table=relative(table),
        table_sha256=table_sha256,
        trained_on_this_table=trained_on(described, table_sha256),
        n=len(values),
        limits=limits,
        features=features,
        warnings=warnings,
        passed=not warnings,
        run_provenance=call.provenance(),
    )
    return publish(report, output, call)
