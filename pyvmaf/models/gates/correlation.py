"""Gate: the PLCC of each seed, as a mean over its folds, and its spread over the seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyvmaf.metrics import spread
from pyvmaf.models.gates.gate import Judged, Row, shown
from pyvmaf.models.spec import Gates


def correlation(limits: Gates, plccs: Mapping[int, float | None]) -> dict[str, Any]:
    """Hold the mean PLCC of each seed against its limits.

    A seed whose PLCC is not defined (a fold's predictions were constant) fails, and so does the model. One seed has no
    spread, so that it is not judged: null in place of passed.
    """
    found = spread(list(plccs.values()))
    mean, low, high = found["mean"], found["min"], found["max"]
    one = len(plccs) == 1
    width = None if low is None or high is None or one else high - low
    failing = sorted(s for s, p in plccs.items() if p is None or p < limits.per_seed_min)
    return {
        "mean_plcc": mean,
        "mean_plcc_threshold": limits.mean_plcc_min,
        "mean_plcc_pass": mean is not None and mean >= limits.mean_plcc_min,
        "std_plcc": found["std"],
        "plcc_spread": width,
        "plcc_spread_max": limits.plcc_spread_max,
        "plcc_spread_pass": None if one else width is not None and width <= limits.plcc_spread_max,
        "per_seed_plccs": {str(s): plccs[s] for s in sorted(plccs)},
        "per_seed_min": limits.per_seed_min,
        "per_seed_pass": not failing,
        "failing_seeds": failing,
    }


class Correlation:
    """The keys of its block stand in the verdict's block ``gate`` itself."""

    name = "correlation"

    def measure(self, judged: Judged) -> dict[str, Any]:
        """See `correlation`."""
        return correlation(judged.spec.gates, {seed.number: seed.report["mean_plcc"] for seed in judged.seeds})

    def rows(self, block: Mapping[str, Any]) -> list[Row]:
        """Mean, spread, and the worst seed."""
        plccs = block["per_seed_plccs"]
        mean, low, width = block["mean_plcc"], block["per_seed_min"], block["plcc_spread"]
        worst = None if None in plccs.values() else min(plccs.values())
        failing = block["failing_seeds"]
        values = ", ".join(f"{seed}: {_words(plccs[str(seed)])}" for seed in failing)
        return [
            Row(
                "mean PLCC",
                shown(mean, 5),
                f"at least {block['mean_plcc_threshold']:g}",
                block["mean_plcc_pass"],
                None
                if block["mean_plcc_pass"]
                else f"mean PLCC {_words(mean)} is below {block['mean_plcc_threshold']:g}",
            ),
            Row(
                "spread over seeds",
                shown(width, 5),
                f"at most {block['plcc_spread_max']:g}",
                block["plcc_spread_pass"],
                _why_spread(block),
            ),
            Row(
                "PLCC of the worst seed",
                shown(worst, 5),
                f"at least {low:g}",
                block["per_seed_pass"],
                None if block["per_seed_pass"] else f"seeds {failing} are below {low:g} ({values})",
            ),
        ]


def _why_spread(block: Mapping[str, Any]) -> str | None:
    if block["plcc_spread_pass"] is None:
        return "one seed has no spread"
    if block["plcc_spread_pass"]:
        return None
    return f"spread over seeds {_words(block['plcc_spread'])} is above {block['plcc_spread_max']:g}"


def _words(value: float | None) -> str:
    return "not defined (constant predictions)" if value is None else f"{value:.5f}"
