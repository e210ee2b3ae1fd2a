"""Videos: FFmpeg's test pictures, and the real clips of the embedded corpus, prepared once for all test runs."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import time
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
CACHE = REPOSITORY / ".cache" / "test-corpus"

_STALE_AFTER_S = 24 * 3600


def prepare_embedded() -> tuple[dict[str, Path], dict[str, Path]]:
    """Fetch and prepare the embedded corpus once per version of corpus file and code; other processes wait.

    Returns:
        The prepared clips by key, and the fetched files by name.
    """
    from pyvmaf.base.code import identity
    from pyvmaf.corpora.fetch import fetch
    from pyvmaf.corpora.prepare import prepare
    from pyvmaf.corpora.spec import load_videos

    corpus_file = REPOSITORY / "config" / "corpora" / "embedded.yaml"
    version = hashlib.sha256(corpus_file.read_bytes() + identity("prepare").encode()).hexdigest()[:16]
    packages, folder = CACHE / "packages", CACHE / f"clips-{version}"
    CACHE.mkdir(parents=True, exist_ok=True)
    corpus = load_videos(corpus_file)
    with open(CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        files = fetch(corpus, corpus_file, packages).files
        clips = corpus.clip_paths(folder)
        for key, path in clips.items():
            if not path.with_name(f"{path.name}.manifest.json").is_file():
                prepare(corpus, key, corpus.home(corpus_file, packages), path)
        folder.touch()
        for other in CACHE.glob("clips-*"):
            if time.time() - other.stat().st_mtime > _STALE_AFTER_S:
                shutil.rmtree(other, ignore_errors=True)
    return clips, {path.name: path for path in files}


def ffmpeg_program() -> str:
    """Return the path of the FFmpeg that Python packages bring along."""
    import imageio_ffmpeg

    return str(imageio_ffmpeg.get_ffmpeg_exe())


def make_video(
    path: Path, size: str = "64x48", frames: int = 12, *options: str, source: str = "testsrc2", rate: str = "25"
) -> Path:
    """Write a video of one of FFmpeg's test sources; `options` are FFmpeg's output options, by default lossless."""
    path.parent.mkdir(parents=True, exist_ok=True)
    command = [ffmpeg_program(), "-nostdin", "-v", "error", "-y", "-f", "lavfi"]
    command += ["-i", f"{source}=size={size}:rate={rate}", "-frames:v", str(frames)]
    subprocess.run([*command, *(options or ("-pix_fmt", "yuv420p", "-qp", "0")), str(path)], check=True)
    return path
