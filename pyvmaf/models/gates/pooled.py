"""Gate: figures over the held-out rows of all folds together, as opinion models are judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyvmaf.metrics import FIGURES, spread
from pyvmaf.models.gates.gate import Judged, Row, Seed, not_judged, row_of_not_judged, shown
from pyvmaf.models.spec import Pooled as Limits

_LIMITS = (("plcc", "plcc_min", "at least"), ("srocc", "srocc_min", "at least"), ("rmse", "rmse_max", "at most"))


def pooled(limits: Limits | None, seeds: Sequence[Seed]) -> dict[str, Any]:
    """Hold each seed's figures over the held-out rows of all folds together against their limits.

    A mean over folds forgives a model that ranks each content well and puts one content above another; this does not.
    """
    if limits is None:
        return not_judged("the spec has no limits on all held-out rows together (gates.pooled: null)")
    per_seed = {seed.number: {name: seed.report["pooled"][name] for name in FIGURES} for seed in seeds}
    bounds = limits.model_dump(mode="json")
    reasons = []
    for figure, key, word in _LIMITS:
        values = {number: figures[figure] for number, figures in per_seed.items()}
        if bounds[key] is not None and (failing := _failing(values, bounds[key], word)):
            reasons.append(_why(figure, word, bounds[key], failing))
    return {
        "judged": True,
        "passed": not reasons,
        "why": "; ".join(reasons) or None,
        "limits": bounds,
        "figures": {name: spread([figures[name] for figures in per_seed.values()]) for name in FIGURES},
        "per_seed": {str(number): figures for number, figures in per_seed.items()},
    }


class Pooled:
    """Limits on PLCC, SROCC and RMSE of each seed."""

    name = "pooled"

    def measure(self, judged: Judged) -> dict[str, Any]:
        """See `pooled`."""
        return pooled(judged.spec.gates.pooled, judged.seeds)

    def rows(self, block: Mapping[str, Any]) -> list[Row]:
        """The worst seed of each figure that has a limit."""
        if not block["judged"]:
            return row_of_not_judged("all held-out rows together", block)
        rows = []
        for figure, key, word in _LIMITS:
            limit = block["limits"][key]
            if limit is None:
                continue
            values = {seed: figures[figure] for seed, figures in block["per_seed"].items()}
            failing = _failing(values, limit, word)
            known = [value for value in values.values() if value is not None]
            worst = None if len(known) < len(values) else max(known) if word == "at most" else min(known)
            what = f"{figure.upper()} of all held-out rows"
            why = _why(figure, word, limit, failing) if failing else None
            rows.append(Row(what, f"{shown(worst)}, worst seed", f"{word} {limit:g}", not failing, why))
        return rows


def _failing(values: Mapping[Any, float | None], limit: float, word: str) -> dict[Any, float | None]:
    """The seeds whose value does not keep the limit."""
    sign = 1 if word == "at least" else -1
    return {seed: value for seed, value in values.items() if value is None or sign * (value - limit) < 0}


def _why(figure: str, word: str, limit: float, failing: Mapping[Any, float | None]) -> str:
    values = ", ".join(f"seed {n}: {'not defined' if v is None else f'{v:.4f}'}" for n, v in failing.items())
    return f"{figure.upper()} over all held-out rows is to be {word} {limit:g} ({values})"
