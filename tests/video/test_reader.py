"""Planes of decoded frames, against files without headers that numpy reads and against the FFmpeg program."""

from __future__ import annotations

import gc
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.video.ffmpeg import ffmpeg
from pyvmaf.video.format import PLANAR, Format
from pyvmaf.video.probe import inspect
from pyvmaf.video.reader import FrameSource, Planes, Reader, frame_format
from pyvmaf.video.remembered import Remembered
from pyvmaf.video.tensors import Picture, tensors

Make = Callable[..., Path]
FFV1 = ("-c:v", "ffv1", "-pix_fmt")


def split(data: bytes, form: Format) -> list[list[NDArray[np.int64]]]:
    """The planes of every frame of headerless bytes."""
    samples = np.frombuffer(data, np.uint8 if form.bit_depth == 8 else "<u2").astype(np.int64)
    sizes = form.plane_sizes()
    ends = np.cumsum([h * w for h, w in sizes])
    frames = samples.reshape(-1, ends[-1])
    return [[part.reshape(size) for part, size in zip(np.split(f, ends[:-1]), sizes, strict=True)] for f in frames]


def program(path: Path, *options: str) -> bytes:
    command = [str(ffmpeg().path), "-v", "error", "-i", str(path), *options, "-f", "rawvideo", "-"]
    return subprocess.run(command, capture_output=True, check=True).stdout


def equal(frames: list[Planes], expected: list[list[NDArray[np.int64]]]) -> bool:
    assert len(frames) == len(expected) > 0
    return all(
        np.array_equal(plane, other)
        for frame, others in zip(frames, expected, strict=True)
        for plane, other in zip(frame, others, strict=True)
    )


@pytest.mark.parametrize("pix_fmt", sorted(PLANAR))
def test_headerless_files_hold_the_samples_that_numpy_reads(tmp_path: Path, pix_fmt: str) -> None:
    form = Format(33, 17, pix_fmt)
    path = tmp_path / "noise.yuv"
    peak = (1 << form.bit_depth) - 1
    rng = np.random.default_rng(7)
    samples = [rng.integers(0, peak + 1, size) for _ in range(3) for size in form.plane_sizes()]
    path.write_bytes(b"".join(s.astype("u1" if form.bit_depth == 8 else "<u2").tobytes() for s in samples))
    reader = Reader(path, raw=form)
    assert (reader.stated_frames, reader.count_packets(), reader.count_frames()) == (3, 3, 3)
    assert reader.coded == reader.format == form
    frames = list(reader.planes())
    assert equal(frames, split(path.read_bytes(), form))
    assert {plane.dtype for frame in frames for plane in frame} == {np.dtype("u1" if form.bit_depth == 8 else "u2")}
    assert [len(frame) for frame in reader.planes(luma=True)] == [1, 1, 1]
    assert reader.identity()["raw"] == reader.identity()["as"] == f"33x17 {pix_fmt}"


@pytest.mark.parametrize(("coded", "planar"), [("nv12", "yuv420p"), ("uyvy422", "yuv422p"), ("p010le", "yuv420p10le")])
def test_samples_in_another_order_are_rearranged(make_video: Make, coded: str, planar: str) -> None:
    path = make_video(f"{coded}.yuv", "64x48", 3, "-pix_fmt", coded, "-f", "rawvideo")
    reader = Reader(path, raw=Format(64, 48, coded))
    assert (reader.coded.pix_fmt, reader.format.pix_fmt) == (coded, planar)
    raw = ("-f", "rawvideo", "-s", "64x48", "-pix_fmt", coded)
    command = [str(ffmpeg().path), "-v", "error", *raw, "-i", str(path), "-pix_fmt", planar, "-f", "rawvideo", "-"]
    data = subprocess.run(command, capture_output=True, check=True).stdout
    assert equal(list(reader.planes()), split(data, reader.format))
    assert reader.identity()["raw"] == f"64x48 {coded}"


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "yuv444p"])
def test_widening_shifts_samples(make_video: Make, pix_fmt: str) -> None:
    reader = Reader(make_video(f"w-{pix_fmt}.mkv", "64x48", 3, *FFV1, pix_fmt))
    wide = reader.widened(12)
    shift = 12 - reader.format.bit_depth
    assert wide.format == replace(Format.planar(64, 48, reader.format.chroma, 12), rate=reader.format.rate)
    for frame, plain in zip(wide.planes(), reader.planes(), strict=True):
        assert all(np.array_equal(p, q.astype(np.uint16) << shift) for p, q in zip(frame, plain, strict=True))
    assert reader.widened(reader.format.bit_depth) is reader
    with pytest.raises(InputError, match="12 bits per sample: it is not narrowed to 8"):
        _ = Reader(make_video("w12.mkv", "64x48", 1, *FFV1, "yuv420p12le"), bit_depth=8).format


