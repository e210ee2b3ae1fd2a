"""Pairs that exist in the workflow: alone, beside clips that are encoded; and files of both that cannot be measured."""

from __future__ import annotations

import shlex
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest
import yaml

from pyvmaf.base.files import read_json, read_yaml, sha256_file
from tests.make.builders import planned
from tests.make.commands import command, refusal
from tests.make.runs import once
from tests.make.videos import make_video
from tests.make.workflows import PROFILE, SNAKEFILE, Case, Planned, plan_once, snakemake, write_small_model, write_yaml

SMALL = ("--configfile", "small.yaml")
BOTH = ("--config", "corpora=[mine, found]")
X264 = ("-pix_fmt", "yuv420p", "-c:v", "libx264")
FROM_FIT = {"fit_model": 2, "judge_model": 1, "export_model": 2, "quantize_model": 2}
CLOSING = {"register_models": 1, "render_report": 1, "render_card": 1, "summarize_run": 1}


def write_pairs(folder: Path, size: str = "176x144", frames: int = 10) -> Path:
    """Write videos and scan them as a corpus: reference one with three versions of two codecs, two with one."""
    rows = ["reference,distorted"]
    for name, picture, versions in (
        ("one", "testsrc2", (("a", 30), ("b", 45), ("c", 50))),
        ("two", "testsrc", (("a", 40),)),
    ):
        make_video(folder / "found" / f"{name}.mkv", size, frames, source=picture)
        for version, crf in versions:
            make_video(
                folder / "found" / f"{name}_{version}.mp4", size, frames, *X264, "-crf", str(crf), source=picture
            )
            rows.append(f"{name}.mkv,{name}_{version}.mp4")
    (folder / "found.csv").write_text("\n".join(rows) + "\n")
    path = folder / "config" / "corpora" / "found.yaml"
    words = ("--pairs-csv", folder / "found.csv", "--name", "found", "--output", path)
    done = command("manifest-scan", "--kind", "pairs", "--root", folder / "found", *words)
    assert done.returncode == 0, done.stderr
    value = read_yaml(path)
    # A ladder that only one of the references has.
    value["entries"][0]["pairs"][2] |= {"codec": "phone", "encoder": None}
    path.write_text(yaml.safe_dump(value))
    return path


@pytest.fixture(scope="module")
def plans(session_folder: Path, finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Planned]:
    """Plans in a folder in which everything has run on encoded clips."""

    def prepare() -> tuple[Path, Mapping[str, Case]]:
        folder = Path(shutil.copytree(finished_run, tmp_path_factory.mktemp("pairs") / "run"))
        value = read_yaml(write_pairs(folder))
        names = {"reference": "{source}.mkv", "distorted": ["{source}_*.mp4"]}
        empty = value | {"name": "empty", "entries": [], "layout": names}
        write_yaml(folder / "config" / "corpora" / "empty.yaml", empty)
        cases = {
            "nothing": Case(SMALL),
            "both": Case((*SMALL, *BOTH)),
            "alone": Case((*SMALL, "--config", "corpora=[found]")),
            "one codec": Case((*SMALL, *BOTH, "tables={default: {codecs: [phone, libsvtav1]}}")),
            "no such codec": Case((*SMALL, *BOTH, "tables={default: {codecs: [telephone]}}")),
            "empty": Case((*SMALL, "--config", "corpora=[empty]")),
        }
        return folder, cases

    return plan_once(session_folder, "plans-pairs", prepare)


def test_a_corpus_of_pairs_replans_nothing_that_exists(plans: Mapping[str, Planned]) -> None:
    assert plans["nothing"].jobs == {}
    both = plans["both"]
    assert both.code == 0, both.text
    # Of what is there only what is made of all corpora.
    new = {"collect_corpus": 1, "extract_features": 3, "build_shard": 2, "hard_negatives": 1, "combine_table": 1}
    assert both.jobs == Counter(new | FROM_FIT | CLOSING)


def test_pairs_alone_are_neither_prepared_nor_encoded(plans: Mapping[str, Planned]) -> None:
    alone = plans["alone"]
    assert alone.code == 0, alone.text
    new = {"collect_corpus": 1, "extract_features": 3, "build_shard": 2, "hard_negatives": 1, "combine_table": 1}
    assert alone.jobs == Counter(new | FROM_FIT | CLOSING)


