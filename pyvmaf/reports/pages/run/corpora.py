"""Section: the clips of the run."""

from __future__ import annotations

from pyvmaf.reports import measures
from pyvmaf.reports.elements import Section, number, table, text
from pyvmaf.reports.pages.run.report import Report

_HEAD = (
    "clip", "corpus", "source", "group", "size", "frames/s", "frames", "rungs", "rows", "VMAF p1", "median", "p99",
)  # fmt: skip


def section(report: Report) -> Section | None:
    """Show the clips with their formats, rows and range of VMAF."""
    rows = report.rows
    if rows is None:
        return None
    clips = measures.corpora_frame(rows, report.run.records)
    cells = [
        [
            *(text(r[name]) for name in ("clip", "corpus", "source", "group", "size", "rate")),
            *(number(int(r[name])) for name in ("frames", "rungs", "rows")),
            *(number(r[name], 1) for name in ("low", "median", "high")),
        ]
        for r in measures.as_rows(clips)
    ]
    caption = (
        f"{len(clips)} clips of {rows['source'].nunique()} sources and {rows['group'].nunique()} groups: {len(rows)} "
        "rows. A split by source never has the same source on both sides."
    )
    return Section("corpora", "Corpora", (table(caption, _HEAD, cells),))
