"""Models that map salient objects: from a folder laid out as DUTS to a registered model, its figures, and refusals."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime as ort
import pyarrow.parquet as pq
import pytest

from pyvmaf.checks.saliency import eval_saliency
from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.frames.pictures import Pictures
from pyvmaf.models.export import export
from pyvmaf.models.fit import fit
from pyvmaf.models.image.networks import n_parameters
from pyvmaf.models.judge import judge
from pyvmaf.models.saliency.networks import build
from pyvmaf.models.saliency.spec import Network
from pyvmaf.models.spec import load_spec
from pyvmaf.models.weights import load_weights
from pyvmaf.quantized.quantize import quantize
from pyvmaf.registry.register import register
from pyvmaf.runtime.load import load_model
from pyvmaf.scoring.saliency import load, saliency
from tests.make.commands import command, refusal
from tests.make.images import blob, duts, save
from tests.make.pictures import write_pictures, write_spec

SIDE = 48
SMALL: dict[str, Any] = {
    "name": "small_saliency",
    "kind": "saliency",
    "description": "Maps of ellipses",
    "side": SIDE,
    "crop": 32,
    "target": {"table": "saliency", "column": "mask", "range": [0, 1]},
    "epochs": 14,
    "batch_size": 8,
    "seeds": [0],
    "split": {"protocol": "named", "by": "corpus", "values": ["unseen"]},
    "gates": {"iou": {"least": 0.5, "above_fixed": 0.1}},
    "quantised": [{"mode": "static_qdq", "calibration_rows": 8, "budget": 0.05, "rmse_max": 0.1, "srocc_min": 0.8}],
}


class Made(NamedTuple):
    """The files of a fitted model."""

    config: Path
    table: Path
    seed: Path
    verdict: dict[str, Any]


def extracted(folder: Path, corpus: str, n: int, first: int = 0) -> Path:
    images = duts(folder / corpus, n, SIDE, first)
    output = folder / f"{corpus}.safetensors"
    words = ("--colour", "rgb24", "--size", f"{SIDE}x{SIDE}", "--corpus", corpus)
    done = command("extract-frames", images, "-o", output, *words)
    assert done.returncode == 0, done.stderr
    return output.with_suffix(".parquet")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty-two pictures to train on, and eight of another corpus."""
    folder = tmp_path_factory.mktemp("masked")
    parts = [extracted(folder, "seen", 32), extracted(folder, "unseen", 8, first=100)]
    output = folder / "saliency.parquet"
    done = command("combine-pictures", *parts, "-o", output)
    assert done.returncode == 0, done.stderr
    return output


def made(folder: Path, table: Path, **changes: Any) -> Made:
    config = write_spec(folder, SMALL, **changes)
    home = folder / "results" / "models" / SMALL["name"]
    seed = home / "seed0"
    fit(config, table, seed, seed=0)
    verdict = judge(config, [seed / "loso.json"], home / "verdict.json", seeds=[0])
    export(config, seed / "weights.safetensors", home / "verdict.json", table, seed / "model.onnx")
    return Made(config, table, seed, verdict)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, table: Path) -> Made:
    return made(tmp_path_factory.mktemp("small"), table)


def maps(path: Path, pictures: list[Any]) -> list[Any]:
    """Run a file with onnxruntime alone, on pictures [h, w, 3]."""
    session = ort.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    inputs = [(((one / 255 - mean) / std).transpose(2, 0, 1)[None]).astype(np.float32) for one in pictures]
    return [session.run(["saliency_map"], {"input": one})[0][0, 0] for one in inputs]


@pytest.mark.parametrize(("version", "parameters"), [("tiny_unet_v1", 112_841), ("tiny_unet_v2", 123_721)])
def test_networks_have_the_published_sizes(version: Any, parameters: int) -> None:
    assert n_parameters(build(Network(type=version))) == parameters


