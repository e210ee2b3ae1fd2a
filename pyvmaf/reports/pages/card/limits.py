"""Section: the limits of use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pyvmaf.models.shown import Ranges
from pyvmaf.models.verdicts import FoldFigures
from pyvmaf.reports import measures
from pyvmaf.reports.elements import NONE, Element, Heading, Notes, Section, Table, number, table, text
from pyvmaf.reports.pages.card.card import TEACHER, Card
from pyvmaf.reports.pages.card.figures import folds_of, held_out


def section(card: Card) -> Section:
    """Show warnings, the range of each input, and the held-out rows outside of it."""
    elements: list[Element] = [Heading("Not suitable for"), Notes(tuple(_warnings(card)))]
    if card.shown is not None and card.shown.ranges is not None:
        elements.append(_ranges(card.shown.ranges))
    shares = _outside(card)
    if shares:
        elements.append(_outside_table(card.by, shares))
    return Section("limits", "Limits of use", tuple(elements))


def _warnings(card: Card) -> Iterator[str]:
    if not card.ships:
        why = f": {card.held.reason}" if card.held else ""
        yield f"Any use but experiments: the model is not shipped{why}."
    if card.target == TEACHER:
        yield "Replacing viewers: the model imitates a teacher, VMAF of libvmaf, and repeats the teacher's errors."
    yield _unlike(card)
    yield from _elsewhere(card)
    by = None if card.loso.beside is None else card.loso.beside.by
    beside = [fold for seed in card.model.seeds.values() for fold in folds_of(seed, "beside").values()]
    if beside:
        worst = _worst(beside)
        yield (
            f"Material of another {by}, without a check: on the worst unseen one, "
            f"{held_out(worst.held_out)}, PLCC was {_plcc(worst)}."
        )
    if card.shown is not None:
        yield from card.shown.warnings
    rows = card.rows
    if rows is not None and card.target in rows.columns:
        low, high = rows[card.target].quantile([0.01, 0.99])
        yield (
            f"Scores outside of the training range: 98 % of the training rows have {card.target} between {low:.1f} and "
            f"{high:.1f}."
        )
    if rows is not None and "codec" in rows.columns:
        # Pictures of pristine clips, and images, are of no codec.
        codecs = sorted(rows["codec"].dropna().unique())
        if codecs:
            yield f"Other encoders, without a check: the training rows are of {', '.join(codecs)}."


def _unlike(card: Card) -> str:
    worst = _worst([fold for seed in card.model.seeds.values() for fold in folds_of(seed, "folds").values()])
    return (
        f"Material unlike its {card.loso.n_folds} sources, without a check: on the worst of them, "
        f"{worst.held_out}, PLCC was {_plcc(worst)} and RMSE {worst.rmse:.2f}."
    )


def _elsewhere(card: Card) -> Iterator[str]:
    """Say that the error of the figures is that of rows like those of the table."""
    mean = card.loso.mean_rmse
    if mean is None:
        return
    beside = [fold for seed in card.model.seeds.values() for fold in folds_of(seed, "beside").values()]
    errors = [(fold.rmse, fold.held_out) for fold in beside if fold.rmse is not None]
    worst = f" (up to {max(errors)[0]:.2f} on {held_out(max(errors)[1])}, held out whole)" if errors else ""
    yield (
        f"An error as small as the RMSE of the cross-validation, {mean:.2f}, on other material{worst}: models of "
        "few scenes had up to three times that RMSE on clips of other films, and more where no training row is like the "
        "inputs."
    )


def _worst(folds: list[FoldFigures]) -> FoldFigures:
    # A fold without a PLCC (constant predictions) is worse than any other.
    return min(folds, key=lambda fold: -1.0 if fold.plcc is None else fold.plcc)


def _plcc(fold: FoldFigures) -> str:
    return "not defined" if fold.plcc is None else f"{fold.plcc:.4f}"


def _ranges(ranges: Ranges) -> Table:
    rows = [
        [number(value) if isinstance(value, float) else text(value or NONE) for value in row] for row in ranges.rows
    ]
    return table(ranges.caption, ranges.head, rows)


def _outside(card: Card) -> list[dict[str, Any]]:
    rows = card.rows
    if rows is None or card.loso.split.protocol != "leave_one_out" or card.by not in rows.columns:
        return []
    if not set(card.seed.features) <= set(rows.columns):
        return []
    return measures.out_of_range(card.run, rows)


def _outside_table(by: str, shares: list[dict[str, Any]]) -> Table:
    rows = [
        [
            text(share["fold"]),
            number(share["rows"]),
            number(100 * share["share"], 2),
            text(share["feature"] or NONE),
            text(share["seen"]),
        ]
        for share in shares
    ]
    caption = f"Rows of a held-out {by} with an input outside of the fold's training range, in percent"
    return table(caption, (by, "rows", "% outside", "most often outside", "its range and the training range"), rows)
