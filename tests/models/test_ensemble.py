"""Ensembles and their intervals, against numpy, the normal distribution, and rows counted one by one."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pyvmaf.base.files import sha256_file, write_json
from pyvmaf.base.manifest import read_manifest
from pyvmaf.checks.evaluate import evaluate
from pyvmaf.errors import InputError, IntegrityError, MissingFileError, PyvmafError
from pyvmaf.models.coverage import measure
from pyvmaf.models.ensemble import HeldError, make_ensemble, read_held_out
from pyvmaf.models.export import export
from pyvmaf.models.fit import fit
from pyvmaf.models.judge import judge
from pyvmaf.runtime.ensemble import Ensemble, load_ensemble
from pyvmaf.runtime.intervals import METHODS, MIN_SIGMA, Calibration, combine, conformal_quantile, gaussian_z
from pyvmaf.runtime.load import load_model
from tests.make.commands import command
from tests.make.models import spec_file
from tests.make.tables import table_columns, write_table

GATES: dict[str, Any] = {
    "mean_plcc_min": 0.5, "plcc_spread_max": 0.4, "per_seed_min": 0.5, "hard_negatives": None, "monotonicity": None,
}  # fmt: skip
FEATURES = ("adm2", "vif_scale0", "vif_scale1", "vif_scale2", "vif_scale3", "motion2")

# -- arithmetic ----------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=200), st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99]))
def test_the_quantile_is_the_smallest_score_that_enough_scores_do_not_exceed(
    scores: list[float], nominal: float
) -> None:
    found = conformal_quantile(np.array(scores), nominal)
    # Split conformal prediction: of n + 1 exchangeable scores, the new one is among the k smallest with k / (n + 1).
    enough = [s for s in sorted(scores) if sum(t <= s for t in scores) >= nominal * (len(scores) + 1) - 1e-9]
    assert found == (enough[0] if enough else None)


def test_the_rank_of_the_quantile() -> None:
    assert conformal_quantile(np.arange(19.0), 0.95) == 18
    assert conformal_quantile(np.arange(18.0), 0.95) is None
    assert conformal_quantile(np.arange(100.0)[::-1].copy(), 0.95) == math.ceil(101 * 0.95) - 1
    assert conformal_quantile(np.arange(39.0), 0.95) == 37


def test_a_new_score_is_covered_as_often_as_promised() -> None:
    rng = np.random.default_rng(1)
    hits = [rng.normal() <= (conformal_quantile(rng.normal(size=99), 0.9) or 0) for _ in range(4000)]
    assert np.mean(hits) == pytest.approx(0.9, abs=4 * math.sqrt(0.09 / 4000))


def test_gaussian_and_combination() -> None:
    assert gaussian_z(0.95) == pytest.approx(1.959963984540054, abs=1e-12)
    assert stats.norm.cdf(gaussian_z(0.8)) - stats.norm.cdf(-gaussian_z(0.8)) == pytest.approx(0.8)
    members = np.random.default_rng(0).normal(size=(5, 40))
    mean, sigma = combine(members)
    np.testing.assert_allclose(mean, sum(members) / 5)
    np.testing.assert_allclose(sigma, np.sqrt(sum((m - mean) ** 2 for m in members) / 4))
    with pytest.raises(InputError, match=r"at least 2 members, not an array of shape \(1, 40\)"):
        combine(members[:1])


def by_hand(y: np.ndarray, mean: np.ndarray, sigma: np.ndarray, nominal: float, method: str) -> Any:
    """The half-width for a sigma, in plain Python from the definitions."""
    if method == "gaussian":
        z = stats.norm.ppf(0.5 + nominal / 2)
        return lambda s: z * s
    beta = sum(sigma) / len(sigma)

    def scale(s: float) -> float:
        return max(s, 1e-6) if method == "conformal" else s + beta

    scores = sorted(abs(a - b) / scale(s) for a, b, s in zip(y, mean, sigma, strict=True))
    q = scores[math.ceil((len(scores) + 1) * nominal) - 1]
    return lambda s: q * scale(s)


def test_coverage_is_counted_on_units_that_calibration_did_not_see() -> None:
    rng = np.random.default_rng(3)
    units = np.repeat(np.array(["a", "b", "c"]), [80, 60, 100])
    y = rng.uniform(0, 100, units.size)
    sigma = rng.uniform(0, 2, units.size)
    mean = y + rng.normal(0, 1, units.size) * (1 + (units == "c"))
    found = measure(y, mean, sigma, units, 0.9)
    for method in METHODS:
        held, widths = [], []
        for place, unit in enumerate("abc"):
            here = units == unit
            half = by_hand(y[~here], mean[~here], sigma[~here], 0.9, method)
            inside = [abs(a - b) <= half(s) for a, b, s in zip(y[here], mean[here], sigma[here], strict=True)]
            entry = found["per_unit"][place]
            assert entry["held_out"] == unit
            assert entry["n"] == here.sum()
            assert entry["coverage"][method] == pytest.approx(np.mean(inside))
            held += inside
            widths += [2 * half(s) for s in sigma[here]]
        total = found["coverage"][method]
        assert total["empirical_coverage"] == pytest.approx(np.mean(held))
        assert total["mean_width"] == pytest.approx(np.mean(widths))
        each = [entry["coverage"][method] for entry in found["per_unit"]]
        assert (total["worst_coverage"], total["worst_unit"]) == (min(each), "abc"[each.index(min(each))])
    # Unit c is twice as noisy as what it is judged by: the report must show it.
    assert found["coverage"]["normalised"]["worst_unit"] == "c"
    with pytest.raises(InputError, match="of one unit"):
        measure(y, mean, sigma, np.full(units.size, "a"), 0.9)


def test_members_that_agree_do_not_divide_by_zero_and_too_few_rows_are_an_error() -> None:
    y, mean = np.arange(30.0), np.arange(30.0) + 1
    calibration = Calibration.fit(y, mean, np.zeros(30), 0.9)
    for method in ("conformal", "normalised"):
        np.testing.assert_allclose(calibration.half_width(np.zeros(2), method), 1)
    assert calibration.beta == MIN_SIGMA
    few = Calibration.fit(y[:18], mean[:18], np.ones(18), 0.95)
    assert few.q is None
    assert few.half_width(np.ones(1), "gaussian")[0] == pytest.approx(1.96, abs=0.001)
    with pytest.raises(InputError, match=r"18 held-out rows are too few .* 0.95 .* at least 19"):
        few.half_width(np.ones(1), "normalised")
    assert Calibration.of(few.described(), 0.95) == few
    with pytest.raises(InputError, match="unknown interval method 'normalized': did you mean 'normalised'"):
        few.half_width(np.ones(1), "normalized")


# -- the verb ------------------------------------------------------------------------------------


class Line(NamedTuple):
    """The files of one ensemble."""

    spec: Path
    table: Path
    home: Path

    @property
    def verdict(self) -> Path:
        return self.home / "verdict.json"

    @property
    def manifest(self) -> Path:
        return self.home / "ensemble.json"

    @property
    def sidecars(self) -> list[Path]:
        return sorted(self.home.glob("seed*/model.json"))

    def make(self, **more: Any) -> dict[str, Any]:
        return make_ensemble(self.spec, self.verdict, self.sidecars, self.table, self.manifest, **more)


def build(root: Path, name: str = "many", *, seeds: tuple[int, ...] = (0, 1, 2), **changes: Any) -> Line:
    table = write_table(root / "made.parquet", table_columns())
    settings: dict[str, Any] = {"gates": GATES, "ensemble": {"coverage_tolerance": 0.1}, "quantised": []}
    spec = spec_file(root, name, seeds=list(seeds), **{**settings, **changes})
    line = Line(spec, table, root / name)
    for seed in seeds:
        fit(spec, table, line.home / f"seed{seed}", seed=seed)
    judge(spec, [line.home / f"seed{seed}/loso.json" for seed in seeds], line.verdict)
    for seed in seeds:
        folder = line.home / f"seed{seed}"
        export(spec, folder / "weights.safetensors", line.verdict, table, folder / "model.onnx")
    return line


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Line:
    root = tmp_path_factory.mktemp("ensemble")
    line = build(root, inputs={"features": "canonical6", "codec": "v2"}, export={"scaler": "sidecar"})
    line.make()
    return line


@pytest.fixture
def line(built: Line, tmp_path: Path) -> Line:
    """A copy to break."""
    shutil.copytree(built.spec.parent, tmp_path, dirs_exist_ok=True)
    return Line(tmp_path / built.spec.name, tmp_path / built.table.name, tmp_path / built.home.name)


def edit(path: Path, **changes: Any) -> None:
    write_json(path, {**json.loads(path.read_text()), **changes})


def test_the_manifest_says_what_the_predictions_say(built: Line) -> None:
    manifest = json.loads(built.manifest.read_text())
    tables = [pq.read_table(built.home / f"seed{s}/predictions.parquet").to_pandas() for s in (0, 1, 2)]
    members = np.stack([t["prediction"] for t in tables])
    y, units = tables[0]["target"].to_numpy(), tables[0]["fold"].astype(str).to_numpy()
    mean, sigma = members.mean(axis=0), members.std(axis=0, ddof=1)
    rows = manifest["eval"]["rows"]
    assert rows["plcc"] == pytest.approx(stats.pearsonr(mean, y).statistic)
    assert rows["rmse"] == pytest.approx(np.sqrt(np.mean((mean - y) ** 2)))
    assert rows["mean_sigma"] == pytest.approx(sigma.mean())
    for method in METHODS:
        inside = []
        for unit in np.unique(units):
            here = units == unit
            half = by_hand(y[~here], mean[~here], sigma[~here], 0.95, method)
            inside += [abs(a - b) <= half(s) for a, b, s in zip(y[here], mean[here], sigma[here], strict=True)]
        assert rows["coverage"][method]["empirical_coverage"] == pytest.approx(np.mean(inside))
    confidence = manifest["confidence"]
    assert confidence["method"] == "ensemble+conformal-normalised"
    assert confidence["gaussian_z"] == pytest.approx(1.959963984540054)
    scores = np.sort(np.abs(y - mean) / np.maximum(sigma, 1e-6))
    assert confidence["conformal_q_residual"] == pytest.approx(scores[math.ceil((y.size + 1) * 0.95) - 1])
    clips = tables[0].assign(mean=mean, m0=members[0], m1=members[1], m2=members[2])
    by_clip = clips.groupby(["clip", "codec", "rung"], observed=True)[["target", "m0", "m1", "m2"]].mean()
    assert manifest["eval"]["clip_means"]["n"] == len(by_clip) == 36
    off = by_clip[["m0", "m1", "m2"]].mean(axis=1) - by_clip["target"]
    assert manifest["eval"]["clip_means"]["rmse"] == pytest.approx(np.sqrt(np.mean(off**2)))


def test_the_manifest_names_its_members_and_how_to_feed_them(built: Line) -> None:
    manifest = json.loads(built.manifest.read_text())
    assert (manifest["id"], manifest["kind"], manifest["ensemble_size"]) == ("many", "fr_ensemble", 3)
    assert manifest["verdict"] == "PROMOTE"
    verdict = json.loads(built.verdict.read_text())
    assert manifest["gates"] == verdict["gate"]
    for seed, member in enumerate(manifest["members"]):
        assert member["onnx"] == f"seed{seed}/model.onnx"
        assert member["sha256"] == sha256_file(built.home / member["onnx"])
        assert member["sidecar_sha256"] == sha256_file(built.home / member["sidecar"])
        assert member["mean_plcc"] == verdict["gate"]["per_seed_plccs"][str(seed)]
    assert manifest["feature_order"] == list(FEATURES)
    X = np.column_stack([table_columns()[name] for name in FEATURES])
    np.testing.assert_allclose(manifest["feature_mean"], X.mean(axis=0))
    np.testing.assert_allclose(manifest["feature_std"], X.std(axis=0))
    assert not manifest["scaler_in_graph"]
    assert manifest["codec_vocab_version"] == "v2"
    assert len(manifest["codec_vocab"]) == 12
    assert read_manifest(built.manifest)["outputs"]["report"]["sha256"] == sha256_file(built.manifest)


def test_the_ensemble_predicts_the_mean_of_its_members_with_an_interval(built: Line) -> None:
    ensemble = load_ensemble(built.manifest)
    columns = table_columns()
    X = np.column_stack([columns[name][:50] for name in FEATURES])
    codec = ("libx264", "medium", 20)
    found = ensemble.predict(X, codec)
    alone = np.stack([load_model(built.home / f"seed{s}/model.onnx").predict(X, codec).scores for s in (0, 1, 2)])
    np.testing.assert_array_equal(found.members, alone)
    np.testing.assert_allclose(found.scores, alone.mean(axis=0))
    assert found.sigma is not None
    assert found.low is not None
    assert found.high is not None
    np.testing.assert_allclose(found.sigma, alone.std(axis=0, ddof=1))
    confidence = json.loads(built.manifest.read_text())["confidence"]
    half = confidence["normalised_q"] * (found.sigma + confidence["normalised_beta"])
    np.testing.assert_allclose(found.low, (found.scores - half).clip(0, 100))
    np.testing.assert_allclose(found.high, (found.scores + half).clip(0, 100))
    ends = ensemble.mean_interval(found)
    assert ends is not None
    sigma = np.std(alone.mean(axis=1), ddof=1)
    clip = confidence["clip_mean"]
    assert ends[0] == pytest.approx(sigma)
    assert ends[2] - ends[1] == pytest.approx(2 * clip["normalised_q"] * (sigma + clip["normalised_beta"]))
    assert load_model(built.home / "seed0/model.onnx").predict(X).low is None
    none = ensemble.predict(X[:0], codec)
    assert none.low is not None
    assert none.low.size == 0
    assert ensemble.mean_interval(none) is None


def test_eval_counts_rows_inside(built: Line, tmp_path: Path) -> None:
    report = evaluate(built.manifest, built.table, split="all", output=tmp_path / "eval.json")
    ensemble = load_ensemble(built.manifest)
    columns = table_columns()
    y = np.array(columns["vmaf"])
    parts = [
        ensemble.predict(np.array([[columns[name][i] for name in FEATURES]]), (e, p, c))
        for i, (e, p, c) in enumerate(zip(columns["encoder"], columns["preset"], columns["crf"], strict=True))
    ]
    low, high = (np.concatenate([getattr(p, end) for p in parts]) for end in ("low", "high"))
    held = report["intervals"]["coverage"]["normalised"]
    assert held["empirical_coverage"] == pytest.approx(np.mean((low <= y) & (y <= high)), abs=2 / y.size)
    assert held["mean_width"] == pytest.approx(np.mean(high - low), rel=1e-4)
    assert sorted(report["intervals"]["by_group"]) == ["scene0", "scene1", "scene2", "scene3"]
    # The time of this machine is not part of what a file holds.
    timeless = {key: value for key, value in report.items() if not key.startswith("latency_")}
    assert json.loads((tmp_path / "eval.json").read_text()) == timeless
    assert evaluate(built.home / "seed0/model.onnx", built.table, split="all")["intervals"] is None
    shown = command("eval", "--model", built.manifest, "--table", built.table, "--split", "all", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "normalised (used)" in shown.stdout


def test_the_command_and_its_exit_codes(line: Line) -> None:
    words = ["ensemble", "--config", line.spec, "--verdict", line.verdict, "--table", line.table, "-o", line.manifest]
    before = line.manifest.read_bytes()
    done = command(*words, *line.sidecars, cwd=line.home)
    assert done.returncode == 0, done.stderr
    assert "PROMOTE many: 3 members" in done.stdout
    made, again = json.loads(before), json.loads(line.manifest.read_bytes())
    assert {k: v for k, v in made.items() if k != "run_provenance"} == {
        k: v for k, v in again.items() if k != "run_provenance"
    }
    edit(line.verdict, verdict="HOLD", recommendation="mean PLCC .1 is below .5")
    line.manifest.unlink()
    held = command(*words, *line.sidecars, cwd=line.home)
    assert held.returncode == 1
    assert "mean PLCC .1 is below .5" in held.stdout
    assert not line.manifest.exists()
    assert command(*words, "--as-result", *line.sidecars, cwd=line.home).returncode == 0
    with pytest.raises(InputError, match=r"ensemble\.json is held: its members are held"):
        load_ensemble(line.manifest)


def test_intervals_that_do_not_hold_what_they_promise_are_held(line: Line) -> None:
    text = line.spec.read_text().replace("coverage_tolerance: 0.1", "method: gaussian")
    line.spec.write_text(text)
    manifest = line.make()
    gate = manifest["coverage_gate"]
    assert not gate["passed"]
    assert gate["empirical_coverage"] == manifest["eval"]["rows"]["coverage"]["gaussian"]["empirical_coverage"] < 0.93
    assert manifest["verdict"] == "HOLD"
    words = ["ensemble", "--config", line.spec, "--verdict", line.verdict, "--table", line.table, "-o", line.manifest]
    assert command(*words, *line.sidecars, cwd=line.home).returncode == 1
    with pytest.raises(InputError, match=r"is held: intervals that should hold 95.0% .* off by 2.0% at most"):
        load_ensemble(line.manifest)


REFUSED: dict[str, tuple[Callable[[Line], dict[str, Any]], type[PyvmafError], str]] = {
    "another table": (
        lambda line: {"table": write_table(line.home.parent / "other.parquet", table_columns(seed=4))},
        InputError, r"judged the table with sha256 \w{64}, but .*other\.parquet",
    ),
    "a seed that lacks": (
        lambda line: {"sidecars": line.sidecars[:2]},
        InputError, r"judged seeds \[0, 1, 2\], but the sidecars given are of \[0, 1\]",
    ),
    "a seed twice": (
        lambda line: {"sidecars": [line.sidecars[0], *line.sidecars]}, InputError, r"given are of \[0, 0, 1, 2\]",
    ),
    "another folder": (
        lambda line: {"output": line.home / "elsewhere" / "ensemble.json"}, InputError, "does not lie below",
    ),
    "a missing sidecar": (
        lambda line: {"sidecars": [*line.sidecars[:2], line.home / "seed9/model.json"]}, MissingFileError, "seed9",
    ),
    "a spec without an ensemble": (
        lambda line: {"config": spec_file(line.home.parent, "many", seeds=[0, 1, 2], gates=GATES)},
        InputError, "asks for no ensemble",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_members_that_do_not_belong_together_are_refused(line: Line, case: str) -> None:
    changes, error, message = REFUSED[case]
    words = {"config": line.spec, "verdict": line.verdict, "sidecars": line.sidecars, "table": line.table}
    line.manifest.unlink()
    with pytest.raises(error, match=message):
        make_ensemble(**{**words, "output": line.manifest, **changes(line)})
    assert not line.manifest.exists()


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("loso.json", "verdict.json names"),
        ("predictions.parquet", "loso.json names"),
        ("model.onnx", "model.json names"),
    ],
)
def test_files_that_nobody_judged_are_refused(line: Line, file: str, said: str) -> None:
    path = line.home / "seed1" / file
    path.write_bytes(path.read_bytes() + (b" " if path.suffix == ".json" else b"\0"))
    with pytest.raises(IntegrityError, match=said):
        line.make()


def test_seeds_that_predicted_other_rows_are_refused(line: Line) -> None:
    paths = [line.home / f"seed{s}/predictions.parquet" for s in (0, 1)]
    table = pq.read_table(paths[1])
    pq.write_table(table.slice(1), paths[1])
    with pytest.raises(IntegrityError, match=r"seed1.*holds other rows than .*seed0"):
        read_held_out(paths)
    pq.write_table(table.set_column(table.schema.get_field_index("target"), "target", pa.nulls(len(table))), paths[1])
    with pytest.raises(IntegrityError, match="holds other rows"):
        read_held_out(paths)


def test_one_seed_is_no_ensemble(tmp_path: Path) -> None:
    line = build(tmp_path, "one", seeds=(0,), epochs=2)
    with pytest.raises((InputError, HeldError), match="at least 2 members"):
        line.make(record_held=True)


# -- loading -------------------------------------------------------------------------------------


def test_a_pinned_manifest_is_loaded(line: Line) -> None:
    assert isinstance(load_ensemble(line.manifest, sha256=sha256_file(line.manifest)), Ensemble)


@pytest.mark.parametrize("name", ["seed2/model.onnx", "seed2/model.json"])
def test_a_changed_member_is_refused(line: Line, name: str) -> None:
    data = (line.home / name).read_bytes()
    # Another last byte; a sidecar stays JSON.
    (line.home / name).write_bytes(data + b" " if name.endswith("json") else data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(IntegrityError, match=rf"{re.escape(name)} has sha256 .* is pinned"):
        load_ensemble(line.manifest)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"feature_mean": [0.0] * 6}, "says feature_mean"),
        ({"codec_vocab_sha256": "0" * 64}, "says codec_vocab_sha256"),
        ({"nickname": "x"}, "says nickname x"),
    ],
)
def test_a_changed_manifest_is_refused(line: Line, changes: dict[str, Any], message: str) -> None:
    pin = sha256_file(line.manifest)
    edit(line.manifest, **changes)
    with pytest.raises(IntegrityError, match=f"{pin} is pinned"):
        load_ensemble(line.manifest, sha256=pin)
    with pytest.raises(IntegrityError, match=message):
        load_ensemble(line.manifest)


def test_a_manifest_of_more_than_a_megabyte_is_refused(line: Line) -> None:
    line.manifest.write_text(line.manifest.read_text() + " " * (1 << 20))
    with pytest.raises(InputError, match="may have at most 1048576"):
        load_ensemble(line.manifest)


def test_a_member_outside_of_the_folder_is_refused(line: Line, tmp_path: Path) -> None:
    manifest = json.loads(line.manifest.read_text())
    first = {**manifest["members"][0], "onnx": "../elsewhere.onnx"}
    edit(line.manifest, members=[first, *manifest["members"][1:]])
    with pytest.raises(IntegrityError, match="does not conform"):
        load_ensemble(line.manifest)
    outside = tmp_path / "outside.onnx"
    shutil.copy(line.home / "seed0/model.onnx", outside)
    (line.home / "link.onnx").symlink_to(outside)
    edit(line.manifest, members=[{**first, "onnx": "link.onnx"}, *manifest["members"][1:]])
    with pytest.raises(InputError, match="lies outside of the folder"):
        load_ensemble(line.manifest)
    edit(line.manifest, members=manifest["members"])
    assert load_ensemble(line.manifest, root=line.home).nominal == 0.95
    jail = tmp_path / "jail"
    jail.mkdir()
    with pytest.raises(InputError, match="lies outside of the folder"):
        load_ensemble(line.manifest, root=jail)


def test_models_of_opinion_scores_make_ensembles_too(tmp_path: Path) -> None:
    line = build(tmp_path, "opinions", seeds=(0, 1), kind="mos", ensemble={"coverage_tolerance": 0.5})
    assert line.make()["kind"] == "mos_ensemble"
    assert load_ensemble(line.manifest).sidecar["kind"] == "mos"
