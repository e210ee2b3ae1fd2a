"""What tests of several stages share: the real clips of the embedded corpus, and a finished run."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Started in the background, a test run ignores Ctrl-C, and so would every process that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine is no failure.
settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")

Make = Callable[..., Path]

REPOSITORY = Path(__file__).parents[1]
CACHE = REPOSITORY / ".cache" / "test-corpus"

_STALE_AFTER_S = 24 * 3600


def _prepare_embedded() -> tuple[dict[str, Path], dict[str, Path]]:
    """Fetch and prepare the embedded corpus once per version of corpus file and code; other processes wait."""
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


@pytest.fixture(scope="session")
def _embedded() -> tuple[dict[str, Path], dict[str, Path]]:
    from pyvmaf.errors import IntegrityError, PyvmafError

    try:
        return _prepare_embedded()
    except IntegrityError:
        raise
    except PyvmafError as err:
        if os.environ.get("PYVMAF_REQUIRE_NETWORK") == "1" or "cannot download" not in str(err):
            raise
        pytest.skip(f"the embedded corpus is not available: {err}")


@pytest.fixture(scope="session")
def embedded_corpus(_embedded: tuple[dict[str, Path], dict[str, Path]]) -> dict[str, Path]:
    """The nine prepared clips by key ("carphone"). Read-only: they are shared by all tests and test runs."""
    return _embedded[0]


@pytest.fixture(scope="session")
def embedded_files(_embedded: tuple[dict[str, Path], dict[str, Path]]) -> dict[str, Path]:
    """The fetched files by name: bigbuckbunny.mp4, bikes.mp4, carphone_pristine.mp4, carphone_distorted.mp4,
    cityCC0.mpg. Read-only.
    """
    return _embedded[1]


@pytest.fixture(scope="session")
def make_video(tmp_path_factory: pytest.TempPathFactory, ffmpeg: str) -> Make:
    """A function that writes a video of FFmpeg's moving test picture: name, size, frames, FFmpeg's output options."""
    folder = tmp_path_factory.mktemp("videos")

    def make(
        name: str, size: str = "64x48", frames: int = 12, *options: str, source: str = "testsrc2", rate: str = "25"
    ) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        command = [ffmpeg, "-nostdin", "-v", "error", "-y", "-f", "lavfi"]
        command += ["-i", f"{source}=size={size}:rate={rate}", "-frames:v", str(frames)]
        subprocess.run([*command, *(options or ("-pix_fmt", "yuv420p", "-qp", "0")), str(path)], check=True)
        return path

    return make


@pytest.fixture(scope="session")
def ffmpeg() -> str:
    import imageio_ffmpeg

    return str(imageio_ffmpeg.get_ffmpeg_exe())


@pytest.fixture(scope="session")
def pair(embedded_files: dict[str, Path]) -> tuple[Path, Path]:
    """A reference and its distorted version, 176x144, 120 frames, as they are published."""
    return embedded_files["carphone_pristine.mp4"], embedded_files["carphone_distorted.mp4"]


@pytest.fixture(scope="session")
def convert(ffmpeg: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes a clip from another one, once: source, name of the file, options of FFmpeg."""
    folder = tmp_path_factory.mktemp("converted")

    def run(source: Path, name: str, *options: str) -> Path:
        target = folder / name
        if not target.exists():
            subprocess.run(
                [ffmpeg, "-v", "error", "-y", "-i", str(source), *options, str(target)], check=True, timeout=120
            )
        return target

    return run


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of development data beside the checkout, where there is one."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no folder ../shared/data beside this checkout")
    return folder


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all test processes share: each process of pytest-xdist has one of its own in that of the session."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def finished_results(session_folder: Path) -> Path:
    """The results folder of a finished run. Read-only: it is shared by all test processes."""
    from tests.finished_run import build, once

    return once(session_folder, "finished-results", build) / "results"


@pytest.fixture
def results(finished_results: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the finished run to break; the working directory is the folder that it lies in."""
    from tests.finished_run import inside

    shutil.copytree(finished_results.parent, tmp_path, dirs_exist_ok=True)
    with inside(tmp_path):
        yield tmp_path / "results"
