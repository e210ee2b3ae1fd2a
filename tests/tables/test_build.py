"""Shards and training tables, from real ladders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pyvmaf.base.manifest import read_manifest
from pyvmaf.corpora.spec import parse_corpus
from pyvmaf.encodes.encode import encode
from pyvmaf.encodes.encoder import encoder_rung
from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.features.options import Compute
from pyvmaf.features.stage import extract_features
from pyvmaf.features.table import LEADING, read_metadata
from pyvmaf.scoring.score import score
from pyvmaf.tables.build import build_shard, combine
from tests.make.commands import command, refusal


@pytest.fixture(scope="module")
def run(embedded_corpus: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips, two rungs: encodes with records, feature tables of different features."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for clip, features in (("carphone", "canonical6"), ("bikes_1", "canonical6,psnr_y")):
            rungs = {}
            for crf in (28, 42):
                target = Path("results/encodes/embedded") / clip / "libx264" / f"ultrafast-crf{crf}.mkv"
                encode(embedded_corpus[clip], target, encoder_rung("libx264", "ultrafast", crf))
                rungs[target.stem] = target
            labels = {
                "corpus": "embedded",
                "group": clip.split("_")[0],
                "source": clip,
                "clip": clip,
                "codec": "libx264",
            }
            output = Path("results/features/embedded") / clip / "libx264.parquet"
            extract_features(
                embedded_corpus[clip], rungs, output, labels=labels, features=features, compute=Compute(threads=2)
            )
    return folder


@pytest.fixture
def here(run: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(run)
    return run


def inputs() -> tuple[list[Path], list[Path]]:
    return sorted(Path("results/features").rglob("*.parquet")), sorted(
        p for p in Path("results/encodes").rglob("*.json") if not p.name.endswith(".manifest.json")
    )


def test_feature_table_layout(here: Path, embedded_corpus: dict[str, Path]) -> None:
    table = pq.read_table("results/features/embedded/bikes_1/libx264.parquet")
    assert tuple(table.column_names[:11]) == LEADING
    assert table.column_names[11:] == [
        "adm2", "vif_scale0", "vif_scale1", "vif_scale2", "vif_scale3", "motion2", "psnr_y", "vmaf",
    ]  # fmt: skip
    frame = table.to_pandas()
    rung = frame[frame["rung"] == "ultrafast-crf42"]
    alone = score(embedded_corpus["bikes_1"], "results/encodes/embedded/bikes_1/libx264/ultrafast-crf42.mkv")
    for name in ("adm2", "motion2", "vmaf"):
        np.testing.assert_array_equal(rung[name], alone[name])
    assert set(rung["encoder"]) == {"libx264"}
    assert set(rung["crf"]) == {42}
    assert read_metadata(table.schema, "x")["model"] == "vmaf_v0.6.1"


def test_shard_and_its_rows(here: Path) -> None:
    ladders, records = inputs()
    rows = build_shard(ladders, records, Path("s.parquet"), Path("s.jsonl"))
    frame = pq.read_table("s.parquet").to_pandas()
    # Two rungs each of carphone and of the first shot of bikes.
    assert len(frame) == rows == 2 * (120 + 30)
    assert frame.loc[frame["clip"] == "carphone", "psnr_y"].isna().all()
    assert frame.loc[frame["clip"] == "bikes_1", "psnr_y"].notna().all()
    lines = [json.loads(line) for line in Path("s.jsonl").read_text().splitlines()]
    assert len(lines) == 4
    assert all(len(line) == 54 for line in lines)
    for line in lines:
        part = frame[
            (frame["rung"] == Path(line["encode_path"]).stem) & (frame["clip"] == Path(line["encode_path"]).parts[-3])
        ]
        assert line["vmaf_score"] == pytest.approx(part["vmaf"].mean(), abs=1e-9)
        assert line["vif_scale0_std"] == pytest.approx(np.std(part["vif_scale0"].to_numpy()), abs=1e-12)
        assert line["encode_time_ms"] > 0
        assert line["score_time_ms"] > 0
    manifest = read_manifest("s.parquet")
    assert manifest["details"]["filled_with_nan"] == {"results/features/embedded/carphone/libx264.parquet": ["psnr_y"]}
    assert manifest["run"]["timings"]["records"]["path"] == "s.jsonl"


def test_shards_are_the_same_bytes_again(here: Path) -> None:
    ladders, records = inputs()
    build_shard(ladders, records, Path("a.parquet"), Path("a.jsonl"))
    build_shard(ladders[::-1], records[::-1], Path("b.parquet"), Path("b.jsonl"))
    assert Path("a.parquet").read_bytes() == Path("b.parquet").read_bytes()


def test_a_shard_has_the_scores_of_its_corpus(here: Path) -> None:
    ladders, records = inputs()
    common = {"path": "a.mkv", "sha256": "0" * 64, "source": "a", "group": "a"}
    entries = [common | {"key": "bikes_1", "mos": 3.5, "mos_std": 0.5, "n_ratings": 24}, common | {"key": "carphone"}]
    spec = {"name": "mine", "kind": "folder", "license": "", "root": "."}
    corpus = parse_corpus(spec | {"mos_scale": [1, 5], "entries": entries})
    build_shard(ladders, records, Path("s.parquet"), Path("s.jsonl"), corpus=corpus)
    table = pq.read_table("s.parquet")
    assert table.column_names[-4:] == ["vmaf", "mos", "mos_std", "n_ratings"]
    assert read_metadata(table.schema, "s.parquet")["mos_scale"] == [1, 5]
    rows = table.to_pandas()
    rated = rows[rows["clip"] == "bikes_1"]
    assert set(zip(rated["mos"], rated["mos_std"], rated["n_ratings"], strict=True)) == {(3.5, 0.5, 24)}
    assert rows[rows["clip"] == "carphone"][["mos", "mos_std", "n_ratings"]].isna().all().all()
    # Apart from them it is the shard of a corpus without scores, whose bytes are those of before.
    unrated = parse_corpus(spec | {"entries": [entry | {"key": f"{n}"} for n, entry in enumerate([common, common])]})
    build_shard(ladders, records, Path("u.parquet"), Path("u.jsonl"), corpus=unrated)
    build_shard(ladders, records, Path("n.parquet"), Path("n.jsonl"))
    assert Path("u.parquet").read_bytes() == Path("n.parquet").read_bytes()
    rest = table.drop_columns(["mos", "mos_std", "n_ratings"])
    pd.testing.assert_frame_equal(rest.to_pandas(), pq.read_table("u.parquet").to_pandas())


def test_combined_table_keeps_the_callers_labels(here: Path) -> None:
    ladders, _ = inputs()
    combine([("mine", ladders[0]), ("theirs", ladders[1])], Path("t.parquet"))
    frame = pq.read_table("t.parquet").to_pandas()
    assert dict(frame["corpus"].value_counts()) == read_manifest("t.parquet")["details"]["corpora"]
    assert set(frame["corpus"]) == {"mine", "theirs"}


def test_refusals(here: Path, tmp_path: Path) -> None:
    ladders, records = inputs()
    with pytest.raises(InputError, match="has no rows in the feature tables given"):
        build_shard(ladders[:1], records, tmp_path / "s.parquet", tmp_path / "s.jsonl")
    with pytest.raises(InputError, match="rungs without an encode record: carphone/libx264/ultrafast-crf28"):
        build_shard(
            ladders,
            [r for r in records if "carphone" not in str(r) or "28" not in r.name],
            tmp_path / "s.parquet",
            tmp_path / "s.jsonl",
        )
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(ladders[0].read_bytes()[:-100])
    with pytest.raises(IntegrityError, match=r"broken\.parquet is not a readable parquet file"):
        combine([("mine", broken)], tmp_path / "t.parquet")
    other = tmp_path / "other.parquet"
    table = pq.read_table(ladders[0])
    spec = json.loads(table.schema.metadata[b"pyvmaf"]) | {"model": "vmaf_4k_v0.6.1"}
    pq.write_table(table.replace_schema_metadata({b"pyvmaf": json.dumps(spec).encode()}), other)
    with pytest.raises(InputError, match="targets come from different teachers"):
        combine([("a", ladders[1]), ("b", other)], tmp_path / "t.parquet")
    assert not (tmp_path / "t.parquet").exists()


def test_clips_of_a_shard(here: Path) -> None:
    ladders, records = inputs()
    build_shard(ladders, records, Path("c.parquet"), Path("c.jsonl"))
    assert combine([("mine", Path("c.parquet"))], Path("clips.parquet"), unit="clip") == 4
    # One of the two ladders lacks the feature.
    assert read_manifest("clips.parquet")["details"]["pooled_in_part"] == {"psnr_y": 2}
    frames = pq.read_table("c.parquet").to_pandas()
    for clip in pq.read_table("clips.parquet").to_pylist():
        rows = frames[(frames["clip"] == clip["clip"]) & (frames["rung"] == clip["rung"])]
        encode = Path("results/encodes/embedded", clip["clip"], "libx264", clip["rung"])
        record = json.loads(encode.with_suffix(".json").read_text())
        assert (clip["corpus"], clip["codec"], clip["n_frames"]) == ("mine", "libx264", len(rows))
        assert (clip["crf"], clip["rung"]) == (record["crf"], encode.name)
        assert (clip["width"], clip["height"], clip["fps"]) == (record["width"], record["height"], record["framerate"])
        assert clip["bitrate_kbps"] == record["bitrate_kbps"]
        pictures = record["enc_internal_bits_mean"] * record["framerate"] / 1000
        assert 2 ** clip["bitrate_log2"] == pytest.approx(pictures)
        assert 0.1 * record["bitrate_kbps"] < pictures < record["bitrate_kbps"]
        assert clip["shot_count_norm"] == pytest.approx(np.log10(1 + record["shot_count"]) / 3)
        assert clip["shot_mean_len_norm"] == pytest.approx(record["shot_avg_duration_sec"] / 30)
        assert clip["shot_cut_density"] == (record["shot_count"] - 1) / len(rows)
        for name in ("adm2", "motion2", "vmaf"):
            assert clip[f"{name}_mean"] == pytest.approx(rows[name].mean())
            assert clip[f"{name}_p5"] == pytest.approx(rows[name].quantile(0.05))
            assert clip[f"{name}_count"] == len(rows)
        assert clip["psnr_y_count"] == np.isfinite(rows["psnr_y"]).sum()
        assert np.isnan(clip["psnr_y_mean"]) == (clip["clip"] == "carphone")


@pytest.mark.parametrize("size", [1, 7, 16, 1000])
def test_clips_are_the_same_wherever_row_groups_end(here: Path, size: int) -> None:
    ladders, records = inputs()
    build_shard(ladders, records, Path("c.parquet"), Path("c.jsonl"))
    combine([("mine", Path("c.parquet"))], Path("whole.parquet"), unit="clip")
    cut = Path(str(size), "c.parquet")
    cut.parent.mkdir()
    pq.write_table(pq.read_table("c.parquet"), cut, row_group_size=size)
    cut.with_suffix(".jsonl").write_bytes(Path("c.jsonl").read_bytes())
    combine([("mine", cut)], Path("parts.parquet"), unit="clip")
    assert Path("parts.parquet").read_bytes() == Path("whole.parquet").read_bytes()
    assert list(read_manifest("parts.parquet")["details"]["rows_by_input"].values()) == [pq.read_table(cut).num_rows]


def test_rows_of_an_encode_that_do_not_lie_together_are_refused(here: Path) -> None:
    table = pq.read_table(inputs()[0][0])
    pq.write_table(pa.concat_tables([table, table.slice(0, 1)]), "torn.parquet", row_group_size=8)
    with pytest.raises(InputError, match=r"torn\.parquet: the rows of \w+/libx264/[\w-]+ are not adjacent"):
        combine([("mine", Path("torn.parquet"))], Path("t.parquet"), unit="clip")


def test_clips_have_the_shots_that_records_tell(here: Path) -> None:
    ladders, records = inputs()
    build_shard(ladders, records, Path("c.parquet"), Path("c.jsonl"))
    lines = [json.loads(line) for line in Path("c.jsonl").read_text().splitlines()]
    lines[0] |= {"shot_count": 9, "shot_avg_duration_sec": 3.0}
    lines[1] = {key: value for key, value in lines[1].items() if not key.startswith("shot_")}
    Path("c.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    combine([("mine", Path("c.parquet"))], Path("clips.parquet"), unit="clip")
    first, second, *_ = pq.read_table("clips.parquet").to_pylist()
    shots = [first[f"shot_{name}"] for name in ("count_norm", "mean_len_norm", "cut_density")]
    assert shots == pytest.approx([1 / 3, 0.1, 8 / first["n_frames"]])
    assert all(np.isnan(second[f"shot_{name}"]) for name in ("count_norm", "mean_len_norm", "cut_density"))


def test_clips_without_records_have_no_size(here: Path) -> None:
    ladders, _ = inputs()
    combine([("mine", ladders[0])], Path("bare.parquet"), unit="clip")
    assert read_manifest("bare.parquet")["details"]["without_records"] == [str(ladders[0])]
    bare = pq.read_table("bare.parquet").to_pylist()
    assert [(row["width"], row["height"]) for row in bare] == [(None, None)] * 2
    assert "shot_count_norm" not in bare[0]
    # Clips can be put beside frames that are pooled, but a clip is no frame.
    combine([("old", Path("bare.parquet")), ("new", ladders[1])], Path("both.parquet"), unit="clip")
    assert pq.read_table("both.parquet").column("corpus").to_pylist() == ["old"] * 2 + ["new"] * 2
    with pytest.raises(InputError, match=r"a row of bare\.parquet is a clip, not a frame"):
        combine([("old", Path("bare.parquet"))], Path("frames.parquet"))


@pytest.mark.parametrize("unit", ["frame", "clip"])
def test_tables_keep_what_was_noted_of_their_videos(here: Path, tmp_path: Path, unit: Literal["frame", "clip"]) -> None:
    noted = []
    for number, source in enumerate(inputs()[0]):
        table = pq.read_table(source)
        spec = json.loads(table.schema.metadata[b"pyvmaf"]) | {"notes": ["film grain was added", f"note {number}"]}
        noted.append(tmp_path / f"{number}.parquet")
        pq.write_table(table.replace_schema_metadata({b"pyvmaf": json.dumps(spec).encode()}), noted[-1])
    combine([("mine", path) for path in noted], tmp_path / "t.parquet", unit=unit)
    spec = json.loads(pq.read_schema(tmp_path / "t.parquet").metadata[b"pyvmaf"])
    assert spec["notes"] == ["film grain was added", "note 0", "note 1"]


def test_the_patterns_of_the_help_text_take_no_manifests(here: Path) -> None:
    ladders = sorted(Path("results/features").rglob("*.parquet"))
    # As a shell expands encodes/*/libx264/*.json: the manifests of encodes have that suffix, too.
    records = sorted(Path("results/encodes").rglob("*.json"))
    assert any(path.name.endswith(".manifest.json") for path in records)
    done = command("shard", "-o", "globbed.parquet", "--records", "globbed.jsonl", *ladders, *records)
    assert done.returncode == 0, done.stderr
    message = refusal("shard", "-o", "other.parquet", "--records", "other.jsonl", *ladders, *records, "notes.txt")
    assert "notes.txt is neither a feature table (.parquet) nor a record of an encode (.json)" in message
