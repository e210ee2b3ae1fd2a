"""Models with a backbone that is not trained: the published layout, gray pictures, and heads that are solved."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from safetensors.numpy import load_file, save_file
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from torch.nn import functional

from pyvmaf.checks.validate_model import validate_model
from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.models.fit import fit
from pyvmaf.models.image.backbones.efficientnet_lite0 import Backbone
from pyvmaf.models.image.frozen import Rows, read_backbone, restored_head, solve
from pyvmaf.models.image.spec import ImageSpec
from pyvmaf.models.imported.convert import convert
from pyvmaf.models.imported.efficientnet_lite0 import GRAY, N_FEATURES, STAGES, Network
from pyvmaf.models.weights import load_weights
from pyvmaf.quantized.quantize import quantize
from pyvmaf.runtime.load import load_model
from tests.make.pictures import SCORE, image_spec, shipped, texture, write_spec

Tensors = dict[str, torch.Tensor]


def published() -> Tensors:
    """A seeded state dict with the shapes of the published file: kernels have odd sides."""
    torch.manual_seed(5)
    tensors = {}
    for name, value in Network().state_dict().items():
        if value.ndim == 4 and value.shape[-1] in (4, 6):
            value = value[..., 1:, 1:]
        if name.endswith("running_var"):
            value = torch.rand(value.shape) + 0.5
        elif name.endswith("running_mean"):
            value = torch.randn(value.shape) * 0.1
        tensors[name] = value.clone()
    return tensors


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a converted checkpoint with seeded weights."""
    folder = tmp_path_factory.mktemp("backbone")
    torch.save(published(), folder / "lite0.pth")
    config = folder / "efficientnet_lite0.yaml"
    keys = {"name": "efficientnet_lite0", "kind": "imported", "description": "d", "license": "Apache-2.0"}
    digest = hashlib.sha256((folder / "lite0.pth").read_bytes()).hexdigest()
    keys |= {"architecture": "efficientnet_lite0", "checkpoint": {"sha256": digest}, "parity": 1e-2}  # type: ignore[dict-item]
    config.write_text(yaml.safe_dump(keys))
    convert(config, folder / "conversion.json", weights=folder / "lite0.pth")
    return folder / "weights.safetensors"


def keys(backbone: Path, **head: Any) -> dict[str, Any]:
    """A spec on that backbone."""
    digest = hashlib.sha256(backbone.read_bytes()).hexdigest()
    network = {"type": "frozen", "backbone": {"model": "efficientnet_lite0", "sha256": digest}}
    quantised = [{"mode": "static_qdq", "calibration_rows": 8, "srocc_min": -1, "rmse_max": 90, "budget": 2}]
    export = {"max_bytes": 32_000_000, "tolerance": 1e-4}
    return SCORE | {
        "name": "small_frozen",
        "export": export,
        "network": network | {"head": head},
        "epochs": 1,
        "quantised": quantised,
    }


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory, backbone: Path, pictures: Path) -> Path:
    """The folder of an exported model."""
    folder = tmp_path_factory.mktemp("frozen")
    return shipped(folder, keys(backbone, penalty=1, centres=40), pictures, backbone=backbone)


