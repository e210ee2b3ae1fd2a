"""The examples that build published datasets, on small stand-ins with the names and the layout of the datasets."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from pyvmaf.base.manifest import read_manifest
from pyvmaf.corpora.keys import key_of
from pyvmaf.corpora.spec import load_videos
from pyvmaf.features.catalog import FULL
from tests.make.builders import cut, planned, use_example
from tests.make.commands import command
from tests.make.runs import once
from tests.make.videos import REPOSITORY

pytestmark = pytest.mark.xdist_group("builders")


def ran(*words: object, cwd: Path) -> None:
    done = command(*words, cwd=cwd)
    assert done.returncode == 0, done.stderr


def records(folder: Path, corpus: str) -> list[dict[str, Any]]:
    """The records of the encodes of a corpus."""
    files = sorted((folder / "results" / "encodes" / corpus).glob("*/*/*.json"))
    return [json.loads(path.read_text()) for path in files if "manifest" not in path.name]


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


# --- KoNViD-150k and CHUG: features that need no reference, with opinion scores ------------------------------------------

# Three of the 1,576 videos of set B with their scores.
K150K = {
    "orig_10007436115_540_5s": ("bikes_1", 3.53),
    "orig_10007901796_540_5s": ("carphone", 3.81),
    "orig_10041796874_540_5s": ("bigbuckbunny", 3.25),
}


def test_k150k(tmp_path: Path, embedded_corpus: dict[str, Path], shared_data: Path) -> None:
    for name, (clip, _) in K150K.items():
        size = ("-vf", "scale=320:180", "-c:v", "libx264", "-crf", "12")
        cut(embedded_corpus[clip], tmp_path / "k150kb_extracted" / f"{name}.mp4", 8, *size)
    scores = shared_data / "mos_official" / "k150kb_scores.csv"
    ran(
        "labels", scores, "--dataset", REPOSITORY / "config/labels/konvid-150k.yaml", "-o", "k150kb.jsonl", cwd=tmp_path
    )
    scan = ("manifest-scan", "--root", "k150kb_extracted", "--name", "k150k", "--mos-csv", "k150kb.jsonl")
    ran(*scan, "--mos-scale", "1,5", cwd=tmp_path)
    example = use_example("k150k", tmp_path)
    table = "results/tables/k150k.parquet"
    jobs = planned(tmp_path, {"whole": example, "table": (*example, "--", table)})
    assert jobs["whole"].rules["fit_model"] == 3
    assert {rule: jobs["table"].rules[rule] for rule in ("encode_rung", "extract_features")} == {
        "encode_rung": 3,
        "extract_features": 3,
    }
    jobs["table"].run()
    rows = pd.read_parquet(tmp_path / table).set_index("clip")
    assert rows["mos"].to_dict() == {name: mos for name, (_, mos) in K150K.items()}
    assert set(rows["codec"]) == {"identity"}
    assert (rows["n_frames"] == 8).all()
    assert (rows["cambi_count"] == 8).all()
    # Nothing distorts the videos, and yet their features tell them apart.
    assert rows["vmaf_mean"].min() > 95
    for name in ("cambi_mean", "motion2_mean"):
        assert rows[name].nunique() == len(K150K), name
    # SpEED is a difference between the two sides.
    assert (rows[["speed_chroma_uv_mean", "speed_temporal_mean"]] == 0).all(axis=None)


def side_of(content: str) -> str:
    """The side of a content by the published policy: BLAKE2s of 8 bytes over seed, zero byte and name."""
    u = int.from_bytes(hashlib.blake2s(b"chug-hdr-v1\0" + content.encode(), digest_size=8).digest(), "big") / 2**64
    return "train" if u < 0.8 else "val" if u < 0.9 else "test"


def test_chug(tmp_path: Path, embedded_corpus: dict[str, Path], shared_data: Path) -> None:
    labels = pd.read_csv(shared_data / "mos" / "chug.csv")
    labels["side"] = labels["content_name"].map(side_of)
    # Two encodes of a content to train on, one whose name has spaces, and one of either other side.
    by_side = dict(list(labels.groupby("side")))
    content = by_side["train"]["content_name"].iloc[0]
    spaced = labels[labels["content_name"].str.contains(" ")].iloc[0]
    chosen = pd.concat(
        [
            labels[labels["content_name"] == content].head(2),
            spaced.to_frame().T,
            *(by_side[side][~by_side[side]["content_name"].str.contains(" ")].head(1) for side in ("val", "test")),
        ]
    )
    sources = ["bikes_1", "bikes_1", "carphone", "bikes_4", "bigbuckbunny"]
    for number, (video, clip) in enumerate(zip(chosen["Video"], sources, strict=True)):
        transfer = "arib-std-b67" if number == 3 else "smpte2084"
        filters = f"scale=320:180,setparams=color_primaries=bt2020:color_trc={transfer}:colorspace=bt2020nc"
        filters, rate = (f"{filters},setpts=N/60/TB", ("-r", "60")) if number == 2 else (filters, ())
        coded = (
            "-pix_fmt",
            "yuv420p10le",
            "-c:v",
            "libx265",
            "-x265-params",
            "log-level=none",
            "-crf",
            12 + 8 * number,
        )
        cut(embedded_corpus[clip], tmp_path / "chug" / f"{video}.mp4", 8, "-vf", filters, *rate, *map(str, coded))
    file = shared_data / "mos" / "chug.csv"
    ran("labels", file, "--dataset", REPOSITORY / "config/labels/chug.yaml", "-o", "chug.jsonl", cwd=tmp_path)
    scan = ("manifest-scan", "--root", "chug", "--name", "chug", "--mos-csv", "chug.jsonl")
    ran(*scan, "--mos-source", "chug_content_name", "--mos-scale", "1,5", cwd=tmp_path)
    example = use_example("chug", tmp_path)
    table = "results/tables/chug.parquet"
    jobs = planned(tmp_path, {"whole": example, "table": (*example, "--", table)})
    assert jobs["whole"].rules["fit_model"] == 3
    jobs["table"].run()
    rows = pd.read_parquet(tmp_path / table).set_index("clip").loc[list(chosen["Video"])]
    assert rows["mos"].to_numpy() == pytest.approx(1 + chosen["mos_j"].to_numpy(float) / 25, abs=1e-12)
    assert list(rows["source"]) == list(chosen["content_name"])
    # The weight of motion is that of the frame rate: 1 at 25 frames a second, 30 / 60 at 60.
    weight = (rows["motion2_fps_mean"] / rows["motion2_mean"]).to_numpy()
    assert weight == pytest.approx([1, 1, 0.5, 1, 1], rel=1e-4)
    # libvmaf has no thresholds for HLG.
    assert rows["cambi_eotf_mean"].notna().tolist() == [True, True, True, False, True]
    assert (rows["cambi_eotf_mean"] != rows["cambi_mean"]).any()
    model = tmp_path / "docs" / "examples" / "chug" / "chug_nr.yaml"
    ran("fit", "--config", model, "--table", table, "--output", "fit", "--epochs", 1, cwd=tmp_path)
    predictions = pd.read_parquet(tmp_path / "fit" / "predictions.parquet")
    sides = {name: side_of(name) for name in chosen["content_name"]}
    assert set(predictions["source"]) == {name for name, side in sides.items() if side == "test"}


# --- BVI-DVC: 10 bit videos in four tiers, from the archive ---------------------------------------------------------------

BVI = {
    "BasketballGoalScoringS1Videvo": "carphone",
    "BookcaseBVITexture": "bikes_1",
    "BricksBushesStaticBVITexture": "bikes_4",
}
TIERS = {"A": "3840x2176", "B": "1920x1088", "C": "960x544", "D": "480x272"}


def test_bvi_dvc(tmp_path: Path, embedded_corpus: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMAF_DATA_ROOT", str(tmp_path / "data"))
    with zipfile.ZipFile(tmp_path / "BVI-DVC.zip", "w") as archive:
        for scene, clip in BVI.items():
            for tier in ("C", "D") if scene.startswith("Bask") else ("D",):
                name = f"{tier}{scene}_{TIERS[tier]}_25fps_10bit_420.mp4"
                size = TIERS[tier].replace("x", ":")
                coded = ("-vf", f"scale={size}", "-pix_fmt", "yuv420p10le", "-c:v", "libx265", "-crf", "10")
                file = cut(embedded_corpus[clip], tmp_path / name, 4, *coded, "-x265-params", "log-level=none")
                archive.write(file, f"BVI-DVC/Videos/{name}")
        archive.writestr("BVI-DVC/readme.txt", "not a video")
    for tier in ("c", "d"):
        corpus = ("--corpus", REPOSITORY / f"config/corpora/bvi-dvc-{tier}.yaml")
        own = tmp_path / "config" / "corpora" / f"bvi-dvc-{tier}.yaml"
        own.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(corpus[1], own)
        ran("fetch", "--corpus", own, "--archive", "BVI-DVC.zip", "--accept-licence", "--output-dir", "x", cwd=tmp_path)
        ran("manifest-scan", "--dataset", f"bvi-dvc-{tier}", cwd=tmp_path)
    example = use_example("bvi_dvc", tmp_path)
    table = "results/tables/bvi.parquet"
    both = (*example, "--config", "corpora=[bvi-dvc-c, bvi-dvc-d]")
    cases = {"whole": example, "table": (*example, "--", table), "both": (*both, "--", table)}
    jobs = planned(tmp_path, cases)
    assert jobs["whole"].rules["fit_model"] == 3
    assert [jobs[name].rules["encode_rung"] for name in ("table", "both")] == [3, 4]
    jobs["table"].run()
    rows = pd.read_parquet(tmp_path / table)
    assert rows.groupby("source", observed=True).size().to_dict() == {key_of(scene): 4 for scene in BVI}
    assert {(row["pix_fmt"], row["preset"], row["crf"], row["width"]) for row in records(tmp_path, "bvi-dvc-d")} == {
        ("yuv420p10le", "fast", 35, 480)
    }
    # A scene has one source in all tiers, so that no split has it on both sides.
    other = load_videos(tmp_path / "config" / "corpora" / "bvi-dvc-c.yaml")
    assert [entry.source for entry in other.entries] == [key_of("BasketballGoalScoringS1Videvo")]


@pytest.mark.parametrize(("tier", "size"), TIERS.items())
def test_each_tier_of_bvi_dvc_takes_its_own_members(tier: str, size: str) -> None:
    corpus = yaml.safe_load((REPOSITORY / "config" / "corpora" / f"bvi-dvc-{tier.lower()}.yaml").read_text())
    [item] = corpus["dataset"]["downloads"]
    names = [f"{t}BookcaseBVITexture_{s}_120fps_10bit_420.mp4" for t, s in TIERS.items()]
    assert [name for name in names if re.fullmatch(item["members"], f"Videos/{name}")] == [
        f"{tier}BookcaseBVITexture_{size}_120fps_10bit_420.mp4"
    ]
