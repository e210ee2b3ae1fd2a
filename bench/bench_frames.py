"""Pictures of a long 1080p video, once a second: memory, processor time against plain decoding, and going on after a kill.

The film of the pinned package is scaled to 1920x1080, encoded once, and repeated without encoding it again. Plain PyAV
decodes the same file with one thread. MINUTES in the environment sets the length; the bar of memory is that of an hour, and
memory does not grow with the length, which two lengths show.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.clips import CACHE, film, make, report

MINUTES = float(os.environ.get("MINUTES", "4"))
BAR_MB = 500.0
BAR_RATIO = 1.25
BAR_GROWTH_MB = 40.0
BAR_REST = 0.8

DECODE = (
    "import av, sys\n"
    "with av.open(sys.argv[1]) as container:\n"
    "    container.streams.video[0].codec_context.thread_count = 1\n"
    "    print(sum(1 for _ in container.decode(video=0)))\n"
)


def _video(minutes: float) -> Path:
    """Return a video of 24 frames per second."""
    scaled = [
        "-vf",
        "scale=1920:1080,fps=24",
        "-an",
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-crf",
        "26",
        "-g",
        "48",
    ]
    one = make(CACHE / "film_1080p.mkv", "-i", str(film()), *scaled)
    target = CACHE / f"film_1080p_{minutes:g}min.mkv"
    return make(target, "-stream_loop", "-1", "-i", str(one), "-t", str(minutes * 60), "-c", "copy")


def _run(*command: str, cwd: Path, watch: Path | None = None, entries: int = 0) -> tuple[float, float, int]:
    """Run a command; return its processor seconds, its peak memory in MB and its exit status.

    With `watch` it is killed as soon as that folder holds so many entries of the cache.
    """
    process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    while watch is not None and len(list(watch.rglob("*.pictures"))) < entries:
        time.sleep(0.05)
    if watch is not None:
        os.kill(process.pid, signal.SIGKILL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, process.returncode


def _extract(video: Path, name: str, *options: str) -> list[str]:
    words = ["extract-frames", str(video), "-o", f"{name}.safetensors", "--per-second", "1", "--cache", name]
    return [sys.executable, "-m", "pyvmaf", *words, *options]


def _sizes(folder: Path, minutes: float) -> bool:
    """Measure memory and time, of pictures at their own size and scaled ones."""
    video = _video(minutes)
    plain, _, code = _run(sys.executable, "-c", DECODE, str(video), cwd=folder)
    met = report(f"plain PyAV, {minutes:g} minutes", f"{plain:.1f} s", code == 0)
    for name, options in {"native": (), "scaled": ("--size", "640x360", "--colour", "rgb24")}.items():
        seconds, peak, code = _run(*_extract(video, f"{name}-{minutes:g}", *options), cwd=folder)
        text = f"{peak:.0f} MB (bar {BAR_MB:g}), {seconds:.1f} s = {seconds / plain:.2f} of plain decoding (bar {BAR_RATIO})"
        met &= report(f"extract-frames, {name}", text, code == 0 and peak <= BAR_MB and seconds <= BAR_RATIO * plain)
    return met


def _growth(folder: Path, minutes: float) -> bool:
    """Compare the memory of a video with that of a quarter of it."""
    peaks = [_run(*_extract(_video(part), f"grow{part:g}"), cwd=folder)[1] for part in (minutes / 4, minutes)]
    text = f"{peaks[0]:.0f} and {peaks[1]:.0f} MB (bar {BAR_GROWTH_MB:g} MB more)"
    return report(f"memory, {minutes / 4:g} and {minutes:g} minutes", text, peaks[1] - peaks[0] <= BAR_GROWTH_MB)


def _resume(folder: Path, minutes: float) -> bool:
    """Kill a call in its middle and run it again."""
    video = _video(minutes)
    whole, _, code = _run(*_extract(video, "whole"), cwd=folder)
    entries = len(list((folder / "whole").rglob("*.pictures")))
    _run(*_extract(video, "cut"), cwd=folder, watch=folder / "cut", entries=entries // 2)
    rest, _, code = _run(*_extract(video, "cut"), cwd=folder)
    same = (folder / "cut.safetensors").read_bytes() == (folder / "whole.safetensors").read_bytes()
    text = f"{rest:.1f} s of {whole:.1f} s (bar {BAR_REST}), the same bytes: {same}"
    return report("after SIGKILL at half of it", text, code == 0 and same and rest <= BAR_REST * whole)


def main() -> bool:
    """Print the figures; return whether every bar is met."""
    print(f"frames: pictures of 1080p video, once a second, {MINUTES:g} minutes")
    with tempfile.TemporaryDirectory(dir=CACHE.parent) as name:
        folder = Path(name)
        met = _sizes(folder, MINUTES)
        met &= _growth(folder, MINUTES)
        return met & _resume(folder, MINUTES)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
