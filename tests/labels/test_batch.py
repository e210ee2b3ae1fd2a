"""Many joins by one list: each row has its result, and the exit status says whether all were joined."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from pyvmaf.base.files import sha256_file
from pyvmaf.labels.batch import JoinBatch
from tests.make.commands import Done, command, refusal
from tests.make.tables import table_columns, write_table

BLOCK: dict[str, Any] = {"features": ["adm2"], "unavailable": {}, "model": "vmaf_v0.6.1", "engine": {}}


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder ``data`` with two tables of the clips clip0 to clip2, scores, labels of other videos, and a metric."""
    data = tmp_path / "data"
    data.mkdir()
    for name in ("one", "two"):
        write_table(data / f"{name}.parquet", table_columns(sources=3, frames=4), **BLOCK)
    scores = [{"src": f"clip{number}.mp4", "mos": 2.0 + number, "mos_scale": [1, 5]} for number in range(3)]
    (data / "mos.jsonl").write_text("".join(json.dumps(row) + "\n" for row in scores))
    (data / "others.jsonl").write_text(json.dumps({**scores[0], "src": "elsewhere.mp4"}) + "\n")
    pd.DataFrame({"clip": ["clip0", "clip1"], "nr": [1.5, 2.5]}).to_csv(data / "nr.csv", index=False)
    return tmp_path


def joined(folder: Path, rows: list[dict[str, Any]], *words: str, name: str = "joins.jsonl") -> Done:
    path = folder / name
    if path.suffix == ".csv":
        pd.DataFrame(rows).to_csv(path, index=False)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return command("join-batch", "--manifest", name, "--base-dir", "data", *words, cwd=folder)


SCORES: dict[str, Any] = {"features": "one.parquet", "labels": ["mos.jsonl"], "output": "out/one.parquet"}
METRIC: dict[str, Any] = {
    "features": "two.parquet",
    "labels": ["nr.csv"],
    "output": "out/two.parquet",
    "columns": ["nr"],
    "prefix": "x_",
}
NO_MATCH: dict[str, Any] = {"features": "two.parquet", "labels": ["others.jsonl"], "output": "out/none.parquet"}
NO_FILE: dict[str, Any] = {"features": "absent.parquet", "labels": ["mos.jsonl"], "output": "out/absent.parquet"}


def test_each_row_is_a_call_of_join(here: Path) -> None:
    done = joined(here, [SCORES, METRIC], "--output", "report.json")
    assert done.returncode == 0, done.stderr
    report = JoinBatch.read(here / "report.json")
    assert (report.joined, report.failed, report.left_out, report.passed) == (2, 0, 0, True)
    frames = pq.read_metadata(here / "data" / "one.parquet").num_rows
    assert [(row.rows, row.rows_matched, row.keys_matched) for row in report.rows] == [
        (frames, frames, 3),
        (frames, frames * 2 // 3, 2),
    ]
    # The same bytes as by join itself.
    for words, name in (
        (("one.parquet", "mos.jsonl"), "one"),
        (("two.parquet", "nr.csv", "--columns", "nr", "--prefix", "x_"), "two"),
    ):
        assert command("join", *words, "-o", f"{name}_alone.parquet", cwd=here / "data").returncode == 0
        assert sha256_file(here / f"data/out/{name}.parquet") == sha256_file(here / f"data/{name}_alone.parquet")
        alone, together = (
            json.loads((here / "data" / path).read_text()) for path in (f"{name}_alone.json", f"out/{name}.json")
        )
        assert alone == together


def test_a_list_in_csv(here: Path) -> None:
    rows: list[dict[str, Any]] = [
        {**SCORES, "labels": "mos.jsonl", "mos_scale": "0,100"},
        {**METRIC, "labels": "nr.csv", "columns": "nr", "mos_scale": None},
    ]
    assert joined(here, rows, name="joins.csv").returncode == 0
    one = pq.read_table(here / "data/out/one.parquet").to_pandas()
    assert set(one["mos"]) == {25.0, 50.0, 75.0}
    assert "x_nr" in pq.read_schema(here / "data/out/two.parquet").names


@pytest.mark.parametrize(
    ("words", "states", "code"),
    [
        ((), ["joined", "failed", "failed", "joined"], 1),
        (("--fail-fast",), ["joined", "failed", "left out", "left out"], 1),
        (("--allow-row-failure",), ["joined", "failed", "failed", "joined"], 0),
        (("--fail-fast", "--allow-row-failure"), ["joined", "failed", "left out", "left out"], 0),
    ],
)
def test_rows_that_fail(here: Path, words: tuple[str, ...], states: list[str], code: int) -> None:
    done = joined(here, [SCORES, NO_MATCH, NO_FILE, METRIC], "--output", "report.json", *words)
    assert done.returncode == code
    report = JoinBatch.read(here / "report.json")
    assert [row.state for row in report.rows] == states
    assert report.passed == (code == 0)
    assert "Traceback" not in done.stderr
    assert report.rows[1].error is not None
    assert "others.jsonl" in report.rows[1].error or "no row" in report.rows[1].error
    # A row that failed or was left out has left nothing.
    assert {path.stem for path in (here / "data" / "out").glob("*.parquet")} == {
        Path(row.output).stem for row in report.rows if row.state == "joined"
    }


def test_if_all_rows_fail_the_batch_does(here: Path) -> None:
    assert joined(here, [NO_MATCH, NO_FILE], "--allow-row-failure").returncode == 1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "joins.jsonl lists no joins"),
        ([SCORES, {**METRIC, "colunms": "nr"}], "joins.jsonl, line 2: unknown key 'colunms': did you mean 'columns'?"),
        ([{"features": "one.parquet"}], "joins.jsonl, line 1 lacks labels, output; it has features"),
        ([{**SCORES, "feature_key": 3}], "joins.jsonl, line 1: feature_key is 3: write a text"),
        ([{**SCORES, "labels": [1]}], "joins.jsonl, line 1: labels is [1]: write a list of texts"),
        ([{**SCORES, "prefix": "x_"}], "joins.jsonl, line 1: --prefix, --frame-key, --label-frame-key, --split-by go"),
        ([{**METRIC, "mos_scale": "1,5"}], "joins.jsonl, line 1: --mos-scale and --label-scale are of opinion scores"),
        (
            [SCORES, {**METRIC, "output": "out/../out/one.parquet"}],
            "joins.jsonl, line 1 and joins.jsonl, line 2 both write",
        ),
        ([SCORES, {**METRIC, "report": "out/one.json"}], "joins.jsonl, line 1 and joins.jsonl, line 2 both write"),
    ],
)
def test_a_list_that_is_wrong_joins_nothing(here: Path, rows: list[dict[str, Any]], message: str) -> None:
    (here / "joins.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ("join-batch", "--manifest", "joins.jsonl", "--base-dir", "data", "--output", "report.json")
    assert message in refusal(*words, cwd=here)
    assert not (here / "data" / "out").exists()
    assert not (here / "report.json").exists()


def test_paths_start_from_the_list_without_a_base(here: Path) -> None:
    (here / "data" / "joins.jsonl").write_text(json.dumps(SCORES) + "\n")
    assert command("join-batch", "--manifest", "data/joins.jsonl", cwd=here).returncode == 0
    assert (here / "data" / "out" / "one.parquet").is_file()
