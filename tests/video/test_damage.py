"""Files whose bytes are missing or wrong, against FFmpeg's own log, and whole files that only look short."""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import av.logging
import pytest

from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.scoring.score import score
from pyvmaf.video.ffmpeg import ffmpeg
from pyvmaf.video.probe import inspect
from pyvmaf.video.reader import Reader

Make = Callable[..., Path]
X264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-bf", "3")


def run(*words: str | Path) -> str:
    """Run FFmpeg and return what it says of errors."""
    command = [str(ffmpeg().path), "-nostdin", "-v", "error", "-y", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, errors="replace").stderr


def copy(source: Path, target: Path, *options: str, before: tuple[str, ...] = ()) -> Path:
    """Store the packets of a video in another file."""
    assert not run(*before, "-i", source, "-map", "0:v", "-c", "copy", *options, target)
    return target


WHOLE = {
    "edit list": ("a.mp4", ("-ss", "0.5"), ()),
    "last frame long": ("a.mkv", (), ("-bsf:v", "setts=duration=if(eq(N\\,29)\\,DURATION*60\\,DURATION)")),
    "last gap long": ("a.mkv", (), ("-bsf:v", "setts=pts=PTS+gte(N\\,20)*9/TB:dts=DTS+gte(N\\,20)*9/TB")),
    "late start": ("a.mp4", (), ("-output_ts_offset", "3")),
    "fragments": ("a.mp4", (), ("-movflags", "frag_keyframe+empty_moov")),
    "no duration": ("a.mkv", (), ("-flush_packets", "1", "-live", "1")),
    "transport": ("a.ts", (), ()),
    "no container": ("a.264", (), ()),
    "flash": ("a.flv", (), ()),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_a_whole_file_is_never_called_short(kind: str, make_video: Make, tmp_path: Path) -> None:
    name, before, options = WHOLE[kind]
    source = make_video("whole.mp4", "64x48", 30, *X264, "-g", "12")
    path = copy(source, tmp_path / name, *options, before=before)
    shown = tmp_path / "shown.txt"
    run("-i", path, "-fps_mode", "passthrough", "-f", "framecrc", shown)
    frames = sum(not line.startswith("#") for line in shown.read_text().splitlines())
    assert frames == (30 if kind != "edit list" else frames) > 10
    assert inspect(path).frames == Reader(path).count_frames() == frames
    assert len(score(path, path)) == frames


@pytest.mark.parametrize("name", ["a.mkv", "a.webm", "a.mp4", "frag.mp4", "live.mkv", "a.avi", "a.ivf", "a.y4m", "a.ts",
                                  "a.flv", "a.ogv", "a.mxf", "a.wmv", "a.mov"])  # fmt: skip
@pytest.mark.parametrize("cut", [31, 0.3])
def test_a_file_without_its_end_is_refused_even_against_itself(
    name: str, cut: float, make_video: Make, tmp_path: Path
) -> None:
    codec = {"webm": ("-c:v", "libvpx-vp9"), "ivf": ("-c:v", "libvpx-vp9"), "y4m": (), "ogv": ("-c:v", "libtheora"),
             "mxf": ("-c:v", "mpeg2video"), "wmv": ("-c:v", "wmv2"), "avi": ("-c:v", "mpeg4", "-bf", "2")}  # fmt: skip
    extra: tuple[str, ...] = ("-movflags", "frag_keyframe+empty_moov", "-g", "6") if name == "frag.mp4" else ()
    extra = ("-movflags", "+faststart") if name == "a.mp4" else ("-live", "1") if name == "live.mkv" else extra
    words = codec.get(name.split(".")[1], X264)
    whole = make_video(f"whole-{name}", "160x120", 24, *words, *extra, "-pix_fmt", "yuv420p")
    assert inspect(whole).frames == 24
    data = whole.read_bytes()
    path = tmp_path / name
    path.write_bytes(data[: -int(cut if cut >= 1 else cut * len(data))])
    for read in (lambda: score(path, path), lambda: inspect(path)):
        with pytest.raises((IntegrityError, InputError), match=rf"{name} is (truncated|damaged|not a video)") as caught:
            read()
        if name in ("a.mkv", "a.mp4", "a.avi", "a.ivf") and cut < 1:
            assert "truncated: at least" in str(caught.value)


CODECS: dict[str, tuple[str, ...]] = {
    "ffv1.mkv": ("-c:v", "ffv1", "-slices", "4", "-level", "3"),
    "old.mkv": ("-c:v", "ffv1", "-level", "3", "-slicecrc", "1"),
    "avc.mp4": X264,
    "hevc.mkv": ("-c:v", "libx265", "-x265-params", "log-level=none"),
    "mpeg2.ts": ("-c:v", "mpeg2video", "-bf", "2"),
    "mpeg4.avi": ("-c:v", "mpeg4"),
    "vp8.webm": ("-c:v", "libvpx"),
    "jpeg.avi": ("-c:v", "mjpeg"),
    "prores.mov": ("-c:v", "prores_ks", "-pix_fmt", "yuv422p10le"),
}


@pytest.mark.parametrize("name", CODECS)
def test_damage_that_ffmpeg_reports_is_never_scored(name: str, make_video: Make, tmp_path: Path) -> None:
    """Single bits: what FFmpeg conceals and only reports."""
    words = CODECS[name]
    words = words if "-pix_fmt" in words else (*words, "-pix_fmt", "yuv420p")
    data = make_video(name, "96x64", 10, *words, source="testsrc").read_bytes()
    dice, reported = random.Random(name), 0
    for number in range(8):
        damaged = bytearray(data)
        damaged[dice.randrange(len(data) // 4, len(data) * 9 // 10)] ^= 1 << dice.randrange(8)
        path = tmp_path / f"{number}-{name}"
        path.write_bytes(damaged)
        if run("-i", path, "-f", "null", "-"):
            reported += 1
            with pytest.raises((IntegrityError, InputError), match=f"{number}-{name}"):
                score(path, path)
            with pytest.raises((IntegrityError, InputError), match=f"{number}-{name}"):
                inspect(path)
    assert reported or name in ("vp8.webm", "hevc.mkv")  # entropy coding without check sums: FFmpeg sees little itself


def test_damage_of_another_file_is_not_this_ones(make_video: Make, tmp_path: Path) -> None:
    """FFmpeg has one log for the process; decoders with threads speak in threads of their own."""
    whole = make_video("whole-ffv1.mkv", "96x64", 30, "-c:v", "ffv1", "-slices", "4", "-level", "3")
    data = bytearray(whole.read_bytes())
    data[len(data) // 2] ^= 1
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(data)
    results: dict[int, list[object]] = {threads: [] for threads in (1, 4)}

    def read(path: Path, threads: int) -> None:
        for _ in range(3):
            try:
                results[threads].append(sum(1 for _ in Reader(path).frames(threads=threads)))
            except IntegrityError as err:
                results[threads].append(str(err))

    before = av.logging.get_level(), av.logging.get_skip_repeated()
    threads = [Thread(target=read, args=(path, count)) for path in (whole, broken) for count in (1, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for answers in results.values():
        assert sorted(map(type, answers), key=str) == [int] * 3 + [str] * 3
        assert {answer for answer in answers if isinstance(answer, int)} == {30}
        assert all("broken.mkv is damaged" in str(a) and "CRC" in str(a) for a in answers if isinstance(a, str))
    assert (av.logging.get_level(), av.logging.get_skip_repeated()) == before


def test_transport_streams_may_be_joined_but_not_lack_packets(make_video: Make, tmp_path: Path) -> None:
    parts = [
        make_video(f"{n}.ts", "96x64", 20, "-c:v", "mpeg2video", "-g", "10", "-output_ts_offset", str(n))
        for n in (0, 3)
    ]
    one, other = (part.read_bytes() for part in parts)
    both = tmp_path / "both.ts"
    both.write_bytes(one + other + one)
    assert Reader(both).count_frames() == 60
    lost = tmp_path / "lost.ts"
    packets = [one[at : at + 188] for at in range(0, len(one), 188)]
    inside = [i for i, packet in enumerate(packets) if packet[1] & 0x5F == 1 and packet[2] == 0]
    for gone in inside[len(inside) // 2 : len(inside) // 2 + 3]:
        lost.write_bytes(b"".join(packet for i, packet in enumerate(packets) if i != gone))
        with pytest.raises(IntegrityError, match=r"lost\.ts is damaged"):
            score(lost, lost)


@pytest.mark.parametrize("codec", [X264, ("-c:v", "mpeg2video", "-bf", "2"), (*X264, "-x264-params", "open-gop=1"),
                                   ("-c:v", "libx265", "-x265-params", "log-level=none")])  # fmt: skip
def test_a_file_that_begins_inside_a_group_of_pictures(
    codec: tuple[str, ...], make_video: Make, tmp_path: Path
) -> None:
    data = make_video(f"group{codec[-1]}.ts", "96x64", 60, *codec, "-g", "20", "-pix_fmt", "yuv420p").read_bytes()
    path = tmp_path / "inside.ts"
    path.write_bytes(data[len(data) // 4 // 188 * 188 :])
    frames = Reader(path).count_frames()
    assert 0 < frames < 60
    scores = score(path, path)
    assert len(scores) == frames
    assert any("inside.ts begins in the middle of a group of pictures" in note for note in scores.notes)
    assert any(remark.startswith("begins in the middle") for remark in inspect(path).remarks)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mkv", X264), ("a.mp4", X264), ("a.ts", X264), ("a.264", X264), ("a.flv", X264), ("a.webm", ("-c:v", "libvpx-vp9")),
     ("b.mkv", ("-c:v", "libx265", "-x265-params", "log-level=none")), ("b.ts", ("-c:v", "mpeg2video", "-bf", "2"))],
)  # fmt: skip
def test_a_damaged_first_key_frame_is_not_a_file_that_begins_later(
    name: str, codec: tuple[str, ...], make_video: Make, tmp_path: Path
) -> None:
    """What FFmpeg's program complains of in the first picture, not only that it lacks others before."""
    whole = make_video(f"key-{name}", "96x64", 16, *codec, "-g", "8", "-pix_fmt", "yuv420p", source="testsrc")
    data, dice, told = whole.read_bytes(), random.Random(name), 0
    first = next(Reader(whole).packets())
    at = first.pos or data.index(bytes(first)[:64])
    for number in range(24):
        damaged = bytearray(data)
        start, length = at + dice.randrange(80), 1 << dice.randrange(8)
        damaged[start : start + length] = bytes(length) if number % 2 else dice.randbytes(length)
        path = tmp_path / f"{number}-{name}"
        path.write_bytes(damaged)
        # Headers that cannot be read are as good as headers before the first byte.
        lost = (
            r"ref(erence)?s? |RPS|[VSP]PS|sps_id|frame dimensions|keyframe|no frame|OBU|NAL unit #|slice_header|muxer"
            r"|Error submitting|Last message"
        )
        complaints = [line for line in run("-i", path, "-map", "0:v:0", "-f", "null", "-").splitlines() if line]
        if not [line for line in complaints if not re.search(lost, line)]:
            continue
        told += 1
        with pytest.raises((IntegrityError, InputError), match=f"{number}-{name}"):
            Reader(path).count_frames()
    assert told


@pytest.mark.parametrize("codec", ["libx265", "libvvenc", "libvpx-vp9"])
def test_a_cut_without_a_key_frame_is_refused_for_that(codec: str, make_video: Make, tmp_path: Path) -> None:
    options = {"libx265": ("-x265-params", "log-level=none"), "libvvenc": ("-qp", "40", "-preset", "faster")}
    depth = "yuv420p10le" if codec == "libvvenc" else "yuv420p"
    whole = make_video(
        f"{codec}.mp4", "64x48", 12, "-c:v", codec, *options.get(codec, ()), "-g", "16", "-pix_fmt", depth
    )
    path = tmp_path / "tail.mkv"
    run("-i", whole, "-c", "copy", "-bsf:v", "noise=drop='lt(n,5)'", path)
    with pytest.raises(InputError, match=r"tail\.mkv holds no key frame, .* 7 coded pictures .* -ss before -i"):
        Reader(path)


def test_a_stated_length_that_lies_is_not_believed(make_video: Make, tmp_path: Path) -> None:
    data = make_video("honest.mkv", "64x48", 12, *X264).read_bytes()
    at = data.rindex(b"DURATION")
    start = data.index(b":", at) - 2
    path = tmp_path / "long.mkv"
    path.write_bytes(data[:start] + b"99999999:00:00.000" + data[start + 18 :])
    assert Reader(path).stated_frames is None
    assert inspect(path).frames == len(score(path, path)) == 12


def test_pictures_that_ffmpeg_does_not_decode_are_not_called_damaged(make_video: Make) -> None:
    with pytest.raises(InputError, match=r"moving\.webp holds pictures of a kind that FFmpeg does not decode"):
        Reader(make_video("moving.webp", "64x48", 3, "-c:v", "libwebp"))


def test_transparency_that_a_decoder_leaves_out_is_named(make_video: Make) -> None:
    path = make_video("alpha.webm", "64x48", 3, "-c:v", "libvpx", "-pix_fmt", "yuva420p", "-auto-alt-ref", "0")
    assert any("alpha.webm has transparency" in note for note in score(path, path).notes)
