"""Arrays of nv12, p010 and RGB: the rows of the same samples in planes, and of files that FFmpeg's program converted."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from pyvmaf.errors import InputError
from pyvmaf.scoring.score import score
from pyvmaf.scoring.session import FrameWarning, Session

FEATURES = "adm2,motion2,psnr_y,psnr_cb"
FRAMES = 3


def pictures(path: Path, pix_fmt: str) -> list[NDArray[Any]]:
    with av.open(str(path)) as container:
        found = [frame for frame, _ in zip(container.decode(video=0), range(FRAMES), strict=False)]
        return [frame.reformat(format=pix_fmt).to_ndarray() for frame in found]


def planes(array: NDArray[Any]) -> list[NDArray[Any]]:
    """Divide an array of yuv420p as PyAV makes it, (height * 3 / 2, width), by arithmetic on its samples in order."""
    height, width = array.shape[0] * 2 // 3, array.shape[1]
    flat = array.ravel()
    luma, quarter = height * width, height * width // 4
    return [
        flat[:luma].reshape(height, width),
        flat[luma : luma + quarter].reshape(height // 2, width // 2),
        flat[luma + quarter :].reshape(height // 2, width // 2),
    ]


@pytest.mark.parametrize(("layout", "pix_fmt", "shift"), [("nv12", "yuv420p", 0), ("p010", "yuv420p10le", 6)])
def test_interleaved_chroma_scores_as_planes_do(pair: tuple[Path, Path], layout: str, pix_fmt: str, shift: int) -> None:
    sides = [[planes(array) for array in pictures(path, pix_fmt)] for path in pair]
    want = list(Session(FEATURES).stream(zip(*sides, strict=True)))
    dtype = sides[0][0][0].dtype

    def joined(y: NDArray[Any], u: NDArray[Any], v: NDArray[Any]) -> list[NDArray[Any]]:
        pairs = np.stack([u, v], axis=-1).astype(dtype) << shift
        return [(y << shift).astype(dtype), pairs]

    halves = [[joined(*frame) for frame in side] for side in sides]
    flat = [[[luma, chroma.reshape(chroma.shape[0], -1)] for luma, chroma in side] for side in halves]
    whole = [[np.concatenate(frame) for frame in side] for side in flat]
    for frames in (halves, flat, whole):
        assert list(Session(FEATURES, layout=layout).stream(zip(*frames, strict=True))) == want


def test_nv12_is_what_pyav_makes_of_it(pair: tuple[Path, Path]) -> None:
    want = list(
        Session(FEATURES).stream(zip(*([planes(a) for a in pictures(p, "yuv420p")] for p in pair), strict=True))
    )
    frames = zip(*(pictures(path, "nv12") for path in pair), strict=True)
    assert list(Session(FEATURES, layout="nv12").stream(frames)) == want


def run(ffmpeg: str, *words: object) -> bytes:
    return subprocess.run(
        [ffmpeg, "-nostdin", "-v", "error", "-y", *map(str, words)], check=True, capture_output=True
    ).stdout


@pytest.mark.parametrize(
    ("matrix", "full", "raw", "form"),
    [
        ("bt601", False, "rgb24", "yuv444p"),
        ("bt709", False, "rgb24", "yuv444p"),
        ("bt709", True, "rgb24", "yuv444p"),
        ("bt2020", False, "rgb48le", "yuv444p16le"),
    ],
)
def test_rgb_scores_as_the_files_that_ffmpeg_converts(
    pair: tuple[Path, Path], ffmpeg: str, tmp_path: Path, matrix: str, full: bool, raw: str, form: str
) -> None:
    sides, files = [], []
    size, dtype = "176x144", np.dtype("u1" if raw == "rgb24" else "<u2")
    for index, path in enumerate(pair):
        content = tmp_path / f"{index}.rgb"
        run(ffmpeg, "-i", path, "-frames:v", FRAMES, "-f", "rawvideo", "-pix_fmt", raw, content)
        sides.append(np.fromfile(content, dtype).reshape(FRAMES, 144, 176, 3))
        target = tmp_path / f"{index}.yuv"
        scale = f"scale=out_color_matrix={matrix}:out_range={'pc' if full else 'tv'}:flags=bicubic,format={form}"
        run(
            ffmpeg,
            "-f",
            "rawvideo",
            "-video_size",
            size,
            "-pix_fmt",
            raw,
            "-i",
            content,
            "-vf",
            scale,
            "-f",
            "rawvideo",
            target,
        )
        files.append(target)
    session = Session(FEATURES, layout="rgb", matrix=matrix, full_range=full)
    with pytest.warns(FrameWarning, match="is RGB: converted to"):
        rows = list(session.stream(zip(*sides, strict=True)))
    from pyvmaf.video.format import Format

    batch = score(*files, features=FEATURES, raw=Format.parse(size, form))
    for name, values in batch.columns.items():
        np.testing.assert_array_equal([row[name] for row in rows], values, err_msg=name)
    assert matrix.replace("bt", "BT.") in session.notes[0]


@pytest.mark.parametrize(
    ("options", "frame", "message"),
    [
        ({"layout": "nv12"}, np.zeros((60, 64), np.uint16), "samples of nv12 are uint8"),
        ({"layout": "nv12"}, [np.zeros((60, 64), np.uint8)] * 2, r"luma \(height, width\)"),
        ({"layout": "nv12"}, np.zeros((60, 64, 3), np.uint8), r"luma \(height, width\)"),
        ({"layout": "p010"}, np.full((96, 64), 65, np.uint16), "holds 65: samples of p010 are in the upper 10"),
        ({"layout": "rgb"}, np.zeros((60, 64), np.uint8), r"shape \(60, 64\): an RGB frame"),
        ({"layout": "rgb"}, np.zeros((60, 64, 3), np.float32), "samples are float32"),
        ({"layout": "rgb", "bits": 10}, np.full((60, 64, 3), 1024, np.uint16), "more than the 1023"),
        ({"layout": "rgb", "bits": 8}, np.zeros((60, 64, 3), np.uint16), "samples of 8 bits are uint8"),
        ({}, np.zeros((60, 64, 3), np.uint8), "layout 'rgb' and its matrix"),
    ],
)
def test_other_arrays_are_refused(options: dict[str, object], frame: object, message: str) -> None:
    with Session("psnr_y", None, **options) as session, pytest.raises(InputError, match=message):  # type: ignore[arg-type]
        session.push(frame, frame)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "rgb", "matrix": "bt909"}, "unknown matrix 'bt909': did you mean 'bt709'"),
        ({"layout": "p010", "bits": 12}, "samples of p010 have 10 bits, not 12"),
        ({"layout": "rgb", "bits": 9}, "8, 10, 12 or 16 bits"),
    ],
)
def test_layouts_that_there_are_not_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Session("psnr_y", None, **options)  # type: ignore[arg-type]
