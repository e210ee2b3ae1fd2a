"""Section: the gates of the verdict."""

from __future__ import annotations

from pyvmaf.reports.elements import Element, Section, paragraph
from pyvmaf.reports.gates import gate_rows, gate_table
from pyvmaf.reports.pages.card.card import Card


def section(card: Card) -> Section:
    """Show every row of the verdict."""
    verdict = card.model.verdict
    if verdict is None:
        return Section("gates", "Gates", (paragraph("The model was not judged."),))
    elements: list[Element] = [gate_table("All gates with measured values and limits", gate_rows(verdict))]
    if card.held is not None:
        elements.append(paragraph(f"Held: {card.held.reason}."))
    elements.append(paragraph(f"Recommendation of the verdict: {verdict.recommendation}."))
    return Section("gates", "Gates", tuple(elements))
