"""Section: conversions, notes, and what is known of the files."""

from __future__ import annotations

import json

from pyvmaf.reports.elements import Element, Notes, Section, Table, facts, paragraph, table, text
from pyvmaf.reports.pages.score.subject import Subject

_FEW = 3
"""Files that stand beside one another."""


def section(subject: Subject) -> Section:
    """Show how the files were read, doubts about the scores, and facts of the files."""
    reading = subject.first.reading
    elements: list[Element] = []
    if reading:
        rows = [
            (name, text(json.dumps(value) if isinstance(value, dict | list) else value))
            for name, value in reading.items()
        ]
        elements.append(facts("Conversions and selections that were asked for", rows))
    else:
        elements.append(paragraph("Nothing was converted: the samples were compared as they are coded."))
    notes: dict[str, None] = {}
    for version in subject.versions:
        notes |= dict.fromkeys(version.scores.notes)
        notes |= dict.fromkeys(f"{name}: {reason}" for name, reason in version.scores.unavailable.items())
    notes |= dict.fromkeys(note for version in subject.versions if (note := version.scores.smaller_screens()))
    if notes:
        elements.append(Notes(tuple(notes)))
    if any(subject.facts.values()):
        elements.append(_files(subject))
    return Section(f"{subject.prefix}files", "Conversions and files", tuple(elements))


def _files(subject: Subject) -> Table:
    """A row per fact of a few files, or a row per file of many."""
    known = {path: dict(values) for path, values in subject.facts.items()}
    names = list(dict.fromkeys(name for values in known.values() for name in values))
    if len(known) <= _FEW:
        rows = [[text(name), *(text(values.get(name, "")) for values in known.values())] for name in names]
        return table("Files", ("", *known), rows)
    return table(
        "Files", ("", *names), [[text(p), *(text(v.get(name, "")) for name in names)] for p, v in known.items()]
    )