@pytest.mark.parametrize(("pix_fmt", "bits"), [("gray", 10), ("gray10le", 16), ("yuvj420p", 12), ("yuv420p10le", 12)])
def test_full_range_is_widened_as_ffmpeg_does(make_video: Make, pix_fmt: str, bits: int) -> None:
    """White stays white, so that an encode of more bits can be compared with its reference."""
    codec = FFV1 if pix_fmt.startswith("gray") else ("-c:v", "libx264", "-qp", "0", "-color_range", "pc", "-pix_fmt")
    chain = ("-vf", f"scale=out_range=pc,format={pix_fmt}", *codec, pix_fmt)
    path = make_video(f"full-{pix_fmt}.mkv", "64x48", 2, *chain, source="testsrc")
    reader = Reader(path).widened(bits)
    assert equal(list(reader.planes()), split(program(path, "-pix_fmt", reader.format.pix_fmt), reader.format))
    assert max(int(planes[0].max()) for planes in reader.planes()) == (1 << bits) - 1
    assert reader.identity()["range"] == "pc"
    assert "range" not in Reader(path).identity()


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le"])
def test_scaling_is_ffmpegs(make_video: Make, pix_fmt: str) -> None:
    path = make_video(f"s-{pix_fmt}.mkv", "64x48", 3, *FFV1, pix_fmt, source="testsrc")
    reader = Reader(path, size=(96, 40))
    assert reader.format == Format(96, 40, pix_fmt, reader.coded.rate)
    expected = split(program(path, "-vf", "scale=96:40:flags=bicubic"), reader.format)
    for frame, others in zip(reader.planes(), expected, strict=True):
        # The program places chroma samples at the left, PyAV in the middle.
        assert np.array_equal(frame[0], others[0])
        assert all(p.shape == q.shape for p, q in zip(frame, others, strict=True))
    raw = make_video(f"s-{pix_fmt}.yuv", "64x48", 3, "-pix_fmt", pix_fmt, "-f", "rawvideo", source="testsrc")
    for frame, planes in zip(
        Reader(raw, raw=Format(64, 48, pix_fmt), size=(96, 40)).planes(), reader.planes(), strict=True
    ):
        assert all(np.array_equal(p, q) for p, q in zip(frame, planes, strict=True))


