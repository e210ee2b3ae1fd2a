"""A table whose relations are known: what repeats what, what matters, what is left out, and what folds keep together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pyvmaf.base.manifest import read_manifest
from pyvmaf.errors import InputError, MissingFileError
from pyvmaf.studies.correlation import feature_correlation, make_folds
from pyvmaf.studies.reports import FeatureCorrelation
from tests.make.commands import command
from tests.make.documents import read_as
from tests.make.tables import write_table

N = 240


def columns() -> dict[str, list[Any]]:
    """adm2 and motion2 make the target; vif_scale0 repeats adm2; psnr_y is noise; cambi is never there."""
    rng = np.random.default_rng(7)
    adm2, motion2 = rng.uniform(0.5, 1, N), rng.uniform(0, 9, N)
    gaps = rng.uniform(20, 40, N)
    gaps[::60] = np.nan
    return {
        "source": [f"scene{i % 6}" for i in range(N)],
        "codec": ["libx264"] * N,
        "crf": [20 + i % 3 for i in range(N)],
        "adm2": adm2.tolist(),
        "vif_scale0": (2 * adm2 + rng.normal(0, 1e-3, N)).tolist(),
        "motion2": motion2.tolist(),
        "psnr_y": gaps.tolist(),
        "float_ssim": [1.0] * N,
        "cambi": [float("nan")] * N,
        "vmaf": (100 * adm2 + 3 * motion2 + rng.normal(0, 0.1, N)).tolist(),
    }


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That table, with the reason why it has no cambi."""
    path = tmp_path_factory.mktemp("correlation") / "known.parquet"
    return write_table(path, columns(), unavailable={"cambi": "frames are too small"})


@pytest.fixture(scope="module")
def report(known: Path) -> FeatureCorrelation:
    """Report of the study of that table."""
    return feature_correlation(known, top_k=2)


def test_columns_that_are_no_features_or_have_no_values_are_left_out_and_named(report: FeatureCorrelation) -> None:
    assert report.feature_cols == ["adm2", "vif_scale0", "motion2", "psnr_y"]
    assert report.left_out == {
        "cambi": "240 of 240 rows lack a value (frames are too small)",
        "codec": "holds string, not numbers",
        "crf": "is not a feature of the catalog",
        "float_ssim": "is 1 in every row",
        "source": "holds string, not numbers",
    }
    assert (report.n_rows_clean, report.table.rows) == (N - 4, N)


def test_correlations_are_pearsons(report: FeatureCorrelation) -> None:
    data = columns()
    there = np.isfinite(data["psnr_y"])
    names, r = report.pearson.columns, np.array(report.pearson.r)
    assert names == [*report.feature_cols, "vmaf"]
    for i, a in enumerate(names):
        for j, b in enumerate(names):
            expected = stats.pearsonr(np.array(data[a])[there], np.array(data[b])[there]).statistic
            assert r[i, j] == pytest.approx(expected, abs=1e-12)


def test_what_says_the_same_is_found(report: FeatureCorrelation) -> None:
    assert [(p.a, p.b) for p in report.redundant_pairs] == [("adm2", "vif_scale0")]
    assert report.redundant_pairs[0].r > 0.999


def test_what_matters_comes_first_and_noise_last(report: FeatureCorrelation) -> None:
    for method, weights in report.importances.model_dump().items():
        assert min(weights, key=lambda name: weights[name]) in ("psnr_y", "vif_scale0"), method
        assert weights["psnr_y"] < weights["motion2"], method
    assert "motion2" in report.consensus_topk or "adm2" in report.consensus_topk
    tops = [set(names) for names in report.per_method_topk.model_dump().values()]
    assert set(report.consensus_topk) == tops[0] & tops[1] & tops[2]
    assert all(len(names) <= 2 for names in report.per_method_topk.model_dump().values())


def test_a_weight_of_zero_is_no_rank(known: Path) -> None:
    found = feature_correlation(known, top_k=4)
    for method, names in found.per_method_topk.model_dump().items():
        assert names == sorted(names, key=lambda n: -getattr(found.importances, method)[n])
        assert all(getattr(found.importances, method)[n] > 0 for n in names)
    assert "consensus leaves out little" in found.note


@settings(max_examples=30)
@given(st.lists(st.integers(0, 7), min_size=10, max_size=80))
def test_no_source_is_on_both_sides_of_a_fold(places: list[int]) -> None:
    groups = np.array([f"s{i}" for i in places], dtype=np.str_)
    folds, how = make_folds(groups, groups.size, "source")
    if np.unique(groups).size < 2:
        assert how.by is None
        return
    assert how.by == "source"
    assert len(folds) == how.folds == min(5, np.unique(groups).size)
    for train, test in folds:
        assert not set(groups[train]) & set(groups[test])


def test_rows_are_split_by_chance_only_where_nothing_tells_sources_apart(tmp_path: Path) -> None:
    data = columns()
    del data["source"]
    found = feature_correlation(write_table(tmp_path / "t.parquet", data))
    assert found.cross_validation.by is None
    assert "no column 'source': rows were split at random" in found.cross_validation.note


def test_named_columns_and_another_target(known: Path) -> None:
    found = feature_correlation(known, target="crf", columns=["adm2", "motion2"])
    assert found.feature_cols == ["adm2", "motion2"]
    assert found.target == "crf"


def test_a_sample_is_a_sample(known: Path) -> None:
    found = feature_correlation(known, max_rows=100)
    assert (found.n_rows_clean, found.n_rows_used) == (N - 4, 100)


def test_on_the_command_line(known: Path, tmp_path: Path) -> None:
    words = ["feature-correlation", "--parquet", known, "--out", "r.json", "--plot"]
    bytes_of = []
    for _ in range(2):
        done = command(*words, "heat.svg", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        bytes_of.append([(tmp_path / name).read_bytes() for name in ("r.json", "heat.svg")])
    assert bytes_of[0] == bytes_of[1]
    read_as(FeatureCorrelation, tmp_path / "r.json")
    assert "redundant: adm2 and vif_scale0" in done.stdout
    assert "left out: cambi" in done.stderr
    assert set(read_manifest(tmp_path / "r.json")["outputs"]) == {"report", "plot"}
    assert command(*words, "heat.html", cwd=tmp_path).returncode == 0
    page = (tmp_path / "heat.html").read_text()
    assert "vega" in page
    assert 'src="http' not in page


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"target": "mos"}, "no numeric column 'mos'"),
        ({"target": "codec"}, "no numeric column 'codec'"),
        ({"columns": ["adm2", "nope"]}, "no numeric column 'nope'"),
        ({"columns": ["adm2"]}, "1 features over 240 usable rows"),
        ({"columns": ["adm2", "float_ssim"]}, "float_ssim.*is 1 in every row"),
        ({"redundancy_threshold": 1.5}, "must lie in"),
        ({"top_k": 0}, "--top-k must be 1 or more"),
        ({"plot": Path("heat.jpg")}, r"ends in .svg, .png, .html, not in '.jpg'"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], says: str, known: Path) -> None:
    with pytest.raises(InputError, match=says):
        feature_correlation(known, **options)


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="no such file"):
        feature_correlation(tmp_path / "none.parquet")
