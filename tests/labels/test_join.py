"""Columns of other tables and opinion scores, put beside the rows of feature tables by keys."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pyvmaf.base.manifest import read_manifest
from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.labels.columns import Columns, Split
from pyvmaf.labels.join import join, join_columns
from pyvmaf.tables.build import combine
from tests.make.commands import command
from tests.make.tables import table_columns, write_table

BLOCK: dict[str, Any] = {"features": ["adm2"], "unavailable": {}, "model": "vmaf_v0.6.1", "engine": {}}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a table of frames, t.parquet, of the clips clip0, clip1 and clip2."""
    monkeypatch.chdir(tmp_path)
    write_table(Path("t.parquet"), table_columns(sources=3, frames=4), **BLOCK)
    return tmp_path


def write_rows(name: str, rows: list[dict[str, Any]]) -> Path:
    path = Path(name)
    if path.suffix == ".csv":
        pd.DataFrame(rows).to_csv(path, index=False)
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def joined(columns: Columns, *inputs: Path, **more: Any) -> pd.DataFrame:
    join_columns(Path("t.parquet"), inputs, Path("o.parquet"), Path("o.json"), columns)
    return pq.read_table("o.parquet").to_pandas()


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_scores_of_another_model_by_clip(here: Path, suffix: str) -> None:
    rows = [{"clip": "clip0.mp4", "nr": 3.5, "kind": "ugc"}, {"clip": "Clip1.mp4", "nr": 2.25, "kind": "film"}]
    found = joined(Columns(("nr", "kind"), prefix="x_"), write_rows(f"s{suffix}", rows))
    of = found.groupby("clip", observed=True).first()
    np.testing.assert_array_equal(of["x_nr"], [3.5, 2.25, np.nan])
    assert of["x_kind"].tolist()[:2] == ["ugc", "film"]
    assert found["x_kind"].isna().sum() == len(found) // 3
    audit = json.loads(Path("o.json").read_text())
    assert (audit["columns"], audit["keys_matched"], audit["rows_matched"]) == (
        ["x_nr", "x_kind"],
        2,
        len(found) * 2 // 3,
    )
    assert audit["rows_without_label"] == {"keys": 1, "first": ["clip2"]}
    # The table itself stays as it was, with its metadata.
    pd.testing.assert_frame_equal(found.drop(columns=["x_nr", "x_kind"]), pq.read_table("t.parquet").to_pandas())
    assert json.loads(pq.read_schema("o.parquet").metadata[b"pyvmaf"]) == BLOCK


def test_values_of_frames_are_joined_by_clip_and_frame(here: Path) -> None:
    rows = [{"clip": f"clip{c}", "frame": f, "saliency_mean": 10.0 * c + f} for c in range(2) for f in (0, 1, 3, 9)]
    columns = Columns(("saliency_mean",), frame="frame_index", label_frame="frame")
    found = joined(columns, write_rows("s.csv", rows))
    expected = [
        10.0 * int(clip[4:]) + frame if clip != "clip2" and frame != 2 else np.nan
        for clip, frame in zip(found["clip"], found["frame_index"], strict=True)
    ]
    np.testing.assert_array_equal(found["saliency_mean"], expected)
    assert json.loads(Path("o.json").read_text())["frames_without_row"] == 2


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        (
            [{"clip": "clip0", "a": 1}, {"clip": "clip0", "a": 2}],
            Columns(("a",)),
            r"two rows have the key 'clip0' and differ",
        ),
        ([{"clip": "clip0", "a": 1}], Columns(("adm2",)), r"unknown column of s.jsonl 'adm2'"),
        (
            [{"clip": "clip0", "adm2": 1}],
            Columns(("adm2",)),
            r"t.parquet has columns adm2 already: .* give the new ones a prefix",
        ),
        (
            [{"clip": "other", "a": 1}],
            Columns(("a",)),
            r"no row of t.parquet has a key of the other table: .*'clip0'.*'other'",
        ),
        ([{"clip": "clip0", "a": [1]}], Columns(("a",)), r"column 'a' holds list \[1\]"),
        ([{"name": "clip0", "a": 1}], Columns(("a",)), r"s.jsonl, line 1 lacks clip; it has name, a"),
        ([{"clip": "clip0", "a": 1}], Columns(("a",), frame="frame_index", label_frame="n"), r"lacks n"),
        (
            [{"clip": "clip0", "n": 0.5, "a": 1}],
            Columns(("a",), frame="frame_index", label_frame="n"),
            "its frame is 0.5",
        ),
        (
            [{"clip": "clip0", "a": 1}],
            Columns(("a",), frame="frames", label_frame="a"),
            r"t.parquet has no column 'frames'",
        ),
        ([{"clip": "clip0", "a": 1}], Columns(("a",), feature_pattern="clip"), "has 0 groups"),
        ([{"clip": "clip0", "a": 1}], Columns(("a",), label_pattern="(c|l)"), "finds 2 keys in 'clip0'"),
        (
            [{"clip": "clip0", "a": 1}],
            Columns(("a",), split=Split("content", "s")),
            "neither a column of the table nor",
        ),
    ],
)
def test_columns_that_cannot_be_joined_write_nothing(here: Path, rows: Any, columns: Columns, message: str) -> None:
    with pytest.raises(InputError, match=message):
        joined(columns, write_rows("s.jsonl", rows))
    assert not list(Path().glob("o.*"))


