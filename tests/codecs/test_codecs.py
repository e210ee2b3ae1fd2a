from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyvmaf.codecs.encoders import ENCODERS, rung_name
from pyvmaf.codecs.encoders import encoder as find_encoder
from pyvmaf.codecs.vocabularies import VOCABULARIES, encoder_name, vocabulary
from pyvmaf.errors import InputError
from pyvmaf.video.ffmpeg import ffmpeg

V1, V2, V3, V4, V5, V6 = (VOCABULARIES[f"v{i}"] for i in range(1, 7))

# What FFmpeg's wrapper takes the quality number with; VideoToolbox exists on one system only.
HARDWARE_QUALITY = {
    **dict.fromkeys(("h264_nvenc", "hevc_nvenc", "av1_nvenc"), "-cq"),
    **dict.fromkeys(("h264_amf", "hevc_amf", "av1_amf"), "-qp_i"),
    "libaom-av1": "-crf",
}

HASHES = {
    "v1": "4f093c0a97da2bc9",
    "v2": "2d6a045548497507",
    "v3": "97b109c598e92108",
    "v4": "f3602688b7788a21",
    "v5": "314db4b835c1ef07",
    "v6": "065723901e09778d",
}


def encoder_help(name: str) -> str:
    command = [str(ffmpeg().path), "-hide_banner", "-h", f"encoder={name}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("name", ENCODERS)
def test_ffmpeg_has_the_encoder_and_takes_what_the_table_says(name: str) -> None:
    text = encoder_help(name)
    entry = ENCODERS[name]
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
    for word in ENCODERS["libvvenc"].presets:
        assert re.search(rf"\n     {word} ", encoder_help("libvvenc"))
    for word in ENCODERS["libvpx-vp9"].presets:
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
    assert find_encoder(alias).name == name


def test_an_unknown_codec_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match=r"unknown codec 'libx2644': did you mean 'libx264'\?"):
        find_encoder("libx2644")


def test_aliases_belong_to_one_codec_only() -> None:
    every = [alias for entry in ENCODERS.values() for alias in entry.aliases]
    assert len(every) == len(set(every))
    assert not set(every) & set(ENCODERS)


@pytest.mark.parametrize("name", ENCODERS)
def test_presets_and_quality_numbers_are_checked(name: str) -> None:
    entry = ENCODERS[name]
    assert entry.preset_default in entry.presets
    assert set(V1.preset_ordinals[name]) == set(entry.presets)
    assert all(0 <= ordinal <= 9 for ordinal in V1.preset_ordinals[name].values())
    for crf in (entry.crf_min, entry.crf_default, entry.crf_max):
        assert entry.check_crf(crf) == crf
    for crf in (entry.crf_min - 1, entry.crf_max + 1):
        with pytest.raises(InputError, match=rf"CRF {crf} is outside of the range of {name}, {entry.crf_min} to"):
            entry.check_crf(crf)
    with pytest.raises(InputError, match=rf"unknown preset of {name} 'mediun'"):
        entry.check_preset("mediun")


def test_slower_presets_have_larger_ordinals_except_for_svt() -> None:
    for name, entry in ENCODERS.items():
        ordinals = [V1.preset_ordinals[name][preset] for preset in entry.presets]
        assert ordinals == sorted(ordinals, reverse=name != "libsvtav1")


def test_arguments_pin_the_threads_and_extra_options_replace_those_of_the_row() -> None:
    words = find_encoder("x265").arguments(
        "medium", 28, "yuv420p", ["-x265-params", "aq-mode=3", "-g", "50"], threads=2
    )
    assert words[words.index("-x265-params") + 1] == "pools=2:frame-threads=2:aq-mode=3"
    assert words.count("-x265-params") == 1
    assert words[words.index("-threads") + 1] == "2"
    assert words[words.index("-g") + 1] == "50"
    words = find_encoder("vp9").arguments("good", 32, "yuv420p", ["-cpu-used", "6"])
    assert [words[place + 1] for place, word in enumerate(words) if word == "-cpu-used"] == ["6"]


def test_pixel_formats() -> None:
    assert find_encoder("x264").pixel_format("422", 10) == "yuv422p10le"
    with pytest.raises(InputError, match="libsvtav1 takes chroma 420, but the reference has 444"):
        find_encoder("av1").pixel_format("444", 8)
    with pytest.raises(InputError, match="libvvenc writes 10 bits per sample, but 8 were asked for"):
        find_encoder("vvc").pixel_format("420", 8)


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
    encoder=st.sampled_from([*ENCODERS, "unknown"]),
    place=st.integers(0, 100),
    crf=st.one_of(st.none(), st.floats(0, 1000)),
)
def test_every_column_lies_between_0_and_1_and_one_slot_is_hot(encoder: str, place: int, crf: float | None) -> None:
    presets = ENCODERS[encoder].presets if encoder in ENCODERS else (None,)
    columns = V1.encode(encoder, presets[place % len(presets)], crf)
    assert len(columns) == 8
    assert sum(columns[:6]) == 1
    assert columns[V1.slots.index(encoder)] == 1
    assert all(0 <= value <= 1 for value in columns)


