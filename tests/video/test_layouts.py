"""Pixel formats: the same samples as numpy has, in every order, depth and byte order, or the true reason."""

from __future__ import annotations

import json
import subprocess
import warnings
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.video.format
import numpy as np
import pytest
from numpy.typing import NDArray

import pyvmaf
from pyvmaf.errors import InputError, PyvmafError
from pyvmaf.scoring.score import score
from pyvmaf.scoring.session import FrameWarning
from pyvmaf.video.ffmpeg import ffmpeg
from pyvmaf.video.format import PLANAR, Format
from pyvmaf.video.layouts import Layout, Separator, layout
from pyvmaf.video.reader import Reader, planes_of

Make = Callable[..., Path]
FFV1 = ("-c:v", "ffv1", "-pix_fmt")


def read_layout(name: str) -> Layout | None:
    try:
        return layout(name, drop_alpha=True)
    except InputError:
        return None


ALL = sorted(av.video.format.names)  # type: ignore[attr-defined]  # missing from PyAV's stubs
WAYS = {name: way for name in ALL if (way := read_layout(name)) is not None}


def frame_of(planes: list[NDArray[Any]], pix_fmt: str) -> av.VideoFrame:
    frame = av.VideoFrame(planes[0].shape[1], planes[0].shape[0], pix_fmt)
    for plane, samples in zip(frame.planes, planes, strict=True):
        rows = np.zeros((plane.height, plane.line_size), np.uint8)
        data = np.ascontiguousarray(samples).view(np.uint8).reshape(samples.shape[0], -1)
        rows[:, : data.shape[1]] = data
        plane.update(rows.tobytes())
    return frame


@pytest.mark.parametrize("full", [False, True])
def test_every_format_gives_the_samples_that_it_holds(full: bool) -> None:
    """Random samples, packed by FFmpeg; also of full range, which nothing may rescale."""
    dice, unpacked = np.random.default_rng(3), []
    for name, way in WAYS.items():
        if way.rgb or name.startswith(("yuvj", "mono")):
            continue
        dtype = np.dtype("u1") if way.bits == 8 else np.dtype("<u2")
        parts = av.VideoFormat(way.planar, 64, 48).components
        planes = [dice.integers(0, 1 << way.bits, (part.height, part.width)).astype(dtype) for part in parts]
        base = frame_of(planes, way.planar)
        base.color_range = 2 if full else 1
        try:
            frame = base.reformat(format=name, src_color_range=2 if full else 1, dst_color_range=2 if full else 1)
        except OSError:
            unpacked.append(name)
            continue
        frame.color_range = base.color_range
        if name.endswith("be") and name != "gray9be":
            little = base.reformat(
                format=f"{name[:-2]}le", src_color_range=2 if full else 1, dst_color_range=2 if full else 1
            )
            assert bytes(little.planes[0])[:128] == swapped(bytes(frame.planes[0])[:128], name), name
        got = planes_of(Separator(way)(frame), way.chroma, way.bits)
        assert len(got) == (1 if way.chroma == "400" else 3), name
        for plane, samples in zip(got, planes, strict=False):
            assert np.array_equal(plane, samples), name
        assert way.measured in PLANAR
        assert PLANAR[way.measured][1] >= way.bits
    # FFmpeg does not write these, and most it does not read: an error, no samples.
    for name in unpacked:
        assert name in ("uyyvyy411", "v30xbe", "xv30be", "y210be", "y212be", "y216be")
        if name != "uyyvyy411":
            with pytest.raises(InputError, match=f"FFmpeg cannot convert {name}"):
                Separator(WAYS[name])(av.VideoFrame(64, 48, name))


def swapped(data: bytes, name: str) -> bytes:
    """The bytes of samples in the other byte order."""
    size = 4 if name.startswith(("xv30", "v30", "x2")) else 2
    return np.frombuffer(data, f"u{size}").byteswap().tobytes()


