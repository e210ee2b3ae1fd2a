from __future__ import annotations

import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import pytest

from pyvmaf.errors import InputError
from pyvmaf.video.ffmpeg import ffmpeg
from pyvmaf.video.format import PLANAR, Colour, Crop, Format, parse_size
from pyvmaf.video.layouts import pixel_layout
from pyvmaf.video.reader import Reader

Make = Callable[..., Path]


@pytest.mark.parametrize(
    ("pix_fmt", "chroma", "bits"),
    [
        *(("yuv420p", "420", 8), ("yuv422p10le", "422", 10), ("yuv444p12le", "444", 12), ("yuvj420p", "420", 8)),
        *(("gray", "400", 8), ("gray10le", "400", 10), ("gbrp", "rgb", 8), ("bgr0", "rgb", 8), ("nv12", "420", 8)),
    ],
)
def test_pixel_layouts(pix_fmt: str, chroma: str, bits: int) -> None:
    assert pixel_layout(pix_fmt) == (chroma, bits)


@pytest.mark.parametrize("pix_fmt", PLANAR)
def test_the_table_of_planar_formats_agrees_with_ffmpeg(pix_fmt: str) -> None:
    chroma, bits = PLANAR[pix_fmt]
    form = Format(65, 49, pix_fmt)
    frame = av.VideoFrame(65, 49, pix_fmt)
    assert form.plane_sizes() == [(plane.height, plane.width) for plane in frame.planes]
    assert [part.bits for part in frame.format.components] == [bits] * len(form.plane_sizes())
    assert form.frame_bytes == sum(h * w for h, w in form.plane_sizes()) * (1 if bits == 8 else 2)
    assert Format.planar(65, 49, chroma, bits) == form == form.measurable
    assert form.native == (65, 49, chroma, bits)


def test_formats_that_are_rearranged_or_refused() -> None:
    assert [getattr(Format(8, 8, name).measurable, "pix_fmt", None) for name in ("yuvj422p", "nv12", "p010le")] == [
        "yuv422p",
        "yuv420p",
        "yuv420p10le",
    ]
    assert Format(8, 8, "grayf32le").measurable is Format(8, 8, "yuva420p").measurable is None
    with pytest.raises(InputError, match=r"unknown pixel format 'yuv421p': did you mean 'yuv422p'\?"):
        Format.parse("64x48", "yuv421p")
    with pytest.raises(InputError, match="unknown chroma layout '421'"):
        Format.planar(8, 8, "421", 8)
    with pytest.raises(InputError, match="8, 10, 12 or 16 bits, not 9"):
        Format.planar(8, 8, "420", 9)


def test_chroma_steps_and_even_sizes() -> None:
    assert [Format(8, 8, name).chroma_step for name in ("yuv420p", "yuv422p", "yuv444p", "gray")] == [
        *((2, 2), (2, 1), (1, 1), (1, 1))
    ]
    assert [Format(64, 49, name).even for name in ("yuv420p", "yuv422p")] == [False, True]
    assert [Format(8, 8, name).plain for name in ("yuv420p", "yuv444p10le", "yuvj420p", "yuv420p12le", "gray")] == [
        *(True, True, False, False, False)
    ]


@pytest.mark.parametrize("text", ["640", "640x", "0x10", "a640x360", "640x360\n", "²x3", ""])
def test_sizes_that_are_not_understood(text: str) -> None:
    with pytest.raises(InputError, match="a size is written WxH, for example 1280x720"):
        parse_size(text)


def test_sizes_and_rates() -> None:
    assert parse_size("640x360") == (640, 360)
    assert Format.parse("640x360", fps="30000/1001") == Format(640, 360, "yuv420p", Fraction(30000, 1001))
    assert (Format.parse("640x360").fps, Format.parse("640x360", fps="50/2").fps) == ("25", "25")
    for fps in ("0", "-1", "fast", "1/0"):
        with pytest.raises(InputError, match="frames per second are a positive fraction"):
            Format.parse("640x360", fps=fps)


def convert(source: Path, name: str, *options: str, before: tuple[str, ...] = ()) -> Path:
    target = source.with_name(name)
    subprocess.run(
        [str(ffmpeg().path), "-v", "error", "-y", *before, "-i", str(source), *options, str(target)], check=True
    )
    return target


def test_a_file_is_described_by_what_it_states(make_video: Make) -> None:
    colours = "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:range=limited:log-level=none"
    path = make_video("d.mkv", "64x48", 3, *("-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-x265-params", colours))
    stream = Reader(path).stream
    assert (stream.codec, stream.container) == ("hevc", "matroska,webm")
    assert stream.colour == Colour("tv", "bt2020nc", "smpte2084", "bt2020")
    assert stream.colour.hdr
    assert (stream.rotation, stream.crop, stream.field_order) == (0.0, Crop(), "progressive")
    assert (stream.index, stream.count) == (0, 1)


def test_nothing_is_stated(make_video: Make) -> None:
    stream = Reader(make_video("n.y4m", "64x48", 2, "-pix_fmt", "gray")).stream
    assert stream.colour == Colour(range=stream.colour.range)
    assert (stream.sample_aspect, stream.default) == (Fraction(1), None)
    assert not stream.colour.hdr


def test_rotation_sample_aspect_and_fields(make_video: Make) -> None:
    path = make_video(
        "upright.mkv", "64x48", 3, *("-c:v", "libx264", "-vf", "setsar=4/3,setfield=tff", "-flags", "+ildct")
    )
    turned = convert(path, "turned.mp4", "-c", "copy", before=("-display_rotation", "90"))
    reader = Reader(turned)
    assert (reader.stream.rotation, reader.stream.sample_aspect) == (90, Fraction(4, 3))
    assert reader.stream.field_order in ("tt", "tb")
    # PyAV's own reading of the matrix of the frame.
    assert next(reader.frames()).rotation == 90
    assert Reader(path).stream.rotation == 0


def test_the_crop_of_a_container(make_video: Make) -> None:
    """FFmpeg writes the display size of an anamorphic video; its bytes are made into crops at two edges."""
    path = make_video("crop.mkv", "64x48", 3, "-c:v", "libx264", "-vf", "setsar=2")
    display, crop = bytes.fromhex("54b0810854ba8103"), bytes.fromhex("54bb810854aa8104")
    data = path.read_bytes()
    assert data.count(display) == 1
    cropped = path.with_name("cropped.mkv")
    cropped.write_bytes(data.replace(display, crop))
    assert Reader(cropped).stream.crop == Crop(top=8, bottom=4)
    assert (Reader(cropped).coded.size, Reader(path).stream.crop) == ("64x48", Crop())


def test_which_stream_is_read(make_video: Make) -> None:
    small, large = make_video("s.mkv", "64x48", 3), make_video("l.mkv", "96x64", 3)
    both = convert(small, "both.mkv", "-map", "0", "-map", "1", "-c", "copy", "-disposition:1", "default",
                   before=("-i", str(large)))  # fmt: skip
    reader = Reader(both)
    assert (reader.stream.index, reader.stream.count, reader.stream.default) == (1, 2, 1)
    assert reader.coded.size == "64x48"
