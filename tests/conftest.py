"""Fixtures of several stages: the real clips of the embedded corpus, and a finished run."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests import schedule
from tests.make.runs import build_run, once
from tests.make.videos import ffmpeg_program, make_video, prepare_embedded

# Started in the background, a test run ignores Ctrl-C, and so would every process that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# OpenMP reads these when torch and scikit-learn are imported. Threads that wait for each other spin by default, which takes
# minutes where as many test processes as processors run; a test that needs more threads asks for them.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# An example that takes long on a busy machine is not a failure. The tests draw the same examples each time, so that a
# change alone decides whether they pass; `make fuzz` draws others, with the thorough profile.
settings.register_profile("shared machine", deadline=None, max_examples=40, derandomize=True)
settings.register_profile("thorough", deadline=None, max_examples=1000)
settings.load_profile("shared machine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: schedule.rank(item.nodeid))


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    if config.getvalue("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

    class Files(LoadScopeScheduling):  # type: ignore[misc]
        """Sends pieces of work in the order of the tests to the process that is free."""

        def _split_scope(self, nodeid: str) -> str:
            return schedule.piece(nodeid)

    config.option.loadscopereorder = False
    return Files(config, log)


@pytest.fixture(scope="session")
def _embedded() -> tuple[dict[str, Path], dict[str, Path]]:
    from pyvmaf.errors import IntegrityError, PyvmafError

    try:
        return prepare_embedded()
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


@pytest.fixture(scope="session", name="make_video")
def _make_video(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`tests.make.videos.make_video` into a folder of the session, by file name."""
    folder = tmp_path_factory.mktemp("videos")
    return lambda name, *words, **more: make_video(folder / name, *words, **more)


@pytest.fixture(scope="session")
def ffmpeg() -> str:
    return ffmpeg_program()


@pytest.fixture(scope="session")
def pair(embedded_files: dict[str, Path]) -> tuple[Path, Path]:
    """A reference and its distorted version, 176x144, 120 frames, as they are published."""
    return embedded_files["carphone_pristine.mp4"], embedded_files["carphone_distorted.mp4"]


@pytest.fixture(scope="session")
def convert(ffmpeg: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A function that converts a clip once: source, name of the file, options of FFmpeg."""
    folder = tmp_path_factory.mktemp("converted")

    def run(source: Path, name: str, *options: str) -> Path:
        # Tests may give the same name to other files.
        target = folder / hashlib.sha256(repr((source, options)).encode()).hexdigest()[:12] / name
        if not target.exists():
            target.parent.mkdir(exist_ok=True)
            subprocess.run(
                [ffmpeg, "-v", "error", "-y", "-i", str(source), *options, str(target)], check=True, timeout=120
            )
        return target

    return run


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of development data beside the checkout; without it, the test is skipped."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no folder ../shared/data beside this checkout")
    return folder


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all test processes share: the parent of the folders that pytest-xdist gives to its processes."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def finished_results(session_folder: Path) -> Path:
    """The results folder of a finished run. Read-only: it is shared by all test processes."""
    return once(session_folder, "finished-results", build_run) / "results"


@pytest.fixture
def results(finished_results: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the finished run to break; the working directory is the folder that it lies in."""
    shutil.copytree(finished_results.parent, tmp_path, dirs_exist_ok=True)
    with chdir(tmp_path):
        yield tmp_path / "results"
