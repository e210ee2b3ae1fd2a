"""The audit on a terminal: one screen, however many jobs there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from pyvmaf.workflow.audit.report import Audit, Cost, Group, RuleCost, Unseen

_MOST_GROUPS = 12
_MOST_FINDINGS = 8


def show(report: Audit) -> None:
    """Print a report of `audit`."""
    from pyvmaf.base.terminal import console as new_console

    console = new_console(soft_wrap=False)
    if report.pending:
        console.print(
            f"{report.pending} of {report.jobs} jobs would run, {_minutes(report, report.pending)}. "
            "The reasons, the costliest first:",
            soft_wrap=True,
        )
        groups = sorted(report.groups, key=lambda group: -(group.cpu_minutes + group.then_cpu_minutes))
        for group in groups[:_MOST_GROUPS]:
            _show_group(console, group)
        if len(groups) > _MOST_GROUPS:
            console.print()
            console.print(f"… and {len(groups) - _MOST_GROUPS} further reasons: --output JSON has them all.")
        console.print()
        _show_rules(console, report.rules)
        _show_times(console, report)
    else:
        console.print(f"Nothing to be done: all {report.jobs} jobs are up to date.")
    _show_unseen(console, report.unseen)


def _show_group(console: Console, group: Group) -> None:
    console.print()
    console.print(f"{group.rule}: {_jobs(group.jobs)}, {_minutes(group, group.jobs)}", style="bold")
    for reason in group.reasons:
        console.print(f"    because {reason}", soft_wrap=True)
    console.print(f"    such as {group.examples[0]}", style="dim", soft_wrap=True)
    if group.then:
        later = sum(following.jobs for following in group.then)
        then = ", ".join(f"{following.jobs} {following.rule}" for following in group.then)
        text = f"    then {_jobs(later)}, {group.then_cpu_minutes:.1f} min: {then}"
        console.print(text, soft_wrap=True)


def _show_times(console: Console, report: Audit) -> None:
    if not report.only_times:
        return
    jobs = f"{_jobs(report.only_times)} of {report.pending} would run only because times have changed"
    text = (
        f"{jobs}; the bytes are those recorded. `snakemake --touch` makes all results up to date."
        if report.touch
        else f"{jobs}. `snakemake --touch` would mend that, but also hide the other reasons: see to those first."
    )
    console.print(text, style="bold", highlight=False, soft_wrap=True)


def _show_rules(console: Console, rules: Sequence[RuleCost]) -> None:
    from rich.table import Table

    table = Table()
    for name in ("rule", "would run", "of", "CPU min"):
        table.add_column(name, justify="left" if name == "rule" else "right")
    for rule in rules:
        if rule.pending:
            cost = "not measured" if rule.unmeasured_jobs == rule.pending else f"{rule.cpu_minutes:.1f}"
            table.add_row(rule.rule, str(rule.pending), str(rule.jobs), cost)
    console.print(table)


def _show_unseen(console: Console, unseen: Sequence[Unseen] | None) -> None:
    if unseen is None:
        console.print("Not examined: damage, orphans and package versions (--quick).")
        return
    if not unseen:
        console.print("Every result is as its manifest records it.")
        return
    counts = Counter(item.kind for item in unseen)
    numbers = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
    console.print(f"Snakemake does not see: {numbers}.", style="bold")
    printed: Counter[str] = Counter()
    for item in unseen:
        printed[item.kind] += 1
        if printed[item.kind] <= _MOST_FINDINGS:
            console.print(f"  {item.kind}: {item.path}: {item.message}")
    if hidden := sum(max(0, count - _MOST_FINDINGS) for count in counts.values()):
        console.print(f"  … and {hidden} more: --output JSON has them all.")


def _jobs(count: int) -> str:
    return f"{count} job{'' if count == 1 else 's'}"


def _minutes(cost: Cost, jobs: int) -> str:
    """Format the cost of so many jobs."""
    if cost.unmeasured_jobs >= jobs:
        return "never measured"
    minutes = f"about {cost.cpu_minutes:.1f} CPU minutes"
    return f"{minutes} and {_jobs(cost.unmeasured_jobs)} never measured" if cost.unmeasured_jobs else minutes
