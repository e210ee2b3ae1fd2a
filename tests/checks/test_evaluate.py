"""``eval`` and `pyvmaf.evaluate`: figures, splits, limits, other models, latency."""

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
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from numpy.typing import NDArray
from scipy import stats

import pyvmaf
from pyvmaf.base.documents import document
from pyvmaf.base.manifest import read_manifest
from pyvmaf.checks.evaluate import evaluate
from pyvmaf.errors import InputError
from pyvmaf.splits import filled_hash_sides, hash_split
from tests.make.commands import command, refusal
from tests.make.models import Linear

FIGURES = ("plcc", "srocc", "krocc", "rmse", "n_samples", "feature_dim")
TIMES = ("latency_ms_p50_per_clip", "latency_ms_p95_per_clip")


def of(report: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(report[name] for name in FIGURES)


def drawn(n: int = 300) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(11)
    X = rng.normal(size=(n, 2))
    return X, X[:, 0] + 0.4 * rng.normal(size=n)


def table_of(X: NDArray[np.float64], y: NDArray[np.float64], **more: Any) -> pa.Table:
    return pa.table({"b": pa.array(X[:, 1]), "a": pa.array(X[:, 0]), "mos": pa.array(y), **more})


def test_arrays_and_tables_give_the_figures_of_scipy(linear: Linear, tmp_path: Path) -> None:
    X, y = drawn()
    model = linear("m.onnx", [1.0, 0.5])
    scores = X.astype(np.float32).astype(float) @ [1.0, 0.5]
    report = pyvmaf.evaluate(model, X, y, columns=["a", "b"])
    expected = (
        stats.pearsonr(scores, y).statistic,
        stats.spearmanr(scores, y).statistic,
        stats.kendalltau(scores, y).statistic,
        np.sqrt(np.mean((scores - y) ** 2)),
        300,
        2,
    )
    assert of(report) == pytest.approx(expected, abs=1e-5)
    assert (report["model"], report["split"], report["target"]) == ("m", "all", "y")
    assert 0 < report[TIMES[0]] <= report[TIMES[1]]

    table = table_of(X, y)
    pq.write_table(table, tmp_path / "t.parquet")
    for rows in (table, table.to_pandas(), tmp_path / "t.parquet", str(tmp_path / "t.parquet")):
        again = evaluate(model, rows, split="all", columns=["a", "b"])
        assert of(again) == of(report)
        assert again["target"] == "mos"


def test_rows_that_lack_a_value_are_left_out_and_counted(linear: Linear) -> None:
    X, y = drawn()
    X[3, 1], y[7], y[8] = np.nan, np.inf, np.nan
    report = evaluate(linear("m.onnx", [1.0, 0.5]), X, y, columns=["a", "b"])
    assert (report["n_samples"], report["rows_left_out"]) == (297, 3)
    first = evaluate(linear("m.onnx", [1.0, 0.5]), X, y, columns=["a", "b"], n_rows=100)
    keep = [k for k in range(300) if k not in (3, 7, 8)][:100]
    assert of(first) == of(evaluate(linear("m.onnx", [1.0, 0.5]), X[keep], y[keep], columns=["a", "b"]))


def test_a_registered_model_takes_arrays_in_the_order_of_its_features(
    fp32: Path, with_codec: Path, table: Path
) -> None:
    rows = pq.read_table(table).to_pandas()
    model = pyvmaf.load_model(fp32)
    X = rows[list(model.features)].to_numpy()
    assert of(evaluate(fp32, X, rows["vmaf"].to_numpy())) == of(evaluate(fp32, table, split="all"))
    codec = ("libx264", "medium", 30)
    one = evaluate(with_codec, X[:50], rows["vmaf"][:50].to_numpy(), codec=codec)
    with pytest.warns(UserWarning, match="held"):
        scores = pyvmaf.load_model(with_codec).predict(X[:50], codec).scores
    assert one["rmse"] == pytest.approx(np.sqrt(np.mean((scores - rows["vmaf"][:50]) ** 2)))


def test_the_report_holds_no_time_and_the_manifest_does(fp32: Path, int8: Path, table: Path, tmp_path: Path) -> None:
    words = ("eval", "--model", fp32, "--against", int8, "--features", table, "--split", "all")
    done = command(*words, "--json", "one.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first = (tmp_path / "one.json").read_bytes()
    (tmp_path / "one.json").unlink()
    (tmp_path / "one.json.manifest.json").unlink()
    assert command(*words, "--json", "one.json", cwd=tmp_path).returncode == 0
    assert (tmp_path / "one.json").read_bytes() == first
    report = json.loads(first)
    Draft202012Validator(document("eval").json_schema()).validate(report)
    manifest = read_manifest(tmp_path / "one.json")
    assert manifest["outputs"]["report"]["sha256"] == hashlib.sha256(first).hexdigest()
    measured = manifest["run"]["measured"]
    for times in (measured, measured["against"][0]):
        assert 0 < times[TIMES[0]] <= times[TIMES[1]]
    assert "latency" not in first.decode()
    assert [entry["model"] for entry in report["against"]] == ["small.int8"]
    alone = evaluate(int8, table, split="all")
    assert {key: report["against"][0][key] for key in FIGURES[:4]} == {key: alone[key] for key in FIGURES[:4]}
    assert "small.int8" in done.stdout


@pytest.mark.parametrize(
    ("limit", "passes"),
    [
        (("--min-plcc", 0.5), True),
        (("--min-plcc", 0.9999), False),
        (("--min-srocc", 0.9999), False),
        (("--max-rmse", 10), True),
        (("--max-rmse", 0.01), False),
        (("--min-plcc", 0.5, "--max-rmse", 0.01), False),
    ],
)
def test_a_missed_limit_is_exit_status_1(
    linear: Linear, tmp_path: Path, limit: tuple[str | float, ...], passes: bool
) -> None:
    X, y = drawn()
    pq.write_table(table_of(X, y), tmp_path / "t.parquet")
    words = ("eval", "--model", linear("m.onnx", [1.0, 0.5]), "--features", "t.parquet", "--columns", "a,b")
    done = command(*words, "--split", "all", "--rows", 100, *limit, "--json", "e.json", cwd=tmp_path)
    assert done.returncode == (0 if passes else 1), done.stderr
    report = json.loads((tmp_path / "e.json").read_text())
    assert report["passed"] is passes
    assert report["n_samples"] == 100
    assert ("missed: " in done.stderr) is not passes
    assert "against MOS" in done.stdout


def test_an_undefined_figure_misses_its_limit(linear: Linear) -> None:
    X, y = drawn()
    report = evaluate(linear("flat.onnx", [0.0, 0.0]), X, y, columns=["a", "b"], min_plcc=-1)
    assert report["plcc"] is None
    assert report["missed"] == ["PLCC is not defined, because scores or targets are constant: at least -1 is needed"]


def test_models_are_compared_on_rows_that_all_can_score(linear: Linear) -> None:
    X, y = drawn()
    b = X[:, 1].copy()
    b[:40] = np.nan
    rows = pd.DataFrame({"a": X[:, 0], "b": b, "mos": y})
    wide, narrow = linear("wide.onnx", [1.0, 0.5]), linear("narrow.onnx", [1.0, 0.0])
    report = evaluate(wide, rows, split="all", columns=["a", "b"], against=[narrow])
    assert (report["n_samples"], report["rows_left_out"]) == (260, 40)
    assert report["against"][0]["plcc"] == pytest.approx(stats.pearsonr(X[40:, 0], y[40:]).statistic, abs=1e-6)


# -- splits --------------------------------------------------------------------------------------


def test_the_default_split_has_rows_on_the_table_of_a_run(fp32: Path, table: Path) -> None:
    rows = pq.read_table(table, columns=["source"]).to_pandas()["source"]
    parts = {split: evaluate(fp32, table, split=split) for split in ("test", "val", "train")}
    assert sum(part["n_samples"] for part in parts.values()) == len(rows)
    groups = [set(part["groups"]) for part in parts.values()]
    assert set.union(*groups) == set(rows)
    assert sum(map(len, groups)) == rows.nunique()
    assert evaluate(fp32, table)["groups"] == parts["test"]["groups"]
    assert "too few for the hash" in parts["test"]["split_note"]


def test_enough_keys_keep_the_published_split(linear: Linear) -> None:
    X, y = drawn()
    sources = [f"clip{k % 60}" for k in range(300)]
    rows = table_of(X, y, source=sources)
    for split in ("train", "val", "test"):
        report = evaluate(linear("m.onnx", [1.0, 0.5]), rows, split=split, columns=["a", "b"])
        assert report["groups"] == sorted({s for s in sources if hash_split([s])[0] == split})
        assert report["split_note"] is None


# NumPy drops zero bytes at the end of text.
@given(
    st.sets(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=8),
        min_size=1,
        max_size=60,
    )
)
@example({"0:010", "\U000525b4"})  # Both are in test.
def test_no_side_is_empty_that_keys_could_fill(keys: set[str]) -> None:
    sides = filled_hash_sides(keys)
    assert set(sides) == keys
    published = dict(zip(sorted(keys), hash_split(sorted(keys)).tolist(), strict=True))
    assert "test" in sides.values()
    tested = max(1, list(published.values()).count("test"))
    assert ("val" in sides.values()) == (len(keys) > tested)
    if {"test", "val"} <= set(published.values()):
        assert sides == published
    assert filled_hash_sides(sorted(keys, reverse=True)) == sides


def test_a_table_of_one_source_says_what_has_rows(linear: Linear, tmp_path: Path) -> None:
    X, y = drawn()
    pq.write_table(table_of(X, y, source=["only"] * 300), tmp_path / "t.parquet")
    model = linear("m.onnx", [1.0, 0.5])
    assert evaluate(model, tmp_path / "t.parquet", columns=["a", "b"])["groups"] == ["only"]
    with pytest.raises(InputError, match=r"no usable rows in split 'train'.*take --split test \(300 rows\)"):
        evaluate(model, tmp_path / "t.parquet", split="train", columns=["a", "b"])


# -- refusals ------------------------------------------------------------------------------------


def test_what_does_not_fit_is_one_line(linear: Linear, fp32: Path, tmp_path: Path) -> None:
    X, y = drawn()
    model = linear("m.onnx", [1.0, 0.5])
    pq.write_table(table_of(X, y), tmp_path / "t.parquet")
    for arguments, message in (
        ((model, X[:, :1], y), "X has 1 columns, but .* reads 2: a, b"),
        ((model, X, y[:5]), r"X has shape \(300, 2\) and y \(5,\)"),
        ((model, X, None), "needs y, its target"),
        ((model, tmp_path / "t.parquet", y), "y goes with an array"),
        ((model, X * np.nan, y), "none of the 300 rows of X and y is finite"),
        ((model, [["a", "b"]], [1.0]), "something else than numbers"),
    ):
        with pytest.raises(InputError, match=message):
            evaluate(*arguments, columns=["a", "b"])
    with pytest.raises(InputError, match="but X has the columns of"):
        evaluate(fp32, np.zeros((4, 6)), np.arange(4.0), against=[model], columns=["a", "b"])
    words = ("eval", "--model", model, "--features", "t.parquet")
    assert "name its columns with --columns" in refusal(*words, cwd=tmp_path)
    assert "no input 'features', but input" in refusal(
        *words, "--columns", "a,b", "--input-name", "features", cwd=tmp_path
    )
    assert "has no column 'source'" in refusal(*words, "--columns", "a,b", cwd=tmp_path)
