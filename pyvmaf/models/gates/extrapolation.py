"""Gate: groups that are held out in addition to the sources."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pyvmaf.metrics import FIGURES, spread
from pyvmaf.models.gates.gate import Judged, Row, Seed, not_judged, row_of_not_judged, shown
from pyvmaf.models.spec import Extrapolation as Limits


def extrapolation(limits: Limits, seeds: Sequence[Seed]) -> dict[str, Any]:
    """Hold each seed's PLCC on each group that it did not see against the limit.

    A group is coarser than a source (a film, a recording session), so its values may lie outside the range of the other
    groups. The report's ``beside`` block lists the groups held out in addition to the sources.
    """
    reports = {seed.number: seed.report.get("beside") for seed in seeds}
    if not all(reports.values()):
        return not_judged("no group was held out in addition to the sources (split.beside, or a table of one group)")
    by = next(report["by"] for report in reports.values() if report)
    entries = [
        (fold["plcc"], n, fold["held_out"].removeprefix(f"{by}:"))
        for n, report in reports.items()
        for fold in (report or {})["folds"]
    ]
    # A figure that is not defined is worse than any other.
    plcc, seed, held_out = min(entries, key=lambda entry: -math.inf if entry[0] is None else entry[0])
    limit = limits.worst_plcc_min
    passed = limit is None or (plcc is not None and plcc >= limit)
    why = None
    if not passed:
        shown = "not defined" if plcc is None else f"{plcc:.4f}"
        why = f"PLCC on the {by} {held_out!r}, unseen by seed {seed}, is {shown}, at least {limit:g} is required"
    return {
        "judged": True,
        "passed": passed,
        "why": why,
        "by": by,
        "worst_plcc": plcc,
        "worst_plcc_min": limit,
        "worst": {"seed": seed, "held_out": held_out},
        "per_seed": {str(n): spread([f["plcc"] for f in report["folds"]]) for n, report in reports.items() if report},
        "per_fold": per_fold([report for report in reports.values() if report]),
    }


def per_fold(reports: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, float | None]]]:
    """Figures of each fold over the seeds: mean, std (ddof 1), smallest, largest."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for report in reports:
        for fold in report["folds"]:
            found.setdefault(fold["held_out"], []).append(fold)
    return {
        name: {figure: spread([fold[figure] for fold in folds]) for figure in FIGURES} for name, folds in found.items()
    }


class Extrapolation:
    """A limit on the PLCC of each group that a seed did not train on."""

    name = "extrapolation"

    def measure(self, judged: Judged) -> dict[str, Any]:
        """See `extrapolation`."""
        return extrapolation(judged.spec.gates.extrapolation, judged.seeds)

    def rows(self, block: Mapping[str, Any]) -> list[Row]:
        """The worst group."""
        if not block["judged"]:
            return row_of_not_judged("worst unseen group", block)
        limit = "" if block["worst_plcc_min"] is None else f"at least {block['worst_plcc_min']:g}"
        measured = f"PLCC {shown(block['worst_plcc'])} on {block['worst']['held_out']}"
        return [Row(f"worst unseen {block['by']}", measured, limit, block["passed"], block["why"])]
