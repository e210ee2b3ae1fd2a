"""Section: the figures of each column, or of each version, and what the bitrates of ladders differ by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pyvmaf.reports.elements import Cell, Element, Figure, Notes, Section, number, table, text
from pyvmaf.reports.pages.score import charts
from pyvmaf.reports.pages.score.subject import Subject
from pyvmaf.scoring.compare import Difference, Version

_FIGURES = ("mean", "harmonic_mean", "p5", "min")


def section(subject: Subject) -> Section:
    """Show the pooled figures of a pair, or rank versions by their first model."""
    key, data = f"{subject.prefix}figures", dict[str, dict[str, list[Any]]]()
    elements: list[Element] = list(_ranked(subject) if subject.several else _figures(subject))
    points = [(version, name) for version, name in zip(subject.versions, subject.names, strict=True) if version.kbps]
    if subject.several and len(points) > 1:
        name = f"{subject.prefix}rates"
        data[name] = {
            "ladder": [version.ladder for version, _ in points],
            "version": [name for _, name in points],
            "kbps": [round(version.kbps or 0, 3) for version, _ in points],
            "score": [version.scores.figure() for version, _ in points],
            "low": [_low(version) for version, _ in points],
        }
        ladders = list(dict.fromkeys(data[name]["ladder"]))
        title = f"mean {subject.headline}"
        caption = "Mean score against the average bitrate of the video stream (logarithmic), a line per folder."
        elements.append(Figure(name, charts.rates(name, ladders, title), caption))
    differences = [_words(difference, subject.headline) for difference in subject.comparison.differences()]
    if differences:
        elements.append(Notes(tuple(differences)))
    return Section(key, "Versions" if subject.several else "Figures", tuple(elements), data)


def _low(version: Version) -> float | None:
    figures = version.scores.pooled().get(version.scores.headline)
    return None if figures is None else version.scores.figure("p5")


def _figures(subject: Subject) -> Iterator[Element]:
    scores = subject.first
    pools = scores.pooled()
    order = [*subject.models, *(name for name in pools if name not in subject.models)]
    head = ("", *(name.replace("harmonic_mean", "harmonic") for name in scores.pools), "frames")
    rows = [
        [
            text(_titled(subject, name)),
            *(number(pools[name][pool], 4) for pool in scores.pools),
            number(int(pools[name]["count"])),
        ]
        for name in order
    ]
    yield table("Figures of each column over the frames with a value", head, rows)
    clips = {name: summary for name, summary in scores.summaries.items() if summary.get("score") is not None}
    if clips:
        yield table(
            "Scores of the whole video by registered models",
            ("model", "score", "interval"),
            [[text(name), number(summary["score"], 3), text(_interval(summary))] for name, summary in clips.items()],
        )


def _interval(summary: dict[str, object]) -> str:
    interval = summary.get("score_interval")
    return f"{interval['low']:.2f} to {interval['high']:.2f}" if isinstance(interval, dict) else "-"


def _titled(subject: Subject, name: str) -> str:
    model = subject.first.libvmaf_models.get(name, name)
    return name if model == name else f"{name} ({model})"


def _ranked(subject: Subject) -> Iterator[Element]:
    others = [name for name in subject.models if name != subject.headline]
    heads = [f"{subject.headline} {name}".replace("harmonic_mean", "harmonic") for name in _FIGURES]
    rows = []
    for name, version in zip(subject.names, subject.versions, strict=True):
        cells: list[Cell] = [text(name)]
        framewise = subject.headline in version.scores.pooled()
        cells += [number(version.scores.figure(f) if f == "mean" or framewise else None, 3) for f in _FIGURES]
        cells += [number(version.scores.figure(column=column), 3) for column in others]
        cells += [number(version.kbps, 1), number(version.bytes)]
        rows.append(cells)
    head = ("", *heads, *others, "kbit/s", "bytes")
    yield table(f"Versions of {subject.comparison.reference}, the best first", head, rows)


def _words(difference: Difference, column: str) -> str:
    names = f"{difference.other} against {difference.anchor}"
    if difference.rate is None:
        return f"{names}: no BD-rate, {difference.reason}"
    rate = difference.rate
    return (
        f"{names}: BD-rate {rate.percent:+.2f} % (bitrate for equal {column}, from {rate.low:.2f} to {rate.high:.2f})"
    )
