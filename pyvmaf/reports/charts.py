"""The charts of the pages, as Vega-Lite specifications over named data sets.

A specification holds no data and no colours: the page holds each data set once, and chooses colours for a light or a
dark screen. Parameters and views have fixed names, so that the same run gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

_CELL = 170
DIFFERENCE = "int8 \N{MINUS SIGN} fp32"


def specification(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """Return a chart as values, without what the page sets."""
    spec: dict[str, Any] = chart.to_dict()
    # The page sets the style, and does not load the schema.
    for key in ("config", "$schema"):
        spec.pop(key, None)
    return spec


def _codec(codecs: Sequence[str]) -> alt.Color:
    return alt.Color("codec:N", scale=alt.Scale(domain=list(codecs)), title="codec", legend=alt.Legend(orient="bottom"))


def _codec_shape(codecs: Sequence[str]) -> alt.Shape:
    # Two codecs differ in shape as well as in colour.
    return alt.Shape("codec:N", scale=alt.Scale(domain=list(codecs)), title="codec")


def scatter(data: str, codecs: Sequence[str], span: tuple[float, float]) -> dict[str, Any]:
    """Draw prediction against teacher on held-out rows, one panel per fold.

    Args:
        data: name of the data set: columns panel, codec, clip, rung, frame, target, prediction.
        codecs: every codec of the run, so that each has the same colour everywhere.
        span: smallest and largest score on both axes.
    """
    scale = alt.Scale(domain=list(span), nice=False)
    picked = alt.selection_point(fields=["codec"], bind="legend", name="pick")
    ideal = (
        alt.Chart(alt.InlineData([{"x": v, "y": v} for v in span]))
        .mark_line(strokeDash=[4, 3], strokeWidth=1, color="gray")
        .encode(x=alt.X("x:Q", scale=scale), y=alt.Y("y:Q", scale=scale))
    )
    points = (
        alt.Chart(name="points")
        .mark_point(size=14, filled=True)
        .encode(
            x=alt.X("target:Q", scale=scale, title="teacher"),
            y=alt.Y("prediction:Q", scale=scale, title="prediction"),
            color=_codec(codecs),
            shape=_codec_shape(codecs),
            opacity=alt.condition(picked, alt.value(0.55), alt.value(0.04)),
            tooltip=[
                alt.Tooltip("clip:N"),
                alt.Tooltip("codec:N"),
                alt.Tooltip("rung:N"),
                alt.Tooltip("frame:Q"),
                alt.Tooltip("target:Q", format=".2f", title="teacher"),
                alt.Tooltip("prediction:Q", format=".2f"),
            ],
        )
        .add_params(picked)
    )
    layered = alt.layer(ideal, points, data=alt.NamedData(data)).properties(width=_CELL, height=_CELL)
    return specification(layered.facet(facet=_panel(), columns=5))


def _panel() -> alt.Facet:
    return alt.Facet("panel:N", title=None, sort=None, header=alt.Header(labelFontSize=12))


def bars(
    data: str, field: str, title: str, *, limit: str | None = None, fmt: str = ".4f", tooltips: Sequence[str] = ()
) -> dict[str, Any]:
    """Draw horizontal bars per fold and seed, one panel per model.

    Args:
        data: name of the data set: columns panel, fold, seed, `field`, and those of `limit` and `tooltips`.
        field: the column that the bars show.
        title: of the axis.
        limit: column with the position of a line (the same for all rows of a panel).
        fmt: format of numbers.
        tooltips: further numeric columns to show.
    """
    drawn = (
        alt.Chart(name="bars")
        .mark_bar()
        .encode(
            y=alt.Y("fold:N", title=None, sort=None),
            yOffset=alt.YOffset("seed:N"),
            x=alt.X(f"{field}:Q", title=title, axis=alt.Axis(tickCount=5)),
            color=alt.Color("seed:O", title="seed", legend=alt.Legend(orient="bottom")),
            tooltip=[
                alt.Tooltip("panel:N", title="model"),
                alt.Tooltip("fold:N"),
                alt.Tooltip("seed:N"),
                *(alt.Tooltip(f"{name}:Q", format=fmt) for name in (field, *tooltips)),
            ],
        )
    )
    layers: list[alt.Chart] = [drawn]
    if limit is not None:
        layers.append(
            alt.Chart(name="limit")
            .mark_rule(strokeDash=[5, 3], strokeWidth=1.5, color="#d62728")
            .encode(x=alt.X(f"max({limit}):Q"), tooltip=[alt.Tooltip(f"max({limit}):Q", title="limit")])
        )
    layered = alt.layer(*layers, data=alt.NamedData(data)).properties(width=275, height=alt.Step(9))
    return specification(layered.facet(facet=_panel(), columns=3).resolve_scale(x="independent"))


def curves(data: str, codecs: Sequence[str]) -> dict[str, Any]:
    """Draw mean VMAF against bitrate (logarithmic), one panel per clip, one line per codec.

    Args:
        data: name of the data set: columns panel, codec, rung, kbps, vmaf, low.
        codecs: every codec of the run.
    """
    picked = alt.selection_point(fields=["codec"], bind="legend", name="pick")
    base = alt.Chart(name="rates").encode(
        x=alt.X("kbps:Q", scale=alt.Scale(type="log", nice=False, padding=8), title="kbit/s",
                axis=alt.Axis(format="~s", tickCount=4, labelOverlap="greedy")),
        y=alt.Y("vmaf:Q", scale=alt.Scale(domain=[0, 100]), title="mean VMAF"),
        color=_codec(codecs),
        opacity=alt.condition(picked, alt.value(1), alt.value(0.08)),
    )  # fmt: skip
    tooltip = [
        alt.Tooltip("codec:N"),
        alt.Tooltip("rung:N"),
        alt.Tooltip("kbps:Q", format=".1f", title="kbit/s"),
        alt.Tooltip("vmaf:Q", format=".2f", title="mean VMAF"),
        alt.Tooltip("low:Q", format=".2f", title="5th percentile"),
    ]
    lines = base.mark_line(strokeWidth=1.6).properties(name="lines")
    marks = (
        base.mark_point(size=34, filled=True)
        .encode(shape=_codec_shape(codecs), tooltip=tooltip)
        .properties(name="marks")
        .add_params(picked)
    )
    layered = alt.layer(lines, marks, data=alt.NamedData(data)).properties(width=_CELL - 4, height=_CELL - 20)
    return specification(layered.facet(facet=_panel(), columns=5).resolve_scale(x="independent"))


def difference(data: str, codecs: Sequence[str]) -> dict[str, Any]:
    """Draw int8 minus fp32 against fp32, one panel per int8 variant of the shipped models.

    Args:
        data: name of the data set: columns panel, codec, clip, rung, frame, fp32, delta.
        codecs: every codec of the run.
    """
    points = (
        alt.Chart(name="points")
        .mark_point(size=14, filled=True, opacity=0.5)
        .encode(
            x=alt.X("fp32:Q", title="fp32 score", scale=alt.Scale(zero=False, nice=False, padding=6)),
            y=alt.Y("delta:Q", title=DIFFERENCE),
            color=_codec(codecs),
            shape=_codec_shape(codecs),
            tooltip=[
                alt.Tooltip("clip:N"),
                alt.Tooltip("rung:N"),
                alt.Tooltip("frame:Q"),
                alt.Tooltip("fp32:Q", format=".3f"),
                alt.Tooltip("delta:Q", format="+.3f", title=DIFFERENCE),
            ],
        )
    )
    zero = alt.Chart(alt.InlineData([{"y": 0}])).mark_rule(strokeDash=[4, 3], color="gray").encode(y="y:Q")
    layered = alt.layer(zero, points, data=alt.NamedData(data)).properties(width=260, height=190)
    return specification(layered.facet(facet=_panel(), columns=3).resolve_scale(y="independent"))
