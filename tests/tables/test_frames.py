"""Per-frame tables of another program: every layout as pandas writes it, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pyvmaf.base.files import sha256_file
from pyvmaf.base.manifest import read_manifest
from pyvmaf.base.parquet import ParquetTable
from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.features.catalog import CANONICAL6, FULL
from pyvmaf.features.table import LEADING, read_metadata
from pyvmaf.tables.adapters import frames as reader
from pyvmaf.tables.adapters.frames import FrameTable, Reading
from pyvmaf.tables.build import combine
from pyvmaf.tables.imports import import_table
from tests.make.commands import command, refusal

RNG = np.random.default_rng(3)


def rows(videos: list[dict[str, Any]], frames: int = 5, features: tuple[str, ...] = FULL) -> pd.DataFrame:
    """Frames of videos, features and target drawn at random."""
    parts = []
    for names in videos:
        part = pd.DataFrame({**{key: [value] * frames for key, value in names.items()}, "frame_index": range(frames)})
        for name in features:
            part[name] = RNG.random(frames)
        part["vmaf"] = RNG.uniform(0, 100, frames)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def netflix() -> pd.DataFrame:
    table = rows([
        {"source": source, "dis_basename": f"{source}_{q}_1080_{rate}", "codec": "unknown"}
        for source in ("BigBuckBunny_25fps", "Tennis_24fps")
        for q, rate in ((20, 288), (80, 3000))
    ])  # fmt: skip
    return table[["source", "dis_basename", "frame_index", "codec", "vmaf", *FULL]]


def konvid(fold: bool = False) -> pd.DataFrame:
    table = rows([{"key": key, "codec": "x264"} for key in ("3339962845", "3636101558", "4265466447")])
    table = table[["key", "frame_index", "codec", *FULL, "vmaf"]]
    if fold:
        table["source"] = [f"fold{n // 5}" for n in range(len(table))]
    return table


def ugc() -> pd.DataFrame:
    table = rows([{"corpus": "ugc", "source": f"ugc-Animation_360P-{kind}"} for kind in ("cbr", "vod", "vodlb")])
    for name in FULL:
        if name not in (*CANONICAL6, "motion"):
            table[name] = np.nan
    return table[["corpus", "source", "frame_index", *FULL, "vmaf"]]


def pairs() -> pd.DataFrame:
    table = rows([{"key": key} for key in ("a", "b")], features=CANONICAL6)
    return table[["key", "frame_index", *(f"vif_scale{n}" for n in range(4)), "adm2", "motion2", "vmaf"]]


def combined() -> pd.DataFrame:
    """The combined table of the other system: nothing in it names the distorted version of a source."""
    versions = [{"corpus": "nflx", "source": source, "codec": "unknown"} for source in ("A", "A", "A", "B")]
    table = rows(versions)
    return table[["corpus", "source", "frame_index", "codec", *FULL, "vmaf"]]


LAYOUTS: dict[str, tuple[Callable[[], pd.DataFrame], dict[str, list[str]]]] = {
    "netflix": (netflix, {
        "source": ["BigBuckBunny_25fps"] * 2 + ["Tennis_24fps"] * 2,
        "rung": ["BigBuckBunny_25fps_20_1080_288", "BigBuckBunny_25fps_80_1080_3000", "Tennis_24fps_20_1080_288",
                 "Tennis_24fps_80_1080_3000"],
        "codec": ["unknown"] * 4,
    }),
    "konvid": (konvid, {"source": ["3339962845", "3636101558", "4265466447"], "codec": ["libx264"] * 3}),
    "konvid with folds": (lambda: konvid(fold=True), {
        "source": ["3339962845", "3636101558", "4265466447"], "group": ["fold0", "fold1", "fold2"],
    }),
    "ugc": (ugc, {
        "source": ["Animation_360P"] * 3,
        "clip": [f"ugc-Animation_360P-{kind}" for kind in ("cbr", "vod", "vodlb")],
    }),
    "pairs": (pairs, {"source": ["a", "b"], "codec": ["unknown"] * 2}),
    "combined": (combined, {"source": ["A", "A", "A", "B"], "rung": ["", "#2", "#3", ""]}),
}  # fmt: skip


def float32(table: pd.DataFrame) -> pd.DataFrame:
    numbers = table.select_dtypes("float64").columns
    return table.astype(dict.fromkeys(numbers, "float32"))


def categories(table: pd.DataFrame) -> pd.DataFrame:
    texts = [name for name in table.columns if table[name].dtype == object or isinstance(table[name].iloc[0], str)]
    return table.astype(dict.fromkeys(texts, "category"))


WRITTEN: dict[str, Callable[[pd.DataFrame, Path], None]] = {
    "as pandas does": lambda t, p: t.to_parquet(p),
    "categories": lambda t, p: categories(t).to_parquet(p),
    "float32 and int32": lambda t, p: float32(t).astype({"frame_index": "int32"}).to_parquet(p),
    "float frame numbers": lambda t, p: t.astype({"frame_index": "float64"}).to_parquet(p),
    "an index column": lambda t, p: t.sample(frac=1, random_state=0).sort_index().rename_axis("n").to_parquet(p),
    "small row groups": lambda t, p: t.to_parquet(p, row_group_size=3),
    "large strings": lambda t, p: pq.write_table(
        pa.table({n: pa.array(t[n].tolist(), pa.large_string()) if isinstance(t[n].iloc[0], str) else pa.array(t[n])
                  for n in t.columns}), p),
    "columns in another order": lambda t, p: t[sorted(t.columns)].to_parquet(p),
}  # fmt: skip


def check(found: pd.DataFrame, table: pd.DataFrame, expected: dict[str, list[str]], exact: bool = True) -> None:
    """Compare rows with the table that they came from: all of them, in order."""
    assert len(found) == len(table)
    tolerance = {"rtol": 0} if exact else {"rtol": 1e-6}
    for name in (*[n for n in FULL if n in table.columns], "vmaf", "frame_index"):
        np.testing.assert_allclose(found[name], table[name], **tolerance, err_msg=name)
    for name, values in expected.items():
        assert found[name].astype(object).tolist()[::5] == values


@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_combined_by_the_names_of_its_columns(layout: str, written: str, tmp_path: Path) -> None:
    make, expected = LAYOUTS[layout]
    table, path, out = make(), tmp_path / "theirs.parquet", tmp_path / "table.parquet"
    WRITTEN[written](table, path)
    assert combine([("mine", path)], out) == len(table)
    found = pq.read_table(out).to_pandas()
    assert tuple(found.columns[: len(LEADING)]) == LEADING
    check(found, table, expected, exact="float32" not in written)
    assert set(found["corpus"]) == {"mine"}
    details = read_manifest(out)["details"]
    [elsewhere] = details["made_elsewhere"].values()
    assert elsewhere["rows"] == len(table)
    assert elsewhere["videos"] == len(table) // 5
    assert elsewhere["ignored_columns"] == (["n"] if written == "an index column" else [])
    assert ("ssimulacra2" in table.columns) == ("ssimulacra2 came with the table" in " ".join(elsewhere["notes"]))
    if layout == "ugc":
        assert elsewhere["features_without_values"] == [n for n in FULL if n not in (*CANONICAL6, "motion")]
    assert elsewhere["unnamed_versions"] == ({"nflx/A/unknown": 3} if layout == "combined" else {})


def corpus_file(folder: Path, *files: Path, **keys: Any) -> Path:
    path = folder / "theirs.yaml"
    pinned = [{"path": file.name, "sha256": sha256_file(file)} for file in files]
    content = {"name": "theirs", "kind": "frame-table", "license": "unknown", "root": str(folder)}
    path.write_text(yaml.safe_dump({**content, "frames": {"files": pinned, **keys}}))
    return path


def test_a_corpus_of_frame_tables_becomes_a_shard(tmp_path: Path) -> None:
    one, two = tmp_path / "a.parquet", tmp_path / "b.parquet"
    first = rows([{"id": "night_1", "codec": "h264 (High)"}], features=CANONICAL6).rename(
        columns={"id": "key", "adm2": "adm", "vmaf": "score"}
    )
    second = rows([{"key": "night_2"}, {"key": "day_1"}], features=CANONICAL6)
    second = second.rename(columns={"adm2": "adm", "vmaf": "score"}).assign(codec="hevc", comment="x")
    first.to_parquet(one)
    second.to_parquet(two)
    corpus = corpus_file(
        tmp_path, one, two,
        teacher="vmaf_v0.6.1", source=r"^(\w+)_", codecs={"h264 (High)": "libx264"},
        features={"adm": "adm2", "score": "vmaf"},
    )  # fmt: skip
    out = tmp_path / "shard.parquet"
    done = command("import-table", "--corpus", corpus, "-o", out)
    assert done.returncode == 0, done.stderr
    assert "15 rows, one per frame, of 3 encodes" in done.stdout
    found = pq.read_table(out).to_pandas()
    assert found["source"].astype(object).tolist()[::5] == ["night", "night", "day"]
    assert found["codec"].astype(object).tolist()[::5] == ["libx264", "libx265", "libx265"]
    np.testing.assert_array_equal(found["adm2"], pd.concat([first, second])["adm"])
    assert read_metadata(pq.read_schema(out), out)["model"] == "vmaf_v0.6.1"
    records = [json.loads(line) for line in out.with_suffix(".jsonl").read_text().splitlines()]
    assert [record["clip"] for record in records] == ["night_1", "night_2", "day_1"]
    details = read_manifest(out)["details"]
    assert details["ignored_columns"] == ["comment"]
    before = out.read_bytes()
    assert command("import-table", "--corpus", corpus, "-o", out).returncode == 0
    assert out.read_bytes() == before
    # The shard goes into a table of frames, and of clips, like any other.
    assert combine([("x", out)], tmp_path / "t.parquet") == 15
    assert combine([("x", out)], tmp_path / "c.parquet", unit="clip") == 3


def rated() -> pd.DataFrame:
    """Features and opinion scores: key, frame, mos, features."""
    table = rows([{"key": "a", "mos": 3.25}, {"key": "b", "mos": 1.5}], features=CANONICAL6)
    return table.rename(columns={"frame_index": "frame"})[["key", "frame", "mos", *CANONICAL6]]


def test_opinion_scores_are_a_target_of_frames(tmp_path: Path) -> None:
    path, out = tmp_path / "r.parquet", tmp_path / "shard.parquet"
    rated().to_parquet(path)
    with pytest.raises(InputError, match="Its mos needs a scale"):
        combine([("x", path)], out)
    import_table(corpus_file(tmp_path, path, mos_scale=[1, 5]), out, out.with_suffix(".jsonl"))
    found = pq.read_table(out).to_pandas()
    assert found["mos"].tolist() == rated()["mos"].tolist()
    assert found["vmaf"].isna().all()
    assert read_metadata(pq.read_schema(out), out)["mos_scale"] == [1, 5]
    assert combine([("x", out)], tmp_path / "c.parquet", unit="clip") == 2
    assert pq.read_table(tmp_path / "c.parquet")["mos"].to_pylist() == [3.25, 1.5]
    rated().assign(mos=[5.5] * 10).to_parquet(path)
    with pytest.raises(InputError, match=r"row 0: MOS 5.5 lies outside of its scale, 1 to 5"):
        import_table(corpus_file(tmp_path, path, mos_scale=[1, 5]), out, out.with_suffix(".jsonl"))
    # Beside a VMAF, scores without a scale are left out, and a note says so.
    rated().assign(vmaf=50.0).to_parquet(path)
    combine([("x", path)], tmp_path / "v.parquet")
    assert "mos was left out" in " ".join(read_metadata(pq.read_schema(tmp_path / "v.parquet"), path)["notes"])


def test_clips_are_pooled_from_the_frames(tmp_path: Path) -> None:
    table, path, out = netflix(), tmp_path / "n.parquet", tmp_path / "c.parquet"
    table.to_parquet(path, row_group_size=7)
    (tmp_path / "n.jsonl").write_text("not a record\n")
    assert combine([("nflx", path)], out, unit="clip") == 4
    found = pq.read_table(out).to_pandas()
    expected = table.groupby("dis_basename", sort=False)["vif_scale2"].mean()
    np.testing.assert_allclose(found["vif_scale2_mean"], expected)


def test_a_table_of_this_project_that_lost_its_metadata(tmp_path: Path) -> None:
    path, again, out = tmp_path / "n.parquet", tmp_path / "again.parquet", tmp_path / "t.parquet"
    table = netflix().assign(codec="libx264", preset="medium", crf=[20] * 10 + [35] * 10)
    table.to_parquet(path)
    combine([("one", path)], out)
    pq.write_table(pa.Table.from_pandas(pq.read_table(out).to_pandas()), again)
    combine([("one", again)], tmp_path / "u.parquet")
    pd.testing.assert_frame_equal(
        pq.read_table(out).to_pandas().astype(object), pq.read_table(tmp_path / "u.parquet").to_pandas().astype(object)
    )


def test_tables_of_a_stated_and_an_unknown_teacher_need_a_name(tmp_path: Path) -> None:
    one, two, out = tmp_path / "a.parquet", tmp_path / "b.parquet", tmp_path / "t.parquet"
    konvid().to_parquet(one)
    konvid().assign(vmaf_model="vmaf_v0.6.1").to_parquet(two)
    words = ("combine", f"a={one}", f"b={two}", "-o", out)
    assert "with --teacher" in refusal(*words)
    assert command(*words, "--teacher", "vmaf_v0.6.1").returncode == 0
    assert read_metadata(pq.read_schema(out), out)["model"] == "vmaf_v0.6.1"
    assert "states the teacher vmaf_v0.6.1, but other was given" in refusal(*words, "--teacher", "other")


def damaged(change: Callable[[pd.DataFrame], Any]) -> Callable[[], pd.DataFrame]:
    def make() -> pd.DataFrame:
        table = konvid()
        changed = change(table)
        return table if changed is None else changed

    return make


def setting(row: int, column: str, value: Any) -> Callable[[pd.DataFrame], None]:
    def change(table: pd.DataFrame) -> None:
        table.loc[row, column] = value

    return change


BAD: dict[str, tuple[Callable[[], pd.DataFrame], str]] = {
    "a frame twice": (damaged(setting(8, "frame_index", 2)), "row 7 and row 8 are both frame 2 of 3636101558"),
    "a video twice": (
        damaged(lambda t: pd.concat([t, t.head(3)])),
        "row 0 and row 15 are both frame 0 of 3339962845/x264",
    ),
    "a gap": (damaged(lambda t: t.drop(index=7)), "row 7: 3636101558/x264 goes from frame 1 to frame 3"),
    "rows that lie apart": (
        damaged(lambda t: t.loc[[0, 1, 2, 5, 6, 7, 8, 9, 3, 4]]),
        "from row 0 on end with frame 2, and row 8 is its frame 3",
    ),
    "frames from the last to the first": (damaged(lambda t: t[::-1]), "row 1 is its frame 3: the rows of a video"),
    "no target": (damaged(setting(6, "vmaf", np.nan)), "row 6: vmaf is nan, and so are 0 of the 15 rows"),
    "an infinite target": (damaged(setting(6, "vmaf", np.inf)), "row 6: vmaf is inf"),
    "text as a feature": (damaged(lambda t: t.assign(adm2="0.5")), "column 'adm2' holds (large_)?string, but numbers"),
    "truth as a feature": (damaged(lambda t: t.assign(adm2=True)), "column 'adm2' holds bool, but numbers"),
    "text as the target": (damaged(lambda t: t.assign(vmaf="9")), "column 'vmaf' holds (large_)?string, but numbers"),
    "text as the frame": (
        damaged(lambda t: t.assign(frame_index="1")),
        "'frame_index' holds (large_)?string, but whole",
    ),
    "half a frame": (damaged(lambda t: t.assign(frame_index=t["frame_index"] + 0.5)), "row 0: frame_index is 0.5"),
    "a frame below 0": (damaged(setting(3, "frame_index", -1)), "row 3: frame_index is -1"),
    "numbers as the key": (damaged(lambda t: t.assign(key=1.5)), "column 'key' holds double, but text is needed"),
    "an empty key": (damaged(setting(4, "key", None)), "row 4: column 'key' is empty"),
    "an unknown codec": (damaged(setting(9, "codec", "cinepak")), "row 9: unknown codec 'cinepak'"),
    "several teachers": (
        damaged(lambda t: t.assign(vmaf_model=["a"] * 5 + ["b"] * 10)),
        "the rows are of several teachers \\(a, b\\)",
    ),
    "half a CRF": (damaged(lambda t: t.assign(crf=23.5)), "row 0: CRF 23.5 is not a whole number"),
    "no key": (damaged(lambda t: t.drop(columns="key")), "it needs a column frame_index or frame, 'vmaf'"),
    "no target column": (damaged(lambda t: t.drop(columns="vmaf")), "is not a table of frames"),
    "no features": (damaged(lambda t: t[["key", "frame_index", "vmaf"]]), "has no column that is a feature"),
}


@pytest.mark.parametrize("how", BAD)
def test_what_is_refused_names_its_row(how: str, tmp_path: Path) -> None:
    make, message = BAD[how]
    path, out = tmp_path / "t.parquet", tmp_path / "out.parquet"
    make().to_parquet(path, index=False, row_group_size=4)
    with pytest.raises(InputError, match=message):
        combine([("x", path)], out)
    assert not out.exists()
    shard = tmp_path / "shard.parquet"
    with pytest.raises(InputError, match=message):
        import_table(corpus_file(tmp_path, path), shard, shard.with_suffix(".jsonl"))
    assert sorted(item.name for item in tmp_path.iterdir()) == ["t.parquet", "theirs.yaml"]


def test_two_files_with_one_video_are_refused(tmp_path: Path) -> None:
    one, two = tmp_path / "a.parquet", tmp_path / "b.parquet"
    konvid().to_parquet(one)
    konvid().to_parquet(two)
    with pytest.raises(InputError, match="both have frames of 3339962845/libx264"):
        import_table(corpus_file(tmp_path, one, two), tmp_path / "s.parquet", tmp_path / "s.jsonl")


def test_another_parquet_file_is_not_a_table(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pd.DataFrame({"a": [1.0]}).to_parquet(path)
    with pytest.raises(IntegrityError, match="not a table of pyvmaf"):
        combine([("x", path)], tmp_path / "out.parquet")


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=6),
    part=st.integers(1, 12),
    group=st.integers(1, 12),
    unnamed=st.booleans(),
)
def test_the_division_into_parts_changes_nothing(
    lengths: list[int], part: int, group: int, unnamed: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    table = pd.concat([
        rows([{"source": "s"} if unnamed else {"key": f"k{n}"}], frames=length, features=("adm2",))
        for n, length in enumerate(lengths)
    ])  # fmt: skip
    path = tmp_path_factory.mktemp("parts") / "t.parquet"
    table.to_parquet(path, index=False, row_group_size=group)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "PART_ROWS", part)
        opened = FrameTable(ParquetTable(path), Reading())
        parts = [opened.read_group(index) for index in range(opened.groups)]
    assert [piece.num_rows for piece in parts[:-1]] == [part] * (len(parts) - 1)
    found = pa.concat_tables(parts).to_pandas()
    np.testing.assert_array_equal(found["adm2"], table["adm2"])
    sizes = found.groupby(["clip", "rung"], sort=False, observed=True).size().tolist()
    assert sizes == lengths == list(opened.videos.values())


MANY = """
import sys
from pathlib import Path
import pyarrow
from pyvmaf.tables.build import combine
combine([("x", Path(sys.argv[1]))], Path(sys.argv[2]))
print(pyarrow.default_memory_pool().max_memory() >> 20)
"""


def test_memory_does_not_grow_with_a_row_group(tmp_path: Path) -> None:
    """One row group of 1.5 million rows takes 290 MB."""
    n, path = 1_500_000, tmp_path / "t.parquet"
    rng = np.random.default_rng(0)
    # Few different values take little of the file, and all of the memory.
    data = {name: np.tile(rng.random(1000), n // 1000) for name in (*FULL, "vmaf")}
    keys = pa.DictionaryArray.from_arrays(
        pa.array(np.arange(n) // 1000, pa.int32()), pa.array([f"k{i}" for i in range(n // 1000)])
    )
    columns: dict[str, Any] = {"key": keys, "frame_index": pa.array(np.arange(n) % 1000)}
    columns |= {name: pa.array(values) for name, values in data.items()}
    pq.write_table(pa.table(columns), path, row_group_size=n)
    words = [sys.executable, "-c", MANY, str(path), str(tmp_path / "out.parquet")]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=300)
    assert pq.read_metadata(tmp_path / "out.parquet").num_rows == n
    assert int(done.stdout) < 200, "MiB that Arrow held at the most"
