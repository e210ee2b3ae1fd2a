"""Saliency of pictures and videos: tables for `join`, and agreement with masks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from pyvmaf.checks.saliency import eval_saliency
from pyvmaf.errors import InputError, IntegrityError, MissingFileError
from pyvmaf.models.imported.architectures import ARCHITECTURES
from pyvmaf.models.imported.convert import convert
from pyvmaf.models.imported.u2netp import Network as U2NetP
from pyvmaf.models.imported.u2netp import read
from pyvmaf.registry.register import register
from pyvmaf.runtime.saliency import iou, resized
from pyvmaf.scoring.saliency import load, saliency, saliency_maps
from tests.make.checkpoints import converted
from tests.make.commands import command
from tests.make.tiny_network import Network, tiny_spec


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry with a model of a few weights for saliency."""
    monkeypatch.setitem(ARCHITECTURES, "tiny", "tests.make.tiny_network")
    torch.manual_seed(0)
    weights = tmp_path / "tiny.pth"
    torch.save(Network().state_dict(), weights)
    report = tmp_path / "results/models/tiny/converted/conversion.json"
    convert(tiny_spec(tmp_path, weights), report, weights=weights)
    register([report], tmp_path / "registry.json")
    return tmp_path / "registry.json"


def test_columns_of_a_video_are_those_of_its_maps_and_join_a_table(
    tiny: Path, make_video: Callable[..., Path], tmp_path: Path
) -> None:
    video = make_video("moving.mkv", "64x48", 6)
    table = tmp_path / "saliency.parquet"
    assert saliency([video], table, registry=tiny) == 6
    rows = pq.read_table(table).to_pylist()
    made = [one for _, one in saliency_maps(load(registry=tiny), video)]
    assert [row["frame_index"] for row in rows] == list(range(6))
    np.testing.assert_allclose([row["saliency_mean"] for row in rows], [one.mean() for one in made])
    np.testing.assert_allclose([row["saliency_var"] for row in rows], [one.var() for one in made])
    assert all(0 < row["saliency_mean"] < 1 for row in rows)
    sampled = tmp_path / "sampled.parquet"
    assert saliency([video], sampled, registry=tiny, every=4, per_clip=True) == 1
    (mean,) = pq.read_table(sampled).to_pylist()
    assert mean["n_frames"] == 2
    np.testing.assert_allclose(mean["saliency_mean"], (rows[0]["saliency_mean"] + rows[4]["saliency_mean"]) / 2)
    features = tmp_path / "features.parquet"
    pq.write_table(pa.table({"clip": ["moving"] * 6, "frame_index": range(6), "adm2": [0.5] * 6}), features)
    joined = tmp_path / "joined.parquet"
    words = ("--columns", "saliency_mean,saliency_var", "--frame-key", "frame_index")
    done = command("join", features, table, "-o", joined, *words)
    assert done.returncode == 0, done.stderr
    assert pq.read_table(joined)["saliency_mean"].to_pylist() == [row["saliency_mean"] for row in rows]


def test_what_cannot_be_measured_is_refused(tiny: Path, make_video: Callable[..., Path], tmp_path: Path) -> None:
    video = make_video("moving.mkv", "64x48", 6)
    twin = tmp_path / "other" / "moving.mkv"
    twin.parent.mkdir()
    twin.write_bytes(video.read_bytes())
    with pytest.raises(InputError, match="both be the clip 'moving'"):
        saliency([video, twin], tmp_path / "s.parquet", registry=tiny)
    with pytest.raises(InputError, match="no model for saliency is registered: convert and register one"):
        saliency([video], tmp_path / "s.parquet", registry=tmp_path / "none.json")
    assert not (tmp_path / "s.parquet").exists()


def maps(folder: Path, **pictures: Any) -> Path:
    folder.mkdir()
    for name, picture in pictures.items():
        np.save(folder / f"{name}.npy", picture)
    return folder


def test_blocks_agree_by_their_means(tmp_path: Path) -> None:
    mask = np.zeros((20, 40))
    mask[:16, :16] = 1
    guess = np.zeros((20, 40))
    guess[:16, :32] = 0.75
    empty = np.zeros((20, 40))
    predicted = maps(tmp_path / "maps", a=guess, b=empty)
    truth = maps(tmp_path / "masks", a=mask, b=empty, unused=mask)
    report = eval_saliency(predicted, truth, tmp_path / "report.json")
    assert [(row.name, row.iou) for row in report.rows] == [("a", 0.5), ("b", 1.0)]
    assert (report.macro_iou, report.micro_iou, report.n_pairs) == (0.75, 0.5, 2)
    assert report.macro_pixel_iou == 0.75
    assert report.rows[0].mae == pytest.approx((256 * 0.25 + 256 * 0.75) / 800)
    assert json.loads((tmp_path / "report.json").read_text())["block_size"] == 16
    # A block at the edge has the mean of the pixels that it has.
    assert eval_saliency(truth, truth, block=7).micro_iou == 1


