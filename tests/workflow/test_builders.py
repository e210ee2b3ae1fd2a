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
from pyvmaf.features.catalog import CANONICAL6, FULL
from tests.make.builders import SNAKEMAKE, Jobs, cut, planned, use_example
from tests.make.commands import command
from tests.make.runs import once
from tests.make.videos import REPOSITORY
from tests.make.workflows import drive

QUIET = ("-x265-params", "log-level=none")


def ran(*words: object, cwd: Path) -> None:
    done = command(*words, cwd=cwd)
    assert done.returncode == 0, done.stderr


def records(folder: Path, corpus: str) -> list[dict[str, Any]]:
    """The records of the encodes of a corpus."""
    files = sorted((folder / "results" / "encodes" / corpus).glob("*/*/*.json"))
    return [json.loads(path.read_text()) for path in files if "manifest" not in path.name]


# --- corpora of frames, which the combined tables share ------------------------------------------------------------------

# Names of four of the 1,200 files.
KONVID = {"10053703034": "bikes_1", "5115335471": "carphone", "3521396571": "bikes_4", "12893008605": "bigbuckbunny"}
# Two of the nine sources with their frames per second, and two of the versions of each.
NFLX = {("Tennis", 24): "bikes_1", ("FoxBird", 25): "carphone"}
NFLX_RUNGS = {"20_288_375": "40", "80_1080_3800": "20"}
BVI = {
    "BasketballGoalScoringS1Videvo": "carphone",
    "BookcaseBVITexture": "bikes_1",
    "BricksBushesStaticBVITexture": "bikes_4",
}
TIERS = {"A": "3840x2176", "B": "1920x1088", "C": "960x544", "D": "480x272"}
UGC = {"Animation_360P-08c9": "bigbuckbunny", "Sports_480P-0c8e": "bikes_1"}
UGC_RATES = {"cbr": "60k", "vod": "90k", "vodlb": "40k"}

SMALL = "scale=320:180"
REGISTRY = "results/registry/registry.json"


@pytest.fixture(scope="module")
def datasets(session_folder: Path, embedded_corpus: dict[str, Path]) -> Path:
    """A working folder with the scanned corpora of frames, and their videos in `data`."""

    def make(folder: Path) -> None:
        shutil.copytree(REPOSITORY / "config" / "corpora", folder / "config" / "corpora")
        data = folder / "data" / "datasets"
        for name, clip in KONVID.items():
            cut(embedded_corpus[clip], data / "konvid-1k" / "KoNViD_1k_videos" / f"{name}.mp4", 8, "-vf", SMALL)
        for (name, rate), clip in NFLX.items():
            reference = cut(embedded_corpus[clip], data / "nflx" / "ref" / f"{name}_{rate}fps.yuv", 6, "-vf", SMALL)
            raw = ("-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", "320x180", "-r", str(rate))
            for rung, crf in NFLX_RUNGS.items():
                coded = cut(reference, folder / "coded.mkv", 6, "-c:v", "libx264", "-crf", crf, before=raw)
                cut(coded, data / "nflx" / "dis" / f"{name}_{rung}.yuv", 6, "-f", "rawvideo")
        for stem, clip in UGC.items():
            # One is higher than 360 lines.
            size = "scale=480:400" if "480P" in stem else SMALL
            upload = cut(embedded_corpus[clip], data / "youtube-ugc" / f"{stem}_orig.mp4", 6, "-vf", size)
            for version, kbps in UGC_RATES.items():
                vp9 = ("-c:v", "libvpx-vp9", "-b:v", kbps, "-deadline", "realtime", "-cpu-used", "8")
                cut(upload, data / "youtube-ugc" / f"{stem}_{version}.webm", 6, *vp9)
        with zipfile.ZipFile(folder / "BVI-DVC.zip", "w") as archive:
            for scene, clip in BVI.items():
                for tier in TIERS if scene.startswith("Bask") else ("D",):
                    name = f"{tier}{scene}_{TIERS[tier]}_25fps_10bit_420.mp4"
                    scale = ("-vf", f"scale={TIERS[tier].replace('x', ':')}")
                    fast = ("-pix_fmt", "yuv420p10le", "-c:v", "libx265", "-preset", "ultrafast", "-crf", "10", *QUIET)
                    video = cut(embedded_corpus[clip], folder / name, 2, *scale, *fast)
                    archive.write(video, f"BVI-DVC/Videos/{name}")
            archive.writestr("BVI-DVC/readme.txt", "not a video")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("VMAF_DATA_ROOT", str(folder / "data"))
            change(folder / "config" / "corpora" / "nflx.yaml", "size: 1920x1080", "size: 320x180")
            change(folder / "config" / "corpora" / "youtube-ugc.yaml", "max_frames: 300", "max_frames: 4")
            for tier in "abcd":
                words = ("--corpus", f"bvi-dvc-{tier}", "--archive", "BVI-DVC.zip", "--accept-licence")
                ran("fetch", *words, "--output-dir", "fetched", cwd=folder)
            for name in ("konvid-1k", "nflx", "youtube-ugc", *(f"bvi-dvc-{tier}" for tier in "abcd")):
                ran("manifest-scan", "--dataset", name, cwd=folder)

    return once(session_folder, "datasets", make)