def test_a_table_takes_ladders_by_codec(plans: Mapping[str, Planned]) -> None:
    assert plans["one codec"].code == 0, plans["one codec"].text
    wrong = plans["no such codec"]
    assert wrong.code == 1
    assert "unknown codec of table 'default' (or not in `codecs`) 'telephone'" in wrong.text
    assert "phone" in wrong.text


def test_a_corpus_that_nobody_scanned_is_refused_with_the_command(plans: Mapping[str, Planned]) -> None:
    assert plans["empty"].code == 1
    assert "vmaf-train manifest-scan --kind pairs --dataset empty" in plans["empty"].text


def write_clips(folder: Path) -> None:
    """Write a corpus of videos to encode: two that can be read, one that is cut off, and one that is a text."""
    entries = []
    for name, picture in (("good_1", "testsrc2"), ("good_2", "testsrc"), ("cut", "rgbtestsrc"), ("words", "")):
        path = folder / "clips" / f"{name}.mp4"
        if picture:
            make_video(path, "64x64", 6, *X264, "-crf", "10", source=picture)
        else:
            path.write_text("This is a text.\n" * 50)
        if name == "cut":
            path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
        entry = {"key": name, "path": path.name, "sha256": sha256_file(path), "source": name, "group": name}
        entries.append(entry)
    skip = {"on_error": "skip", "max_failed_share": 0.5}
    head = {"name": "clips", "kind": "folder", "license": "CC0-1.0", "root": "../../clips"}
    write_yaml(folder / "config" / "corpora" / "clips.yaml", {**head, **skip, "entries": entries})


@pytest.fixture(scope="module")
def measured(session_folder: Path) -> Path:
    """A folder in which pairs and encoded clips became one table, with broken and missing files that were skipped."""

    def run(folder: Path) -> None:
        corpus = write_pairs(folder)
        value = read_yaml(corpus)
        (folder / "found" / "two_a.mp4").unlink()
        broken = folder / "found" / "one_b.mp4"
        broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2])
        value["entries"][0]["pairs"][1]["sha256"] = sha256_file(broken)
        write_yaml(corpus, value | {"on_error": "skip", "max_failed_share": 0.7})
        write_clips(folder)
        ladder = {"presets": ["medium"], "crfs": [40]}
        config = {"corpora": ["found", "clips"], "codecs": ["libx264"], "ladders": {"libx264": ladder}}
        write_small_model(folder, epochs=5, seeds=[0])
        write_yaml(folder / "pairs.yaml", config | {"models": ["small"], "features": "canonical6"})
        snakemake(folder, "--configfile", "pairs.yaml", "--cores", "2", "all_tables")

    return once(session_folder, "measured-pairs", run)


def test_failing_pairs_do_not_stop_the_others(measured: Path) -> None:
    shards = {path.stem: path for path in (measured / "results" / "shards" / "found").glob("*.parquet")}
    assert set(shards) == {"libx264", "phone"}
    failed = read_json(measured / "results/shards/found/libx264.parquet.manifest.json")["details"]["failed"]
    assert [(item["path"], item["clip"]) for item in failed] == [("one_b.mp4", "one"), ("two_a.mp4", "two")]
    assert failed[0]["why"].startswith("one_b.mp4 is ")
    assert failed[1]["why"].startswith("no such file: ")
    assert "failed" not in read_json(measured / "results/shards/found/phone.parquet.manifest.json")["details"]


def test_failing_clips_do_not_stop_the_others(measured: Path) -> None:
    collection = read_json(measured / "results/corpora/clips/corpus.json")
    assert set(collection["clips"]) == {"good_1", "good_2"}
    assert collection["failed"] == {
        "cut": "cut.mp4 has no video stream, only data",
        "words": "words.mp4 is not a video that FFmpeg can read (Invalid data found when processing input: moov atom not found)",
    }
    details = read_json(measured / "results/shards/clips/libx264.parquet.manifest.json")["details"]
    assert [(item["clip"], item["rung"], item["why"]) for item in details["failed"]] == [
        (clip, "medium-crf40", why) for clip, why in collection["failed"].items()
    ]
    rows = (
        pd.read_parquet(measured / "results/tables/default.parquet").groupby(["corpus", "clip"], observed=True).size()
    )
    assert rows.to_dict() == {("clips", "good_1"): 6, ("clips", "good_2"): 6, ("found", "one"): 20}


