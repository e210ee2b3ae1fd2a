from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pyvmaf.errors import InputError, MissingFileError
from pyvmaf.features.catalog import CANONICAL6
from pyvmaf.models.regressor.networks import build
from pyvmaf.models.regressor.spec import RegressorSpec, load_regressor
from pyvmaf.models.spec import load_any, parse_spec

MODELS = Path(__file__).parents[2] / "config" / "models"

# Counted by hand: weights and biases of each layer.
PARAMETERS = {
    "fr_regressor_v1": (6 * 64 + 64) + (64 * 64 + 64) + (64 + 1),
    "fr_regressor_v2": (14 * 32 + 32) + 2 * (32 * 32 + 32) + (32 + 1),
    "vmaf_tiny_v2": (6 * 16 + 16) + (16 * 8 + 8) + (8 + 1),
}


def minimal(**changes: Any) -> dict[str, Any]:
    data: dict[str, Any] = {
        "name": "m",
        "description": "d",
        "inputs": {},
        "network": {"hidden": [4]},
        "epochs": 1,
    }
    data.update(changes)
    return data


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_parameter_counts(name: str) -> None:
    spec = load_regressor(MODELS / f"{name}.yaml")
    inputs = len(spec.inputs.names) + (8 if spec.inputs.codec else 0)
    network = build(spec.network, inputs)
    assert network.n_parameters == PARAMETERS[name]
    assert PARAMETERS == {"fr_regressor_v1": 4673, "fr_regressor_v2": 2625, "vmaf_tiny_v2": 257}


def test_every_shipped_file_is_a_spec_named_like_its_file() -> None:
    paths = sorted(MODELS.glob("*.yaml"))
    assert set(PARAMETERS) <= {load_any(p).name for p in paths}


def test_features_keep_the_order_in_which_they_are_given() -> None:
    assert RegressorSpec.model_validate(minimal()).inputs.names == CANONICAL6
    listed = RegressorSpec.model_validate(minimal(inputs={"features": ["motion2", "adm2"]}))
    assert listed.inputs.names == ("motion2", "adm2")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"epoch": 3}, "unknown key 'epoch': did you mean 'epochs'"),
        (
            {"network": {"hidden": [4], "activaton": "relu"}},
            "unknown key 'network.activaton': did you mean 'activation'",
        ),
        ({"quantised": [{"mode": "static_qdq", "budgt": 1}]}, "did you mean 'budget'"),
        ({"quantised": [{"mode": "static", "epochs": 1}]}, "epochs is a key of mode qat only: static trains nothing"),
        ({"quantised": [{"mode": "qat"}, {"mode": "qat", "epochs": 1}]}, "a mode is listed twice"),
        ({"inputs": {"features": ["adm22"]}}, "unknown feature 'adm22': did you mean 'adm2'"),
        ({"inputs": {"features": ["adm2", "canonical6"]}}, "listed twice"),
        ({"inputs": {"features": []}}, "at least one feature"),
        ({"inputs": {"codec": "v9"}}, "unknown codec vocabulary 'v9'"),
        ({"network": {"hidden": [0]}}, "network.hidden.0 = 0"),
        ({"network": {"hidden": [4], "dropout": 1}}, "network.dropout = 1"),
        ({"epochs": -1}, "epochs = -1"),
        ({"batch_size": 0}, "batch_size = 0"),
        ({"seeds": [1, 1]}, "a seed is listed twice"),
        ({"seeds": []}, "seeds"),
        ({"name": "A B"}, "name = 'A B'"),
        ({"target": {"range": [100, 0]}}, "low < high"),
        ({"export": {"opset": 18}}, "export.opset = 18"),
    ],
)
def test_what_is_not_allowed_is_named_with_file_key_and_value(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_spec(minimal(**changes), "models/m.yaml")
    assert str(caught.value).startswith("models/m.yaml: ")
    assert said in str(caught.value)


def test_a_missing_key_is_named() -> None:
    data = minimal()
    del data["epochs"]
    with pytest.raises(InputError, match="key 'epochs' is missing"):
        parse_spec(data, "m.yaml")


def test_a_missing_spec_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"absent\.yaml"):
        load_regressor(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "not YAML"),
        (b"\xff\xfe\x00", "not YAML"),
        (b"- 1", "holds list"),
        (b"name: m\ndescription: d\ninputs: {}\nnetwork: {hidden: [4]}\nepochs: 1", "called 'd'"),
    ],
)
def test_a_file_that_is_not_a_spec_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "d.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_regressor(path)


def test_training_settings_leave_out_what_does_not_shape_weights() -> None:
    one = parse_spec(minimal(), "x").training()
    assert one == parse_spec(minimal(seeds=[7], epochs=9, gates={"mean_plcc_min": 0.1}), "x").training()
    assert one != parse_spec(minimal(batch_size=8), "x").training()


def test_an_unknown_quantised_mode() -> None:
    spec = parse_spec(minimal(), "x")
    with pytest.raises(InputError, match="'int4'; it has: dynamic, static, static_qdq, qat"):
        spec.quantised_mode("int4")
