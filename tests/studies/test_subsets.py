"""A sweep over sets of features: what they are, on which rows, against which figures, and that it resumes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyvmaf.errors import InputError
from pyvmaf.features.catalog import CANONICAL6, FULL
from pyvmaf.models.fit import fit
from pyvmaf.studies import subsets as module
from pyvmaf.studies.reports import SubsetSummary, SubsetSweep, SweptSubset
from pyvmaf.studies.subsets import parse_subsets, subset_sweep
from tests.make.commands import command
from tests.make.documents import read_as
from tests.make.models import spec_file
from tests.make.tables import table_columns, write_table

NAMES = "canonical6,A,adm2+motion2"


@pytest.fixture(scope="module")
def wide_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a feature that is the target but for little noise, one that lacks values, and one that has none."""
    columns = table_columns(frames=4)
    n = len(columns["vmaf"])
    rng = np.random.default_rng(0)
    columns["psnr_y"] = (np.array(columns["vmaf"]) / 2 + rng.normal(0, 0.01, n)).tolist()
    columns["psnr_cb"] = [float("nan") if i % 50 == 0 else 30.0 + i % 7 for i in range(n)]
    columns["ssimulacra2"] = [float("nan")] * n
    path = tmp_path_factory.mktemp("subsets") / "wide.parquet"
    return write_table(path, columns, unavailable={"ssimulacra2": "libvmaf has no such extractor"})


def summary_of(subset: SweptSubset) -> SubsetSummary:
    assert subset.summary is not None
    return subset.summary


