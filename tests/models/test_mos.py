"""Models of opinion scores: from a table of clips to a registered file, and the published logs where they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow.parquet as pq
import pytest
import yaml
from scipy import stats

from pyvmaf.checks.evaluate import evaluate
from pyvmaf.errors import InputError
from pyvmaf.models.export import export
from pyvmaf.models.fit import fit
from pyvmaf.models.judge import judge
from pyvmaf.models.regressor.rows import read_table
from pyvmaf.models.regressor.spec import load_regressor
from pyvmaf.quantized.quantize import quantize
from pyvmaf.registry.register import register
from pyvmaf.scoring.find import load_model
from pyvmaf.tables.build import combine
from pyvmaf.tables.imports import import_table
from tests.make.logs import EXAMPLE, SHARED, Log
from tests.make.tables import table_columns, write_table

MODELS = Path(__file__).parents[2] / "config" / "models"
SMALL: dict[str, Any] = {
    "kind": "mos",
    "inputs": {
        "features": ["vmaf_mean", "adm2_p5", "psnr_y_mean"],
        "context": ["height", "bitrate_kbps"],
        "codec": "v1",
        "guard": "clamp",
        "transforms": {"bitrate_kbps": "log"},
    },
    # Its range is the scale that the table states.
    "target": {"table": "fr_mos", "column": "mos"},
    "split": {"by": "group"},
    "epochs": 60,
    "gates": {
        "mean_plcc_min": 0.5,
        "plcc_spread_max": 1,
        "per_seed_min": 0.5,
        "pooled": {"plcc_min": 0.5, "srocc_min": 0.5, "rmse_max": 2},
        "hard_negatives": None,
        "monotonicity": None,
    },
    "quantised": [{"mode": "static_qdq", "budget": 0.5, "rmse_max": 1, "srocc_min": 0.5}],
}


def table_of(corpus: Path, folder: Path) -> Path:
    shard, table = folder / "shard.parquet", folder / "fr_mos.parquet"
    import_table(corpus, shard, shard.with_suffix(".jsonl"))
    combine([("fr_mos", shard)], table, unit="clip")
    return table


def write_spec(folder: Path, **changes: Any) -> Path:
    spec = {
        "name": "opinion",
        "description": "A model for tests",
        "network": {"hidden": [8]},
        "optimiser": {"lr": 0.01},
        "batch_size": 16,
        "seeds": [0],
        **SMALL,
        **changes,
    }
    path = folder / "opinion.yaml"
    path.write_text(yaml.safe_dump(spec))
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 videos of 4 contents, with opinion scores that follow their quality."""
    folder = tmp_path_factory.mktemp("log")
    return table_of(Log(folder, contents=4, heights=(180, 360, 720, 1080)).corpus_file(), folder)


def test_inputs_are_features_then_context_then_codec(table: Path, tmp_path: Path) -> None:
    spec = load_regressor(write_spec(tmp_path))
    data = read_table(table, spec)
    raw = pq.read_table(table).to_pandas()
    names = ("vmaf_mean", "adm2_p5", "psnr_y_mean", "height", "bitrate_kbps")
    assert data.features == spec.inputs.names == names
    assert (raw[list(names)].to_numpy(dtype=float) == data.X).all()
    assert data.codec is not None
    # Neither preset nor CRF are known: the codec's slot, and the middle of both axes.
    assert data.codec[:, :-2].argmax(axis=1).tolist() == [
        {"libx264": 0, "libx265": 1, "libvpx-vp9": 4}[name] for name in raw["encoder"]
    ]
    assert np.unique(data.codec[:, -2:], axis=0).tolist() == [[5 / 9, 0.5]]
    assert (data.y == raw["mos"]).all()


