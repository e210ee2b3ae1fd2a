"""Single frames by number equal those of a pass over the whole file."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pyvmaf.errors import InputError
from pyvmaf.video.format import Format
from pyvmaf.video.moments import pictures
from pyvmaf.video.paced import Paced
from pyvmaf.video.piped import Piped
from pyvmaf.video.reader import FrameSource, Reader
from pyvmaf.video.shifted import Shifted

NUMBERS = (0, 7, 13, 29, 38, 500)

# Files whose frames are reached in different ways: by an index, by time stamps, and from the start.
KINDS = {
    "b_frames.mp4": ("-c:v", "libx264", "-g", "8", "-bf", "3", "-crf", "18"),
    "open_groups.mkv": ("-c:v", "libx265", "-x265-params", "keyint=12:open-gop=1:log-level=error", "-crf", "20"),
    "transport.ts": ("-c:v", "libx264", "-g", "10", "-bf", "2", "-crf", "18"),
    "program.mpg": ("-c:v", "mpeg2video", "-g", "9", "-bf", "2", "-q:v", "3"),
    "uneven.mkv": ("-vf", "setpts='N*N/40/TB/25'", "-fps_mode", "vfr", "-c:v", "libx264", "-g", "10", "-crf", "18"),
    "untimed.264": ("-c:v", "libx264", "-g", "8", "-bf", "2", "-crf", "18"),
    "old.avi": ("-c:v", "mpeg4", "-g", "10", "-q:v", "3"),
    "web.webm": ("-c:v", "libvpx-vp9", "-g", "12", "-crf", "30", "-auto-alt-ref", "1", "-cpu-used", "8"),
}


def check(video: FrameSource) -> None:
    whole = list(video.planes())
    found = pictures(video, NUMBERS)
    assert sorted(found) == [number for number in NUMBERS if number < len(whole)]
    for number, planes in found.items():
        for ours, theirs in zip(planes, whole[number], strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.fixture(scope="module")
def source(embedded_files: dict[str, Path], convert: Callable[..., Path]) -> Path:
    return convert(embedded_files["carphone_pristine.mp4"], "forty.mkv", "-frames:v", "40", "-c:v", "ffv1")


@pytest.mark.parametrize("name", KINDS)
def test_of_any_file(name: str, source: Path, convert: Callable[..., Path]) -> None:
    check(Reader(convert(source, name, *KINDS[name])))


def test_behind_an_edit_list(source: Path, convert: Callable[..., Path]) -> None:
    long = convert(source, "long.mp4", "-c:v", "libx264", "-g", "30", "-bf", "2")
    # FFmpeg seeks to the key frame before, and the file says to begin in the middle.
    check(Reader(convert(long, "cut.mp4", "-ss", "0.7", "-c", "copy")))


def test_of_filtered_shifted_paced_and_raw_video(source: Path, convert: Callable[..., Path]) -> None:
    timed = convert(source, "b_frames.mp4", *KINDS["b_frames.mp4"])
    check(Reader(timed, filters=("bwdif=mode=send_frame",)))
    check(Reader(timed, filters=("bwdif=mode=send_field",), per_frame=2))
    check(Shifted(Reader(timed, size=(88, 72)), 5))
    check(Paced(Reader(timed), [0, 0, 1, *range(3, 40)], Fraction(25)))
    raw = convert(source, "forty.yuv", "-pix_fmt", "yuv420p")
    check(Reader(raw, raw=Format.parse("176x144", "yuv420p", "25")))


def test_only_the_frames_that_lead_to_one_are_decoded(
    source: Path, convert: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = 0
    whole = Reader.frames

    def counted(self: Reader, **options: int) -> object:
        nonlocal decoded
        for frame in whole(self, **options):
            decoded += 1
            yield frame

    monkeypatch.setattr(Reader, "frames", counted)
    pictures(Reader(convert(source, "b_frames.mp4", *KINDS["b_frames.mp4"])), [33])
    assert decoded <= 8


def test_a_pipe_is_not_read_twice() -> None:
    video = object.__new__(Piped)
    video.path = Path("-")
    with pytest.raises(InputError, match="pipe"):
        pictures(video, [0])