def test_sets_features_and_what_is_joined() -> None:
    found = dict(
        parse_subsets("canonical6, C,adm2+motion2 , B-ssimulacra2,canonical6-vif_scale0+psnr_y,available", ["cambi"])
    )
    assert found["canonical6"] == CANONICAL6
    assert found["C"] == FULL
    assert len(found["C"]) == 21
    assert found["adm2+motion2"] == ("adm2", "motion2")
    assert found["B-ssimulacra2"] == ("adm2", "adm_scale3", "vif_scale2", "motion2", "psnr_hvs", "float_ssim")
    assert found["canonical6-vif_scale0+psnr_y"] == (*(f for f in CANONICAL6 if f != "vif_scale0"), "psnr_y")
    assert found["available"] == ("cambi",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("canonical6,adm3", "unknown feature 'adm3'"),
        ("adm2-adm2", "leaves no feature"),
        ("A,A", "one twice"),
        (" , ", "names no subset"),
    ],
)
def test_what_is_no_subset_is_refused(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse_subsets(text)


def test_what_the_table_lacks_is_told_and_the_others_go_on(wide_table: Path, tmp_path: Path) -> None:
    done = command(
        "subset-sweep", "--features", wide_table, "--output", "r.json", "--epochs", 2, "--subsets", "canonical6,A,B,C",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "not possible: A: no row has a value of ssimulacra2 (libvmaf has no such extractor)" in done.stderr
    report = read_as(SubsetSweep, tmp_path / "r.json")
    assert {s.name: s.possible for s in report.subsets} == {
        "canonical6": True,
        "A": False,
        "B": False,
        "C": False,
    }
    b = next(s for s in report.subsets if s.name == "B")
    assert b.reason is not None
    assert "the table has no column adm_scale3, psnr_hvs, float_ssim" in b.reason
    assert b.summary is None
    assert not (tmp_path / "r.json.partial.json").exists()


def test_the_figures_are_those_of_fit_over_all_folds_and_seeds(wide_table: Path, tmp_path: Path) -> None:
    config = spec_file(tmp_path, epochs=3)
    report = subset_sweep(
        wide_table, tmp_path / "r.json", subsets="canonical6,psnr_y+motion2", config=config, seeds=(0, 4)
    )
    other = spec_file(tmp_path, "other", epochs=3, inputs={"features": ["psnr_y", "motion2"]})
    folds = [f for seed in (0, 4) for f in fit(other, wide_table, tmp_path / "fit", seed=seed).loso["folds"]]
    summary = summary_of(report.subsets[1])
    for name in ("plcc", "srocc", "krocc", "rmse"):
        values = [f[name] for f in folds]
        assert getattr(summary, f"mean_{name}") == pytest.approx(np.mean(values), rel=1e-12)
        assert getattr(summary, f"std_{name}") == pytest.approx(np.std(values, ddof=1), rel=1e-12)
    assert summary.min_plcc == min(f["plcc"] for f in folds)
    assert len(folds) == 8


def test_all_subsets_are_judged_on_the_same_rows(wide_table: Path, tmp_path: Path) -> None:
    report = subset_sweep(wide_table, tmp_path / "r.json", subsets="canonical6,adm2+psnr_cb", epochs=1)
    rows = {s.name: sum(f.n for f in s.per_seed[0].folds) for s in report.subsets if s.per_seed is not None}
    assert rows == dict.fromkeys(["canonical6", "adm2+psnr_cb"], report.table.rows_used)
    assert report.table.rows_used == 144 - 3


def test_a_subset_is_taken_only_where_it_pays(wide_table: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "subsets": "canonical6,adm2+vif_scale2+vif_scale3,motion2",
        "epochs": 4,
        "lr": 0.01,
        "batch_size": 16,
    }
    easy = subset_sweep(wide_table, tmp_path / "a.json", margin=1e-6, **options)
    assert easy.take == easy.best == "adm2+vif_scale2+vif_scale3"
    by_name = {s.name: s for s in easy.subsets}
    assert by_name["canonical6"].beats_baseline is None
    assert by_name["motion2"].beats_baseline is False
    delta = by_name["adm2+vif_scale2+vif_scale3"].delta_plcc
    gained, base = (
        summary_of(by_name["adm2+vif_scale2+vif_scale3"]).mean_plcc,
        summary_of(by_name["canonical6"]).mean_plcc,
    )
    assert gained is not None
    assert base is not None
    assert delta == gained - base
    hard = subset_sweep(wide_table, tmp_path / "b.json", margin=0.5, **options)
    assert (hard.take, hard.best) == ("canonical6", "adm2+vif_scale2+vif_scale3")
    assert "None can" in hard.note


def test_without_the_baseline_nothing_is_beaten(wide_table: Path, tmp_path: Path) -> None:
    report = subset_sweep(wide_table, tmp_path / "r.json", subsets="adm2+motion2", epochs=1)
    assert report.baseline is None
    assert report.subsets[0].delta_plcc is None


def _counting(monkeypatch: pytest.MonkeyPatch, fail_at: int | None = None) -> list[int]:
    seeds: list[int] = []
    real: Callable[..., Any] = fit

    def counted(*args: Any, **options: Any) -> Any:
        if len(seeds) == fail_at:
            raise KeyboardInterrupt
        seeds.append(options["seed"])
        return real(*args, **options)

    monkeypatch.setattr(module, "fit", counted)
    return seeds


def test_an_interrupted_sweep_goes_on_where_it_was(
    wide_table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"subsets": NAMES, "epochs": 1, "seeds": (0, 1)}
    whole = subset_sweep(wide_table, tmp_path / "whole.json", **options)
    with monkeypatch.context() as patch:
        assert _counting(patch, fail_at=3) == []
        with pytest.raises(KeyboardInterrupt):
            subset_sweep(wide_table, tmp_path / "parts.json", **options)
    assert not (tmp_path / "parts.json").exists()
    with monkeypatch.context() as patch:
        seeds = _counting(patch)
        parts = subset_sweep(wide_table, tmp_path / "parts.json", **options)
        assert seeds == [1]
    assert parts.subsets == whole.subsets


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"seeds": ()}, "--seeds must be distinct and at least one"),
        ({"seeds": (1, 1)}, "--seeds must be distinct"),
        ({"subsets": "A,B"}, "no subset can be tried: A: "),
        ({"target": "mos"}, "no column 'mos'"),
        ({"lr": -1.0}, "optimiser.lr"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], says: str, wide_table: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says):
        subset_sweep(wide_table, tmp_path / "r.json", **options)
    assert not (tmp_path / "r.json").exists()