def test_from_a_log_to_the_registry(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config, seed = write_spec(tmp_path), Path("results/models/opinion/seed0")
    done = fit(config, table, seed, seed=0)
    predictions = pq.read_table(done.predictions).to_pandas()
    assert set(predictions["fold"]) == {f"film{i}" for i in range(4)}
    verdict = judge(config, [done.report], Path("results/models/opinion/verdict.json"))
    pooled = verdict["gate"]["pooled"]["per_seed"]["0"]
    assert pooled["srocc"] == pytest.approx(stats.spearmanr(predictions["prediction"], predictions["target"])[0])
    assert pooled["rmse"] == pytest.approx(np.sqrt(np.mean((predictions["prediction"] - predictions["target"]) ** 2)))
    assert verdict["verdict"] == "PROMOTE"
    assert set(verdict["gates_not_judged"]) == {"hard_negatives", "monotonicity", "extrapolation", "spread over seeds"}

    exported = seed / "model.onnx"
    sidecar = export(config, done.weights, Path("results/models/opinion/verdict.json"), table, exported)
    assert (sidecar["kind"], sidecar["target"], sidecar["expected_output_range"]) == ("mos", "mos", [1, 5])
    assert evaluate(exported, table, split="all")["srocc"] > 0.8
    model = load_model(exported)
    rows = pq.read_table(table).to_pandas()
    scores = model.predict(rows, ("h264", None, None)).scores
    assert scores.shape == (48,)
    assert np.isfinite(scores).all()
    with pytest.raises(InputError, match="the rows lack height, bitrate_kbps"):
        model.predict(rows.drop(columns=["height", "bitrate_kbps"]))

    int8 = Path("results/quantized/opinion/seed0/static_qdq.onnx")
    report = quantize(config, exported, done.weights, table, int8, mode="static_qdq")
    assert report["passed"]
    registry = Path("results/registry/registry.json")
    register(
        [Path("results/models/opinion/verdict.json"), exported.with_suffix(".json"), int8.with_suffix(".json")],
        registry,
    )
    entry = json.loads(registry.read_text())["models"][0]
    assert (entry["id"], entry["kind"]) == ("opinion", "mos")


def test_a_range_that_is_not_the_scale_of_the_table_is_refused(table: Path, tmp_path: Path) -> None:
    stated = write_spec(tmp_path, target=SMALL["target"] | {"range": [0, 100]})
    with pytest.raises(
        InputError, match=r"target\.range \[0, 100\], but the opinion scores of .* are on the scale 1 to 5"
    ):
        fit(stated, table, tmp_path / "seed0", seed=0)
    assert not (tmp_path / "seed0").exists()


@pytest.mark.filterwarnings("ignore:.*model opinion")
def test_frames_are_trained_on_the_scores_of_their_clips(tmp_path: Path) -> None:
    columns = table_columns(sources=4, frames=6)
    names = sorted(set(columns["clip"]))
    # The fourth clip was not rated.
    mos = dict(zip(names, [22.0, 45.0, 71.0, float("nan")], strict=True))
    columns["mos"] = [mos[clip] for clip in columns["clip"]]
    block = {"features": ["adm2"], "unavailable": {}, "model": "vmaf_v0.6.1", "engine": {}, "mos_scale": [0, 80]}
    shard = write_table(tmp_path / "shard.parquet", columns, **block)
    combine([("made", shard)], tmp_path / "frames.parquet")
    changes = {
        "inputs": {"features": ["adm2", "motion2"]},
        "target": {"table": "frames", "column": "mos"},
        "split": {"by": "source"},
    }
    with pytest.raises(InputError, match=r"54 of 216 rows lack .*\(mos: 54 rows\).* if rows.max_dropped_share allows"):
        fit(write_spec(tmp_path, **changes), tmp_path / "frames.parquet", tmp_path / "seed0", seed=0)
    config = write_spec(tmp_path, **changes, rows={"max_dropped_share": 0.3}, epochs=0)
    done = fit(config, tmp_path / "frames.parquet", tmp_path / "seed0", seed=0)
    report = json.loads(done.report.read_text())
    assert (report["table"]["rows"], report["table"]["rows_used"]) == (216, 162)
    assert report["table"]["dropped"]["by_column"]["mos"] == 54
    sidecar = export(config, done.weights, None, None, tmp_path / "model.onnx")
    assert sidecar["expected_output_range"] == [0, 80]
    # The ends of the scale are those of the Clip in the graph: far inputs do not leave it.
    far = {"adm2": [1e6, -1e6], "motion2": [1e6, -1e6]}
    scores = load_model(tmp_path / "model.onnx").predict(far).scores
    assert scores.min() >= 0
    assert scores.max() <= 80
    nodes = [node for node in onnx.load(tmp_path / "model.onnx").graph.node if node.op_type == "Clip"]
    ends = {i.name: onnx.numpy_helper.to_array(i) for i in onnx.load(tmp_path / "model.onnx").graph.initializer}
    assert [ends[name].item() for name in nodes[-1].input[1:]] == [0, 80]


def test_a_limit_on_all_held_out_rows_holds_a_model(table: Path, tmp_path: Path) -> None:
    limits = {"plcc_min": None, "srocc_min": 0.5, "rmse_max": 0.001}
    config = write_spec(tmp_path, gates=SMALL["gates"] | {"pooled": limits}, epochs=5)
    report = fit(config, table, tmp_path / "seed0", seed=0).report
    verdict = judge(config, [report], tmp_path / "verdict.json")
    assert verdict["verdict"] == "HOLD"
    assert any(
        "RMSE over all held-out rows is to be at most 0.001 (seed 0: " in why for why in verdict["gate"]["reasons"]
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": ["adm2_median"]}, "unknown feature 'adm2_median': did you mean 'adm2_mean'"),
        ({"context": ["heigth"]}, "unknown context 'heigth': did you mean 'height'"),
        ({"context": ["fps", "fps"]}, "a context is listed twice"),
        ({"transforms": {"fps": "log"}}, "unknown input to transform 'fps'"),
    ],
)
def test_wrong_inputs_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_regressor(write_spec(tmp_path, inputs={"features": ["vmaf_mean"]} | changes))


