"""Opinion scores in tables: from corpus files, on one scale, per frame and per clip."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyvmaf.base.manifest import read_manifest
from pyvmaf.base.opinion import parse_scale
from pyvmaf.corpora import Ratings
from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.labels.scales import SCALE_MAPS
from pyvmaf.tables.build import combine
from pyvmaf.tables.opinions import CorpusRatings
from tests.make.commands import refusal
from tests.make.tables import table_columns, write_table

FEATURES = ["adm2", "vif_scale0", "vif_scale1", "vif_scale2", "vif_scale3", "motion2"]
BLOCK: dict[str, Any] = {"features": FEATURES, "unavailable": {}, "model": "vmaf_v0.6.1", "engine": {"libvmaf": "x"}}


def rated_table(path: Path, low: float, high: float, **more: Any) -> Path:
    """A table of frames whose clips have scores from `low` to `high`; the last clip has none."""
    columns = table_columns(sources=4, frames=5)
    clips = sorted(set(columns["clip"]))
    of = dict(zip(clips, [low, (low + high) / 2, high, float("nan")], strict=True))
    columns["mos"] = [of[clip] for clip in columns["clip"]]
    columns["mos_std"] = [(high - low) / 8] * len(columns["clip"])
    columns["n_ratings"] = [24] * len(columns["clip"])
    return write_table(path, columns, **BLOCK, mos_scale=[low, high], **more)


def block(path: Path) -> dict[str, Any]:
    return dict(json.loads(pq.read_schema(path).metadata[b"pyvmaf"]))


def by_clip(path: Path) -> pd.DataFrame:
    return pq.read_table(path).to_pandas().groupby("clip", observed=True).first()


@pytest.mark.parametrize("unit", ["frame", "clip"])
def test_scores_scale_and_spread_reach_the_table(tmp_path: Path, unit: Any) -> None:
    table = rated_table(tmp_path / "a.parquet", 1, 5)
    combine([("a", table)], tmp_path / "t.parquet", unit=unit)
    assert block(tmp_path / "t.parquet")["mos_scale"] == [1, 5]
    rows = by_clip(tmp_path / "t.parquet")
    np.testing.assert_array_equal(rows["mos"], [1, 3, 5, np.nan])
    assert set(rows["mos_std"]) == {0.5}
    assert set(rows["n_ratings"]) == {24}
    assert "mos_native" not in rows
    whole = pq.read_table(tmp_path / "t.parquet")
    assert read_manifest(tmp_path / "t.parquet")["details"]["rows_rated"] == whole.num_rows * 3 // 4


@pytest.mark.parametrize("unit", ["frame", "clip"])
def test_scores_on_two_scales_need_a_common_one(tmp_path: Path, unit: Any) -> None:
    inputs = [("a", rated_table(tmp_path / "a.parquet", 1, 5)), ("b", rated_table(tmp_path / "b.parquet", 0, 100))]
    output = tmp_path / "t.parquet"
    with pytest.raises(
        InputError, match=r"different scales, 1 to 5 in .*a\.parquet and 0 to 100 in .*b\.parquet.*1-5-acr"
    ):
        combine(inputs, output, unit=unit)
    assert not output.exists()
    combine(inputs, output, unit=unit, mos_scale=(0, 100))
    assert block(output)["mos_scale"] == [0, 100]
    rows = pq.read_table(output).to_pandas().groupby(["corpus", "clip"], observed=True).first()
    np.testing.assert_allclose(rows.loc["a"]["mos"], [0, 50, 100, np.nan], atol=1e-12)
    np.testing.assert_array_equal(rows.loc["a"]["mos_native"], [1, 3, 5, np.nan])
    np.testing.assert_array_equal(rows.loc["b"]["mos"], [0, 50, 100, np.nan])
    np.testing.assert_array_equal(rows.loc["b"]["mos_native"], rows.loc["b"]["mos"])
    # A deviation is scaled, but not moved.
    assert set(rows["mos_std"]) == {12.5}
    assert read_manifest(output)["details"]["mos_maps"] == {"a": "1-5-acr"}


def test_a_named_map_takes_the_place_of_the_usual_one(tmp_path: Path) -> None:
    inputs = [("a", rated_table(tmp_path / "a.parquet", 1, 5)), ("b", rated_table(tmp_path / "b.parquet", 0, 100))]
    output = tmp_path / "t.parquet"
    combine(inputs, output, mos_scale=(0, 100), mos_maps={"b": "0-100-dmos"})
    rows = pq.read_table(output).to_pandas().groupby(["corpus", "clip"], observed=True).first()
    np.testing.assert_array_equal(rows.loc["b"]["mos"], [100, 50, 0, np.nan])
    for maps, message in (
        ({"c": "1-5-acr"}, r"named for 'c', but the inputs with scores are a, b"),
        ({"a": "1-5-arc"}, r"unknown map between scales '1-5-arc'"),
        ({"b": "1-5-acr"}, r"map 1-5-acr is from 1 to 5 to 0 to 100, but the scores of b are on 0 to 100"),
    ):
        with pytest.raises(InputError, match=message):
            combine(inputs, output, mos_scale=(0, 100), mos_maps=maps)
    with pytest.raises(InputError, match="not the scale that all are mapped to"):
        combine(inputs[:1], output, mos_maps={"a": "1-5-acr"})
    with pytest.raises(
        InputError, match=r"no map of opinion scores from 1 to 5 to 0 to 10: .*1-5-acr \(1 to 5 to 0 to 100\)"
    ):
        combine(inputs[:1], output, mos_scale=(0, 10))


@pytest.mark.parametrize("unit", ["frame", "clip"])
def test_a_table_without_scores_beside_one_with(tmp_path: Path, unit: Any) -> None:
    plain = write_table(tmp_path / "p.parquet", table_columns(sources=2, frames=5), **BLOCK)
    output = tmp_path / "t.parquet"
    combine([("p", plain), ("a", rated_table(tmp_path / "a.parquet", 1, 5))], output, unit=unit)
    frame = pq.read_table(output).to_pandas()
    assert frame[frame["corpus"] == "p"][["mos", "mos_std", "n_ratings"]].isna().all().all()
    assert frame[frame["corpus"] == "a"]["mos"].notna().any()
    with pytest.raises(InputError, match="no table has opinion scores, which are to be mapped to 1 to 5"):
        combine([("p", plain)], output, unit=unit, mos_scale=(1, 5))


def test_scores_without_a_scale_are_refused(tmp_path: Path) -> None:
    columns = table_columns(sources=2, frames=5)
    columns["mos"] = [3.0] * len(columns["clip"])
    table = write_table(tmp_path / "a.parquet", columns, **BLOCK)
    with pytest.raises(InputError, match=r"a\.parquet has a column mos, but its metadata do not say on which scale"):
        combine([("a", table)], tmp_path / "t.parquet")
    write_table(table, columns, **BLOCK, mos_scale=[5, 1])
    with pytest.raises(IntegrityError, match=r"have mos_scale \[5, 1\], which is not \[lowest, highest\]"):
        combine([("a", table)], tmp_path / "t.parquet")
    assert "which is not [lowest, highest]" in refusal("combine", "-o", tmp_path / "t.parquet", f"a={table}")


def test_a_rung_has_its_own_score_before_that_of_its_clip() -> None:
    import pyarrow as pa

    entries = [
        {
            "key": "a",
            "mos": 4.0,
            "pairs": [{"codec": "x", "rung": "r1", "mos": 2.0, "n_ratings": 9}, {"codec": "x", "rung": "r2"}],
        },
        {"key": "b", "pairs": [{"codec": "y", "rung": "r1", "mos": 3.0}]},
        {"key": "c"},
    ]
    ratings = Ratings.of({"mos_scale": [1, 5], "entries": entries})
    keys = [("a", "x", "r1"), ("a", "x", "r2"), ("a", "y", "r1"), ("b", "x", "r1"), ("b", "y", "r1"), ("c", "x", "r1")]
    rows = pa.table(dict(zip(("clip", "codec", "rung"), map(list, zip(*keys, strict=True)), strict=True)))
    columns = CorpusRatings(ratings).columns(rows)
    assert columns["n_ratings"].to_pylist() == [9, None, None, None, None, None]
    np.testing.assert_array_equal(columns["mos"].to_numpy(), [2, 4, 4, np.nan, 3, np.nan])
    # What a rule carries of a codec: its rungs, and the clips.
    assert ratings.parameter("y") == {"mos_scale": [1, 5], "mos": {"a//": {"mos": 4.0}, "b/y/r1": {"mos": 3.0}}}
    assert Ratings.of({"mos_scale": [1, 5], "entries": [{"key": "c"}]}).parameter("x") == {}


@given(st.sampled_from(sorted(SCALE_MAPS)), st.floats(0, 1), st.floats(0, 1))
def test_maps_stay_on_their_scale_and_keep_or_turn_the_order(name: str, one: float, two: float) -> None:
    chosen = SCALE_MAPS[name]
    first, second = (chosen.low + share * (chosen.high - chosen.low) for share in sorted((one, two)))
    low, high = chosen.value(first), chosen.value(second)
    assert all(chosen.to[0] <= value <= chosen.to[1] for value in (low, high))
    assert low == high or (low < high) == (chosen.slope > 0)
    # Apart from what is kept inside, a difference of scores is scaled as a deviation is.
    assert abs(chosen.value(second) - chosen.value(first)) <= chosen.deviation(second - first) + 1e-9


@pytest.mark.parametrize("text", ["1", "1,2,3", "5,1", "1,1", "a,b", "nan,1", "0,inf", ""])
def test_what_is_no_scale(text: str) -> None:
    with pytest.raises(InputError, match="is not a scale: write the lowest and the highest score"):
        parse_scale(text)
