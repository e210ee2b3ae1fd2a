"""Label files as they are published, and files that are not what they are taken for."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import loadmat, savemat

from pyvmaf.errors import InputError
from pyvmaf.labels.read import Labels, read_labels
from pyvmaf.labels.scales import SCALE_MAPS
from pyvmaf.labels.spec import fill, load_labels
from tests.make.logs import SHARED
from tests.make.videos import REPOSITORY

SPECS = REPOSITORY / "config" / "labels"


def read(dataset: str, path: Path) -> Labels:
    return read_labels(load_labels(SPECS / f"{dataset}.yaml"), path)


def shared(name: str) -> Path:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{path} is not here")
    return path


@pytest.mark.parametrize(
    ("dataset", "name", "rows", "key", "mos"),
    [
        ("konvid-1k", "mos/konvid_1k.csv", 1200, "flickr_id", "mos"),
        ("konvid-1k", "mos_official/KoNViD_1k_attributes.csv", 1200, "flickr_id", "MOS"),
        ("konvid-150k", "mos_official/k150kb_scores.csv", 1576, "video_name", "mos"),
        ("lsvq", "mos/lsvq_test_1080p.csv", 3561, "vid", "mos"),
        ("lsvq", "mos_official/LSVQ_labels_test_1080p.csv", 3561, "name", "mos"),
        ("lsvq", "mos_official/LSVQ_labels_train_test.head300.csv", 300, "name", "mos"),
        ("youtube-ugc", "mos/youtube_ugc.csv", 1380, "vid", "MOSFull"),
        ("live-vqc", "mos/live_vqc.csv", 585, "File", "MOS"),
        ("chug", "mos/chug.csv", 5992, "Video", "mos_j"),
    ],
)
def test_every_row_of_a_published_table(dataset: str, name: str, rows: int, key: str, mos: str) -> None:
    path = shared(name)
    found = read(dataset, path)
    theirs = pd.read_csv(path, dtype={key: str})
    assert (found.rows_in, len(found.labels), found.bad, found.repeated) == (rows, rows, [], 0)
    assert [label.key for label in found.labels] == theirs[key].tolist()
    np.testing.assert_allclose([label.mos for label in found.labels], theirs[mos], rtol=0, atol=1e-9)


def test_the_published_workbook() -> None:
    path = shared("mos_official/original_videos_MOS_for_YouTube_UGC_dataset.xlsx")
    found = read("youtube-ugc", path)
    table = {label.key: label for label in read("youtube-ugc", shared("mos/youtube_ugc.csv")).labels}
    assert len(found.labels) == 1380
    assert {(label.key, label.mos, label.deviation, label.ratings) for label in found.labels} == {
        (label.key, label.mos, label.deviation, label.ratings) for label in table.values()
    }


def test_the_published_matlab_file() -> None:
    path = shared("mos_official/LIVE_VQC_data.mat")
    found = read("live-vqc", path)
    theirs = loadmat(path)
    assert [label.key for label in found.labels] == [str(cell[0][0]) for cell in theirs["video_list"]]
    assert [label.mos for label in found.labels] == theirs["mos"].ravel().tolist()


def test_keys_that_are_put_together(tmp_path: Path) -> None:
    path = shared("mos_official/waterloo_ivc_4k_scores.csv")
    found = read("waterloo-ivc-4k", path)
    keys = [label.key for label in found.labels]
    assert (len(keys), len(set(keys))) == (1200, 1200)
    assert (keys[0], found.labels[0].mos) == ("HEVC/01/960x540_1", 18.21)
    without = tmp_path / "scores.csv"
    without.write_text(path.read_text().partition("\n")[2])
    again = read("waterloo-ivc-4k", without)
    assert [(label.key, label.mos) for label in again.labels] == [(label.key, label.mos) for label in found.labels]


ROWS = [[str(1000000 + number), f"{1 + 4 * (number % 100) / 100:.4f}"] for number in range(1200)]


def write(path: Path, rows: list[list[str]], header: list[str] | None, separator: str = ",") -> Path:
    with path.open("w", newline="") as stream:
        csv.writer(stream, delimiter=separator).writerows([*([] if header is None else [header]), *rows])
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_spellings_of_one_file(tmp_path: Path, separator: str, encoding: str) -> None:
    path = write(tmp_path / "x.csv", ROWS, ["Flickr_ID ", " MOS"], separator)
    path.write_text(path.read_text().replace("\n", "\r\n"), encoding=encoding)
    assert [label.key for label in read("konvid-1k", path).labels] == [row[0] for row in ROWS]


def test_a_mirror_without_a_header(tmp_path: Path) -> None:
    found = read("konvid-1k", write(tmp_path / "x.csv", [[*row, "30"] for row in ROWS], None))
    assert (len(found.labels), found.layout.name) == (1200, "KoNViD_mos_fr.csv, a mirror without a header line")


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        (ROWS, ["id", "mos"], "its first line is 'id', 'mos'. What would be accepted: .*a column called 'flickr_id'"),
        (ROWS, ["flickr_id", "score"], "a column called 'mos'"),
        (ROWS[:20], ["flickr_id", "mos"], "1000 to 1300 rows, not 20"),
        ([row[::-1] for row in ROWS], ["flickr_id", "mos"], "1200 of 1200 rows .*outside of its scale, 1 to 5"),
        ([[row[0], f"{float(row[1]) * 20}"] for row in ROWS], ["flickr_id", "mos"], "outside of its scale, 1 to 5"),
        ([*ROWS, [ROWS[0][0], "4.9"]], ["flickr_id", "mos"], "rate '1000000' differently, 1 and 4.9: keep one"),
        ([[row[0], "good"] for row in ROWS], ["flickr_id", "mos"], "its score 'good' is no number"),
        ([[row[0], "nan"] for row in ROWS], ["flickr_id", "mos"], "its score 'nan' is no number"),
        ([[row[0]] for row in ROWS], ["flickr_id", "mos"], "it has 1 columns only"),
    ],
)
def test_files_that_are_not_the_datasets(
    tmp_path: Path, rows: list[list[str]], header: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read("konvid-1k", write(tmp_path / "x.csv", rows, header))


def test_a_few_bad_rows_are_named_and_repetitions_counted(tmp_path: Path) -> None:
    found = read("konvid-1k", write(tmp_path / "x.csv", [*ROWS, ["1", ""], ROWS[5]], ["flickr_id", "mos"]))
    assert (len(found.labels), found.repeated) == (1200, 1)
    assert found.bad == [f"{tmp_path / 'x.csv'}, row 1202: its score '' is no number"]


@pytest.mark.parametrize("data", [b"", b"\xff\x00\xfe", b"PK\x03\x04 no archive", b"MATLAB 5.0 MAT-file" + bytes(200)])
def test_damaged_files(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"x (is no|unpacks)"):
        read("youtube-ugc" if data[:2] == b"PK" else "live-vqc", path)


def test_columns_of_different_length(tmp_path: Path) -> None:
    path = tmp_path / "x.mat"
    savemat(path, {"video_list": np.array([["a"], ["b"]], dtype=object), "mos": np.zeros((3, 1))})
    with pytest.raises(InputError, match="video_list has 2, mos has 3 values"):
        read("live-vqc", path)


@settings(deadline=None, max_examples=60)
@given(name=st.sampled_from(sorted(SCALE_MAPS)), share=st.floats(0, 1), deviation=st.floats(0, 10))
def test_maps_keep_scores_on_the_scale_and_deviations_with_them(name: str, share: float, deviation: float) -> None:
    row = SCALE_MAPS[name]
    score = row.low + share * (row.high - row.low)
    assert row.to[0] <= row.value(score) <= row.to[1]
    # A deviation is the distance that two scores of that distance have afterwards, where none is cut off.
    moved = (score + deviation) * row.slope - score * row.slope
    assert row.deviation(deviation) == pytest.approx(abs(moved), abs=1e-9)


def test_published_maps() -> None:
    values = {name: SCALE_MAPS[name].value for name in SCALE_MAPS}
    assert (values["1-5-acr"](3), values["phase-f"](4.5), values["0-100-to-1-5"](50)) == (50, 90, 3)
    assert (values["predictor"](93), values["predictor"](10)) == pytest.approx((4.5, 1))
    assert values["0-100-dmos"](30) == 70


def test_templates_name_words_only() -> None:
    assert fill("{a}/{b:0>2}.mp4", {"a": "x", "b": "7"}) == "x/07.mp4"
    assert fill("{a.__class__}", {"a": "x"}) == "{a.__class__}"
    with pytest.raises(InputError, match=r"unknown word of '\{c\}' 'c'"):
        fill("{c}", {"a": "x"})


@pytest.mark.parametrize("path", sorted(SPECS.glob("*.yaml")), ids=lambda path: str(path.stem))
def test_specs_are_valid(path: Path) -> None:
    spec = load_labels(path)
    words = {"key": "k", **dict.fromkeys(spec.layouts[0].parts, "x")}
    assert all("{" not in fill(template, words) for template in spec.videos)
    assert set(spec.extra.values()) <= set(words)
