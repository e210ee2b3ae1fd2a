"""Pairs that exist, measured where they lie: equal to encodes, resumed, limited, scaled, skipped."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from bench.bench_pairs import compare
from pyvmaf.base.files import read_json, read_yaml, sha256_file
from pyvmaf.base.manifest import read_manifest
from pyvmaf.features.table import read_table
from tests.make.commands import command, refusal

Make = Callable[..., Path]
X264 = ("-pix_fmt", "yuv420p", "-c:v", "libx264")


@pytest.fixture
def corpus(tmp_path: Path, make_video: Make, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A scanned corpus of two references with two versions each, in the working folder."""
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "videos"
    root.mkdir()
    rows = ["reference,distorted,preset,mos"]
    for name, picture in (("one", "testsrc2"), ("two", "testsrc")):
        shutil.copy(make_video(f"{name}.mkv", "96x64", 9, source=picture), root / f"{name}.mkv")
        for crf in (30, 45):
            made = make_video(f"{name}{crf}.mp4", "96x64", 9, *X264, "-crf", str(crf), source=picture)
            shutil.copy(made, root / f"{name}{crf}.mp4")
            rows.append(f"{name}.mkv,{name}{crf}.mp4,medium,{crf / 10}")
    Path("pairs.csv").write_text("\n".join(rows) + "\n")
    path = Path("config/corpora/mine.yaml")
    words = ("--pairs-csv", "pairs.csv", "--mos-scale", "1,5", "--output", path)
    done = command("manifest-scan", "--kind", "pairs", "--root", "videos", "--name", "mine", *words)
    assert done.returncode == 0, done.stderr
    return path


def change(corpus: Path, **keys: Any) -> None:
    corpus.write_text(yaml.safe_dump(read_yaml(corpus) | keys))


