from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from pyvmaf.base.files import sha256_file
from pyvmaf.base.manifest import read_manifest
from pyvmaf.corpora.clip import clip_video
from pyvmaf.corpora.collect import collect
from pyvmaf.corpora.folder import Spec
from pyvmaf.corpora.manifest import CorpusManifest
from pyvmaf.corpora.prepare import prepare
from pyvmaf.corpora.spec import load_videos
from pyvmaf.errors import InputError, IntegrityError, MissingFileError
from pyvmaf.video.ffmpeg import ffmpeg
from pyvmaf.video.format import Colour
from pyvmaf.video.probe import inspect
from tests.make.documents import read_as

REPOSITORY = Path(__file__).parents[2]
Make = Callable[..., Path]


def corpus_of(path: Path, **entry: Any) -> Spec:
    item = {"key": "a", "path": path.name, "sha256": sha256_file(path), "source": "a", "group": "a", **entry}
    value = {"name": "mine", "kind": "folder", "license": "", "root": str(path.parent), "entries": [item]}
    return Spec.model_validate(value)


def decode_with_pyav(path: Path) -> bytes:
    with av.open(str(path)) as container:
        return b"".join(frame.to_ndarray().tobytes() for frame in container.decode(video=0))


def decode_with_ffmpeg(path: Path, *options: str) -> bytes:
    command = [str(ffmpeg().path), "-nostdin", "-v", "error", "-i", str(path), "-map", "0:v:0", *options]
    command += ["-fps_mode", "passthrough", "-f", "rawvideo", "-"]
    return subprocess.run(command, capture_output=True, check=True).stdout


@pytest.mark.parametrize("key", ["bikes_2", "city_2", "carphone"])
def test_pyav_and_ffmpeg_decode_a_clip_to_the_same_samples(embedded_corpus: dict[str, Path], key: str) -> None:
    clip = embedded_corpus[key]
    assert decode_with_pyav(clip) == decode_with_ffmpeg(clip)


def test_a_cut_clip_holds_exactly_the_frames_of_its_range(
    embedded_corpus: dict[str, Path], embedded_files: dict[str, Path]
) -> None:
    # Independent: decode everything with PyAV, and slice and crop in numpy.
    with av.open(str(embedded_files["cityCC0.mpg"])) as container:
        source = [frame.to_ndarray(format="gray")[:404] for frame in container.decode(video=0)]
    with av.open(str(embedded_corpus["city_2"])) as container:
        clip = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    assert len(clip) == 74
    assert np.array_equal(np.stack(source[116:190]), np.stack(clip))


def test_a_scaled_clip_is_what_the_scaler_makes(
    embedded_corpus: dict[str, Path], embedded_files: dict[str, Path]
) -> None:
    filters = "select='between(n,30,75)',scale=320:136:flags=lanczos+accurate_rnd+bitexact"
    expected = decode_with_ffmpeg(embedded_files["bikes.mp4"], "-vf", filters)
    assert decode_with_pyav(embedded_corpus["bikes_2"]) == expected


def test_the_embedded_clips_are_what_their_corpus_says(embedded_corpus: dict[str, Path]) -> None:
    found = {}
    for key, path in embedded_corpus.items():
        video, sha256 = clip_video(path)
        assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        found[key] = (video.format.width, video.format.height, video.frames)
        assert video.shots == ((0, video.frames - 1),)
    assert found == {
        "bigbuckbunny": (640, 360, 132),
        **{f"bikes_{n}": (320, 136, frames) for n, frames in enumerate((30, 46, 61, 50, 55), start=1)},
        "carphone": (176, 144, 120),
        "city_1": (720, 404, 116),
        "city_2": (720, 404, 74),
    }


