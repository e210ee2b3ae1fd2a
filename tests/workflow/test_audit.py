"""The audit of a run of the whole line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.make import warm
from tests.make.workflows import PROFILE, SNAKEFILE

pytestmark = pytest.mark.slow


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


def audit(folder: Path, *arguments: str) -> tuple[int, dict[str, Any], str]:
    report = folder.parent / "audit.json"
    own = ["--snakefile", str(SNAKEFILE), "--profile", str(PROFILE), "--configfile", "small.yaml"]
    done = subprocess.run(
        [warm.python(), "-m", "pyvmaf", "audit", "--output", str(report), *own, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    return done.returncode, json.loads(report.read_text()) if report.is_file() else {}, done.stdout + done.stderr


def test_a_finished_run_has_nothing_to_do(run: Path) -> None:
    code, report, text = audit(run)
    assert code == 0, text
    assert report["nothing_to_do"]
    assert report["jobs"] > 20
    assert "Nothing to be done" in text
    assert "Every result is as its manifest records it" in text


def test_a_change_is_named_priced_and_followed(run: Path) -> None:
    code, report, text = audit(run, "--config", "features=[canonical6, psnr_y]")
    assert code == 1, text
    own = {group["rule"]: group for group in report["groups"]}
    assert set(own) == {"extract_features", "hard_negatives"}
    assert own["extract_features"]["reasons"] == [
        "further table rows: psnr_y",
        "what.features: canonical6 -> canonical6,psnr_y",
    ]
    assert own["extract_features"]["jobs"] == 4
    assert {item["rule"]: item["jobs"] for item in own["extract_features"]["then"]}["fit_model"] == 2
    # Each ladder was measured, so all four have a price.
    assert own["extract_features"]["unmeasured_jobs"] == 0
    assert own["extract_features"]["cpu_minutes"] > 0
    followers = {item["rule"] for item in report["artefacts"] if item["group"] is None}
    assert {"build_shard", "combine_table", "fit_model", "judge_model", "register_models"} <= followers
    assert "encode_rung" not in text


def test_the_code_that_changed_is_named(run: Path) -> None:
    # Pretend that another version of one module made the last run.
    from pyvmaf.base.code import identity
    from pyvmaf.base.families import uses

    code_of_fit = identity("fit", uses("fit", "fr"))
    parts = run / "logs" / "code" / f"{code_of_fit}.json"
    recorded = json.loads(parts.read_text())
    recorded["parts"]["module pyvmaf.models.regressor.trainer"] = "0" * 64
    (parts.parent / "0123456789abcdef.json").write_text(json.dumps(recorded))
    for path in (run / ".snakemake" / "metadata").rglob("*"):
        if path.is_file():
            path.write_text(path.read_text().replace(code_of_fit, "0123456789abcdef"))
    code, report, text = audit(run)
    assert code == 1, text
    assert {reason for group in report["groups"] for reason in group["reasons"]} == {
        "the code has changed: module pyvmaf.models.regressor.trainer"
    }
    assert {group["rule"] for group in report["groups"]} == {"fit_model"}


def test_damage_and_orphans_that_no_plan_shows_are_reported(run: Path) -> None:
    shard = run / "results" / "shards" / "mine" / "libx264.parquet"
    time = shard.stat()
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    os.utime(shard, ns=(time.st_atime_ns, time.st_mtime_ns))
    (run / "results" / "models" / "notes.txt").write_text("mine")
    code, report, text = audit(run)
    assert code == 1
    assert report["pending"] == 0
    found = {(item["kind"], item["path"]) for item in report["unseen"]}
    assert ("changed", "results/shards/mine/libx264.parquet") in found
    assert ("unaccounted", "results/models/notes.txt") in found
    assert "Snakemake does not see" in text
    assert audit(run, "--quick")[0] == 0
    # A ladder that the configuration no longer names is an orphan.
    _, report, _ = audit(run, "--config", "codecs=[libx264]")
    orphans = {item["path"] for item in report["unseen"] if item["kind"] == "orphan"}
    assert "results/shards/mine/libsvtav1.parquet" in orphans
    assert not any("libx264" in path for path in orphans)


def test_a_copy_without_times_is_told_from_a_change(run: Path) -> None:
    # As `cp -r` does: every file is as new as its place in the order of copying.
    files = sorted(path for path in run.rglob("*") if path.is_file())
    for index, path in enumerate(reversed(files)):
        os.utime(path, ns=(10**18 + index, 10**18 + index))
    # Of small files Snakemake compares the bytes itself.
    by_time = ("--max-checksum-file-size", "0")
    code, report, text = audit(run, *by_time)
    assert code == 1
    assert report["only_times"] > 0
    assert report["touch"]
    assert {reason for group in report["groups"] for reason in group["reasons"]} == {
        "only times have changed: its inputs are newer than the output, but their bytes are those recorded"
    }
    assert "`snakemake --touch` makes all results up to date" in text
    assert "bytes were not compared" in audit(run, *by_time, "--quick")[2]
    # One file with other bytes.
    clip = next((run / "results" / "corpora").rglob("*.mkv"))
    clip.write_bytes(clip.read_bytes() + b"?")
    _, report, text = audit(run, *by_time)
    assert not report["touch"]
    changed = [r for group in report["groups"] for r in group["reasons"] if r.startswith("changed after the output")]
    assert changed
    assert "hide the other reasons" in text


def test_other_versions_of_packages_are_reported(run: Path) -> None:
    from pyvmaf.base.files import content_hash

    manifest = run / "results" / "models" / "small" / "seed0" / "weights.safetensors.manifest.json"
    data = json.loads(manifest.read_text())
    data["packages"]["torch"] = "1.0.0"
    data["content_sha256"] = content_hash({k: v for k, v in data.items() if k not in ("run", "content_sha256")})
    manifest.write_text(json.dumps(data))
    code, report, _ = audit(run)
    assert code == 1
    [first, second] = [item["message"] for item in report["unseen"] if item["kind"] == "package"]
    assert "torch 1.0.0" in first
    assert "torch 1.0.0" in second
    assert any("installed here" in message for message in (first, second))
    assert any("training.yaml pins" in message for message in (first, second))
