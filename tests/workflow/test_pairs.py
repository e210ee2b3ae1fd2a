"""Pairs that exist in the workflow: alone, beside clips that are encoded, with files that cannot be measured."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from pyvmaf.base.files import read_json, read_yaml, sha256_file
from tests.make.commands import command
from tests.make.runs import once
from tests.make.videos import make_video
from tests.make.workflows import PROFILE, SNAKEFILE, Case, Planned, plan_once, snakemake, write_yaml

pytestmark = pytest.mark.xdist_group("workflow")

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
def plans(session_folder: Path, finished_run: Path) -> Mapping[str, Planned]:
    """Plans in a folder in which everything has run on encoded clips."""

    def prepare() -> tuple[Path, Mapping[str, Case]]:
        value = read_yaml(write_pairs(finished_run))
        names = {"reference": "{source}.mkv", "distorted": ["{source}_*.mp4"]}
        empty = value | {"name": "empty", "entries": [], "layout": names}
        write_yaml(finished_run / "config" / "corpora" / "empty.yaml", empty)
        cases = {
            "nothing": Case(SMALL),
            "both": Case((*SMALL, *BOTH)),
            "alone": Case((*SMALL, "--config", "corpora=[found]")),
            "one codec": Case((*SMALL, *BOTH, "tables={default: {codecs: [phone, libsvtav1]}}")),
            "no such codec": Case((*SMALL, *BOTH, "tables={default: {codecs: [telephone]}}")),
            "empty": Case((*SMALL, "--config", "corpora=[empty]")),
        }
        return finished_run, cases

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


@pytest.fixture(scope="module")
def measured(session_folder: Path) -> Path:
    """A folder in which the pairs were measured to a table, one of them cut off and one missing, and skipped."""

    def run(folder: Path) -> None:
        corpus = write_pairs(folder)
        value = read_yaml(corpus)
        (folder / "found" / "two_a.mp4").unlink()
        broken = folder / "found" / "one_b.mp4"
        broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2])
        value["entries"][0]["pairs"][1]["sha256"] = sha256_file(broken)
        write_yaml(corpus, value | {"on_error": "skip", "max_failed_share": 0.7})
        write_yaml(folder / "pairs.yaml", {"corpora": ["found"], "models": ["vmaf_tiny_v2"], "seeds": [0]})
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
