"""Sidecars and manifests that say what is not so: each lie that files can contradict is found when a model is loaded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyvmaf.base.files import sha256_file
from pyvmaf.errors import PyvmafError
from pyvmaf.runtime.ensemble import load_ensemble
from pyvmaf.runtime.load import load_model

RUN = Path(__file__).parents[1] / "artefacts" / "0.1.0" / "results" / "models"
Change = Callable[[dict[str, Any]], Any]


def swap(names: list[str], first: int, second: int) -> list[str]:
    names = list(names)
    names[first], names[second] = names[second], names[first]
    return names


LIES: dict[str, tuple[Change, str]] = {
    "another order of features": (
        lambda s: s.update(features=swap(s["features"], 0, 5)), "cannot have: it describes other columns, or another order"),
    "a feature of another name": (
        lambda s: s.update(features=["adm3", *s["features"][1:]]), "gives feature_ranges of"),
    "a feature twice": (lambda s: s.update(features=["adm2", "adm2", *s["features"][2:]]), "lists a feature twice"),
    "a feature less": (lambda s: s["features"].pop(), "features, but 6 values of mean"),
    "ranges that exclude the mean": (
        lambda s: s["feature_ranges"].update(motion2=[100, 200]), "motion2 a mean of .* cannot have"),
    "ranges too narrow for the deviation": (
        lambda s: s["feature_ranges"].update(
            motion2=[s["input_normalization"]["mean"][5] - 1e-3, s["input_normalization"]["mean"][5] + 1e-3]),
        "motion2 a mean of .* cannot have"),
    "swapped ends": (lambda s: s["feature_ranges"].update(adm2=[1, 0.1]), "whose ends are swapped"),
    "wider ranges than the guard": (
        lambda s: s.update(feature_ranges={name: [-1e3, 1e3] for name in s["features"]}), "for guard.low inside of"),
    "no guard": (lambda s: s.update(input_guard="none"), "states nothing for guard.low inside of"),
    "another margin": (lambda s: s.update(input_guard_margin={"motion2": 7.0}), "for guard.low|for guard.high"),
    "another scaler": (
        lambda s: s["input_normalization"].update(std=[2 * std for std in s["input_normalization"]["std"]]),
        "for scaler.std inside of|cannot have"),
    "a scaler outside that is inside": (
        lambda s: s["input_normalization"].update(in_graph=not s["input_normalization"]["in_graph"]),
        "for scaler.mean inside of|states .* for guard"),
    "NaN": (lambda s: s["input_normalization"].update(mean=[float("nan")] * 6), "NaN is not a JSON number"),
    "an infinite deviation": (lambda s: s["input_normalization"].update(std=[1e999] * 6), "is not a JSON number|larger than"),
    "another input": (lambda s: s.update(input_name="x"), "describes x"),
    "another output": (lambda s: s.update(output_name="y"), "names one, y"),
    "another opset": (lambda s: s.update(onnx_opset=16), "says onnx_opset 16"),
    "an empty range of scores": (lambda s: s.update(expected_output_range=[100, 0]), "is empty"),
    "gates that failed": (lambda s: s["gates"].update(passed=False), "verdict PROMOTE, but its gates did not pass"),
    "a verdict that was not measured": (lambda s: s.update(gates=None), "with gates null"),
    "a kind that nothing knows": (lambda s: s.update(kind="nr"), "of kind 'nr', but"),
    "a clip that is not there": (lambda s: s.update(output_clipped=True), "does not compute score.unclipped"),
}  # fmt: skip

CODEC_LIES: dict[str, tuple[Change, str]] = {
    "no codec": (lambda s: s.update(codec=None), r"takes .*codec \(\d+ columns\), but .* describes features \(\d columns\)$"),
    "another order of slots": (
        lambda s: s["codec"].update(layout=swap(s["codec"]["layout"], 0, 1)), "gives the codec block the layout"),
    "a short layout": (lambda s: s["codec"]["layout"].pop(), "gives the codec block the layout"),
    "another blind block": (lambda s: s["codec"].update(blind=s["codec"]["blind"][::-1]), "gives the codec block the blind"),
    "no blind block": (lambda s: s["codec"].update(blind=None), "gives the codec block the blind"),
    "another vocabulary": (lambda s: s["codec"].update(vocabulary="v3"), "its codec columns would mean something else"),
}  # fmt: skip


def lying(tmp_path: Path, model: str, change: Change) -> Path:
    home = shutil.copytree(RUN / model / "seed0", tmp_path / "seed0")
    sidecar = json.loads((home / "model.json").read_text())
    change(sidecar)
    (home / "model.json").write_text(json.dumps(sidecar))
    return home / "model.onnx"


@pytest.mark.parametrize("lie", LIES)
def test_a_sidecar_that_lies_is_refused(lie: str, tmp_path: Path) -> None:
    change, message = LIES[lie]
    with pytest.raises(PyvmafError, match=message) as caught:
        load_model(lying(tmp_path, "frame_model", change))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("lie", CODEC_LIES)
def test_a_sidecar_that_lies_about_the_codec_is_refused(lie: str, tmp_path: Path) -> None:
    change, message = CODEC_LIES[lie]
    with pytest.raises(PyvmafError, match=message):
        load_model(lying(tmp_path, "ensemble_model", change))


def test_an_untouched_model_is_not_refused(tmp_path: Path) -> None:
    for model in ("frame_model", "ensemble_model"):
        assert load_model(RUN / model / "seed0" / "model.onnx").name == model
    assert len(load_ensemble(RUN / "ensemble_model" / "ensemble.json").members) == 3


def same_member_twice(manifest: dict[str, Any]) -> None:
    first = manifest["members"][0]
    manifest["members"][1] |= {key: first[key] for key in ("onnx", "sha256", "sidecar", "sidecar_sha256")}


ENSEMBLE_LIES: dict[str, tuple[Change, str]] = {
    "a member twice": (same_member_twice, "names a model file twice"),
    "a seed twice": (lambda m: m["members"][1].update(seed=0), "names a seed twice"),
    "seeds that are swapped": (
        lambda m: (m["members"][0].update(seed=1), m["members"][1].update(seed=0)), "says seed 1, but its member"),
    "a member too few": (lambda m: m["members"].pop(), "names 2 members, but says that it has 3"),
    "another kind": (lambda m: m.update(kind="mos_ensemble"), "says kind mos_ensemble, but its member"),
    "another table": (lambda m: m.update(dataset_sha256="0" * 64), "says dataset_sha256"),
    "other settings": (lambda m: m.update(train_config_hash="sha256:" + "0" * 64), "says train_config_hash"),
    "another range": (lambda m: m.update(expected_output_range=[0, 1]), "says expected_output_range"),
    "another scaler": (lambda m: m.update(feature_mean=[0.0] * 6), "says feature_mean"),
    "another order": (lambda m: m.update(feature_order=m["feature_order"][::-1]), "says feature_order"),
    "other intervals": (lambda m: m["confidence"].update(gaussian_z=0.1), "says gaussian_z 0.1, but for intervals of"),
    "intervals without a factor": (
        lambda m: m["confidence"].update(conformal_q_residual=None, normalised_q=None), "states no factor for them"),
    "a member elsewhere": (lambda m: m["members"][0].update(onnx="../frame_model/seed0/model.onnx"), "leads out of"),
    "a member at an absolute path": (lambda m: m["members"][0].update(onnx="/etc/passwd"), "should match pattern"),
    "held": (lambda m: m.update(verdict="HOLD"), "is held"),
}  # fmt: skip


@pytest.mark.parametrize("lie", ENSEMBLE_LIES)
def test_an_ensemble_that_lies_is_refused(lie: str, tmp_path: Path) -> None:
    home = shutil.copytree(RUN / "ensemble_model", tmp_path / "ensemble_model")
    change, message = ENSEMBLE_LIES[lie]
    manifest = json.loads((home / "ensemble.json").read_text())
    change(manifest)
    (home / "ensemble.json").write_text(json.dumps(manifest))
    with pytest.raises(PyvmafError, match=message):
        load_ensemble(home / "ensemble.json")


def test_members_that_do_not_agree_are_refused(tmp_path: Path) -> None:
    """A member of another training, with hashes that fit."""
    home = shutil.copytree(RUN / "ensemble_model", tmp_path / "ensemble_model")
    other = home / "seed1" / "model.json"
    sidecar = json.loads(other.read_text())
    sidecar["feature_ranges"]["motion2"][1] *= 1
    sidecar["train_config_hash"] = "sha256:" + "1" * 64
    other.write_text(json.dumps(sidecar))
    manifest = json.loads((home / "ensemble.json").read_text())
    manifest["members"][1]["sidecar_sha256"] = sha256_file(other)
    (home / "ensemble.json").write_text(json.dumps(manifest))
    with pytest.raises(PyvmafError, match="says train_config_hash"):
        load_ensemble(home / "ensemble.json")
