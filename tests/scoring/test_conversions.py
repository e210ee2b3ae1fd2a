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
        done = command("score", master, distorted, "--deinterlace", "auto", "-o", tmp_path / "s.json")
        assert done.returncode == 0, done
        expected = pyvmaf.score(made, distorted)
        report = read_as(ScoreReport, tmp_path / "s.json")
        values = np.array([frame["vmaf"] for frame in report.frames], dtype=np.float64)
        # Versions of FFmpeg treat the fields at the ends, which lack a neighbour, a little differently, and motion looks at neighbours.
        np.testing.assert_array_equal(values[2:-2], expected["vmaf"][2:-2])
        np.testing.assert_allclose(values, expected["vmaf"], atol=0.1)
        assert report.reading == {"deinterlace": "auto"}
        assert f"{master} was deinterlaced, one frame of both fields of each frame (bwdif)" in report.notes
        assert not any(str(distorted) in note for note in report.notes)

    def test_progressive_videos_stay_as_they_are(self, reference: Path, encode: Path) -> None:
        scores = pyvmaf.score(reference, encode, deinterlace=True)
        np.testing.assert_array_equal(scores["vmaf"], pyvmaf.score(reference, encode)["vmaf"])
        assert scores.notes == []

    @pytest.mark.parametrize(
        ("way", "filters"),
        [
            ("bob", "bwdif=mode=send_field"),
            ("auto:yadif", "yadif=0:-1:0"),
            ("bob:yadif", "yadif=1:-1:0"),
            ("weave", "setfield=prog"),
        ],
    )
    def test_in_other_ways(
        self, videos: tuple[Path, Path, Path], convert: Callable[..., Path], way: str, filters: str
    ) -> None:
        master, *_ = videos
        made = convert(master, f"{filters[:5]}{len(filters)}.mkv", "-vf", filters, *LOSSLESS)
        distorted = convert(made, "made_30.mkv", "-c:v", "libx264", "-crf", "30")
        scores, expected = pyvmaf.score(master, distorted, deinterlace=way), pyvmaf.score(made, distorted)
        assert len(scores) == len(expected) == (16 if way.startswith("bob") else 8)
        np.testing.assert_array_equal(scores["vmaf"][3:-3], expected["vmaf"][3:-3])
        np.testing.assert_allclose(scores["vmaf"], expected["vmaf"], atol=0.15)
        assert scores.reading == {"deinterlace": way}
        assert str(master) in scores.notes[0]

    @pytest.mark.parametrize("order", ["tff", "bff"])
    def test_fields_that_no_flag_tells(self, reference: Path, convert: Callable[..., Path], order: str) -> None:
        moving = ("-vf", f"crop=128:112:'min(2*n,48)':16,tinterlace=interleave_{'top' if order == 'tff' else 'bottom'}")
        hidden = convert(reference, f"{order}.mkv", moving[0], moving[1] + ",setfield=prog", *LOSSLESS)
        # The same frames once more, for there to be enough of them.
        hidden = convert(hidden, f"{order}_twice.mkv", "-vf", "loop=loop=2:size=8", *LOSSLESS)
        made = convert(hidden, f"{order}_made.mkv", "-vf", f"setfield={order},bwdif=mode=send_frame", *LOSSLESS)
        scores = pyvmaf.score(hidden, made, deinterlace="auto", features="psnr_y", model=None)
        assert (scores["psnr_y"] == 60).mean() > 0.8
        assert scores.notes[0].startswith(f"{hidden} was deinterlaced, which no flag says, but its pictures ({order}),")

    def test_refused(self, reference: Path, encode: Path) -> None:
        assert "unknown way to deinterlace" in refusal("score", reference, encode, "--deinterlace", "bop")


class TestPad:
    @pytest.mark.parametrize("area", ["192x160+6+10", "192x160"])
    def test_as_ffmpeg_does(self, reference: Path, encode: Path, convert: Callable[..., Path], area: str) -> None:
        size, *place = area.split("+")
        filters = ":".join(["pad=" + size.replace("x", ":"), *(place or ["-1", "-1"])])
        padded = convert(reference, f"{'_'.join(place)}padded.mkv", "-vf", filters, *LOSSLESS)
        other = convert(encode, f"{'_'.join(place)}padded_30.mkv", "-vf", filters, *LOSSLESS)
        columns = "psnr_y,psnr_cb,adm2"
        scores = pyvmaf.score(reference, other, pad=[f"reference={area}"], features=columns)
        assert list(scores.rows()) == list(pyvmaf.score(padded, other, features=columns).rows())
        assert scores.reading == {"pad": [f"reference={area}"]}
        assert "was padded to 192:160" in scores.notes[0]

    def test_refused(self, reference: Path, encode: Path) -> None:
        with pytest.raises(InputError, match=r"does not hold: pad more"):
            pyvmaf.score(reference, encode, pad=["100x144"])
        with pytest.raises(InputError, match=r"only at multiples of 2 columns and 2 rows"):
            pyvmaf.score(reference, encode, pad=["200x200+3+0"])


