"""Section: scores of each shot."""

from __future__ import annotations

import numpy as np

from pyvmaf.features.pool import pool
from pyvmaf.reports.elements import Cell, Element, Folded, Section, number, paragraph, table, text
from pyvmaf.reports.pages.score.subject import Subject
from pyvmaf.scoring.scores import Scores

_SHOWN = 12
_MOST = 500
_FIGURES = ("mean", "p5", "min")


def section(subject: Subject) -> Section | None:
    """Show the shots with the lowest scores of the best version, and all of them folded away."""
    if subject.first.cuts is None:
        return None
    key = f"{subject.prefix}shots"
    shots = shots_of(subject.first)
    if len(shots) < 2:
        return Section(key, "Shots", (paragraph("The reference is a single shot."),))
    rows = [_row(subject, first, last) for first, last in shots]
    means = [float(np.nanmean(_values(subject.first, subject, first, last))) for first, last in shots]
    lowest = [rows[index] for index in np.argsort(means, kind="stable")[:_SHOWN]]
    head = ("frames", "time", *(f"{subject.headline} {name}" for name in _FIGURES))
    of = f" of {subject.names[0]}" if subject.several else ""
    elements: list[Element] = [table(f"Shots with the lowest mean {subject.headline}{of}", head, lowest)]
    if len(rows) > _SHOWN:
        most = f", the first {_MOST}" if len(rows) > _MOST else ""
        elements.append(Folded(f"All {len(rows)} shots{most}", table(f"Shots in their order{of}", head, rows[:_MOST])))
    return Section(key, "Shots", tuple(elements))


def shots_of(scores: Scores) -> list[tuple[int, int]]:
    """Return the first and last frame of each shot that has scores."""
    frames = scores.frame_index
    starts = [int(frames[0]), *(cut for cut in scores.cuts or [] if frames[0] < cut <= frames[-1])]
    ends = [*(start - 1 for start in starts[1:]), int(frames[-1])]
    return [
        (first, last)
        for first, last in zip(starts, ends, strict=True)
        if ((frames >= first) & (frames <= last) & np.isfinite(scores[scores.headline])).any()
    ]


def _values(scores: Scores, subject: Subject, first: int, last: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    inside = (scores.frame_index >= first) & (scores.frame_index <= last)
    return np.asarray(scores[subject.headline][inside])


def _row(subject: Subject, first: int, last: int) -> list[Cell]:
    figures = pool(_values(subject.first, subject, first, last), _FIGURES)
    times = f"{subject.time(first)} to {subject.time(last + 1)}" if subject.rate else ""
    return [text(f"{first} to {last}"), text(times), *(number(figures[name], 3) for name in _FIGURES)]