@pytest.mark.parametrize("crf", [-1, float("nan"), float("inf")])
def test_a_quality_number_that_is_none_is_refused(crf: float) -> None:
    with pytest.raises(InputError, match="is no quality number"):
        V1.encode("libx264", "medium", crf)


def test_published_vocabularies_are_as_they_were() -> None:
    software = ("libx264", "libx265", "libsvtav1", "libvvenc", "libvpx-vp9")
    hardware = ("h264_nvenc", "hevc_nvenc", "av1_nvenc", "h264_qsv", "hevc_qsv", "av1_qsv")
    assert V2.slots == (*software, *hardware, "unknown")
    assert " ".join(V3.slots) == (
        "libx264 libaom-av1 libx265 h264_nvenc hevc_nvenc av1_nvenc h264_amf hevc_amf av1_amf h264_qsv hevc_qsv av1_qsv "
        "libvvenc libsvtav1 h264_videotoolbox hevc_videotoolbox"
    )
    assert V4.slots == ("ugc-mixed",)
    assert [v.width for v in (V1, V2, V3, V4, V5, V6)] == [8, 14, 18, 1, 20, 8]
    # Models name these hashes: a new table needs a new version, not another hash here.
    assert {version: known.sha256[:16] for version, known in VOCABULARIES.items()} == HASHES


@pytest.mark.parametrize(
    ("version", "encoder", "preset", "crf", "hot", "tail"),
    [
        ("v2", "libx264", "medium", 60, 0, [5 / 9, 60 / 63]),
        ("v2", "libsvtav1", 13, 63, 2, [1, 1]),
        ("v2", "h264_nvenc", "p4", 28, 5, [5 / 9, 28 / 63]),
        ("v2", "av1_qsv", "veryslow", 100, 10, [8 / 9, 100 / 63]),
        ("v2", "libvpx-vp9", None, None, 4, [5 / 9, 23 / 63]),
        ("v2", "libaom-av1", "4", 30, 11, [5 / 9, 30 / 63]),
        ("v2", None, None, None, 11, [0.5, 0.5]),
        ("v3", "h264_nvenc", "p7", 19, 3, [0.5, 0]),
        ("v3", "h264_nvenc", "p1", 37, 3, [0.5, 1]),
        ("v3", "libsvtav1", 8, 55, 13, [0.5, 2]),
        ("v3", "hevc_videotoolbox", None, None, 15, [0.5, 0.5]),
        ("v4", "ugc-mixed", "medium", 23, 0, []),
        ("v4", None, None, None, 0, []),
        ("v5", "libsvtav1", 0, 1, 2, [1, 0]),
        ("v5", "libsvtav1", 13, 63, 2, [0, 1]),
        ("v5", "libsvtav1", 8, 32, 2, [3 / 9, 0.5]),
        ("v5", "libx264", "medium", 51, 0, [5 / 9, 1]),
        ("v5", "aom", 8, 63, 5, [0, 1]),
        ("v5", "h264_videotoolbox", None, 100, 15, [0.5, 0]),
        ("v5", "h264_videotoolbox", "any", 25, 15, [0.5, 0.75]),
        ("v5", "unknown", "medium", 23, 17, [0.5, 0.5]),
        ("v6", "libsvtav1", 8, 32, 2, [3 / 9, 0.5]),
        ("v6", "h264_nvenc", "p4", 28, 5, [0.5, 0.5]),
    ],
)
def test_columns(
    version: str, encoder: str | None, preset: str | int | None, crf: int | None, hot: int, tail: list[float]
) -> None:
    known = VOCABULARIES[version]
    expected = [0.0] * len(known.slots) + tail
    expected[hot] = 1.0
    assert known.encode(encoder, preset, crf) == pytest.approx(expected, abs=1e-12)
    assert len(known.layout) == len(expected)


