"""The 756 rated versions of four published viewing tests: their scores joined to their real features, by key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from pyvmaf.labels.batch import JoinBatch
from tests.make.commands import command, refusal
from tests.make.tables import write_table

BLOCK: dict[str, Any] = {"features": ["adm2"], "unavailable": {}, "model": "vmaf_v0.6.1", "engine": {}}
TESTS = [f"avt_vqdb_uhd1_test{number}" for number in range(1, 5)]
FRAMES = 3


@pytest.fixture(scope="module")
def fr_mos(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table of frames for each test, and its scores with the names of files that the videos have."""
    folder = tmp_path_factory.mktemp("fr_mos")
    parts: list[dict[str, list[Any]]] = []
    for test in TESTS:
        frames = np.load(shared_data / "fr_mos" / f"{test}_perframe.npz")
        names = [str(name) for name in frames["__features__"]]
        keys = [key for key in frames.files if key != "__features__"]
        values = np.concatenate([frames[key][:FRAMES] for key in keys])
        columns: dict[str, list[Any]] = {"clip": [key for key in keys for _ in range(FRAMES)]}
        columns["frame_index"] = list(range(FRAMES)) * len(keys)
        columns |= {name: values[:, names.index(name)].tolist() for name in ("adm2", "vmaf")}
        write_table(folder / f"{test}.parquet", columns, **BLOCK)
        parts.append(columns | {"clip": [f"{test}_{clip}" for clip in columns["clip"]]})
        rated = pd.read_csv(shared_data / "fr_mos" / f"{test}.csv")
        labels = pd.DataFrame({"src": [f"{test}/segments/{pvs}.mkv" for pvs in rated["pvs"]], "mos": rated["mos"]})
        labels.to_csv(folder / f"{test}_mos.csv", index=False)
    write_table(folder / "all.parquet", {name: [v for part in parts for v in part[name]] for name in parts[0]}, **BLOCK)
    return folder


def scores(shared_data: Path) -> pd.DataFrame:
    return pd.read_csv(shared_data / "fr_mos" / "all_common.csv")


def test_all_756_match_test_by_test(fr_mos: Path, shared_data: Path) -> None:
    rows = [
        {
            "features": f"{test}.parquet",
            "labels": [f"{test}_mos.csv"],
            "output": f"rated/{test}.parquet",
            "label_scale": "1,5",
            "label_key_regex": r"([^/]+)\.mkv$",
            "feature_key_regex": "(.+)",
        }
        for test in TESTS
    ]
    (fr_mos / "joins.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = command("join-batch", "-m", "joins.jsonl", "-o", "joins.json", cwd=fr_mos)
    assert done.returncode == 0, done.stderr
    report = JoinBatch.read(fr_mos / "joins.json")
    assert sum(row.keys_matched or 0 for row in report.rows) == 756
    assert [row.rows_matched for row in report.rows] == [row.rows for row in report.rows]
    published = scores(shared_data).set_index(["dataset", "pvs"])["mos"]
    for test in TESTS:
        rated = pq.read_table(fr_mos / "rated" / f"{test}.parquet").to_pandas()
        assert rated["mos"].notna().all()
        found = rated.groupby("clip", observed=True)["mos"].agg(["min", "max"])
        wanted = published[test].loc[list(found.index)]
        np.testing.assert_allclose(found["min"], wanted, rtol=0, atol=1e-5)
        np.testing.assert_array_equal(found["min"], found["max"])


def test_all_756_match_at_once_by_test_and_name(fr_mos: Path, shared_data: Path) -> None:
    labels = scores(shared_data)
    # 96 of the 660 names have other scores in another test: alone, they are no key.
    alone = pd.DataFrame({"src": labels["pvs"], "mos": labels["mos"]})
    alone.to_csv(fr_mos / "alone.csv", index=False)
    message = refusal("join", "all.parquet", "alone.csv", "-o", "x.parquet", "--label-scale", "1,5", cwd=fr_mos)
    assert "several labels have the key" in message
    assert not (fr_mos / "x.parquet").exists()
    # Names of files, some of them longer than a key may be, and in capital letters.
    together = pd.DataFrame({"src": labels["dataset"] + "/" + labels["pvs"].str.upper() + ".mkv", "mos": labels["mos"]})
    together.to_csv(fr_mos / "together.csv", index=False)
    done = command("join", "all.parquet", "together.csv", "-o", "all_rated.parquet", "--label-scale", "1,5", cwd=fr_mos)
    assert done.returncode == 0, done.stderr
    audit = json.loads((fr_mos / "all_rated.json").read_text())
    assert (audit["keys_matched"], audit["rows_matched"]) == (756, 756 * FRAMES)
    assert (audit["rows_without_label"]["keys"], audit["labels_without_row"]["keys"]) == (0, 0)
