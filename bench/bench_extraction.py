"""Extraction against FFmpeg's libvmaf filter: a ladder of four rungs, and one pair, canonical6 and vmaf.

Both sides decode the same files and use two threads. FFmpeg is timed as a process, as a person would run
it, and this project as a call in a program that has imported it; the last line adds the start of Python to a pair.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.clips import ffmpeg, ladder, report
from pyvmaf.features.ladder import extract_ladder
from pyvmaf.features.options import Compute
from pyvmaf.scoring.score import score

REPEATS, THREADS = 5, 2
BAR_LADDER, BAR_PAIR = 1.25, 1.1


def _filter(reference: Path, distorted: Path, log: Path) -> None:
    graph = f"[0:v][1:v]libvmaf=n_threads={THREADS}:log_fmt=json:log_path={log.name}"
    command = [ffmpeg(), "-v", "error", "-i", str(distorted), "-i", str(reference), "-lavfi", graph, "-f", "null", "-"]
    subprocess.run(command, check=True, cwd=log.parent)


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _compare(ours: Callable[[], object], theirs: Callable[[], object]) -> tuple[float, float, list[float]]:
    """Return the seconds of both, measured in turn, and the ratio of each turn."""
    turns = [(_seconds(theirs), _seconds(ours)) for _ in range(REPEATS)]
    return (
        statistics.median(t for t, _ in turns),
        statistics.median(o for _, o in turns),
        [t / o for t, o in turns],
    )


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
        cases = (
            ("ladder of 4", BAR_LADDER, ours_ladder, theirs_ladder, 4 * frames),
            ("one pair", BAR_PAIR, lambda: score(reference, distorted, threads=THREADS), lambda: _filter(reference, distorted, logs["crf35"]), frames),
        )  # fmt: skip
        met = True
        for name, bar, our, their, work in cases:
            their_s, our_s, ratios = _compare(our, their)
            ratio = statistics.median(ratios)
            met &= report(
                f"{name} in process",
                f"{ratio:.2f} times its frames per second ({work / our_s:.1f} against {work / their_s:.1f}; "
                f"turns {min(ratios):.2f} to {max(ratios):.2f}; bar {bar:g})",
                ratio >= bar,
            )
        command = [sys.executable, "-m", "pyvmaf", "score", str(reference), str(distorted), "--threads", str(THREADS)]
        _, _, ratios = _compare(
            lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL),
            lambda: _filter(reference, distorted, logs["crf35"]),
        )
        print(
            f"  one pair as the command `vmaf-train score`, start of Python included: {statistics.median(ratios):.2f}"
        )
    return met


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
