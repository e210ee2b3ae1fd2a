"""The JSON file that ``vmaf-train score`` writes, as a document with a published schema."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from pyvmaf.base.document import Count, Document, Name, OptionalKey, Part, Share, Size

Value = float | Literal["inf", "-inf"] | None
"""A score: null where there is none, text where it is infinite (PSNR-HVS of pictures without a difference)."""


class LeftOut(Part):
    """Frames that are in no figure of a column."""

    infinite: Count
    missing: Count


class Alignment(Part):
    """Offset of the distorted video."""

    frames: int = Field(description="By how many frames it starts later than the reference; negative if earlier.")
    confidence: OptionalKey[Share] = Field(default=None, description="Of a search: 0 where nothing moves, to 1.")
    correlation: OptionalKey[float] = Field(default=None, description="Of small pictures at this offset.")


class BdRatePart(Part):
    """How much more bitrate a ladder needs than the first one for the same mean of the first model."""

    anchor: Name = Field(description="Folder of the first ladder.")
    other: Name = Field(description="Folder of the other ladder.")
    bd_rate_percent: float | None = Field(description="Negative if less is needed; null if it cannot be told.")
    from_score: OptionalKey[float] = None
    to_score: OptionalKey[float] = None
    reason: OptionalKey[Name] = None


class ScoreReport(Document):
    """Scores of a pair of videos. The lines of NDJSON hold one item of ``frames`` each, the last one the other keys."""

    title: ClassVar[str] = "Scores of a pair of videos (vmaf-train score -o scores.json)"

    schema_: Literal["pyvmaf-score-v1"] = Field(default="pyvmaf-score-v1", alias="schema")
    model: Name | None = Field(description="The model of libvmaf behind the column vmaf; null if there is none.")
    libvmaf_models: dict[str, Name] = Field(description="Model of libvmaf behind a column, by the column.")
    models: OptionalKey[dict[str, dict[str, Any]]] = Field(
        default=None, description="Score of the clip by each registered model, and how much to trust it."
    )
    alignment: OptionalKey[Alignment] = None
    size: OptionalKey[Name] = Field(default=None, description="Of the frames that were compared, as 1280x720.")
    cuts: OptionalKey[list[Count]] = Field(
        default=None, description="First frames of the reference's shots but the first one, if they were looked for."
    )
    reading: dict[str, Any] = Field(description="What was asked for: conversions, a part of the frames.")
    unavailable: dict[str, str] = Field(description="Features that could not be computed, with the reason.")
    notes: list[str] = Field(description="What was done to frames, and doubts about the scores.")
    pooled: dict[str, dict[str, Value]] = Field(
        description="Figures of each column: mean, harmonic_mean, min, p1, p5, p10, median, those asked for with --pool, "
        "and count, the number of frames that they are of."
    )
    left_out: dict[str, LeftOut] = Field(description="Columns of which some frames are in no figure.")
    frames: list[dict[str, Value]] = Field(description="A row per frame: frame_index, counted from 0, and each column.")


class VersionReport(ScoreReport):
    """Scores of one of several versions."""

    distorted: Name = Field(description="Its file.")
    bytes: Count | None = Field(description="Size of the file; null of a pipe.")
    kbps: Size | None = Field(description="Average bitrate of its video stream; null if unknown.")


class ComparisonPart(Part):
    """Versions of one reference."""

    reference: Name
    versions: list[VersionReport] = Field(description="The best one first.")
    bd_rate: list[BdRatePart]


class ComparisonReport(Document):
    """Scores of several versions of one or several references."""

    title: ClassVar[str] = (
        "Scores of several versions of a video (vmaf-train score reference.mkv a.mp4 b.mp4 -o scores.json)"
    )

    schema_: Literal["pyvmaf-comparison-v1"] = Field(default="pyvmaf-comparison-v1", alias="schema")
    comparisons: list[ComparisonPart]
