"""Section: the verdict of each model."""

from __future__ import annotations

from pyvmaf.reports.elements import Element, Heading, Section, badge
from pyvmaf.reports.gates import gate_table
from pyvmaf.reports.pages.run.report import Report


def section(report: Report) -> Section | None:
    """Show every row of every verdict."""
    elements: list[Element] = []
    for model in report.run.models.values():
        if model.verdict is not None:
            word = str(model.verdict["verdict"])
            outcome = badge(word == "PROMOTE", word)
            elements += [Heading(model.name, outcome), gate_table(f"Gates of {model.name}", model.verdict)]
    return Section("verdicts", "Verdicts", tuple(elements)) if elements else None
