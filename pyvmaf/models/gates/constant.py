"""Gate: a smaller error than that of a predictor that answers the mean of its training rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyvmaf.models.gates.gate import Judged, Row, not_judged, row_of_not_judged, shown
from pyvmaf.models.gates.limits import limits_of


class Constant:
    """Limit on the RMSE over all held-out rows as a share of the constant predictor's, in every seed."""

    name = "constant"

    def measure(self, judged: Judged) -> dict[str, Any]:
        """Divide the RMSE of each seed by that of the constant predictor of its folds."""
        limits = limits_of(judged, self.name)
        if limits is None:
            return not_judged("the spec has no limit against a constant predictor (gates.constant: null)")
        pictures = {seed.number: seed.report.get("pictures") for seed in judged.seeds}
        if None in pictures.values():
            return not_judged("the reports do not state the figures of a constant predictor: fit again", passed=False)
        shares = {
            seed.number: _share(seed.report["pooled"]["rmse"], seed.report["pictures"]["constant"]["rmse"])
            for seed in judged.seeds
        }
        known = [share for share in shares.values() if share is not None]
        worst = max(known) if len(known) == len(shares) else None
        passed = worst is not None and worst <= limits.rmse_share_max
        why = None if passed else f"RMSE is {shown(worst)} of the constant predictor's, above {limits.rmse_share_max:g}"
        return {
            "judged": True,
            "passed": passed,
            "why": why,
            "rmse_share_max": limits.rmse_share_max,
            "rmse_share": worst,
            "per_seed": {str(number): share for number, share in shares.items()},
        }

    def rows(self, block: Mapping[str, Any]) -> list[Row]:
        """The worst seed."""
        what = "RMSE as a share of a constant's"
        if not block["judged"]:
            return row_of_not_judged(what, block)
        limit = f"at most {block['rmse_share_max']:g}"
        return [Row(what, f"{shown(block['rmse_share'])}, worst seed", limit, block["passed"], block["why"])]


def _share(rmse: float | None, constant: float | None) -> float | None:
    return None if rmse is None or not constant else rmse / constant
