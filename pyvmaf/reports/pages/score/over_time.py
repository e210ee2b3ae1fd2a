"""Section: scores and features over time."""

from __future__ import annotations

from typing import Any

from pyvmaf.reports.elements import Element, Figure, Section, paragraph
from pyvmaf.reports.pages.score import charts
from pyvmaf.reports.pages.score.subject import Subject
from pyvmaf.reports.pages.score.thin import POINTS, Curve, digits, thinned

MOST_LINES = 7
"""Versions whose lines are drawn."""

Columns = dict[str, list[Any]]


def section(subject: Subject) -> Section:
    """Show the scores of every version, or of every model, frame by frame, and the features of a single one."""
    scores = subject.first
    if subject.several:
        drawn = list(zip(subject.names, subject.versions, strict=True))[:MOST_LINES]
        lines = {name: thinned(version.scores.frame_index, version.scores[subject.headline]) for name, version in drawn}
        title, labels = subject.headline, subject.names
    else:
        lines = {name: thinned(scores.frame_index, scores[name]) for name in subject.models or (subject.headline,)}
        title, labels = subject.headline if len(lines) == 1 else "score", [subject.headline]
    key, marks = f"{subject.prefix}curve", (f"{subject.prefix}cuts", f"{subject.prefix}shown")
    data = {key: _columns(subject, lines), marks[0]: _cuts(subject), marks[1]: _shown(subject, labels)}
    several = [
        f"{len(subject.versions)} versions, the best {MOST_LINES} of them."
        if len(subject.versions) > MOST_LINES
        else ""
    ]
    stretch = (
        ""
        if len(scores) <= POINTS
        else (
            f" Each point is the mean of {len(scores) / POINTS:.0f} frames; the band is from the lowest to the highest of them."
        )
    )
    caption = " ".join(part for part in [*several, *_legend(subject)] if part) + stretch
    elements: list[Element] = [Figure(key, charts.curves(key, marks, list(lines), title, subject.unit), caption)]
    if subject.features and not subject.several:
        name = f"{subject.prefix}features"
        curves = {feature: thinned(scores.frame_index, scores[feature]) for feature in subject.features}
        data[name] = _columns(subject, curves)
        elements.append(Figure(name, charts.strips(name, list(curves), subject.unit), f"Features over time.{stretch}"))
    elements.append(paragraph("Drag or scroll in a chart to look at a part of it, and click twice to see it whole."))
    return Section(f"{subject.prefix}time", "Over time", tuple(elements), data)


def _legend(subject: Subject) -> list[str]:
    words = ["Scores over time."]
    if subject.first.cuts:
        words.append("Dashed lines are the first frames of shots.")
    if subject.stills:
        words.append("Circles are the frames that are shown below.")
    return words


def _columns(subject: Subject, curves: dict[str, Curve]) -> Columns:
    data: Columns = {"series": [], "at": [], "frame": [], "low": [], "mean": [], "high": []}
    for name, curve in curves.items():
        data["series"] += [name] * curve.frame.size
        data["at"] += digits(subject.seconds(curve.at))  # type: ignore[arg-type]
        data["frame"] += curve.frame.tolist()
        for column, values in curve.columns.items():
            data[column] += values
    return data


def _cuts(subject: Subject) -> Columns:
    inside = [cut for cut in subject.first.cuts or [] if cut in subject.first.frame_index]
    return {"at": [cut / (subject.rate or 1) for cut in inside], "frame": inside}


def _shown(subject: Subject, labels: list[str]) -> Columns:
    data: Columns = {"series": [], "at": [], "frame": [], "mean": []}
    for still in subject.stills:
        scores = subject.versions[still.version].scores
        [row] = (scores.frame_index == still.frame).nonzero()[0]
        data["series"].append(labels[still.version] if subject.several else subject.headline)
        data["at"].append(still.frame / (subject.rate or 1))
        data["frame"].append(still.frame)
        data["mean"].append(float(scores[subject.headline][row]))
    return data