CHANGES = {
    "depth": (("-pix_fmt", "yuv420p10le"), "its pixel format from yuv420p to yuv420p10le"),
    "chroma": (("-pix_fmt", "yuv444p"), "its pixel format from yuv420p to yuv444p"),
    "range": (("-pix_fmt", "yuvj420p"), r"its (pixel format from yuv420p to yuvj420p|colours from .* to pc/.*)"),
    "size": (("-pix_fmt", "yuv420p", "-s", "96x64"), "its size from 64x48 to 96x64"),
    "matrix": (
        ("-pix_fmt", "yuv420p", "-colorspace", "bt709"),
        r"its colours from tv/smpte170m/\w+/\w+ to tv/bt709/\w+/\w+",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_frame_unlike_the_first_one_is_refused_wherever_frames_are_read(
    make_video: Make, tmp_path: Path, change: str
) -> None:
    options, words = CHANGES[change]
    tags = ("-colorspace", "smpte170m") if change == "matrix" else ()
    path = tmp_path / "changes.h264"
    first = make_video(f"before-{bool(tags)}.h264", "64x48", 5, "-pix_fmt", "yuv420p", *tags)
    path.write_bytes(first.read_bytes() + make_video(f"{change}.h264", "64x48", 5, *options).read_bytes())
    message = rf"changes\.h264 changes {words} at frame \d: cut it there into two files"
    with pytest.raises(InputError, match=message):
        list(Reader(path).frames())
    with pytest.raises(InputError, match=message):
        list(Reader(path).planes(luma=True))
    with pytest.raises(InputError, match=message):
        list(tensors(Reader(path), Picture(size=(32, 32))))
    with pytest.raises(InputError, match=message):
        inspect(path)


def test_scaling_holds_for_frames_of_every_size(make_video: Make, tmp_path: Path) -> None:
    path = tmp_path / "sizes.h264"
    parts = [make_video(f"s{size}.h264", size, 4, "-pix_fmt", "yuv420p") for size in ("64x48", "96x64", "80x48")]
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    frames = list(Reader(path, size=(64, 48)).planes())
    expected = split(program(path, "-vf", "scale=64:48:flags=bicubic"), Format(64, 48, "yuv420p"))
    assert len(frames) == len(expected) == 12
    # The program places chroma samples at the left, PyAV in the middle.
    assert all(np.array_equal(frame[0], others[0]) for frame, others in zip(frames, expected, strict=True))


def test_what_cannot_be_measured_can_be_decoded(make_video: Make) -> None:
    path = make_video("float.yuv", "64x48", 2, "-pix_fmt", "grayf32le", "-f", "rawvideo")
    reader = Reader(path, raw=Format(64, 48, "grayf32le"))
    frame = next(reader.frames())
    assert (frame.format.name, reader.coded.pix_fmt) == ("grayf32le", "grayf32le")
    with pytest.raises(InputError, match=r"float\.yuv cannot be measured: grayf32le has floating-point samples"):
        next(reader.planes())
    with pytest.raises(InputError, match="grayf32le frame does not hold planes"):
        frame_format(frame)
    jpeg = next(Reader(make_video("j.mkv", "64x48", 2, "-c:v", "mjpeg", "-pix_fmt", "yuvj420p")).frames())
    assert frame_format(jpeg) == Format(64, 48, "yuv420p")


@pytest.mark.parametrize("name", ["t.mp4", "t.mkv"])
def test_a_truncated_file_gives_no_planes_to_its_end(tmp_path: Path, make_video: Make, name: str) -> None:
    whole = make_video(name, "64x48", 100, "-pix_fmt", "yuv420p", "-qp", "0", "-movflags", "+faststart").read_bytes()
    path = tmp_path / name
    path.write_bytes(whole[: len(whole) * 9 // 10])
    with pytest.raises(IntegrityError, match=rf"{name} is (damaged or )?truncated"):
        list(Reader(path).planes())


def test_planes_outlive_their_frame(make_video: Make) -> None:
    source: FrameSource = Reader(make_video("views.mkv", "64x48", 12, *FFV1, "yuv420p"))
    held = list(source.planes())
    assert all(
        np.array_equal(p, q)
        for frame, again in zip(held, source.planes(), strict=True)
        for p, q in zip(frame, again, strict=True)
    )
    assert not np.array_equal(held[0][0], held[11][0])


def test_frames_are_freed_as_they_are_read(make_video: Make) -> None:
    """Nothing waits for a collection of garbage, which long videos would not live to see."""
    path = make_video("freed.mkv", "64x48", 12, *FFV1, "yuv420p")

    def alive() -> int:
        return sum(type(item).__name__ == "VideoFrame" for item in gc.get_objects())

    gc.collect()
    # Only what is made from here on is looked at.
    gc.freeze()
    gc.disable()
    try:
        counts = [alive() for _ in Reader(path).frames()]
    finally:
        gc.enable()
        gc.unfreeze()
    assert len(counts) == 12
    assert 1 <= max(counts) <= 3


@pytest.mark.parametrize("limit", [1 << 28, 1000])
def test_remembered_frames_are_those_of_the_file(make_video: Make, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    path = make_video("clip.mkv", frames=4)
    video, passes, planes = Remembered(Reader(path), limit), list[bool](), Reader.planes

    def counted(self: Reader, *, luma: bool = False) -> Iterator[Planes]:
        passes.append(luma)
        return planes(self, luma=luma)

    monkeypatch.setattr(Reader, "planes", counted)
    next(video.planes(luma=True))
    for luma in (True, True, False):
        for kept, read in zip(video.planes(luma=luma), planes(Reader(path), luma=luma), strict=True):
            assert len(kept) == len(read)
            assert all(np.array_equal(ours, theirs) for ours, theirs in zip(kept, read, strict=True))
    # A pass that was left early is none that is kept, and frames beyond the limit are decoded again.
    assert passes == ([True, True, False] if limit > 1000 else [True, True, True, False])
