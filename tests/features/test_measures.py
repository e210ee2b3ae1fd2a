"""Measures that libvmaf does not have, against the filters of FFmpeg, which print four and six digits."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import pyvmaf
from pyvmaf.errors import InputError
from pyvmaf.video.ffmpeg import ffmpeg

Convert = Callable[..., Path]
XPSNR = ("xpsnr_y", "xpsnr_cb", "xpsnr_cr")
NOISE = "noise=alls=12:allf=t"
MSAD = ("msad_y", "msad_cb", "msad_cr")


def printed(reference: Path, distorted: Path, graph: str, pattern: str, file: Path) -> np.ndarray:
    """What a filter prints, [frame, plane]; the reference is its first input."""
    sides = "[0:v]setpts=N[a];[1:v]setpts=N[b]"
    words = [str(ffmpeg().path), "-v", "error", "-i", str(reference), "-i", str(distorted)]
    subprocess.run([*words, "-lavfi", f"{sides};[a][b]{graph}", "-f", "null", "-"], check=True)
    rows = [re.findall(pattern, line) for line in file.read_text().splitlines()]
    values = [float(value) for row in rows for value in row]
    return np.array(values).reshape(-1, 3)


@pytest.fixture(scope="module")
def clip(pair: tuple[Path, Path], convert: Convert) -> Path:
    return convert(pair[0], "measured.mkv", "-frames:v", "5", "-c:v", "ffv1")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("small", ("-vf", "scale=176:144")),
        ("odd", ("-vf", "scale=173:141")),
        ("medium", ("-vf", "scale=854:480")),
        ("large", ("-vf", "scale=2304:1152", "-frames:v", "3")),
        ("fast", ("-vf", "scale=352:288,setpts=N/50/TB", "-r", "50")),
        ("full", ("-vf", "scale=352:288", "-pix_fmt", "yuv444p")),
    ],
)
def test_xpsnr_is_that_of_ffmpeg(
    name: str, words: tuple[str, ...], clip: Path, convert: Convert, tmp_path: Path
) -> None:
    reference = convert(clip, f"xpsnr_{name}.mkv", *words, "-c:v", "ffv1")
    form = words[-1] if "-pix_fmt" in words else "yuv420p"
    distorted = convert(reference, f"xpsnr_{name}_30.mkv", "-vf", NOISE, "-pix_fmt", form, "-c:v", "ffv1")
    file = tmp_path / "x.txt"
    expected = printed(reference, distorted, f"xpsnr=stats_file={file}", r"XPSNR [yuv]: +([0-9.]+|inf)", file)
    scores = pyvmaf.score(reference, distorted, features=XPSNR, model=None)
    found = np.stack([scores[column] for column in XPSNR], axis=1)
    np.testing.assert_allclose(found, expected[: len(found)], atol=6e-5)


def test_xpsnr_of_more_bits_is_that_of_the_same_picture(clip: Path, convert: Convert) -> None:
    """Weights and limits follow the depth, so that only the largest sample differs: 1023 is not four times 255.

    The filter of FFmpeg 9.0.2 prints 1.6 dB where PSNR is 30.6, of more than 8 bits.
    """
    distorted = convert(clip, "shallow_30.mkv", "-vf", NOISE, "-pix_fmt", "yuv420p", "-c:v", "ffv1")
    shallow = pyvmaf.score(clip, distorted, features=XPSNR, model=None)
    deep = pyvmaf.score(clip, distorted, features=XPSNR, model=None, bit_depth=10)
    for column in XPSNR:
        np.testing.assert_allclose(deep[column], shallow[column] + 20 * np.log10(1023 / 1020), atol=1e-4)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le"])
def test_msad_is_that_of_ffmpeg(pix_fmt: str, clip: Path, convert: Convert, tmp_path: Path) -> None:
    reference = convert(clip, f"msad_{pix_fmt}.mkv", "-pix_fmt", pix_fmt, "-c:v", "ffv1")
    distorted = convert(reference, f"msad_{pix_fmt}_30.mkv", "-vf", NOISE, "-pix_fmt", pix_fmt, "-c:v", "ffv1")
    file = tmp_path / "m.txt"
    expected = printed(
        reference, distorted, f"msad,metadata=print:file={file}", r"lavfi\.msad\.msad\.[YUV]=([0-9.]+)", file
    )
    scores = pyvmaf.score(reference, distorted, features=MSAD, model=None)
    found = np.stack([scores[column] for column in MSAD], axis=1)
    np.testing.assert_allclose(found, expected, atol=6e-7)


def test_parts_and_ladders_have_the_rows_of_the_whole(clip: Path, convert: Convert) -> None:
    first = convert(clip, "part_30.mkv", "-c:v", "libx264", "-crf", "30")
    second = convert(clip, "part_45.mkv", "-c:v", "libx264", "-crf", "45")
    columns = ["adm2", *XPSNR, *MSAD]
    whole = pyvmaf.score(clip, first, features=columns)
    part = pyvmaf.score(clip, first, features=columns, frames=(3, 5))
    for column in columns:
        np.testing.assert_array_equal(part[column], whole[column][3:5])
    both = pyvmaf.compare(clip, [second, first], features=columns, threads=2)
    for column in columns:
        np.testing.assert_array_equal(both[first][column], whole[column])
    rows: list[dict[str, float]] = []
    live = pyvmaf.score(clip, first, features=["adm2", *MSAD], take=rows.append)
    assert [row["msad_cb"] for row in rows] == whole["msad_cb"].tolist() == live["msad_cb"].tolist()


def test_equal_pictures_and_gray_ones(clip: Path, convert: Convert) -> None:
    gray = convert(clip, "gray.mkv", "-pix_fmt", "gray", "-c:v", "ffv1")
    scores = pyvmaf.score(gray, gray, features=["xpsnr_y", "msad_y"], model=None)
    assert np.isinf(scores["xpsnr_y"]).all()
    assert not scores["msad_y"].any()
    with pytest.raises(InputError, match="it needs chroma planes"):
        pyvmaf.score(gray, gray, features=["xpsnr_cb"], model=None)
