"""The report of the audit as a document."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from pyvmaf.base.document import Count, Document, Part, Positive, RunProvenance, Size


class Cost(Part):
    """Expected cost of jobs, from the benchmark files of earlier runs."""

    cpu_minutes: Size
    unmeasured_jobs: Count = Field(description="Jobs whose rule was never measured: the minutes leave them out.")


class RuleCost(Cost):
    """Jobs of one rule."""

    rule: str
    jobs: Positive
    pending: Count


class Following(Part):
    """Jobs of one rule that run because of other jobs."""

    rule: str
    jobs: Positive


class Group(Cost):
    """Jobs of one rule with the same reasons of their own."""

    rule: str
    reasons: list[str] = Field(min_length=1)
    jobs: Positive
    examples: list[str] = Field(min_length=1)
    then: list[Following] = Field(description="Jobs that run because of these.")
    then_cpu_minutes: Size


class PlannedFile(Part):
    """A file that would be made again."""

    path: str
    rule: str
    group: Count | None = Field(description="Index in `groups`; null for a file without reasons of its own.")
    because: list[str] = Field(min_length=1)


class Unseen(Part):
    """A problem of the results that Snakemake cannot see."""

    kind: Literal[
        "changed",
        "missing",
        "unaccounted",
        "stale",
        "conflict",
        "manifest",
        "link",
        "unreadable",
        "cache",
        "registry",
        "orphan",
        "package",
    ]
    path: str
    message: str


class Audit(Cost, Document):
    """The jobs of the next run, their reasons, followers and cost."""

    title: ClassVar[str] = "Report of vmaf-train audit: the next run, its reasons and its cost"

    schema_version: Literal[1] = 1
    arguments: list[str] = Field(description="Targets and options of Snakemake.")
    nothing_to_do: bool = Field(description="No job is pending, and there is nothing unseen.")
    jobs: Count = Field(description="Jobs of the plan that make files.")
    pending: Count = Field(description="Jobs that would run.")
    only_times: Count = Field(
        default=0,
        description="Pending jobs whose inputs are only newer: their bytes are those recorded. 0 with --quick.",
    )
    touch: bool = Field(
        default=False,
        description="All pending jobs are such jobs or follow them: `snakemake --touch` would make everything up to date.",
    )
    rules: list[RuleCost]
    groups: list[Group]
    artefacts: list[PlannedFile]
    unseen: list[Unseen] | None = Field(description="null if the results were not examined.")
    run_provenance: RunProvenance
