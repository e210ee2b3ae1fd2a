"""Calibrations of finished models to opinion scores: the document, and its use on scores of a video."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pyvmaf.base.document import (
    Bounds,
    Correlation,
    Document,
    Name,
    Part,
    Positive,
    RunProvenance,
    Sha256,
    Size,
)
from pyvmaf.errors import InputError
from pyvmaf.models.verdicts import GateReport
from pyvmaf.runtime.ensemble import AnyModel
from pyvmaf.scoring.scores import Scores

SUFFIX = "_mos"
"""What the column of opinion scores has after the model's name."""


class Mapping(Part):
    """How a score becomes an opinion score: intercept + slope x score, kept on the scale."""

    intercept: float
    slope: float

    def apply(self, scores: NDArray[np.float64], scale: Sequence[float]) -> NDArray[np.float64]:
        """Map scores [n]."""
        return np.clip(self.intercept + self.slope * scores, scale[0], scale[1])


class Interval(Part):
    """A figure with the 95 % interval that n videos leave (Fisher's z)."""

    value: Correlation | None
    low: Correlation | None = Field(description="null: fewer than four videos, or not defined")
    high: Correlation | None


class Rated(Part):
    """One rated video."""

    name: Name
    mos: float
    score: float = Field(description="Of the model, mean over the frames that were scored")
    predicted: float = Field(description="By a mapping that was fitted without this video")


class Calibration(Document):
    """A mapping of a model's scores to opinion scores, and the gate that says whether to use it."""

    title: ClassVar[str] = "Report of calibrate (calibration.json): scores of a model mapped to opinion scores"

    schema_version: Literal[1] = 1
    model: Name
    model_sha256: Sha256
    opinions_sha256: Sha256
    mos_scale: Bounds
    subsample: Positive = Field(description="Every n-th frame was scored")
    n: Positive = Field(description="Rated videos")
    mapping: Mapping = Field(description="Fitted to all of them")
    plcc: Interval = Field(description="Of opinion scores that were predicted for videos left out of the fit")
    srocc: Interval = Field(description="Of the model's scores themselves, whose order a mapping does not change")
    rmse: Size = Field(description="Of the predictions for videos left out of the fit, on the scale")
    constant_rmse: Size = Field(description="Of the mean of the other videos as the prediction")
    verdict: Literal["PROMOTE", "HOLD"]
    gate: GateReport
    videos: Annotated[list[Rated], Field(min_length=3)]
    run_provenance: RunProvenance


def usable(path: str | os.PathLike[str], models: Sequence[AnyModel]) -> Calibration:
    """Read a calibration that one of some models can be used with.

    Args:
        path: the calibration.
        models: the models of a call.

    Raises:
        MissingFileError, IntegrityError: the calibration is not there or damaged.
        InputError: it is held, or of none of the models.
    """
    found = Calibration.read(path)
    if found.verdict != "PROMOTE":
        raise InputError(f"{path} is held ({'; '.join(found.gate.reasons)}): its opinion scores would mislead")
    if not any(model.sidecar.get("sha256") == found.model_sha256 for model in models):
        raise InputError(
            f"{path} calibrates {found.model} with sha256 {found.model_sha256[:16]}, which is none of the models of this call: "
            "name that model, or calibrate again (vmaf-train calibrate)"
        )
    return found


def calibrated(scores: Scores, calibration: Calibration | None) -> Scores:
    """Add opinion scores to the scores of a video, in the column of the model's name and `SUFFIX`.

    Args:
        scores: the scores.
        calibration: of one of their models; None to add none.

    Raises:
        InputError: there is such a column already.
    """
    if calibration is None:
        return scores
    column = calibration.model + SUFFIX
    if column in scores.columns:
        raise InputError(f"two columns would be called {column!r}")
    values = calibration.mapping.apply(scores[calibration.model], calibration.mos_scale)
    return replace(scores, columns=scores.columns | {column: values})
