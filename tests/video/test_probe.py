from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pyvmaf.errors import InputError, IntegrityError, MissingFileError
from pyvmaf.video.ffmpeg import ffmpeg
from pyvmaf.video.format import Format
from pyvmaf.video.probe import Video, inspect
from pyvmaf.video.reader import Reader

Make = Callable[..., Path]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mkv", ("-c:v", "libx264", "-pix_fmt", "yuv420p")),
        ("a.mp4", ("-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-x265-params", "log-level=none")),
        ("a.webm", ("-c:v", "libvpx-vp9", "-pix_fmt", "yuv444p")),
        ("a.y4m", ("-pix_fmt", "yuv422p")),
        ("a.264", ("-c:v", "libx264", "-pix_fmt", "yuv420p")),
    ],
)
def test_every_kind_of_file_is_counted(make_video: Make, name: str, options: tuple[str, ...]) -> None:
    path = make_video(name, "64x48", 17, *options)
    video = inspect(path)
    assert video.frames == 17
    assert (video.format.width, video.format.height) == (64, 48)
    assert video.format.pix_fmt == options[options.index("-pix_fmt") + 1]
    assert video.format.fps == "25"
    assert video.seconds == pytest.approx(0.68)
    assert Video.from_dict(video.as_dict()) == video
    assert list(video.as_dict()) == [
        *("width", "height", "pix_fmt", "chroma", "bit_depth", "fps", "codec", "container"),
        *("transfer", "primaries", "frames", "shots", "colour", "interlaced", "field_order", "remarks"),
    ]


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libsvtav1", "libvvenc", "libvpx-vp9"])
def test_counting_packets_equals_counting_decoded_frames(make_video: Make, codec: str) -> None:
    # Hidden reference frames of AV1 and VP9 share a packet with a shown one.
    pix_fmt = "yuv420p10le" if codec == "libvvenc" else "yuv420p"
    path = make_video(f"{codec}.mkv", "96x64", 45, "-c:v", codec, "-pix_fmt", pix_fmt)
    assert Reader(path).count_packets() == inspect(path).frames == 45


def test_files_that_are_not_videos(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"no such file: .*none\.mkv"):
        inspect(tmp_path / "none.mkv")
    with pytest.raises(InputError, match="is a folder, not a video"):
        inspect(tmp_path)
    path = tmp_path / "text.mkv"
    path.write_text("hello\n")
    with pytest.raises(InputError, match=r"text\.mkv is not a video that FFmpeg can read"):
        inspect(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"text\.mkv is empty"):
        inspect(path)
    sound = tmp_path / "sound.mkv"
    command = [str(ffmpeg().path), "-v", "error", "-f", "lavfi", "-i", "sine=duration=0.2", str(sound)]
    subprocess.run(command, check=True)
    with pytest.raises(InputError, match=r"sound\.mkv has no video stream, only audio"):
        inspect(sound)


def test_no_frames(make_video: Make) -> None:
    path = make_video("empty.y4m", "64x48", 1, "-pix_fmt", "yuv420p")
    header = path.read_bytes().split(b"FRAME")[0]
    path.write_bytes(header)
    with pytest.raises(InputError, match=r"empty\.y4m"):
        inspect(path)


@pytest.mark.parametrize("name", ["t.mp4", "t.mkv"])
@pytest.mark.parametrize("part", [0.9, 0.5])
def test_truncated_videos(tmp_path: Path, make_video: Make, name: str, part: float) -> None:
    whole = make_video(name, "64x48", 100, "-pix_fmt", "yuv420p", "-qp", "0", "-movflags", "+faststart").read_bytes()
    path = tmp_path / name
    path.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(IntegrityError, match=rf"{name}.*truncated"):
        inspect(path)


def test_a_truncated_mp4_without_its_index_is_not_a_video(tmp_path: Path, make_video: Make) -> None:
    whole = make_video("index.mp4", "64x48", 100, "-pix_fmt", "yuv420p").read_bytes()
    path = tmp_path / "index.mp4"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"index\.mp4 is not a video"):
        inspect(path)


def test_a_damaged_video(tmp_path: Path, make_video: Make) -> None:
    whole = make_video("d.mkv", "128x96", 50, "-pix_fmt", "yuv420p", "-crf", "5")
    assert inspect(whole).frames == 50
    data = bytearray(whole.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = hashlib.shake_128(b"noise").digest(2000)
    path = tmp_path / "d.mkv"
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match=r"d\.mkv"):
        inspect(path)


def test_raw_files_need_their_format_and_the_right_one(make_video: Make) -> None:
    path = make_video("r.yuv", "64x48", 5, "-pix_fmt", "yuv420p", "-f", "rawvideo")
    with pytest.raises(InputError, match="does not state its size: give --size WxH"):
        inspect(path)
    assert inspect(path, Format(64, 48, "yuv420p")).frames == 5
    with pytest.raises(InputError, match=r"has 23040 bytes, which is 4\.571 frames of 70x48 yuv420p \(5040 bytes"):
        inspect(path, Format(70, 48, "yuv420p"))
    with pytest.raises(InputError, match=r"2\.500 frames of 64x48 yuv420p10le"):
        inspect(path, Format(64, 48, "yuv420p10le"))


def test_a_video_that_changes_its_size(make_video: Make, tmp_path: Path) -> None:
    one = make_video("one.h264", "64x48", 5, "-pix_fmt", "yuv420p")
    two = make_video("two.h264", "96x64", 5, "-pix_fmt", "yuv420p")
    path = tmp_path / "both.h264"
    path.write_bytes(one.read_bytes() + two.read_bytes())
    with pytest.raises(InputError, match="changes its size from 64x48 to 96x64 at frame 5"):
        inspect(path)


def test_the_picture_is_the_first_video_stream(embedded_files: dict[str, Path]) -> None:
    # This file also carries sound.
    reader = Reader(embedded_files["bigbuckbunny.mp4"])
    assert (reader.stream.codec, reader.stated_frames) == ("h264", 132)


def test_hdr_videos_state_transfer_and_primaries_and_others_do_not(make_video: Make) -> None:
    colours = "colorprim={}:transfer={}:colormatrix=bt2020nc:log-level=none"
    options = ("-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-x265-params")
    facts = inspect(make_video("hdr.mkv", "64x48", 3, *options, colours.format("bt2020", "smpte2084"))).as_dict()
    assert (facts["transfer"], facts["primaries"]) == ("smpte2084", "bt2020")
    facts = inspect(make_video("sdr.mkv", "64x48", 3, *options, colours.format("bt709", "bt709"))).as_dict()
    assert (facts["transfer"], facts["primaries"]) == ("", "")
