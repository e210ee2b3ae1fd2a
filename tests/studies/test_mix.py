"""A table whose groups are known: which one matters, which one repeats another, which one is half empty."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import GroupKFold

from pyvmaf.base.manifest import read_manifest
from pyvmaf.errors import InputError
from pyvmaf.studies import mix
from pyvmaf.studies.mix import signal_mix_audit
from pyvmaf.studies.reports import SignalGroup, SignalMixAudit
from tests.make.commands import command, refusal
from tests.make.documents import read_as
from tests.make.tables import write_table

N = 600


def columns() -> dict[str, list[Any]]:
    """The target is adm2, motion2 and the encoder; vif_scale0 repeats adm2; nr_score is there for a third of the rows."""
    rng = np.random.default_rng(7)
    adm2, motion2 = rng.uniform(0.5, 1, N), rng.uniform(0, 9, N)
    encoder = np.arange(N) // 3 % 2
    nr_score = rng.normal(0, 1, N)
    nr_score[np.arange(N) % 3 != 0] = np.nan
    nan = [float("nan")] * N
    return {
        "source": [f"scene{i % 10}" for i in range(N)],
        "codec": ["libx264" if e else "libx265" for e in encoder],
        "encoder": ["libx264" if e else "libx265" for e in encoder],
        "preset": ["medium"] * N,
        "crf": [30] * N,
        "frame_index": list(range(N)),
        "adm2": adm2.tolist(),
        "adm_scale0": nan,
        "vif_scale0": (2 * adm2 + rng.normal(0, 1e-3, N)).tolist(),
        "motion2": motion2.tolist(),
        "psnr_y": rng.uniform(20, 40, N).tolist(),
        "cambi": nan,
        "float_ssim": [1.0] * N,
        "nr_score": nr_score.tolist(),
        "mos": rng.uniform(1, 5, N).tolist(),
        "vmaf": (60 * adm2 + 3 * motion2 + 8 * encoder + rng.normal(0, 0.1, N)).tolist(),
    }


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("mix") / "known.parquet", columns())


@pytest.fixture(scope="module")
def report(known: Path) -> SignalMixAudit:
    return signal_mix_audit(known)


def group(report: SignalMixAudit, name: str) -> SignalGroup:
    [found] = [group for group in report.groups if group.name == name]
    return found


def test_columns_are_in_their_groups(report: SignalMixAudit) -> None:
    assert {g.name: g.columns for g in report.groups} == {
        "canonical6": ["adm2", "vif_scale0", "motion2"],
        "adm": ["adm2"],
        "vif": ["vif_scale0"],
        "motion": ["motion2"],
        "psnr": ["psnr_y"],
        "codec": ["encoder_onehot[libx264]", "encoder_onehot[libx265]"],
        "second opinions": ["nr_score"],
    }
    assert report.groups_without_values == {"cambi": ["cambi"], "ssim": ["float_ssim"]}
    assert report.left_out["mos"] == "is an opinion score"
    assert report.left_out["float_ssim"] == "is 1 in every row"
    assert report.left_out["adm_scale0"] == "has no value"
    assert report.left_out["frame_index"] == "is a label or a count"


def test_coverage_is_counted(report: SignalMixAudit) -> None:
    other = group(report, "second opinions")
    assert (other.coverage, other.coverage_any) == (200 / N, 200 / N)
    assert other.missing_share == pytest.approx(2 / 3)
    adm = group(report, "adm")
    assert (adm.coverage, adm.coverage_any) == (0, 1)
    assert adm.missing_by_column == {"adm2": 0, "adm_scale0": 1}
    assert group(report, "codec").coverage == 1


def test_redundancy_is_the_largest_r_with_another_group(report: SignalMixAudit) -> None:
    data = columns()
    expected = stats.pearsonr(data["adm2"], data["vif_scale0"]).statistic
    [pair] = group(report, "adm").redundancy
    assert (pair.column, pair.other) == ("adm2", "vif_scale0")
    assert pair.r == pytest.approx(expected, abs=1e-9)
    assert group(report, "adm").redundant_columns == ["adm2"]
    # Inside of canonical6 they repeat each other; outside of it nothing does.
    assert group(report, "canonical6").highest_r < 0.5  # type: ignore[operator]
    there = np.isfinite(data["nr_score"])
    [pair] = group(report, "second opinions").redundancy
    strongest = max(
        abs(stats.pearsonr(np.array(data["nr_score"])[there], np.array(data[name], float)[there]).statistic)
        for name in ("adm2", "vif_scale0", "motion2", "psnr_y")
    )
    assert abs(pair.r) >= strongest - 1e-9


def test_what_matters_is_missed_and_what_is_repeated_is_not(report: SignalMixAudit) -> None:
    assert report.folds == 5
    assert report.whole.mean_plcc is not None
    assert report.whole.mean_plcc > 0.98
    for name in ("motion", "codec", "canonical6"):
        found = group(report, name)
        assert found.loss.rmse > 2
        assert found.loss.folds_worse == 5
        assert found.contribution.rmse > 2
    for name in ("adm", "vif", "psnr", "second opinions"):
        assert group(report, name).loss.rmse < 0.3
    # The other column takes its place in a new fit, but the fitted model has used it.
    assert group(report, "adm").contribution.rmse + group(report, "vif").contribution.rmse > 2
    assert group(report, "psnr").alone.mean_rmse > 8
    assert "adm, vif" in report.notes[0]
    assert "second opinions (33%)" in report.notes[1]


def test_the_figures_are_of_rows_of_sources_that_were_not_seen(known: Path, report: SignalMixAudit) -> None:
    """The figure of one fold, computed anew."""
    data = columns()
    encoder = np.array(data["encoder"]) == "libx264"
    X = np.column_stack(
        [data[name] for name in ("adm2", "vif_scale0", "motion2", "psnr_y", "nr_score")] + [encoder, ~encoder]
    ).astype(float)
    y, sources = np.array(data["vmaf"]), np.array(data["source"])
    train, test = next(iter(GroupKFold(5).split(X, groups=sources)))
    assert not set(sources[train]) & set(sources[test])
    model = HistGradientBoostingRegressor(
        max_iter=60, learning_rate=0.15, max_leaf_nodes=15, min_samples_leaf=20, early_stopping=False, random_state=0
    ).fit(X[train], y[train])
    predicted = model.predict(X[test])
    assert report.whole.per_fold_rmse[0] == pytest.approx(np.sqrt(np.mean((predicted - y[test]) ** 2)), rel=1e-6)
    assert report.whole.per_fold_plcc[0] == pytest.approx(stats.pearsonr(predicted, y[test]).statistic, rel=1e-6)


def test_other_targets_groups_and_keys(known: Path) -> None:
    found = signal_mix_audit(known, target="mos", by="encoder", groups={"pair": ["adm2", "psnr*"], "mine": ["nr_*"]})
    assert group(found, "pair").columns == ["adm2", "psnr_y"]
    assert group(found, "mine").columns == ["nr_score"]
    assert group(found, "teacher").columns == ["vmaf"]
    assert "second opinions" not in [g.name for g in found.groups]
    assert found.folds == 2


def test_a_sample_and_pooled_columns(tmp_path: Path) -> None:
    data = {f"{name}_mean" if name in ("adm2", "motion2", "vmaf") else name: v for name, v in columns().items()}
    data["vmaf_p5"] = data["vmaf_mean"]
    data["adm2_count"] = [5] * (N - 1) + [4]
    found = signal_mix_audit(write_table(tmp_path / "t.parquet", data), target="vmaf_mean", max_rows=300)
    assert (found.n_rows_clean, found.n_rows_used) == (N, 300)
    assert group(found, "adm").columns == ["adm2_mean"]
    assert found.left_out["vmaf_p5"] == "is a statistic of the target's own vmaf"
    assert found.left_out["adm2_count"] == "is a label or a count"
    assert "drawn with seed 0" in found.notes[-1]


def test_on_the_command_line(known: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Threads that meet after every split of a small table take longer than the splits.
    monkeypatch.setattr(mix, "_ROUNDS", 6)
    words = ["signal-mix-audit", "--features", known, "--out-json", "m.json", "--plot", "m.svg", "--group", "nr=nr_*"]
    words += ["--max-rows", "300"]
    bytes_of = []
    for threads in (1, 2):
        done = command(*words, "--threads", threads, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        bytes_of.append([(tmp_path / name).read_bytes() for name in ("m.json", "m.svg")])
    assert bytes_of[0][1] == bytes_of[1][1]
    report = read_as(SignalMixAudit, tmp_path / "m.json")
    assert b"RMSE more without the group" in bytes_of[0][1]
    first, second = (SignalMixAudit.parse(texts[0], "m.json").as_json() for texts in bytes_of)
    # Only the recorded command differs.
    assert first | {"run_provenance": None} == second | {"run_provenance": None}
    assert read_manifest(tmp_path / "m.json")["outputs"].keys() == {"report", "plot"}
    assert report.groups[-1].name == "codec"
    for name in ("canonical6", "nr", "nothing to learn from", "left out: mos"):
        assert name in done.stdout + done.stderr


def test_what_does_not_work_is_one_line(known: Path, tmp_path: Path) -> None:
    words = ("signal-mix-audit", "--features", known)
    assert "no column 'key', whose values the folds keep together" in refusal(*words, "--by", "key")
    assert "no numeric column 'source' to predict" in refusal(*words, "--target", "source")
    assert "--group x=nothing matches no column" in refusal(*words, "--group", "x=nothing")
    assert "is not of the form NAME=COLUMN" in refusal(*words, "--group", "x")
    assert "all rows of" in refusal(*words, "--by", "preset")
    assert "name ends in .svg" in refusal(*words, "--plot", tmp_path / "m.gif")
    few = {name: values[:6] for name, values in columns().items()}
    with pytest.raises(InputError, match=r"columns over 6 rows .* are too few"):
        signal_mix_audit(write_table(tmp_path / "few.parquet", few))