class TestScaler:
    @pytest.mark.parametrize(
        ("scaler", "flags"), [("lanczos", "lanczos"), ("bilinear", "bilinear"), ("area", "area"), ("point", "neighbor")]
    )
    def test_as_ffmpeg_does(self, reference: Path, convert: Callable[..., Path], scaler: str, flags: str) -> None:
        small = convert(reference, "half.mkv", "-vf", "scale=88:72", *LOSSLESS)
        large = convert(small, f"{flags}.mkv", "-vf", f"scale=176:144:flags={flags}", *LOSSLESS)
        scores = pyvmaf.score(reference, small, scale=True, scaler=scaler, features="psnr_y,adm2")
        expected = pyvmaf.score(reference, large, features="psnr_y,adm2")
        np.testing.assert_allclose(scores["psnr_y"], expected["psnr_y"], atol=1e-3)
        np.testing.assert_allclose(scores["vmaf"], expected["vmaf"], atol=0.01)
        assert scores.reading == {"scale": True, "scaler": scaler}

    def test_refused(self, reference: Path, encode: Path) -> None:
        assert "unknown scaler 'cubic'" in refusal("score", reference, encode, "--scale", "88x72", "--scaler", "cubic")
        assert "nothing to scale" in refusal("score", reference, encode, "--scaler", "lanczos")


class TestRange:
    @pytest.mark.parametrize("asked", ["limited", "full"])
    @pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
    def test_as_ffmpeg_does(self, reference: Path, convert: Callable[..., Path], asked: str, pix_fmt: str) -> None:
        def made(source: Path, name: str, to: str) -> Path:
            words = f"scale=in_range={'full' if to == 'limited' else 'limited'}:out_range={to},format={pix_fmt}"
            return convert(source, name, "-vf", words, "-color_range", "pc" if to == "full" else "tv", *LOSSLESS)

        limited = convert(reference, f"tv_{pix_fmt}.mkv", "-pix_fmt", pix_fmt, "-color_range", "tv", *LOSSLESS)
        full = made(limited, f"pc_{pix_fmt}.mkv", "full")
        with pytest.raises(InputError, match="--range limited"):
            pyvmaf.score(limited, full)
        scores = pyvmaf.score(limited, full, range=asked, features="psnr_y,psnr_cb,adm2")
        other = made(full, f"back_{pix_fmt}.mkv", "limited")
        pair = (limited, other) if asked == "limited" else (full, full)
        expected = pyvmaf.score(*pair, features="psnr_y,psnr_cb,adm2")
        assert list(scores.rows()) == list(expected.rows())
        assert scores.reading == {"range": asked}
        assert f"to {asked} range" in scores.notes[0]

    def test_gray_of_full_range(self, reference: Path, convert: Callable[..., Path]) -> None:
        gray = convert(reference, "gray.mkv", "-pix_fmt", "gray", "-color_range", "pc", *LOSSLESS)
        scores = pyvmaf.score(reference, gray, range="limited", luma_only=True, features="psnr_y")
        # Widening to full range and back loses no level of luma.
        assert scores["psnr_y"].min() == 60


@pytest.fixture(scope="module")
def others(reference: Path, convert: Callable[..., Path]) -> dict[str, Path]:
    rates = {"half": "15000/1001", "more": "35", "ms": "24"}
    made = {}
    for name, rate in rates.items():
        suffix = "mkv" if name == "ms" else "mp4"
        made[name] = convert(reference, f"{name}.{suffix}", "-vf", f"fps={rate}", "-c:v", "libx264", "-crf", "28")
    return made


