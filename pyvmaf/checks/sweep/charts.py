"""The chart of the page of a sweep, as a Vega-Lite specification over a named data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from pyvmaf.reports.charts import specification

_SIDE = 250


def curves(data: str, lines: Sequence[str]) -> dict[str, Any]:
    """Draw mean VMAF against bitrate (logarithmic), a panel per clip and a line per preset and recipe.

    Args:
        data: name of the data set: columns panel, line, crf, kbps, vmaf, low, seconds, front.
        lines: every preset with every recipe.
    """
    picked = alt.selection_point(fields=["line"], bind="legend", name="pick")
    legend = alt.Legend(orient="bottom", columns=4, labelLimit=300)
    base = alt.Chart(name="encodes").encode(
        x=alt.X("kbps:Q", scale=alt.Scale(type="log", nice=False, padding=8), title="kbit/s",
                axis=alt.Axis(format="~s", tickCount=4, labelOverlap="greedy")),
        y=alt.Y("vmaf:Q", scale=alt.Scale(zero=False), title="mean VMAF"),
        color=alt.Color("line:N", scale=alt.Scale(domain=list(lines)), title=None, legend=legend),
        opacity=alt.condition(picked, alt.value(1), alt.value(0.08)),
    )  # fmt: skip
    tooltip = [
        alt.Tooltip("line:N", title="preset and recipe"),
        alt.Tooltip("crf:Q", title="CRF"),
        alt.Tooltip("kbps:Q", format=".1f", title="kbit/s"),
        alt.Tooltip("vmaf:Q", format=".3f", title="mean VMAF"),
        alt.Tooltip("low:Q", format=".3f", title="5th percentile"),
        alt.Tooltip("seconds:Q", format=".2f"),
        alt.Tooltip("front:N", title="Pareto"),
    ]
    shape = alt.Shape("front:N", scale=alt.Scale(domain=["on the front", "behind it"]), title=None)
    drawn = base.mark_line(strokeWidth=1.3).properties(name="lines")
    marks = base.mark_point(size=34, filled=True).encode(shape=shape, tooltip=tooltip)
    layered = alt.layer(drawn, marks.properties(name="marks").add_params(picked), data=alt.NamedData(data))
    panel = alt.Facet("panel:N", title=None, sort=None, header=alt.Header(labelFontSize=12))
    drawing = layered.properties(width=_SIDE, height=_SIDE - 50).facet(facet=panel, columns=4)
    return specification(drawing.resolve_scale(x="independent", y="independent"))
