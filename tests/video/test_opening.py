"""Opening of files: as this very file, and at the stream that a player shows."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pyvmaf.errors import InputError, PyvmafError
from pyvmaf.scoring.score import score
from pyvmaf.video.ffmpeg import ffmpeg
from pyvmaf.video.probe import inspect
from pyvmaf.video.reader import Reader

Make = Callable[..., Path]
REPORTS = Path(__file__).parents[3] / "shared" / "data" / "reports"


def join(target: Path, *words: str | Path | int) -> Path:
    """Write a file with FFmpeg."""
    command = [str(ffmpeg().path), "-nostdin", "-v", "error", "-y", *map(str, words), str(target)]
    subprocess.run(command, check=True)
    return target


@pytest.fixture
def film(make_video: Make) -> Path:
    return make_video("film.mp4", "64x48", 5)


@pytest.fixture
def cover(make_video: Make) -> Path:
    return make_video("cover.jpg", "200x200", 1, "-pix_fmt", "yuvj420p")


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_cover_is_never_taken_for_the_video(film: Path, cover: Path, tmp_path: Path, suffix: str) -> None:
    if suffix == "mp4":
        both = join(tmp_path / "c.mp4", "-i", film, "-i", cover, "-map", 1, "-map", 0, "-c", "copy",
                    "-disposition:v:0", "attached_pic")  # fmt: skip
    else:
        both = join(tmp_path / "c.mkv", "-i", film, "-map", 0, "-c", "copy", "-attach", cover,
                    "-metadata:s:t", "mimetype=image/jpeg", "-metadata:s:t", "filename=cover.jpg")  # fmt: skip
    reader = Reader(both)
    assert (reader.coded.size, reader.stream.count, reader.stream.notice) == ("64x48", 2, "")
    assert reader.count_frames() == reader.count_packets() == inspect(both).frames == 5
    chosen = Reader(both, stream=1 - reader.index)
    assert (chosen.coded.size, chosen.count_frames()) == ("200x200", 1)
    assert ("stream" in reader.identity()) == (reader.index > 0)


def test_a_picture_track_without_a_mark_is_not_the_video(film: Path, cover: Path, tmp_path: Path) -> None:
    both = join(tmp_path / "c.mov", "-i", cover, "-i", film, "-map", 0, "-map", 1, "-c", "copy",
                "-disposition:v:0", "default", "-disposition:v:1", "0")  # fmt: skip
    assert (Reader(both).coded.size, Reader(both).count_frames()) == ("64x48", 5)


def test_a_song_with_a_cover_has_no_video(cover: Path, tmp_path: Path) -> None:
    song = join(tmp_path / "song.mp3", "-f", "lavfi", "-i", "sine=d=0.2", "-i", cover, "-map", 0, "-map", 1,
                "-c:a", "libmp3lame", "-c:v", "copy", "-disposition:v", "attached_pic")  # fmt: skip
    with pytest.raises(InputError, match=r"song\.mp3 has no video stream, only cover pictures and audio"):
        Reader(song)


@pytest.mark.parametrize("default", [None, 0, 1])
def test_which_of_several_videos_is_read(make_video: Make, film: Path, tmp_path: Path, default: int | None) -> None:
    preview = make_video("preview.mkv", "48x36", 3)
    marks = [word for i in (0, 1) for word in (f"-disposition:v:{i}", "default" if i == default else "0")]
    both = join(tmp_path / "both.mp4", "-i", preview, "-i", film, "-map", 0, "-map", 1, "-c", "copy", *marks)
    # FFmpeg's program, told nothing, writes the stream that it prefers.
    preferred = Reader(join(tmp_path / "alone.mkv", "-i", both, "-c", "copy"))
    reader = Reader(both)
    assert reader.coded.size == preferred.coded.size
    assert reader.stream.notice == (
        f"{both} has the video streams 0 (h264 48x36), 1 (h264 64x48): stream {reader.index} is read "
        "(--stream chooses another)"
    )
    scores = score(both, both)
    assert (len(scores), scores.notes) == (5 if reader.index else 3, [reader.stream.notice])
    assert [len(score(both, both, stream=number)) for number in (0, 1)] == [3, 5]
    assert len(score(both, film, stream=1)) == 5
    with pytest.raises(InputError, match=r"^sizes differ: .* stream [01] is read \(--stream chooses another\)$"):
        score(both, preview if reader.index else film)
    assert score(both, film, stream=1)["vmaf"].min() == score(film, film)["vmaf"].min()
    with pytest.raises(InputError, match=r"both\.mp4 does not have video stream 2: it has 0 \(h264 48x36\), 1"):
        Reader(both, stream=2)


def test_the_reported_file(tmp_path: Path) -> None:
    if not REPORTS.is_dir():
        pytest.skip("../shared/data/reports is absent")
    scores = score(REPORTS / "art_first.mp4", REPORTS / "art_first_dis.mp4")
    assert len(scores) == 12
    assert scores["vmaf"].mean() == pytest.approx(81.44, abs=0.01)


NAMES = ("a:b.mkv", "12:30 clip.mkv", "file:x.mkv", "subfile,,start,0,end,9,,:x.mkv", "concat:x.mkv|y.mkv", "-x.mkv",
         "http:x.mkv", "s_%03d.mkv", "data:,x.mkv", "a\nb.mkv", "~.mkv", "$(x).mkv", "pipe:0", "fd:",
         os.fsdecode(b"caf\xe9.mkv"))  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_a_file(name: str, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative names in the working folder; a file that the name could be taken for lies beside it."""
    from pyvmaf.encodes.distortion import Reference
    from pyvmaf.encodes.transcode import transcode

    monkeypatch.chdir(tmp_path)
    Path("x.mkv").write_bytes(b"not a video")
    shutil.copy(film, tmp_path / name)
    path = Path(name)
    assert inspect(path).frames == Reader(name).count_frames() == 5
    output = Path(f"{name}.out")
    transcode(Reference(path, inspect(path)), output, ["-c:v", "ffv1"], "yuv420p", tool=ffmpeg(), what="copy the clip")
    assert inspect(output).frames == 5


