"""Clips made from real ones for this stage's tests, by FFmpeg."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest


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
    folder = Path(__file__).parents[3] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no folder ../shared/data beside this checkout")
    return folder
