"""Section: agreement on held-out rows."""

from __future__ import annotations

from collections.abc import Sequence

from pyvmaf.metrics import spread
from pyvmaf.models.verdicts import FoldFigures
from pyvmaf.reports import charts, measures
from pyvmaf.reports.elements import (
    NONE,
    Cell,
    Element,
    Figure,
    Heading,
    Section,
    Table,
    mean,
    number,
    paragraph,
    table,
    text,
)
from pyvmaf.reports.pages.agreement import constant_folds, scatter
from pyvmaf.reports.pages.card.card import MOST_PANELS, Card
from pyvmaf.reports.read import Seed
from pyvmaf.reports.summary import summarise


def section(card: Card) -> Section:
    """Show the figures of every fold and seed, of every group that was held out, and the predictions."""
    frame = measures.loso_frame(card.run)
    data = {"loso": frame}
    gap = charts.bars(
        "loso", "gap", "1 \N{MINUS SIGN} PLCC (shorter is better)", limit="allowed", tooltips=("plcc", "srocc", "rmse")
    )
    elements: list[Element] = [
        _table(card, "folds", card.by, f"Agreement with {card.target} per held-out {card.by}", means=True),
        Figure(
            "loso-gap",
            gap,
            f"Distance from perfect correlation per held-out {card.by} and seed. The dashed line is the limit of the gate "
            f"for the mean.{constant_folds(frame, model=False)}",
        ),
    ]
    beside = card.loso.beside
    if beside is not None:
        by = beside.by
        elements += [
            Heading(f"Extrapolation to an unseen {by}"),
            _table(card, "beside", by, f"Harder: all rows of one {by} held out", means=False),
        ]
    elif card.loso.no_beside:
        elements.append(paragraph(f"No coarser groups were held out: {card.loso.no_beside}"))
    if card.seed.predictions is not None:
        data["fit"], folds = measures.held_out(card.seed, card.points, MOST_PANELS)
        low, high = (0.0, 100.0) if card.sidecar is None else card.sidecar.expected_output_range
        figure = scatter(
            "fit",
            data["fit"],
            folds,
            codecs=measures.codec_order(card.run, None),
            span=(low, high),
            by=card.by,
            about=f"Seed {card.seed.number}",
        )
        elements += [Heading("Prediction against target"), figure]
    return Section("figures", "Agreement on held-out rows", tuple(elements), data)


def folds_of(seed: Seed, key: str) -> dict[str, FoldFigures]:
    """Return the folds of a seed by what they hold out.

    Args:
        seed: with a cross-validation report.
        key: "folds", or "beside" for the groups that were held out in addition.
    """
    folds = None if seed.loso is None else seed.loso if key == "folds" else seed.loso.beside
    return {} if folds is None else {fold.held_out: fold for fold in folds.folds}


def _table(card: Card, key: str, by: str, caption: str, *, means: bool) -> Table:
    seeds = list(card.model.seeds)
    head = (by, "rows", *(f"PLCC, seed {seed}" for seed in seeds), "PLCC", "SROCC", "RMSE")
    rows = _fold_rows(card, key, seeds)
    simple = _baselines(card) if key == "beside" else {}
    head += tuple(f"SROCC of {name}" for name in simple)
    for row, *figures in zip(rows, *simple.values(), strict=True):
        row += [number(figure, 5) for figure in figures]
    if means:
        rows.append(_mean_row(card, seeds))
    return table(f"{caption}; the last columns are mean ± standard deviation over the seeds", head, rows)


def _fold_rows(card: Card, key: str, seeds: Sequence[int]) -> list[list[Cell]]:
    by_seed = [folds_of(card.model.seeds[seed], key) for seed in seeds]
    rows = []
    for name, shown in folds_of(card.seed, key).items():
        folds = [by_name.get(name) for by_name in by_seed]
        over = {
            f: spread([None if fold is None else getattr(fold, f) for fold in folds]) for f in ("plcc", "srocc", "rmse")
        }
        rows.append(
            [
                text(held_out(name)),
                number(shown.n_val),
                *(number(None if fold is None else fold.plcc, 5) for fold in folds),
                *_means(over),
            ]
        )
    return rows


def _baselines(card: Card) -> dict[str, list[float | None]]:
    """SROCC of each baseline on each group, by its name; none if the report has no baselines."""
    folds = () if card.loso.beside is None else card.loso.beside.folds
    names = dict.fromkeys(name for fold in folds for name in fold.baselines or {})
    return {name: [None if not fold.baselines else fold.baselines[name].srocc for fold in folds] for name in names}


def _mean_row(card: Card, seeds: Sequence[int]) -> list[Cell]:
    summary = summarise(card.run).models[0].loso.as_json()
    losos = [card.model.seeds[seed].loso for seed in seeds]
    plccs = [number(None if loso is None else loso.mean_plcc, 5) for loso in losos]
    return [text("mean over the folds"), Cell(NONE, number=True), *plccs, *_means(summary)]


def _means(figures: dict[str, dict[str, float | None]]) -> list[Cell]:
    return [mean(figures["plcc"], 5), mean(figures["srocc"], 5), mean(figures["rmse"], 3)]


def held_out(name: str) -> str:
    """Return the name of a group without its column ("film0" for "group:film0")."""
    return name.partition(":")[2] or name
