"""The charts of the page of scores, as Vega-Lite specifications over named data sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from pyvmaf.reports.charts import specification

_WIDTH = 940


def curves(data: str, marks: Sequence[str], series: Sequence[str], title: str, unit: str) -> dict[str, Any]:
    """Draw scores over time, a line for each series, with a band from the least to the largest of each stretch.

    Args:
        data: name of the data set: columns at, series, frame, low, mean, high.
        marks: names of the data sets of cuts (column at) and of frames that are shown below (columns at, series, mean, frame).
        series: the series, in order.
        title: of the axis.
        unit: what the time is in.
    """
    zoom = alt.selection_interval(bind="scales", encodings=["x"], name="zoom")
    picked = alt.selection_point(fields=["series"], bind="legend", name="pick")
    legend = None if len(series) == 1 else alt.Legend(orient="bottom", columns=3, labelLimit=400)
    colour = alt.Color("series:N", scale=alt.Scale(domain=list(series)), title=None, legend=legend)
    x = alt.X("at:Q", title=unit, scale=alt.Scale(nice=False, zero=False))
    y = alt.Y("mean:Q", title=title, scale=alt.Scale(zero=False))
    base = alt.Chart(alt.NamedData(data)).encode(x=x, color=colour)
    shown = alt.condition(picked, alt.value(0.3), alt.value(0.03))
    band = base.mark_area(line=False).encode(y=alt.Y("low:Q", title=title), y2="high:Q", opacity=shown)
    line = (
        base.mark_line(strokeWidth=1.3, clip=True)
        .encode(
            y=y,
            opacity=alt.condition(picked, alt.value(1), alt.value(0.08)),
            tooltip=[
                alt.Tooltip("series:N"),
                alt.Tooltip("frame:Q"),
                *(alt.Tooltip(f"{name}:Q", format=".3f") for name in ("low", "mean", "high")),
            ],
        )
        .add_params(zoom, picked)
    )
    cuts = (
        alt.Chart(alt.NamedData(marks[0]))
        .mark_rule(strokeDash=[2, 3], color="gray", clip=True)
        .encode(x=x, tooltip=[alt.Tooltip("frame:Q", title="first frame of a shot")])
    )
    points = (
        alt.Chart(alt.NamedData(marks[1]))
        .mark_point(size=50, filled=False, strokeWidth=1.6, clip=True)
        .encode(
            x=x, y=y, color=colour, tooltip=[alt.Tooltip("frame:Q"), alt.Tooltip("mean:Q", format=".3f", title=title)]
        )
    )
    return specification(alt.layer(cuts, band, line, points).properties(width=_WIDTH, height=260))


def strips(data: str, series: Sequence[str], unit: str) -> dict[str, Any]:
    """Draw values over time, one low panel per series.

    Args:
        data: as of `curves`.
        series: the series, in order.
        unit: what the time is in.
    """
    zoom = alt.selection_interval(bind="scales", encodings=["x"], name="zoom")
    base = alt.Chart().encode(x=alt.X("at:Q", title=unit, scale=alt.Scale(nice=False, zero=False)))
    band = base.mark_area(opacity=0.3, line=False).encode(
        y=alt.Y("low:Q", title=None, scale=alt.Scale(zero=False)), y2="high:Q"
    )
    line = (
        base.mark_line(strokeWidth=1.1, clip=True)
        .encode(
            y=alt.Y("mean:Q", scale=alt.Scale(zero=False)),
            tooltip=[
                alt.Tooltip("series:N"),
                alt.Tooltip("frame:Q"),
                *(alt.Tooltip(f"{name}:Q", format=".5g") for name in ("low", "mean", "high")),
            ],
        )
        .add_params(zoom)
    )
    layered = alt.layer(band, line, data=alt.NamedData(data)).properties(width=_WIDTH, height=54)
    header = alt.Header(labelAnchor="start", labelOrient="top", labelPadding=2)
    panel = alt.Row("series:N", title=None, sort=list(series), header=header)
    return specification(layered.facet(row=panel, spacing=6).resolve_scale(y="independent"))


def histogram(data: str, series: Sequence[str], title: str) -> dict[str, Any]:
    """Draw how many frames have which score, one panel per series.

    Args:
        data: name of the data set: columns series, low, high, frames.
        series: the series, in order.
        title: of the axis.
    """
    drawn = (
        alt.Chart(alt.NamedData(data))
        .mark_bar(binSpacing=1)
        .encode(
            x=alt.X("low:Q", bin=alt.BinParams(binned=True), title=title),
            x2="high:Q",
            y=alt.Y("frames:Q", title="frames"),
            tooltip=[alt.Tooltip("series:N"), *(alt.Tooltip(f"{name}:Q") for name in ("low", "high", "frames"))],
        )
        .properties(width=260, height=130)
    )
    facet = alt.Facet("series:N", title=None, sort=list(series), header=alt.Header(labelLimit=260))
    return specification(drawn.facet(facet=facet, columns=3))


def rates(data: str, ladders: Sequence[str], title: str) -> dict[str, Any]:
    """Draw scores against bitrate (logarithmic), one line per ladder.

    Args:
        data: name of the data set: columns ladder, version, kbps, score, low.
        ladders: the ladders, in order.
        title: of the axis of scores.
    """
    legend = None if len(ladders) == 1 else alt.Legend(orient="bottom", columns=2, labelLimit=500)
    colour = alt.Color("ladder:N", scale=alt.Scale(domain=list(ladders)), title=None, legend=legend)
    base = alt.Chart(alt.NamedData(data)).encode(
        x=alt.X("kbps:Q", title="kbit/s", scale=alt.Scale(type="log", nice=False, padding=12),
                axis=alt.Axis(format="~s", labelOverlap="greedy")),
        y=alt.Y("score:Q", title=title, scale=alt.Scale(zero=False, padding=8)),
        color=colour,
    )  # fmt: skip
    points = base.mark_point(size=46, filled=True).encode(
        shape=alt.Shape("ladder:N", scale=alt.Scale(domain=list(ladders)), title=None, legend=legend),
        tooltip=[
            alt.Tooltip("version:N"),
            alt.Tooltip("kbps:Q", format=".1f", title="kbit/s"),
            alt.Tooltip("score:Q", format=".3f", title=title),
            alt.Tooltip("low:Q", format=".3f", title="5th percentile"),
        ],
    )
    return specification(alt.layer(base.mark_line(strokeWidth=1.4), points).properties(width=620, height=300))
