"""Artefacts of earlier versions stay readable: models predict as they did, and every verb that reads them works."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyvmaf.features.cases import CASES
from tests.make.commands import command

ARTEFACTS = Path(__file__).with_name("artefacts")
VERSIONS = sorted(path.name for path in ARTEFACTS.iterdir())
MODELS = ("frame_model", "frame_model.int8", "ensemble_model")


@pytest.fixture(params=VERSIONS)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A copy of an earlier version's run; the working directory is its folder."""
    folder = shutil.copytree(ARTEFACTS / request.param, tmp_path / "run")
    with chdir(folder):
        yield folder


@pytest.fixture
def expected(run: Path) -> dict[str, Any]:
    """Predictions of that version."""
    return dict(json.loads((run / "expected.json").read_text()))


def vmaf_train(*arguments: str) -> str:
    """Run a verb that has to succeed, and return its output."""
    done = command(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", MODELS)
def test_a_registered_model_predicts_as_it_did(run: Path, expected: dict[str, Any], name: str) -> None:
    import pyarrow.parquet as pq

    import pyvmaf

    model = pyvmaf.load_model(name)
    rows = pq.read_table("results/tables/default.parquet").to_pandas().iloc[expected["rows"]]
    codec = tuple(expected["codec"]) if model.sidecar["codec"] else None
    prediction = model.predict(rows, codec)
    wanted = expected["predictions"][name]
    np.testing.assert_allclose(prediction.scores, wanted["scores"], rtol=0, atol=1e-4)
    for bound in ("low", "high"):
        if wanted[bound] is not None:
            np.testing.assert_allclose(getattr(prediction, bound), wanted[bound], rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "path",
    ["results/models/frame_model/seed1/model.onnx", "results/quantized/frame_model/seed0/static_qdq.onnx", "results/models/ensemble_model/ensemble.json"],
)  # fmt: skip
def test_a_model_loads_by_its_path(run: Path, path: str) -> None:
    import pyvmaf

    model = pyvmaf.load_model(Path(path))
    assert model.name.partition(".")[0] in Path(path).parts


def test_a_pair_scores_as_it_did(run: Path, expected: dict[str, Any]) -> None:
    pair = expected["score"]
    models = [word for name in ("vmaf_v0.6.1", *MODELS) for word in ("--model", name)]
    vmaf_train("score", pair["reference"], pair["distorted"], *models, "--output", "scores.json")
    scores = json.loads(Path("scores.json").read_text())
    for name, mean in pair["means"].items():
        assert scores["pooled"][name]["mean"] == pytest.approx(mean, abs=1e-4)
    assert scores["models"]["ensemble_model"]["score_interval"] == pytest.approx(pair["ensemble"], abs=1e-4)


def test_the_tree_verifies(run: Path) -> None:
    assert vmaf_train("verify", "results").startswith("clean: ")


def test_a_changed_file_of_the_tree_is_reported(run: Path) -> None:
    with Path("results/models/frame_model/seed0/model.onnx").open("ab") as stream:
        stream.write(b"x")
    done = command("verify", "results")
    assert done.returncode == 1
    assert "results/models/frame_model/seed0/model.onnx" in done.stdout


def test_a_model_is_traced_to_its_videos(run: Path) -> None:
    text = vmaf_train("trace", "results/models/frame_model/seed0/model.onnx")
    for verb in ("export", "fit", "combine", "shard", "extract-features", "encode", "prepare"):
        assert f"vmaf-train {verb}" in text


@pytest.mark.parametrize("model", ["frame_model", "ensemble_model"])
def test_a_card_is_rendered(run: Path, model: str) -> None:
    vmaf_train("card", "--model", model, "--features", "results/tables/default.parquet", "--output", "cards")
    page = Path(f"cards/{model}.html").read_text()
    verdict = json.loads(Path(f"results/models/{model}/verdict.json").read_text())
    assert verdict["verdict"] in page
    assert f"{verdict['gate']['mean_plcc']:.4f}" in page


def test_its_reports_are_judged_and_its_weights_exported_again(run: Path) -> None:
    """The weights and the cross-validation report of a fit are inputs of the verbs after it."""
    seeds = [f"results/models/frame_model/seed{seed}" for seed in (0, 1)]
    reports = [f"{seed}/loso.json" for seed in seeds]
    before = json.loads(Path("results/models/frame_model/verdict.json").read_text())
    onnx = Path(seeds[0], "model.onnx").read_bytes()
    judge = [
        "judge",
        "--config",
        "config/models/frame_model.yaml",
        "--output",
        "results/models/frame_model/verdict.json",
    ]
    vmaf_train(*judge, "--negatives", "results/features/hard_negatives.parquet", "--as-result", *reports)
    verdict = json.loads(Path("results/models/frame_model/verdict.json").read_text())
    # Cases of hard negatives that came later are missing in its table.
    missing = verdict["gate"]["hard_negatives"].pop("cases_missing")
    assert set(CASES) - set(missing) == set(before["gate"]["hard_negatives"]["cases"])
    assert before["gate"]["hard_negatives"].pop("cases_missing") == []
    for key in ("mean_plcc", "plcc_spread", "per_seed_plccs", "monotonicity", "hard_negatives"):
        assert verdict["gate"][key] == before["gate"][key]
    export = ["export", "--config", "config/models/frame_model.yaml", "--checkpoint", f"{seeds[0]}/weights.safetensors"]
    export += ["--verdict", "results/models/frame_model/verdict.json", "--features", "results/tables/default.parquet"]
    vmaf_train(*export, "--output", "again.onnx")
    assert Path("again.onnx").read_bytes() == onnx
