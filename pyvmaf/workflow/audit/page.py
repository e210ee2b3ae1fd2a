"""The audit on a terminal: however many jobs there are, one page."""

from __future__ import annotations

from collections import Counter
from typing import Any

_MOST_GROUPS = 12
_MOST_FINDINGS = 8


def show(report: dict[str, Any]) -> None:
    """Print a report of `audit`."""
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=False)
    if not report["pending"]:
        console.print(f"Nothing to be done: all {report['jobs']} jobs are up to date.")
    else:
        console.print(
            f"{report['pending']} of {report['jobs']} jobs would run, {_minutes(report)}. Why, the costliest first:",
            soft_wrap=True,
        )
        groups = sorted(report["groups"], key=lambda g: -(g["cpu_minutes"] + g["then_cpu_minutes"]))
        for group in groups[:_MOST_GROUPS]:
            console.print(f"\n{group['rule']}: {_jobs(group['jobs'])}, {_minutes(group)}", style="bold")
            for reason in group["reasons"]:
                console.print(f"    because {reason}", highlight=False, soft_wrap=True)
            console.print(f"    such as {group['examples'][0]}", highlight=False, style="dim", soft_wrap=True)
            if group["then"]:
                later = sum(item["jobs"] for item in group["then"])
                then = ", ".join(f"{item['jobs']} {item['rule']}" for item in group["then"])
                console.print(
                    f"    then {_jobs(later)}, {group['then_cpu_minutes']:.1f} min: {then}",
                    highlight=False,
                    soft_wrap=True,
                )
        if len(groups) > _MOST_GROUPS:
            console.print(f"\n… and {len(groups) - _MOST_GROUPS} further reasons: --output JSON has them all.")
        console.print()
        totals = Table()
        for name in ("rule", "would run", "of", "CPU min"):
            totals.add_column(name, justify="left" if name == "rule" else "right")
        for rule in report["rules"]:
            if rule["pending"]:
                totals.add_row(rule["rule"], str(rule["pending"]), str(rule["jobs"]), _cost(rule))
        console.print(totals)
    if report["unseen"] is None:
        console.print("Not looked at: damage, orphans and package versions (--quick).")
    elif not report["unseen"]:
        console.print("Nothing that Snakemake cannot see: every result is what its manifest says.")
    else:
        counts = Counter(item["kind"] for item in report["unseen"])
        console.print(
            f"Snakemake does not see: {', '.join(f'{n} {kind}' for kind, n in sorted(counts.items()))}.", style="bold"
        )
        shown: Counter[str] = Counter()
        for item in report["unseen"]:
            shown[item["kind"]] += 1
            if shown[item["kind"]] <= _MOST_FINDINGS:
                console.print(f"  {item['kind']}: {item['path']}: {item['message']}", highlight=False)
        if hidden := sum(max(0, n - _MOST_FINDINGS) for n in counts.values()):
            console.print(f"  … and {hidden} more: --output JSON has them all.")


def _jobs(count: int) -> str:
    return f"{count} job{'' if count == 1 else 's'}"


def _minutes(part: dict[str, Any]) -> str:
    known = f"about {part['cpu_minutes']:.1f} CPU minutes"
    unknown = part["unmeasured_jobs"]
    if not unknown:
        return known
    return (
        f"{known} and {_jobs(unknown)} never measured"
        if unknown < part.get("pending", part.get("jobs"))
        else "never measured"
    )


def _cost(rule: dict[str, Any]) -> str:
    if rule["unmeasured_jobs"] == rule["pending"]:
        return "not measured"
    return f"{rule['cpu_minutes']:.1f}"