@pytest.mark.parametrize("version", ["tiny_unet_v1", "tiny_unet_v2"])
def test_the_same_seed_gives_the_same_file(tmp_path: Path, table: Path, version: str) -> None:
    one, two = (
        made(tmp_path / name, table, network={"type": version}, epochs=1).seed / "model.onnx" for name in ("a", "b")
    )
    assert one.read_bytes() == two.read_bytes()
    graph = onnx.load(one)
    assert [(o.domain, o.version) for o in graph.opset_import] == [("", 17)]
    sizes = [d.dim_param or d.dim_value for d in graph.graph.input[0].type.tensor_type.shape.dim]
    assert (graph.graph.input[0].name, sizes) == ("input", [1, 3, "height", "width"])
    (whole,) = maps(one, [blob(3, 64)[0]])  # another size than that of the training
    assert whole.shape == (64, 64)


def test_the_model_that_ships_has_seen_no_held_out_picture(model: Made) -> None:
    weights = load_weights(model.seed / "weights.safetensors")
    assert weights.held_out == ["test", None]
    assert all(np.array_equal(values[0], values[1]) for values in weights.tensors.values())
    report = json.loads((model.seed / "loso.json").read_text())
    assert (report["folds"][0]["n_train"], report["folds"][0]["n_val"]) == (32, 8)
    assert report["split"]["rows_not_used"] == 8


def test_figures_are_those_of_the_exported_file(model: Made) -> None:
    report = json.loads((model.seed / "loso.json").read_text())["family"]["per_corpus"]
    pictures, masks = zip(*(blob(number, SIDE) for number in range(100, 108)), strict=True)
    answers = maps(model.seed / "model.onnx", list(pictures))
    ious = [
        np.count_nonzero((answer > 0.5) & (mask > 127)) / np.count_nonzero((answer > 0.5) | (mask > 127))
        for answer, mask in zip(answers, masks, strict=True)
    ]
    assert set(report) == {"unseen"}
    assert report["unseen"]["iou"] == pytest.approx(np.mean(ious), abs=2e-3)
    mean = np.mean([blob(number, SIDE)[1] / 255 for number in range(32)], axis=0)
    fixed = [
        np.mean([np.count_nonzero((mean > t) & (m > 127)) / np.count_nonzero((mean > t) | (m > 127)) for m in masks])
        for t in np.arange(0.02, 1, 0.02)
    ]
    assert report["unseen"]["fixed_iou"] == pytest.approx(max(fixed))
    rows = pq.read_table(model.seed / "predictions.parquet").to_pandas()
    assert sorted(rows["prediction"]) == pytest.approx(sorted(float(a.mean()) for a in answers), abs=1e-4)
    assert sorted(rows["target"]) == pytest.approx(sorted(m.mean() / 255 for m in masks))


def test_the_gate_promotes_and_holds(model: Made, tmp_path: Path) -> None:
    assert model.verdict["verdict"] == "PROMOTE", model.verdict["gate"]["reasons"]
    config = write_spec(tmp_path, SMALL, gates={"iou": {"least": 0.999, "above_fixed": 0.9}})
    verdict = judge(config, [model.seed / "loso.json"], tmp_path / "verdict.json", seeds=[0])
    assert verdict["verdict"] == "HOLD"
    first, second = verdict["gate"]["reasons"][0].split("; ")
    assert first.startswith("IoU on unseen ")
    assert first.endswith(" is below 0.999")
    assert "above a fixed map's, less than 0.9" in second


def test_a_registered_student_measures_videos_and_masks(model: Made, tmp_path: Path) -> None:
    registry = tmp_path / "registry.json"
    register([model.seed / "model.json", model.seed.parent / "verdict.json"], registry)
    assert load(registry=registry).name == "small_saliency"
    for number in range(100, 108):
        picture, mask = blob(number, SIDE)
        save(tmp_path / "pictures" / f"{number}.png", picture)
        save(tmp_path / "masks" / f"{number}.png", mask)
    report = eval_saliency(tmp_path / "pictures", tmp_path / "masks", model="small_saliency", registry=registry)
    stated = json.loads((model.seed / "loso.json").read_text())["family"]["per_corpus"]["unseen"]
    assert report.macro_pixel_iou == pytest.approx(stated["iou"], abs=0.01)
    assert report.macro_iou == pytest.approx(stated["block_iou"], abs=0.1)
    table = tmp_path / "saliency.parquet"
    image = tmp_path / "pictures" / "100.png"
    assert saliency([image], table, registry=registry) == 1
    (answer,) = maps(model.seed / "model.onnx", [blob(100, SIDE)[0]])
    (row,) = pq.read_table(table).to_pylist()
    assert row["saliency_mean"] == pytest.approx(answer.mean(), abs=2e-3)
    assert row["saliency_var"] == pytest.approx(answer.var(), abs=2e-3)


