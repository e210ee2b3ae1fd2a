"""Clips and encodes that cannot be used, by hand: what stands in their place, and who passes it on."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyvmaf.base.files import read_json, sha256_file
from pyvmaf.corpora.failure import Failure, failure_at
from pyvmaf.corpora.skipped import check_skipped, is_of_file, portable, sound_ones
from pyvmaf.errors import InputError, IntegrityError, NativeError, PyvmafError, StoppedError, UnavailableError
from pyvmaf.features.table import read_table
from tests.make.commands import command, refusal
from tests.make.workflows import write_yaml

Make = Callable[..., Path]
X264 = ("-pix_fmt", "yuv420p", "-c:v", "libx264", "-crf", "12")


def corpus(folder: Path, make_video: Make, **keys: object) -> Path:
    """Write a corpus of a video, and of a text with the name of one."""
    videos = folder / "videos"
    videos.mkdir()
    shutil.copy(make_video("good.mp4", "64x64", 6, *X264), videos / "good.mp4")
    (videos / "words.mp4").write_text("words, words, words\n" * 40)
    entries = [
        {
            "key": name,
            "path": f"{name}.mp4",
            "sha256": sha256_file(videos / f"{name}.mp4"),
            "source": name,
            "group": name,
        }
        for name in ("good", "words")
    ]
    path = folder / "mine.yaml"
    head = {"name": "mine", "kind": "folder", "license": "CC0-1.0", "root": "videos"}
    write_yaml(path, {**head, "on_error": "skip", "max_failed_share": 0.5, "entries": entries, **keys})
    return path


def ran(*words: object, cwd: Path) -> str:
    done = command(*words, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_the_whole_line_by_hand(tmp_path: Path, make_video: Make) -> None:
    corpus(tmp_path, make_video)
    why = (
        "words.mp4 is not a video that FFmpeg can read (Invalid data found when processing input: moov atom not found)"
    )
    assert ran("prepare", "--corpus", "mine.yaml", cwd=tmp_path).strip() == f"skipped: words.mp4: {why}"
    assert ran("manifest", "--corpus", "mine.yaml", cwd=tmp_path).strip() == f"skipped: words: {why}"
    results, ladders = tmp_path / "results", []
    for clip in ("good", "words"):
        reference = f"results/corpora/mine/{clip}.mkv"
        rungs = {f"medium-crf{crf}": f"results/encodes/mine/{clip}/libx264/medium-crf{crf}.mkv" for crf in (30, 45)}
        for rung, path in rungs.items():
            words = ("--codec", "libx264", "--crf", rung[-2:], "--skip-broken")
            assert (why in ran("encode", reference, path, *words, cwd=tmp_path)) == (clip == "words")
        if clip == "good":
            # An encode that was made, and damaged afterwards.
            damaged = tmp_path / rungs["medium-crf45"]
            damaged.write_bytes(damaged.read_bytes()[:-100])
        ladders.append(f"results/features/mine/{clip}/libx264.parquet")
        labels = ("--corpus", "mine", "--clip", clip, "--codec", "libx264", "--source", clip, "--group", clip)
        measured = ("--reference", reference, *labels, "--features", "canonical6", "--skip-broken")
        ran("extract-features", *measured, "-o", ladders[-1], *(f"{a}={b}" for a, b in rungs.items()), cwd=tmp_path)
    assert [read_table(tmp_path / path).num_rows for path in ladders] == [6, 0]
    records = sorted(results.glob("encodes/mine/*/libx264/*-crf??.json"))
    assert len(records) == 4
    shard = "results/shards/mine/libx264"
    outputs = ("--output", f"{shard}.parquet", "--records", f"{shard}.jsonl")
    call: tuple[object, ...] = ("shard", "--corpus", "mine.yaml", *outputs, *ladders, *records)
    # Three of four are more than the half that may fail.
    assert refusal(*call, cwd=tmp_path).startswith("3 of 4 encodes of results/shards/mine/libx264.parquet cannot")
    write_yaml(tmp_path / "all.yaml", {**read_yaml_of(tmp_path), "max_failed_share": 0.8})
    ran(*call[:2], "all.yaml", *call[3:], cwd=tmp_path)
    failed = read_json(results / "shards/mine/libx264.parquet.manifest.json")["details"]["failed"]
    assert [(item["clip"], item["rung"], item["path"]) for item in failed] == [
        ("good", "medium-crf45", "results/encodes/mine/good/libx264/medium-crf45.mkv"),
        ("words", "medium-crf30", "words.mp4"),
        ("words", "medium-crf45", "words.mp4"),
    ]
    assert len((results / "shards/mine/libx264.jsonl").read_text().splitlines()) == 1


def read_yaml_of(folder: Path) -> Mapping[str, object]:
    import yaml

    return dict(yaml.safe_load((folder / "mine.yaml").read_text()))


def test_without_skip_everything_stops(tmp_path: Path, make_video: Make) -> None:
    corpus(tmp_path, make_video)
    clip = "results/corpora/mine/words.mkv"
    ran("prepare", "--corpus", "mine.yaml", cwd=tmp_path)
    corpus_file = {**read_yaml_of(tmp_path), "on_error": "stop"}
    write_yaml(tmp_path / "mine.yaml", corpus_file)
    assert "words.mp4 is not a video" in refusal("prepare", "--corpus", "mine.yaml", "--clip", "words", cwd=tmp_path)
    # What an earlier call left is not taken for a clip.
    assert "without on_error: skip" in refusal("manifest", "--corpus", "mine.yaml", cwd=tmp_path)
    message = refusal("encode", clip, "x.mkv", "--codec", "libx264", cwd=tmp_path)
    assert message.startswith(f"{clip} could not be made (words.mp4: words.mp4 is not a video")
    assert f"delete {clip} and run again" in message
    labels = ("--corpus", "mine", "--clip", "w", "--codec", "libx264", "--source", "w", "--group", "w")
    words = ("extract-features", "--reference", clip, *labels, "-o", "t.parquet", "a=x.mkv")
    assert refusal(*words, cwd=tmp_path).startswith(f"{clip} could not be made")
    assert not (tmp_path / "t.parquet").exists()


def test_what_is_not_the_fault_of_a_file_is_not_skipped(tmp_path: Path, make_video: Make) -> None:
    corpus(tmp_path, make_video)
    words = ("prepare", "--corpus", "mine.yaml", "--clip", "words")
    assert "does not exist" in refusal(*words, "--ffmpeg", "no/such/ffmpeg", cwd=tmp_path)
    assert not list(tmp_path.glob("results/corpora/mine/words*"))
    assert [is_of_file(err) for err in (InputError(""), IntegrityError(""), PyvmafError(""))] == [True] * 3
    memory = NativeError("", errno.ENOMEM)
    assert not any(is_of_file(err) for err in (UnavailableError(""), StoppedError(""), memory))


def test_a_file_that_was_mended_is_taken_again(tmp_path: Path, make_video: Make) -> None:
    path = corpus(tmp_path, make_video)
    ran("prepare", "--corpus", "mine.yaml", cwd=tmp_path)
    clip = tmp_path / "results/corpora/mine/words.mkv"
    assert failure_at(clip) is not None
    shutil.copy(tmp_path / "videos/good.mp4", tmp_path / "videos/words.mp4")
    value = dict(read_yaml_of(tmp_path))
    entries = value["entries"]
    assert isinstance(entries, list)
    entries[1]["sha256"] = sha256_file(tmp_path / "videos/words.mp4")
    write_yaml(path, value)
    ran("prepare", "--corpus", "mine.yaml", cwd=tmp_path)
    assert failure_at(clip) is None


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b'{"document": "pyvmaf-failure"}', b"[1]", b"\x1aE\xdf\xa3"])
def test_other_files_are_no_failures(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "clip.mkv").write_bytes(content)
    assert failure_at(tmp_path / "clip.mkv") is None
    assert failure_at(tmp_path / "missing.mkv") is None
    # It does not wait for somebody who writes to a pipe.
    os.mkfifo(tmp_path / "pipe.mkv")
    assert failure_at(tmp_path / "pipe.mkv") is None
    Failure(path="a", why="b").write(tmp_path / "failure.mkv")
    assert failure_at(tmp_path / "failure.mkv") == Failure(path="a", why="b")


def test_reasons_are_the_same_on_every_machine(tmp_path: Path) -> None:
    text = f"{tmp_path}/a.mp4 is damaged; cannot write {tmp_path}/out/.a.mkv.x1_yz9ab.tmp.mkv"
    assert portable(text, tmp_path) == "a.mp4 is damaged; cannot write out/a.mkv"


@given(st.lists(st.booleans(), max_size=5))
def test_those_that_fail_alone_are_left_out(sound: list[bool]) -> None:
    items = {str(number): value for number, value in enumerate(sound)}

    def measure(some: Mapping[str, bool]) -> list[str]:
        if not all(some.values()):
            raise IntegrityError("one is broken")
        return list(some)

    failed: list[str] = []
    found = sound_ones(items, measure, lambda name, err: failed.append(name), skip=True)
    assert (found or []) == [name for name, sound in items.items() if sound]
    assert failed == [name for name, sound in items.items() if not sound]
    if failed:
        with pytest.raises(IntegrityError):
            sound_ones(items, measure, lambda name, err: failed.append(name), skip=False)


@given(st.integers(0, 8), st.integers(0, 8), st.floats(0, 0.999))
def test_the_share_is_that_of_all(skipped: int, measured: int, limit: float) -> None:
    items = [{"path": str(number), "why": "because"} for number in range(skipped)]
    if skipped and skipped / (skipped + measured) > limit + 1e-12:
        with pytest.raises(InputError, match=f"{skipped} of {skipped + measured} clips of x cannot"):
            check_skipped(items, measured, limit, "x", "clips")
    elif not skipped or skipped / (skipped + measured) < limit - 1e-12:
        check_skipped(items, measured, limit, "x", "clips")


def test_hard_negatives_are_of_the_clips_that_were_made(tmp_path: Path, make_video: Make) -> None:
    corpus(tmp_path, make_video)
    ran("prepare", "--corpus", "mine.yaml", cwd=tmp_path)
    ran("manifest", "--corpus", "mine.yaml", cwd=tmp_path)
    options = ("--features", "adm2,motion2", "--frames", "3")
    folder = "results/corpora/mine"
    ran("hard-negatives", f"{folder}/corpus.json", "-o", "one.parquet", *options, cwd=tmp_path)
    ran("hard-negatives", "--corpus", f"mine.yaml={folder}", "-o", "two.parquet", *options, cwd=tmp_path)
    one, two = (pq.read_table(tmp_path / name) for name in ("one.parquet", "two.parquet"))
    assert set(one["clip"].to_pylist()) == {"good"}
    assert one.equals(two)
    inputs = read_json(tmp_path / "two.parquet.manifest.json")["inputs"]
    assert set(inputs) == {"clips"}
