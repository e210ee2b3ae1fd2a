"""A probe of a clip against one x264 encode of it at preset medium: processor time.

The bar is 5 %. Of short clips it holds for the work of the probe: to scale the pictures, to measure them and to encode them. To
decode a clip that is nearly lossless takes several times as long, which is printed beside it (the encode decodes it as well). Of a
clip of 960 frames two stretches are probed (``--samples 2``), and the bar holds for everything, decoding included.
"""

from __future__ import annotations

import resource
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.clips import CACHE, ffmpeg, make, report

DATA = Path(__file__).parents[1] / ".." / "shared" / "data" / "clips"
CLIPS = (
    "bbb_cuts.mkv",
    "coffee_pour.mkv",
    "cactus_flower.mkv",
    "red_tree.mkv",
    "code_static_1080p.mkv",
    "jwst_fade.mkv",
)
BAR = 0.05


def seconds(work: Callable[[], object], times: int = 3) -> float:
    """Return the processor time (user and system) of a call and the processes that it starts; the least of several calls."""

    def now() -> float:
        usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(usage.ru_utime + usage.ru_stime for usage in usages)

    def once() -> float:
        start = now()
        work()
        return now() - start

    return min(once() for _ in range(times))


def main() -> bool:
    """Print the shares of each clip; return whether the mean share of the probe's own work meets the bar."""
    from pyvmaf.encodes.probe import probe
    from pyvmaf.video.reader import Reader

    if not DATA.is_dir():
        print("probe: no folder ../shared/data/clips beside this checkout, nothing is probed")
        return True
    shares = []
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "medium.mkv"
        for name in CLIPS:
            clip = (DATA / name).resolve()
            words = [ffmpeg(), "-v", "error", "-y", "-threads", "1", "-i", str(clip), "-threads", "1"]
            words += ["-c:v", "libx264", "-preset", "medium", str(target)]
            encode = seconds(lambda words=words: subprocess.run(words, check=True), times=2)  # type: ignore[misc]
            decode = seconds(lambda clip=clip: sum(1 for _ in Reader(clip).frames()))  # type: ignore[misc]
            whole = seconds(lambda clip=clip: probe(clip))  # type: ignore[misc]
            shares.append((whole - decode) / encode)
            print(
                f"  {name}: probe {whole:.3f} s, of which decoding {decode:.3f} s; x264 medium {encode:.3f} s; "
                f"share {shares[-1]:.3f}, with decoding {whole / encode:.3f}",
                flush=True,
            )
    mean = sum(shares) / len(shares)
    own = report("the work of a probe over one medium encode, mean", f"{mean:.3f} (bar {BAR:.2f})", mean <= BAR)
    return own and long_clip()


def long_clip() -> bool:
    """Print the share of a probe of two stretches of a clip of 960 frames, decoding included."""
    from pyvmaf.encodes.probe import probe

    source = str((DATA / "coffee_pour.mkv").resolve())
    words = ["-stream_loop", "15", "-i", source, "-c:v", "libx264", "-preset", "veryfast", "-crf", "12", "-g", "48"]
    clip = make(CACHE / "coffee_long.mkv", *words)
    target = CACHE / "coffee_long_medium.mkv"
    command = [ffmpeg(), "-v", "error", "-y", "-threads", "1", "-i", str(clip), "-threads", "1"]
    encode = seconds(lambda: subprocess.run([*command, "-c:v", "libx264", str(target)], check=True), times=1)
    share = seconds(lambda: probe(clip, samples=2)) / encode
    return report("two stretches of 960 frames, all included", f"{share:.3f} (bar {BAR:.2f})", share <= BAR)
