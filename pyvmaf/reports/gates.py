"""The rows of a verdict: what each gate measured, its limit, whether it passed, and why not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyvmaf.reports.elements import NONE, Cell, Table, badge, table, text


def gate_rows(verdict: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the rows of a verdict: mappings with the keys what, measured, limit, passed (None: not judged) and why."""
    rows = verdict["gate"].get("rows")
    if rows is not None:
        return list(rows)
    from pyvmaf.reports.verdict_0_1_0 import rows_of

    return rows_of(verdict["gate"])


def gate_table(caption: str, verdict: Mapping[str, Any]) -> Table:
    """Make a table of all rows of a verdict."""
    cells = [
        [
            text(row["what"]),
            text(row["measured"] or NONE),
            text(row["limit"] or NONE),
            _outcome(row["passed"]),
            text(row["why"] or NONE),
        ]
        for row in gate_rows(verdict)
    ]
    return table(caption, ("gate", "measured", "limit", "outcome", "reason"), cells)


def _outcome(passed: bool | None) -> Cell:
    return text("not judged") if passed is None else badge(passed, "pass" if passed else "fail")