def test_the_published_split_of_chug(here: Path) -> None:
    names = {f"clip{n}": f"content-{n}" for n in range(3)}
    rows = [{"clip": clip, "chug_content_name": name} for clip, name in names.items()]
    found = joined(
        Columns(("chug_content_name",), split=Split("chug_content_name", "chug-hdr-v1")), write_rows("m.jsonl", rows)
    )
    for clip, side in found.groupby("clip", observed=True)["split"].first().items():
        digest = hashlib.blake2s(b"chug-hdr-v1\0" + names[str(clip)].encode(), digest_size=8).digest()
        u = int.from_bytes(digest, "big") / 2**64
        assert side == ("train" if u < 0.8 else "val" if u < 0.9 else "test")


# --- opinion scores ------------------------------------------------------------------------------------------------------


def label(src: str, mos: float, **more: Any) -> dict[str, Any]:
    return {"src": src, "mos": mos, "mos_scale": [1, 5]} | more


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_scores_without_expressions_are_found_by_the_key_of_the_video(here: Path, suffix: str) -> None:
    rows = [{"src": "CLIP0.mp4", "mos": 3.5, "mos_std": 0.5}, {"src": "clip1.webm", "mos": 2.0, "mos_std": 0.25}]
    labels = write_rows(f"s{suffix}", rows)
    with pytest.raises(InputError, match=r"does not say which scale its score is on, .*--label-scale 1,5"):
        join(Path("t.parquet"), [labels], Path("o.parquet"), Path("o.json"))
    join(Path("t.parquet"), [labels], Path("o.parquet"), Path("o.json"), label_scale=(1, 5))
    of = pq.read_table("o.parquet").to_pandas().groupby("clip", observed=True).first()
    np.testing.assert_array_equal(of["mos"], [3.5, 2, np.nan])
    np.testing.assert_array_equal(of["mos_std"], [0.5, 0.25, np.nan])
    assert json.loads(pq.read_schema("o.parquet").metadata[b"pyvmaf"])["mos_scale"] == [1, 5]
    # The table is one that combine takes as it is.
    combine([("a", Path("o.parquet"))], Path("c.parquet"), mos_scale=(0, 100))
    np.testing.assert_array_equal(pq.read_table("c.parquet").to_pandas()["mos"].dropna().unique(), [62.5, 25])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([label("clip0", 7)], r"s.jsonl, line 1: MOS 7 lies outside of its scale, 1 to 5"),
        (
            [label("clip0", 3), label("clip0.mp4", 4)],
            r"line 1 and s.jsonl, line 2: several labels have the key 'clip0'",
        ),
        (
            [label("clip0", 3), label("clip1", 40, mos_scale=[0, 100])],
            r"different scales, 1 to 5 from .*line 1 and 0 to 100",
        ),
        ([label("clip0", 3, mos_scale=[5, 1])], r"mos_scale \[5, 1\] is not \[lowest, highest\]"),
        ([label("clip0", 3, n_ratings="many")], r"n_ratings is 'many', not a number"),
        ([label("nobody", 3)], r"no row of t.parquet has a key of the labels"),
        ([{"src": "clip0"}], r"line 1 lacks mos; it has src"),
    ],
)
def test_labels_that_cannot_be_joined_write_nothing(here: Path, rows: Any, message: str) -> None:
    labels = write_rows("s.jsonl", rows)
    with pytest.raises(InputError, match=message):
        join(Path("t.parquet"), [labels], Path("o.parquet"), Path("o.json"))
    assert not list(Path().glob("o.*"))


