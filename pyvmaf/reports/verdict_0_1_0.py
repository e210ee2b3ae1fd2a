"""Rows of the verdicts that version 0.1.0 wrote: they hold figures and limits, but no rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pyvmaf.models.verdicts import GateRow


def rows_of(gate: Mapping[str, Any]) -> list[GateRow]:
    """Derive rows from the block ``gate`` of a verdict."""
    rows = list(_correlation(gate))
    parts = {"monotonicity": _order, "pooled": _pooled, "extrapolation": _extrapolation, "hard_negatives": _negatives}
    for name, part in gate.items():
        if not isinstance(part, Mapping) or "passed" not in part:
            continue
        if name in parts and part.get("judged", True):
            rows += parts[name](part)
        else:
            rows.append(_row(name, name.replace("_", " "), "", "", part["passed"], part.get("why")))
    return rows


def _row(gate: str, what: str, measured: str, limit: str, passed: bool | None, why: str | None = None) -> GateRow:
    return GateRow(gate=gate, what=what, measured=measured, limit=limit, passed=passed, why=why)


def _correlation(gate: Mapping[str, Any]) -> Iterator[GateRow]:
    least, most = gate["mean_plcc_threshold"], gate["plcc_spread_max"]
    yield _row(
        "correlation",
        "mean PLCC of the seeds",
        _figure(gate["mean_plcc"]),
        f"at least {least:g}",
        gate["mean_plcc_pass"],
    )
    yield _row(
        "correlation",
        "spread over the seeds",
        _figure(gate["plcc_spread"]),
        f"at most {most:g}",
        gate["plcc_spread_pass"],
    )
    for seed, plcc in sorted(gate["per_seed_plccs"].items(), key=lambda item: int(item[0])):
        passed = int(seed) not in gate["failing_seeds"]
        yield _row("correlation", f"seed {seed}", _figure(plcc), f"at least {gate['per_seed_min']:g}", passed)


def _order(part: Mapping[str, Any]) -> Iterator[GateRow]:
    measured = (
        f"{_share(part['ordered_share'])} of {part['pairs']} pairs in order (teacher "
        f"{_share(part['teacher_ordered_share'])}), {part['violations']} beyond the tolerance; largest excess "
        f"{_figure(part['worst']['excess'], 3)}"
    )
    yield _row(
        "monotonicity",
        "order within ladders",
        measured,
        f"no excess above {part['tolerance']:g}",
        part["passed"],
        part["why"],
    )


def _pooled(part: Mapping[str, Any]) -> Iterator[GateRow]:
    for key, limit in part["limits"].items():
        name, _, end = key.partition("_")
        figures, least = part["figures"][name], end == "min"
        yield _row(
            "pooled",
            f"{name.upper()} of all held-out rows",
            f"{_figure(figures['mean'])} (worst seed {_figure(figures['min' if least else 'max'])})",
            "" if limit is None else f"at {'least' if least else 'most'} {limit:g}",
            part["passed"],
            part["why"],
        )


def _extrapolation(part: Mapping[str, Any]) -> Iterator[GateRow]:
    limit, worst = part["worst_plcc_min"], part["worst"]
    yield _row(
        "extrapolation",
        f"worst unseen {part['by']}",
        f"{_figure(part['worst_plcc'])} ({worst['held_out']}, seed {worst['seed']})",
        "" if limit is None else f"at least {limit:g}",
        part["passed"],
        part["why"],
    )


def _negatives(part: Mapping[str, Any]) -> Iterator[GateRow]:
    for name, case in part["cases"].items():
        scores, teacher, worst = case["scores"], case["teacher"], case["worst"]
        limits = (("at least", worst["at_least"]), ("at most", worst["at_most"]))
        limit = " and ".join(f"{word} {value:.2f}" for word, value in limits if value is not None)
        measured = "not finite" if scores is None else f"{scores[0]:.2f} to {scores[1]:.2f}"
        yield _row(
            "hard_negatives",
            f"hard negatives: {name}",
            f"{measured} on {case['clips']} clips (teacher {teacher[0]:.2f} to {teacher[1]:.2f})",
            f"{limit or 'none'} on {worst['clip']}",
            case["passed"],
            case["why"],
        )
    span = part["range"]
    lowest, highest = ("not finite" if span[key] is None else f"{span[key]:.2f}" for key in ("lowest", "highest"))
    low, high = span["allowed"]
    yield _row(
        "hard_negatives",
        "hard negatives: every frame",
        f"{lowest} to {highest}",
        f"{low:g} to {high:g}",
        span["passed"],
    )


def _figure(value: float | None, digits: int = 5) -> str:
    return "not defined" if value is None else f"{value:.{digits}f}"


def _share(value: float) -> str:
    return f"{100 * value:.1f} %" if value >= 0.0005 or value == 0 else "less than 0.1 %"