def test_own_bytes_are_kept_where_nothing_is_to_be_done(
    embedded_corpus: dict[str, Path], embedded_files: dict[str, Path]
) -> None:
    assert embedded_corpus["carphone"].read_bytes() == embedded_files["carphone_pristine.mp4"].read_bytes()
    details = read_manifest(embedded_corpus["carphone"])["details"]
    assert (details["own_bytes"], details["crop"], details["scale"], details["ffmpeg"]) == (True, None, None, None)
    details = read_manifest(embedded_corpus["city_1"])["details"]
    assert (details["own_bytes"], details["crop"]) == (False, [720, 404, 0, 0])


def test_the_same_bytes_on_every_run(tmp_path: Path, make_video: Make) -> None:
    source = make_video("twice.mkv", "64x48", 20)
    corpus = corpus_of(source, frames=[3, 15], scale="32x24")
    one = prepare(corpus, "a", source.parent, tmp_path / "x" / "a.mkv")
    two = prepare(corpus, "a", source.parent, tmp_path / "y" / "a.mkv")
    assert one.path.read_bytes() == two.path.read_bytes()
    assert one.video.frames == 13


@pytest.mark.parametrize(
    ("pix_fmt", "size", "expected", "options"),
    [
        ("yuv420p", "65x49", (64, 48), ["-c:v", "ffv1"]),
        ("yuv422p", "65x49", (64, 49), ["-c:v", "ffv1"]),
        ("yuv444p", "65x49", (65, 49), ["-c:v", "ffv1"]),
        ("yuv420p10le", "65x49", (64, 48), ["-c:v", "ffv1"]),
    ],
)
def test_odd_sizes_are_cropped_to_the_chroma_subsampling_without_loss(
    tmp_path: Path, make_video: Make, pix_fmt: str, size: str, expected: tuple[int, int], options: list[str]
) -> None:
    source = make_video(f"odd-{pix_fmt}.mkv", size, 5, "-pix_fmt", pix_fmt, *options, source="testsrc")
    done = prepare(corpus_of(source), "a", source.parent, tmp_path / "a.mkv")
    assert (done.video.format.width, done.video.format.height) == expected
    assert done.video.format.pix_fmt == pix_fmt
    assert done.plan.own_bytes == (expected == (65, 49))
    crop = read_manifest(done.path)["details"]["crop"]
    assert crop == (None if expected == (65, 49) else [*expected, 0, 0])
    width, height = expected
    cropped = decode_with_ffmpeg(source, "-vf", f"crop={width}:{height}:0:0:exact=1")
    assert decode_with_ffmpeg(done.path) == cropped


def test_ten_bits_are_stored_without_loss(tmp_path: Path, make_video: Make) -> None:
    source = make_video("ten.mkv", "64x48", 6, "-pix_fmt", "yuv420p10le", "-c:v", "ffv1")
    done = prepare(corpus_of(source, frames=[1, 4]), "a", source.parent, tmp_path / "a.mkv")
    frame = 64 * 48 * 3 // 2 * 2
    assert decode_with_ffmpeg(done.path) == decode_with_ffmpeg(source)[frame : 5 * frame]


def test_a_raw_file_becomes_a_clip(tmp_path: Path, make_video: Make) -> None:
    source = make_video("raw.yuv", "64x48", 7, "-pix_fmt", "yuv420p", "-f", "rawvideo")
    raw = {"size": "64x48", "fps": "30000/1001"}
    done = prepare(corpus_of(source, raw=raw), "a", source.parent, tmp_path / "a.mkv")
    assert done.video.frames == 7
    assert done.video.format.fps == "30000/1001"
    assert decode_with_pyav(done.path) == source.read_bytes()


def test_a_video_with_strange_time_stamps_keeps_every_frame(tmp_path: Path, make_video: Make) -> None:
    source = make_video("vfr.mkv", "64x48", 20, "-vf", "setpts=N*N/25/TB/4", "-fps_mode", "vfr", "-qp", "0")
    count = inspect(source).frames
    done = prepare(corpus_of(source, scale="32x24"), "a", source.parent, tmp_path / "a.mkv")
    assert done.video.frames == count


