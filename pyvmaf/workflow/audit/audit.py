"""``vmaf-train audit``: the jobs of the next run, their reasons and their cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from pyvmaf.base.code import recorded_parts
from pyvmaf.base.document import Call, publish
from pyvmaf.base.outputs import publishes
from pyvmaf.workflow.audit.cost import estimate
from pyvmaf.workflow.audit.planned import Change, Job, Plan, load
from pyvmaf.workflow.audit.reasons import ONLY_TIMES, UPSTREAM, describe, pattern
from pyvmaf.workflow.audit.report import Audit, Cost, Following, Group, PlannedFile, RuleCost
from pyvmaf.workflow.audit.times import Recorded
from pyvmaf.workflow.audit.unseen import find_unseen

_EXAMPLES = 3


@publishes("audit")
def audit(arguments: Sequence[str] = (), *, quick: bool = False, output: Path | None = None) -> Audit:
    """List the jobs of the next ``snakemake ARGUMENTS``, with their reasons, followers and cost.

    Args:
        arguments: targets and options of Snakemake.
        quick: leave out everything that needs all results to be read (damage, orphans, packages).
        output: JSON file for the report.

    Raises:
        InputError: Snakemake refuses the options or the workflow.
    """
    call = Call("audit", args={"arguments": list(arguments), "quick": quick}, inputs={})
    plan = load(arguments)
    priced = _Priced(plan, quick=quick)
    pending = [index for index, job in enumerate(plan.jobs) if job.pending]
    groups, membership = priced.groups()
    only_times = {index for index in pending if priced.reasons[index] == (ONLY_TIMES,)}
    followers = _reached(only_times, _followers(plan))
    unseen = None if quick else find_unseen(plan)
    report = Audit(
        arguments=list(arguments),
        nothing_to_do=not pending and not unseen,
        jobs=len(plan.jobs),
        pending=len(pending),
        only_times=len(only_times),
        touch=bool(only_times) and followers >= set(pending),
        rules=priced.rules(),
        groups=groups,
        artefacts=[
            PlannedFile(
                path=path,
                rule=plan.jobs[index].rule,
                group=membership.get(index),
                because=list(priced.reasons[index]) or _followed_reason(plan, index),
            )
            for index in pending
            for path in plan.jobs[index].outputs
        ],
        unseen=unseen,
        run_provenance=call.provenance(),
        **priced.cost(pending).model_dump(),
    )
    # The cost comes from measured times.
    return publish(report, output, call, timed=True)


class _Priced:
    """The jobs of a plan with their own reasons and their cost."""

    def __init__(self, plan: Plan, *, quick: bool) -> None:
        self.plan = plan
        self._recorded = None if quick else Recorded(Path(plan.folder))
        self.seconds = estimate(plan.jobs, Path(plan.folder))
        # Most jobs share their code with many others.
        self._parts = cache(lambda identity: recorded_parts(identity, Path(plan.folder)))
        self.reasons = [self._reasons(job) for job in plan.jobs]

    def _reasons(self, job: Job) -> tuple[str, ...]:
        """Describe the reasons of a job's own, without the names that differ between jobs of one rule."""
        if not job.pending:
            return ()
        changes = [self._examined(job, change) for change in job.changes]
        sentences = {pattern(text, job.wildcards) for change in changes for text in describe(change, self._parts)}
        if any(self.plan.jobs[before].pending for before in job.needs):
            # The job before this one states the reason.
            sentences.discard(UPSTREAM)
        return tuple(sorted(sentences))

    def _examined(self, job: Job, change: Change) -> Change:
        """Tell inputs with other bytes from those that are only newer."""
        if change.kind != "newer" or self._recorded is None:
            return change
        changed = self._recorded.changed(job.outputs, tuple(change.new))
        return replace(change, kind="changed", new=tuple(changed)) if changed else replace(change, kind="touched")

    def cost(self, indices: Sequence[int]) -> Cost:
        measured = [seconds for index in indices if (seconds := self.seconds[index]) is not None]
        return Cost(cpu_minutes=round(sum(measured) / 60, 3), unmeasured_jobs=len(indices) - len(measured))

    def rules(self) -> list[RuleCost]:
        by_rule: dict[str, list[int]] = {}
        for index, job in enumerate(self.plan.jobs):
            by_rule.setdefault(job.rule, []).append(index)
        rules = []
        for rule, indices in by_rule.items():
            pending = [index for index in indices if self.plan.jobs[index].pending]
            cost = self.cost(pending).model_dump()
            rules.append(RuleCost(rule=rule, jobs=len(indices), pending=len(pending), **cost))
        return rules

    def groups(self) -> tuple[list[Group], dict[int, int]]:
        """Group jobs with the same rule and reasons, and map each job to its group."""
        together: dict[tuple[str, tuple[str, ...]], list[int]] = {}
        for index, job in enumerate(self.plan.jobs):
            if job.pending and self.reasons[index]:
                together.setdefault((job.rule, self.reasons[index]), []).append(index)
        followers = _followers(self.plan)
        groups: list[Group] = []
        membership: dict[int, int] = {}
        for (rule, reasons), indices in together.items():
            membership.update(dict.fromkeys(indices, len(groups)))
            groups.append(self._group(rule, reasons, indices, followers))
        return groups, membership

    def _group(
        self, rule: str, reasons: Sequence[str], indices: Sequence[int], followers: Mapping[int, Sequence[int]]
    ) -> Group:
        later = sorted(_reached(indices, followers) - set(indices))
        by_rule = Counter(self.plan.jobs[index].rule for index in later)
        return Group(
            rule=rule,
            reasons=list(reasons),
            jobs=len(indices),
            examples=[self.plan.jobs[index].outputs[0] for index in indices[:_EXAMPLES]],
            then=[Following(rule=name, jobs=count) for name, count in sorted(by_rule.items())],
            then_cpu_minutes=self.cost(later).cpu_minutes,
            **self.cost(indices).model_dump(),
        )


def _followers(plan: Plan) -> dict[int, list[int]]:
    """Map each pending job to the pending jobs that read its outputs."""
    followers: dict[int, list[int]] = {}
    for index, job in enumerate(plan.jobs):
        for before in job.needs if job.pending else ():
            if plan.jobs[before].pending:
                followers.setdefault(before, []).append(index)
    return followers


def _reached(start: Iterable[int], followers: Mapping[int, Sequence[int]]) -> set[int]:
    """Return the jobs that can be reached from `start`, itself included."""
    waiting = list(start)
    reached = set(waiting)
    while waiting:
        for index in followers.get(waiting.pop(), ()):
            if index not in reached:
                reached.add(index)
                waiting.append(index)
    return reached


def _followed_reason(plan: Plan, index: int) -> list[str]:
    """Describe why a job without reasons of its own is pending."""
    before = [plan.jobs[other] for other in plan.jobs[index].needs if plan.jobs[other].pending]
    rules = ", ".join(sorted({job.rule for job in before}))
    return [f"{rules} will make its inputs again" + (f": {before[0].outputs[0]}" if before else "")]
