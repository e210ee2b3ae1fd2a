"""Rows of verdicts, also of those that version 0.1.0 wrote."""

from __future__ import annotations

from typing import Any

import pytest

from pyvmaf.models.verdicts import GateRow
from pyvmaf.reports.elements import NONE
from pyvmaf.reports.gates import gate_table
from pyvmaf.reports.verdict_0_1_0 import rows_of

GATE: dict[str, Any] = {
    "mean_plcc": 0.99, "mean_plcc_threshold": 0.95, "mean_plcc_pass": True,
    "plcc_spread": None, "plcc_spread_max": 0.01, "plcc_spread_pass": False,
    "per_seed_plccs": {"0": 0.99, "10": None, "2": 0.9}, "per_seed_min": 0.95, "failing_seeds": [2, 10],
    "monotonicity": {
        "judged": True, "passed": False, "why": "3 of 40 pairs", "tolerance": 0.5, "pairs": 40, "violations": 3,
        "ordered_share": 0.9, "teacher_ordered_share": 1.0, "worst": {"excess": 1.25},
    },
    "extrapolation": {
        "judged": True, "passed": True, "why": None, "by": "group", "worst_plcc": 0.97, "worst_plcc_min": None,
        "worst": {"seed": 1, "held_out": "film0"},
    },
    "hard_negatives": {"judged": False, "passed": None, "why": "there is no table"},
    "pooled": {
        "judged": True, "passed": False, "why": "SROCC", "limits": {"plcc_min": None, "srocc_min": 0.9, "rmse_max": 3.0},
        "figures": {
            "plcc": {"mean": 0.97, "min": 0.9, "max": 0.99}, "srocc": {"mean": None, "min": None, "max": None},
            "rmse": {"mean": 2.5, "min": 2.25, "max": 2.75},
        },
    },
    "another": {"judged": True, "passed": True, "why": None},
}  # fmt: skip
"""The block of a verdict of version 0.1.0, with a part of every kind."""


@pytest.mark.parametrize(
    ("what", "measured", "limit", "passed", "why"),
    [
        ("mean PLCC of the seeds", "0.99000", "at least 0.95", True, None),
        ("spread over the seeds", "not defined", "at most 0.01", False, None),
        ("seed 0", "0.99000", "at least 0.95", True, None),
        ("seed 2", "0.90000", "at least 0.95", False, None),
        ("seed 10", "not defined", "at least 0.95", False, None),
        ("worst unseen group", "0.97000 (film0, seed 1)", "", True, None),
        ("hard negatives", "", "", None, "there is no table"),
        ("PLCC of all held-out rows", "0.97000 (worst seed 0.90000)", "", False, "SROCC"),
        ("SROCC of all held-out rows", "not defined (worst seed not defined)", "at least 0.9", False, "SROCC"),
        ("RMSE of all held-out rows", "2.50000 (worst seed 2.75000)", "at most 3", False, "SROCC"),
        ("another", "", "", True, None),
    ],
)
def test_rows_of_a_verdict_of_0_1_0(what: str, measured: str, limit: str, passed: bool | None, why: str | None) -> None:
    [row] = [row for row in rows_of(GATE) if row.what == what]
    assert (row.measured, row.limit, row.passed, row.why) == (measured, limit, passed, why)


def test_the_order_gate_of_0_1_0_has_shares_violations_and_the_worst_excess() -> None:
    [row] = [row for row in rows_of(GATE) if "40 pairs" in row.measured]
    assert [part in row.measured for part in ("90.0 %", "100.0 %", "3 beyond", "1.250")] == [True] * 4
    assert (row.limit, row.passed, row.why) == ("no excess above 0.5", False, "3 of 40 pairs")


def test_seeds_are_in_the_order_of_their_numbers() -> None:
    rows = [row.what for row in rows_of(GATE) if row.what.startswith("seed ")]
    assert rows == ["seed 0", "seed 2", "seed 10"]


def test_the_rows_of_a_verdict_are_shown_whatever_the_gate() -> None:
    rows = [
        GateRow(gate="a", what="sharpness", measured="3.5", limit="at most 4", passed=True, why=None),
        GateRow(gate="b", what="colour", measured="", limit="", passed=None, why="no chroma"),
        GateRow(gate="c", what="noise", measured="9", limit="at most 4", passed=False, why="9 is above 4"),
    ]
    cells = [[cell.text for cell in row] for row in gate_table("Gates", rows).rows]
    assert cells == [
        ["sharpness", "3.5", "at most 4", "pass", NONE],
        ["colour", NONE, NONE, "not judged", "no chroma"],
        ["noise", "9", "at most 4", "fail", "9 is above 4"],
    ]
