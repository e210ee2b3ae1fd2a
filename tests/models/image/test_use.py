"""Export, int8 and use of models of pictures."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from pyvmaf.errors import InputError, IntegrityError, PyvmafError
from pyvmaf.models.image.graph import member_state, network_of
from pyvmaf.models.image.networks import ResidualFilter
from pyvmaf.models.image.onnx_form import write
from pyvmaf.models.image.predictor import PicturePredictor
from pyvmaf.models.weights import load_weights
from pyvmaf.quantized.quantize import quantize
from pyvmaf.runtime.load import Model, load_model
from tests.make.commands import command
from tests.make.pictures import FILTER, SCORE, compressed, image_spec, shipped, texture


@pytest.fixture(scope="module")
def score(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    return shipped(tmp_path_factory.mktemp("score"), SCORE, pictures)


@pytest.fixture(scope="module")
def filters(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    return shipped(tmp_path_factory.mktemp("filter"), FILTER, pictures)


def family(model: Model) -> PicturePredictor:
    assert isinstance(model.family, PicturePredictor)
    return model.family


def test_the_same_seed_gives_the_same_file(tmp_path: Path, pictures: Path, score: Path, filters: Path) -> None:
    assert (shipped(tmp_path / "a", SCORE, pictures) / "model.onnx").read_bytes() == (score / "model.onnx").read_bytes()
    assert (shipped(tmp_path / "b", FILTER, pictures) / "model.onnx").read_bytes() == (
        filters / "model.onnx"
    ).read_bytes()


def test_judge_prints_the_gates_of_the_family(tmp_path: Path, score: Path) -> None:
    config = score.parent / "small_nr.yaml"
    shown = command("judge", "--config", config, "--output", tmp_path / "verdict.json", score / "loso.json").stdout
    assert "PROMOTE small_nr: ship the model" in shown
    for row in ("SROCC of all held-out rows", "mean SROCC within sources", "RMSE as a share of a constant's"):
        assert row in shown


def test_signatures_and_operators(score: Path, filters: Path) -> None:
    for folder, inputs, outputs in (
        (score, ("frame", ["batch", 1, 64, 64]), ("mos", ["batch"])),
        (
            filters,
            ("degraded", ["batch", 1, "height", "width"]),
            ("filtered", ["batch", 1, "height", "width"]),
        ),
    ):
        model = onnx.load(folder / "model.onnx")
        assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)]
        for value, (name, shape) in ((model.graph.input[0], inputs), (model.graph.output[0], outputs)):
            sizes = [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
            assert (value.name, sizes) == (name, shape)
        assert "BatchNormalization" not in {node.op_type for node in model.graph.node}


def test_a_score_is_the_mean_of_the_networks_answers_to_its_squares(score: Path) -> None:
    model = load_model(score / "model.onnx")
    spec, weights = image_spec(score.parent / "small_nr.yaml"), load_weights(score / "weights.safetensors")
    network = network_of(spec, member_state(weights, None))
    picture = compressed(texture(3, 80, 100), 30)
    squares = [picture[8:72, 18:82], picture[:64, :64], picture[-64:, -64:]]
    with torch.inference_mode():
        answers = network(torch.from_numpy(np.stack(squares)[:, None].astype(np.float32) / 255))
    assert model.predict([picture]).scores == pytest.approx([float(answers.mean())], abs=1e-3)


def test_a_tiled_picture_is_that_filtered_whole(filters: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = family(load_model(filters / "model.onnx"))
    picture = compressed(texture(1, 90, 151), 60)
    whole = model.filtered(picture)
    monkeypatch.setattr(model, "_tile", 32)
    assert np.abs(model.filtered(picture) - whole).max() < 1e-6
    spec, weights = image_spec(filters.parent / "small_filter.yaml"), load_weights(filters / "weights.safetensors")
    with torch.inference_mode():
        answer = network_of(spec, member_state(weights, None))(torch.from_numpy(picture[None, None] / np.float32(255)))
    assert np.abs(answer[0, 0].numpy() - whole).max() < 1e-6
    assert np.abs(whole - picture / 255).max() > 0


def test_pictures_unlike_those_of_the_training_are_named(score: Path) -> None:
    model = load_model(score / "model.onnx")
    known = model.predict([texture(0, 72, 88)])
    assert (known.outside, known.outside_share) == ({}, 0.0)
    flat = model.predict([np.full((72, 88), 255, np.uint8), texture(0, 72, 88)])
    assert flat.outside_share == 0.5
    assert set(flat.outside) == {"mean", "deviation", "detail"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([np.zeros((63, 80), np.uint8)], "looks at squares of 64x64, but a picture has 80x63"),
        ([np.zeros((80, 80, 3), np.uint8)], r"takes gray pictures \[height, width\], not an array \[80, 80, 3\]"),
        ([np.full((80, 80), 0.5)], "takes whole levels of 0 to 255"),
        ({"adm2": [1.0]}, "looks at pictures, not at rows of features"),
    ],
)
def test_pictures_that_a_model_does_not_take(score: Path, given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_model(score / "model.onnx").predict(given)


def test_a_graph_that_is_not_the_declared_one_is_refused(tmp_path: Path, score: Path, filters: Path) -> None:
    sidecar = json.loads((score / "model.json").read_text())
    other = (filters / "model.onnx").read_bytes()
    (tmp_path / "model.onnx").write_bytes(other)
    sidecar |= {"sha256": hashlib.sha256(other).hexdigest(), "bytes": len(other)}
    sidecar["operators"] = json.loads((filters / "model.json").read_text())["operators"]
    (tmp_path / "model.json").write_text(json.dumps(sidecar))
    with pytest.raises(
        IntegrityError, match=r"takes .*degraded.* but .*model\.json describes frame \[batch, 1, 64, 64\]"
    ):
        load_model(tmp_path / "model.onnx")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("crop", None, "is of task score, but states crop None"),
        ("input_range", [0.0, 255.0], "states input_range"),
        ("trained_levels", {"hue": [0.0, 1.0]}, "states trained_levels of hue"),
        ("pixel_format", "rgb24", "pixel_format"),
    ],
)
def test_sidecars_that_contradict_themselves(tmp_path: Path, score: Path, key: str, value: Any, message: str) -> None:
    (tmp_path / "model.onnx").write_bytes((score / "model.onnx").read_bytes())
    sidecar = json.loads((score / "model.json").read_text()) | {key: value}
    (tmp_path / "model.json").write_text(json.dumps(sidecar))
    with pytest.raises(IntegrityError, match=re.escape(message)):
        load_model(tmp_path / "model.onnx")


@pytest.mark.parametrize("kind", ["score", "filters"])
def test_int8_is_measured_on_held_out_pictures_and_loads(
    kind: str, request: pytest.FixtureRequest, pictures: Path, tmp_path: Path
) -> None:
    folder: Path = request.getfixturevalue(kind)
    (config,) = folder.parent.glob("*.yaml")
    report = quantize(
        config, folder / "model.onnx", folder / "weights.safetensors", pictures, tmp_path / "static_qdq.onnx"
    )
    assert report["passed"], report["missed"]
    assert report["n_heldout"] == (40 if kind == "score" else 32)
    assert len(report["folds"]) == 2
    assert report["calibration"]["rows"] == 8
    assert report["int8"]["operators"]["QuantizeLinear"] > 2
    int8 = load_model(tmp_path / "static_qdq.onnx", sidecar=folder / "model.json", sha256=report["int8"]["sha256"])
    fp32 = load_model(folder / "model.onnx")
    some = [compressed(texture(2, 72, 88), step) for step in (8, 60)]
    assert int8.predict(some).scores == pytest.approx(fp32.predict(some).scores, abs=5 if kind == "score" else 0.02)
    notes = json.loads((tmp_path / "static_qdq.onnx.manifest.json").read_text())["run"]["measured"]["note"]
    assert re.search(r"for a picture .*on one thread", notes)


def test_layers_without_an_onnx_form_are_an_error() -> None:
    module = torch.nn.Sequential(ResidualFilter(4, 1), torch.nn.GELU())
    with pytest.raises(PyvmafError, match="GELU has no ONNX form here"):
        write(module, name="x", input_name="a", input_shape=[1], output_name="b", output_shape=[1], opset=17)
