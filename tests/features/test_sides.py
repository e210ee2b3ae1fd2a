"""Pairs whose sides say different things about themselves: the number of FFmpeg's libvmaf, or a refusal with its cause."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import pyvmaf
from pyvmaf.errors import InputError
from pyvmaf.features.ladder import extract_ladder
from pyvmaf.features.options import Compute, Reading
from pyvmaf.video.ffmpeg import ffmpeg
from pyvmaf.video.format import Format
from pyvmaf.video.probe import inspect
from pyvmaf.video.reader import Reader

Make = Callable[..., Path]

FRAMES = 12
AS_MASTER = "scale=320:192,setsar=1,setparams=range=tv:colorspace=bt709:color_trc=bt709:color_primaries=bt709"
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")


def run(*words: str | Path) -> str:
    command = [str(ffmpeg().path), "-nostdin", "-v", "info", "-y", *map(str, words)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stderr


def libvmaf(distorted: Path, reference: Path, before: str = "null") -> float:
    """Mean VMAF of FFmpeg's filter, frames paired by number."""
    numbers = "settb=1/25,setpts=N"
    graph = f"[0:v]{numbers}[a];[1:v]{numbers},{before}[b];[a][b]libvmaf"
    score = re.search(
        r"VMAF score: ([\d.]+)", run("-i", distorted, "-i", reference, "-lavfi", graph, "-f", "null", "-")
    )
    assert score is not None
    return float(score[1])


