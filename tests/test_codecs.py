from __future__ import annotations

import re
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyvmaf.codecs import CODECS, VOCABULARIES, codec, rung_name, vocabulary
from pyvmaf.corpora.ffmpeg import ffmpeg
from pyvmaf.errors import InputError

V1 = VOCABULARIES["v1"]


def encoder_help(name: str) -> str:
    command = [str(ffmpeg().path), "-hide_banner", "-h", f"encoder={name}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("name", CODECS)
def test_ffmpeg_has_the_encoder_and_takes_what_the_table_says(name: str) -> None:
    text = encoder_help(name)
    entry = CODECS[name]
    formats = re.search(r"Supported pixel formats: (.*)", text)
    assert formats is not None
    for chroma in entry.chroma:
        for depth in entry.bit_depths:
            assert entry.pixel_format(chroma, depth) in formats.group(1).split()
    assert f"\n  {entry.quality_option} " in text
    assert f"\n  {entry.preset_option} " in text
    if entry.params_option:
        assert f"\n  {entry.params_option} " in text


def test_numeric_ranges_are_those_of_ffmpeg() -> None:
    assert "-preset            <int>        E..V....... Encoding preset (from -2 to 13)" in encoder_help("libsvtav1")
    assert re.search(r"-crf .*\(from 0 to 63\)", encoder_help("libsvtav1"))
    assert re.search(r"-qp .*\(from -1 to 63\)", encoder_help("libvvenc"))
    for word in CODECS["libvvenc"].presets:
        assert re.search(rf"\n     {word} ", encoder_help("libvvenc"))
    for word in CODECS["libvpx-vp9"].presets:
        assert re.search(rf"\n     {word} ", encoder_help("libvpx-vp9"))


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        *(("h264", "libx264"), ("avc", "libx264"), ("x264", "libx264"), ("hevc", "libx265"), ("h265", "libx265")),
        *(("x265", "libx265"), ("av1", "libsvtav1"), ("vp9", "libvpx-vp9"), ("vvc", "libvvenc"), ("H266", "libvvenc")),
        *((" libx264 ", "libx264"), ("SVT-AV1", "libsvtav1")),
    ],
)
def test_aliases(alias: str, name: str) -> None:
    assert codec(alias).name == name


def test_an_unknown_codec_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match=r"unknown codec 'libx2644': did you mean 'libx264'\?"):
        codec("libx2644")


def test_aliases_belong_to_one_codec_only() -> None:
    every = [alias for entry in CODECS.values() for alias in entry.aliases]
    assert len(every) == len(set(every))
    assert not set(every) & set(CODECS)


@pytest.mark.parametrize("name", CODECS)
def test_presets_and_quality_numbers_are_checked(name: str) -> None:
    entry = CODECS[name]
    assert entry.preset_default in entry.presets
    assert set(entry.preset_ordinals) == set(entry.presets)
    assert all(0 <= ordinal <= 9 for ordinal in entry.preset_ordinals.values())
    for crf in (entry.crf_min, entry.crf_default, entry.crf_max):
        assert entry.check_crf(crf) == crf
    for crf in (entry.crf_min - 1, entry.crf_max + 1):
        with pytest.raises(InputError, match=rf"CRF {crf} is outside of the range of {name}, {entry.crf_min} to"):
            entry.check_crf(crf)
    with pytest.raises(InputError, match=rf"unknown preset of {name} 'mediun'"):
        entry.check_preset("mediun")


def test_slower_presets_have_larger_ordinals_except_for_svt() -> None:
    for name, entry in CODECS.items():
        ordinals = [entry.preset_ordinals[preset] for preset in entry.presets]
        assert ordinals == sorted(ordinals, reverse=name != "libsvtav1")


def test_arguments_pin_the_threads_and_let_extra_options_win() -> None:
    words = codec("x265").arguments("medium", 28, "yuv420p", ["-x265-params", "aq-mode=3", "-g", "50"], threads=2)
    assert words[words.index("-x265-params") + 1] == "pools=2:frame-threads=2:aq-mode=3"
    assert words.count("-x265-params") == 1
    assert words[words.index("-threads") + 1] == "2"
    assert words[words.index("-g") + 1] == "50"
    words = codec("vp9").arguments("good", 32, "yuv420p", ["-cpu-used", "6"])
    assert [words[place + 1] for place, word in enumerate(words) if word == "-cpu-used"] == ["4", "6"]


