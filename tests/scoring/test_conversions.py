"""Conversions before a score: equal to those that FFmpeg makes, and noted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pyvmaf
from pyvmaf.errors import InputError
from pyvmaf.scoring.report import ScoreReport
from pyvmaf.video.filters import Area
from pyvmaf.video.reader import Reader
from tests.make.commands import command, refusal
from tests.make.documents import read_as

LOSSLESS = ("-c:v", "ffv1")


@pytest.fixture(scope="module")
def reference(pair: tuple[Path, Path], convert: Callable[..., Path]) -> Path:
    return convert(pair[0], "sixteen.mkv", "-frames:v", "16", *LOSSLESS)


@pytest.fixture(scope="module")
def encode(reference: Path, convert: Callable[..., Path]) -> Path:
    return convert(reference, "sixteen_30.mkv", "-c:v", "libx264", "-crf", "30")


@pytest.fixture(scope="module")
def videos(reference: Path, convert: Callable[..., Path]) -> tuple[Path, Path, Path]:
    """An interlaced master, what FFmpeg makes of it, and a progressive encode of that."""
    words = (
        "-vf",
        "tinterlace=interleave_top,fieldorder=tff",
        "-flags",
        "+ilme+ildct",
        "-c:v",
        "libx264",
        "-qp",
        "0",
    )
    master = convert(reference, "interlaced.mkv", *words, "-x264-params", "tff=1", "-r", "15")
    made = convert(master, "deinterlaced.mkv", "-vf", "bwdif=mode=send_frame", *LOSSLESS)
    return master, made, convert(made, "deinterlaced_30.mkv", "-c:v", "libx264", "-crf", "30")


class TestDeinterlace:
    def test_as_ffmpeg_does(self, videos: tuple[Path, Path, Path], tmp_path: Path) -> None:
        master, made, distorted = videos
        assert "is interlaced" in refusal("score", master, distorted)
        done = command("score", master, distorted, "--deinterlace", "-o", tmp_path / "s.json")
        assert done.returncode == 0, done
        expected = pyvmaf.score(made, distorted)
        report = read_as(ScoreReport, tmp_path / "s.json")
        values = np.array([frame["vmaf"] for frame in report.frames], dtype=np.float64)
        # Versions of FFmpeg treat the fields at the ends, which lack a neighbour, a little differently, and motion looks at neighbours.
        np.testing.assert_array_equal(values[2:-2], expected["vmaf"][2:-2])
        np.testing.assert_allclose(values, expected["vmaf"], atol=0.1)
        assert report.reading == {"deinterlace": True}
        assert f"{master} was deinterlaced, one frame of both fields of each frame (bwdif)" in report.notes
        assert not any(str(distorted) in note for note in report.notes)

    def test_progressive_videos_stay_as_they_are(self, reference: Path, encode: Path) -> None:
        scores = pyvmaf.score(reference, encode, deinterlace=True)
        np.testing.assert_array_equal(scores["vmaf"], pyvmaf.score(reference, encode)["vmaf"])
        assert scores.notes == []


class TestCrop:
    def test_borders_of_one_side(self, reference: Path, encode: Path, convert: Callable[..., Path]) -> None:
        padded = convert(encode, "padded.mkv", "-vf", "pad=192:160:6:10", *LOSSLESS)
        scores = pyvmaf.score(reference, padded, crop=["distorted=176x144+6+10"])
        np.testing.assert_array_equal(scores["vmaf"], pyvmaf.score(reference, encode)["vmaf"])
        assert scores.reading == {"crop": ["distorted=176x144+6+10"]}
        assert scores.notes == [f"{padded} was cropped to 176:144:6:10 (width:height:left:top)"]

    @pytest.mark.parametrize(("area", "filters"), [("160x128", "crop=160:128"), ("96x80+4+2", "crop=96:80:4:2")])
    def test_of_both(
        self, reference: Path, encode: Path, convert: Callable[..., Path], area: str, filters: str
    ) -> None:
        name = filters.replace(":", "_")
        cut = [convert(video, f"{video.stem}_{name}.mkv", "-vf", filters, *LOSSLESS) for video in (reference, encode)]
        expected = pyvmaf.score(*cut, features="psnr_y,adm2,psnr_cb")
        scores = pyvmaf.score(reference, encode, crop=[area], features="psnr_y,adm2,psnr_cb")
        assert list(scores.rows()) == list(expected.rows())

    @pytest.mark.parametrize(
        ("area", "reason"),
        [
            ("177x144", "which does not hold 177x144"),
            ("160x128+20+0", r"which does not hold 160x128\+20\+0"),
            ("96x80+3+2", "only multiples of 2 columns and 2 rows"),
        ],
    )
    def test_parts_that_are_not_there(self, reference: Path, encode: Path, area: str, reason: str) -> None:
        with pytest.raises(InputError, match=reason):
            pyvmaf.score(reference, encode, crop=[area])

    @pytest.mark.parametrize("text", ["", "176", "176x", "0x4", "left=4x4", "4x4+1", "4x4-1-1", "distorted:4x4"])
    def test_texts_that_are_none(self, text: str) -> None:
        with pytest.raises(InputError, match="a part of the picture is written"):
            Area.parse(text)


class TestDisplay:
    @pytest.mark.parametrize(("display", "size"), [("hd", "1320x1080"), ("352x500", "352x288")])
    def test_it_is_filled(self, reference: Path, encode: Path, display: str, size: str) -> None:
        options: dict[str, Any] = {"features": "adm2", "model": None, "frames": (0, 3)}
        scores = pyvmaf.score(reference, encode, display=display, **options)
        np.testing.assert_array_equal(scores["adm2"], pyvmaf.score(reference, encode, scale=size, **options)["adm2"])
        assert any(f"scaled to {size}, to fill a screen of" in note for note in scores.notes)

    def test_a_smaller_encode(self, reference: Path, convert: Callable[..., Path]) -> None:
        small = convert(reference, "small.mkv", "-vf", "scale=88:72", *LOSSLESS)
        options: dict[str, Any] = {"features": "adm2", "frames": (0, 3)}
        scores = pyvmaf.score(reference, small, display="352x288", **options)
        np.testing.assert_array_equal(
            scores["adm2"], pyvmaf.score(reference, small, scale="352x288", **options)["adm2"]
        )

    def test_refused(self, reference: Path, encode: Path) -> None:
        assert "not both" in refusal("score", reference, encode, "--display", "hd", "--scale", "176x144")
        assert "a size is written WxH" in refusal("score", reference, encode, "--display", "8k")


def test_pipes_are_scored_as_they_are(reference: Path) -> None:
    assert "- is a pipe, whose frames are scored as they are" in refusal("score", reference, "-", "--crop", "96x80")


def test_filters_change_the_identity(reference: Path) -> None:
    plain, cut = Reader(reference), Reader(reference, filters=("crop=96:80:0:0",))
    assert (cut.format.size, cut.count_frames(), cut.count_packets()) == ("96x80", 16, 16)
    assert cut.identity() != plain.identity()