@pytest.mark.parametrize("turn", [("-display_rotation", "90"), ("-display_rotation", "180"), ("-display_hflip",)])
def test_a_turned_video_becomes_a_clip_that_shows_the_same(
    tmp_path: Path, make_video: Make, turn: tuple[str, ...]
) -> None:
    upright = make_video("upright.mp4", "64x48", 5)
    source = upright.with_name(f"turned{''.join(turn)}.mp4")
    command = [str(ffmpeg().path), "-v", "error", "-y", *turn, "-i", str(upright), "-c", "copy"]
    subprocess.run([*command, str(source)], check=True)
    done = prepare(corpus_of(source), "a", source.parent, tmp_path / "a.mkv")
    # FFmpeg turns by itself what it decodes.
    assert decode_with_ffmpeg(done.path) == decode_with_ffmpeg(source)
    assert done.video.remarks == ()
    assert not done.plan.own_bytes
    assert [remark.endswith("as players show it") for remark in done.remarks] == [True]
    assert read_manifest(done.path)["details"]["remarks"] == list(done.remarks)


FULL = ("-vf", "scale=out_range=pc,format=yuvj420p", "-c:v", "libx264", "-qp", "0", "-color_range", "pc")
BT601 = ("-vf", "setparams=range=tv:colorspace=smpte170m:color_trc=smpte170m:color_primaries=smpte170m")
HLG = ("-vf", "setparams=range=tv:colorspace=bt2020nc:color_trc=arib-std-b67:color_primaries=bt2020", "-pix_fmt")


@pytest.mark.parametrize(
    ("options", "entry", "colour", "remark"),
    [
        pytest.param(FULL, {"pix_fmt": "yuv420p"}, Colour("tv"), "has full range: the clip has limited", id="full"),
        pytest.param((*BT601, "-qp", "0"), {"scale": "32x24"}, Colour("tv", *["smpte170m"] * 3), "", id="BT.601"),
        pytest.param(
            (*HLG, "yuv420p10le", "-qp", "0"),
            {"scale": "32x24"},
            Colour("tv", "bt2020nc", "arib-std-b67", "bt2020"),
            "",
            id="HLG",
        ),
        pytest.param(
            ("-pix_fmt", "bgr0", "-c:v", "ffv1"),
            {"pix_fmt": "yuv444p"},
            Colour("tv", "bt709"),
            "is RGB: the clip",
            id="RGB",
        ),
    ],
)
def test_clips_state_the_colours_of_their_samples(
    tmp_path: Path,
    make_video: Make,
    options: tuple[str, ...],
    entry: dict[str, str],
    colour: Colour,
    remark: str,
    request: Any,
) -> None:
    source = make_video(f"colour-{request.node.callspec.id}.mkv", "64x48", 3, *options)
    done = prepare(corpus_of(source, **entry), "a", source.parent, tmp_path / "a.mkv")
    assert done.video.colour == colour
    assert [text for text in done.remarks if not text.startswith(remark or " ")] == []
    assert bool(done.remarks) == bool(remark)
    if remark:
        # Both conversions by name, as FFmpeg makes them.
        scale = "scale=out_range=tv:out_color_matrix=bt709:flags=lanczos+accurate_rnd+bitexact"
        chain = f"{scale if colour.matrix else scale.replace('out_color_matrix=bt709:', '')},format={entry['pix_fmt']}"
        assert decode_with_ffmpeg(done.path) == decode_with_ffmpeg(source, "-vf", chain)


@pytest.mark.parametrize("frames", [None, [2, 3]])
def test_interlaced_material_is_no_clip(tmp_path: Path, make_video: Make, frames: list[int] | None) -> None:
    """Also where only some frames are flagged so, and the first is not."""
    fields = ("-vf", "setfield=tff", "-flags", "+ilme+ildct", "-x264-params", "tff=1")
    interlaced = make_video("fields.ts", "64x48", 4, "-c:v", "libx264", "-qp", "0", *fields)
    mixed = interlaced.with_name("mixed.ts")
    mixed.write_bytes(
        make_video("frames.ts", "64x48", 2, "-c:v", "libx264", "-qp", "0").read_bytes() + interlaced.read_bytes()
    )
    for source in (interlaced, mixed):
        corpus = corpus_of(source, **({"frames": frames} if frames else {}))
        with pytest.raises(InputError, match=rf"{source.name} is interlaced \([24] of its frames .* -vf bwdif"):
            prepare(corpus, "a", source.parent, tmp_path / "out" / "a.mkv")
        assert nothing_left(tmp_path / "out")


