"""The gate of saliency models: intersection over union of maps and masks, per corpus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyvmaf.models.gates.gate import Gate, Judged, Row, not_judged, row_of_not_judged, shown
from pyvmaf.models.gates.limits import limits_of


class IntersectionOverUnion:
    """Limits on the IoU of the held-out pictures of every corpus, and on its distance from a fixed map's, in every seed."""

    name = "iou"

    def measure(self, judged: Judged) -> dict[str, Any]:
        """Take the least IoU of each corpus over the seeds."""
        limits = limits_of(judged, self.name)
        blocks = {str(seed.number): seed.report.get("family") for seed in judged.seeds}
        if None in blocks.values():
            return not_judged("the reports do not state figures of maps: fit again", passed=False)
        per_seed = {seed: block["per_corpus"] for seed, block in blocks.items() if block is not None}
        corpora = sorted({corpus for found in per_seed.values() for corpus in found})
        worst = {corpus: min((found[corpus] for found in per_seed.values()), key=_iou) for corpus in corpora}
        reasons = [row.why for row in _rows(worst, limits.least, limits.above_fixed) if row.why]
        return {
            "judged": True,
            "passed": not reasons,
            "why": "; ".join(reasons) or None,
            "least": limits.least,
            "above_fixed": limits.above_fixed,
            "worst": worst,
            "per_seed": per_seed,
        }

    def rows(self, block: Mapping[str, Any]) -> list[Row]:
        """Each corpus, of the worst seed."""
        if not block["judged"]:
            return row_of_not_judged("IoU of maps and masks", block)
        return _rows(block["worst"], block["least"], block["above_fixed"])


def _iou(figures: Mapping[str, Any]) -> float:
    return float(figures["iou"])


def _rows(worst: Mapping[str, Mapping[str, Any]], least: float, above_fixed: float | None) -> list[Row]:
    rows = []
    for corpus, found in worst.items():
        value, fixed = found["iou"], found["fixed_iou"]
        passed = value >= least
        rows.append(
            Row(
                f"IoU on {corpus}",
                f"{shown(value)}, worst seed; a fixed map has {shown(fixed)}",
                f"at least {least:g}",
                passed,
                None if passed else f"IoU on {corpus} {shown(value)} is below {least:g}",
            )
        )
        if above_fixed is not None:
            ahead = value - fixed
            kept = ahead >= above_fixed
            why = None if kept else f"IoU on {corpus} is {shown(ahead)} above a fixed map's, less than {above_fixed:g}"
            rows.append(
                Row(f"IoU on {corpus} above a fixed map's", shown(ahead), f"at least {above_fixed:g}", kept, why)
            )
    return rows


GATES: tuple[Gate, ...] = (IntersectionOverUnion(),)
