"""The closing summary: figures computed anew from the predictions, with scipy and numpy alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyvmaf.base.files import sha256_file, write_json
from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.registry.verify import verify
from pyvmaf.reports.summary import OverSeeds, Summary, over_seeds, write_summary
from tests.make.commands import command
from tests.make.documents import read_as

SUMMARY = Path("results/reports/summary.json")


def test_the_figures_are_those_of_the_predictions(results: Path) -> None:
    import pandas as pd
    from scipy import stats

    data = write_summary(["results"], SUMMARY)
    assert read_as(Summary, SUMMARY) == data
    small = next(m for m in data.models if m.model == "small")
    means = []
    for seed in (0, 1):
        frame = pd.read_parquet(results / f"models/small/seed{seed}/predictions.parquet")
        folds = [part for _, part in frame.groupby("fold", observed=True)]
        means.append(
            (
                np.mean([stats.pearsonr(f["prediction"], f["target"])[0] for f in folds]),
                np.mean([stats.spearmanr(f["prediction"], f["target"])[0] for f in folds]),
                np.mean([np.sqrt(np.mean((f["prediction"] - f["target"]) ** 2)) for f in folds]),
            )
        )
    for column, name in enumerate(("plcc", "srocc", "rmse")):
        values = [m[column] for m in means]
        assert getattr(small.loso, name).mean == pytest.approx(np.mean(values), abs=1e-12)
        assert getattr(small.loso, name).std == pytest.approx(np.std(values, ddof=1), abs=1e-12)
    assert small.onnx_bytes == (results / f"models/small/seed{small.shown_seed}/model.onnx").stat().st_size
    assert small.verdict == "PROMOTE"
    held = next(m for m in data.models if m.model == "held")
    assert held.verdict == "HOLD"
    assert "0.95" in str(held.reason)
    assert held.loso.plcc.std is None  # one seed has no spread


def test_the_command_prints_it_all_and_leaves_a_manifest(results: Path) -> None:
    done = command("summary", "--results", "results")
    assert done.returncode == 0, done.stderr
    data = json.loads(SUMMARY.read_text())
    small = next(m for m in data["models"] if m["model"] == "small")
    for expected in (
        f"{small['loso']['plcc']['mean']:.4f} ± {small['loso']['plcc']['std']:.4f}",
        f"{small['loso']['rmse']['mean']:.3f}",
        "PROMOTE",
        "HOLD",
        "held is held: mean PLCC",
    ):
        assert expected in done.stdout
    [variant] = [line.split() for line in done.stdout.splitlines() if "static_qdq" in line and "small" in line]
    assert f"{small['int8'][0]['drop']:.5f}" in variant
    assert "passed" in variant
    assert verify("results").clean
    # Looking again changes nothing, whatever way it is asked for.
    files = [SUMMARY, Path(f"{SUMMARY}.manifest.json")]
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in files]
    assert command("summary").stdout == done.stdout
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in files] == before


def test_predictions_of_another_fit_are_refused(results: Path) -> None:
    one, other = (results / f"models/small/seed{s}/predictions.parquet" for s in (0, 1))
    one.write_bytes(other.read_bytes())
    with pytest.raises(IntegrityError, match="was made from") as caught:
        write_summary(["results"], SUMMARY)
    assert sha256_file(other) in str(caught.value)
    assert not SUMMARY.exists()


def test_a_fold_of_constant_predictions_is_the_worst_and_leaves_no_mean(results: Path) -> None:
    path = results / "models/small/seed1/loso.json"
    body = json.loads(path.read_text())
    body["folds"][2] |= {"plcc": None, "srocc": None, "krocc": None}
    body |= {"mean_plcc": None, "mean_srocc": None, "mean_krocc": None}
    write_json(path, body)
    (results / "models/small/seed1/predictions.parquet").unlink()
    done = command("summary", "results")
    assert done.returncode == 0, done.stderr
    small = next(m for m in json.loads(SUMMARY.read_text())["models"] if m["model"] == "small")
    assert small["loso"]["plcc"] == {"mean": None, "std": None}
    assert small["worst_fold"] == {"plcc": None, "held_out": "carphone", "seed": 1}
    assert "carphone with PLCC not defined (constant predictions) (seed 1)" in done.stdout
    done = command("report", "results")
    assert done.returncode == 0, done.stderr
    page = Path("results/reports/report.html").read_text()
    assert "because the predictions are constant: small, carphone, seed 1." in page


def test_files_that_are_not_of_a_run_are_refused(results: Path) -> None:
    with pytest.raises(InputError, match=r"there is no loso\.json"):
        write_summary(["results/tables"], SUMMARY)
    write_json(Path("other.json"), {"hello": 1})
    with pytest.raises(InputError, match=r"other\.json .* results/models/\{model\}/verdict\.json"):
        write_summary(["results", "other.json"], SUMMARY)


@given(st.lists(st.floats(-1, 1) | st.none(), min_size=1, max_size=8))
def test_a_mean_over_seeds_is_never_taken_over_fewer(values: list[float | None]) -> None:
    figure = over_seeds(values)
    known = [v for v in values if v is not None]
    if len(known) < len(values):
        assert figure == OverSeeds(mean=None, std=None)
    else:
        assert figure.mean == pytest.approx(np.mean(known))
        assert (figure.std is None) == (len(known) == 1)