def test_a_graph_of_another_origin_is_registered_by_hand(model: Made, tmp_path: Path) -> None:
    file, registry = tmp_path / "other.onnx", tmp_path / "registry.json"
    file.write_bytes((model.seed / "model.onnx").read_bytes())
    words = ("--dataset", "duts", "--license", "MIT", "--train-commit", "abc", "--registry", registry)
    done = command("register", "--model", file, "--kind", "saliency", *words)
    assert done.returncode == 0, done.stderr
    loaded = load("other", registry=registry)
    assert loaded.block.inputs == {"input": [1, 3, 320, 320]}
    table = tmp_path / "saliency.parquet"
    assert saliency([save(tmp_path / "one.png", blob(1, SIDE)[0])], table, model="other", registry=registry) == 1
    assert 0 < pq.read_table(table)["saliency_mean"][0].as_py() < 1
    proto = onnx.load(file)
    proto.graph.node.append(onnx.helper.make_node("ReduceMean", ["saliency_map"], ["mean"], axes=[2, 3], keepdims=0))
    proto.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("mean", 1, [1, 1]))
    onnx.save(proto, tmp_path / "mean.onnx")
    text = refusal("register", "--model", tmp_path / "mean.onnx", "--kind", "saliency", *words)
    assert "a model for saliency takes a picture [1, 3, height, width] and gives a map" in text


def test_a_student_learns_from_masks_that_another_model_makes(model: Made, tmp_path: Path) -> None:
    registry = tmp_path / "registry.json"
    register([model.seed / "model.json", model.seed.parent / "verdict.json"], registry)
    for number in range(200, 206):
        save(tmp_path / "bare" / f"im_{number}.png", blob(number, 32)[0])
    words = ("--colour", "rgb24", "--corpus", "bare")
    assert command("extract-frames", tmp_path / "bare", "-o", tmp_path / "bare.safetensors", *words).returncode == 0
    made_by = ("--model", "small_saliency", "--registry", registry)
    labelled = tmp_path / "labelled.parquet"
    done = command("mask-pictures", tmp_path / "bare.parquet", "-o", labelled, *made_by)
    assert done.returncode == 0, done.stderr
    pictures = Pictures.open(labelled)
    agreement = []
    for row in range(6):
        mask = pictures.mask(row)
        assert mask is not None
        assert mask.shape == (32, 32)
        truth = blob(200 + row, 32)[1] > 127
        agreement.append(np.count_nonzero((mask > 127) & truth) / np.count_nonzero((mask > 127) | truth))
    assert np.mean(agreement) > 0.4
    config = write_spec(tmp_path, SMALL, side=32, split={"protocol": "kfold", "k": 2, "by": "source"})
    assert fit(config, labelled, tmp_path / "student", seed=0, epochs=1).loso["table"]["rows_used"] == 6
    text = refusal("mask-pictures", labelled, "-o", tmp_path / "again.parquet", *made_by)
    assert "has a mask: there is nothing to make" in text
    gray = masked(tmp_path / "gray.parquet", [False] * 20, "gray")
    text = refusal("mask-pictures", gray, "-o", tmp_path / "again.parquet", *made_by)
    assert "holds pictures of pixel format gray, but saliency is of rgb24" in text


