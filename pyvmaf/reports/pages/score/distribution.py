"""Section: how many frames have which score."""

from __future__ import annotations

from typing import Any

import numpy as np

from pyvmaf.reports.elements import Figure, Section, number, table, text
from pyvmaf.reports.pages.score import charts
from pyvmaf.reports.pages.score.subject import Subject

_BINS = 40
_MOST = 9
_POINTS = (0, 1, 5, 10, 25, 50, 75, 90, 95, 99, 100)


def section(subject: Subject) -> Section | None:
    """Show a histogram of each model, or of the headline of each version, and its percentiles."""
    if subject.several:
        named = zip(subject.names, subject.versions, strict=True)
        columns = {name: version.scores[subject.headline] for name, version in named}
    else:
        columns = {name: subject.first[name] for name in subject.models or (subject.headline,)}
    finite = {name: values[np.isfinite(values)] for name, values in columns.items()}
    finite = {name: values for name, values in finite.items() if values.size}
    if not finite:
        return None
    drawn = dict(list(finite.items())[:_MOST])
    low, high = min(v.min() for v in drawn.values()), max(v.max() for v in drawn.values())
    edges = np.linspace(np.floor(low), max(np.ceil(high), np.floor(low) + 1), _BINS + 1)
    data: dict[str, list[Any]] = {"series": [], "low": [], "high": [], "frames": []}
    for name, values in drawn.items():
        counts, _ = np.histogram(values, edges)
        data["series"] += [name] * _BINS
        data["low"] += [float(f"{edge:.6g}") for edge in edges[:-1]]
        data["high"] += [float(f"{edge:.6g}") for edge in edges[1:]]
        data["frames"] += counts.tolist()
    key = f"{subject.prefix}distribution"
    title = subject.headline if subject.several or len(drawn) == 1 else "score"
    figure = Figure(key, charts.histogram(key, list(drawn), title), "Number of frames by score.")
    percentiles = table(
        f"Percentiles of {title}",
        ("", *(f"p{point}" for point in _POINTS)),
        [
            [text(name), *(number(float(point), 3) for point in np.percentile(values, _POINTS))]
            for name, values in finite.items()
        ],
    )
    return Section(key, "Distribution", (figure, percentiles), {key: data})
