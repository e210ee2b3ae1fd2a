"""Gate: groups that are held out in addition to the sources."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

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
        (fold["plcc"], n, _group(fold["held_out"], by))
        for n, report in reports.items()
        for fold in (report or {})["folds"]
    ]
    # A figure that is not defined is worse than any other.
    plcc, seed, held_out = min(entries, key=lambda entry: -math.inf if entry[0] is None else entry[0])
    limit = limits.worst_plcc_min
    reasons = []
    if not _reached(plcc, limit):
        shown = "not defined" if plcc is None else f"{plcc:.4f}"
        reasons.append(
            f"PLCC on the {by} {held_out!r}, unseen by seed {seed}, is {shown}, at least {limit:g} is required"
        )
    gains = _least_gain([report for report in reports.values() if report], by) if limits.above_baselines else None
    if limits.above_baselines and gains is None:
        reasons.append(
            "gates.extrapolation.above_baselines is set, but the model reads no score of the teacher and has no network.base "
            "to be compared with"
        )
    elif gains is not None and not _above(gains):
        reasons.append(
            f"mean SROCC on {gains['held_out']!r}, which was not trained on, is {_figure(gains['srocc'])}, not above that of "
            f"{gains['baseline']} alone, {_figure(gains['baseline_srocc'])}"
        )
    return {
        "judged": True,
        "passed": not reasons,
        "why": "; ".join(reasons) or None,
        "by": by,
        "worst_plcc": plcc,
        "worst_plcc_min": limit,
        "worst": {"seed": seed, "held_out": held_out},
        "per_seed": {str(n): spread([f["plcc"] for f in report["folds"]]) for n, report in reports.items() if report},
        "per_fold": per_fold([report for report in reports.values() if report]),
        **({} if gains is None else {"least_gain": gains}),
    }


def _reached(plcc: float | None, limit: float | None) -> bool:
    return limit is None or (plcc is not None and plcc >= limit)


def _group(held_out: str, by: str) -> str:
    """Name of a group, with its column if groups of several columns were held out."""
    return held_out.removeprefix(f"{by}:")


def _figure(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.4f}"


def _least_gain(reports: Sequence[Mapping[str, Any]], by: str) -> dict[str, Any] | None:
    """The group where the mean SROCC of the seeds is least above the best baseline's; None without baselines."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for report in reports:
        for fold in report["folds"]:
            if fold.get("baselines"):
                groups.setdefault(fold["held_out"], []).append(fold)
    found = []
    for name, folds in groups.items():
        model = _mean_srocc(folds)
        simple = {key: _mean_srocc([fold["baselines"][key] for fold in folds]) for key in folds[0]["baselines"]}
        key, best = max(simple.items(), key=lambda one: -math.inf if one[1] is None else one[1])
        found.append(
            {
                "held_out": _group(name, by),
                "srocc": model,
                "baseline": key,
                "baseline_srocc": best,
                "gain": None if model is None or best is None else model - best,
            }
        )
    return min(found, key=lambda one: -math.inf if one["gain"] is None else one["gain"], default=None)


def _mean_srocc(figures: Sequence[Mapping[str, Any]]) -> float | None:
    values = [one["srocc"] for one in figures]
    return None if None in values else float(np.mean(values))


def _above(gain: Mapping[str, Any]) -> bool:
    return gain["gain"] is not None and gain["gain"] > 0


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
        """The worst group, and the one least above the baselines."""
        if not block["judged"]:
            return row_of_not_judged("worst unseen group", block)
        limit = "" if block["worst_plcc_min"] is None else f"at least {block['worst_plcc_min']:g}"
        measured = f"PLCC {shown(block['worst_plcc'])} on {block['worst']['held_out']}"
        gain = block.get("least_gain")
        reached = _reached(block["worst_plcc"], block["worst_plcc_min"])
        if gain is None:
            # Without a gain a reason that is not about the limit is about what there is nothing to compare with.
            reached = block["passed"]
        rows = [Row(f"worst unseen {block['by']}", measured, limit, reached, None if reached else block["why"])]
        if gain is not None:
            above = _above(gain)
            measured = f"mean SROCC {shown(gain['srocc'])} on {gain['held_out']}"
            limit = f"above {shown(gain['baseline_srocc'])} ({gain['baseline']})"
            rows.append(Row("least above the baselines", measured, limit, above, None if above else block["why"]))
        return rows