def test_a_model_is_validated_against_torch_a_graph_and_the_registry(model: Made, tmp_path: Path) -> None:
    registry, report = tmp_path / "registry.json", tmp_path / "validation.json"
    register([model.seed / "model.json", model.seed.parent / "verdict.json"], registry)
    words = ("validate-model", "--model", model.seed / "model.onnx", "--config", model.config)
    done = command(*words, "--registry", registry, "--json", report)
    assert done.returncode == 0, done.stdout + done.stderr
    checks = json.loads(report.read_text())["checks"]
    assert [check["passed"] for check in checks] == [True, True, True, True]
    assert "Conv x" in checks[0]["measured"]
    assert command(*words, cwd=tmp_path).returncode == 0  # no registry here: its entry is not checked

    # One weight of the file is another: torch and the registry's hash show it, and so does the graph that it was.
    proto = onnx.load(model.seed / "model.onnx")
    bias = next(t for t in proto.graph.initializer if t.name.endswith("head.bias"))
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + np.float32(0.01), bias.name))
    other = tmp_path / "other" / "model.onnx"
    other.parent.mkdir()
    onnx.save(proto, other)
    sidecar = json.loads((model.seed / "model.json").read_text())
    sidecar |= {"sha256": hashlib.sha256(other.read_bytes()).hexdigest(), "bytes": other.stat().st_size}
    other.with_suffix(".json").write_text(json.dumps(sidecar))
    known = ("--weights", model.seed / "weights.safetensors", "--config", model.config, "--registry", registry)
    shown = command("validate-model", "--model", other, *known)
    assert shown.returncode == 1
    assert "FAILED largest difference from torch" in shown.stdout
    assert "FAILED entry of the registry" in shown.stdout
    against = command("validate-model", "--model", other, "--source", model.seed / "model.onnx", cwd=tmp_path)
    assert against.returncode == 1
    assert "FAILED largest difference from" in against.stdout
    same = ("--source", model.seed / "model.onnx")
    assert command("validate-model", "--model", model.seed / "model.onnx", *same, cwd=tmp_path).returncode == 0
    text = refusal("validate-model", "--model", other, "--config", model.config)
    assert "weights.safetensors, which the answers of" in text


def test_int8_is_measured_on_held_out_pictures_and_loads(model: Made, tmp_path: Path) -> None:
    file = tmp_path / "static_qdq.onnx"
    report = quantize(model.config, model.seed / "model.onnx", model.seed / "weights.safetensors", model.table, file)
    assert report["passed"], report["missed"]
    assert report["n_heldout"] == 8
    assert report["calibration"]["sources"] == ["seen"]
    assert report["int8"]["operators"]["QuantizeLinear"] > 2
    assert report["size_ratio"] < 0.5
    small = load_model(file, sidecar=model.seed / "model.json", sha256=report["int8"]["sha256"])
    some = [blob(100, SIDE)[0], blob(101, SIDE)[0]]
    assert small.predict(some).scores == pytest.approx(
        load_model(model.seed / "model.onnx").predict(some).scores, abs=0.05
    )


def test_the_model_of_a_graph_that_is_not_the_declared_one_is_refused(model: Made, tmp_path: Path) -> None:
    for name in ("model.onnx", "model.json"):
        (tmp_path / name).write_bytes((model.seed / name).read_bytes())
    sidecar = json.loads((tmp_path / "model.json").read_text())
    sidecar["inputs"] = {"input": [1, 3, SIDE, 2 * SIDE]}
    (tmp_path / "model.json").write_text(json.dumps(sidecar))
    with pytest.raises(IntegrityError, match=r"declares the outputs .* but .* has"):
        load_model(tmp_path / "model.onnx")
    del sidecar["preparation"]
    (tmp_path / "model.json").write_text(json.dumps(sidecar))
    with pytest.raises(IntegrityError, match="states how pictures are prepared"):
        load_model(tmp_path / "model.onnx")


def test_rows_of_features_and_other_pictures_are_refused(model: Made) -> None:
    loaded = load_model(model.seed / "model.onnx")
    with pytest.raises(InputError, match="takes pictures, not rows of features: it maps where people look"):
        loaded.predict({"adm2": [1.0]})
    with pytest.raises(InputError, match=r"takes pictures \[48, 48, 3\] in colour, not an array \[48, 48\]"):
        loaded.predict([np.zeros((48, 48), np.uint8)])