@pytest.mark.parametrize("name", ["s_%d.png", "s_%02d.jpg", "s_*.png", "s_?.jpg", "s{1,2}.png"])
def test_a_picture_with_a_pattern_for_a_name_is_that_picture(make_video: Make, tmp_path: Path, name: str) -> None:
    for other in ("s_1.png", "s_01.jpg", "s1.png"):
        shutil.copy(
            make_video(f"o{Path(other).suffix}", "96x96", 1, "-update", "1", "-pix_fmt", "gray"), tmp_path / other
        )
    still = make_video(f"still{Path(name).suffix}", "64x48", 1, "-update", "1", "-pix_fmt", "gray")
    shutil.copy(still, tmp_path / name)
    assert Reader(tmp_path / name).coded.size == "64x48"


SCRIPTS = {
    "list.mkv": ("ffconcat version 1.0\nfile film.mp4\n", "an ffconcat script, not a video"),
    "list.m3u8": ("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\nfilm.mp4\n#EXT-X-ENDLIST\n", "an HLS playlist"),
    "list.mpd": ('<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="x"></MPD>\n',
                 "(a DASH manifest|not a video)"),
    "list.sdp": ("v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
                 "a=rtpmap:96 H264/90000\n", "an SDP description of a network stream"),
    "notes.nfo": ("film.mp4\n" * 40, "text, not a video"),
    "list.pls": ("[playlist]\nFile1=film.mp4\n", "no video stream"),
}  # fmt: skip


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_list_of_other_files_is_not_a_video(name: str, film: Path, tmp_path: Path) -> None:
    text, words = SCRIPTS[name]
    shutil.copy(film, tmp_path / "film.mp4")
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=f"{name} (is|has) {words}"):
        Reader(tmp_path / name)