def test_labels_of_two_scales_are_mapped_to_one(here: Path) -> None:
    labels = write_rows("s.jsonl", [label("clip0", 3, mos_std_dev=0.5), label("clip1", 40, mos_scale=[0, 100])])
    join(Path("t.parquet"), [labels], Path("o.parquet"), Path("o.json"), mos_scale=(0, 100))
    of = pq.read_table("o.parquet").to_pandas().groupby("clip", observed=True).first()
    np.testing.assert_array_equal(of["mos"], [50, 40, np.nan])
    np.testing.assert_array_equal(of["mos_native"], [3, 40, np.nan])
    assert of["mos_std"].tolist()[0] == 12.5


@pytest.mark.parametrize("unit", ["frame", "clip"])
def test_combine_rates_rows_by_labels(here: Path, unit: Any) -> None:
    from pyvmaf.labels.scores import Labels

    labels = write_rows("s.jsonl", [label("clip0.mp4", 3.5, n_ratings=9), label("clip2.mp4", 2), label("gone.mp4", 1)])
    inputs = [("a", Path("t.parquet")), ("b", Path("t.parquet"))]
    combine(inputs, Path("c.parquet"), unit=unit, labels_of=Labels((labels,), corpora=("a",)))
    found = pq.read_table("c.parquet").to_pandas()
    of = found[found["corpus"] == "a"].groupby("clip", observed=True).first()
    np.testing.assert_array_equal(of["mos"], [3.5, np.nan, 2])
    assert found[found["corpus"] == "b"]["mos"].isna().all()
    details = read_manifest("c.parquet")["details"]
    assert details["labels"]["labels_without_row"] == {"keys": 1, "first": ["gone"]}
    with pytest.raises(InputError, match="unknown corpus that labels are for 'd'"):
        combine(inputs, Path("d.parquet"), unit=unit, labels_of=Labels((labels,), corpora=("d",)))
    with pytest.raises(InputError, match=r"c\.parquet has opinion scores already"):
        combine([("a", Path("c.parquet"))], Path("d.parquet"), unit=unit, labels_of=Labels((labels,)))
    strangers = write_rows("n.jsonl", [label("nobody.mp4", 3.5)])
    with pytest.raises(InputError, match=r"no row of t\.parquet or t\.parquet has a key of the labels"):
        combine(inputs, Path("d.parquet"), unit=unit, labels_of=Labels((strangers,)))
    assert not list(Path().glob("d.*"))


def test_damaged_labels(here: Path) -> None:
    Path("s.jsonl").write_text('{"src": "clip0", "mos": 3')
    with pytest.raises(IntegrityError, match=r"s\.jsonl, line 1"):
        join(Path("t.parquet"), [Path("s.jsonl")], Path("o.parquet"), Path("o.json"))
    Path("s.csv").write_text("src,mos\nclip0\n")
    with pytest.raises(InputError, match="line 2 has not as many cells"):
        join(Path("t.parquet"), [Path("s.csv")], Path("o.parquet"), Path("o.json"))


def test_the_commands(here: Path) -> None:
    write_rows("s.jsonl", [label("KoNViD_100001.mp4", 3.5)])
    write_rows(
        "k.parquet", [{"key": "x-100001", "frame": 0, "adm2": 0.5}, {"key": "x-100002", "frame": 0, "adm2": 0.25}]
    )
    words = ["--features", "k.parquet", "--labels", "s.jsonl", "--out", "m.parquet", "--audit-json", "audit.json"]
    done = command("materialize-mos-labels", *words, cwd=here)
    assert (done.returncode, done.stdout) == (0, "m.parquet: 1 of 2 rows have a score, of 1 videos\n")
    assert json.loads((here / "audit.json").read_text())["rows_without_label"]["first"] == ["x-100002"]
    write_rows("n.csv", [{"clip": "clip0", "score": 71.5}])
    done = command("join", "t.parquet", "n.csv", "-o", "j.parquet", "--columns", "score", "--prefix", "nr_", cwd=here)
    assert done.returncode == 0, done.stderr
    assert "nr_score" in pq.read_schema(here / "j.parquet").names
    for words, message in (
        (["--prefix", "nr_"], "go with --columns"),
        (["--columns", "score", "--mos-scale", "1,5"], "are of opinion scores, which are joined without --columns"),
    ):
        done = command("join", "t.parquet", "n.csv", "-o", "q.parquet", *words, cwd=here)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert message in done.stderr
    done = command("combine", "-o", "c.parquet", "a=t.parquet", "--labels", "s.jsonl", cwd=here)
    assert done.returncode == 2
    assert "no row of t.parquet has a key of the labels" in done.stderr
