"""Section: the closing figures of each model."""

from __future__ import annotations

from collections.abc import Sequence

from pyvmaf.reports.elements import Cell, Section, badge, lines, link, mean, number, table, text
from pyvmaf.reports.pages.run.report import Report
from pyvmaf.reports.summary import ModelSummary

_HEAD = ("model", "parameters", "PLCC", "SROCC", "RMSE", "verdict", "ONNX bytes", "int8 bytes", "int8 drop", "int8")


def section(report: Report) -> Section:
    """Show size, agreement, verdict and int8 variants of each model."""
    models = report.models
    folds, seeds = _span([m.n_folds for m in models]), _span([len(m.seeds) for m in models])
    caption = (
        f"Agreement with the teacher on held-out sources: mean over {folds} folds, then mean ± standard deviation over "
        f"{seeds} seeds. Sizes and drop are those of the shipped seed; the drop is PLCC of fp32 minus PLCC of int8 on "
        "held-out rows."
    )
    return Section("summary", "Models", (table(caption, _HEAD, [_row(m, report.cards) for m in models]),))


def _row(model: ModelSummary, cards: str | None) -> list[Cell]:
    name, verdict, int8 = model.model, model.verdict, model.int8
    return [
        text(name) if cards is None else link(f"{cards}/{name}.html", name),
        number(model.n_params),
        mean(model.loso.plcc.as_json(), 4),
        mean(model.loso.srocc.as_json(), 4),
        mean(model.loso.rmse.as_json(), 3),
        text("not judged") if verdict is None else badge(verdict == "PROMOTE", verdict),
        number(model.onnx_bytes),
        lines([number(variant.bytes) for variant in int8], number=True),
        lines([number(variant.drop, 5) for variant in int8], number=True),
        lines([badge(v.passed, f"within {v.budget:g}" if v.passed else "refused") for v in int8]),
    ]


def _span(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"