def test_a_header_that_ffmpeg_does_not_read_is_refused_in_its_words(make_video: Make, tmp_path: Path) -> None:
    head, line, frames = make_video("plain.y4m", "64x48", 3, "-pix_fmt", "yuv420p").read_bytes().partition(b"\n")
    path = tmp_path / "head.y4m"
    # The longest line that is read.
    path.write_bytes(head + b" X" + b"a" * (125 - len(head)) + line + frames)
    assert Reader(path).count_frames() == 3
    path.write_bytes(head + b" X" + b"a" * 200 + line + frames)
    with pytest.raises(InputError, match=r"head\.y4m .*Header too large.*longer than 127 characters: leave out fields"):
        Reader(path)
    path.write_bytes(head.replace(b" C420", b" C4:1:1 X420") + line + frames)
    with pytest.raises(InputError, match=r"head\.y4m .*unknown pixel format"):
        Reader(path)
    film = make_video("film.mp4", "64x48", 5).read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(film[: film.index(b"moov")])
    with pytest.raises(InputError, match=r"cut\.mp4 .*moov atom not found"):
        Reader(cut)


@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "folder", "loop"])
def test_what_is_no_file_is_refused_for_what_it_is(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x.y4m"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.path.relpath(path))
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(path)
    words = {"pipe": "a pipe, which can be read only once, .* save it to a file first", "loop": "cannot be read"}
    with pytest.raises(PyvmafError, match=rf"x\.y4m .*{words.get(kind, kind)}"):
        Reader(path)


def test_tags_in_any_encoding_and_unknown_codecs(make_video: Make, film: Path, tmp_path: Path) -> None:
    data = make_video("t.avi", "64x48", 3, "-c:v", "ffv1", "-metadata", "title=Stra_e").read_bytes()
    latin = tmp_path / "latin1.avi"
    latin.write_bytes(data.replace(b"Stra_e", b"Stra\xdfe"))
    assert inspect(latin).frames == 3
    data = film.read_bytes()
    start = data.index(b"avc1", data.index(b"stsd"))
    unknown = tmp_path / "unknown.mp4"
    unknown.write_bytes(data[:start] + b"zzzz" + data[start + 4 :])
    with pytest.raises(InputError, match=r"compressed as none \(zzzz / 0x7A7A7A7A\), which FFmpeg cannot decode"):
        Reader(unknown)


@pytest.mark.parametrize(
    ("pattern", "first"), [("s_%02d.png", 1), ("s_%d.png", 98), ("%04d.jpg", 0), ("a%%b_%03d.png", 7)]
)
def test_numbered_pictures_are_a_video(pattern: str, first: int, make_video: Make, tmp_path: Path) -> None:
    film = make_video("numbered.mkv", "64x48", 5, "-c:v", "ffv1", "-pix_fmt", "gray", source="testsrc")
    folder = tmp_path / "with % and %02d"
    folder.mkdir()
    options = (
        ("-start_number", first, "-pix_fmt", "yuvj420p", "-q:v", 2)
        if pattern.endswith("jpg")
        else ("-start_number", first)
    )
    for number in range(5):
        name = pattern.replace("%%", "%") if "%%" in pattern else pattern
        name = name[: name.rindex("%")] + (name[name.rindex("%") :] % (first + number))
        join(folder / "one.png", "-i", film, "-vf", f"select=eq(n\\,{number})", "-frames:v", 1, "-update", 1)
        join(folder / "one.jpg", "-i", folder / "one.png", *options[2:], "-update", 1)
        (folder / f"one{Path(name).suffix}").rename(folder / name)
    path = folder / pattern.replace("%%", "%")
    reader = Reader(path, fps="24000/1001")
    assert reader.count_frames() == reader.count_packets() == reader.stated_frames == 5
    assert reader.coded.fps == "24000/1001"
    if pattern.endswith("png"):
        assert all(np.array_equal(a, b) for (a,), (b,) in zip(reader.planes(), Reader(film).planes(), strict=True))
    scores = score(path, path, fps="24000/1001")
    assert (len(scores), scores.notes) == (5, [])
    before = reader.identity()
    pictures = sorted(
        set(folder.iterdir()) - {folder / "one.png", folder / "one.jpg"}, key=lambda file: (len(file.name), file.name)
    )
    assert len(pictures) == 5
    shutil.copy(pictures[0], pictures[1])
    assert Reader(path).identity() != before
    pictures[2].unlink()
    with pytest.raises(
        InputError, match=rf"stands for 4 pictures from number {first} to {first + 4}, but number .* missing"
    ):
        Reader(path)
    for picture in pictures[:2] + pictures[3:]:
        picture.unlink()
    with pytest.raises(InputError, match=r"no such file: .* and no pictures that are numbered like it"):
        Reader(path)
