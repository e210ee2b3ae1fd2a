"""The command `score` against FFmpeg's libvmaf filter: processor time of both programs, start-up included, at 360p and 720p.

Both decode the same files with two threads, and write the scores of all frames as JSON. The models are vmaf_v0.6.1, and
vmaf_v1.0.16_3d0h alone. The time up to the first frame is that of the score of a single frame.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.clips import ffmpeg, ladder, long_pair, report

REPEATS, THREADS = 5, 2
FRAMES = 300
BARS = {"vmaf_v0.6.1": 1.0, "vmaf_v1.0.16_3d0h": 1.1}
START_BAR = 0.2


def _seconds(command: Sequence[str | Path], folder: Path) -> float:
    """Processor seconds of a command, user and system."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Bytecode is written and read, as where a program is installed.
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": ""}
    subprocess.run(command, check=True, cwd=folder, env=variables, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _commands(reference: Path, distorted: Path, model: str) -> tuple[list[str | Path], list[str | Path]]:
    """Return our command and FFmpeg's, which write ours.json and theirs.json."""
    ours: list[str | Path] = [
        sys.executable,
        "-m",
        "pyvmaf",
        "score",
        reference,
        distorted,
        "-m",
        model,
        "-t",
        str(THREADS),
        "-o",
        "ours.json",
    ]
    # Files of other time bases are paired by number of frame, as here.
    sides = "[0:v]settb=1/25,setpts=N[a];[1:v]settb=1/25,setpts=N[b]"
    graph = f"{sides};[a][b]libvmaf=n_threads={THREADS}:model=version={model}:log_fmt=json:log_path=theirs.json"
    theirs: list[str | Path] = [
        ffmpeg(),
        "-v",
        "error",
        "-i",
        distorted,
        "-i",
        reference,
        "-lavfi",
        graph,
        "-f",
        "null",
        "-",
    ]
    return ours, theirs


def _same_scores(folder: Path, model: str) -> bool:
    ours = json.loads((folder / "ours.json").read_text())["frames"]
    theirs = [frame["metrics"] for frame in json.loads((folder / "theirs.json").read_text())["frames"]]
    key = next(name for name in theirs[0] if name in ("vmaf", model))
    return bool(np.allclose([row["vmaf"] for row in ours], [row[key] for row in theirs], atol=1e-4))


def _compare(what: str, reference: Path, distorted: Path, model: str, folder: Path) -> bool:
    """Report the ratio of both, measured in turn; return whether the bar is met and the scores are the same."""
    ours, theirs = _commands(reference, distorted, model)
    turns = [(_seconds(ours, folder), _seconds(theirs, folder)) for _ in range(REPEATS + 1)][1:]
    ratio = statistics.median(our / their for our, their in turns)
    our, their = (statistics.median(turn[side] for turn in turns) for side in (0, 1))
    same = _same_scores(folder, model)
    figure = f"{ratio:.2f} of FFmpeg's processor time (bar {BARS[model]:g}; {our:.2f} s and {their:.2f} s"
    return report(
        f"{what}, {model}", f"{figure}; scores {'equal' if same else 'DIFFER'})", same and ratio <= BARS[model]
    )


def _start(reference: Path, distorted: Path, folder: Path) -> bool:
    """Report the processor time of the score of one frame and of the help, beside the libraries' imports alone and FFmpeg."""
    one: list[str | Path] = [
        sys.executable,
        "-m",
        "pyvmaf",
        "score",
        reference,
        distorted,
        "--frames",
        "0:1",
        "--quiet",
    ]
    libraries: list[str | Path] = [sys.executable, "-c", "import numpy, av"]
    helps: list[str | Path] = [sys.executable, "-m", "pyvmaf", "--help"]
    ends = "[0:v]trim=end_frame=1[a];[1:v]trim=end_frame=1[b];[a][b]libvmaf"
    theirs: list[str | Path] = [ffmpeg(), "-v", "error", "-i", distorted, "-i", reference]
    theirs += ["-lavfi", ends, "-frames:v", "1", "-f", "null", "-"]
    commands = (one, libraries, theirs, helps)
    whole, imports, other, listed = (min(_seconds(command, folder) for _ in range(REPEATS)) for command in commands)
    figure = f"{whole:.2f} s of processor time, of which {imports:.2f} s import NumPy and PyAV; FFmpeg {other:.2f} s (bar {START_BAR})"
    met = report("640x360, one frame", figure, whole <= START_BAR)
    return report("vmaf-train --help", f"{listed:.2f} s (bar {START_BAR})", listed <= START_BAR) and met


def main() -> bool:
    """Print the ratios; return whether every bar is met."""
    large, rungs = ladder()
    pairs = {"640x360": long_pair(FRAMES), "1280x720": (large, rungs["crf35"])}
    print(f"score: {THREADS} threads, JSON written, median of {REPEATS} turns; FFmpeg's libvmaf filter")
    met = True
    with tempfile.TemporaryDirectory() as folder:
        for what, (reference, distorted) in pairs.items():
            for model in BARS:
                met &= _compare(what, reference, distorted, model, Path(folder))
        met &= _start(*pairs["640x360"], Path(folder))
    return met


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
