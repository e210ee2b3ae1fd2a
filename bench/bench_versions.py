"""Four rungs of a 720p video in one `score` against four commands: processor time of the processes, start-up included.

libvmaf computes everything anew for each rung but motion, so that its figure has no bar; the kernels compute what depends on the
reference alone once.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.clips import ladder, report

BAR = 0.65


def _seconds(commands: Sequence[Sequence[str]]) -> float:
    """Processor seconds of commands, and of what they start."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for command in commands:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(reference: Path, versions: Sequence[Path], backend: str) -> tuple[float, float]:
    """Return the processor seconds of one command for all versions, and of one for each."""
    words = [sys.executable, "-m", "pyvmaf", "score", str(reference)]
    rest = ["--quiet", "--threads", "1", "--backend", backend]
    together = [[*words, *map(str, versions), *rest]]
    apart = [[*words, str(version), *rest] for version in versions]
    return _seconds(together), _seconds(apart)


def main() -> bool:
    """Print both times and their ratio for each engine; return whether the bar is met."""
    reference, rungs = ladder()
    met = []
    for backend in ("cpu", "kernels"):
        one, several = measure(reference, list(rungs.values()), backend)
        print(
            f"versions: backend {backend}: one command {one:.2f} s, {len(rungs)} commands {several:.2f} s of processor time"
        )
        # libvmaf computes all but motion anew for each rung, so that its figure has no bar.
        if backend == "kernels":
            met.append(
                report(
                    f"one command over {len(rungs)} ({backend})",
                    f"{one / several:.2f} (bar {BAR})",
                    one / several <= BAR,
                )
            )
        else:
            print(f"  one command over {len(rungs)} ({backend}): {one / several:.2f}")
    return all(met)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