@pytest.mark.parametrize("word", ["-crf", "-i", "-threads", "-pix_fmt", "-vf", "-preset"])
def test_extra_options_cannot_undo_what_identifies_an_encode(word: str) -> None:
    with pytest.raises(InputError, match=f"extra option {word} of libx264"):
        codec("x264").arguments("medium", 28, "yuv420p", [word, "1"])


def test_pixel_formats() -> None:
    assert codec("x264").pixel_format("422", 10) == "yuv422p10le"
    with pytest.raises(InputError, match="libsvtav1 takes chroma 420, but the reference has 444"):
        codec("av1").pixel_format("444", 8)
    with pytest.raises(InputError, match="libvvenc writes 10 bits per sample, but 8 were asked for"):
        codec("vvc").pixel_format("420", 8)


# The published block of fr_regressor_v2: six slots, preset ordinal / 9, CRF / 63.
@pytest.mark.parametrize(
    ("encoder", "preset", "crf", "expected"),
    [
        ("libx264", "medium", 23, [1, 0, 0, 0, 0, 0, 5 / 9, 23 / 63]),
        ("hevc", "placebo", 51, [0, 1, 0, 0, 0, 0, 1, 51 / 63]),
        ("libx264", "ultrafast", 60, [1, 0, 0, 0, 0, 0, 0, 51 / 63]),
        ("libsvtav1", 8, 63, [0, 0, 1, 0, 0, 0, 8 / 9, 1]),
        ("libsvtav1", "13", 35, [0, 0, 1, 0, 0, 0, 1, 35 / 63]),
        ("libvvenc", "faster", 32, [0, 0, 0, 1, 0, 0, 1 / 9, 32 / 63]),
        ("libvpx-vp9", "good", 0, [0, 0, 0, 0, 1, 0, 5 / 9, 0]),
        ("libx264", None, 23, [1, 0, 0, 0, 0, 0, 5 / 9, 23 / 63]),
        ("unknown", None, None, [0, 0, 0, 0, 0, 1, 0.5, 0.5]),
        (None, None, None, [0, 0, 0, 0, 0, 1, 0.5, 0.5]),
    ],
)
def test_vocabulary_v1(encoder: str | None, preset: str | int | None, crf: int | None, expected: list[float]) -> None:
    assert V1.encode(encoder, preset, crf) == pytest.approx(expected, abs=0)


def test_vocabulary_v1_never_changes() -> None:
    assert V1.slots == ("libx264", "libx265", "libsvtav1", "libvvenc", "libvpx-vp9", "unknown")
    assert V1.width == 8
    assert V1.blind() == V1.encode("unknown", None, None)
    # Models name this hash: a new table needs a new version, not another hash here.
    assert V1.sha256 == "4f093c0a97da2bc991d0799e2ec6e0ce55a6cdc163551ecf24053440501c36b4"


@given(
    encoder=st.sampled_from([*CODECS, "unknown"]),
    place=st.integers(0, 100),
    crf=st.one_of(st.none(), st.floats(0, 1000)),
)
def test_every_column_lies_between_0_and_1_and_one_slot_is_hot(encoder: str, place: int, crf: float | None) -> None:
    presets = CODECS[encoder].presets if encoder in CODECS else (None,)
    columns = V1.encode(encoder, presets[place % len(presets)], crf)
    assert len(columns) == 8
    assert sum(columns[:6]) == 1
    assert columns[V1.slots.index(encoder)] == 1
    assert all(0 <= value <= 1 for value in columns)


@pytest.mark.parametrize("crf", [-1, float("nan"), float("inf")])
def test_a_quality_number_that_is_none_is_refused(crf: float) -> None:
    with pytest.raises(InputError, match="is no quality number"):
        V1.encode("libx264", "medium", crf)


def test_unknown_vocabulary() -> None:
    with pytest.raises(InputError, match="unknown codec vocabulary 'v0'"):
        vocabulary("v0")
    assert vocabulary("v1") is V1


def test_rung_names() -> None:
    assert rung_name("medium", 28) == "medium-crf28"
    assert rung_name(8, 35) == "8-crf35"