@given(
    version=st.sampled_from(sorted(VOCABULARIES)),
    encoder=st.sampled_from(sorted({slot for known in VOCABULARIES.values() for slot in known.slots})),
    place=st.integers(0, 100),
    crf=st.one_of(st.none(), st.floats(0, 300)),
)
def test_an_encoder_has_its_own_slot_or_unknown_or_is_refused(
    version: str, encoder: str, place: int, crf: float | None
) -> None:
    known = VOCABULARIES[version]
    presets = sorted(known.preset_ordinals.get(encoder, {"": 0}))
    preset = presets[place % len(presets)] or None
    own = encoder if encoder in known.slots else "unknown" if len(known.slots) > 1 else known.slots[0]
    if own not in known.slots or (encoder == "ugc-mixed" and version != "v4"):
        with pytest.raises(InputError, match=r"no slot|unknown codec"):
            known.encode(encoder, preset, crf)
        return
    columns = known.encode(encoder, preset, crf)
    assert len(columns) == known.width
    assert columns[: len(known.slots)] == [float(slot == own) for slot in known.slots]
    assert all(value >= 0 for value in columns) or version == "v3"
    assert all(value <= 1 for value in columns) or not known.bounded


@pytest.mark.parametrize("version", ["v5", "v6"])
def test_the_new_vocabularies_run_the_same_way_for_every_encoder(version: str) -> None:
    known = VOCABULARIES[version]
    for name, entry in ENCODERS.items():
        columns = [known.encode(name, preset, 30)[-2] for preset in entry.presets]
        assert columns == sorted(columns, reverse=True), f"{name}: a slower preset must not have a smaller column"
        quality = [known.encode(name, None, crf)[-1] for crf in range(entry.crf_min, entry.crf_max + 1)]
        assert (quality[0], quality[-1]) == (0, 1)
        assert quality == sorted(quality)


def test_published_formula_of_svt_presets() -> None:
    assert [V5.encode("libsvtav1", preset, 30)[-2] * 9 for preset in range(14)] == pytest.approx(
        [round(9 * (13 - preset) / 13) for preset in range(14)]
    )


def test_ranges_and_presets_of_hardware_encoders_are_those_of_ffmpeg() -> None:
    assert V5.quality is not None
    for name, option in HARDWARE_QUALITY.items():
        text = encoder_help(name)
        found = re.search(rf"  {option} .*\(from -?\d+ to (\d+)\)", text)
        assert found is not None, name
        assert V5.quality.spans[name] == (0, int(found.group(1)))
        if name != "libaom-av1":
            for preset in V5.preset_ordinals[name]:
                assert re.search(rf"\n     {preset} ", text), (name, preset)
    for name in ("h264_qsv", "hevc_qsv", "av1_qsv"):
        for preset in V5.preset_ordinals[name]:
            assert re.search(rf"\n     {preset} ", encoder_help(name)), (name, preset)


def test_the_hash_covers_slots_presets_and_the_rule_of_the_quality_number() -> None:
    from dataclasses import replace

    for known in (V2, V3, V5):
        assert known.quality is not None
        ordinals = {**known.preset_ordinals, "libx264": {"medium": 4}}
        changes: list[dict[str, Any]] = [
            {"slots": known.slots[::-1]},
            {"preset_ordinals": ordinals},
            {"preset_missing": 0.4},
            {"quality": replace(known.quality, missing=0.1)},
            {"quality": replace(known.quality, span=(0, 62))},
            {"quality": replace(known.quality, spans={"libx264": (0, 50)})},
            {"quality": replace(known.quality, clipped=not known.quality.clipped)},
        ]
        hashes = [replace(known, **change).sha256 for change in changes]
        assert len({known.sha256, *hashes}) == len(changes) + 1


def test_an_encoder_without_a_place() -> None:
    with pytest.raises(InputError, match=r"codec vocabulary v3 has no slot for 'libvpx-vp9', and none for unknown"):
        V3.encode("vp9", "good", 30)
    with pytest.raises(InputError, match="codec vocabulary v3 has no slot for 'unknown'"):
        V3.blind()
    assert V3.blind_or_none is None
    assert V2.blind_or_none == V2.blind()
    with pytest.raises(InputError, match="unknown codec 'h264_nvnec': did you mean 'h264_nvenc'"):
        V5.encode("h264_nvnec", None, None)
    with pytest.raises(InputError, match="unknown preset of h264_nvenc 'p8'"):
        V5.encode("h264_nvenc", "p8", 20)


def test_encoder_names() -> None:
    assert encoder_name("X264") == "libx264"
    assert encoder_name("libaom") == "libaom-av1"
    assert encoder_name("av1_qsv") == "av1_qsv"
    with pytest.raises(InputError, match="unknown codec"):
        encoder_name("unknown")


def test_unknown_vocabulary() -> None:
    with pytest.raises(InputError, match="unknown codec vocabulary 'v0'"):
        vocabulary("v0")
    assert vocabulary("v1") is V1


def test_rung_names() -> None:
    assert rung_name("medium", 28) == "medium-crf28"
    assert rung_name(8, 35) == "8-crf35"