def test_a_format_that_encoders_do_not_take_has_to_be_converted_by_name(tmp_path: Path, make_video: Make) -> None:
    source = make_video("rgb.mkv", "64x48", 3, "-pix_fmt", "bgr0", "-c:v", "ffv1")
    with pytest.raises(InputError, match="pixel format bgr0, but clips are planar YUV of 8 or 10 bits"):
        prepare(corpus_of(source), "a", source.parent, tmp_path / "a.mkv")
    done = prepare(corpus_of(source, pix_fmt="yuv420p"), "a", source.parent, tmp_path / "a.mkv")
    assert done.video.format.pix_fmt == "yuv420p"


@pytest.mark.parametrize("options", [("-pix_fmt", "yuv420p10le"), ("-pix_fmt", "yuv444p"), ("-s", "96x64")])
@pytest.mark.parametrize("entry", [{}, {"scale": "32x24"}, {"frames": [0, 6]}])
def test_a_video_whose_format_changes_is_not_prepared(
    tmp_path: Path, make_video: Make, options: tuple[str, ...], entry: dict[str, Any]
) -> None:
    both = tmp_path / "changes.ts"
    name = "-".join(options)
    parts = [make_video("first.ts", "64x48", 5, "-pix_fmt", "yuv420p", "-c:v", "libx264", "-bf", "0"),
             make_video(f"second{name}.ts", "64x48", 5, "-pix_fmt", "yuv420p", "-c:v", "libx264", "-bf", "0",
                        "-output_ts_offset", "0.2", *options)]  # fmt: skip
    both.write_bytes(b"".join(part.read_bytes() for part in parts))
    source = tmp_path / "changes.mkv"
    subprocess.run([str(ffmpeg().path), "-v", "error", "-i", str(both), "-c", "copy", str(source)], check=True)
    with pytest.raises(InputError, match=r"changes\.(mkv|ts) changes its (pixel format|size) from .* at frame 5"):
        prepare(corpus_of(source, **entry), "a", source.parent, tmp_path / "out" / "a.mkv")
    assert nothing_left(tmp_path / "out")
    if entry.get("frames"):
        entry = {"frames": [0, 3]}
        assert prepare(corpus_of(source, **entry), "a", source.parent, tmp_path / "a.mkv").video.frames == 4


def test_the_stream_of_an_entry_is_prepared(tmp_path: Path, make_video: Make) -> None:
    small, large = make_video("p.mkv", "48x32", 3), make_video("q.mkv", "64x48", 5)
    source = tmp_path / "both.mkv"
    words = ["-i", str(small), "-i", str(large), "-map", "0", "-map", "1", "-c", "copy"]
    words += ["-disposition:v:0", "0", "-disposition:v:1", "default"]
    subprocess.run([str(ffmpeg().path), "-v", "error", *words, str(source)], check=True)
    for entry, size, frames, own in (({}, "64x48", 5, True), ({"stream": 1}, "64x48", 5, True),
                                     ({"stream": 0}, "48x32", 3, False), ({"scale": "32x24"}, "32x24", 5, False)):  # fmt: skip
        done = prepare(corpus_of(source, **entry), "a", source.parent, tmp_path / "a.mkv")
        assert (done.video.format.size, done.video.frames, done.plan.own_bytes) == (size, frames, own)
        assert inspect(done.path).format.size == size


