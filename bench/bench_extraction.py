"""Extraction against FFmpeg's libvmaf filter: a ladder of four rungs, and one pair, canonical6 and vmaf.

Both sides decode the same files and use two threads. FFmpeg is timed as a process, as a person would run
it, and this project as a call in a program that has imported it; the last line is a command, with the start of Python.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.clips import ffmpeg, ladder, long_pair, report
from pyvmaf.features.ladder import extract_ladder
from pyvmaf.features.options import Compute
from pyvmaf.scoring.score import score

REPEATS, THREADS = 5, 2
MINUTE = 1440
BAR_LADDER, BAR_PAIR, BAR_COMMAND = 2.4, 1.8, 1.6


def _filter(reference: Path, distorted: Path, log: Path) -> None:
    graph = f"[0:v][1:v]libvmaf=n_threads={THREADS}:log_fmt=json:log_path={log.name}"
    command = [ffmpeg(), "-v", "error", "-i", str(distorted), "-i", str(reference), "-lavfi", graph, "-f", "null", "-"]
    subprocess.run(command, check=True, cwd=log.parent)


class Seconds(NamedTuple):
    """Time of one run, on the clock and of all processors together."""

    wall: float
    processor: float


def _processor() -> float:
    """Return the processor time of this process and its ended children, user and system."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _seconds(work: Callable[[], object]) -> Seconds:
    started = Seconds(time.perf_counter(), _processor())
    work()
    return Seconds(time.perf_counter() - started.wall, _processor() - started.processor)


def _compare(ours: Callable[[], object], theirs: Callable[[], object]) -> list[tuple[Seconds, Seconds]]:
    """Return the times of both (ours, then theirs), measured in turn."""
    turns = [(_seconds(theirs), _seconds(ours)) for _ in range(REPEATS)]
    return [(our, their) for their, our in turns]


def _report(what: str, turns: list[tuple[Seconds, Seconds]], bar: float, frames: int) -> bool:
    """Report the ratios of both times. That of processor time decides: other processes change it less."""
    ratios = [their.wall / our.wall for our, their in turns]
    processor = statistics.median(their.processor / our.processor for our, their in turns)
    our_s, their_s = (statistics.median(turn[side].wall for turn in turns) for side in (0, 1))
    figure = (
        f"{processor:.2f} times faster in processor time (bar {bar:g}), {statistics.median(ratios):.2f} in wall time "
        f"({min(ratios):.2f} to {max(ratios):.2f}; {frames / our_s:.1f} against {frames / their_s:.1f} frames per second)"
    )
    return report(what, figure, processor >= bar)


def main() -> bool:
    """Print the ratios; return whether every bar is met."""
    reference, rungs = ladder()
    distorted = rungs["crf35"]
    frames = 132
    with tempfile.TemporaryDirectory() as folder:
        logs = {rung: Path(folder) / f"{rung}.json" for rung in rungs}

        def theirs_ladder() -> None:
            for rung, path in rungs.items():
                _filter(reference, path, logs[rung])

        def ours_ladder() -> None:
            extract_ladder(reference, rungs, compute=Compute(threads=THREADS))

        # The same scores on both sides, and a warm file cache.
        theirs_ladder()
        measured = extract_ladder(reference, rungs, compute=Compute(threads=THREADS))
        for rung, log in logs.items():
            expected = [frame["metrics"]["vmaf"] for frame in json.loads(log.read_text())["frames"]]
            ours = measured.rungs[rung].vmaf
            assert ours is not None
            np.testing.assert_allclose(ours, expected, atol=1e-6)
        print(
            f"extraction: 1280x720, {frames} frames, {THREADS} threads, median of {REPEATS} turns; FFmpeg's libvmaf filter"
        )
        minute = long_pair(MINUTE)
        command = [sys.executable, "-m", "pyvmaf", "score", *map(str, minute), "--threads", str(THREADS)]
        cases = (
            ("ladder of 4 in process", BAR_LADDER, ours_ladder, theirs_ladder, 4 * frames),
            ("one pair in process", BAR_PAIR, lambda: score(reference, distorted, threads=THREADS), lambda: _filter(reference, distorted, logs["crf35"]), frames),
            ("640x360 for a minute, as the command `vmaf-train score`", BAR_COMMAND, lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL), lambda: _filter(*minute, logs["crf35"]), MINUTE),
        )  # fmt: skip
        met = True
        for name, bar, our, their, work in cases:
            met &= _report(name, _compare(our, their), bar, work)
    return met


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
