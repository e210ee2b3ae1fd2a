"""Quantisation-aware training of networks of convolutions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from pyvmaf.errors import PyvmafError
from pyvmaf.models.saliency.networks import build
from pyvmaf.models.saliency.spec import Network
from pyvmaf.quantized.convolutions import Rounded, folded
from pyvmaf.quantized.quantize import quantize
from tests.make.pictures import FILTER, SCORE, shipped, write_pictures


def test_folded_normalisations_change_no_answer() -> None:
    torch.manual_seed(3)
    network = build(Network()).train()
    for _ in range(3):
        network(torch.randn(4, 3, 32, 32) * 2 + 1)
    network.eval()
    pictures = torch.randn(2, 3, 40, 32)
    made = folded(network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in made.modules())
    with torch.no_grad():
        assert torch.allclose(made(pictures), network(pictures), atol=1e-5)


def test_a_rounded_convolution_is_one_of_whole_numbers() -> None:
    torch.manual_seed(5)
    layer = nn.Conv2d(3, 4, 3, padding=1)
    rounded, pictures = Rounded(layer), torch.randn(2, 3, 9, 7)
    rounded.observing = True
    assert torch.equal(rounded(pictures), layer(pictures))
    rounded.observing = False
    step = (float(pictures.max()) - float(pictures.min())) / 255
    zero = round(-128 - float(pictures.min()) / step)
    levels = np.clip(np.rint(pictures.numpy() / step) + zero, -128, 127) - zero
    weight = layer.weight.detach().numpy()
    steps = np.abs(weight).max(axis=(1, 2, 3), keepdims=True) / 127
    whole = torch.from_numpy(np.rint(weight / steps))
    products = nn.functional.conv2d(torch.from_numpy(levels).double(), whole.double(), padding=1).numpy()
    assert layer.bias is not None
    expected = products * step * steps.reshape(1, -1, 1, 1) + layer.bias.detach().numpy().reshape(1, -1, 1, 1)
    answers = rounded(pictures)
    assert np.abs(answers.detach().numpy() - expected).max() < 1e-4
    answers.sum().backward()
    assert layer.weight.grad is not None
    assert float(layer.weight.grad.abs().sum()) > 0


@pytest.mark.parametrize("spec", [SCORE, FILTER], ids=lambda spec: str(spec["name"]))
def test_training_changes_numbers_only(tmp_path: Path, spec: dict[str, Any]) -> None:
    table = write_pictures(tmp_path / "pictures.parquet")
    loose = {"calibration_rows": 8, "srocc_min": -1, "rmse_max": 50, "budget": 1}
    entries = [{"mode": "static_qdq", **loose}, {"mode": "qat", "epochs": 1, **loose}]
    folder = shipped(tmp_path, {**spec, "quantised": entries, "epochs": 1}, table)
    config = tmp_path / f"{spec['name']}.yaml"

    def made(name: str, mode: str, **overrides: Any) -> Path:
        output = tmp_path / name
        words = (config, folder / "model.onnx", folder / "weights.safetensors", table, output)
        assert quantize(*words, mode=mode, overrides=overrides)["passed"]
        return output

    plain = made("plain.onnx", "static_qdq")
    assert made("still.onnx", "qat", epochs=0).read_bytes() == plain.read_bytes()
    learned = made("learned.onnx", "qat")
    assert learned.read_bytes() != plain.read_bytes()
    graphs = [onnx.load(path).graph for path in (learned, plain)]
    assert [node.SerializeToString() for node in graphs[0].node] == [n.SerializeToString() for n in graphs[1].node]
    if spec is FILTER:
        assert made("again.onnx", "qat").read_bytes() == learned.read_bytes()
    else:
        with pytest.raises(PyvmafError, match=r"not finite in pass \d .*lower its learning rate, which is 1e\+30"):
            quantize(
                config,
                folder / "model.onnx",
                folder / "weights.safetensors",
                table,
                tmp_path / "far.onnx",
                mode="qat",
                overrides={"lr": 1e30, "epochs": 3},
            )
