"""Heat maps of CAMBI: the files that an independent build of libvmaf writes, byte for byte."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pyvmaf.scoring import heatmaps
from pyvmaf.video.ffmpeg import ffmpeg
from tests.make.commands import command, refusal

SCALES = ((320, 180), (160, 90), (80, 45), (40, 23), (20, 12))


@pytest.fixture(scope="module")
def banded(pair: tuple[Path, Path], convert: Callable[..., Path]) -> tuple[Path, Path]:
    smooth = convert(pair[0], "smooth.mkv", "-vf", "scale=320:180,gblur=sigma=9", "-frames:v", "5", "-c:v", "ffv1")
    return smooth, convert(smooth, "banded.mkv", "-c:v", "libx264", "-crf", "40")


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_as_libvmaf_writes_them(banded: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    graph = f"[0:v]setpts=N[a];[1:v]setpts=N[b];[a][b]libvmaf=feature=name=cambi\\\\:heatmaps_path={theirs}"
    words = [str(ffmpeg().path), "-v", "error", "-i", str(banded[1]), "-i", str(banded[0]), "-lavfi", graph]
    subprocess.run([*words, "-f", "null", "-"], check=True)
    monkeypatch.setattr(heatmaps, "BLOCK", 2)
    done = command("score", *banded, "--heatmap", tmp_path / "ours")
    assert done.returncode == 0
    expected = content(theirs)
    assert set(expected) == {f"cambi_heatmap_scale_{n}_{w}x{h}_16b.gray" for n, (w, h) in enumerate(SCALES)}
    assert content(tmp_path / "ours") == expected
    assert any(expected["cambi_heatmap_scale_0_320x180_16b.gray"])
    assert f"wrote {tmp_path / 'ours'}/cambi_heatmap_scale_4_20x12_16b.gray" in done.stderr


def test_of_the_frames_that_are_scored(banded: tuple[Path, Path], tmp_path: Path) -> None:
    assert command("score", *banded, "--heatmap", tmp_path / "all", "-q").returncode == 0
    done = command("score", *banded, "--heatmap", tmp_path / "some", "--frames", "1:4", "--subsample", "2", "-q")
    assert (done.returncode, done.stderr) == (0, "")
    name = "cambi_heatmap_scale_1_160x90_16b.gray"
    size = 160 * 90 * 2
    whole, some = (tmp_path / folder / name for folder in ("all", "some"))
    frames = [whole.read_bytes()[index * size :][:size] for index in (1, 3)]
    assert some.read_bytes() == b"".join(frames)


def test_written_where_the_limit_is_missed(banded: tuple[Path, Path], tmp_path: Path) -> None:
    done = command("score", *banded, "--heatmap", tmp_path / "maps", "--fail-under", "99", "-q")
    assert (done.returncode, done.stderr.count("failed: ")) == (1, 1)
    assert len(content(tmp_path / "maps")) == len(SCALES)


def test_refused(banded: tuple[Path, Path], tmp_path: Path) -> None:
    assert "--heatmap is of one pair" in refusal("score", *banded, banded[0], "--heatmap", tmp_path / "maps")
    (tmp_path / "file").write_text("")
    assert "is a file, not a folder" in refusal("score", *banded, "--heatmap", tmp_path / "file")