def test_too_many_failing_clips_are_an_error_that_names_them(
    measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(measured, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    path = Path("config/corpora/clips.yaml")
    write_yaml(path, read_yaml(path) | {"max_failed_share": 0.4})
    # Labels and limits concern what counts, and no clip, encode or feature.
    again = planned(tmp_path, {"limit": ("--configfile", "pairs.yaml", "--", "all_tables")})["limit"]
    assert again.rules == {"collect_corpus": 1, "build_shard": 1, "combine_table": 1, "all_tables": 1}
    lines = {rule: shlex.split(line.partition(" > ")[0])[1:] for rule, line in again.commands}
    why = (
        "cannot be measured, more than the share 0.4 that max_failed_share allows: cut.mp4: cut.mp4 has no video stream"
    )
    words = [word.replace("$(dirname", "results/corpora/clips").rstrip(")") for word in lines["collect_corpus"]]
    words.remove("results/corpora/clips/corpus.json")
    assert f"2 of 4 clips of corpus clips {why}" in refusal(*words)
    assert f"2 of 4 encodes of results/shards/clips/libx264.parquet {why}" in refusal(*lines["build_shard"])
    write_yaml(path, {**read_yaml(path), "on_error": "stop"})
    assert "without on_error: skip" in refusal("manifest", "--corpus", path)


def test_pairs_and_encodes_of_one_table_reach_the_registry(
    measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(measured, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    target = "results/registry/registry.json"
    jobs = planned(tmp_path, {"rest": ("--configfile", "pairs.yaml", "--", target)})["rest"]
    assert jobs.rules == dict.fromkeys(
        ("hard_negatives", "fit_model", "judge_model", "export_model", "quantize_model", "register_models"), 1
    )
    jobs.run()
    assert [entry["id"] for entry in read_json(Path(target))["models"]] == ["small"]
    predictions = pd.read_parquet("results/models/small/seed0/predictions.parquet")
    assert set(predictions["source"]) == {"one", "good_1", "good_2"}
    negatives = pd.read_parquet("results/features/hard_negatives.parquet", columns=["corpus", "clip"])
    assert set(map(tuple, negatives.drop_duplicates().to_numpy())) == {
        *(("found", name) for name in ("one", "two")),
        *(("clips", name) for name in ("good_1", "good_2")),
    }
    assert command("verify").returncode == 0
    words = ("--snakefile", SNAKEFILE, "--profile", PROFILE, "--configfile", "pairs.yaml")
    done = command("audit", target, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Nothing to be done" in done.stdout
    # A pair that is another file than the one that was measured; the others are not concerned.
    pair = Path("found/one_a.mp4")
    pair.write_bytes(pair.read_bytes() + b"\0")
    done = command("audit", target, "--json", "audit.json", *words)
    assert done.returncode == 1
    groups = [group for group in read_json(Path("audit.json"))["groups"] if group["rule"] == "extract_features"]
    assert [(group["jobs"], group["examples"]) for group in groups] == [
        (1, ["results/features/found/one/libx264.parquet"])
    ]


def test_too_many_failing_pairs_are_an_error_that_names_them(measured: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(measured, folder)
    corpus = folder / "config" / "corpora" / "found.yaml"
    write_yaml(corpus, read_yaml(corpus) | {"max_failed_share": 0.5})
    done = snakemake(folder, "--configfile", "pairs.yaml", "--cores", "2", "all_tables", check=False)
    assert done.returncode == 1
    text = done.stdout + done.stderr
    assert "2 of 3 pairs of results/shards/found/libx264.parquet cannot be measured" in text
    assert "more than the share 0.5 that max_failed_share allows: one_b.mp4: " in text


def test_the_run_is_verified_audited_traced_and_repaired(
    measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(measured, folder)
    monkeypatch.chdir(folder)
    assert command("verify").returncode == 0
    trace = command("trace", "results/tables/default.parquet")
    assert (trace.returncode, "found/one.mkv" in trace.stdout) == (0, True)
    ladder = Path("results/features/found/one/phone.parquet")
    before = ladder.read_bytes()
    ladder.write_bytes(before[:-1] + b"\0")
    assert command("verify").returncode != 0
    words = ["--snakefile", SNAKEFILE, "--profile", PROFILE, "--configfile", "pairs.yaml"]
    done = command("repair", "--cores", "2", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ladder.read_bytes() == before
    assert command("verify").returncode == 0