@pytest.fixture(scope="module")
def master(embedded_corpus: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tagged limited range and BT.709, 24 frames per second."""
    path = tmp_path_factory.mktemp("sides") / "master.mp4"
    run(
        "-i",
        embedded_corpus["bikes_1"],
        "-frames:v",
        str(FRAMES),
        "-r",
        "24",
        "-vf",
        AS_MASTER,
        *X264,
        "-crf",
        "10",
        path,
    )
    return path


@pytest.fixture(scope="module")
def encode(master: Path) -> Callable[..., Path]:
    """A function that encodes a video, by default the master, with options of FFmpeg."""

    def make(name: str, *options: str, source: Path = master, before: tuple[str, ...] = ()) -> Path:
        path = master.with_name(name)
        if not path.exists():
            run(*before, "-i", source, *options, path)
        return path

    return make


def score(reference: Path, distorted: Path, **options: bool | str) -> tuple[float, list[str]]:
    scores = pyvmaf.score(reference, distorted, **options)  # type: ignore[arg-type]  # options of the call
    return float(scores["vmaf"].mean()), scores.notes


def test_ordinary_pairs_have_no_notes(master: Path, encode: Callable[..., Path]) -> None:
    """Also if a container or codec does not keep the tags: VP8's decoder says BT.601 of every video."""
    for name, options in {
        "plain.mkv": (*X264, "-crf", "33"),
        "untagged.avi": ("-c:v", "mpeg4", "-q:v", "9", "-bf", "2"),
        "untagged.webm": ("-c:v", "libvpx", "-b:v", "300k"),
        "stream.264": (*X264, "-crf", "33"),
    }.items():
        vmaf, notes = score(master, encode(name, *options))
        assert notes == [], name
        assert 20 < vmaf < 99.9, name


@pytest.mark.parametrize("turn", ["90", "180", "270", "mirrored"])
def test_turned_videos_are_scored_as_they_are_shown(master: Path, encode: Callable[..., Path], turn: str) -> None:
    options = ("-display_hflip:v:0",) if turn == "mirrored" else ("-display_rotation:v:0", turn)
    turned = encode(f"turned-{turn}.mp4", "-c", "copy", before=options)
    upright = encode(f"upright-{turn}.mp4", *X264, "-crf", "33", source=turned)
    vmaf, notes = score(turned, upright)
    assert vmaf == pytest.approx(libvmaf(upright, turned), abs=2e-6)
    (note,) = notes
    assert str(turned) in note
    assert ("mirrored" if turn == "mirrored" else "turned by") in note
    # Turned on both sides: the pictures of both are turned back.
    both = encode(f"both-{turn}.mp4", "-c", "copy", source=encode("plain.mp4", *X264, "-crf", "33"), before=options)
    assert score(turned, both)[0] == pytest.approx(libvmaf(both, turned), abs=2e-6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param(
            ("-vf", "scale=out_range=pc,format=yuvj420p", *X264[:4], "-color_range", "pc"),
            ("ranges differ", "limited range (tv)", "full range (pc)"),
            id="range",
        ),
        pytest.param(
            ("-vf", "scale=out_color_matrix=smpte170m", *X264, "-colorspace", "smpte170m"),
            ("matrices differ", "bt709", "smpte170m"),
            id="matrix",
        ),
        pytest.param(
            ("-vf", "setparams=color_trc=arib-std-b67", *X264),
            ("transfer functions differ", "bt709", "HDR (HLG)"),
            id="HDR",
        ),
        pytest.param(
            ("-vf", "setfield=tff", *X264, "-flags", "+ilme+ildct", "-x264-params", "tff=1"),
            ("is interlaced", "is not", "bwdif"),
            id="fields",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused_with_the_remedy(
    master: Path,
    encode: Callable[..., Path],
    options: tuple[str, ...],
    words: tuple[str, ...],
    request: pytest.FixtureRequest,
) -> None:
    other = encode(f"refused-{request.node.callspec.id}.mp4", *options)
    for pair in ((master, other), (other, master)):
        with pytest.raises(InputError) as error:
            score(*pair)
        assert all(word in str(error.value) for word in (*words, str(master), str(other)))
    # A video agrees with itself, whatever it says.
    assert score(other, other)[0] > 97


def test_fields_that_only_a_header_states(master: Path, encode: Callable[..., Path]) -> None:
    """FFmpeg keeps the order of fields in Matroska, but codes them as progressive frames unless told otherwise."""
    fields = encode("fields.mkv", "-vf", "setfield=tff", *X264, "-flags", "+ilme+ildct", "-x264-params", "tff=1")
    woven = encode("woven.mkv", *X264, "-crf", "30", source=fields)
    assert [inspect(path).interlaced for path in (fields, woven, master)] == [FRAMES, 0, 0]
    (note,) = score(fields, woven)[1]
    assert "are interlaced" in note
    with pytest.raises(InputError, match=r"woven.mkv is interlaced, .*master.mp4 is not"):
        score(master, woven)
    with pytest.raises(InputError, match=r"woven.mkv is interlaced .its header states the field order"):
        inspect(woven).check(woven)


@pytest.mark.parametrize("swapped", [False, True])
def test_fields_after_progressive_frames(master: Path, encode: Callable[..., Path], swapped: bool) -> None:
    """Refused at the first frame that only one side flags."""
    mixed, plain = master.with_name("mixed.ts"), master.with_name("frames.ts")
    frames = encode("half.ts", *X264, "-qp", "0", "-frames:v", "6").read_bytes()
    fields = encode("fields.ts", "-vf", "setfield=tff", *X264, "-flags", "+ilme+ildct", "-x264-params", "tff=1")
    mixed.write_bytes(frames + fields.read_bytes())
    plain.write_bytes(frames + encode("whole.ts", *X264, "-qp", "0").read_bytes())
    pair = (plain, mixed) if swapped else (mixed, plain)
    with pytest.raises(InputError, match=r"frame 6: .*mixed.ts is interlaced, .*frames.ts is not"):
        score(*pair)
    assert f"{FRAMES} frames of {mixed} are interlaced" in score(mixed, mixed)[1][0]


def test_the_remedy_for_a_range_gives_the_number_of_ffmpeg(master: Path, encode: Callable[..., Path]) -> None:
    full = encode(
        "full.mp4", "-vf", "scale=out_range=pc,format=yuvj420p", *X264[:4], "-crf", "33", "-color_range", "pc"
    )
    with pytest.raises(InputError, match="ranges differ") as error:
        score(master, full)
    options = re.search(r"options (-vf .* yuv420p) ", str(error.value))
    assert options is not None
    converted = encode("converted.mkv", *options[1].split(), "-c:v", "libx264", "-qp", "0", source=full)
    assert score(master, converted)[0] == pytest.approx(libvmaf(full, master), abs=0.01)


@pytest.mark.parametrize(
    ("filter_", "words"),
    [
        ("pad=iw:ih+16:0:0", "looks padded"),
        ("pad=iw:ih+40:0:20", "looks padded"),
        ("crop=iw-64:ih", "looks padded"),
        ("transpose=clock", "sizes are swapped"),
        ("scale=160:192,setsar=1", "looks padded"),
        ("scale=240:160,setsar=1", "aspect ratios differ"),
    ],
)
@pytest.mark.parametrize("scale", [False, True, "320x192"])
def test_pictures_of_another_shape_are_scaled_only_if_that_is_asked_for(
    master: Path, encode: Callable[..., Path], filter_: str, words: str, scale: bool | str
) -> None:
    other = encode(f"shape-{re.sub('[^a-z0-9]', '-', filter_)}.mkv", "-vf", filter_, *X264, "-crf", "20")
    if not scale or "swapped" in words:
        with pytest.raises(InputError, match=words) as error:
            score(master, other, scale=scale)
        assert "--scale" not in str(error.value)
        return
    scores = pyvmaf.score(master, other, scale=scale, features="psnr_y", model=None, frames=(0, 1))
    ours, theirs = (Reader(path).side for path in (master, other))
    [doubt] = [note for note in scores.doubts if "is stretched to that of" in note]
    assert f"{other} is {theirs.size}, an aspect ratio of {float(theirs.aspect):.3f}" in doubt
    assert f"{master}, {ours.size} and {float(ours.aspect):.3f}" in doubt
    assert "--crop or --pad" in doubt
    assert doubt in scores.notes


def test_smaller_pictures_of_one_shape_are_to_be_scaled(master: Path, encode: Callable[..., Path]) -> None:
    """Sizes are rounded, and samples need not be square: FFmpeg's filter scale then states their shape."""
    for size in ("160x96", "214x128", "212x128,setsar=1", "160x192"):
        small = encode(
            f"small-{re.sub('[^0-9]', '-', size)}.mkv", "-vf", f"scale={size.replace('x', ':')}", *X264, "-crf", "20"
        )
        with pytest.raises(InputError, match="with --scale reference"):
            score(master, small)
        assert score(master, small, scale=True)[1] == []


def test_rates_are_compared(master: Path, encode: Callable[..., Path]) -> None:
    half = encode("half.mkv", "-vf", "fps=12", *X264, "-qp", "0")
    for options in ({}, {"shortest": True}):
        with pytest.raises(
            InputError, match=r"24 frames per second \(12 frames\).*12 \(6 frames\).*-vf fps=12"
        ) as error:
            score(master, half, **options)
        assert "--shortest" not in str(error.value)
    slow = encode("slow.mkv", "-vf", "setpts=2*PTS", "-r", "12", *X264, "-qp", "0")
    vmaf, notes = score(master, slow)
    assert vmaf > 97
    assert [("24 frames per second" in note, "12 frames, which are" in note) for note in notes] == [(True, True)]


def test_a_variable_rate_against_a_constant_one(master: Path, encode: Callable[..., Path]) -> None:
    """Half of the frames are shown three times as long; at a constant rate they are repeated."""
    variable = encode(
        "variable.mkv", "-vf", "setpts='if(lt(N,6),N,6+(N-6)*3)/24/TB'", "-fps_mode", "vfr", *X264, "-crf", "20"
    )
    constant = encode("constant.mkv", "-fps_mode", "cfr", "-r", "24", *X264, "-crf", "20", source=variable)
    for options in ({}, {"shortest": True}):
        with pytest.raises(InputError, match="frame rates differ") as error:
            score(variable, constant, **options)
        assert "--shortest" not in str(error.value)
    assert score(variable, master)[1] == []
    # Two frames are missing inside, none at the end.
    dropped = encode("dropped.mkv", "-vf", r"select=not(between(n\,4\,5))", "-fps_mode", "vfr", *X264, "-crf", "20")
    with pytest.raises(InputError, match=r"24 frames per second \(12 frames\).* 20 \(10 frames\)"):
        score(master, dropped, shortest=True)


def test_a_frame_that_is_shown_long_changes_no_rate(master: Path, encode: Callable[..., Path]) -> None:
    long = encode("long.mkv", "-c", "copy", "-bsf:v", r"setts=duration=if(eq(N\,11)\,DURATION*60\,DURATION)")
    assert score(long, encode("plain.mkv", *X264, "-crf", "33"))[1] == []


@pytest.mark.parametrize("shift", [1, 3])
def test_a_shift_is_named(master: Path, encode: Callable[..., Path], shift: int) -> None:
    late = encode(f"late-{shift}.mkv", "-vf", rf"select=gte(n\,{shift}),setpts=N/24/TB", *X264, "-crf", "20")
    hint = f"frame {shift} of {master} looks like frame 0 of {late}"
    with pytest.raises(InputError, match="frame counts differ") as error:
        score(master, late)
    assert hint in str(error.value)
    assert "--shortest" not in str(error.value)
    for pair in ((master, late), (late, master)):
        (note,) = [note for note in score(*pair, shortest=True)[1] if "looks like" in note]
        assert hint in note
        assert "trim=start_frame" in note
    # The end is missing, not the start.
    short = encode("short.mkv", "-frames:v", "9", *X264, "-crf", "20")
    with pytest.raises(InputError, match="--shortest if they start at the same frame"):
        score(master, short)
    assert not any("looks like" in note for note in score(master, short, shortest=True)[1])


@pytest.mark.parametrize(("lost", "turn"), [("180", "hflip,vflip"), ("mirrored", "hflip")])
def test_a_display_matrix_that_was_lost_is_named(
    master: Path, encode: Callable[..., Path], lost: str, turn: str
) -> None:
    options = ("-display_hflip:v:0",) if lost == "mirrored" else ("-display_rotation:v:0", lost)
    turned = encode(f"turned-{lost}.mp4", "-c", "copy", before=options)
    notes = score(turned, encode("plain.mkv", *X264, "-crf", "33"))[1]
    assert [f"-vf {turn}: one of them" in note for note in notes] == [False, True]


@pytest.mark.parametrize(("level", "expected"), [("pc", True), ("tv", False)])
def test_samples_of_another_range_than_the_tag_are_named(
    master: Path, encode: Callable[..., Path], level: str, expected: bool
) -> None:
    tags = "setparams=range=tv"
    other = encode(f"level-{level}.mkv", "-vf", f"scale=out_range={level},format=yuv420p,{tags}", *X264, "-crf", "30")
    for pair in ((master, other), (other, master)):
        notes = score(*pair)[1]
        assert [f"samples of {other} look like full range" in note for note in notes] == [True] * expected


@pytest.mark.parametrize(("matrix", "expected"), [("smpte170m", True), ("bt709", False)])
def test_colours_of_another_matrix_that_nothing_states_are_named(
    embedded_corpus: dict[str, Path], encode: Callable[..., Path], matrix: str, expected: bool
) -> None:
    tags = ("-frames:v", "4", "-vf", "scale=320:-2,setparams=range=tv:colorspace=bt709")
    master = encode("colourful.mkv", *tags, *X264, "-qp", "0", source=embedded_corpus["bigbuckbunny"])
    chain = f"scale=in_color_matrix=bt709:out_color_matrix={matrix},format=yuv420p"
    tagged = encode(f"tagged-{matrix}.mkv", "-vf", chain, *X264, "-qp", "0", "-colorspace", matrix, source=master)
    other = encode(f"untagged-{matrix}.avi", "-c:v", "mpeg4", "-q:v", "3", source=tagged)
    for pair in ((master, other), (other, master)):
        notes = score(*pair)[1]
        assert [f"{other} states no colour matrix, and its" in note for note in notes] == [True] * expected


def test_the_remedy_for_rgb_gives_the_number_of_ffmpeg(master: Path, encode: Callable[..., Path]) -> None:
    """FFmpeg converts RGB to the matrix of the other side."""
    plain = encode("plain444.mkv", *X264[:4], "-pix_fmt", "yuv444p", "-qp", "0")
    rgb = encode("rgb.mkv", "-vf", "gblur=1,scale=in_color_matrix=bt709,format=gbrp", "-c:v", "ffv1", source=plain)
    with pytest.raises(InputError, match=r"rgb.mkv is RGB, which is measured as tv/smpte170m/") as error:
        score(plain, rgb)
    options = re.search(r"options (-vf .* -qp 0),", str(error.value))
    assert options is not None
    converted = encode("yuv.mkv", *options[1].split(), source=rgb)
    assert score(plain, converted)[0] == pytest.approx(libvmaf(rgb, plain), abs=2e-6)


def test_headerless_files_are_taken_to_have_the_colours_of_the_other_side(
    master: Path, encode: Callable[..., Path]
) -> None:
    raw = Format.parse("320x192")
    plain = encode("plain.yuv", "-pix_fmt", "yuv420p", "-f", "rawvideo")
    assert pyvmaf.score(plain, master, raw=raw).notes == []
    full = encode(
        "full.mp4", "-vf", "scale=out_range=pc,format=yuvj420p", *X264[:4], "-crf", "33", "-color_range", "pc"
    )
    (note,) = pyvmaf.score(
        encode("full.yuv", "-pix_fmt", "yuvj420p", "-f", "rawvideo", source=full), full, raw=raw
    ).notes
    assert "full.yuv has no header and is taken to have the colours of" in note


def test_a_file_that_contradicts_itself_is_named(master: Path, encode: Callable[..., Path]) -> None:
    """Colours in the container against those of the frames, which decide, as in FFmpeg."""
    other = encode("contradicts.mkv", "-c", "copy", "-color_range", "pc", "-colorspace", "smpte170m")
    vmaf, notes = score(master, other)
    assert vmaf > 97
    assert [("in its container" in note, str(other) in note) for note in notes] == [(True, True)] * 2


def test_notes_travel_with_scores(master: Path, encode: Callable[..., Path], tmp_path: Path) -> None:
    slow = encode("slow.mkv", "-vf", "setpts=2*PTS", "-r", "12", *X264, "-qp", "0")
    scores = pyvmaf.score(master, slow)
    scores.write(tmp_path / "scores.json")
    assert json.loads((tmp_path / "scores.json").read_text())["notes"] == scores.notes
    metadata = scores.to_arrow().schema.metadata
    assert json.loads(metadata[b"pyvmaf"])["notes"] == scores.notes
    # From the cache, too, and once for all rungs.
    for _ in range(2):
        ladder = extract_ladder(master, {"a": slow, "b": slow}, compute=Compute(cache=tmp_path / "cache"))
        assert ladder.notes == scores.notes
    assert extract_ladder(master, {"a": slow}, reading=Reading(related=False)).notes == []
