"""The report of ``analyze-sweep``."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from pyvmaf.base.document import Count, Document, Name, Part, Positive, RunProvenance, Size
from pyvmaf.models.verdicts import GateReport


class Point(Part):
    """An encode that no other of its group beats in everything."""

    preset: str
    recipe: str = Field(description="Name of its options; empty: the bare encoder")
    crf: Count
    kbps: float = Field(gt=0)
    vmaf_mean: float
    vmaf_p5: float | None = Field(description="5th percentile of the frames; null: not measured")
    encode_seconds: Size | None = Field(description="null: not recorded")
    front_mean: bool = Field(description="No encode has a higher mean VMAF at no more bitrate")
    front_p5: bool | None = Field(description="The same for the 5th percentile; null: not measured")
    front_time: bool | None = Field(
        description="No encode has a higher mean VMAF at no more bitrate and time; null: times are not recorded"
    )
    hull: bool = Field(description="On the upper convex hull of mean VMAF over the logarithm of the bitrate")


class Group(Part):
    """The encodes of a clip by one encoder with one way to decide the bitrate."""

    corpus: str
    source: Name
    clip: Name
    encoder: Name
    rate_mode: Name
    n_encodes: Positive
    pareto: list[Point] = Field(description="By bitrate")


class Difference(Part):
    """A recipe against the bare encoder on one clip."""

    corpus: str
    source: Name
    clip: Name
    vmaf_mean: float | None = Field(description="Mean VMAF more at equal bitrate; null: not defined")
    vmaf_p5: float | None = Field(description="5th percentile more at equal bitrate")
    bd_rate_percent: float | None = Field(description="Bitrate more for equal mean VMAF")
    from_kbps: float | None = Field(description="The bitrates that both curves have")
    to_kbps: float | None
    time_ratio: Size | None = Field(description="Time of its encodes over that of the bare ones at the same CRFs")
    why: str | None = Field(description="Why there is no difference at equal bitrate")


class Comparison(Part):
    """A recipe against the bare encoder; figures are means over sources."""

    encoder: Name
    preset: str
    rate_mode: Name
    recipe: Name
    options: str
    vmaf_mean: float | None
    vmaf_mean_worst: float | None = Field(description="Of the source that loses most")
    vmaf_p5: float | None
    bd_rate_percent: float | None = Field(description="null: not defined on any source")
    time_ratio: Size | None
    clips: list[Difference]


class Limits(Part):
    """How much a recipe may lose at equal bitrate, VMAF."""

    mean_loss_max: Size = Field(description="In the mean over sources")
    source_loss_max: Size = Field(description="On a single source")


class SweepReport(Document):
    """What a sweep over presets, CRFs and options of encoders says."""

    title: ClassVar[str] = "Report of analyze-sweep (sweep.json): Pareto fronts, and recipes against the bare encoder"

    schema_version: Literal[1] = 1
    n_encodes: Positive
    n_left_out: Count = Field(description="Rows that are no encode with a bitrate and a VMAF")
    n_sources: Positive
    limits: Limits
    groups: list[Group]
    comparisons: list[Comparison]
    verdict: Literal["PROMOTE", "HOLD"] = Field(description="HOLD: a recipe loses, or cannot be compared")
    gate: GateReport
    run_provenance: RunProvenance
