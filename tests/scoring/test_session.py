"""Streaming: complete rows one frame late, equal to the batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from pyvmaf.engines.libvmaf import engine
from pyvmaf.errors import InputError, NativeError
from pyvmaf.scoring.score import score
from pyvmaf.scoring.session import Session
from pyvmaf.video.reader import Planes, Reader

FEATURES = "canonical6,motion,motion3,psnr_cb"


@pytest.fixture(scope="module")
def frames(pair: tuple[Path, Path]) -> list[tuple[Planes, Planes]]:
    return list(zip(Reader(pair[0]).planes(), Reader(pair[1]).planes(), strict=True))


@pytest.mark.parametrize("threads", [1, 3])
def test_rows_equal_the_batch(
    pair: tuple[Path, Path], frames: list[tuple[Planes, Planes]], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Contexts are renewed several times on the way.
    monkeypatch.setattr(engine, "BLOCK", 25)
    rows = list(Session(FEATURES, threads=threads).stream(frames))
    batch = score(*pair, features=FEATURES)
    assert [row["frame_index"] for row in rows] == list(range(120))
    for name, values in batch.columns.items():
        np.testing.assert_array_equal([row[name] for row in rows], values, err_msg=name)


def test_each_row_comes_one_frame_late(frames: list[tuple[Planes, Planes]]) -> None:
    with Session() as stream:
        assert stream.push(*frames[0]) == []
        for index in range(1, 6):
            assert [row["frame_index"] for row in stream.push(*frames[index])] == [index - 1]
        assert [row["frame_index"] for row in stream.finish()] == [5]
        with pytest.raises(NativeError, match="finished after 6 frames"):
            stream.push(*frames[6])


def test_pyav_frames_and_strided_planes_score_alike(
    pair: tuple[Path, Path], frames: list[tuple[Planes, Planes]]
) -> None:
    def av_frames(path: Path) -> list[av.VideoFrame]:
        with av.open(str(path)) as container:
            return [frame for frame, _ in zip(container.decode(video=0), range(8), strict=False)]

    def padded(planes: Planes) -> list[np.ndarray]:
        wide = [np.zeros((p.shape[0], p.shape[1] * 2 + 5), p.dtype) for p in planes]
        for w, p in zip(wide, planes, strict=True):
            w[:, : 2 * p.shape[1] : 2] = p
        return [w[:, : 2 * p.shape[1] : 2] for w, p in zip(wide, planes, strict=True)]

    plain = list(Session().stream(frames[:8]))
    assert list(Session().stream(zip(av_frames(pair[0]), av_frames(pair[1]), strict=True))) == plain
    assert list(Session().stream((padded(r), padded(d)) for r, d in frames[:8])) == plain


def test_buffers_may_be_reused(frames: list[tuple[Planes, Planes]]) -> None:
    plain = list(Session().stream(frames[:6]))
    buffers = tuple(np.empty_like(p) for p in frames[0][0]), tuple(np.empty_like(p) for p in frames[0][1])
    with Session(threads=2) as stream:
        rows = []
        for pair in frames[:6]:
            for side, planes in zip(buffers, pair, strict=True):
                for buffer, plane in zip(side, planes, strict=True):
                    buffer[:] = plane
            rows += stream.push(*buffers)
            for side in buffers:
                for buffer in side:
                    buffer[:] = 0
        rows += stream.finish()
    assert rows == plain


def test_luma_only_and_a_single_frame(frames: list[tuple[Planes, Planes]], pair: tuple[Path, Path]) -> None:
    luma = [(r[:1], d[:1]) for r, d in frames[:3]]
    assert list(Session().stream(luma)) == list(Session().stream(frames[:3]))
    with Session("motion2,motion3,motion") as stream:
        stream.push(*frames[0])
        (row,) = stream.finish()
    batch = score(*pair, features="motion2,motion3,motion", frames=(0, 1))
    assert {n: row[n] for n in ("motion", "motion2")} == {n: batch[n][0] for n in ("motion", "motion2")}


def test_frames_of_two_formats_are_refused(frames: list[tuple[Planes, Planes]]) -> None:
    reference, distorted = frames[0]
    with (
        Session() as stream,
        pytest.raises(InputError, match="reference is 176x144 yuv420p, the distorted one is 176x144 gray"),
    ):
        stream.push(reference, distorted[:1])


def test_a_frame_of_another_size_is_refused(frames: list[tuple[Planes, Planes]]) -> None:
    reference, distorted = frames[0]
    with Session() as stream:
        stream.push(reference, distorted)
        half = tuple(p[: p.shape[0] // 2] for p in reference)
        with pytest.raises(InputError, match="frame 1 is 176x72 yuv420p, those before it were 176x144"):
            stream.push(half, half)


def test_samples_of_another_type_are_refused(frames: list[tuple[Planes, Planes]]) -> None:
    reference, distorted = frames[0]
    with Session() as stream, pytest.raises(InputError, match="samples are float64"):
        stream.push([reference[0] / 255.0], [distorted[0] / 255.0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"features": "adm"}, r"unknown feature 'adm': did you mean 'adm2'\?"),
        ({"model": "vmaf_v1.0.16_hfr_3d0h"}, "known at the end of a clip only"),
    ],
)
def test_features_and_models_that_a_session_does_not_have_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Session(**options)