def nothing_left(folder: Path) -> bool:
    return not folder.exists() or not list(folder.iterdir())


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"frames": [5, 99]}, r"frames 5 to 99, but .*short\.mkv has 12 frames \(0 to 11\)"),
        ({"frames": [20, 30]}, r"frames 20 to 30, but .*short\.mkv has 12 frames \(0 to 11\)"),
        ({"crop": "128x48"}, r"crop to 128x48, but short\.mkv is 64x48"),
        ({"crop": "63x48"}, r"crop to 63x48, but with chroma yuv420p sizes are multiples of 2x2: use 62x48"),
        ({"scale": "33x24"}, r"size 33x24, but with chroma yuv420p sizes are multiples of 2x2: use 32x24"),
    ],
)
def test_impossible_requests(tmp_path: Path, make_video: Make, entry: dict[str, Any], message: str) -> None:
    source = make_video("short.mkv", "64x48", 12)
    with pytest.raises(InputError, match=message):
        prepare(corpus_of(source, **entry), "a", source.parent, tmp_path / "out" / "a.mkv")
    assert nothing_left(tmp_path / "out")


def test_a_source_that_is_not_the_pinned_one(tmp_path: Path, make_video: Make) -> None:
    source = make_video("pinned.mkv")
    corpus = corpus_of(source, sha256="ab" * 32)
    with pytest.raises(IntegrityError, match=rf"has SHA-256 {sha256_file(source)}, but {'ab' * 32} is pinned"):
        prepare(corpus, "a", source.parent, tmp_path / "out" / "a.mkv")
    with pytest.raises(MissingFileError, match="no such file"):
        prepare(corpus, "a", tmp_path, tmp_path / "out" / "a.mkv")
    assert nothing_left(tmp_path / "out")


@pytest.mark.parametrize("own_bytes", [True, False])
def test_a_truncated_source_is_not_a_clip(tmp_path: Path, make_video: Make, own_bytes: bool) -> None:
    whole = make_video("whole.mp4", "64x48", 60, "-qp", "0", "-movflags", "+faststart").read_bytes()
    source = tmp_path / "cut.mp4"
    source.write_bytes(whole[: len(whole) // 2])
    corpus = corpus_of(source) if own_bytes else corpus_of(source, scale="32x24")
    with pytest.raises(IntegrityError, match=r"cut\.mp4.*truncated"):
        prepare(corpus, "a", tmp_path, tmp_path / "out" / "a.mkv")
    assert nothing_left(tmp_path / "out")


def test_the_facts_of_a_clip_come_from_its_manifest_only_while_it_is_about_these_bytes(
    tmp_path: Path, make_video: Make
) -> None:
    source = make_video("facts.mkv", "64x48", 12)
    done = prepare(corpus_of(source), "a", source.parent, tmp_path / "a.mkv")
    assert clip_video(done.path) == (done.video, done.sha256)
    done.path.write_bytes(make_video("other.mkv", "32x32", 5).read_bytes())
    video, sha256 = clip_video(done.path)
    assert (video.frames, video.format.width) == (5, 32)
    assert sha256 == sha256_file(done.path)


def test_the_manifest_of_a_whole_corpus(tmp_path: Path, embedded_corpus: dict[str, Path]) -> None:
    corpus = load_videos(REPOSITORY / "config" / "corpora" / "embedded.yaml")
    collect(corpus, embedded_corpus["carphone"].parent, tmp_path / "corpus.json")
    content = read_as(CorpusManifest, tmp_path / "corpus.json").as_json()
    assert content["groups"] == {"bigbuckbunny": 1, "bikes": 5, "carphone": 1, "city": 2}
    assert len(content["sources"]) == 9
    for key, path in embedded_corpus.items():
        assert content["clips"][key]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert content["clips"]["bikes_3"]["source_frames"] == [76, 136]
    assert read_manifest(tmp_path / "corpus.json")["outputs"]["manifest"]["exists"]
    with pytest.raises(MissingFileError):
        collect(corpus, tmp_path, tmp_path / "none.json")
    assert not (tmp_path / "none.json").exists()