def test_the_target_is_no_input(tmp_path: Path) -> None:
    target = {"table": "fr_mos", "column": "vmaf_mean"}
    with pytest.raises(InputError, match="vmaf_mean is the target: it cannot be an input as well"):
        load_regressor(write_spec(tmp_path, target=target))


def test_a_table_without_scores_is_nothing_to_learn_from(tmp_path: Path) -> None:
    log = Log(tmp_path)
    for row in log.rows:
        row["mos"] = ""
    unrated = table_of(log.corpus_file(), tmp_path)
    with pytest.raises(InputError, match="none of 18 rows has a value of 'mos'"):
        fit(write_spec(tmp_path), unrated, tmp_path / "out", seed=0)
    assert not (tmp_path / "out").exists()


# --- the published logs -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = SHARED / "fr_mos"
    if not data.is_dir():
        pytest.skip(f"{data} is not here")
    folder = tmp_path_factory.mktemp("published")
    corpus = yaml.safe_load((EXAMPLE / "fr_mos.yaml").read_text()) | {"root": str(data)}
    (folder / "fr_mos.yaml").write_text(yaml.safe_dump(corpus))
    return table_of(folder / "fr_mos.yaml", folder)


@pytest.mark.parametrize(("name", "srocc"), [("fr_mos_v1", 0.925), ("fr_mos_wide_v1", 0.93), ("fr_mos_codec_v1", 0.93)])
def test_contents_that_no_fold_saw(published: Path, tmp_path: Path, name: str, srocc: float) -> None:
    report = fit(MODELS / f"{name}.yaml", published, tmp_path, seed=0).loso
    assert report["n_folds"] == 18
    predictions = pq.read_table(tmp_path / "predictions.parquet").to_pandas()
    assert len(predictions) == 966
    assert (predictions["fold"].astype(str) == predictions["source"].astype(str)).all()
    assert stats.spearmanr(predictions["prediction"], predictions["target"])[0] >= srocc
    rows = pq.read_table(published).to_pandas()
    parts = {fold["held_out"]: fold for fold in report["beside"]["folds"]}
    assert {name.partition(":")[2] for name in parts} == {*rows["group"].unique(), *rows["codec"].unique()}
    for part, fold in parts.items():
        column, _, value = part.partition(":")
        here = rows[rows[column] == value]
        vmaf = fold["baselines"]["vmaf_mean"]["srocc"]
        assert (fold["n_val"], vmaf) == (len(here), pytest.approx(stats.spearmanr(here["vmaf_mean"], here["mos"])[0]))
        assert fold["srocc"] > vmaf


def test_the_network_of_the_published_heads_on_contents_that_no_fold_saw(published: Path, tmp_path: Path) -> None:
    fit(MODELS / "fr_mos_head_v1.yaml", published, tmp_path, seed=0)
    predictions = pq.read_table(tmp_path / "predictions.parquet").to_pandas()
    assert len(predictions) == 966
    # Where fr_mos_v1 was when the heads came, with the same inputs.
    assert stats.spearmanr(predictions["prediction"], predictions["target"])[0] >= 0.9146


def test_what_the_published_logs_give_without_a_model(published: Path) -> None:
    rows = pq.read_table(published).to_pandas()
    assert stats.spearmanr(rows["vmaf_mean"], rows["mos"])[0] == pytest.approx(0.817, abs=5e-4)
    four = rows[~rows["group"].astype(str).str.endswith("appeal")]
    assert stats.spearmanr(four["vmaf_mean"], four["mos"])[0] == pytest.approx(0.857, abs=5e-4)
    assert stats.pearsonr(four["vmaf_mean"], four["mos"])[0] == pytest.approx(0.847, abs=5e-4)
