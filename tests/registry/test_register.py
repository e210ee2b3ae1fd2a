"""The registry: what ships, by which rule, and what is refused."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from pyvmaf.base.files import sha256_file, write_json
from pyvmaf.errors import InputError, IntegrityError, MissingFileError
from pyvmaf.registry.consistency import check_registry
from pyvmaf.registry.entry import Entry, Registry, choose_seed, resolve
from pyvmaf.registry.register import register
from pyvmaf.runtime.load import load_model
from tests.make.commands import refusal

REGISTRY = Path("results/registry/registry.json")


def small() -> Entry:
    return Registry.read(REGISTRY).entry("small")


def edit(path: Path, **changes: Any) -> None:
    write_json(path, {**json.loads(path.read_text()), **changes})


@given(st.dictionaries(st.integers(0, 50), st.sampled_from([0.9, 0.95, 0.99, 0.991, 0.992]), min_size=1, max_size=9))
def test_the_seed_that_ships_is_the_median_one(per_seed: dict[int, float]) -> None:
    chosen = choose_seed(per_seed)
    assert per_seed[chosen] == statistics.median_low(per_seed.values())
    assert chosen == min(seed for seed, plcc in per_seed.items() if plcc == per_seed[chosen])


def test_a_promoted_model_ships_with_every_hash_and_a_held_one_does_not(results: Path) -> None:
    registry = Registry.read(REGISTRY)
    assert [entry.id for entry in registry.models] == ["small"]
    entry = registry.models[0]
    assert entry.selection is not None
    folder = results / "models/small"
    seed = entry.selection.seed
    plccs = {s: json.loads((folder / f"seed{s}/loso.json").read_text())["mean_plcc"] for s in (0, 1)}
    assert plccs[seed] == min(plccs.values())
    expected = {
        "sha256": folder / f"seed{seed}/model.onnx",
        "sidecar_sha256": folder / f"seed{seed}/model.json",
        "weights_sha256": folder / f"seed{seed}/weights.safetensors",
        "verdict_sha256": folder / "verdict.json",
        "table_sha256": results / "tables/default.parquet",
        "int8_sha256": results / f"quantized/small/seed{seed}/static_qdq.onnx",
        "int8_report_sha256": results / f"quantized/small/seed{seed}/static_qdq.json",
    }
    for key, path in expected.items():
        assert getattr(entry, key) == sha256_file(path), key
    assert entry.quant_mode == "static"
    assert entry.quant_calibration_set == "bbb, bikes_0, carphone"
    (held,) = registry.held
    assert held.id == "held"
    verdict = json.loads((results / "models/held/verdict.json").read_text())
    assert held.gate.as_json() == verdict["gate"]
    assert held.reason == "; ".join(verdict["gate"]["reasons"])
    assert f"{verdict['gate']['mean_plcc']:.4f}" in held.reason
    assert "0.95" in held.reason
    with pytest.raises(InputError, match="is held, not shipped: mean PLCC"):
        resolve(REGISTRY, "held")


def test_the_shipped_file_loads_and_its_int8_too(results: Path) -> None:
    onnx = resolve(REGISTRY, "small")
    assert load_model(onnx).sidecar["name"] == "small"
    assert resolve(REGISTRY, "small", int8=True).name == "static_qdq.onnx"
    with pytest.raises(InputError, match="did you mean 'small'"):
        resolve(REGISTRY, "smal")
    onnx.write_bytes(onnx.read_bytes()[:-1] + b"\0")
    with pytest.raises(IntegrityError, match="pins"):
        resolve(REGISTRY, "small")


def test_files_and_folder_give_the_same_bytes(results: Path) -> None:
    before = REGISTRY.read_bytes()
    files = sorted([*results.glob("models/*/verdict.json"), *results.glob("models/*/seed*/model.json")])
    files += [p for p in results.glob("quantized/*/seed*/*.json") if "manifest" not in p.name]
    register(reversed(files), REGISTRY)
    assert REGISTRY.read_bytes() == before


def test_an_int8_that_failed_its_gate_is_left_out_with_its_reason(results: Path) -> None:
    for path in results.glob("quantized/small/seed*/static_qdq.json"):
        edit(path, passed=False, missed=["PLCC drop 0.7, at most 0.5 is allowed", "RMSE 65, at most 50 is allowed"])
    shipped = register(["results"], REGISTRY)
    assert shipped.models == ("small",)
    entry = small()
    assert entry.quant_mode == "fp32"
    assert entry.int8 is None
    assert "int8" not in json.loads(REGISTRY.read_text())["models"][0]
    reason = "PLCC drop 0.7, at most 0.5 is allowed; RMSE 65, at most 50 is allowed"
    assert [refused.reason for refused in entry.int8_refused or ()] == [reason]
    with pytest.raises(InputError, match=r"ships no int8 variant .*PLCC drop"):
        resolve(REGISTRY, "small", int8=True)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("models/small/seed{s}/model.onnx", "model.json pins"),
        ("models/small/seed{s}/weights.safetensors", "verdict.json pins"),
        ("quantized/small/seed{s}/static_qdq.onnx", "static_qdq.json pins"),
    ],
)
def test_a_flipped_byte_is_not_registered(results: Path, file: str, message: str) -> None:
    before = REGISTRY.read_bytes()
    selection = small().selection
    assert selection is not None
    path = results / file.format(s=selection.seed)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match=message) as caught:
        register(["results"], REGISTRY)
    assert sha256_file(path) in str(caught.value)
    assert REGISTRY.read_bytes() == before


def test_what_does_not_belong_together_is_refused(results: Path) -> None:
    verdict = results / "models/small/verdict.json"
    corpus = json.loads(verdict.read_text())["corpus"]
    edit(verdict, corpus={**corpus, "sha256": "0" * 64})
    with pytest.raises(IntegrityError, match=f"judged the table {'0' * 64}"):
        register(["results"], REGISTRY)
    with pytest.raises(InputError, match=r"ships seed \d, but .* only these seeds were named: none"):
        register([verdict], REGISTRY)
    with pytest.raises(MissingFileError, match=r"no such file: nowhere\.json"):
        register(["nowhere.json"], REGISTRY)
    with pytest.raises(InputError, match=r"no verdict\.json"):
        register(results.glob("models/small/seed0/model.json"), REGISTRY)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": "Small"}, r"models\.0\.id: String should match pattern .*, but is 'Small'"),
        ({"sha256": "xyz"}, r"models\.0\.sha256: String should match pattern .*, but is 'xyz'"),
        ({"onnx": "/somewhere/model.onnx"}, r"models\.0\.onnx: String should match"),
        ({"nickname": "s"}, r"models\.0\.nickname: this key is not allowed here"),
        ({"quant_mode": "int4"}, r"models\.0\.quant_mode: should be 'fp32', .* but is 'int4'"),
        ({"opset": 6}, r"models\.0\.opset: should be greater than or equal to 7, but is 6"),
        ({"description": None}, r"models\.0\.description: null is not allowed"),
        ({"sidecar": ...}, r"models\.0: a model that is not a smoke model needs sidecar and sidecar_sha256"),
        ({"int8": ...}, r"models\.0: quant_mode static needs int8 and int8_sha256"),
        ({"quant_calibration_set": ...}, r"models\.0: quant_mode static needs quant_calibration_set"),
    ],
)
def test_a_registry_that_does_not_conform_is_refused(results: Path, change: dict[str, Any], message: str) -> None:
    schema = Draft202012Validator(Registry.json_schema())
    data = json.loads(REGISTRY.read_text())
    schema.validate(data)
    entry = data["models"][0] | change
    data["models"][0] = {key: value for key, value in entry.items() if value is not ...}
    assert not schema.is_valid(data)
    write_json(REGISTRY, data)
    with pytest.raises(IntegrityError, match=f"does not conform to Registry of models: {message}"):
        Registry.read(REGISTRY)
    assert len(check_registry(REGISTRY)) == 1


def test_a_huge_registry_is_not_read(results: Path) -> None:
    with open(REGISTRY, "ab") as stream:
        stream.truncate((1 << 20) + 1)
    with pytest.raises(IntegrityError, match="has 1048577 bytes, but such a file has at most 1048576: refused"):
        Registry.read(REGISTRY)


def test_check_registry_names_what_is_gone_or_changed(results: Path) -> None:
    assert check_registry(REGISTRY) == []
    entry = small()
    assert entry.int8 is not None
    assert entry.sidecar is not None
    (REGISTRY.parent / entry.int8).unlink()
    sidecar = REGISTRY.parent / entry.sidecar
    sidecar.write_text(sidecar.read_text() + " ")
    problems = check_registry(REGISTRY)
    assert len(problems) == 2
    assert "small: sidecar" in problems[0]
    assert sha256_file(sidecar) in problems[0]
    assert "small: int8" in problems[1]
    assert "does not exist" in problems[1]


@pytest.mark.parametrize("key", ["models", "held"])
def test_an_id_that_is_listed_twice_is_refused(results: Path, key: str) -> None:
    body = json.loads(REGISTRY.read_text())
    body[key] *= 2
    write_json(REGISTRY, body)
    (problem,) = check_registry(REGISTRY)
    assert "more than once" in problem
    with pytest.raises(IntegrityError, match="more than once"):
        resolve(REGISTRY, "small")


def test_by_hand_the_command_asks_for_what_it_needs(results: Path) -> None:
    assert "--dataset, --license, --train-commit" in refusal("register", "--model", "x.onnx", "--kind", "fr")
