"""Peak memory of extraction: 10,000 frames against 1,000 frames of 640x360, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys

from bench.clips import long_pair, report

BAR_MB, BAR_GROWTH = 300.0, 1.1
# 16 bytes per score are allowed to grow: six features, the teacher and the frame number.
SCORE_BYTES = 16 * 8

_CHILD = """
import re, sys
from pyvmaf import score
n = len(score(sys.argv[1], sys.argv[2], threads=2))
# getrusage would count the parent's size at the fork, too.
print(n, int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) / 1024)
"""


def _peak(frames: int) -> float:
    """Measure the peak resident megabytes of scoring a pair of that many frames."""
    reference, distorted = long_pair(frames)
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(reference), str(distorted)], check=True, capture_output=True, text=True
    )
    scored, peak = done.stdout.split()
    assert int(scored) == frames
    return float(peak)


def main() -> bool:
    """Print both peaks; return whether both bars are met."""
    print("memory: peak resident size of scoring one pair, 640x360, 2 threads")
    short, long = _peak(1_000), _peak(10_000)
    growth = (long - 9_000 * SCORE_BYTES / 2**20) / short
    met = report("10,000 frames", f"{long:.0f} MB (bar {BAR_MB:g} MB; 1,000 frames {short:.0f} MB)", long <= BAR_MB)
    return met & report(
        "10,000 against 1,000 frames, scores aside", f"{growth:.3f} (bar {BAR_GROWTH:g})", growth <= BAR_GROWTH
    )


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
