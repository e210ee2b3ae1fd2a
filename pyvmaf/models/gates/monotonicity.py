"""Gate: the order of the rungs within a ladder."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.models.gates.gate import Judged, Row, Seed, not_judged, row_of_not_judged
from pyvmaf.models.spec import Monotonicity as Limits
from pyvmaf.models.weights import PREDICTIONS
from pyvmaf.tables.columns import read_columns, read_schema


def monotonicity(limits: Limits | None, seeds: Sequence[Seed]) -> dict[str, Any]:
    """Whether of two rungs of a ladder the weaker one is predicted to be at least as good.

    All pairs of a ladder (source, clip, codec, preset) are compared, each rung with the mean over its frames of
    predictions that did not see its source. A pair violates the limit if the weaker rung is predicted worse by more than
    the tolerance, after subtracting the amount by which the teacher itself has it worse.

    Raises:
        MissingFileError, IntegrityError: a seed's predictions are not there, or not those of its report.
    """
    if limits is None:
        return not_judged("the spec has no limit (gates.monotonicity: null)")
    per_seed: dict[str, Any] = {}
    for seed in seeds:
        pairs = _ladder_pairs(seed.beside(PREDICTIONS))
        if pairs is None or not pairs.names:
            return not_judged("the table holds no ladder of two rungs, so there is no order to keep")
        per_seed[str(seed.number)] = pairs.compared(seed.number, limits.tolerance)
    entries = list(per_seed.values())
    worst = max((entry["worst"] for entry in entries), key=lambda pair: float(pair["excess"]))
    violations = sum(entry["violations"] for entry in entries)
    n_pairs = sum(entry["pairs"] for entry in entries)
    shares = {
        key: float(np.mean([entry[key] for entry in entries])) for key in ("ordered_share", "teacher_ordered_share")
    }
    return {
        "judged": True,
        "passed": not violations,
        "why": _why(violations, n_pairs, limits.tolerance, worst) if violations else None,
        "tolerance": limits.tolerance,
        "pairs": n_pairs,
        "violations": violations,
        **shares,
        "worst": worst,
        "per_seed": per_seed,
    }


def _why(violations: int, n_pairs: int, tolerance: float, worst: Mapping[str, Any]) -> str:
    word, (low, high) = ("CRF", worst["crf"]) if "crf" in worst else ("strength", worst["strength"])
    (a, b), (c, d) = worst["predicted"], worst["teacher"]
    return (
        f"{violations} of {n_pairs} pairs of a ladder are predicted in the wrong order by more than {tolerance:g}; the "
        f"worst: {worst['clip']} {worst['codec']} {worst['preset']}, seed {worst['seed']}, {word} {low:g} gets {a:.2f} "
        f"and {word} {high:g} {b:.2f} (teacher {c:.2f} and {d:.2f})"
    )


@dataclass(frozen=True)
class _Pairs:
    """Pairs of rungs, the weaker one first.

    Attributes:
        names: source, clip, codec and preset of each pair, and its two CRFs, or strengths if no encoder made the rungs.
        predicted, teacher: float64 [n, 2].
    """

    names: list[dict[str, Any]]
    predicted: NDArray[np.float64]
    teacher: NDArray[np.float64]

    def compared(self, seed: int, tolerance: float) -> dict[str, Any]:
        """One seed's entry of the block."""
        drop = self.predicted[:, 1] - self.predicted[:, 0]
        excess = drop - np.maximum(0.0, self.teacher[:, 1] - self.teacher[:, 0])
        worst = int(np.argmax(excess))
        return {
            "pairs": len(self.names),
            "ordered_share": float(np.mean(drop <= 0)),
            "teacher_ordered_share": float(np.mean(self.teacher[:, 0] >= self.teacher[:, 1])),
            "violations": int(np.count_nonzero(excess > tolerance)),
            "worst": {
                "seed": seed,
                **self.names[worst],
                "predicted": self.predicted[worst].tolist(),
                "teacher": self.teacher[worst].tolist(),
                "excess": float(excess[worst]),
            },
        }


_Step = tuple[float, float, float, int | None]
"""A rung: its strength, mean prediction, mean target and CRF."""


def _ladders(path: Path) -> dict[tuple[str, ...], list[_Step]] | None:
    """The rungs of every ladder (source, clip, codec, preset) in a fit's predictions; None if these tell none apart."""
    columns = read_schema(path)
    order = [name for name in ("strength", "crf") if name in columns]
    names = ["source", "clip", "codec", *(["preset"] if "preset" in columns else [])]
    if not order or not {*names, "rung"} <= set(columns):
        return None
    keys = [*names, "rung", *order]
    grouped: Any = read_columns(path, [*keys, "prediction", "target"]).group_by(keys)
    ladders: dict[tuple[str, ...], list[_Step]] = {}
    for row in grouped.aggregate([("prediction", "mean"), ("target", "mean")]).to_pylist():
        strength = next((row[name] for name in order if row[name] is not None), None)
        if strength is None:
            continue
        # Encodes with a recipe are named after preset and recipe; predictions of version 0.1.0 have no column of presets.
        preset = (row["rung"] or "").rpartition("-crf")[0] or row.get("preset")
        key = (row["source"] or "", row["clip"] or "", row["codec"] or "", preset or "")
        step = (strength, row["prediction_mean"], row["target_mean"], row.get("crf"))
        ladders.setdefault(key, []).append(step)
    return ladders


def _ladder_pairs(path: Path) -> _Pairs | None:
    """Every pair of rungs of every ladder in a fit's predictions; None if these do not tell rungs apart."""
    ladders = _ladders(path)
    if ladders is None:
        return None
    pairs, values = [], []
    for key in sorted(ladders):
        steps = sorted(ladders[key], key=lambda step: step[:3])
        for weak, strong in itertools.combinations(steps, 2):
            if strong[0] > weak[0]:
                encoded = weak[3] is not None and strong[3] is not None
                ends = {"crf": [weak[3], strong[3]]} if encoded else {"strength": [weak[0], strong[0]]}
                pairs.append(dict(zip(("source", "clip", "codec", "preset"), key, strict=True)) | ends)
                values.append((weak[1:3], strong[1:3]))
    array = np.asarray(values, dtype=np.float64).reshape(len(values), 2, 2)
    return _Pairs(pairs, array[:, :, 0], array[:, :, 1])


class Monotonicity:
    """A limit on how much worse a weaker rung may be predicted than a stronger one."""

    name = "monotonicity"

    def measure(self, judged: Judged) -> dict[str, Any]:
        """See `monotonicity`."""
        return monotonicity(judged.spec.gates.monotonicity, judged.seeds)

    def rows(self, block: Mapping[str, Any]) -> list[Row]:
        """The share of pairs in order, and the worst pair."""
        if not block["judged"]:
            return row_of_not_judged("order within ladders", block)
        ordered, teacher = block["ordered_share"], block["teacher_ordered_share"]
        measured = f"{ordered:.2%} of pairs (teacher {teacher:.2%}), worst {block['worst']['excess']:+.2f}"
        limit = f"at most {block['tolerance']:g}"
        return [Row("order within ladders", measured, limit, block["passed"], block["why"])]