def test_formats_without_luma_have_a_true_reason() -> None:
    reasons = {}
    for name in sorted(set(ALL) - set(WAYS)):
        with pytest.raises(InputError) as caught:
            layout(name, drop_alpha=True)
        reasons[name] = str(caught.value)
        assert str(caught.value).startswith(name)
    words = {"grayf32le": "floating-point", "bayer_rggb8": "mosaic", "xyz12le": "XYZ", "cuda": "graphics processor"}
    assert all(word in reasons[name] for name, word in words.items())
    for name in ("yuva420p", "rgba", "ya8"):
        with pytest.raises(InputError, match=rf"{name} has transparency \(alpha\).* --drop-alpha"):
            layout(name)


def filter_score(reference: Path, distorted: Path, folder: Path, words: str = "") -> float:
    """Mean VMAF by FFmpeg's filter."""
    log = folder / "log.json"
    both = f"[0:v]settb=1/25,setpts=N{words}[a];[1:v]settb=1/25,setpts=N{words}[b];[a][b]libvmaf=log_fmt=json:log_path={log}"
    command = [str(ffmpeg().path), "-nostdin", "-v", "error", "-i", str(distorted), "-i", str(reference)]
    subprocess.run([*command, "-lavfi", both, "-f", "null", "-"], check=True)
    return float(json.loads(log.read_text())["pooled_metrics"]["vmaf"]["mean"])


@pytest.mark.parametrize(
    ("pix_fmt", "same"),
    [("yuv411p", "format=gray"), ("yuv440p", "format=gray"), ("yuv410p", "format=gray"), ("yuv420p9le", ""), ("yuv420p14le", ""),
     ("gray9le", "format=gray10le"), ("yuv422p10be", ""), ("gbrp", ""), ("gbrp10le", ""), ("bgr0", ""), ("yuva420p", ""),
     ("yuva444p10le", ""), ("bgra", "")],
)  # fmt: skip
def test_scores_are_those_of_ffmpegs_filter(pix_fmt: str, same: str, make_video: Make, tmp_path: Path) -> None:
    codec = "rawvideo" if "be" in pix_fmt else "ffv1"
    reference, distorted = (
        make_video(f"{pix_fmt}-{n}.{'nut' if codec == 'rawvideo' else 'mkv'}", "96x64", 3, "-c:v", codec, "-pix_fmt", pix_fmt,
                   *more, source="testsrc")
        for n, more in (("r", ()), ("d", ("-vf", "gblur=sigma=1.5")))
    )  # fmt: skip
    alpha = WAYS[pix_fmt].alpha
    if alpha:
        with pytest.raises(InputError, match=rf"{pix_fmt}-r\.mkv cannot be measured: {pix_fmt} has transparency"):
            score(reference, distorted)
    scores = score(reference, distorted, drop_alpha=alpha, features="psnr_y")
    if not same:
        assert scores["vmaf"].mean() == pytest.approx(filter_score(reference, distorted, tmp_path), abs=2e-4)
    assert 0 < scores["vmaf"].mean() < 99
    coded = Reader(reference).coded.pix_fmt  # FFV1 has no gbrp of 8 bits
    note = [note for note in scores.notes if f"-r.{reference.suffix[1:]} is {coded}: " in note]
    assert bool(note) == bool(WAYS[pix_fmt].note)
    if same:
        # Luma alone: equal to that of the same luma with other chroma.
        plain = score(reference, distorted, luma_only=True)
        assert np.array_equal(plain["vmaf"], scores["vmaf"])