def reference(tensors: Tensors, x: torch.Tensor) -> torch.Tensor:
    """The logits of the published network, computed from its state dict with padding as TensorFlow has it."""

    def convolved(x: torch.Tensor, name: str, stride: int = 1, groups: int = 1) -> torch.Tensor:
        weight = tensors[f"{name}.weight"]
        out = -(-x.shape[-1] // stride)
        pad = max((out - 1) * stride + weight.shape[-1] - x.shape[-1], 0)
        x = functional.pad(x, (pad // 2, pad - pad // 2, pad // 2, pad - pad // 2))
        return functional.conv2d(x, weight, None, stride, 0, 1, groups)

    def normalised(x: torch.Tensor, name: str) -> torch.Tensor:
        shift, scale = tensors[f"{name}.running_mean"], tensors[f"{name}.running_var"]
        return functional.batch_norm(x, shift, scale, tensors[f"{name}.weight"], tensors[f"{name}.bias"], eps=1e-3)

    x = functional.relu6(normalised(convolved(x, "_conv_stem", 2), "_bn0"))
    index = 0
    for stage in STAGES:
        for block in range(stage.blocks):
            name, before = f"_blocks.{index}", x
            if stage.expand > 1:
                x = functional.relu6(normalised(convolved(x, f"{name}._expand_conv"), f"{name}._bn0"))
            stride = stage.stride if block == 0 else 1
            x = functional.relu6(
                normalised(convolved(x, f"{name}._depthwise_conv", stride, x.shape[1]), f"{name}._bn1")
            )
            x = normalised(convolved(x, f"{name}._project_conv"), f"{name}._bn2")
            x = x + before if block else x
            index += 1
    x = functional.relu6(normalised(convolved(x, "_conv_head"), "_bn1"))
    return functional.linear(x.mean((2, 3)), tensors["_fc.weight"], tensors["_fc.bias"])


def test_the_converted_network_answers_as_the_published_one(backbone: Path) -> None:
    from safetensors.torch import load_file

    network = Network().eval()
    network.load_state_dict(load_file(backbone))
    x = torch.rand(2, 3, 224, 224) * 2 - 1
    with torch.inference_mode():
        found, logits = network(x)
        torch.testing.assert_close(logits, reference(published(), x), atol=1e-4, rtol=1e-4)
        levels = network.levels(x)
    expected = [part for level in levels for part in (level.mean((2, 3)), level.std((2, 3), correction=0))]
    assert found.shape == (2, N_FEATURES)
    torch.testing.assert_close(found, torch.cat(expected, 1), atol=1e-4, rtol=1e-4)


def test_gray_pictures_give_the_figures_of_six_stages_of_three_equal_planes(tmp_path: Path, backbone: Path) -> None:
    from safetensors.torch import load_file

    whole, gray = Network().eval(), Backbone().eval()
    whole.load_state_dict(load_file(backbone))
    state = read_backbone(image_spec(write_spec(tmp_path, keys(backbone))), backbone)
    gray.load_state_dict({name.removeprefix("backbone."): torch.from_numpy(value) for name, value in state.items()})
    frame = torch.rand(1, 1, 224, 224)
    with torch.inference_mode():
        levels = whole.stages(((frame - GRAY[0]) / GRAY[1]).expand(-1, 3, -1, -1))[1:7]
        parts = [(level.mean((2, 3)), (level.std((2, 3), correction=0) + 0.02).log()) for level in levels]
        expected = torch.cat([part for pair in parts for part in pair], 1)
        torch.testing.assert_close(gray(frame), expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("kind", ["line", "bumps"])
def test_heads_are_those_of_ridge_regression(tmp_path: Path, backbone: Path, kind: str) -> None:
    rng = np.random.default_rng(2)
    x, weights = rng.normal(3, 2, (60, 9)), rng.uniform(0.5, 2, 60)
    y = np.sin(x[:, 0]) + 0.3 * x[:, 1]
    spec = image_spec(write_spec(tmp_path, keys(backbone, type=kind, penalty=0.7, width=1.5)))
    solved = solve(spec, Rows(x, y, weights, np.repeat(["a", "b"], 30)), 60, steps=1)
    head = restored_head(spec.network, solved.tensors)
    with torch.inference_mode():
        found = head(torch.from_numpy(x.astype(np.float32)))[:, 0].numpy()
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    average = np.average(y, weights=weights)
    peer = (
        Ridge(alpha=0.7, fit_intercept=False)
        if kind == "line"
        else KernelRidge(alpha=0.7, kernel="rbf", gamma=1 / (1.5**2 * 9))
    )
    expected = peer.fit(z, y - average, sample_weight=weights).predict(z) + average
    np.testing.assert_allclose(found, expected, atol=2e-4)
    assert solved.loss == pytest.approx(np.average((found - y) ** 2, weights=weights), rel=1e-3)


def test_a_model_is_fitted_exported_and_answers_as_it_was_judged(frozen: Path, pictures: Path) -> None:
    rows = pq.read_table(frozen / "predictions.parquet").to_pandas()
    assert len(rows) == 40
    assert np.isfinite(rows["prediction"]).all()
    weights = load_weights(frozen / "weights.safetensors")
    assert weights.tensors["backbone._conv_stem.weight"].shape[0] == 1  # kept once for all members
    assert weights.tensors["head.sum.weight"].shape[0] == 3
    model = load_model(frozen / "model.onnx")
    scored = model.predict([texture(1, 72, 88)]).scores
    assert scored.shape == (1,)
    report = json.loads((frozen / "loso.json").read_text())
    assert report["pictures"]["crops"] == {"judge": 64, "views": 3}


def test_the_same_table_gives_the_same_bytes(tmp_path: Path, frozen: Path, backbone: Path, pictures: Path) -> None:
    again = shipped(tmp_path, keys(backbone, penalty=1, centres=40), pictures, backbone=backbone)
    assert (again / "model.onnx").read_bytes() == (frozen / "model.onnx").read_bytes()


def test_an_int8_variant_is_made(tmp_path: Path, frozen: Path, pictures: Path) -> None:
    config = frozen.parent / "small_frozen.yaml"
    small = tmp_path / "static_qdq.onnx"
    quantize(config, frozen / "model.onnx", frozen / "weights.safetensors", pictures, small)
    assert small.stat().st_size < 0.5 * (frozen / "model.onnx").stat().st_size


def test_a_backbone_is_needed_and_must_be_the_pinned_one(tmp_path: Path, backbone: Path, pictures: Path) -> None:
    config = write_spec(tmp_path, keys(backbone))
    with pytest.raises(InputError, match=r"small_frozen is trained on figures of a published network.*--backbone FILE"):
        fit(config, pictures, tmp_path / "a", seed=0)
    other = tmp_path / "other.safetensors"
    other.write_bytes(backbone.read_bytes() + b" ")
    with pytest.raises(
        IntegrityError, match=r"other.safetensors has sha256 .* pins .*convert efficientnet_lite0 again"
    ):
        fit(config, pictures, tmp_path / "b", seed=0, backbone=other)
    with pytest.raises(InputError, match="leave --backbone out"):
        fit(write_spec(tmp_path, SCORE), pictures, tmp_path / "c", seed=0, backbone=backbone)
    assert not any((tmp_path / name / "weights.safetensors").exists() for name in "abc")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": {"type": "frozen"}}, "frozen needs network.backbone and network.head"),
        ({"network": {"type": "mobilenet_tiny", "head": {}}}, "does not take network.backbone and network.head"),
        ({"early_stopping": {}}, "leave it out"),
    ],
)
def test_specs_that_contradict_themselves_are_refused(
    tmp_path: Path, backbone: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        assert isinstance(image_spec(write_spec(tmp_path, keys(backbone) | changes)), ImageSpec)


def test_a_converted_checkpoint_is_validated_against_its_network(backbone: Path, tmp_path: Path) -> None:
    config, model = backbone.with_name("efficientnet_lite0.yaml"), backbone.with_name("model.onnx")
    # Seeded weights answer far beyond the published ones, so that float32 rounds more.
    report = validate_model(model, config=config, threshold=1e-3)
    assert report.passed
    assert [(check.what, check.passed) for check in report.checks][2] == ("largest difference from torch", True)
    tensors = load_file(backbone)
    tensors["_fc.bias"] = tensors["_fc.bias"] + 0.5
    tensors["_blocks.0._project_conv.weight"] = tensors["_blocks.0._project_conv.weight"] * 1.5
    save_file(tensors, tmp_path / "weights.safetensors")
    other = validate_model(model, config=config, weights=tmp_path / "weights.safetensors", threshold=1e-3)
    assert not other.passed
    assert [check.what for check in other.checks if check.passed is False] == ["largest difference from torch"]


def test_a_backbone_is_a_row_of_the_table(backbone: Path) -> None:
    from pyvmaf.models.image import backbones, plan

    given = keys(backbone)
    spec = ImageSpec.model_validate(given)
    own = backbones.BACKBONES["efficientnet_lite0"]
    for verb in ("fit", "export", "quantize-int8"):
        assert own in spec.uses(verb).modules
        assert spec.uses(verb) == plan.uses(verb, given)
    # A verdict reads figures, and another model no backbone.
    assert own not in spec.uses("judge").modules
    assert own not in ImageSpec.model_validate(SCORE).uses("fit").modules
    given["network"]["backbone"]["model"] = "efficientnet_lite1"
    with pytest.raises(ValueError, match="unknown backbone"):
        ImageSpec.model_validate(given)
