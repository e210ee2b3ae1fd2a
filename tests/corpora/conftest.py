from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pyvmaf.video.ffmpeg import ffmpeg

Make = Callable[..., Path]


@pytest.fixture(scope="session")
def make_video(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """A function that writes a video of FFmpeg's moving test picture: name, size, frames, FFmpeg's output options."""
    folder = tmp_path_factory.mktemp("videos")

    def make(
        name: str, size: str = "64x48", frames: int = 12, *options: str, source: str = "testsrc2", rate: str = "25"
    ) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        command = [str(ffmpeg().path), "-nostdin", "-v", "error", "-y", "-f", "lavfi"]
        command += ["-i", f"{source}=size={size}:rate={rate}", "-frames:v", str(frames)]
        subprocess.run([*command, *(options or ("-pix_fmt", "yuv420p", "-qp", "0")), str(path)], check=True)
        return path

    return make
