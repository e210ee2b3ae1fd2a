"""Planes as players show them: cropped as the container asks, turned and mirrored; against FFmpeg, which does the same."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pyvmaf.errors import InputError
from pyvmaf.video.ffmpeg import ffmpeg
from pyvmaf.video.format import Crop, Format
from pyvmaf.video.presentation import Presentation, Turn
from pyvmaf.video.reader import Reader
from pyvmaf.video.tensors import Picture, tensors

Make = Callable[..., Path]

TURNS = {
    "none": (),
    "left": ("-display_rotation:v:0", "90"),
    "over": ("-display_rotation:v:0", "180"),
    "right": ("-display_rotation:v:0", "270"),
    "mirrored": ("-display_hflip:v:0",),
    "upside down": ("-display_vflip:v:0",),
    "left and mirrored": ("-display_rotation:v:0", "90", "-display_hflip:v:0"),
    "right and mirrored": ("-display_rotation:v:0", "270", "-display_hflip:v:0"),
}
"""Options of FFmpeg before an input that is copied."""


def remux(path: Path, target: Path, before: tuple[str, ...], *options: str) -> Path:
    command = [str(ffmpeg().path), "-v", "error", "-y", *before, "-i", str(path), "-c", "copy", *options, str(target)]
    subprocess.run(command, check=True)
    return target


def shown_by_ffmpeg(path: Path, *options: str) -> bytes:
    """The samples of all frames after FFmpeg has cropped and turned them by itself."""
    command = [str(ffmpeg().path), "-v", "error", "-i", str(path), *options, "-f", "rawvideo", "-"]
    return subprocess.run(command, capture_output=True, check=True).stdout


def samples(reader: Reader) -> bytes:
    return b"".join(plane.tobytes() for frame in reader.planes() for plane in frame)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p10le", "gray"])
@pytest.mark.parametrize("turn", TURNS)
def test_turned_pictures_are_those_of_ffmpeg(make_video: Make, tmp_path: Path, turn: str, pix_fmt: str) -> None:
    path = make_video(f"turn-{pix_fmt}.mp4", "64x48", 3, "-c:v", "libx264", "-qp", "0", "-pix_fmt", pix_fmt)
    reader = Reader(remux(path, tmp_path / "turned.mp4", TURNS[turn]))
    assert reader.format.size == ("48x64" if "left" in turn or "right" in turn else "64x48")
    assert samples(reader) == shown_by_ffmpeg(reader.path, "-pix_fmt", reader.format.pix_fmt)
    assert reader.presentation.plain == (turn == "none") == ("shown" not in reader.identity())
    # The filters do the same where FFmpeg is told not to turn frames.
    chain = ",".join(reader.presentation.filters(reader.coded) or ["null"])
    command = [str(ffmpeg().path), "-v", "error", "-noautorotate", "-i", str(reader.path), "-vf", chain]
    command += ["-pix_fmt", reader.format.pix_fmt, "-f", "rawvideo", "-"]
    assert subprocess.run(command, capture_output=True, check=True).stdout == samples(reader)


def test_an_orientation_that_the_stream_states_once_is_that_of_all_pictures(make_video: Make, tmp_path: Path) -> None:
    """H.264 has it in a message before the first picture."""
    path = make_video("turn-yuv420p.mp4", "64x48", 3, "-c:v", "libx264", "-qp", "0", "-pix_fmt", "yuv420p")
    insert = ("-bsf:v", "h264_metadata=display_orientation=insert:rotate=90")
    stated = Reader(remux(path, tmp_path / "stated.mp4", (), *insert))
    turned = Reader(remux(path, tmp_path / "turned.mp4", TURNS["left"]))
    assert stated.presentation == turned.presentation
    assert samples(stated) == samples(turned)


def test_turned_pictures_are_scaled_after_the_turn(make_video: Make, tmp_path: Path) -> None:
    path = make_video("turn-yuv420p.mp4", "64x48", 3, "-c:v", "libx264", "-qp", "0", "-pix_fmt", "yuv420p")
    reader = Reader(remux(path, tmp_path / "turned.mp4", TURNS["left"]), size=(96, 128))
    upright = tmp_path / "upright.mkv"
    subprocess.run([str(ffmpeg().path), "-v", "error", "-i", str(reader.path), "-qp", "0", str(upright)], check=True)
    assert Reader(upright).presentation.plain
    assert samples(reader) == samples(Reader(upright, size=(96, 128)))


# EBML identifiers of the edges' elements, each with a value of one byte.
EDGES = {"top": "54bb", "bottom": "54aa", "left": "54cc", "right": "54dd"}


@pytest.mark.parametrize(
    "edges",
    [{"top": 4, "bottom": 8}, {"left": 2, "right": 6}, {"top": 1, "left": 3}, {"bottom": 5, "right": 1}],
    ids=lambda edges: " ".join(edges),
)
def test_the_crop_of_a_container_is_that_of_ffmpeg(make_video: Make, tmp_path: Path, edges: dict[str, int]) -> None:
    """Also where the edges do not fall on whole chroma samples.

    FFmpeg writes the display size of an anamorphic video; its bytes are made into crops at two edges.
    """
    path = make_video("sar.mkv", "64x48", 3, "-c:v", "libx264", "-qp", "0", "-pix_fmt", "yuv420p", "-vf", "setsar=2")
    display, crop = "54b0810854ba8103", "".join(f"{EDGES[edge]}81{count:02x}" for edge, count in edges.items())
    cropped = tmp_path / "cropped.mkv"
    cropped.write_bytes(path.read_bytes().replace(bytes.fromhex(display), bytes.fromhex(crop)))
    reader = Reader(cropped)
    assert reader.stream.crop == Crop(**edges)
    assert reader.coded.size == "64x48" != reader.format.size
    assert samples(reader) == shown_by_ffmpeg(cropped)
    chain = ",".join(reader.presentation.filters(reader.coded))
    assert shown_by_ffmpeg(cropped, "-vf", chain) == samples(reader)
    # An FFmpeg that does not know about the crop gets there, too.
    assert shown_by_ffmpeg(path, "-vf", chain) == samples(reader)


@pytest.mark.parametrize("right_down", [((0, 1), (0, 1)), ((-10, 1), (5, 1)), ((1, 2), (-1, 2)), ((0, 1), (-4, 1))])
def test_the_clean_aperture_of_mp4_is_that_of_ffmpeg(
    make_video: Make, tmp_path: Path, right_down: tuple[tuple[int, int], tuple[int, int]]
) -> None:
    """The centre of the picture moves to the right and down by fractions of a sample."""
    path = make_video("clap.mp4", "64x48", 2, "-c:v", "libx264", "-qp", "0", "-pix_fmt", "yuv420p")
    data = path.read_bytes()
    box = struct.pack(">I4s8i", 40, b"clap", 40, 1, 32, 1, *right_down[0], *right_down[1])
    grown, start = bytearray(data), 0
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"):
        start = data.index(name, start)
        struct.pack_into(">I", grown, start - 4, struct.unpack_from(">I", data, start - 4)[0] + len(box))
    end = start - 4 + struct.unpack_from(">I", data, start - 4)[0]
    cropped = tmp_path / "cropped.mp4"
    cropped.write_bytes(bytes(grown[:end]) + box + bytes(grown[end:]))
    reader = Reader(cropped)
    assert reader.format.size == "40x32"
    assert samples(reader) == shown_by_ffmpeg(cropped)


@pytest.mark.parametrize(
    ("codec", "filters"),
    [
        (("-c:v", "libx264"), "h264_metadata=crop_left=10:crop_right=6:crop_top=4"),
        (("-c:v", "libx265", "-x265-params", "log-level=none"), "hevc_metadata=crop_left=2:crop_bottom=8"),
    ],
    ids=["avc", "hevc"],
)
def test_the_crop_of_a_codec_is_that_of_ffmpeg(
    make_video: Make, tmp_path: Path, codec: tuple[str, ...], filters: str
) -> None:
    """Also at the left edge, where decoders round it to what is aligned in memory unless they are told not to."""
    path = make_video(f"uncropped{codec[1]}.mp4", "96x64", 3, *codec, "-pix_fmt", "yuv420p")
    reader = Reader(remux(path, tmp_path / "cropped.mp4", (), "-bsf:v", filters))
    assert reader.format.width == {"libx264": 80, "libx265": 94}[codec[1]]
    assert samples(reader) == shown_by_ffmpeg(reader.path)


def test_networks_get_pictures_as_they_are_shown(make_video: Make, tmp_path: Path) -> None:
    path = make_video("turn-yuv420p.mp4", "64x48", 3, "-c:v", "libx264", "-qp", "0", "-pix_fmt", "yuv420p")
    turned = remux(path, tmp_path / "turned.mp4", TURNS["left and mirrored"])
    picture = Picture(crop=(40, 24), values=None)
    (pictures,) = tensors(Reader(turned), picture)
    upright = tmp_path / "upright.mkv"
    subprocess.run([str(ffmpeg().path), "-v", "error", "-i", str(turned), "-qp", "0", str(upright)], check=True)
    (expected,) = tensors(Reader(upright), picture)
    assert np.array_equal(pictures, expected)


def test_other_angles_are_refused(make_video: Make, tmp_path: Path) -> None:
    path = make_video("turn-yuv420p.mp4", "64x48", 3, "-c:v", "libx264", "-qp", "0", "-pix_fmt", "yuv420p")
    reader = Reader(remux(path, tmp_path / "turned.mp4", ("-display_rotation:v:0", "30")))
    with pytest.raises(InputError, match=r"turned.mp4 cannot be shown as players do: .* turns it by 30 degrees"):
        _ = reader.format
    # As FFmpeg does: an angle off by less than a degree is none, and a matrix of zeros says nothing.
    assert Turn.of_matrix(struct.pack("=9i", 65526, -1144, 0, 1144, 65526, 0, 0, 0, 1 << 30)) == Turn()
    assert Turn.of_matrix(bytes(36)) == Turn()


def test_a_turn_that_no_chroma_layout_has_is_refused(make_video: Make, tmp_path: Path) -> None:
    path = make_video("turn-422.mp4", "64x48", 2, "-c:v", "libx264", "-qp", "0", "-pix_fmt", "yuv422p")
    with pytest.raises(InputError, match=r"turned.mp4 .* half the samples in one direction only \(yuv422p\)"):
        _ = Reader(remux(path, tmp_path / "turned.mp4", TURNS["left"])).format
    over = Reader(remux(path, tmp_path / "over.mp4", TURNS["over"]))
    assert samples(over) == shown_by_ffmpeg(over.path)


def test_a_crop_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="64x48 by cropped by 30 at the top, 18 at the bottom"):
        Presentation(Crop(30, 18, 0, 0)).format(Format(64, 48, "yuv420p"))


def test_planes_are_views(make_video: Make) -> None:
    planes = tuple(np.zeros(size, np.uint8) for size in Format(64, 48, "yuv420p").plane_sizes())
    shown = Presentation(Crop(4, 4, 0, 0), Turn(True, True, False)).apply(planes, Format(64, 48, "yuv420p"))
    assert all(np.shares_memory(view, plane) for view, plane in zip(shown, planes, strict=True))
    assert [view.shape for view in shown] == [(64, 40), (32, 20), (32, 20)]
