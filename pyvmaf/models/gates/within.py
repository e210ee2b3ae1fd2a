"""Gate: the order of the held-out rows of one source, where the content does not differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pyvmaf.models.gates.gate import Judged, Row, Seed, not_judged, row_of_not_judged, shown
from pyvmaf.models.gates.limits import limits_of


class Within:
    """Limits on the SROCC of each source, and on its mean over the sources, in every seed."""

    name = "within"

    def measure(self, judged: Judged) -> dict[str, Any]:
        """Compute the SROCC of the held-out rows of each source, per seed."""
        limits = limits_of(judged, self.name)
        if limits is None:
            return not_judged("the spec has no limits on the order within sources (gates.within: null)")
        per_seed = {str(seed.number): _per_source(seed, limits.rows_min) for seed in judged.seeds}
        values = [value for figures in per_seed.values() for value in figures.values()]
        if not values:
            return not_judged(f"no source has {limits.rows_min} held-out rows (gates.within.rows_min)", passed=False)
        means = {seed: _mean(figures) for seed, figures in per_seed.items()}
        worst = min(
            ((seed, source, value) for seed, figures in per_seed.items() for source, value in figures.items()),
            key=lambda one: -2.0 if one[2] is None else one[2],
        )
        lowest = None if None in means.values() else min(m for m in means.values() if m is not None)
        reasons = []
        if not _keeps(lowest, limits.mean_min):
            reasons.append(f"mean SROCC within sources {shown(lowest)} is below {limits.mean_min:g}")
        if not _keeps(worst[2], limits.worst_min):
            reasons.append(
                f"SROCC within source {worst[1]} (seed {worst[0]}) {shown(worst[2])} is below {limits.worst_min:g}"
            )
        return {
            "judged": True,
            "passed": not reasons,
            "why": "; ".join(reasons) or None,
            "mean_min": limits.mean_min,
            "worst_min": limits.worst_min,
            "mean": lowest,
            "worst": {"seed": int(worst[0]), "source": worst[1], "srocc": worst[2]},
            "per_seed": per_seed,
        }

    def rows(self, block: Mapping[str, Any]) -> list[Row]:
        """The mean, and the worst source."""
        if not block["judged"]:
            return row_of_not_judged("order within sources", block)
        worst = block["worst"]
        return [
            _row("mean SROCC within sources", block["mean"], block["mean_min"], "worst seed"),
            _row("SROCC within the worst source", worst["srocc"], block["worst_min"], worst["source"]),
        ]


def _row(what: str, value: float | None, limit: float | None, detail: str) -> Row:
    passed = None if limit is None else _keeps(value, limit)
    why = "no limit is set" if limit is None else None if passed else f"{what} {shown(value)} is below {limit:g}"
    return Row(what, f"{shown(value)}, {detail}", "" if limit is None else f"at least {limit:g}", passed, why)


def _keeps(value: float | None, limit: float | None) -> bool:
    return limit is None or (value is not None and value >= limit)


def _per_source(seed: Seed, rows_min: int) -> dict[str, float | None]:
    """The SROCC of each source with enough held-out rows; None if it is not defined."""
    found = seed.report["pictures"]["per_source"]
    return {name: figures["srocc"] for name, figures in found.items() if figures["n"] >= rows_min}


def _mean(figures: Mapping[str, float | None]) -> float | None:
    values = [value for value in figures.values() if value is not None]
    return float(np.mean(values)) if values and len(values) == len(figures) else None
