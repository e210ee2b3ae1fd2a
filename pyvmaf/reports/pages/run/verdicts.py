"""Section: the verdict of each model."""

from __future__ import annotations

from pyvmaf.reports.elements import Element, Heading, Section
from pyvmaf.reports.gates import gate_rows, gate_table, outcome
from pyvmaf.reports.pages.run.report import Report


def section(report: Report) -> Section | None:
    """Show every row of every verdict."""
    elements: list[Element] = []
    for model in report.run.models.values():
        if model.verdict is not None:
            rows = gate_rows(model.verdict)
            elements += [Heading(model.name, outcome(model.verdict)), gate_table(f"Gates of {model.name}", rows)]
    return Section("verdicts", "Verdicts", tuple(elements)) if elements else None