def measure(*words: object) -> str:
    done = command("extract-features", "--corpus", "mine", "--output", "mine.parquet", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_pairs_are_measured_as_encodes_are(shared_data: Path, tmp_path: Path) -> None:
    """The same files, once as encodes of the workflow and once as pairs that exist."""
    for name in ("foreman_qcif.264", "bus_cif.mkv", "park_joy_422p10.mkv"):
        (tmp_path / "clips").mkdir(exist_ok=True)
        shutil.copy(shared_data / "clips" / name, tmp_path / "clips" / name)
    (tmp_path / "work").mkdir()
    pairs, values, different = compare(tmp_path / "clips", tmp_path / "work", crfs=(28, 44), frames=8)
    assert (pairs, different) == (6, 0)
    assert values >= 6 * 8 * 10


def test_one_table_of_a_corpus(corpus: Path) -> None:
    said = measure()
    assert "mine.parquet: 4 pairs of 2 ladders" in said
    table = read_table("mine.parquet").to_pandas()
    assert list(table.groupby(["clip", "codec", "rung"], sort=False, observed=True).size().items()) == [
        ((clip, "libx264", f"medium-crf{crf}"), 9) for clip in ("one", "two") for crf in (30, 45)
    ]
    assert set(table["strength"]) == {30.0, 45.0}
    first = Path("mine.parquet").read_bytes()
    # Nothing is computed again, and the bytes are the same; one pair more costs itself only.
    assert "; 0 extractor runs" in measure()
    assert Path("mine.parquet").read_bytes() == first
    assert "1 ladders; 0 extractor runs" in measure("--clip", "two", "--codec", "libx264")


def test_scores_and_rates_reach_tables(corpus: Path) -> None:
    measure()
    command("shard", "mine.parquet", "--corpus", "mine", "-o", "s.parquet", "--records", "s.jsonl")
    assert command("combine", "mine=s.parquet", "-o", "t.parquet", "--unit", "clip").returncode == 0
    rows = pq.read_table("t.parquet").to_pandas()
    assert rows["mos"].tolist() == [3.0, 4.5, 3.0, 4.5]
    sizes = [(Path("videos") / f"{name}{crf}.mp4").stat().st_size for name in ("one", "two") for crf in (30, 45)]
    assert rows["bitrate_kbps"].to_numpy() == pytest.approx(np.array(sizes) * 8 / 1000 / (9 / 25), abs=1e-3)


def test_a_change_of_a_score_changes_no_feature(corpus: Path) -> None:
    measure()
    before = sha256_file("mine.parquet")
    corpus.write_text(corpus.read_text().replace("mos: 4.5", "mos: 4.25"))
    assert "; 0 extractor runs" in measure()
    assert sha256_file("mine.parquet") == before


def test_limits(corpus: Path) -> None:
    measure()
    whole = read_table("mine.parquet").to_pandas()
    change(corpus, max_frames=4, max_clips=1)
    measure()
    few = read_table("mine.parquet").to_pandas()
    assert sorted(set(few["frame_index"])) == [0, 1, 2, 3]
    assert set(few["clip"]) == {"one"}
    same = whole[(whole["clip"] == "one") & (whole["frame_index"] < 4)].reset_index(drop=True)
    # Motion looks at the frame that follows, which is still read.
    for name in ("adm2", "vif_scale0", "motion2", "vmaf"):
        assert np.array_equal(few[name].to_numpy(), same[name].to_numpy())


def test_versions_of_another_size_are_scaled_and_it_is_said(corpus: Path, make_video: Make) -> None:
    small = make_video("small.mp4", "48x32", 9, *X264, "-crf", "20")
    shutil.copy(small, "videos/one30.mp4")
    value = read_yaml(corpus)
    value["entries"][0]["pairs"][0] |= {"sha256": sha256_file(small), "crf": 20}
    corpus.write_text(yaml.safe_dump(value))
    assert "distorted versions of another size than the reference were scaled to it" in measure()
    details = read_manifest("mine.parquet")["details"]
    assert details["scaled"] == {"one30.mp4": "48x32 to 96x64"}
    assert len(read_table("mine.parquet")) == 36
    change(corpus, max_height=40)
    measure()
    assert read_manifest("mine.parquet")["details"]["scaled"]["two.mkv"] == "96x64 to 60x40"


def test_a_file_that_was_changed_after_the_scan(corpus: Path) -> None:
    path = Path("videos/two45.mp4")
    pinned = sha256_file(path)
    path.write_bytes(path.read_bytes() + b"\0")
    message = refusal("extract-features", "--corpus", "mine", "--output", "mine.parquet")
    assert f"two45.mp4 has SHA-256 {sha256_file(path)}, but {pinned} is pinned" in message
    assert not Path("mine.parquet").exists()
    path.unlink()
    assert "no such file" in refusal("extract-features", "--corpus", "mine", "--output", "mine.parquet")


def damage(name: str, corpus: Path) -> None:
    """Cut a file off, and pin it as it is then."""
    path = Path("videos") / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    value = read_yaml(corpus)
    for entry in value["entries"]:
        for item in (entry, *entry["pairs"]):
            if item["path"] == name:
                item["sha256"] = sha256_file(path)
    corpus.write_text(yaml.safe_dump(value))


def test_broken_pairs_are_skipped_up_to_a_share(corpus: Path) -> None:
    damage("one45.mp4", corpus)
    assert "one45.mp4" in refusal("extract-features", "--corpus", "mine", "--output", "mine.parquet")
    change(corpus, on_error="skip", max_failed_share=0.25)
    said = measure()
    assert "mine.parquet: 3 pairs of 2 ladders, 1 skipped" in said
    assert "skipped: one45.mp4: " in said
    failed = read_manifest("mine.parquet")["details"]["failed"]
    assert [(item["clip"], item["codec"], item["rung"]) for item in failed] == [("one", "libx264", "medium-crf45")]
    # The reason holds no folder of this machine.
    assert str(Path.cwd()) not in failed[0]["why"]
    assert len(read_table("mine.parquet")) == 27
    change(corpus, max_failed_share=0.2)
    message = refusal("extract-features", "--corpus", "mine", "--output", "other.parquet")
    assert (
        "1 of 4 pairs of corpus mine cannot be measured, more than the share 0.2 that max_failed_share allows"
        in message
    )
    assert "one45.mp4: " in message
    assert not Path("other.parquet").exists()


def test_the_shard_lists_what_was_skipped(corpus: Path) -> None:
    damage("one.mkv", corpus)
    change(corpus, on_error="skip", max_failed_share=0.5)
    measure()
    words = ("mine.parquet", "-o", "s.parquet", "--records", "s.jsonl")
    assert command("shard", *words, "--corpus", "mine").returncode == 0
    failed = read_json("s.parquet.manifest.json")["details"]["failed"]
    assert [item["path"] for item in failed] == ["one30.mp4", "one45.mp4"]
    # Without the corpus file nobody allows it.
    message = refusal("shard", "mine.parquet", "-o", "other.parquet", "--records", "other.jsonl")
    assert "2 of 4 pairs of other.parquet cannot be measured" in message


def test_another_number_of_frames_than_the_corpus_file_says(corpus: Path, make_video: Make) -> None:
    short = make_video("short.mp4", "96x64", 5, *X264)
    shutil.copy(short, "videos/one30.mp4")
    value = read_yaml(corpus)
    value["entries"][0]["pairs"][0]["sha256"] = sha256_file(short)
    corpus.write_text(yaml.safe_dump(value))
    message = refusal("extract-features", "--corpus", "mine", "--output", "mine.parquet")
    assert "frame counts differ: the reference" in message
    assert "has 9, " in message
    assert "one30.mp4 has 5" in message


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--corpus", "mine", "--source", "x"), "--source goes with --reference"),
        (("--corpus", "mine", "a=b.mkv"), "RUNG=FILE goes with --reference"),
        (("--corpus", "mine", "--clip", "three"), "unknown clip of corpus mine 'three'"),
        (("--corpus", "mine", "--codec", "libx265"), "unknown codec of corpus mine 'libx265': did you mean 'libx264'"),
        (("--corpus", "mine", "--features", "adm3"), "adm3"),
        (("--corpus", "nobody"), "unknown corpus 'nobody'"),
        (("--corpus", "mine", "--reference", "videos/one.mkv", "a=b.mkv"), "a ladder has one group: give --group once"),
    ],
)
def test_words_that_do_not_fit(corpus: Path, words: tuple[str, ...], message: str) -> None:
    assert message in refusal("extract-features", "--output", "mine.parquet", *words)


def test_a_folder_of_clips_is_refused_with_the_reason(corpus: Path) -> None:
    assert command("manifest-scan", "--root", "videos", "--name", "folder").returncode == 0
    message = refusal("extract-features", "--corpus", "folder", "--output", "folder.parquet")
    assert "is a corpus of kind folder, not of pairs that exist: run the workflow for it (snakemake --config" in message
    assert "is a corpus of pairs that exist" in refusal("prepare", "--corpus", "mine")
