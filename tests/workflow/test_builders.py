"""The examples that build published datasets, on small stand-ins with the names and the layout of the datasets."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd
import pytest

from pyvmaf.base.manifest import read_manifest
from pyvmaf.features.catalog import FULL
from tests.make.builders import cut, planned, use_example
from tests.make.commands import command
from tests.make.runs import once

pytestmark = pytest.mark.xdist_group("builders")


def ran(*words: object, cwd: Path) -> None:
    done = command(*words, cwd=cwd)
    assert done.returncode == 0, done.stderr


# --- KoNViD-1k: each video against its own encode ------------------------------------------------------------------------

# Names of four of the 1,200 files.
KONVID = {"10053703034": "bikes_1", "5115335471": "carphone", "3521396571": "bikes_4", "12893008605": "bigbuckbunny"}


@pytest.fixture(scope="module")
def konvid(session_folder: Path, embedded_corpus: dict[str, Path]) -> Path:
    def make(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("VMAF_DATA_ROOT", str(folder / "data"))
            root = folder / "data" / "datasets" / "konvid-1k"
            size = ("-vf", "scale=320:180", "-c:v", "libx264", "-crf", "12")
            for name, clip in KONVID.items():
                cut(embedded_corpus[clip], root / "KoNViD_1k_videos" / f"{name}.mp4", 12, *size)
            ran("manifest-scan", "--root", root, "--name", "konvid-1k", cwd=folder)
            example = use_example("konvid_pairs", folder)
            whole = planned(folder, {"table": (*example, "--", "results/tables/konvid.parquet")})
            whole["table"].run()

    return once(session_folder, "konvid_pairs", make)


def test_konvid_pairs(konvid: Path, tmp_path: Path) -> None:
    table = pd.read_parquet(konvid / "results" / "tables" / "konvid.parquet")
    assert set(FULL) <= set(table.columns)
    assert table.groupby(["clip", "encoder", "preset", "crf"], observed=True).size().to_dict() == {
        (f"konvid_1k_videos_{name}", "libx264", "veryfast", 35): 12 for name in KONVID
    }
    assert table["vmaf"].between(0, 100).all()
    model = konvid / "docs" / "examples" / "konvid_pairs" / "vmaf_tiny_konvid.yaml"
    ran(
        "fit",
        "--config",
        model,
        "--table",
        "results/tables/konvid.parquet",
        "--output",
        tmp_path,
        "--epochs",
        1,
        cwd=konvid,
    )
    folds = pd.read_parquet(tmp_path / "predictions.parquet").groupby("source", observed=True)["fold"].unique()
    for source, found in folds.items():
        digest = hashlib.sha256(f"vmaf-train-splits-v1:{source}".encode()).hexdigest()
        assert list(found) == [f"fold{int(digest[:16], 16) * 5 // 2**64}"]
    assert folds.size == len(KONVID)
    assert read_manifest(konvid / "results" / "tables" / "konvid.parquet")["details"]["corpora"] == {"konvid-1k": 48}
