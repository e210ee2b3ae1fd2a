"""Tables and figures on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from pyvmaf.models.verdicts import GateReport


def figure(value: float | None, digits: int = 4) -> str:
    """Format a number; a dash if it is not defined."""
    return "-" if value is None else f"{value:.{digits}f}"


def yes_no(passed: bool) -> str:
    """Format the outcome of a check, so that a failure stands out."""
    return "yes" if passed else "NO"


def new_table(title: str, left: tuple[str, ...], right: tuple[str, ...] = ()) -> Table:
    """Make a table with text columns on the left and columns of figures on the right."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in left:
        table.add_column(name)
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def print_whole(table: Table) -> None:
    """Print a table at its full width: a terminal that wraps a line still shows every digit."""
    from pyvmaf.base.terminal import console

    width = max(console().width, console(width=1000).measure(table).maximum)
    console(width=width).print(table)


def show_gate(title: str, gate: GateReport, verdict: str) -> None:
    """Print what a gate measured beside its limits, then a line with the verdict, then why it is not passed."""
    from pyvmaf.base.terminal import say

    table = new_table(title, ("gate",), ("measured", "limit", "passed"))
    for row in gate.rows or ():
        table.add_row(row.what, row.measured, row.limit, yes_no(bool(row.passed)))
    print_whole(table)
    say(verdict)
    for reason in gate.reasons:
        say(reason)
