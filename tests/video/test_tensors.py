"""Frames as arrays, against matrices of ITU-R BT.601 and BT.709 computed by hand and against the FFmpeg program."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pyvmaf.errors import InputError
from pyvmaf.video.ffmpeg import ffmpeg
from pyvmaf.video.reader import Reader
from pyvmaf.video.tensors import Box, Picture, tensors

Make = Callable[..., Path]
KR_KB = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}
FFV1 = ("-c:v", "ffv1", "-pix_fmt")


def by_hand(path: Path, matrix: str) -> NDArray[np.float64]:
    """RGB in [0, 1] of every frame [n, 3, h, w] of a 4:4:4 video of limited range, from its planes."""
    reader = Reader(path)
    step = 1 << (reader.format.bit_depth - 8)
    planes = np.stack([np.stack(frame) for frame in reader.planes()]).astype(np.float64) / step
    y = (planes[:, 0] - 16) / 219
    cb, cr = (planes[:, 1:] - 128).transpose(1, 0, 2, 3) / 224
    kr, kb = KR_KB[matrix]
    red, blue = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    return np.asarray(np.clip(np.stack([red, green, blue], axis=1), 0, 1))


def by_program(path: Path, filters: str, pix_fmt: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Frames [n, c, h, w] as FFmpeg writes them."""
    command = [str(ffmpeg().path), "-v", "error", "-i", str(path), "-vf", filters, "-fps_mode", "passthrough"]
    data = subprocess.run(
        [*command, "-pix_fmt", pix_fmt, "-f", "rawvideo", "-"], capture_output=True, check=True
    ).stdout
    n, c, h, w = shape
    return np.frombuffer(data, np.uint8).reshape(n, h, w, c).transpose(0, 3, 1, 2)


def whole(path: Path, picture: Picture, **options: Any) -> NDArray[Any]:
    return np.concatenate(list(tensors(Reader(path), picture, **options)))


@pytest.mark.parametrize("pix_fmt", ["yuv444p", "yuv444p10le"])
@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
def test_colours_by_hand(make_video: Make, pix_fmt: str, matrix: str) -> None:
    path = make_video(f"{pix_fmt}.mkv", "64x48", 3, *FFV1, pix_fmt)
    expected = by_hand(path, matrix)
    # Rounding to 8 bits, and the scaler's fixed-point coefficients.
    tolerance = 0.6 if pix_fmt == "yuv444p10le" else 1.0
    levels = whole(path, Picture("rgb24", values=None, matrix=matrix))
    assert levels.dtype == np.uint8
    assert np.abs(levels - expected * 255).max() <= tolerance
    floats = whole(path, Picture("rgb24", matrix=matrix))
    assert floats.dtype == np.float32
    assert floats.shape == (3, 3, 48, 64)
    assert np.abs(floats - expected).max() <= tolerance / 255
    other = by_hand(path, "bt709" if matrix == "bt601" else "bt601")
    assert np.abs(floats - other).max() > 20 / 255


def test_the_colour_that_a_file_states_counts(make_video: Make) -> None:
    stated = ("-vf", "setparams=colorspace=bt709", *FFV1, "yuv444p")
    path = make_video("stated.mkv", "64x48", 2, *stated)
    assert Reader(path).stream.colour.matrix == "bt709"
    assert np.abs(whole(path, Picture()) - by_hand(path, "bt709")).max() <= 1 / 255
    silent = make_video("silent.mkv", "64x48", 2, "-vf", "setparams=colorspace=unknown", *FFV1, "yuv444p")
    assert Reader(silent).stream.colour.matrix == ""
    assert np.abs(whole(silent, Picture()) - by_hand(silent, "bt601")).max() <= 1 / 255


