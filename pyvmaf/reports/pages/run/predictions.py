"""Section: predictions against the teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyvmaf.reports import measures
from pyvmaf.reports.elements import Element, Heading, Section, paragraph
from pyvmaf.reports.pages.agreement import scatter
from pyvmaf.reports.pages.run.report import MOST_PANELS, Report

if TYPE_CHECKING:
    import pandas as pd


def section(report: Report) -> Section | None:
    """Show the held-out predictions of the shipped seed of each model."""
    elements: list[Element] = []
    data: dict[str, pd.DataFrame] = {}
    for model in report.run.models.values():
        seed = model.shown
        if seed.predictions is None or seed.loso is None:
            continue
        key = f"fit-{model.name}"
        data[key], folds = measures.held_out(seed, report.points, MOST_PANELS)
        figure = scatter(
            key,
            data[key],
            folds,
            codecs=report.codecs,
            span=(0.0, 100.0),
            by=seed.loso.split.by,
            about=f"{model.name}, seed {seed.number}",
        )
        elements += [Heading(model.name), figure]
    if not elements:
        return None
    about = paragraph(
        "Each point is a frame of a source that was held out: neither the model's weights nor its scaler were fitted to "
        "it. On the dashed line prediction and teacher agree. Select a codec in the legend to highlight it."
    )
    return Section("fit", "Prediction against teacher", (about, *elements), data)
