"""Bad input of models that look at pixels, by their verbs: exit status 2, the whole message, and nothing left behind."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from pyvmaf.models.imported.architectures import ARCHITECTURES
from tests.make.commands import refusal
from tests.make.images import save
from tests.make.pictures import FILTER, SCORE, shipped, write_pictures, write_spec
from tests.make.tiny_network import Network


def gray(folder: Path, name: str, width: int, height: int) -> Path:
    save(folder / name, np.random.default_rng(width).integers(0, 256, (height, width), np.uint8))
    return folder / name


def refused(folder: Path, *words: object) -> str:
    """The message of a verb that leaves nothing in `folder`/out."""
    text = refusal(*words)
    assert not list(folder.glob("out/*"))
    return text


@pytest.mark.parametrize("colour", ["yuv420p", "GRAY", "argb", ""])
def test_an_unknown_pixel_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, colour: str) -> None:
    def opened(*_: object, **__: object) -> None:
        raise AssertionError("a decoder was started")

    image = gray(tmp_path, "a.png", 8, 8)
    monkeypatch.setattr("av.open", opened)
    words = ("-o", tmp_path / "out/a.safetensors", "--count", 1, "--colour", colour)
    for given in (image, tmp_path / "absent.mkv"):
        assert refused(tmp_path, "extract-frames", given, *words) == (
            f"unsupported pixel format '{colour}': pictures are gray (HxW), rgb24 or bgr24 (HxWx3), rgba or bgra (HxWx4)"
        )


def test_a_picture_smaller_than_the_crop(tmp_path: Path, make_video: Callable[..., Path]) -> None:
    gray(tmp_path / "images", "a.png", 32, 24)
    video = make_video("bad-small.mkv", "32x24", 2)
    for given, taken, where in (
        (tmp_path / "images", (), tmp_path / "images/a.png"),
        (video, ("--count", 1), video),
    ):
        words = ("-o", tmp_path / "out/a.safetensors", "--crop", "33x20", *taken)
        assert refused(tmp_path, "extract-frames", given, *words) == (
            f"{where}: a crop to 33x20 does not fit into frames of 32x24: choose a smaller crop, or scale up (size, longest)"
        )


def test_pictures_smaller_than_the_crops_of_a_model(tmp_path: Path) -> None:
    table = write_pictures(tmp_path / "t.parquet")
    config = write_spec(tmp_path, SCORE, crops={"train": 32, "judge": 96})
    assert refused(tmp_path, "fit", "--config", config, "--features", table, "--output", tmp_path / "out") == (
        f"{table}: 40 of 40 pictures are smaller than the crops of 96x96 that small_nr takes, the first of them 88x72 (row 0): "
        "leave their clips out of the table, or make crops smaller"
    )


def test_a_mask_of_another_size(tmp_path: Path) -> None:
    image = gray(tmp_path / "D-Image", "a.png", 32, 24)
    mask = gray(tmp_path / "D-Mask", "a.png", 33, 24)
    # What is stored would have one size.
    words = ("-o", tmp_path / "out/a.safetensors", "--size", "16x12")
    assert refused(tmp_path, "extract-frames", tmp_path, *words) == (
        f"{mask} has 33x24 pixels, but its image {image} has 32x24: a mask has the size of its image"
    )


def test_frames_of_mixed_sizes(tmp_path: Path) -> None:
    first, second = gray(tmp_path / "i", "a.png", 32, 24), gray(tmp_path / "i", "b.png", 32, 30)
    assert refused(tmp_path, "extract-frames", tmp_path / "i", "-o", tmp_path / "out/a.safetensors") == (
        f"{second} gives pictures of 32x30, {first} of 32x24, and one file holds pictures of one size: scale them (size, "
        "longest) or crop them"
    )


@pytest.mark.parametrize(
    ("spec", "changes", "message"),
    [
        (SCORE, {"vmaf": [None] * 40}, "none of 40 pictures can be trained on (40 lack vmaf)"),
        (
            FILTER,
            dict.fromkeys(("codec", "strength"), [None] * 40) | {"rung": ["reference"] * 40},
            "none of 40 pictures can be trained on (40 are pristine)",
        ),
    ],
)
def test_zero_labelled_rows(tmp_path: Path, spec: dict[str, Any], changes: dict[str, Any], message: str) -> None:
    table = write_pictures(tmp_path / "t.parquet", **changes)
    words = ("fit", "--config", write_spec(tmp_path, spec), "--features", table, "--output", tmp_path / "out")
    assert refused(tmp_path, *words) == f"{table}: {message}"


def test_zero_masks(tmp_path: Path) -> None:
    table = write_pictures(tmp_path / "t.parquet", colour="rgb24", size=(48, 48))
    base = {"name": "small", "kind": "saliency", "description": "d", "side": 48, "crop": 32, "epochs": 1}
    config = write_spec(tmp_path, base)
    assert refused(tmp_path, "fit", "--config", config, "--features", table, "--output", tmp_path / "out") == (
        f"{table}: none of 40 pictures has a mask, which small is trained on: extract them with masks (--masks, a folder laid "
        "out as DUTS, or the column mask of a list)"
    )


class Code:
    """What a hostile checkpoint runs when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch ran",)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def imported(folder: Path, sha256: str) -> Path:
    path = folder / "tiny.yaml"
    base = {"name": "tiny", "kind": "imported", "description": "d", "license": "MIT", "architecture": "tiny"}
    path.write_text(yaml.safe_dump({**base, "checkpoint": {"sha256": sha256}}))
    return path


