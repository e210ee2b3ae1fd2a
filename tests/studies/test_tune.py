"""A search over a spec: what it measures, that it resumes and repeats, and what it leaves behind."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from pyvmaf.base.manifest import read_manifest
from pyvmaf.errors import InputError, PyvmafError, UnavailableError
from pyvmaf.models.fit import fit
from pyvmaf.models.spec import load_spec
from pyvmaf.studies.reports import Tuning
from pyvmaf.studies.trial import OBJECTIVES
from pyvmaf.studies.tune import public_url, tune
from tests.make.commands import command
from tests.make.documents import read_as
from tests.make.models import spec_file
from tests.make.studies import stop_after
from tests.make.tables import table_columns, write_table

PARAMS = ("optimiser.lr=float:1e-4:1e-1:log", "network.hidden=choice:[4],[8,4],[]", "batch_size=int:16:64")


def run(spec: Path, table: Path, output: Path, **options: Any) -> Tuning:
    settings: dict[str, Any] = {"trials": 4, "confirm": 0, "plot": False, "prune": False}
    return tune(spec, table, output, options.pop("params", PARAMS), **settings | options)


def results(report: Tuning) -> list[tuple[Any, ...]]:
    """Return what trials tried and reached, without their numbers."""
    return [(trial.state, trial.params, trial.value, trial.figures) for trial in report.trials]


@pytest.fixture(scope="module")
def searched(small_spec: Path, small_table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study that ran through on the command line."""
    output = tmp_path_factory.mktemp("tune") / "out"
    words = [f"--param={p}" for p in PARAMS]
    done = command(
        "tune", "--config", small_spec, "--features", small_table, "--output", output, "--trials", 6, "--confirm", 2,
        *words, cwd=output.parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "gain" in done.stdout
    return output


def test_the_report_conforms_and_every_trial_has_its_folder(searched: Path) -> None:
    report = read_as(Tuning, searched / "tune.json")
    assert report.n_trials == 6
    for trial in report.trials:
        folder = searched / f"trial_{trial.trial:03d}"
        spec = yaml.safe_load((folder / "small.yaml").read_text())
        assert spec["optimiser"]["lr"] == trial.params["optimiser.lr"]
        assert spec["network"]["hidden"] == trial.params["network.hidden"]
        assert (folder / "loso.json").is_file() == (trial.state == "complete")
    assert {"report", "best_spec", "plot", "specs"} == set(read_manifest(searched / "tune.json")["outputs"])
    assert (searched / "tune.svg").read_text().startswith("<svg")


def test_the_objective_is_the_mean_rmse_of_rows_that_the_folds_did_not_see(searched: Path) -> None:
    report = Tuning.read(searched / "tune.json")
    for trial in report.trials:
        if trial.state == "complete":
            rows = pq.read_table(searched / f"trial_{trial.trial:03d}" / "predictions.parquet").to_pandas()
            assert (rows["fold"].astype(str) == rows["source"].astype(str)).all()
            squares = (rows["prediction"] - rows["target"]) ** 2
            by_fold = np.sqrt(squares.groupby(rows["fold"].astype(str)).mean())
            assert trial.value == pytest.approx(by_fold.mean(), rel=1e-6)


def test_the_best_trial_is_a_spec_that_fit_takes_and_that_gives_its_value(
    searched: Path, small_table: Path, tmp_path: Path
) -> None:
    report = Tuning.read(searched / "tune.json")
    best = report.best
    assert best.value == min(t.value for t in report.trials if t.value is not None)
    again = fit(searched / best.spec, small_table, tmp_path, seed=report.seed).loso
    assert again["model"] == "small_tuned"
    assert again["mean_rmse"] == best.value


def test_base_and_best_are_compared_on_seeds_that_chose_nothing(
    searched: Path, small_spec: Path, small_table: Path, tmp_path: Path
) -> None:
    found = Tuning.read(searched / "tune.json").confirmation
    assert found is not None
    assert [fit.seed for fit in found.base] == [fit.seed for fit in found.best] == [0, 1, 2]
    assert found.base[2].value == fit(small_spec, small_table, tmp_path, seed=2).loso["mean_rmse"]
    gain = np.mean([a.value - b.value for a, b in zip(found.base[1:], found.best[1:], strict=True)])
    assert found.gain_on_further_seeds == pytest.approx(gain)


def test_the_same_command_repeats_itself(searched: Path, small_spec: Path, small_table: Path, tmp_path: Path) -> None:
    before = Tuning.read(searched / "tune.json")
    again = run(small_spec, small_table, tmp_path, trials=6, prune=True)
    assert results(again) == results(before)
    other = run(small_spec, small_table, tmp_path / "other", trials=2, seed=1)
    assert results(other)[0][1] != results(before)[0][1]


def test_an_interrupted_study_goes_on_as_if_it_had_not_been(
    small_spec: Path, small_table: Path, tmp_path: Path
) -> None:
    whole = run(small_spec, small_table, tmp_path / "whole")
    for stop in (1, 3):
        with pytest.raises(KeyboardInterrupt):
            run(small_spec, small_table, tmp_path / "parts", on_trial=stop_after(stop))
        assert not (tmp_path / "parts" / "tune.json").exists()
    parts = run(small_spec, small_table, tmp_path / "parts")
    assert results(parts) == results(whole)
    # A finished study is only reported again, and grows when more is asked for.
    assert results(run(small_spec, small_table, tmp_path / "parts")) == results(whole)
    assert results(run(small_spec, small_table, tmp_path / "parts", trials=5))[:4] == results(whole)


def test_what_a_trial_reports_on_the_way_is_what_a_shorter_fit_reaches(
    small_spec: Path, small_table: Path, tmp_path: Path
) -> None:
    found = run(small_spec, small_table, tmp_path, trials=1)
    on_the_way = dict(found.trials[0].on_the_way)
    assert sorted(on_the_way) == [1, 2, 3, 4, 5, 6, 7]
    for epochs in (2, 5):
        short = fit(tmp_path / "trial_000" / "small.yaml", small_table, tmp_path / "short", seed=0, epochs=epochs)
        assert short.loso["mean_rmse"] == on_the_way[epochs]


def test_trials_below_the_median_are_ended_early(small_spec: Path, small_table: Path, tmp_path: Path) -> None:
    report = run(small_spec, small_table, tmp_path, trials=12, prune=True)
    pruned = [t for t in report.trials if t.state == "pruned"]
    assert pruned
    assert report.n_by_state.pruned == len(pruned)
    for trial in pruned:
        step, value = trial.on_the_way[-1]
        assert step < 8
        before = [dict(t.on_the_way)[step] for t in report.trials[: trial.trial] if t.state == "complete"]
        assert value > np.median(before)
        assert not (tmp_path / f"trial_{trial.trial:03d}" / "loso.json").exists()


def test_values_that_do_not_work_are_a_result_of_their_own(small_table: Path, tmp_path: Path) -> None:
    spec = spec_file(tmp_path, epochs=2)
    report = run(spec, small_table, tmp_path / "some", params=["network.dropout=choice:0.0,0.1,7"], trials=8)
    failed = [t for t in report.trials if t.state == "failed"]
    assert {t.params["network.dropout"] for t in failed} == {7}
    assert all("network.dropout" in str(t.error) and t.value is None for t in failed)
    assert report.best.params["network.dropout"] in (0.0, 0.1)
    with pytest.raises(PyvmafError, match="none of 2 trials has a value; the first failed with: the training loss"):
        run(spec, small_table, tmp_path / "none", params=["optimiser.lr=float:1e29:1e30"], trials=2)


def test_a_study_over_something_else_is_not_mixed_in(small_spec: Path, small_table: Path, tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'shared' / 'study.db'}"
    run(small_spec, small_table, tmp_path / "out", trials=1, storage=storage)
    table = write_table(tmp_path / "other.parquet", table_columns(frames=4, seed=5))
    with pytest.raises(InputError, match=r"with another plan .*table_sha256"):
        run(small_spec, table, tmp_path / "out", storage=storage)
    with pytest.raises(InputError, match=r"with another plan .*space"):
        run(small_spec, small_table, tmp_path / "out", storage=storage, params=PARAMS[:1])
    with pytest.raises(InputError, match=r"with another plan .*objective 'rmse', now 'plcc'"):
        run(small_spec, small_table, tmp_path / "out", storage=storage, objective="plcc")
    run(small_spec, table, tmp_path / "out", trials=1, storage=storage, study_name="another")


def test_a_fold_without_correlation_is_the_worst_of_all() -> None:
    assert OBJECTIVES["plcc"]({"mean_plcc": None, "mean_rmse": 3.0}) == 2.0
    assert OBJECTIVES["plcc"]({"mean_plcc": 0.75, "mean_rmse": 3.0}) == 0.25
    assert OBJECTIVES["rmse"]({"mean_plcc": None, "mean_rmse": 3.0}) == 3.0


def test_the_objective_can_be_correlation(small_spec: Path, small_table: Path, tmp_path: Path) -> None:
    report = run(small_spec, small_table, tmp_path, trials=2, objective="plcc", epochs=3)
    for trial in report.trials:
        assert trial.figures is not None
        assert trial.figures.mean_plcc is not None
        assert trial.value == 1 - trial.figures.mean_plcc
        assert trial.figures.epochs == 3
    assert load_spec(tmp_path / report.best.spec).epochs == 3


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"trials": 0}, "--trials must be 1 or more"),
        ({"objective": "rmes"}, "did you mean 'rmse'"),
        ({"backend": "dask"}, "unknown backend 'dask'"),
        ({"epochs": 3, "params": ["epochs=int:1:3"]}, "leave one of them out"),
        ({"storage": "nosuch:///here"}, "cannot be opened"),
    ],
)
def test_what_cannot_be_is_refused(
    options: dict[str, Any], says: str, small_spec: Path, small_table: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=says):
        run(small_spec, small_table, tmp_path, **options)
    assert not list(tmp_path.glob("trial_*"))


