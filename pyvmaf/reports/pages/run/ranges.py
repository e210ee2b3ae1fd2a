"""Section: held-out rows outside of the training range."""

from __future__ import annotations

from pyvmaf.reports import measures
from pyvmaf.reports.elements import NONE, Section, number, table, text
from pyvmaf.reports.pages.run.report import Report

_HEAD = (
    "fold", "models", "rows", "% outside", "feature most often outside", "% of rows", "its range and the training range",
)  # fmt: skip


def section(report: Report) -> Section | None:
    """Show the share of each fold's rows that lie outside of the fold's training range."""
    shares = [] if report.rows is None else measures.out_of_range(report.run, report.rows)
    if not shares:
        return None
    cells = [
        [
            text(share["fold"]),
            text(share["models"]),
            number(share["rows"]),
            number(100 * share["share"], 2),
            text(share["feature"] or NONE),
            number(100 * share["feature_share"], 2),
            text(share["seen"]),
        ]
        for share in shares
    ]
    caption = (
        "Share of a fold's held-out rows, in percent, with a feature outside of the range of the fold's training rows, and "
        "the feature that is outside most often. A network extrapolates there, and its scores are less reliable."
    )
    return Section("range", "Out of range", (table(caption, _HEAD, cells),))
