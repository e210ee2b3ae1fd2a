"""A corpus whose root is named by the variable of the folder of datasets."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pyvmaf.base.roots import DATASETS
from tests.make.commands import command, refusal
from tests.make.videos import make_video
from tests.make.workflows import snakemake

TARGET = "results/corpora/moving/corpus.json"


def test_a_moved_folder_of_datasets_replans_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    first = run / "data"
    videos = first / "datasets" / "moving"
    videos.mkdir(parents=True)
    for name, size in (("one.mkv", "64x48"), ("two.mkv", "96x64")):
        shutil.copy(make_video(tmp_path / name, size, 4), videos)
    monkeypatch.setenv("VMAF_DATA_ROOT", str(first))
    scanned = command("manifest-scan", "--root", videos, "--name", "moving", cwd=run)
    assert scanned.returncode == 0, scanned.stderr
    assert f"root: {DATASETS}/moving\n" in (run / "config" / "corpora" / "moving.yaml").read_text()
    words = ("--cores", "1", "--config", "corpora=[moving]", "--", TARGET)
    snakemake(run, *words)

    second = tmp_path / "elsewhere"
    os.rename(first, second)
    monkeypatch.setenv("VMAF_DATA_ROOT", str(second))
    assert "Nothing to be done" in snakemake(run, "-n", *words).stdout
    # No result says where the folder was.
    texts = {path: path.read_text() for path in (run / "results").rglob("*.json")}
    assert len(texts) == 4
    assert not [path for path, text in texts.items() if "datasets" in text.partition('"run": {')[0]]
    # A clip is made again from the folder as it is now.
    (run / "results" / "corpora" / "moving" / "one.mkv").unlink()
    snakemake(run, *words)

    (second / "datasets" / "moving" / "one.mkv").write_bytes(b"another file")
    # A dataset that nobody has scanned is refused before anything is planned.
    refused = snakemake(run, "-n", "--config", "corpora=[konvid-1k]", check=False)
    assert refused.returncode != 0
    assert "vmaf-train manifest-scan --dataset konvid-1k" in refused.stdout + refused.stderr

    message = refusal("prepare", "--corpus", "moving", "--clip", "one", "--output", "x.mkv", cwd=run)
    assert "is pinned" in message
