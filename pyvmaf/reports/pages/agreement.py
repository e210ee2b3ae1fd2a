"""Charts of agreement that more than one page shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pyvmaf.metrics import FIGURES
from pyvmaf.reports import charts
from pyvmaf.reports.elements import Cell, Figure, number, table, text
from pyvmaf.reports.measures import as_rows

if TYPE_CHECKING:
    import pandas as pd

HEAD = tuple(name.upper() for name in FIGURES)
"""Headings of the columns of `figure_cells`."""


def figure_cells(figures: Mapping[str, Any]) -> list[Cell]:
    """Make a cell of each figure of agreement."""
    return [number(figures[name], 3 if name == "rmse" else 4) for name in FIGURES]


def scatter(
    key: str,
    points: pd.DataFrame,
    folds: Sequence[Mapping[str, Any]],
    *,
    codecs: Sequence[str],
    span: tuple[float, float],
    by: str,
    about: str,
) -> Figure:
    """Draw prediction against target, one panel per fold, with the figures of all folds as a table.

    Args:
        key: name of the chart and of its data set.
        points, folds: as `pyvmaf.reports.measures.held_out` returns them.
        codecs: every codec of the run.
        span: smallest and largest score on the axes, widened to hold all points.
        by: what a fold holds out ("source").
        about: the model and seed.
    """
    scores = points[["prediction", "target"]]
    low, high = min(span[0], float(scores.min().min())), max(span[1], float(scores.max().max()))
    total, panels = sum(fold["n_val"] for fold in folds), points["panel"].nunique()
    drawn = f"all {total} rows" if len(points) == total else f"{len(points)} evenly spaced rows of {total}"
    which = (
        f"per held-out {by}" if panels == len(folds) else f"of the {panels} of {len(folds)} folds with the lowest PLCC"
    )
    values = table(
        f"{about}: agreement per held-out {by}, over all of its rows, recomputed from the predictions",
        ("fold", "rows", *HEAD),
        [[text(fold["held_out"]), number(fold["n_val"]), *figure_cells(fold)] for fold in folds],
    )
    caption = f"{about}: prediction against target {which} ({drawn})."
    return Figure(key, charts.scatter(key, codecs, (low, high)), caption, values)


def constant_folds(frame: pd.DataFrame, *, model: bool) -> str:
    """Name the folds without a PLCC, as a sentence; empty if there are none.

    Args:
        frame: as `pyvmaf.reports.measures.loso_frame` returns it.
        model: whether to name the model, too.
    """
    names = [
        f"{row['panel'] + ', ' if model else ''}{row['fold']}, seed {row['seed']}"
        for row in as_rows(frame[frame["plcc"].isna()])
    ]
    return f" No bar, because the predictions are constant: {'; '.join(names)}." if names else ""
