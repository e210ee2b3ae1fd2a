"""Pictures of clips and encodes that could not be made, and were skipped."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from pyvmaf.base.files import read_json
from pyvmaf.corpora.failure import Failure
from tests.make.commands import command, refusal

Make = Callable[..., Path]


def test_a_rung_that_was_skipped_is_listed(tmp_path: Path, make_video: Make) -> None:
    shutil.copy(make_video("reference.mkv", "64x64", 4), tmp_path / "reference.mkv")
    done = command("encode", "reference.mkv", "medium-crf30.mkv", "--codec", "libx264", "--crf", "30", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    Failure(path="reference.mkv", why="FFmpeg cannot encode it").write(tmp_path / "medium-crf45.mkv")
    labels = ("--corpus", "mine", "--clip", "a", "--codec", "libx264", "--source", "s", "--group", "g")
    rungs = [f"{rung}={rung}.mkv" for rung in ("medium-crf30", "medium-crf45")]
    call = ("extract-frames", *labels, "--frames", "2", "--output", "out.safetensors")
    done = command(*call, "--reference", "reference.mkv", *rungs, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    details = read_json(tmp_path / "out.safetensors.manifest.json")["details"]
    assert details["rungs"] == ["medium-crf30"]
    names = {"clip": "a", "codec": "libx264", "rung": "medium-crf45"}
    assert details["failed"] == [{**names, "path": "reference.mkv", "why": "FFmpeg cannot encode it"}]
    # Of a clip that could not be made there are no pictures.
    Failure(path="a.mp4", why="a.mp4 is not a video").write(tmp_path / "failed.mkv")
    message = refusal(*call, "--reference", "failed.mkv", *rungs, cwd=tmp_path)
    assert message.startswith("failed.mkv could not be made (a.mp4: a.mp4 is not a video)")