@pytest.fixture
def root(datasets: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of the corpora. What an example makes stays: the combined tables are made of the same shards."""
    monkeypatch.setenv("VMAF_DATA_ROOT", str(datasets / "data"))
    return datasets


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def made(root: Path, example: str, table: str, *more: str) -> tuple[pd.DataFrame, Jobs]:
    """Make a table of an example, and return it with the jobs of the whole example."""
    words = use_example(example, root)
    path = f"results/tables/{table}.parquet"
    jobs = planned(root, {"whole": (*words, *more), "table": (*words, *more, "--", path)})
    jobs["table"].run()
    return pd.read_parquet(root / path), jobs["whole"]


def test_konvid_pairs(root: Path, tmp_path: Path) -> None:
    table, whole = made(root, "konvid_pairs", "konvid")
    assert whole.rules["fit_model"] == 3
    assert set(FULL) <= set(table.columns)
    assert table.groupby(["clip", "encoder", "preset", "crf"], observed=True).size().to_dict() == {
        (f"konvid_1k_videos_{name}", "libx264", "veryfast", 35): 8 for name in KONVID
    }
    assert table["vmaf"].between(0, 100).all()
    model = root / "docs" / "examples" / "konvid_pairs" / "vmaf_tiny_konvid.yaml"
    words = ("--config", model, "--table", "results/tables/konvid.parquet", "--output", tmp_path, "--epochs", 1)
    ran("fit", *words, cwd=root)
    folds = pd.read_parquet(tmp_path / "predictions.parquet").groupby("source", observed=True)["fold"].unique()
    for source, found in folds.items():
        digest = hashlib.sha256(f"vmaf-train-splits-v1:{source}".encode()).hexdigest()
        assert list(found) == [f"fold{int(digest[:16], 16) * 5 // 2**64}"]
    assert folds.size == len(KONVID)


def test_the_first_clips_of_a_corpus(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "config", tmp_path / "config")
    corpus = tmp_path / "config" / "corpora" / "konvid-1k.yaml"
    change(corpus, "kind: folder\n", "kind: folder\nmax_clips: 2\n")
    ran("manifest-scan", "--dataset", "konvid-1k", cwd=tmp_path)
    words = (
        *use_example("konvid_pairs", tmp_path),
        "--",
        "results/tables/konvid.parquet",
        "results/corpora/konvid-1k/corpus.json",
    )
    rules = planned(tmp_path, {"first": words})["first"].rules
    assert [rules[rule] for rule in ("prepare_clip", "encode_rung", "extract_features")] == [2, 2, 2]


def test_nflx(root: Path) -> None:
    table, whole = made(root, "nflx", "nflx")
    assert whole.rules["fit_model"] == 5
    assert "encode_rung" not in whole.rules
    assert set(FULL) <= set(table.columns)
    assert table.groupby(["source", "rung"], observed=True).size().to_dict() == {
        (name, rung): 6 for name, _ in NFLX for rung in NFLX_RUNGS
    }
    means = table.groupby("rung", observed=True)["vmaf"].mean()
    assert means["20_288_375"] < means["80_1080_3800"]
    # To the registry: two sources and six frames teach a model less than its gates ask for.
    model = root / "docs" / "examples" / "nflx" / "vmaf_tiny_nflx.yaml"
    spec = yaml.safe_load(model.read_text())
    spec["seeds"], spec["gates"] = (
        [0, 1],
        spec["gates"] | {"plcc_spread_max": 0.2, "per_seed_min": 0.5, "mean_plcc_min": 0.5},
    )
    spec["gates"]["hard_negatives"] = spec["gates"]["monotonicity"] = None
    model.write_text(yaml.safe_dump(spec))
    words = ("--configfile", "docs/examples/nflx/config.yaml", "--", REGISTRY)
    planned(root, {"registry": words})["registry"].run()
    shipped = json.loads((root / REGISTRY).read_text())["models"]
    assert [entry["id"] for entry in shipped] == ["vmaf_tiny_nflx"]
    (root / REGISTRY).unlink()


def test_ugc(root: Path) -> None:
    table, whole = made(root, "ugc", "ugc")
    assert whole.rules["fit_model"] == 3
    assert table.groupby(["source", "rung"], observed=True).size().to_dict() == {
        (stem, version): 4 for stem in UGC for version in UGC_RATES
    }
    assert set(table["encoder"]) == {"libvpx-vp9"}


def test_bvi_dvc(root: Path) -> None:
    table, whole = made(root, "bvi_dvc", "bvi")
    assert (whole.rules["fit_model"], whole.rules["prepare_clip"]) == (3, 3)
    assert table.groupby("source", observed=True).size().to_dict() == {key_of(scene): 2 for scene in BVI}
    assert {(row["pix_fmt"], row["preset"], row["crf"], row["width"]) for row in records(root, "bvi-dvc-d")} == {
        ("yuv420p10le", "fast", 35, 480)
    }
    # A scene has one source in all tiers, so that no split has it on both sides.
    other = load_videos(root / "config" / "corpora" / "bvi-dvc-c.yaml")
    assert [entry.source for entry in other.entries] == [key_of("BasketballGoalScoringS1Videvo")]


@pytest.mark.parametrize(("tier", "size"), TIERS.items())
def test_each_tier_of_bvi_dvc_takes_its_own_members(tier: str, size: str) -> None:
    corpus = yaml.safe_load((REPOSITORY / "config" / "corpora" / f"bvi-dvc-{tier.lower()}.yaml").read_text())
    [item] = corpus["dataset"]["downloads"]
    names = [f"{t}BookcaseBVITexture_{s}_120fps_10bit_420.mp4" for t, s in TIERS.items()]
    assert [name for name in names if re.fullmatch(item["members"], f"Videos/{name}")] == [
        f"{tier}BookcaseBVITexture_{size}_120fps_10bit_420.mp4"
    ]


MODES = {
    "source": "netflix-source",
    "holdout": "konvid-holdout",
    "both": "netflix-source-and-konvid-holdout",
    "netflix_only": "netflix-only",
    "konvid_only": "konvid-only",
}


def test_combined_training_holds_out_what_each_mode_says(root: Path, tmp_path: Path) -> None:
    table, whole = made(root, "nflx_konvid", "nflx_konvid")
    assert whole.rules["fit_model"] == 3 * len(MODES)
    assert table["corpus"].value_counts().to_dict() == {"nflx": 24, "konvid-1k": 32}
    for short, mode in MODES.items():
        model = root / "docs" / "examples" / "nflx_konvid" / f"mlp_small_{short}.yaml"
        assert yaml.safe_load(model.read_text())["split"]["mode"] == mode
        words = ("--config", model, "--table", "results/tables/nflx_konvid.parquet", "--epochs", 1)
        ran("fit", *words, "--output", tmp_path / short, cwd=root)
        held = set(pd.read_parquet(tmp_path / short / "predictions.parquet")["source"])
        [fold] = json.loads((tmp_path / short / "loso.json").read_text())["folds"]
        clips = {f"konvid_1k_videos_{name}" for name in KONVID}
        # A tenth of four clips is one of them, of 8 frames; Tennis has two versions of 6 frames.
        netflix, konvid = (
            mode in ("netflix-source", "netflix-source-and-konvid-holdout", "netflix-only"),
            "konvid" in mode,
        )
        assert ("Tennis" in held, len(held & clips)) == (netflix, int(konvid))
        assert fold["n_val"] == 12 * netflix + 8 * konvid
        trained = {"netflix-only": 24, "konvid-only": 32}.get(mode, 56) - fold["n_val"]
        assert fold["n_train"] == trained


def test_a_corpus_without_ladders_has_no_rows(root: Path) -> None:
    words = use_example("combined", root)
    config = yaml.safe_load((root / words[1]).read_text())
    cases = {}
    for name in ("konvid1k", "nflx", "bvi-dvc-c"):
        config["ladders"]["x264_crf35"]["corpora"] = [name]
        (root / f"{name}.yaml").write_text(yaml.safe_dump(config))
        cases[name] = [*SNAKEMAKE, "--configfile", f"{name}.yaml"]
    answers = drive(root, cases)
    assert all(code != 0 for code, _ in answers.values())
    unknown = "unknown corpus of ladder 'x264_crf35' (or not encoded by this run) {!r}"
    assert f"{unknown.format('konvid1k')}: did you mean 'konvid-1k'?" in answers["konvid1k"][1]
    assert unknown.format("nflx") in answers["nflx"][1]
    rows = "has no rows of konvid-1k, of which there are no ladders x264_crf35, x264_fast_crf35"
    assert rows in answers["bvi-dvc-c"][1]


def test_combined_tables(root: Path) -> None:
    words = use_example("combined", root)
    config = yaml.safe_load((root / words[1]).read_text())
    # The largest tiers are planned and not measured: a frame of theirs takes seconds.
    corpora = ["nflx", "konvid-1k", "bvi-dvc-c", "bvi-dvc-d", "youtube-ugc"]
    tables = {"three": [*corpora[:2], "bvi-dvc-d"], "four": corpora[:4], "five": corpora}
    for name, of in tables.items():
        assert set(of) <= set(config["tables"][name]["corpora"])
    small = config | {"corpora": corpora, "tables": {name: {"corpora": of} for name, of in tables.items()}}
    for ladder in small["ladders"].values():
        ladder["corpora"] = [name for name in ladder["corpora"] if name in corpora]
    (root / "small.yaml").write_text(yaml.safe_dump(small))
    files = {name: f"results/tables/{name}.parquet" for name in tables}
    cases = {
        "whole": words,
        "everything": (*words, "--forceall"),
        "small": ("--configfile", "small.yaml", "--", *files.values()),
    }
    jobs = planned(root, cases)
    # Each corpus has its own ladder: no clip of KoNViD is encoded as those of BVI-DVC are, nor the reverse.
    assert jobs["whole"].rules["fit_model"] == 15
    encodes = [line for rule, line in jobs["everything"].commands if rule == "encode_rung"]
    assert len(encodes) == len(KONVID) + len(BVI) + len(TIERS) - 1
    for line in encodes:
        assert ("--preset veryfast" in line) == ("konvid-1k" in line)
    jobs["small"].run()
    counts = {"nflx": 24, "konvid-1k": 32, "bvi-dvc-c": 2, "bvi-dvc-d": 6, "youtube-ugc": 24}
    for name, of in tables.items():
        table = pd.read_parquet(root / files[name])
        assert table["corpus"].value_counts().to_dict() == {corpus: counts[corpus] for corpus in of}
        details = read_manifest(root / files[name])["details"]
        assert details["corpora"] == {corpus: counts[corpus] for corpus in of}
        assert details["filled_with_nan"] == {}
    assert set(table[table["corpus"] == "konvid-1k"]["preset"]) == {"veryfast"}
    assert set(table[table["corpus"] == "bvi-dvc-d"]["preset"]) == {"fast"}
    # By hand, as published: a shard of fewer features is added to a table, and what it lacks is NaN and listed.
    ran(
        "extract-features",
        "--corpus",
        "youtube-ugc",
        "--features",
        "canonical6,motion",
        "--output",
        "ugc.parquet",
        cwd=root,
    )
    ran("combine", "--output", "all.parquet", f"base={files['four']}", "ugc=ugc.parquet", cwd=root)
    table = pd.read_parquet(root / "all.parquet")
    assert table["corpus"].value_counts().to_dict() == {"base": 64, "ugc": 24}
    lacking = [name for name in FULL if name not in (*CANONICAL6, "motion")]
    assert read_manifest(root / "all.parquet")["details"]["filled_with_nan"] == {"ugc.parquet": lacking}
    assert table[table["corpus"] == "ugc"][lacking].isna().all(axis=None)
    assert table[table["corpus"] == "ugc"][list(CANONICAL6)].notna().all(axis=None)


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
    # Three videos are too few for the gates: the registry says so, and ships nothing.
    planned(tmp_path, {"registry": (*example, "--", REGISTRY)})["registry"].run()
    registry = json.loads((tmp_path / REGISTRY).read_text())
    assert (registry["models"], [entry["id"] for entry in registry["held"]]) == ([], ["k150k_nr"])


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


# --- vmaf-tune: rows of encodes that were measured before ----------------------------------------------------------------


def test_vmaf_tune(tmp_path: Path, embedded_corpus: dict[str, Path]) -> None:
    """fr_regressor_v2 on rows that a small run left: four scenes, two encoders, four CRFs."""
    scenes = {"bikes_1": "bikes", "carphone": "carphone", "bikes_4": "street", "bigbuckbunny": "bunny"}
    for clip, name in scenes.items():
        cut(embedded_corpus[clip], tmp_path / "films" / f"{name}.mkv", 12, "-vf", "scale=320:180", "-c:v", "ffv1")
    ran("manifest-scan", "--root", "films", "--name", "films", "--output", "config/corpora/films.yaml", cwd=tmp_path)
    ladder = {"presets": ["ultrafast"], "crfs": [18, 28, 36, 46]}
    config = {"corpora": ["films"], "codecs": ["libx264", "libx265"], "ladders": {"libx264": ladder, "libx265": ladder}}
    (tmp_path / "films.yaml").write_text(yaml.safe_dump(config))
    shards = [f"results/shards/films/{codec}.parquet" for codec in ("libx264", "libx265")]
    planned(tmp_path, {"rows": ("--configfile", "films.yaml", "--", *shards)})["rows"].run()
    rows = b"".join((tmp_path / shard).with_suffix(".jsonl").read_bytes() for shard in shards)
    assert len(rows.splitlines()) == 32
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "vmaf_tune_corpus.jsonl").write_bytes(rows)

    example = use_example("vmaf_tune", tmp_path)
    corpus = tmp_path / "docs" / "examples" / "vmaf_tune" / "phase_a.yaml"
    corpus.write_text(corpus.read_text().replace("0" * 64, hashlib.sha256(rows).hexdigest()))
    exported = "results/models/fr_regressor_v2_tune/seed0/model.onnx"
    jobs = planned(tmp_path, {"model": (*example, "--", exported)})["model"]
    assert jobs.rules["fit_model"] == 3
    assert not {"encode", "extract_features"} & set(jobs.rules)
    jobs.run()
    sidecar = json.loads((tmp_path / exported).with_suffix(".json").read_text())
    assert (sidecar["n_params"], sidecar["codec"]["layout"][-2:]) == (2625, ["preset_norm", "crf_norm"])
    report = json.loads((tmp_path / exported).with_name("loso.json").read_text())
    assert {fold["held_out"] for fold in report["folds"]} == set(scenes.values())
    # Each row once, by the member that did not see its scene, with the score that the run measured.
    predictions = pd.read_parquet((tmp_path / exported).with_name("predictions.parquet"))
    measured = {
        (row["encoder"], row["crf"], Path(row["src"]).stem): row["vmaf_score"]
        for row in map(json.loads, rows.splitlines())
    }
    assert len(predictions) == 32
    for row in predictions.to_dict("records"):
        assert row["fold"] == row["source"]
        assert row["target"] == pytest.approx(measured[row["codec"], row["crf"], row["source"]])
    assert predictions["prediction"].corr(predictions["target"]) > 0.8