class TestRates:
    @pytest.mark.parametrize("name", ["half", "more", "ms"])
    @pytest.mark.parametrize("pair_by", ["reference", "distorted"])
    def test_as_the_filter_fps_does(
        self, reference: Path, others: dict[str, Path], convert: Callable[..., Path], name: str, pair_by: Any
    ) -> None:
        distorted = others[name]
        rate = str(Reader(reference if pair_by == "reference" else distorted).format.rate)
        words = ("-vf", f"fps={rate}", *LOSSLESS)
        pair = (
            (reference, convert(distorted, f"{name}_up.mkv", *words))
            if pair_by == "reference"
            else (convert(reference, f"for_{name}.mkv", *words), distorted)
        )
        scores = pyvmaf.score(reference, distorted, pair_by=pair_by)
        expected = pyvmaf.score(*pair, shortest=True, frames=(0, len(scores)))
        np.testing.assert_array_equal(scores["vmaf"], expected["vmaf"])
        assert scores.reading == {"pair_by": pair_by}
        assert "was compared by time" in scores.notes[0]

    def test_nearest_in_time(self, reference: Path, convert: Callable[..., Path]) -> None:
        shown = [0, 1, 3, 4, 7, 10, 11, 15]
        chosen = "+".join(f"eq(n\\,{number})" for number in shown)
        uneven = convert(
            reference, "uneven.mkv", "-vf", f"select={chosen}".replace("\\\\", "\\"), "-fps_mode", "vfr", *LOSSLESS
        )
        scores = pyvmaf.score(reference, uneven, pair_by="nearest", features="psnr_y", model=None)
        assert scores["psnr_y"].tolist() == [60.0] * len(shown)
        done = command("score", reference, uneven, "--fps", "nearest", "--quiet")
        assert done.returncode == 0, done

    def test_lengths_and_pipes(self, reference: Path, others: dict[str, Path], convert: Callable[..., Path]) -> None:
        short = convert(others["half"], "short.mp4", "-frames:v", "5", "-c", "copy")
        assert "lengths differ" in refusal("score", reference, short, "--fps", "nearest")
        assert len(pyvmaf.score(reference, short, pair_by="nearest", shortest=True)) == 5
        assert "--fps nearest" in refusal("score", reference, others["half"])
        assert "- is a pipe, whose frames are scored as they are" in refusal(
            "score", reference, "-", "--fps", "nearest"
        )


class TestCrop:
    def test_borders_of_one_side(self, reference: Path, encode: Path, convert: Callable[..., Path]) -> None:
        padded = convert(encode, "padded.mkv", "-vf", "pad=192:160:6:10", *LOSSLESS)
        scores = pyvmaf.score(reference, padded, crop=["distorted=176x144+6+10"])
        np.testing.assert_array_equal(scores["vmaf"], pyvmaf.score(reference, encode)["vmaf"])
        assert scores.reading == {"crop": ["distorted=176x144+6+10"]}
        assert scores.notes[0] == f"{padded} was cropped to 176:144:6:10 (width:height:left:top)"

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

    def test_smaller_frames_are_noted(self, reference: Path, encode: Path) -> None:
        scores = pyvmaf.score(reference, encode, model=("v0.6", "neg", "4k"), frames=(0, 2))
        assert scores.as_json()["size"] == "176x144"
        note = scores.smaller_screens()
        assert note.startswith(
            "frames of 176x144 are smaller than the screen that a model stands for (vmaf_v0.6.1 for 1920x1080, "
        )
        assert "vmaf_4k_v0.6.1 for 3840x2160" in note
        assert f"note: {note}" in command("score", reference, encode, "-m", "v0.6", "-m", "neg", "-m", "4k").stderr
        assert pyvmaf.score(reference, encode, display="hd", frames=(0, 2)).smaller_screens() == ""
        assert pyvmaf.score(reference, encode, model=None, features="psnr_y").smaller_screens() == ""

    def test_refused(self, reference: Path, encode: Path) -> None:
        assert "not both" in refusal("score", reference, encode, "--display", "hd", "--scale", "176x144")
        assert "a size is written WxH" in refusal("score", reference, encode, "--display", "8k")


def test_pipes_are_scored_as_they_are(reference: Path) -> None:
    assert "- is a pipe, whose frames are scored as they are" in refusal("score", reference, "-", "--crop", "96x80")


def test_filters_change_the_identity(reference: Path) -> None:
    plain, cut = Reader(reference), Reader(reference, filters=("crop=96:80:0:0",))
    assert (cut.format.size, cut.count_frames(), cut.count_packets()) == ("96x80", 16, 16)
    assert cut.identity() != plain.identity()