@pytest.mark.parametrize("container", ["archive", "legacy"])
def test_a_checkpoint_with_code_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, container: str) -> None:
    monkeypatch.setitem(ARCHITECTURES, "tiny", "tests.make.tiny_network")
    monkeypatch.chdir(tmp_path)
    weights, content = tmp_path / "w.pth", {"conv.weight": Code()}
    if container == "archive":
        torch.save(content, weights)
    else:
        weights.write_bytes(pickle.dumps(content, protocol=2))
    words = ("--config", imported(tmp_path, digest(weights)), "--weights", weights)
    assert refused(tmp_path, "convert", *words, "--output", tmp_path / "out/conversion.json") == (
        f"{weights} holds more than tensors, so that reading it would run code that it brings, or it is damaged: refused. Ask "
        "its authors for a state dict or for safetensors"
    )
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_with_a_wrong_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ARCHITECTURES, "tiny", "tests.make.tiny_network")
    weights, wrong = tmp_path / "w.pth", "0" * 64
    torch.save(Network().state_dict(), weights)
    config = imported(tmp_path, wrong)
    words = ("--config", config, "--weights", weights)
    assert refused(tmp_path, "convert", *words, "--output", tmp_path / "out/conversion.json") == (
        f"{weights} has SHA-256 {digest(weights)}, but {wrong} is pinned by {config}: it is not that checkpoint; nothing was "
        "written"
    )


def test_a_graph_that_is_not_the_declared_one(tmp_path: Path, make_video: Callable[..., Path]) -> None:
    table = write_pictures(tmp_path / "t.parquet")
    score, other = (
        shipped(tmp_path / name, spec | {"epochs": 1}, table) for name, spec in (("s", SCORE), ("f", FILTER))
    )
    video = make_video("bad-graph.mkv", "96x80", 2)
    model, sidecar = score / "model.onnx", json.loads((score / "model.json").read_text())
    words = ("score", video, "--model", model, "--output", tmp_path / "out/scores.csv")
    expected = sidecar["sha256"]
    # Another file in its place, and then a sidecar that describes that file as if it were of this model.
    model.write_bytes((other / "model.onnx").read_bytes())
    assert refused(tmp_path, *words) == (
        f"{model} has sha256 {digest(model)}, but {expected} is pinned: it is not the file that was judged"
    )
    theirs = json.loads((other / "model.json").read_text())
    sidecar |= {key: theirs[key] for key in ("sha256", "bytes", "operators")}
    (score / "model.json").write_text(json.dumps(sidecar))
    assert refused(tmp_path, *words) == (
        f"{model} takes {{'degraded': (None, 1, None, None)}}, but {score / 'model.json'} describes frame [batch, 1, 64, 64]"
    )
