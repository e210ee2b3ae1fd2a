"""Which frames are taken, and what is cut out of them."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyvmaf.errors import InputError
from pyvmaf.frames.spec import PictureSet
from tests.make.commands import refusal

CLIP = Path("clip.mkv")


@pytest.mark.parametrize(
    ("keys", "frames", "rate", "expected"),
    [
        ({"every": 4}, 10, None, [0, 4, 8]),
        ({"every": 40}, 10, None, [0]),
        ({"count": 1}, 9, None, [4]),
        ({"count": 3}, 12, None, [2, 6, 10]),
        ({"count": 20}, 3, None, [0, 1, 2]),
        ({"per_second": 1}, 60, Fraction(25), [0, 25, 50]),
        # 30000/1001: the first frame at or after 1 s, 2 s, … is 30, 60, …; from 34 s on one earlier.
        ({"per_second": 1}, 1080, Fraction(30000, 1001), [*range(0, 991, 30), 1019, 1049, 1079]),
        ({"per_second": 50}, 4, Fraction(25), [0, 1, 2, 3]),
        ({"per_second": 0.5}, 101, Fraction(25), [0, 50, 100]),
        ({"frames": [5, 1]}, 6, None, [1, 5]),
    ],
)
def test_frames_that_are_taken(keys: dict[str, Any], frames: int, rate: Fraction | None, expected: list[int]) -> None:
    assert PictureSet.of(**keys).indices(frames, rate, CLIP) == expected


@given(st.integers(1, 2000), st.integers(1, 300))
def test_a_count_is_spread_evenly(frames: int, count: int) -> None:
    taken = PictureSet.of(count=count).indices(frames, None, CLIP)
    assert len(taken) == min(count, frames)
    assert taken == sorted(set(taken))
    assert taken[0] >= 0
    assert taken[-1] < frames
    steps = {after - before for before, after in pairwise(taken)}
    assert not steps or max(steps) - min(steps) <= 1
    # As much is left in front as behind.
    assert abs(taken[0] - (frames - 1 - taken[-1])) <= 1


@given(st.integers(1, 2000), st.fractions(1, 240, max_denominator=1001), st.sampled_from([0.5, 1.0, 2.0, 12.5]))
def test_instants_are_those_of_the_clock(frames: int, rate: Fraction, per_second: float) -> None:
    taken = PictureSet.of(per_second=per_second).indices(frames, rate, CLIP)
    assert taken == sorted(set(taken))
    # A frame is taken if an instant lies in the time since the frame before it.
    step = 1 / Fraction(per_second)
    expected = [i for i in range(frames) if i == 0 or (i / rate) // step * step > (i - 1) / rate]
    assert taken == expected


@pytest.mark.parametrize(
    ("keys", "size", "expected"),
    [
        ({}, (64, 48), (None, (0, 0, 64, 48))),
        ({"size": "32x24"}, (64, 48), ((32, 24), (0, 0, 32, 24))),
        ({"size": "64x48"}, (64, 48), (None, (0, 0, 64, 48))),
        ({"longest": 32}, (64, 47), ((32, 24), (0, 0, 32, 24))),
        ({"longest": 100}, (47, 64), ((73, 100), (0, 0, 73, 100))),
        ({"longest": 1}, (1000, 2), ((1, 1), (0, 0, 1, 1))),
        ({"crop": "20x10"}, (64, 48), (None, (22, 19, 20, 10))),
        ({"crop": "20x10+3+4"}, (64, 48), (None, (3, 4, 20, 10))),
        ({"size": "32x24", "crop": "32x24"}, (64, 48), ((32, 24), (0, 0, 32, 24))),
    ],
)
def test_scale_then_crop(keys: dict[str, Any], size: tuple[int, int], expected: tuple[Any, Any]) -> None:
    picture = PictureSet.of(**keys).picture(*size, size, CLIP)
    box = picture.box(*(picture.scaled or size))
    assert (picture.scaled, (box.left, box.top, box.width, box.height)) == expected


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"every": 2, "count": 3}, "every and count both say which frames"),
        ({"size": "32x24", "longest": 9}, "size and longest both say"),
        ({"size": "32"}, "a size is written WxH"),
        ({"crop": "32x24+1"}, r"a crop is written WxH or WxH\+LEFT\+TOP, .* not '32x24\+1'"),
        ({"frames": [1, 1]}, "a frame twice"),
        ({"scaler": "cubic"}, "scaler = 'cubic'"),
        ({"every": 0}, "every = 0"),
    ],
)
def test_settings_that_say_nothing_clear_are_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PictureSet.of(**keys)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, r"which frames of clip\.mkv are taken is not said"),
        ({"frames": [9]}, r"clip\.mkv has 9 frames \(0 to 8\), but frame 9"),
        ({"per_second": 1}, "does not state its frames per second"),
    ],
)
def test_frames_that_a_video_does_not_have_are_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PictureSet.of(**keys).indices(9, None, CLIP)


@pytest.mark.parametrize("keys", [{"crop": "65x10"}, {"crop": "64x48+1+0"}, {"size": "32x24", "crop": "33x24"}])
def test_a_picture_smaller_than_the_crop_is_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"clip\.mkv: a crop to .*: choose a smaller crop, or scale up"):
        PictureSet.of(**keys).picture(64, 48, (64, 48), CLIP)


@pytest.mark.parametrize("colour", ["yuv420p", "rgb48le", "gray10le", "GRAY", "argb"])
def test_another_pixel_format_is_refused_before_a_decoder_is_started(tmp_path: Path, colour: str) -> None:
    # There is no such video, and nobody notices.
    text = refusal("extract-frames", "absent.mkv", "-o", tmp_path / "a.safetensors", "--count", 1, "--colour", colour)
    assert f"unsupported pixel format '{colour}': pictures are gray (HxW), rgb24 or bgr24 (HxWx3), rgba or bgra" in text
    assert not list(tmp_path.iterdir())
