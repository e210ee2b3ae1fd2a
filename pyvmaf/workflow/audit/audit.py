"""The audit: the plan, its reasons and its price as one report."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pyvmaf.base.code import recorded_parts
from pyvmaf.base.document import publish_body
from pyvmaf.workflow.audit.cost import estimate
from pyvmaf.workflow.audit.planned import Job, Plan, load
from pyvmaf.workflow.audit.unseen import look
from pyvmaf.workflow.audit.words import UPSTREAM, describe, pattern

SCHEMA = Path(__file__).with_name("schemas") / "audit.schema.json"
_EXAMPLES = 3


def audit(arguments: Sequence[str] = (), *, quick: bool = False, output: Path | None = None) -> dict[str, Any]:
    """What the next ``snakemake ARGUMENTS`` would run, why, what depends on it and what it will cost.

    Args:
        arguments: targets and options as Snakemake takes them.
        quick: leave out what needs every result to be read (damage, orphans, packages).
        output: JSON file for the report.

    Returns:
        The report, as ``schemas/audit.schema.json`` describes it.

    Raises:
        InputError: Snakemake refuses the options or the workflow.
    """
    started = time.perf_counter()
    plan = load(arguments)
    seconds = estimate(plan.jobs, Path(plan.folder))
    words = _Words(Path(plan.folder))
    reasons = [_own(plan, job, words.of(job)) for job in plan.jobs]
    groups, member = _grouped(plan, reasons, seconds)
    pending = [place for place, job in enumerate(plan.jobs) if job.pending]
    unseen = None if quick else look(plan)
    report: dict[str, Any] = {
        "arguments": list(arguments),
        "nothing_to_do": not pending and not unseen,
        "jobs": len(plan.jobs),
        "pending": len(pending),
        **_price(pending, seconds),
        "rules": _rules(plan, seconds),
        "groups": groups,
        "artefacts": [
            {
                "path": path,
                "rule": plan.jobs[place].rule,
                "group": member.get(place),
                "because": list(reasons[place]) or _follows(plan, place),
            }
            for place in pending
            for path in plan.jobs[place].outputs
        ],
        "unseen": unseen,
    }
    return publish_body(
        report,
        output,
        schema=SCHEMA,
        verb="audit",
        args={"arguments": list(arguments), "quick": quick},
        inputs={},
        started=started,
        timed=True,
    )


class _Words:
    """Reasons of jobs; most jobs share theirs with many others."""

    def __init__(self, folder: Path) -> None:
        self._parts = cache(lambda fingerprint: recorded_parts(fingerprint, folder))

    def of(self, job: Job) -> tuple[str, ...]:
        """Sentences for each reason of the job's own, without what differs between jobs of one rule."""
        if not job.pending:
            return ()
        said = [text for change in job.changes for text in describe(change, self._parts)]
        return tuple(sorted({pattern(text, job.wildcards) for text in said}))


def _own(plan: Plan, job: Job, said: tuple[str, ...]) -> tuple[str, ...]:
    """`said` without what only repeats that a job before this one is pending."""
    followed = any(plan.jobs[before].pending for before in job.needs)
    return tuple(text for text in said if text != UPSTREAM or not followed)


def _grouped(
    plan: Plan, reasons: Sequence[tuple[str, ...]], seconds: Sequence[float | None]
) -> tuple[list[dict[str, Any]], dict[int, int]]:
    """Jobs with the same rule and reasons together, with what follows from them; and each job's group."""
    together: dict[tuple[str, tuple[str, ...]], list[int]] = {}
    followers: dict[int, list[int]] = {}
    for place, job in enumerate(plan.jobs):
        if not job.pending:
            continue
        if reasons[place]:
            together.setdefault((job.rule, reasons[place]), []).append(place)
        for before in job.needs:
            if plan.jobs[before].pending:
                followers.setdefault(before, []).append(place)
    groups, member = [], {}
    for (rule, why), places in together.items():
        reached = _reached(places, followers)
        later = sorted(reached - set(places))
        groups.append(
            {
                "rule": rule,
                "reasons": list(why),
                "jobs": len(places),
                **_price(places, seconds),
                "examples": [plan.jobs[place].outputs[0] for place in places[:_EXAMPLES]],
                "then": [
                    {"rule": name, "jobs": count}
                    for name, count in sorted(Counter(plan.jobs[place].rule for place in later).items())
                ],
                "then_cpu_minutes": _price(later, seconds)["cpu_minutes"],
            }
        )
        for place in places:
            member[place] = len(groups) - 1
    return groups, member


def _reached(start: Sequence[int], followers: dict[int, list[int]]) -> set[int]:
    seen, waiting = set(start), list(start)
    while waiting:
        for place in followers.get(waiting.pop(), ()):
            if place not in seen:
                seen.add(place)
                waiting.append(place)
    return seen


def _price(places: Sequence[int], seconds: Sequence[float | None]) -> dict[str, Any]:
    known = [s for place in places if (s := seconds[place]) is not None]
    return {"cpu_minutes": round(sum(known) / 60, 3), "unmeasured_jobs": len(places) - len(known)}


def _rules(plan: Plan, seconds: Sequence[float | None]) -> list[dict[str, Any]]:
    rules: dict[str, list[int]] = {}
    for place, job in enumerate(plan.jobs):
        rules.setdefault(job.rule, []).append(place)
    return [
        {
            "rule": rule,
            "jobs": len(places),
            "pending": len(wanted := [place for place in places if plan.jobs[place].pending]),
            **_price(wanted, seconds),
        }
        for rule, places in rules.items()
    ]


def _follows(plan: Plan, place: int) -> list[str]:
    """For a job without a reason of its own."""
    before = [plan.jobs[other] for other in plan.jobs[place].needs if plan.jobs[other].pending]
    named = sorted({job.rule for job in before})
    return [f"made from what {', '.join(named)} will make again" + (f": {before[0].outputs[0]}" if before else "")]