def test_what_is_not_installed_is_named(
    small_spec: Path, small_table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UnavailableError, match=r"not installed: pip install 'vmaf-train\[tune\]'"):
        run(small_spec, small_table, tmp_path / "ray", backend="ray")
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UnavailableError, match=r"optuna, which is not installed: .*vmaf-train\[tune\]"):
        run(small_spec, small_table, tmp_path / "optuna")


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray, of the extra 'tune', is not installed")
@pytest.mark.filterwarnings("default")
def test_ray_runs_the_same_study(small_spec: Path, small_table: Path, tmp_path: Path) -> None:
    here = run(small_spec, small_table, tmp_path / "here", trials=3)
    there = run(small_spec, small_table, tmp_path / "there", trials=3, backend="ray", jobs=1)
    assert results(there) == results(here)
    assert (tmp_path / "there" / "trial_002" / "loso.json").is_file()


def test_a_storage_is_shown_without_secrets_and_without_this_machine(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert public_url(f"sqlite:///{tmp_path / 'out' / 'study.db'}") == "sqlite:///out/study.db"
    assert "secret" not in public_url("postgresql://me:secret@there/db")


def test_every_file_of_a_study_is_accounted_for(searched: Path) -> None:
    done = command("verify", ".", cwd=searched)
    assert done.returncode == 0, done.stdout
