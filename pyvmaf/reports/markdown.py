"""Tables of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def cell(value: str) -> str:
    """Return text as a cell that shows it: a name of a file may hold what Markdown obeys."""
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>|#" else sign for sign in value if sign.isprintable())


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table with an empty one after it; none if there are no rows."""
    body = [f"| {' | '.join(map(cell, row))} |" for row in rows]
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *body, ""] if body else []
