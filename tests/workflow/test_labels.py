"""Tables of a run that get their opinion scores from published label files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from pyvmaf.base.manifest import read_manifest
from pyvmaf.errors import InputError
from tests.make.logs import Log
from tests.make.workflows import snakemake, write_yaml

FORM = {"name": "scores.csv", "key": ["video"], "mos": ["mos"], "deviation": ["sd"], "rows": [2, 100]}
SPEC = {
    "name": "rated",
    "description": "Rated videos",
    "license": "none",
    "version": "1",
    "scale": [0, 100],
    "aggregated": "0-100",
    "videos": ["{key}.mp4"],
    "layouts": [FORM],
}
MODEL: dict[str, Any] = {
    "name": "opinion",
    "kind": "mos",
    "description": "For tests",
    "epochs": 5,
    "seeds": [0],
    "inputs": {"features": ["adm2_mean"]},
    "network": {"hidden": [4]},
    "target": {"column": "mos"},
}


def run_folder(folder: Path, **table: Any) -> Path:
    """A run whose one corpus is a log without scores, and a label file that rates its videos."""
    log = Log(folder)
    for name in ("mos", "mos_ci"):
        del log.options["columns"][name]
    corpus = yaml.safe_load(log.corpus_file(frames=False).read_text())
    write_yaml(folder / "config" / "corpora" / "logged.yaml", corpus | {"root": "../.."})
    scores = [f"{row['pvs']},{25 * (row['mos'] - 1)!r},6" for row in log.rows[:-1]]
    (folder / "scores.csv").write_text("\n".join(["video,mos,sd", *scores, "unseen,50,6"]) + "\n")
    write_yaml(folder / "config" / "labels" / "rated.yaml", SPEC)
    write_yaml(folder / "config" / "models" / "opinion.yaml", MODEL)
    labels = {"datasets": ["rated"], "feature_key_regex": "/(.+)", "label_key_regex": "(.+)[.]mp4"}
    tables = {"default": {"corpora": ["logged"], "unit": "clip", "labels": labels} | table}
    run = {"corpora": ["logged"], "models": ["opinion"], "labels": {"rated": {"file": "scores.csv"}}, "tables": tables}
    write_yaml(folder / "run.yaml", run)
    return folder


def test_a_table_gets_its_scores_from_label_files(tmp_path: Path) -> None:
    run_folder(tmp_path, mos_scale=[1, 5])
    arguments = ("--configfile", "run.yaml", "--cores", "2", "--", "results/tables/default.parquet")
    snakemake(tmp_path, *arguments)
    rows = pq.read_table(tmp_path / "results/tables/default.parquet").to_pandas()
    expected = pd.read_csv(tmp_path / "pooled.csv")["mos"]
    assert rows["mos"].tolist()[:-1] == pytest.approx(expected.tolist()[:-1], abs=1e-9)
    assert rows["mos"].isna().tolist() == [False] * (len(rows) - 1) + [True]
    assert rows["mos_native"][0] == pytest.approx(25 * (expected[0] - 1))
    assert rows["mos_std"][0] == pytest.approx(0.24)
    details = read_manifest(tmp_path / "results/tables/default.parquet")["details"]
    assert (details["mos_scale"], details["rows_rated"]) == ([1, 5], len(rows) - 1)
    assert details["labels"]["labels_without_row"] == {"keys": 1, "first": ["unseen"]}
    labels = [json.loads(line) for line in (tmp_path / "results/labels/rated.jsonl").read_text().splitlines()]
    assert [row["src"] for row in labels][-1] == "unseen.mp4"
    # Another score is a reason to read the labels and put the table together again, and for nothing else.
    text = (tmp_path / "scores.csv").read_text()
    (tmp_path / "scores.csv").write_text(text.replace("unseen,50", "unseen,51"))
    planned = snakemake(tmp_path, "-n", *arguments).stdout
    assert {rule for rule in ("import_table", "read_labels", "combine_table") if f"rule {rule}:" in planned} == {
        "read_labels",
        "combine_table",
    }


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            "tables={default: {labels: {datasets: [ratd]}}}",
            "unknown dataset of table 'default' (or not in `labels`) 'ratd'",
        ),
        (
            "labels={rated: {file: scores.csv, dataset: ratd}}",
            "unknown dataset of `labels.rated` (no ratd.yaml in config/labels)",
        ),
        ("labels={aggregated: {file: scores.csv, dataset: rated}}", "this name is that of all datasets together"),
        ("labels={rated: {fil: scores.csv}}", "unknown key below 'labels.rated' 'fil': did you mean 'file'"),
        ("labels={rated: {file: nowhere.csv}}", "nowhere.csv"),
    ],
)
def test_labels_that_a_run_cannot_use(tmp_path: Path, config: str, message: str) -> None:
    run_folder(tmp_path)
    done = snakemake(tmp_path, "-n", "--configfile", "run.yaml", "--config", config, check=False)
    assert done.returncode != 0
    assert message in done.stdout + done.stderr


def test_expressions_are_checked_with_the_configuration(tmp_path: Path) -> None:
    from pyvmaf.workflow.config import load

    for pattern, message in (("[0-9]+", "has 0 groups"), ("(a)(b)", "has 2 groups"), ("(", "is no regular expression")):
        labels = {"datasets": ["rated"], "label_key_regex": pattern}
        write_yaml(tmp_path / "c.yaml", {"tables": {"default": {"labels": labels}}})
        with pytest.raises(InputError, match=message):
            load(tmp_path / "c.yaml")
