"""Features whose options follow from the video, and the order of pairs that some need."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pyvmaf
from pyvmaf.base.files import sha256_file
from pyvmaf.engines.libvmaf.engine import ENGINE
from pyvmaf.engines.libvmaf.extractors import parse_options
from pyvmaf.engines.measures import MEASURES
from pyvmaf.engines.protocol import Request
from pyvmaf.errors import InputError
from pyvmaf.features import adapt as rules
from pyvmaf.features.adapt import ADAPTED, Traits, adapt, motion_fps_weight
from pyvmaf.features.catalog import FEATURES, FULL, select
from pyvmaf.features.ladder import extract_ladder
from pyvmaf.features.negatives import Clip, measure
from pyvmaf.features.options import Compute
from pyvmaf.features.requests import requests_of, usable
from pyvmaf.scoring.score import score
from pyvmaf.video.format import Format
from pyvmaf.video.reader import Reader
from tests.features.test_against_others import HALF_DIGIT, ffmpeg_frames

NEW = [name for name in FEATURES if name not in FULL and FEATURES[name].request.extractor not in MEASURES]
ALL = (
    "cambi,cambi_eotf,cambi_full_ref,motion,motion_fps,motion2_fps,motion3_fps,speed_chroma_u,speed_chroma_v,"
    "speed_chroma_uv,speed_temporal"
)
PQ = "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"
TAGS = ("-color_trc", "smpte2084", "-color_primaries", "bt2020", "-colorspace", "bt2020nc")

Convert = Callable[..., Path]


@pytest.fixture(scope="module")
def plain(embedded_corpus: dict[str, Path]) -> Path:
    """An SDR clip of 24 frames per second."""
    return embedded_corpus["bigbuckbunny"]


@pytest.fixture
def hdr(plain: Path, convert: Convert) -> tuple[Path, Path]:
    """A clip of 60 frames per second that says PQ, and an encode of it."""
    x265 = ("-c:v", "libx265", *TAGS, "-x265-params")
    timed = ("-vf", "settb=1/60,setpts=N", "-r", "60", "-frames:v", "8", "-pix_fmt", "yuv420p10le")
    reference = convert(plain, "pq.mkv", *timed, *x265, f"lossless=1:log-level=none:{PQ}")
    return reference, convert(reference, "pqc.mkv", "-crf", "40", *x265, f"log-level=none:{PQ}")


def test_a_pq_clip_of_60_frames_equals_ffmpegs_filter(hdr: tuple[Path, Path], ffmpeg: str, tmp_path: Path) -> None:
    wanted = (
        "feature=name=cambi\\\\:eotf=pq\\\\:full_ref=true|name=motion\\\\:debug=true\\\\:motion_fps_weight=0.5|"
        "name=speed_chroma|name=speed_temporal"
    )
    reported = {
        "cambi_eotf": "cambi_eotf_pq",
        "cambi_full_ref": "cambi_full_reference",
        **{f"{name}_fps": f"integer_{name}_mfw_0.5" for name in ("motion", "motion2", "motion3")},
    }
    beyond = 0.0
    for reference, distorted in (hdr, hdr[::-1]):
        theirs = ffmpeg_frames(ffmpeg, reference, distorted, tmp_path / "log.json", wanted)
        ours = score(reference, distorted, features=ALL, threads=2)
        assert len(ours) == len(theirs) == 8
        for name in NEW:
            expected = [frame[reported.get(name, name)] for frame in theirs]
            np.testing.assert_allclose(ours[name], expected, rtol=0, atol=HALF_DIGIT, err_msg=name)
        beyond = max(beyond, ours["cambi_full_ref"].max())
        assert not np.allclose(ours["cambi_eotf"], ours["cambi"])
        np.testing.assert_allclose(ours["motion_fps"], ours["motion"] / 2, rtol=1e-12)
    assert beyond > 0.5


def test_a_plain_clip_has_the_plain_features(plain: Path) -> None:
    ours = score(plain, plain, features=f"{ALL},motion2,motion3", frames=(0, 4))
    for name, same in (("cambi_eotf", "cambi"), ("motion_fps", "motion"), ("motion2_fps", "motion2")):
        np.testing.assert_array_equal(ours[name], ours[same])
    # Of a video compared with itself, SpEED is 0: it compares two pictures.
    for name in NEW:
        if name.startswith("speed") or name == "cambi_full_ref":
            assert (ours[name] == 0).all()


def test_parts_of_a_clip_have_the_rows_of_the_whole(hdr: tuple[Path, Path]) -> None:
    whole = score(*hdr, features="speed_temporal,motion2_fps")
    part = score(*hdr, features="speed_temporal,motion2_fps", frames=(3, 6))
    third = score(*hdr, features="speed_temporal,motion2_fps", subsample=3)
    for name in ("speed_temporal", "motion2_fps"):
        np.testing.assert_array_equal(part[name], whole[name][3:6])
        np.testing.assert_array_equal(third[name], whole[name][::3])
    assert whole["speed_temporal"][0] == 0


def test_rungs_are_read_in_order_beside_each_other(hdr: tuple[Path, Path], tmp_path: Path) -> None:
    reference, distorted = hdr
    rungs = {"same": reference, "coded": distorted}
    compute = Compute(threads=3, cache=tmp_path)
    both = extract_ladder(reference, rungs, features="speed_temporal,psnr_y,motion3_fps", compute=compute)
    alone = score(reference, distorted, features="speed_temporal")
    np.testing.assert_array_equal(both.rungs["coded"].features["speed_temporal"], alone["speed_temporal"])
    assert (both.rungs["same"].features["speed_temporal"] == 0).all()
    again = extract_ladder(reference, rungs, features="speed_temporal,motion_fps,motion2_fps", compute=compute)
    assert again.computed == [], "one entry of motion serves all of its columns"
    np.testing.assert_array_equal(again.rungs["coded"].features["speed_temporal"], alone["speed_temporal"])


@given(st.fractions(min_value=Fraction(1, 10), max_value=1000))
def test_the_weight_of_a_frame_rate(rate: Fraction) -> None:
    weight = motion_fps_weight(rate)
    assert weight == pytest.approx(1 if 24 <= rate <= 32 else np.clip(30 / float(rate), 0.25, 4), rel=1e-5)
    # libvmaf takes it as it is: it would change a number of more digits.
    assert parse_options("motion", {"motion_fps_weight": weight}) == {"motion_fps_weight": weight}


@pytest.mark.parametrize(
    ("traits", "name", "expected"),
    [
        (Traits(Fraction(60), ""), "motion2_fps", Request("motion", (("debug", "true"), ("motion_fps_weight", "0.5")))),
        (Traits(Fraction(60), ""), "cambi_eotf", Request("cambi")),
        (Traits(None, "smpte2084"), "cambi_eotf", Request("cambi", (("eotf", "pq"),))),
        (Traits(None, "smpte2084"), "cambi_full_ref", Request("cambi", (("eotf", "pq"), ("full_ref", "true")))),
        (Traits(None, ""), "motion_fps", "the frame rate, which is unknown"),
        (Traits(Fraction(25), "arib-std-b67"), "cambi_eotf", "the video is HLG"),
        (Traits(Fraction(25), None), "cambi_full_ref", "do not state"),
    ],
)
def test_what_a_video_asks_for(traits: Traits, name: str, expected: Request | str) -> None:
    adapted = adapt(FEATURES[name], traits)
    if isinstance(expected, str):
        assert isinstance(adapted, str)
        assert expected in adapted
    else:
        assert not isinstance(adapted, str)
        assert adapted.request == expected
    assert adapt(FEATURES[name], None) == FEATURES[name]
    assert adapt(FEATURES["motion2"], traits) == FEATURES["motion2"]


def test_every_rule_is_of_a_feature_and_has_its_score() -> None:
    assert set(ADAPTED) <= set(FEATURES)
    for name, key in rules._BASES.items():
        assert FEATURES[name].key == key
    # Scores of this package's own measures have one name with every option.
    assert set(rules._BASES) == {name for name in ADAPTED if FEATURES[name].request.extractor not in MEASURES}


def test_older_features_ask_for_what_they_asked_for() -> None:
    """Requests and names of scores of the published sets: they decide the keys of the cache and what an entry holds."""
    form = Format.planar(640, 360, "420", 8)
    older = requests_of(usable(select("full"), ENGINE, form)[0], [], form, Traits(Fraction(60), "smpte2084"))
    assert {str(request): len(keys) for request, keys in older.items()} == {
        "adm:adm_skip_aim=true": 5,
        "vif": 4,
        "motion:debug=true": 3,
        "psnr": 3,
        "float_ssim": 1,
        "float_ms_ssim": 1,
        "cambi": 1,
        "ciede": 1,
        "psnr_hvs": 1,
    }
    assert len(FULL) == 21
    assert tuple(FEATURES)[:21] == FULL


def test_frames_handed_over_one_by_one_have_no_rate_and_no_order() -> None:
    luma = np.zeros((360, 640), np.uint8)
    planes = [luma, luma[::2, ::2], luma[::2, ::2]]
    for name, message in (
        ("motion2_fps", "the frame rate, which is unknown"),
        ("cambi_eotf", "do not state"),
        ("speed_temporal", "compares a pair with the pair before: use pyvmaf.score"),
    ):
        with pyvmaf.Session(features=name, model=None) as session, pytest.raises(InputError, match=message):
            list(session.push(planes, planes))


def test_hard_negatives_have_no_order(plain: Path) -> None:
    reader = Reader(plain)
    clip = Clip("c", "n", "s", "g", plain, sha256_file(plain), reader.count_frames())
    for ladder in measure(clip, None, features="speed_temporal,psnr_y", frames=4):
        assert "no neighbours" in ladder.unavailable["speed_temporal"]
        for rung in ladder.rungs.values():
            assert np.isnan(rung.features["speed_temporal"]).all()
            assert np.isfinite(rung.features["psnr_y"]).all()