def test_luma_alone_of_any_chroma(make_video: Make) -> None:
    colours, gray = (make_video(f"l-{fmt}.mkv", "96x64", 3, *FFV1, fmt) for fmt in ("yuv420p", "yuv444p"))
    with pytest.raises(InputError, match=r"chroma layouts differ: .* luma alone with --luma-only"):
        score(colours, gray)
    assert score(colours, gray, luma_only=True)["vmaf"].mean() == pytest.approx(
        score(colours, colours, luma_only=True)["vmaf"].mean(), abs=1
    )
    scores = score(colours, colours, luma_only=True, features=["psnr_y", "psnr_cb"][:1])
    assert np.array_equal(scores["vmaf"], score(colours, colours)["vmaf"])
    assert Reader(colours, luma_only=True).identity() != Reader(colours).identity()
    with pytest.raises(PyvmafError, match="psnr_cb"):
        score(colours, colours, luma_only=True, features="psnr_cb")


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "jpg", "webp", "ppm"])
def test_stills_are_scored_as_ffmpeg_does(suffix: str, make_video: Make, tmp_path: Path) -> None:
    reference, distorted = (
        make_video(f"{n}.{suffix}", "96x64", 1, *more, "-update", "1", source="testsrc")
        for n, more in (("r", ("-pix_fmt", "yuvj420p") if suffix == "jpg" else ("-c:v", suffix) if suffix != "webp" else ("-lossless", "0", "-pix_fmt", "yuv420p")),
                        ("d", ("-vf", "gblur=sigma=1.5", *(("-pix_fmt", "yuvj420p") if suffix == "jpg" else ("-lossless", "0", "-pix_fmt", "yuv420p") if suffix == "webp" else ()))))
    )  # fmt: skip
    scores = score(reference, distorted)
    assert len(scores) == 1
    words = ",setparams=range=tv,format=yuv420p" if suffix == "webp" else ""
    if suffix != "jpg":
        assert scores["vmaf"].mean() == pytest.approx(filter_score(reference, distorted, tmp_path, words), abs=2e-4)
    assert any("converted to yuv444p by BT.601" in note for note in scores.notes) == (suffix not in ("jpg", "webp"))


@pytest.mark.parametrize("pix_fmt", ["nv12", "yuv420p9le", "yuv411p", "gray10be", "gbrp", "yuv420p10be", "rgb24"])
def test_a_session_reads_what_files_may_hold(pix_fmt: str, make_video: Make) -> None:
    path = make_video(f"s-{pix_fmt}.nut", "96x64", 4, "-c:v", "rawvideo", "-pix_fmt", pix_fmt)
    worse = make_video(f"w-{pix_fmt}.nut", "96x64", 4, "-c:v", "rawvideo", "-pix_fmt", pix_fmt, "-vf", "gblur=sigma=2")
    expected = score(path, worse)["vmaf"]
    with av.open(str(path)) as one, av.open(str(worse)) as other:
        pairs = list(zip(one.decode(video=0), other.decode(video=0), strict=True))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FrameWarning)
        rows = list(pyvmaf.Session().stream(pairs))
    # What is done to samples is said, as for files.
    assert any(WAYS[pix_fmt].note in str(warning.message) for warning in caught) == bool(WAYS[pix_fmt].note)
    assert [row["vmaf"] for row in rows] == list(expected)


def test_a_format_of_a_headerless_file(tmp_path: Path) -> None:
    path = tmp_path / "x.yuv"
    samples = (np.arange(4 * 64 * 48) % 512).astype(">u2")
    path.write_bytes(samples.tobytes())
    reader = Reader(path, raw=Format(64, 48, "gray9be", Fraction(25)))
    assert reader.format.pix_fmt == "gray10le"
    assert np.array_equal(np.stack([planes[0] for planes in reader.planes()]).ravel(), samples.astype(np.uint16) * 2)


@pytest.mark.parametrize("pix_fmt", ["p010le", "p210le", "nv12", "yuyv422"])
def test_separation_is_the_same_every_time(pix_fmt: str) -> None:
    """With several threads FFmpeg separates samples wrongly where its slices meet, in a third of all runs."""
    rng = np.random.default_rng(0)
    way = layout(pix_fmt)
    frame = av.VideoFrame(176, 144, way.planar)
    top = 1 << way.bits
    for plane in frame.planes:
        dtype = "<u2" if way.bits > 8 else "u1"
        samples = rng.integers(0, top, plane.buffer_size // np.dtype(dtype).itemsize)
        plane.update(samples.astype(dtype).tobytes())
    want = [plane.copy() for plane in planes_of(frame, way.chroma, way.bits)]
    packed = frame.reformat(format=pix_fmt, threads=1)
    for _ in range(40):
        found = planes_of(Separator(way)(packed), way.chroma, way.bits)
        assert all(np.array_equal(a, b) for a, b in zip(found, want, strict=True))
