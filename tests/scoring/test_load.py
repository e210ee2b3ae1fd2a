"""load_model: what it finds, and everything that it refuses."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper

import pyvmaf
from pyvmaf.base.files import sha256_file, write_json
from pyvmaf.errors import InputError, IntegrityError, MissingFileError
from pyvmaf.registry.consistency import check_registry
from pyvmaf.registry.entry import Registry
from pyvmaf.registry.register import register
from pyvmaf.registry.verify import verify
from pyvmaf.runtime.ensemble import Ensemble
from pyvmaf.runtime.predictor import ModelWarning

REGISTRY = Path("results/registry/registry.json")
ROW: dict[str, list[float]] = {
    "adm2": [0.9],
    "vif_scale0": [0.5],
    "vif_scale1": [0.7],
    "vif_scale2": [0.8],
    "vif_scale3": [0.85],
    "motion2": [3],
}


def entry(name: str) -> dict[str, Any]:
    return next(e for e in Registry.read(REGISTRY).as_json()["models"] if e["id"] == name)


def edit_entry(name: str, **changes: Any) -> None:
    data = Registry.read(REGISTRY).as_json()
    edited = next(e for e in data["models"] if e["id"] == name)
    edited.update(changes)
    for key in [key for key, value in changes.items() if value is None]:
        del edited[key]
    write_json(REGISTRY, data)


def session_of(path: Path) -> Any:
    return ort.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])


def test_a_registered_model_takes_raw_features(run: Path) -> None:
    model = pyvmaf.load_model("small")
    onnx_path = REGISTRY.parent / entry("small")["onnx"]
    X = np.array([[v[0] for v in ROW.values()]], dtype=np.float32)
    expected = session_of(onnx_path).run(None, {"features": X})[0]
    assert model.predict(ROW).scores == pytest.approx(expected)
    by_path = pyvmaf.load_model(onnx_path)
    assert by_path.name == model.name == "small"
    assert by_path.predict(ROW).scores == model.predict(ROW).scores


def test_an_ensemble_scales_for_its_members(run: Path) -> None:
    model = pyvmaf.load_model("many")
    assert isinstance(model, Ensemble)
    assert model.features == ("vif_scale0", "motion2", "adm2")
    prediction = model.predict(ROW)
    scores = []
    for member in model.manifest["members"]:
        folder = run / "models/many" / Path(member["onnx"]).parent
        sidecar = json.loads((folder / "model.json").read_text())
        mean, std = (np.array(sidecar["input_normalization"][k]) for k in ("mean", "std"))
        X = (np.array([[ROW[name][0] for name in model.features]]) - mean) / std
        feeds = {"features": X.astype(np.float32), "codec": np.array([sidecar["codec"]["blind"]], dtype=np.float32)}
        scores.append(session_of(folder / "model.onnx").run(None, feeds)[0][0])
    assert prediction.scores[0] == pytest.approx(np.mean(scores))
    assert prediction.sigma is not None
    assert prediction.sigma[0] == pytest.approx(np.std(scores, ddof=1), rel=1e-4)
    by_path = pyvmaf.load_model("results/models/many/ensemble.json")
    assert by_path.predict(ROW).scores == prediction.scores


def test_int8_is_asked_for_by_name_and_never_replaced(copied: Path) -> None:
    small = entry("small")
    for model in (
        pyvmaf.load_model("small", int8=True),
        pyvmaf.load_model("small.int8"),
        pyvmaf.load_model(REGISTRY.parent / small["int8"]),
    ):
        assert model.name == "small.int8"
        X = np.array([[v[0] for v in ROW.values()]], dtype=np.float32)
        expected = session_of(REGISTRY.parent / small["int8"]).run(None, {"features": X})[0]
        assert model.predict(ROW).scores == pytest.approx(expected)
    with pytest.raises(InputError, match=r"'many' is an ensemble, .* it has no int8 variant"):
        pyvmaf.load_model("many.int8")
    with pytest.raises(InputError, match="name its own file"):
        pyvmaf.load_model(REGISTRY.parent / small["onnx"], int8=True)
    int8 = REGISTRY.parent / small["int8"]
    good = int8.read_bytes()
    int8.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(IntegrityError, match="is pinned"):
        pyvmaf.load_model("small.int8")
    int8.unlink()
    with pytest.raises(MissingFileError):
        pyvmaf.load_model("small.int8")
    data = Registry.read(REGISTRY).as_json()
    kept = next(e for e in data["models"] if e["id"] == "small")
    for key in [k for k in kept if k.startswith(("int8", "quant"))]:
        del kept[key]
    write_json(REGISTRY, data)
    with pytest.raises(InputError, match=r"ships no int8 variant .*; fp32 is not taken in its place"):
        pyvmaf.load_model("small.int8")


def test_where_ids_are_looked_up(copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    with pytest.raises(
        MissingFileError, match=r"results/registry/registry\.json, which should list model 'small': .* another registry"
    ):
        pyvmaf.load_model("small")
    there = copied / "registry/registry.json"
    assert pyvmaf.load_model("small", registry=there).name == "small"
    monkeypatch.setenv("PYVMAF_REGISTRY", str(there))
    assert pyvmaf.load_model("small").name == "small"
    with pytest.raises(InputError, match="unknown model 'smal': did you mean 'small'"):
        pyvmaf.load_model("smal")
    with pytest.raises(InputError, match="'held' is held, not shipped: "):
        pyvmaf.load_model("held")
    with pytest.raises(InputError, match="go with a path, but 'small' is an id"):
        pyvmaf.load_model("small", sha256="0" * 64)
    with pytest.raises(MissingFileError, match=r"nothing\.onnx"):
        pyvmaf.load_model("nothing.onnx")
    other = tmp_path / "other.json"
    other.write_text("{}")
    with pytest.raises(InputError, match="is neither the manifest of an ensemble nor a sidecar"):
        pyvmaf.load_model(other)


def append_node(path: Path) -> None:
    model = onnx.load(path)
    model.graph.node.append(helper.make_node("Det", ["x"], ["y"], name="bad"))
    path.write_bytes(model.SerializeToString())


def grow(path: Path) -> None:
    with open(path, "r+b") as stream:
        stream.truncate(50_000_001)


def other_vocabulary(path: Path) -> None:
    sidecar = path.with_suffix(".json")
    data = json.loads(sidecar.read_text())
    data["codec"]["vocabulary_sha256"] = "0" * 64
    write_json(sidecar, data)


@pytest.mark.parametrize(
    ("name", "harm", "error", "message"),
    [
        ("small", lambda p: p.write_bytes(p.read_bytes() + b"\0"), IntegrityError, "is pinned"),
        ("small", grow, InputError, "has 50000001 bytes, but a model may have at most 50000000"),
        ("small", lambda p: p.with_suffix(".json").write_text("{}"), IntegrityError, "is pinned"),
        ("small", lambda p: p.with_suffix(".json").unlink(), MissingFileError, "no such file"),
        ("small", Path.unlink, MissingFileError, "no such file"),
        ("many", lambda p: p.write_bytes(p.read_bytes() + b"\0"), IntegrityError, "is pinned"),
        ("many", lambda p: (p.parents[1] / "ensemble.json").write_text("{}"), IntegrityError, "is pinned"),
        ("many", other_vocabulary, IntegrityError, "is pinned"),
    ],
)
def test_what_is_harmed_is_refused(
    copied: Path, name: str, harm: Callable[[Path], Any], error: type[Exception], message: str
) -> None:
    harm(REGISTRY.parent / entry(name)["onnx"])
    with pytest.raises(error, match=message):
        pyvmaf.load_model(name)


def test_a_registry_that_pins_the_harm_does_not_help(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = REGISTRY.parent / entry("small")["onnx"]
    append_node(path)
    sidecar = path.with_suffix(".json")
    write_json(sidecar, {**json.loads(sidecar.read_text()), "sha256": sha256_file(path)})
    no_int8 = dict.fromkeys(("int8", "int8_sha256", "int8_report", "int8_report_sha256"))
    pins = {"sha256": sha256_file(path), "sidecar_sha256": sha256_file(sidecar)}
    edit_entry("small", **pins, **no_int8, quant_mode="fp32")

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("a session was opened")

    monkeypatch.setattr(ort, "InferenceSession", never)
    with pytest.raises(InputError, match="operator Det at /bad"):
        pyvmaf.load_model("small")
    edit_entry("small", onnx="../models/small")
    with pytest.raises(InputError, match="is not a regular file"):
        pyvmaf.load_model("small")


@pytest.mark.parametrize("verdict", ["HOLD", "UNTRAINED"])
def test_a_model_that_no_gate_let_through_is_loaded_with_a_warning(copied: Path, verdict: str) -> None:
    path = copied / "models/held/seed0/model.onnx"
    sidecar = json.loads(path.with_suffix(".json").read_text())
    sidecar |= {"verdict": verdict, "gates": sidecar["gates"] if verdict == "HOLD" else None}
    write_json(path.with_suffix(".json"), sidecar)
    with pytest.warns(
        ModelWarning, match="is held: its gates did not pass" if verdict == "HOLD" else "initial weights"
    ):
        pyvmaf.load_model(path)


def of_another(role: str) -> Callable[[], None]:
    """Give an entry a file of another model, with its true hash."""

    def change() -> None:
        path = f"../models/held/seed0/{'model.onnx' if role == 'onnx' else 'model.json'}"
        edit_entry("small", **{role: path, "sha256" if role == "onnx" else f"{role}_sha256": true_hash(path)})

    return change


def true_hash(path: str) -> str:
    return sha256_file(REGISTRY.parent / path)


def variant_of_another_seed() -> None:
    path = entry("small")["int8"]
    other = path.replace("seed1", "seed0") if "seed1" in path else path.replace("seed0", "seed1")
    report = other.replace(".onnx", ".json")
    edit_entry(
        "small", int8=other, int8_sha256=true_hash(other), int8_report=report, int8_report_sha256=true_hash(report)
    )


def verdict_of_another() -> None:
    path = "../models/held/verdict.json"
    edit_entry("small", verdict=path, verdict_sha256=true_hash(path))


def other_weights() -> None:
    path = "../models/held/seed0/weights.safetensors"
    edit_entry("small", weights=path, weights_sha256=true_hash(path))


def swapped_members() -> None:
    shipped = entry("many")["ensemble"]
    first, second, *others = shipped["members"]
    first["seed"], second["seed"] = second["seed"], first["seed"]
    edit_entry("many", ensemble={**shipped, "members": [first, second, *others]})


@pytest.mark.parametrize(
    ("change", "name", "message", "loads"),
    [
        (of_another("onnx"), "small", r"small: its sha256 is '\w+', but \S+model.json says sha256", False),
        (of_another("sidecar"), "small", r"small: its id is 'small', but \S+ says name 'held'", False),
        (lambda: edit_entry("small", license="MIT"), "small", "small: its license is 'MIT', but", False),
        (lambda: edit_entry("small", train_commit="x"), "small", "small: its train_commit is 'x', but", False),
        (lambda: edit_entry("small", dataset="nflx"), "small", "small: its dataset is 'nflx', but", False),
        (lambda: edit_entry("small", table_sha256="0" * 64), "small", "small: its table_sha256 is", False),
        (variant_of_another_seed, "small.int8", r"small: its sha256 is '\w+', but \S+ says fp32.sha256", False),
        (swapped_members, "many", "many: its members are not those of", False),
        (lambda: edit_entry("small", quant_mode="qat"), "small.int8", "small: its quant_mode is 'qat', but", False),
        # What loading does not read, the check of the registry does.
        (
            lambda: edit_entry("small", gate={**entry("small")["gate"], "mean_plcc": 1}),
            "small",
            "small: its gate is not that of",
            True,
        ),
        (verdict_of_another, "small", r"small: it ships, but \S+ says HOLD", True),
        (other_weights, "small", "small: its weights_sha256 is", True),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_an_entry_of_parts_of_several_models_is_refused(
    copied: Path, change: Callable[[], None], name: str, message: str, loads: bool
) -> None:
    assert check_registry(REGISTRY) == []
    change()
    found = check_registry(REGISTRY)
    assert any(re.search(message, problem) for problem in found), found
    if loads:
        pyvmaf.load_model(name)
    else:
        with pytest.raises(IntegrityError, match=message):
            pyvmaf.load_model(name)


def test_mutants_are_refused_or_score_as_onnxruntime_does() -> None:
    """A process of its own forks one per mutant, which a process with sessions cannot do."""
    words = [sys.executable, "-m", "tests.fuzz.graphs", "--count", "30", "--seed", "1001"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = dict(word.split() for word in done.stdout.strip().split(", "))
    assert counts.keys() == {"refused", "scored"}, "some of either, or the mutants are not worth much"


def test_a_vocabulary_that_means_something_else(copied: Path) -> None:
    manifest = copied / "models/many/ensemble.json"
    data = json.loads(manifest.read_text())
    data["codec_vocab_sha256"] = "0" * 64
    for member in data["members"]:
        path = manifest.parent / member["onnx"]
        other_vocabulary(path)
        member["sidecar_sha256"] = sha256_file(path.with_suffix(".json"))
    write_json(manifest, data)
    with pytest.raises(IntegrityError, match=r"vocabulary v2 of sha256 0{64}, but here it is .* mean something else"):
        pyvmaf.load_model(manifest)
    single = manifest.parent / "seed0/model.onnx"
    with pytest.raises(IntegrityError, match="mean something else"):
        pyvmaf.load_model(single)


def test_the_jail_holds_for_ids_too(copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMAF_TINY_MODEL_DIR", str(copied))
    assert pyvmaf.load_model("small").name == "small"
    assert pyvmaf.load_model("many").name == "many"
    jail = tmp_path / "jail"
    jail.mkdir()
    monkeypatch.setenv("VMAF_TINY_MODEL_DIR", str(jail))
    for name in ("small", "many", "small.int8", "results/models/many/ensemble.json"):
        with pytest.raises(InputError, match="lies outside of the folder that models may be loaded from"):
            pyvmaf.load_model(name)


def test_scores_far_outside_of_the_range_bring_a_warning(run: Path) -> None:
    far = {**ROW, "motion2": [4000.0], "adm2": [-30.0]}
    model = pyvmaf.load_model("small")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert model.predict(ROW).unexpected_share == 0
    said = r"1 of 1 scores of model small lie outside of its expected range 0 to 100, from .*: they were clipped to it"
    with pytest.warns(ModelWarning, match=said):
        prediction = model.predict(far)
    assert prediction.unexpected_share == 1
    assert prediction.scores.tolist() in ([0.0], [100.0])
    assert prediction.outside == {"adm2": 1.0, "motion2": 1.0}


def test_an_int8_variant_far_from_home_needs_its_parent_named(copied: Path, tmp_path: Path) -> None:
    small = entry("small")
    away = tmp_path / "away"
    away.mkdir()
    int8 = REGISTRY.parent / small["int8"]
    for path in (int8, int8.with_suffix(".json")):
        shutil.copy(path, away)
    with pytest.raises(MissingFileError, match="sidecar of its fp32 model is not at"):
        pyvmaf.load_model(away / int8.name)
    model = pyvmaf.load_model(away / int8.name, sidecar=REGISTRY.parent / small["sidecar"], sha256=small["int8_sha256"])
    assert np.isfinite(model.predict(ROW).scores).all()


# -- the registry's part -------------------------------------------------------------------------


def test_the_registry_lists_an_ensemble_with_every_hash(run: Path) -> None:
    many = entry("many")["ensemble"]
    assert many["manifest_sha256"] == sha256_file(run / "models/many/ensemble.json")
    assert [m["seed"] for m in many["members"]] == [0, 1, 2]
    for member in many["members"]:
        assert member["sha256"] == sha256_file(REGISTRY.parent / member["onnx"])
        assert member["sidecar_sha256"] == sha256_file(REGISTRY.parent / member["sidecar"])
    assert check_registry(REGISTRY) == []
    assert "ensemble" not in entry("small")
    outcome = verify(run)
    assert outcome.clean, outcome.findings


def test_verify_sees_a_member_that_changed(copied: Path) -> None:
    seeds = {m["seed"] for m in entry("many")["ensemble"]["members"]} - {entry("many")["selection"]["seed"]}
    member = copied / f"models/many/seed{min(seeds)}/model.onnx"
    member.write_bytes(member.read_bytes() + b"\0")
    (copied / "models/many/ensemble.json").unlink()
    wrong = check_registry(REGISTRY)
    assert any(f"many: member {min(seeds)} " in sentence and "registered was" in sentence for sentence in wrong)
    assert any("many: ensemble manifest" in sentence and "does not exist" in sentence for sentence in wrong)
    kinds = {(finding.kind, Path(finding.path).name) for finding in verify(copied).findings}
    assert {("changed", "model.onnx"), ("missing", "ensemble.json")} <= kinds


def test_intervals_that_failed_do_not_ship_but_a_seed_does(copied: Path) -> None:
    manifest = copied / "models/many/ensemble.json"
    data = json.loads(manifest.read_text())
    data["verdict"] = "HOLD"
    data["coverage_gate"] |= {"passed": False, "why": "intervals that should hold 95.0% hold 60.0%"}
    write_json(manifest, data)
    shipped = register(["results"], REGISTRY)
    assert shipped.ensembles_refused == (("many", "intervals that should hold 95.0% hold 60.0%"),)
    many = entry("many")
    assert "ensemble" not in many
    assert many["ensemble_refused"]["manifest_sha256"] == sha256_file(manifest)
    assert not isinstance(pyvmaf.load_model("many"), Ensemble)
    data["verdict_sha256"] = "0" * 64
    write_json(manifest, data)
    with pytest.raises(IntegrityError, match=r"was made from the verdict 0{64}"):
        register(["results"], REGISTRY)
