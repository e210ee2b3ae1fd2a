"""Tables made elsewhere: every column against the file that it came from, every bad row named, every count right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from pyvmaf.base.files import sha256_file
from pyvmaf.base.manifest import read_manifest
from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.features.catalog import CANONICAL6, STATS
from pyvmaf.features.table import LEADING, read_metadata
from pyvmaf.tables.build import combine
from pyvmaf.tables.clips import LEADING as CLIP_LEADING
from pyvmaf.tables.imports import Imported, import_table
from tests.make.logs import EXAMPLE, LOGGED, SHARED, Log, WriteRows

C6 = {name: 0.5 + place / 20 for place, name in enumerate(CANONICAL6)}


def take(corpus: Path) -> tuple[pd.DataFrame, Imported]:
    shard = corpus.parent / "shard.parquet"
    done = import_table(corpus, shard, shard.with_suffix(".jsonl"))
    return pq.read_table(shard).to_pandas(), done


# --- logs with opinion scores -----------------------------------------------------------------------------------------


def test_a_log_becomes_clip_rows(log: Log) -> None:
    found, done = take(log.corpus_file())
    assert (done.rows, done.unit, done.details["bad"], done.details["dropped"]) == (18, "clip", [], {})
    assert tuple(found.columns[: len(CLIP_LEADING)]) == CLIP_LEADING
    assert done.details["ignored_columns"] == ["lab"]
    for row, (_, ours) in zip(log.rows, found.iterrows(), strict=True):
        assert ours["clip"] == f"one/{row['pvs']}"
        assert ours["source"] == ours["group"] == row["content"]
        assert (
            ours["encoder"]
            == ours["codec"]
            == {"h264": "libx264", "hevc": "libx265", "vp9": "libvpx-vp9"}[row["codec"]]
        )
        assert (ours["preset"], ours["rung"]) == ("", "")
        assert np.isnan(ours["crf"])
        for theirs, name in (
            ("width", "width"),
            ("height", "height"),
            ("fps", "fps"),
            ("kbps", "bitrate_kbps"),
            ("n", "n_frames"),
        ):
            assert ours[name] == row[theirs]
        assert (ours["mos"], ours["mos_ci"]) == (row["mos"], row["ci"])
        frames = log.frames[row["pvs"]].astype(np.float64)
        for place, feature in enumerate(LOGGED):
            name = {"psnr": "psnr_y"}.get(feature, feature)
            # Pooled here from the frames, at full precision, not taken over from the rounded table.
            assert ours[f"{name}_mean"] == frames[:, place].mean()
            assert ours[f"{name}_p5"] == np.percentile(frames[:, place], 5)
    records = [json.loads(line) for line in (log.folder / "shard.jsonl").read_text().splitlines()]
    assert [record["bitrate_kbps"] for record in records] == [row["kbps"] for row in log.rows]
    manifest = read_manifest(log.folder / "shard.parquet")
    assert manifest["details"]["rows_in"] == 18
    assert len(manifest["inputs"]["files"]) == 2


def test_a_log_without_frames_is_taken_as_it_is(log: Log) -> None:
    found, _ = take(log.corpus_file(frames=False))
    for name in ("adm2_mean", "vmaf_hmean", "motion2_std"):
        assert found[name].tolist() == [row[name] for row in log.rows]
    assert "adm2_p5" not in found.columns
    assert found["psnr_y_mean"].tolist() == [row["psnr_mean"] for row in log.rows]


def test_the_frames_of_a_log_train_models_of_frames(log: Log) -> None:
    found, done = take(log.corpus_file(unit="frame"))
    assert (done.rows, done.unit) == (18 * 7, "frame")
    assert tuple(found.columns[: len(LEADING)]) == LEADING
    first = found[found["clip"] == f"one/{log.rows[0]['pvs']}"]
    assert first["frame_index"].tolist() == list(range(7))
    assert first["vmaf"].tolist() == log.frames[log.rows[0]["pvs"]][:, LOGGED.index("vmaf")].astype(float).tolist()
    # Pooled again, with the records beside the shard, they are the table of clips.
    combine([("logged", log.folder / "shard.parquet")], log.folder / "pooled.parquet", unit="clip")
    pooled = pq.read_table(log.folder / "pooled.parquet").to_pandas()
    clips, _ = take(log.corpus_file())
    assert list(pooled.columns) == list(clips.columns)
    texts = pooled.columns[[isinstance(value, str) for value in pooled.iloc[0]]]
    assert pooled[texts].astype(str).equals(clips[texts].astype(str))
    for name in pooled.columns.drop(texts):
        assert pooled[name].tolist() == pytest.approx(clips[name].tolist(), nan_ok=True), name


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("mos", 5.2, "MOS 5.2 lies outside of its scale, 1 to 5"),
        ("mos", "good", "mos is 'good', which is not a number"),
        ("content", "", r"it has no source \(content\)"),
        ("codec", "h999", "unknown codec 'h999'"),
        ("height", 0, "height is 0 pixels, outside of the plausible range"),
        ("fps", "inf", "fps is 'inf', which is not finite"),
        ("kbps", -4, "bitrate_kbps is -4 kbit/s"),
        ("n", 8, "frames.npz has 7 frames of it, the table says 8"),
        ("pvs", "nobody", "frames.npz holds no frames of 'nobody'"),
        ("adm2_mean", 0.1234, r"its frames pool to adm2_mean 0\.\d+, the table says 0.1234"),
    ],
)
def test_a_bad_row_is_named_and_counted(log: Log, column: str, value: Any, reason: str) -> None:
    log.rows[4][column] = value
    with pytest.raises(InputError, match=rf"1 of 18 rows .* share 0.05: pooled.csv, line 6: {reason}"):
        take(log.corpus_file())
    found, done = take(log.corpus_file(max_bad_share=0.1))
    assert len(found) == 17
    assert len(done.details["bad"]) == 1
    assert done.details["bad"][0].startswith("pooled.csv, line 6: ")


def test_rows_without_a_score_stay_and_doubles_go(log: Log) -> None:
    log.rows[3]["mos"] = ""
    log.rows.append(dict(log.rows[0]))
    found, done = take(log.corpus_file())
    assert np.isnan(found["mos"][3])
    assert (done.details["without_mos"], done.details["dropped"], len(found)) == (1, {"duplicates": 1}, 18)


def test_rows_that_contradict_another_row_of_their_video_are_bad(log: Log) -> None:
    log.rows.append(dict(log.rows[0]) | {"adm2_mean": 0.25})
    with pytest.raises(
        InputError, match=r"1 of 19 rows .*: pooled.csv, line 20: pooled.csv, line 2 is of the same encode"
    ):
        take(log.corpus_file(frames=False))
    found, done = take(log.corpus_file(frames=False, max_bad_share=0.1))
    assert (len(found), len(done.details["bad"])) == (18, 1)


def test_a_table_of_frames_is_recognised(log: Log) -> None:
    log.rows = [
        {**row, "frame_index": index, **{f"{name}_mean": values[place] for place, name in enumerate(LOGGED)}}
        for row in log.rows
        for index, values in enumerate(log.frames[row["pvs"]].tolist())
    ]
    for row in log.rows:
        row.pop("n")
    columns = {key: value for key, value in log.options["columns"].items() if key != "n_frames"}
    with pytest.raises(InputError, match=r"108 of 126 rows .*has a column 'frame_index': .*kind corpus-jsonl.*npz"):
        take(log.corpus_file(frames=False, columns=columns))


@pytest.mark.parametrize("damage", ["cut", "flip", "text", "objects"])
def test_damaged_frames(log: Log, damage: str) -> None:
    path = log.folder / "frames.npz"
    corpus = log.corpus_file()
    data = path.read_bytes()
    if damage == "objects":
        arrays: Any = {name: np.array([object()] * 3) for name in (*log.frames, "__features__")}
        np.savez(path, **arrays)
    else:
        flipped = data[:200] + bytes(byte ^ 0x55 for byte in data[200:-2000]) + data[-2000:]
        path.write_bytes({"cut": data[: len(data) // 2], "flip": flipped, "text": b"text"}[damage])
    value = yaml.safe_load(corpus.read_text())
    for item in value["log"]["frames"]:
        item["sha256"] = sha256_file(path)
    corpus.write_text(yaml.safe_dump(value))
    with pytest.raises(InputError, match=r"frames\.npz"):
        take(corpus)


def test_scales_are_brought_to_one(log: Log) -> None:
    for row in log.rows:
        row["mos"], row["ci"] = 25 * (row["mos"] - 1), 5
    found, _ = take(log.corpus_file(mos_scale=[0, 100]))
    assert found["mos"].tolist() == pytest.approx([1 + row["mos"] / 25 for row in log.rows])
    assert found["mos_ci"].tolist() == pytest.approx([0.2] * 18)


def test_a_log_that_is_not_as_its_file_says(log: Log) -> None:
    corpus = log.corpus_file()
    with (log.folder / "pooled.csv").open("a") as stream:
        stream.write("\n")
    with pytest.raises(IntegrityError, match="is pinned"):
        take(corpus)
    with pytest.raises(InputError, match=r"has no column kilobits; it has: test, pvs"):
        take(log.corpus_file(columns={**log.options["columns"], "bitrate_kbps": "kilobits"}))
    with pytest.raises(InputError, match="maps to 'psnr_z', which is not a feature"):
        take(log.corpus_file(features={"psnr": "psnr_z"}))
    (log.folder / "videos.yaml").write_text((Path(__file__).parents[2] / "config/corpora/embedded.yaml").read_text())
    with pytest.raises(InputError, match="only tables are"):
        take(log.folder / "videos.yaml")


# --- corpus rows ------------------------------------------------------------------------------------------------------


def version_three(**changes: Any) -> dict[str, Any]:
    row = {
        "schema_version": 3,
        "src": "/videos/film_a/scene1.mkv",
        "src_sha256": "a" * 64,
        "width": 1280,
        "height": 720,
        "framerate": 25.0,
        "duration_s": 4.0,
        "encoder": "libx264",
        "preset": "medium",
        "crf": 28,
        "bitrate_kbps": 812.5,
        "vmaf_score": 91.25,
        "vmaf_model": "vmaf_v0.6.1",
        "exit_status": 0,
        **{f"{name}_mean": value for name, value in C6.items()},
        **{f"{name}_std": 0.01 for name in C6},
    }
    return row | changes


def test_rows_of_version_three(write_rows: WriteRows) -> None:
    rows = [
        version_three(),
        version_three(crf=35, bitrate_kbps=301.0),
        version_three(encoder="h264_nvenc", preset="p4"),
    ]
    found, done = take(write_rows(rows, group=r"/videos/([^/]+)/"))
    assert (done.unit, done.rows, done.details["teacher"]) == ("clip", 3, "vmaf_v0.6.1")
    assert found["rung"].tolist() == ["medium-crf28", "medium-crf35", "p4-crf28"]
    assert found["codec"].tolist() == ["libx264", "libx264", "h264_nvenc"]
    assert set(found["group"]) == {"film_a"}
    assert set(found["source"]) == {"scene1"}
    first = found.iloc[0]
    assert (first["n_frames"], first["bitrate_kbps"], first["fps"], first["vmaf_mean"]) == (100, 812.5, 25.0, 91.25)
    assert [first[f"{name}_mean"] for name in C6] == list(C6.values())


@pytest.mark.parametrize(
    "features",
    [
        {"per_frame_features": C6},
        {"per_frame_features": {name: [value - 0.1, value + 0.1] for name, value in C6.items()}},
        C6,
        {f"integer_{name}": value for name, value in C6.items()},
        {f"VMAF_integer_feature_{name}_score": value for name, value in C6.items()},
    ],
)
def test_older_rows_and_other_names(write_rows: WriteRows, features: dict[str, Any]) -> None:
    row = {"schema_version": 1, "src": "s.mkv", "codec": "x265", "q": 30, "vmaf": 80.0, "actual_kbps": 99.0, **features}
    found, _ = take(write_rows([row]))
    first = found.iloc[0]
    assert (first["encoder"], first["crf"], first["rung"], first["bitrate_kbps"]) == ("libx265", 30, "crf30", 99.0)
    assert [first[f"{name}_mean"] for name in C6] == pytest.approx(list(C6.values()))
    assert first["vmaf_mean"] == 80.0


def test_rows_of_frames_become_a_table_of_frames(write_rows: WriteRows, tmp_path: Path) -> None:
    rows = [
        {"src": "s.yuv", "encoder": "h264_nvenc", "cq": cq, "frame_index": index, "vmaf": 90.0 - cq + index, **C6}
        for cq in (19, 25)
        for index in (2, 0, 1)
    ]
    found, done = take(write_rows([*rows, rows[0]], teacher="vmaf_v0.6.1"))
    assert (done.unit, done.rows, done.details["encodes"], done.details["dropped"]) == (
        "frame",
        6,
        2,
        {"duplicates": 1},
    )
    assert found["frame_index"].tolist() == [0, 1, 2] * 2
    assert found["vmaf"].tolist() == [71.0, 72.0, 73.0, 65.0, 66.0, 67.0]
    assert read_metadata(pq.read_schema(tmp_path / "shard.parquet"), "shard")["model"] == "vmaf_v0.6.1"


def test_what_is_dropped_is_counted(write_rows: WriteRows) -> None:
    empty = {f"{name}_{stat}": float("nan") for name in C6 for stat in ("mean", "std")}
    rows = [
        version_three(),
        version_three(bitrate_kbps=1.0),  # the same encode again: the first counts
        version_three(crf=30, **empty),
        version_three(crf=31, **dict.fromkeys(empty)),
        version_three(crf=32, exit_status=1),
    ]
    found, done = take(write_rows(rows))
    assert done.details["dropped"] == {"duplicates": 1, "failed encodes": 1, "rows without features": 2}
    assert (done.details["rows_in"], found["bitrate_kbps"].tolist()) == (5, [812.5])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"src": "s.mkv", ', "line 2: "),
        ("[1, 2]", "it is not a JSON object"),
        (version_three(schema_version=4), "schema_version is 4; versions 1 to 3 can be read"),
        (version_three(encoder="h999"), "unknown codec 'h999'"),
        (version_three(crf=28.5), r"CRF 28.5 is not a whole number"),
        (version_three(src=""), "it has no src"),
        (version_three(crf=-1), "CRF -1 is not a whole number of 0 to 255"),
        (version_three(crf=True), "crf is True, which is not a number"),
        (version_three(crf="1_0"), "crf is '1_0', which is not a number"),
        (version_three(crf=10**30), "a number has 31 digits"),
        (version_three(width=-4), "width is -4 pixels, outside of the plausible range"),
        (version_three(bitrate_kbps=[1]), "is .1., which is not a number"),
        (version_three(encoder={"a": 1}), "encoder is a dict, not text"),
        (version_three(preset=["slow"]), "preset is a list, not text"),
        (version_three(adm2_mean="1e400"), "not finite"),
        (version_three(adm2_mean=1e300), "which nothing measures"),
        (version_three(frame_index="x"), "frame_index is 'x', which is not a number"),
        (version_three(frame_index=1.5), "frame_index is 1.5, which is not a whole number"),
        (version_three(frame_index=-1), "frame_index is -1"),
        (version_three(frame_index=0, vmaf=[1]), "vmaf is .1., which is not a number"),
        ("[" * 5000, "nested more than 100 deep"),
        ('{"src": "a", "src": "b"}', "the key 'src' occurs twice"),
        ('{"src": "\\ud800"}', "half of a surrogate pair"),
    ],
)
def test_damaged_lines_are_named(write_rows: WriteRows, line: Any, reason: str) -> None:
    with pytest.raises(InputError, match=rf"1 of 2 rows of corpus tuned cannot be used.*{reason}"):
        take(write_rows([version_three(), line]))


def test_lines_that_contradict_one_another_are_bad(write_rows: WriteRows) -> None:
    rows = [version_three(), version_three(adm2_mean=0.1)]
    with pytest.raises(
        InputError, match=r"line 2: .*line 1 is of the same encode, but has adm2_mean 0\.5 instead of 0\.1"
    ):
        take(write_rows(rows))


def test_an_encode_whose_frames_have_a_gap_is_bad(write_rows: WriteRows) -> None:
    rows = [{"src": "s.yuv", "encoder": "x264", "crf": 30, "frame_index": n, "vmaf": 90.0, **C6} for n in (0, 1, 3)]
    with pytest.raises(InputError, match="the encode has frames 0 to 3, but not 2"):
        take(write_rows(rows))


def test_a_line_that_is_not_utf_8(write_rows: WriteRows) -> None:
    corpus = write_rows([version_three()])
    value = yaml.safe_load(corpus.read_text())
    path = corpus.parent / value["rows"]["files"][0]["path"]
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().rstrip() + b'\n{"src": "\xe4"}\n')
    value["rows"]["files"][0]["sha256"] = sha256_file(path)
    corpus.write_text(yaml.safe_dump(value))
    with pytest.raises(InputError, match=r"1 of 2 rows .* line 2: .* is not JSON"):
        take(corpus)


def test_rows_without_any_features_are_no_table(write_rows: WriteRows) -> None:
    row = {key: value for key, value in version_three().items() if not key.endswith(("_mean", "_std"))}
    with pytest.raises(InputError, match=r"no usable row of 1 .rows without features: 1"):
        take(write_rows([row]))
    with pytest.raises(InputError, match="different teachers: a, b"):
        take(write_rows([version_three(vmaf_model="a"), version_three(vmaf_model="b", crf=1)]))


# --- the files that were published ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    data = SHARED / "fr_mos"
    if not data.is_dir():
        pytest.skip(f"{data} is not here")
    folder = tmp_path_factory.mktemp("fr_mos")
    corpus = yaml.safe_load((EXAMPLE / "fr_mos.yaml").read_text()) | {"root": str(data)}
    (folder / "fr_mos.yaml").write_text(yaml.safe_dump(corpus))
    found, done = take(folder / "fr_mos.yaml")
    assert (done.rows, done.details["bad"], done.details["without_mos"]) == (966, [], 0)
    return found


def test_the_example_reads_the_published_logs(published: pd.DataFrame) -> None:
    theirs = pd.concat([pd.read_csv(SHARED / "fr_mos" / f"{name}_common.csv") for name in ("all", "appeal")])
    assert (published["source"].nunique(), published["group"].nunique()) == (18, 5)
    assert (published["mos"].to_numpy() == theirs["mos"].to_numpy()).all()
    for name in ("adm2_mean", "vif_scale0_hmean", "motion2_std", "vmaf_min", "vmaf_p5"):
        np.testing.assert_allclose(published[name], theirs[name], rtol=1e-5, atol=1e-8)
    assert {f"float_ms_ssim_{stat}" for stat in STATS} <= set(published.columns)
    # Appeal states neither.
    assert (published["fps"].isna().sum(), published["float_ms_ssim_mean"].isna().sum()) == (210, 210)
    counts = {"libx264": 384, "libx265": 286, "libvpx-vp9": 156, "libsvtav1": 70, "libvvenc": 70}
    assert published["encoder"].value_counts().to_dict() == counts