def test_maps_of_every_format_are_the_same(tmp_path: Path) -> None:
    levels = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    npy = maps(tmp_path / "npy", a=levels)
    for name, data in {
        "binary": b"P5\n4 3\n255\n" + levels.tobytes(),
        "text": b"P2\n4 3\n255\n" + b" ".join(str(value).encode() for value in levels.ravel()) + b"\n",
    }.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "a.pgm").write_bytes(data)
        assert eval_saliency(folder, npy).mean_absolute_error < 1e-6, name


def test_pairs_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    predicted = maps(tmp_path / "maps", a=np.zeros((4, 4)))
    with pytest.raises(InputError, match=r"is 4x4, but its mask .* is 5x4"):
        eval_saliency(predicted, maps(tmp_path / "wider", a=np.zeros((4, 5))))
    with pytest.raises(MissingFileError, match="has no mask for a"):
        eval_saliency(predicted, maps(tmp_path / "other", b=np.zeros((4, 4))))
    with pytest.raises(InputError, match="not one picture of 0 to 1"):
        eval_saliency(maps(tmp_path / "large", a=np.full((4, 4), 3.0)), predicted)
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    np.save(pickled / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(IntegrityError, match=r"not a readable \.npy file of numbers"):
        eval_saliency(pickled, predicted)
    done = command("eval-saliency-per-mb", predicted, predicted, "--threshold", "1")
    assert done.returncode == 2


def test_iou_and_resizing() -> None:
    assert iou(np.array([True, False]), np.array([True, True])) == 0.5
    assert iou(np.zeros(2, bool), np.zeros(2, bool)) == 1
    picture = np.random.default_rng(0).uniform(size=(5, 7))
    tensor = torch.from_numpy(picture)[None, None]
    for size in ((5, 7), (9, 20), (3, 4)):
        expected = torch.nn.functional.interpolate(tensor, size=size, mode="bilinear", align_corners=False)
        np.testing.assert_allclose(resized(picture, size), expected[0, 0].numpy(), atol=1e-12)


def test_the_layout_of_u2netp_is_the_published_one() -> None:
    tensors = U2NetP().state_dict()
    assert len(tensors) == 798
    assert sum(value.numel() for value in U2NetP().parameters()) == 1_131_181
    assert tuple(tensors["stage1.rebnconvin.conv_s1.weight"].shape) == (64, 3, 3, 3)
    assert tuple(tensors["stage5d.rebnconv1d.bn_s1.running_var"].shape) == (64,)
    assert tuple(tensors["outconv.weight"].shape) == (1, 6, 1, 1)


def test_another_graph_is_not_u2netp(tiny: Path, tmp_path: Path) -> None:
    onnx = tmp_path / "results/models/tiny/converted/model.onnx"
    with pytest.raises(IntegrityError, match="has 1 convolutions, but U2NetP has 119"):
        read(onnx.read_bytes(), onnx)
    with pytest.raises(IntegrityError, match="not an ONNX file"):
        read(b"nothing of that kind", onnx)


@pytest.mark.network
def test_u2netp_maps_as_its_authors_did(session_folder: Path, shared_data: Path) -> None:
    """Two of the twelve masks that the authors publish; bench/bench_imported.py measures all."""
    registry = converted(session_folder, "u2netp") / "results/registry/registry.json"
    mirror = json.loads((registry.parents[1] / "models/u2netp/converted/mirror.json").read_text())
    assert mirror["schema"] == "u2netp-mirror-export-manifest-v1"
    model = load(registry=registry)
    folder = shared_data / "saliency/u2netp_golden"
    for stem in ("girl", "vangogh"):
        picture = next(path for path in folder.glob(f"{stem}.*") if ".mask" not in path.name)
        mask = next(eval_pictures(folder / f"{stem}.mask.png"))
        made = next(saliency_maps(model, picture))[1]
        made = resized((made - made.min()) / (made.max() - made.min()), mask.shape)
        assert iou(made > 0.5, mask > 0.5) >= 0.95
        assert np.abs(made - mask).mean() <= 0.012


def eval_pictures(path: Path) -> Any:
    from pyvmaf.video.reader import Reader
    from pyvmaf.video.tensors import Picture, tensors

    yield from (one[0] for batch in tensors(Reader(path), Picture("gray")) for one in batch)
