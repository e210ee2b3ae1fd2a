"""Pictures of clips and encodes that could not be made, and were skipped."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyvmaf.base.files import read_json, read_yaml, sha256_file
from pyvmaf.corpora.failure import Failure
from pyvmaf.frames.pictures import Pictures
from pyvmaf.frames.table import PictureTable
from tests.make.commands import command, refusal
from tests.make.workflows import write_yaml

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
    assert message == (
        "failed.mkv could not be made (a.mp4: a.mp4 is not a video): mend the file or take it out of the corpus; to try once "
        "more, delete failed.mkv and run again"
    )
    # With --skip-broken there are none, and the manifest names each version.
    reason = {"path": "a.mp4", "why": "a.mp4 is not a video"}
    for codec, words, left_out in (
        ("libx264", rungs, ["medium-crf30", "medium-crf45"]),
        ("reference", [], ["reference"]),
    ):
        options = ("--corpus", "mine", "--clip", "a", "--source", "s", "--group", "g", "--frames", "2", "--skip-broken")
        output = tmp_path / f"{codec}.safetensors"
        done = command(
            *("extract-frames", "--reference", "failed.mkv", "--codec", codec, *options, "-o", output, *words),
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
        assert f"no pictures, {len(left_out)} versions skipped" in done.stdout
        details = read_json(Path(f"{output}.manifest.json"))["details"]
        assert details["failed"] == [{"clip": "a", "codec": codec, "rung": rung, **reason} for rung in left_out]
        assert (details["pictures"], details["rungs"], details["size"]) == (0, [], None)
        assert PictureTable(output.with_suffix(".parquet")).rows.num_rows == 0
    # A table of pictures takes such parts: they add nothing, and name no file.
    parts = [tmp_path / f"{name}.parquet" for name in ("libx264", "reference")]
    text = refusal("combine-pictures", *parts, "-o", tmp_path / "none.parquet")
    assert text == f"no rows: {parts[0]}, {parts[1]} hold no pictures that were measured"
    done = command("extract-frames", "reference.mkv", "-o", "whole.safetensors", "--frames", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = command("combine-pictures", *parts, tmp_path / "whole.parquet", "-o", tmp_path / "t.parquet")
    assert done.returncode == 0, done.stderr
    assert [file.name for file in Pictures.open(tmp_path / "t.parquet").files] == ["whole.safetensors"]


X264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-x264-params", "keyint=4:bframes=0")


def corpus_of_pairs(folder: Path, make_video: Make, broken: str) -> Path:
    """Write a corpus of two references with two versions each, and damage frames of a file whose hash is pinned afterwards."""
    for name, crf in {"one": 4, "one_a": 30, "one_b": 45, "two": 4, "two_a": 30, "two_b": 45}.items():
        shutil.copy(make_video(f"fail-{name}.mkv", "64x48", 12, *X264, "-crf", str(crf)), folder / f"{name}.mkv")
    lines = [f"{name}.mkv,{name}_{version}.mkv" for name in ("one", "two") for version in "ab"]
    (folder / "list.csv").write_text("\n".join(["reference,distorted", *lines]) + "\n")
    path = folder / "found.yaml"
    words = ("--pairs-csv", folder / "list.csv", "--name", "found", "--output", path)
    assert command("manifest-scan", "--kind", "pairs", "--root", folder, *words).returncode == 0
    file = folder / broken
    data = bytearray(file.read_bytes())
    middle = len(data) * 7 // 10
    data[middle : middle + 40] = b"\xff" * 40
    file.write_bytes(data)
    corpus: Any = read_yaml(path)
    for entry in corpus["entries"]:
        for item in (entry, *entry["pairs"]):
            item["sha256"] = sha256_file(folder / item["path"])
    write_yaml(path, corpus | {"max_failed_share": 0.6})
    return path


@pytest.mark.parametrize("broken", ["missing", "damaged"])
def test_a_reference_of_pairs_that_cannot_be_read(tmp_path: Path, make_video: Make, broken: str) -> None:
    corpus = corpus_of_pairs(tmp_path, make_video, "two.mkv")
    if broken == "missing":
        (tmp_path / "two.mkv").unlink()
    call = ("extract-frames", "--corpus", corpus, "--every", 1)
    stopped = ("--clip", "two", "--codec", "reference", "-o", tmp_path / "x.safetensors")
    why = refusal(*call, *stopped, cwd=tmp_path)
    assert "two.mkv" in why
    assert not list(tmp_path.glob("x.*"))
    write_yaml(corpus, {**read_yaml(corpus), "on_error": "skip"})
    for clip in ("one", "two"):
        for codec in ("libx264", "reference"):
            output = tmp_path / f"{clip}-{codec}.safetensors"
            done = command(*call, "--clip", clip, "--codec", codec, "-o", output, cwd=tmp_path)
            assert done.returncode == 0, done.stderr
    assert len(Pictures.open(tmp_path / "one-libx264.parquet")) == 24
    assert PictureTable(tmp_path / "two-reference.parquet").rows.num_rows == 0
    [item] = read_json(tmp_path / "two-reference.safetensors.manifest.json")["details"]["failed"]
    assert (item["clip"], item["codec"], item["rung"], item["path"]) == ("two", "reference", "reference", "two.mkv")
    assert item["why"] == why.replace(f"{tmp_path}/", "")


def test_a_version_whose_frames_are_damaged_leaves_the_others(tmp_path: Path, make_video: Make) -> None:
    corpus = corpus_of_pairs(tmp_path, make_video, "one_a.mkv")
    write_yaml(corpus, {**read_yaml(corpus), "on_error": "skip"})
    words = ("--clip", "one", "--codec", "libx264", "--every", 1, "-o", tmp_path / "a.safetensors")
    done = command("extract-frames", "--corpus", corpus, *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = Pictures.open(tmp_path / "a.parquet").rows
    assert rows["row"].to_pylist() == list(range(12))
    details = read_json(tmp_path / "a.safetensors.manifest.json")["details"]
    [item] = details["failed"]
    assert item["path"] == "one_a.mkv"
    assert item["why"].startswith("one_a.mkv is damaged: frame 4 or one near it")  # pictures of it were written
    assert (details["pictures"], details["pairs"], len(details["rungs"])) == (12, 12, 1)
