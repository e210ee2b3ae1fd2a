"""Mistakes of a user: exit code 2, one message with the file and both values, and no partial output."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.make.commands import command, refusal


def refused(folder: Path, *words: str | Path, message: str) -> None:
    before = sorted(folder.rglob("*"))
    assert re.search(message, refusal(*words, cwd=folder))
    assert sorted(folder.rglob("*")) == before


def test_files_that_are_not_a_pair(pair: tuple[Path, Path], tmp_path: Path) -> None:
    reference, distorted = pair
    refused(tmp_path, "score", "none.mkv", distorted, "-o", "x.csv", message=r"no such file: none\.mkv")
    text = tmp_path / "notes.mp4"
    text.write_text("not a video at all\n" * 50)
    refused(
        tmp_path, "score", reference, text, "-o", "x.csv", message=r"notes\.mp4 is not a video that FFmpeg can read"
    )
    empty = tmp_path / "empty.mp4"
    empty.touch()
    refused(tmp_path, "score", reference, empty, message=r"empty\.mp4 is empty: 0 bytes")
    # A folder of distorted videos stands for all of them; a folder of references for none.
    refused(tmp_path, "score", tmp_path, distorted, message="is a folder, not a video")


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("-o", "x.xlsx", r"suffix '\.xlsx' is none of \.json, \.csv"),
        ("--frames", "9:3", "frames 9:3 .* holds no frames"),
        ("--frames", "100:200", "frames 100:200 .* has 120"),
    ],
)
def test_options_that_do_not_fit_the_pair(
    pair: tuple[Path, Path], tmp_path: Path, option: str, value: str, message: str
) -> None:
    refused(tmp_path, "score", *pair, option, value, message=message)


def test_sound_without_pictures(pair: tuple[Path, Path], ffmpeg: str, tmp_path: Path) -> None:
    sound = tmp_path / "sound.wav"
    subprocess.run([ffmpeg, "-v", "error", "-f", "lavfi", "-i", "sine=d=1", str(sound)], check=True, timeout=60)
    refused(tmp_path, "score", pair[0], sound, message="has no video stream, only audio")


@pytest.mark.parametrize("name", ["cut.mp4", "cut.mkv"])
def test_truncated_video(pair: tuple[Path, Path], convert: Callable[..., Path], tmp_path: Path, name: str) -> None:
    whole = convert(pair[1], f"whole_{name}", "-c:v", "libx264", "-crf", "20")
    cut = tmp_path / name
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.6)])
    # Also against itself: the frame counts are equal then.
    refused(tmp_path, "score", cut, cut, "-o", "x.csv", message=rf"{name} is (not a video|damaged|truncated)")
    refused(tmp_path, "score", pair[0], cut, message=rf"{name}.* (not a video|damaged|truncated)|frame counts differ")


def test_raw_video(tmp_path: Path, pair: tuple[Path, Path], convert: Callable[..., Path]) -> None:
    raw = convert(pair[0], "carphone.yuv", "-pix_fmt", "yuv420p")
    refused(tmp_path, "score", raw, raw, message="does not state its size: give --size WxH")
    refused(tmp_path, "score", raw, raw, "--size", "170x144", message=r"frames of 170x144 yuv420p \(36720 bytes each\)")
    refused(tmp_path, "score", raw, raw, "--size", "big", message="a size is written WxH")
    refused(
        tmp_path, "score", raw, raw, "--size", "176x144", "--pix-fmt", "yuv420", message="did you mean 'yuv420p'"
    )  # fmt: skip


def test_frames_that_a_feature_cannot_take(
    pair: tuple[Path, Path], convert: Callable[..., Path], tmp_path: Path
) -> None:
    small = convert(pair[0], "small.mkv", "-vf", "crop=32:32", "-frames:v", "4", "-c:v", "ffv1")
    refused(tmp_path, "score", small, small, message="'adm' needs frames of at least 33x33, these are 32x32")
    odd = convert(pair[0], "odd.mkv", "-vf", "crop=175:143:0:0:exact=1", "-frames:v", "4", "-c:v", "ffv1")
    refused(
        tmp_path, "score", odd, odd, "--features", "ciede2000",
        message="feature 'ciede2000' cannot be computed on 175x143 yuv420p frames: .*even",
    )  # fmt: skip
    gray = convert(pair[0], "gray.mkv", "-pix_fmt", "gray", "-frames:v", "4", "-c:v", "ffv1")
    refused(
        tmp_path, "score", gray, gray, "--features", "psnr_cb",
        message="feature 'psnr_cb' cannot be computed on 176x144 gray frames: it needs chroma",
    )  # fmt: skip


def test_what_a_set_cannot_have_is_a_column_with_a_reason(
    pair: tuple[Path, Path], convert: Callable[..., Path], tmp_path: Path
) -> None:
    odd = convert(pair[0], "odd.mkv", "-vf", "crop=175:143:0:0:exact=1", "-frames:v", "4", "-c:v", "ffv1")
    done = command("score", odd, odd, "--features", "full", "-o", "x.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search("unavailable: ciede2000: .*even", done.stderr)
    assert "unavailable: ssimulacra2: libvmaf has no such extractor" in done.stderr
    header, first, *_ = (tmp_path / "x.csv").read_text().splitlines()
    row = dict(zip(header.split(","), first.split(","), strict=True))
    assert row["ciede2000"] == row["ssimulacra2"] == ""
    assert float(row["vmaf"]) > 90


@pytest.mark.parametrize(
    ("option", "name", "message"),
    [
        ("--features", "vif_scal0", "unknown feature 'vif_scal0': did you mean 'vif_scale0'"),
        ("--model", "vmaf_v0.6.2", r"unknown model of libvmaf 'vmaf_v0\.6\.2': did you mean 'vmaf_v0\.6\.1'"),
        ("--backend", "cuda", "cuda"),
        ("--backend", "gpu", "unknown backend 'gpu'"),
    ],
)
def test_unknown_names(pair: tuple[Path, Path], tmp_path: Path, option: str, name: str, message: str) -> None:
    refused(tmp_path, "score", *pair, option, name, message=message)


def test_interrupted_run_leaves_nothing(embedded_files: dict[str, Path], tmp_path: Path) -> None:
    clip = str(embedded_files["bigbuckbunny.mp4"])
    process = subprocess.Popen(
        [sys.executable, "-m", "pyvmaf", "score", clip, clip, "--features", "full", "-o", "x.csv"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, start_new_session=True,
    )  # fmt: skip
    while clip not in {os.path.realpath(link) for link in Path(f"/proc/{process.pid}/fd").iterdir()}:
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert list(tmp_path.iterdir()) == []


def test_full_disk(pair: tuple[Path, Path], tmp_path: Path) -> None:
    """On a file system that really is full."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], check=False).returncode
    ):
        pytest.skip("mounting a small file system needs root")
    try:
        assert command("score", *pair, "--frames", "0:2", "-o", "kept.csv", cwd=disk).returncode == 0
        old = (disk / "kept.csv").read_text()
        (disk / "filler").write_bytes(b"x" * 52_000)
        refused(disk, "score", *pair, "-o", "kept.csv", message="no space is left on the disk")
        assert (disk / "kept.csv").read_text() == old
    finally:
        subprocess.run(["umount", str(disk)], check=True)
