"""Section: the ensemble of all seeds and its intervals."""

from __future__ import annotations

from collections.abc import Iterator

from pyvmaf.models.verdicts import PROMOTE
from pyvmaf.reports.elements import NONE, Cell, Element, Section, badge, facts, number, paragraph, table, text
from pyvmaf.reports.pages.card.card import Card
from pyvmaf.runtime.manifest import EnsembleManifest, Evaluation

_HEAD = ("rows", "method", "% covered", "mean over groups", "worst group", "% of it covered", "mean width")


def section(card: Card) -> Section | None:
    """Show members, nominal and measured coverage."""
    ensemble = card.model.ensemble
    if ensemble is None:
        return None
    gate = ensemble.coverage_gate
    elements: list[Element] = [facts("Ensemble of the seeds", _facts(ensemble))]
    if gate.why:
        elements.append(paragraph(f"{gate.why}."))
    caption = (
        f"Coverage of intervals with a nominal coverage of {_percent(gate.nominal_coverage)}, each group's calibrated "
        "on the other groups"
    )
    elements.append(table(caption, _HEAD, _coverage(ensemble.eval)))
    return Section("ensemble", "Ensemble and intervals", tuple(elements))


def _facts(ensemble: EnsembleManifest) -> Iterator[tuple[str, Cell]]:
    gate, rows = ensemble.coverage_gate, ensemble.eval.rows
    measured = gate.empirical_coverage
    yield "verdict", badge(ensemble.verdict == PROMOTE, ensemble.verdict)
    yield "members", text(", ".join(f"seed {member.seed}" for member in ensemble.members))
    yield "method", text(ensemble.confidence.method)
    yield "nominal coverage", text(_percent(gate.nominal_coverage))
    yield "coverage of held-out rows", text("not measured" if measured is None else _percent(measured))
    yield "tolerance", text(_percent(gate.coverage_tolerance))
    yield "mean standard deviation over the members", text(f"{rows.mean_sigma:.3f}")
    yield "RMSE of the members' mean", text(f"{rows.rmse:.3f}")


def _coverage(assessed: Evaluation) -> Iterator[list[Cell]]:
    for scope, assessment in (("rows", assessed.rows), ("clip means", assessed.clip_means)):
        for method, coverage in () if assessment is None else assessment.coverage:
            yield [
                text(scope),
                text(method),
                _share(coverage.empirical_coverage),
                _share(coverage.mean_over_units),
                text(coverage.worst_unit or NONE),
                _share(coverage.worst_coverage),
                number(coverage.mean_width, 3),
            ]


def _share(value: float | None) -> Cell:
    return number(None if value is None else 100 * value, 2)


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"
