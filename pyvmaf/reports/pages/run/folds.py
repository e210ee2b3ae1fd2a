"""Section: the figures of every fold."""

from __future__ import annotations

from pyvmaf.reports import charts, measures
from pyvmaf.reports.elements import Figure, Section, table, text
from pyvmaf.reports.pages.agreement import HEAD, constant_folds, figure_cells
from pyvmaf.reports.pages.run.report import Report


def section(report: Report) -> Section:
    """Show 1 - PLCC and RMSE of every fold of every seed."""
    frame = measures.loso_frame(report.run)
    values = table(
        "All folds of all seeds",
        ("model", "fold", "seed", *HEAD),
        [[text(r["panel"]), text(r["fold"]), text(r["seed"]), *figure_cells(r)] for r in measures.as_rows(frame)],
    )
    gap = charts.bars(
        "loso", "gap", "1 \N{MINUS SIGN} PLCC (shorter is better)", limit="allowed", tooltips=("plcc", "srocc", "rmse")
    )
    rmse = charts.bars("loso", "rmse", "RMSE in VMAF points (shorter is better)", fmt=".3f", tooltips=("plcc", "srocc"))
    elements = (
        Figure(
            "loso-gap",
            gap,
            "Distance from perfect correlation, 1 \N{MINUS SIGN} PLCC, per fold and seed. The dashed line is the limit "
            f"of the gate for the mean over the folds.{constant_folds(frame, model=True)}",
            values,
        ),
        Figure("loso-rmse", rmse, "Root mean squared error per fold and seed."),
    )
    return Section("loso", "Cross-validation", elements, {"loso": frame})