def masked(path: Path, has: list[bool], colour: str = "rgb24", size: tuple[int, int] = (SIDE, SIDE)) -> Path:
    """A table of pictures, some of which have a mask."""
    n = len(has)
    assert n == 20
    file = path.with_name(f"{path.stem}.safetensors").name
    return write_pictures(
        path,
        sources=4,
        frames=1,
        size=size,
        colour=colour,
        mask_file=[file if one and colour == "gray" else None for one in has],
        mask_row=[0 if one and colour == "gray" else None for one in has],
    )


@pytest.mark.parametrize(
    ("colour", "size", "message"),
    [
        ("gray", (SIDE, SIDE), "holds pictures of pixel format gray, but small_saliency takes rgb24"),
        ("rgb24", (SIDE, SIDE), "none of 20 pictures has a mask, which small_saliency is trained on"),
    ],
)
def test_tables_that_cannot_be_trained_on(tmp_path: Path, colour: str, size: tuple[int, int], message: str) -> None:
    table = masked(tmp_path / "t.parquet", [False] * 20, colour, size)
    with pytest.raises(InputError, match=message):
        fit(write_spec(tmp_path, SMALL), table, tmp_path / "out", seed=0)
    assert not (tmp_path / "out").exists()


def test_pictures_of_another_size_and_too_few_masks_are_refused(tmp_path: Path, table: Path) -> None:
    with pytest.raises(InputError, match=r"40 of 40 pictures have another size than the 64x64 .* --size 64x64"):
        fit(write_spec(tmp_path, SMALL, side=64), table, tmp_path / "out", seed=0)
    parts = [extracted(tmp_path, "seen", 4)]
    save(tmp_path / "bare" / "one.png", blob(1, SIDE)[0])
    words = ("--colour", "rgb24", "--corpus", "unseen")
    assert command("extract-frames", tmp_path / "bare", "-o", tmp_path / "bare.safetensors", *words).returncode == 0
    assert command("combine-pictures", *parts, tmp_path / "bare.parquet", "-o", tmp_path / "t.parquet").returncode == 0
    assert Pictures.open(tmp_path / "t.parquet").mask(4) is None
    text = refusal(
        "fit", "--config", write_spec(tmp_path, SMALL), "--features", tmp_path / "t.parquet", "--output", tmp_path / "o"
    )
    assert "1 of 5 pictures have no mask, more than rows.max_dropped_share 0.05" in text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"side": 50}, "side = 50"),
        ({"crop": 56}, "crop: 56 is larger than the pictures"),
        ({"target": {"column": "vmaf"}}, "column is mask"),
        ({"split": {"protocol": "named", "by": "corpus"}}, "named needs values"),
        ({"split": {"protocol": "hash", "values": ["unseen"]}}, "values is not a key of protocol hash, but of named"),
        ({"quantised": [{"mode": "dynamic"}]}, "quantised mode dynamic is not for convolutions"),
        ({"precision": "16-mixed"}, "precision: 16-mixed needs device: cuda"),
    ],
)
def test_specs_that_contradict_themselves(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_spec(write_spec(tmp_path, SMALL, **changes))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["elsewhere"], "unknown corpus of split.values"),
        (["seen", "unseen"], "split.values holds out every corpus"),
    ],
)
def test_named_values_have_rows_and_leave_others(tmp_path: Path, table: Path, values: list[str], message: str) -> None:
    config = write_spec(tmp_path, SMALL, split={"protocol": "named", "by": "corpus", "values": values})
    with pytest.raises(InputError, match=message):
        fit(config, table, tmp_path / "out", seed=0)


def test_its_card_says_how_it_is_fed(model: Made, table: Path, tmp_path: Path) -> None:
    from pyvmaf.reports.pages.card.page import write_cards
    from tests.make.pages import Parsed

    (card,) = write_cards([model.seed.parents[2]], tmp_path, table=table)
    page = Parsed(card.read_text(encoding="utf-8"))
    assert page.open == []
    facts = {row[0]: row[1] for row in page.table("Overview")[1:]}
    assert facts["kind"] == "saliency, maps: it marks the salient objects of a picture"
    assert facts["output saliency_map"] == f"1x1x{SIDE}x{SIDE}"
    assert len(page.table("Table: ")) == 1 + 40