@pytest.mark.parametrize("pix_fmt", ["gray", "rgb24", "bgr24"])
@pytest.mark.parametrize("coded", ["yuv420p", "yuv422p10le", "yuvj420p", "gray", "bgr0"])
def test_equal_to_the_ffmpeg_program(make_video: Make, coded: str, pix_fmt: str) -> None:
    codec = ("-c:v", "mjpeg", "-pix_fmt", coded) if coded == "yuvj420p" else (*FFV1, coded)
    path = make_video(f"p-{coded}.mkv", "66x50", 3, *codec)
    n = 1 if pix_fmt == "gray" else 3
    convert = f"scale=flags=bicubic+accurate_rnd+bitexact+full_chroma_int,format={'gray' if n == 1 else 'rgb24'}"
    plain = whole(path, Picture(pix_fmt, values=None))
    assert np.array_equal(plain, by_program(path, convert, pix_fmt, (3, n, 50, 66)))
    for scaler in ("bilinear", "lanczos"):
        small = whole(path, Picture(pix_fmt, crop=(32, 20), size=(24, 30), scaler=scaler, values=None))
        filters = f"{convert},crop=32:20:17:15:exact=1,scale=24:30:flags={scaler}+accurate_rnd+bitexact"
        assert np.array_equal(small, by_program(path, filters, pix_fmt, (3, n, 30, 24)))


def test_gray_is_luma_of_full_range(make_video: Make) -> None:
    path = make_video("luma.mkv", "64x48", 3, *FFV1, "yuv420p10le")
    luma = np.stack([frame[0] for frame in Reader(path).planes(luma=True)])[:, None].astype(np.float64)
    expected = np.clip((luma - 64) / 876, 0, 1)
    assert np.abs(whole(path, Picture("gray")) - expected).max() <= 0.1 / 255
    shifted = whole(path, Picture("gray", values=(-1.0, 1.0)))
    assert np.abs(shifted - (expected * 2 - 1)).max() <= 0.2 / 255


def test_crops_of_a_picture(make_video: Make) -> None:
    path = make_video("crops.mkv", "65x49", 2, *FFV1, "yuv444p", source="testsrc")
    full = whole(path, Picture(values=None))
    assert np.array_equal(whole(path, Picture(values=None, crop=(32, 16))), full[:, :, 16:32, 16:48])
    assert np.array_equal(whole(path, Picture(values=None, crop=Box(3, 5, 7, 9))), full[:, :, 5:14, 3:10])
    assert np.array_equal(whole(path, Picture("bgr24", values=None)), full[:, ::-1])


def test_batches_and_chosen_frames(make_video: Make) -> None:
    path = make_video("many.mkv", "64x48", 11, *FFV1, "yuv420p")
    batches = list(tensors(Reader(path), Picture(values=None), batch=4))
    assert [b.shape[0] for b in batches] == [4, 4, 3]
    assert all(b.flags.c_contiguous for b in batches)
    chosen = whole(path, Picture(values=None), indices=[9, 2, 3], batch=2)
    assert np.array_equal(chosen, np.concatenate(batches)[[2, 3, 9]])
    with pytest.raises(InputError, match=r"many\.mkv does not have frame 11"):
        whole(path, Picture(), indices=[2, 11])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pix_fmt": "rgb"}, "unknown pixel format 'rgb': did you mean"),
        ({"scaler": "cubic"}, "unknown scaler 'cubic': did you mean 'bicubic'"),
        ({"matrix": "601"}, "unknown matrix '601'"),
        ({"size": (0, 4)}, "cannot be resized to 0x4"),
        ({"crop": (80, 20)}, "crop to 80x20 does not fit into frames of 64x48"),
        ({"crop": Box(40, 0, 32, 32)}, "crop to 32x32 at 40,0 leaves frames of 64x48"),
    ],
)
def test_pictures_that_cannot_be_made(make_video: Make, options: dict[str, Any], message: str) -> None:
    path = make_video("refused.mkv", "64x48", 2)
    with pytest.raises(InputError, match=message):
        whole(path, Picture(**options))
