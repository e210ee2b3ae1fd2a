"""Progress of a run of the workflow: one line on a terminal, a plain line now and then elsewhere.

Snakemake finds this package by its name; the profiles choose it with ``logger: pyvmaf``. Errors appear with the logs of
their jobs, whatever else is quiet. Dry-runs, and runs with ``--verbose``, ``--printshellcmds`` or ``--debug-dag``, print
what Snakemake prints on its own.
"""

from __future__ import annotations

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from logging import ERROR, WARNING, LogRecord
from typing import TYPE_CHECKING, TextIO

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

if TYPE_CHECKING:
    from rich.progress import Progress

PLAIN_EVERY_S = 30.0
"""Seconds between two plain lines."""

_NOT_SHOWN = frozenset(LogEvent) - {LogEvent.RUN_INFO, LogEvent.JOB_ERROR, LogEvent.GROUP_ERROR, LogEvent.ERROR}
_NOT_SHOWN_TEXT = ("Select jobs to execute",)
_ESTIMATE_AFTER_S = 5.0


class Run:
    """Jobs of a run: how many of each rule, which are at work, and how long the finished ones took.

    Times are seconds of one clock.

    Args:
        jobs: number of jobs of each rule.
        now: when the run started.
    """

    def __init__(self, jobs: Mapping[str, int], now: float) -> None:
        self._jobs = Counter(jobs)
        self._started = now
        self._running: dict[int, tuple[str, float]] = {}
        self._finished: Counter[str] = Counter()
        self._seconds: defaultdict[str, float] = defaultdict(float)

    @property
    def total(self) -> int:
        """Number of jobs."""
        return self._jobs.total()

    @property
    def done(self) -> int:
        """Number of finished jobs."""
        return self._finished.total()

    def start(self, job: int, rule: str, now: float) -> None:
        """Note that a job is at work; one that is tried again starts anew."""
        self._running[job] = (rule, now)

    def fail(self, job: int) -> None:
        """Note that a job failed. It may be tried again."""
        self._running.pop(job, None)

    def finish(self, job: int, now: float) -> None:
        """Note that a job is done."""
        rule, started = self._running.pop(job, (None, now))
        if rule is not None:
            self._finished[rule] += 1
            self._seconds[rule] += now - started

    def seconds_left(self, now: float) -> float | None:
        """Estimate the time to the end; None before the first jobs have shown how long they take.

        A job takes as long as the finished ones of its rule did on average, or as those of all rules; one that has taken
        longer takes as long again as it is late. As many run at a time as did so far, and no job is divided.
        """
        elapsed, worked = now - self._started, sum(self._seconds.values())
        if elapsed < _ESTIMATE_AFTER_S or not worked:
            return None
        usual = worked / self.done
        work = longest = 0.0
        for rule, jobs in self._jobs.items():
            mean = self._seconds[rule] / self._finished[rule] if self._finished[rule] else usual
            ages = [now - started for name, started in self._running.values() if name == rule]
            waiting = max(0, jobs - self._finished[rule] - len(ages))
            parts = [*(abs(mean - age) for age in ages), *[mean] * waiting]
            work += sum(parts)
            longest = max(longest, *parts, 0.0)
        return max(longest, work / max(1.0, worked / elapsed))

    def state(self, now: float) -> str:
        """The rules at work and the time left, in words."""
        rules = Counter(rule for rule, _ in self._running.values())
        parts = [", ".join(rule if n == 1 else f"{rule} ({n})" for rule, n in sorted(rules.items()))]
        left = self.seconds_left(now)
        if left is not None and self.done < self.total:
            parts.append(f"about {_words(left)} left")
        return " · ".join(part for part in parts if part)

    def line(self, now: float) -> str:
        """The share done, the rules at work and the time left in one line."""
        share = f"{self.done} of {self.total} jobs done ({100 * self.done // self.total} %)"
        return " · ".join(part for part in (share, self.state(now)) if part)


def _words(seconds: float) -> str:
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


class LogHandler(LogHandlerBase):
    """The handler that Snakemake gives every record of a run to, in a thread of its own."""

    def __post_init__(self) -> None:
        from snakemake.logging import ColorizingTextHandler

        settings = self.common_settings
        self._stream: TextIO = sys.stdout if settings.stdout else sys.stderr
        self._text = ColorizingTextHandler(nocolor=settings.nocolor, stream=self._stream)
        self._run: Run | None = None
        self._bar: Progress | None = None
        self._last_line = 0.0

    @property
    def writes_to_stream(self) -> bool:
        return True

    @property
    def writes_to_file(self) -> bool:
        return False

    @property
    def has_filter(self) -> bool:
        """Whether records reach `emit` past Snakemake's own filter, which hides errors where rules are quiet."""
        settings = self.common_settings
        return not (settings.dryrun or settings.verbose or settings.printshellcmds or settings.debug_dag)

    @property
    def has_formatter(self) -> bool:
        return False

    @property
    def needs_rulegraph(self) -> bool:
        return False

    def emit(self, record: LogRecord) -> None:
        """Print a record, or move the line."""
        try:
            if not self.has_filter:
                self._print(record)
                return
            self._follow(record)
            if self._is_shown(record):
                self._print(record)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Take the line away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        super().close()

    def _is_quiet(self, topic: object) -> bool:
        # Members of Snakemake's `Quietness`.
        return any(
            str(quiet).lower().endswith(("all", str(topic).lower())) for quiet in self.common_settings.quiet or ()
        )

    def _is_shown(self, record: LogRecord) -> bool:
        event = getattr(record, "event", None)
        if event in _NOT_SHOWN or str(record.msg).startswith(_NOT_SHOWN_TEXT):
            return False
        return not self._is_quiet(getattr(record, "quietness", "progress" if event == LogEvent.RUN_INFO else "all"))

    def _print(self, record: LogRecord) -> None:
        if self._bar is None:
            self._text.setFormatter(self.formatter)
            self._text.emit(record)
            return
        text = self.format(record)
        style = "red" if record.levelno >= ERROR else "yellow" if record.levelno >= WARNING else None
        self._bar.console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    def _follow(self, record: LogRecord) -> None:
        event, now = getattr(record, "event", None), time.monotonic()
        details = record.__dict__
        if event == LogEvent.RUN_INFO:
            self._run = Run({rule: n for rule, n in details["stats"].items() if rule != "total"}, now)
            self._last_line = now
        run = self._run
        if run is None:
            return
        if event == LogEvent.JOB_INFO:
            run.start(details["jobid"], details["rule_name"], now)
        elif event == LogEvent.JOB_ERROR:
            run.fail(details["jobid"])
        elif event == LogEvent.JOB_FINISHED:
            run.finish(details["job_id"], now)
        else:
            return
        self._show(run, now)

    def _show(self, run: Run, now: float) -> None:
        if self._is_quiet("progress"):
            return
        if not self._stream.isatty():
            if now - self._last_line >= PLAIN_EVERY_S:
                self._last_line = now
                print(run.line(now), file=self._stream, flush=True)
            return
        if self._bar is None:
            self._bar = _bar(self._stream, self.common_settings.nocolor)
            self._bar.add_task("", total=run.total)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=run.done, description=run.state(now))


def _bar(stream: TextIO, nocolor: bool) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn
    from rich.table import Column

    return Progress(
        TaskProgressColumn(),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
        console=Console(file=stream, no_color=nocolor or None),
        refresh_per_second=1,
        transient=True,
        expand=True,
    )
