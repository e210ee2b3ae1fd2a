"""The page and the text of a sweep."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from pyvmaf.checks.sweep.charts import curves
from pyvmaf.checks.sweep.document import Comparison, Group, Point, SweepReport
from pyvmaf.models.gates.gate import shown
from pyvmaf.reports import markdown as md
from pyvmaf.reports.elements import Cell, Figure, Folded, Page, Section, number, paragraph, render, table, text
from pyvmaf.reports.gates import gate_table

_BARE = "bare"

_COMPARED = (
    *("encoder", "preset", "rate mode", "recipe", "options"),
    *("VMAF at equal bitrate", "worst source", "5th percentile", "BD-rate %", "time"),
)
_FRONT = ("preset", "recipe", "CRF", "kbit/s", "mean VMAF", "5th percentile", "seconds", "on the front of")


class Subject(NamedTuple):
    """What the page shows: the report, and every encode of each group."""

    report: SweepReport
    groups: Mapping[tuple[str, ...], Sequence[Point]]


def verdict_section(subject: Subject) -> Section:
    """Show the limits and what was measured beside them."""
    report = subject.report
    rows = report.gate.rows or ()
    if not rows:
        return Section("verdict", "Verdict", (paragraph("The sweep has no recipes to compare with the bare encoder."),))
    return Section("verdict", f"Verdict: {report.verdict}", (gate_table("Recipes against the bare encoder", rows),))


def recipes_section(subject: Subject) -> Section | None:
    """Show the mean differences of each recipe, and those of each clip."""
    compared = subject.report.comparisons
    if not compared:
        return None
    means = table("Means over sources", _COMPARED, [_cells(item) for item in compared])
    clips = table(
        "Every clip",
        (
            "encoder",
            "preset",
            "recipe",
            "clip",
            "VMAF at equal bitrate",
            "5th percentile",
            "BD-rate %",
            "kbit/s",
            "why not",
        ),
        [
            [
                *(text(word) for word in (item.encoder, item.preset, item.recipe, clip.clip)),
                number(clip.vmaf_mean, 3, sign=True),
                number(clip.vmaf_p5, 3, sign=True),
                number(clip.bd_rate_percent, 2, sign=True),
                text("" if clip.from_kbps is None else f"{clip.from_kbps:.0f} to {clip.to_kbps:.0f}"),
                text(clip.why or ""),
            ]
            for item in compared
            for clip in item.clips
        ],
    )
    about = paragraph(
        "Quality at equal bitrate is the mean distance of two curves over the logarithm of the bitrates that both have "
        "(PCHIP); BD-rate is the bitrate that a recipe needs more for the same quality; time is that of its encodes over "
        "that of the bare ones."
    )
    return Section("recipes", "Recipes", (about, means, Folded("The differences on each clip", clips)))


def fronts_section(subject: Subject) -> Section:
    """Draw the encodes of each encoder, and list those on a front."""
    elements: list[Figure | Folded] = []
    data: dict[str, dict[str, list[object]]] = {}
    kinds = dict.fromkeys(key[3:] for key in subject.groups)
    for index, (encoder, mode) in enumerate(kinds):
        own = {key: points for key, points in subject.groups.items() if key[3:] == (encoder, mode)}
        name = f"encodes{index}"
        data[name] = _columns(own)
        lines = list(dict.fromkeys(str(line) for line in data[name]["line"]))
        caption = f"{encoder}, {mode}: mean VMAF of each encode against its bitrate (logarithmic), per clip."
        elements.append(Figure(name, curves(name, lines), caption))
    for group in subject.report.groups:
        title = f"{_named(group)}: {len(group.pareto)} of {group.n_encodes} encodes are on a front"
        elements.append(Folded(title, table(title, _FRONT, [_point(point) for point in group.pareto])))
    return Section("fronts", "Pareto fronts", tuple(elements), data)


SECTIONS: tuple[Callable[[Subject], Section | None], ...] = (verdict_section, recipes_section, fronts_section)
"""The sections of the page, in order; a section without contents returns None."""


def build_page(report: SweepReport, groups: Mapping[tuple[str, ...], Sequence[Point]]) -> str:
    """Return the page as HTML text."""
    subject = Subject(report, groups)
    return render(
        Page(
            title="Sweep of encodes",
            lede=_summary(report),
            verb="analyze-sweep",
            sections=tuple(section for make in SECTIONS if (section := make(subject)) is not None),
        )
    )


def markdown(report: SweepReport) -> str:
    """Return the report as a page of Markdown."""
    lines = ["# Sweep of encodes", "", f"{report.verdict}: {_summary(report)}", ""]
    lines += md.table(
        ("gate", "measured", "limit", "passed"),
        ((row.what, row.measured, row.limit, "yes" if row.passed else "NO") for row in report.gate.rows or ()),
    )
    lines += md.table(_COMPARED, ([cell.text for cell in _cells(item)] for item in report.comparisons))
    for group in report.groups:
        lines += [f"## {md.cell(_named(group))}", ""]
        lines += md.table(_FRONT, ([cell.text for cell in _point(point)] for point in group.pareto))
    return "\n".join(lines).rstrip() + "\n"


def _summary(report: SweepReport) -> str:
    recipes = len(report.comparisons)
    what = f"{report.n_encodes} encodes of {report.n_sources} sources, {recipes} recipe{'' if recipes == 1 else 's'}"
    return f"{what}; {'; '.join(report.gate.reasons) or 'no recipe loses'}."


def _named(group: Group) -> str:
    return f"{group.clip}, {group.encoder}, {group.rate_mode}"


def _cells(item: Comparison) -> list[Cell]:
    return [
        *(text(word) for word in (item.encoder, item.preset, item.rate_mode, item.recipe, item.options)),
        number(item.vmaf_mean, 3, sign=True),
        number(item.vmaf_mean_worst, 3, sign=True),
        number(item.vmaf_p5, 3, sign=True),
        number(item.bd_rate_percent, 2, sign=True),
        text(shown(item.time_ratio, 2)),
    ]


def _point(point: Point) -> list[Cell]:
    fronts = (("mean", point.front_mean), ("p5", point.front_p5), ("time", point.front_time), ("hull", point.hull))
    return [
        text(point.preset),
        text(point.recipe or _BARE),
        number(point.crf),
        number(point.kbps, 1),
        number(point.vmaf_mean, 3),
        number(point.vmaf_p5, 3),
        number(point.encode_seconds, 2),
        text(", ".join(name for name, on in fronts if on)),
    ]


def _columns(groups: Mapping[tuple[str, ...], Sequence[Point]]) -> dict[str, list[object]]:
    rows = [
        {
            "panel": key[2],
            "line": f"{point.preset} {point.recipe or _BARE}".strip(),
            "crf": point.crf,
            "kbps": point.kbps,
            "vmaf": point.vmaf_mean,
            "low": point.vmaf_p5,
            "seconds": point.encode_seconds,
            "front": "on the front" if point.front_mean else "behind it",
        }
        for key, points in groups.items()
        for point in points
    ]
    return {name: [row[name] for row in rows] for name in rows[0]}
