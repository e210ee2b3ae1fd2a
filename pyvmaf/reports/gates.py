"""The rows of a verdict: what each gate measured, its limit, whether it passed, and why not."""

from __future__ import annotations

from collections.abc import Sequence

from pyvmaf.models.verdicts import PROMOTE, GateRow, Verdict
from pyvmaf.reports.elements import NONE, Cell, Table, badge, table, text


def outcome(verdict: Verdict) -> Cell:
    """Make a cell with the outcome of a verdict."""
    return badge(verdict.verdict == PROMOTE, verdict.verdict)


def gate_rows(verdict: Verdict) -> Sequence[GateRow]:
    """Return the rows of a verdict."""
    if verdict.gate.rows is not None:
        return verdict.gate.rows
    from pyvmaf.reports.verdict_0_1_0 import rows_of

    return rows_of(verdict.gate.model_dump(mode="json"))


def gate_table(caption: str, rows: Sequence[GateRow]) -> Table:
    """Make a table of rows of a verdict."""
    cells = [
        [
            text(row.what),
            text(row.measured or NONE),
            text(row.limit or NONE),
            _outcome(row.passed),
            text(row.why or NONE),
        ]
        for row in rows
    ]
    return table(caption, ("gate", "measured", "limit", "outcome", "reason"), cells)


def _outcome(passed: bool | None) -> Cell:
    return text("not judged") if passed is None else badge(passed, "pass" if passed else "fail")
