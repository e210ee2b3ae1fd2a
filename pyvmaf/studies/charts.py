"""Pictures of studies: SVG, PNG or one HTML file that opens offline, by the suffix of the file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import altair as alt

from pyvmaf.base.files import atomic_path
from pyvmaf.errors import InputError

if TYPE_CHECKING:
    from pyvmaf.studies.reports import FeatureCorrelation, SignalMixAudit, Tuning

FORMATS = (".svg", ".png", ".html")
_SIZE = 260
_COUNTED = re.compile(r"\b(gradient_|clip)\d+\b")


def check_format(path: Path) -> None:
    """Refuse a picture with an unknown suffix, before hours are spent.

    Raises:
        InputError: the suffix is not one of `FORMATS`.
    """
    if path.suffix not in FORMATS:
        raise InputError(f"a picture's name ends in {', '.join(FORMATS)}, not in {path.suffix!r}: {path}")


def save(chart: alt.TopLevelMixin, path: Path) -> None:
    """Write a chart in the format of the file's suffix."""
    check_format(path)
    with atomic_path(path) as temporary:
        match path.suffix:
            case ".html":
                chart.save(temporary, format="html", inline=True)
            case ".png":
                chart.save(temporary, format="png", scale_factor=2)
            case _:
                chart.save(temporary, format="svg")
                temporary.write_text(_numbered_anew(temporary.read_text("utf-8")), "utf-8")


def _numbered_anew(svg: str) -> str:
    """Number gradients and clips by picture: the renderer counts them over the life of the process."""
    names: dict[str, str] = {}
    return _COUNTED.sub(lambda m: names.setdefault(m[0], f"{m[1]}{len(names)}"), svg)


def trials_chart(report: Tuning) -> alt.TopLevelMixin:
    """Draw the objective over the trials with the best so far, and over each parameter."""
    rows, best = [], None
    for trial in report.trials:
        value = trial.value
        if value is not None:
            best = value if best is None else min(best, value)
        elif trial.on_the_way:
            value = trial.on_the_way[-1][1]
        if value is None:
            continue
        # Vega-Lite would read the dots in a path as steps into an object.
        params = {f"p{i}": _plain(trial.params[name]) for i, name in enumerate(report.space)}
        rows.append({"trial": trial.trial, "state": trial.state, "value": value, "best": best, **params})
    title = f"{report.objective.name} on held-out rows"
    y = alt.Y("value:Q", title=title, scale=alt.Scale(type="log"))
    state = alt.Color("state:N", scale=alt.Scale(domain=["complete", "pruned"]), title=None)
    shape = alt.Shape("state:N", scale=alt.Scale(domain=["complete", "pruned"]), title=None)
    fields = {
        name: (f"p{i}:N" if spec.startswith("choice:") else f"p{i}:Q")
        for i, (name, spec) in enumerate(report.space.items())
    }
    tooltip = ["trial:Q", "state:N", "value:Q", *(alt.Tooltip(field, title=name) for name, field in fields.items())]
    data = alt.InlineData(rows)
    points = alt.Chart(data).mark_point(filled=True, size=36).encode(
        x=alt.X("trial:Q", title="trial", axis=alt.Axis(tickMinStep=1)), y=y, color=state, shape=shape, tooltip=tooltip
    )  # fmt: skip
    line = alt.Chart(data).mark_line(interpolate="step-after", color="gray").encode(x="trial:Q", y="best:Q")
    panels: list[Any] = [alt.layer(line, points).properties(width=_SIZE, height=_SIZE)]
    for name, spec in report.space.items():
        x = alt.X(fields[name], title=name)
        if not spec.startswith("choice:"):
            x = x.scale(type="log").axis(tickCount=4) if spec.endswith(":log") else x.scale(zero=False)
        panel = alt.Chart(data).mark_point(filled=True, size=36).encode(
            x=x, y=y, color=state, shape=shape, tooltip=tooltip
        )  # fmt: skip
        panels.append(panel.properties(width=_SIZE, height=_SIZE))
    return alt.concat(*panels, columns=3).properties(title=f"{report.model}: {report.study.name}")


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def heat_map(report: FeatureCorrelation) -> alt.TopLevelMixin:
    """Draw Pearson's r of every pair of columns, the target last."""
    names, matrix = report.pearson.columns, report.pearson.r
    rows = [
        {"a": a, "b": b, "r": matrix[i][j], "label": f"{matrix[i][j]:.2f}"}
        for i, a in enumerate(names)
        for j, b in enumerate(names)
    ]
    base = alt.Chart(alt.InlineData(rows)).encode(
        x=alt.X("a:N", sort=names, title=None, axis=alt.Axis(labelAngle=-50)), y=alt.Y("b:N", sort=names, title=None)
    )
    cells = base.mark_rect().encode(
        color=alt.Color("r:Q", scale=alt.Scale(domain=[-1, 0, 1], range=["#b2182b", "#f7f7f7", "#2166ac"])),
        tooltip=["a:N", "b:N", alt.Tooltip("r:Q", format=".4f")],
    )
    words = base.mark_text(fontSize=9).encode(
        text="label:N", color=alt.condition("abs(datum.r) > 0.7", alt.value("white"), alt.value("black"))
    )
    side = 34 * len(names)
    return alt.layer(cells, words).properties(
        width=side, height=side, title=f"Pearson's r over {report.n_rows_clean} rows of {report.table.name}"
    )


def mix_chart(report: SignalMixAudit) -> alt.TopLevelMixin:
    """Draw what a model loses without each group, what it loses if the group is permuted, and the group's coverage."""
    rows = [
        {
            "group": group.name,
            "loss": group.loss.rmse,
            "low": group.loss.rmse - (group.loss.std_rmse or 0.0),
            "high": group.loss.rmse + (group.loss.std_rmse or 0.0),
            "permuted": group.contribution.rmse,
            "coverage": group.coverage,
        }
        for group in report.groups
    ]
    names = [group.name for group in report.groups]
    data = alt.InlineData(rows)
    y = alt.Y("group:N", sort=names, title=None)
    tooltip: list[Any] = [
        "group:N",
        *(alt.Tooltip(f"{name}:Q", format=".4f") for name in ("loss", "permuted", "coverage")),
    ]
    base = alt.Chart(data).encode(y=y, tooltip=tooltip)
    loss = alt.layer(
        base.mark_bar().encode(x=alt.X("loss:Q", title="RMSE more without the group, mean and std over folds")),
        base.mark_rule(color="black").encode(x=alt.X("low:Q"), x2="high:Q"),
    )
    permuted = base.mark_bar().encode(x=alt.X("permuted:Q", title="RMSE more with the group permuted"))
    coverage = base.mark_bar().encode(
        x=alt.X("coverage:Q", title="rows with every column", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%"))
    )
    side = 22 * len(names)
    panels = [panel.properties(width=_SIZE, height=side) for panel in (loss, permuted, coverage)]
    return alt.hconcat(*panels).properties(
        title=f"{report.table.name}: {report.target} from {len(report.columns)} columns, RMSE {report.whole.mean_rmse:.3g}"
    )
