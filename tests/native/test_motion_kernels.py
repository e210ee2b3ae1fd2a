"""Own kernels of motion against libvmaf's plain C: sums and scores, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyvmaf import _native
from pyvmaf.engines.kernels.motion import MotionScores
from pyvmaf.engines.libvmaf.context import Context
from pyvmaf.engines.libvmaf.extractors import score_keys
from pyvmaf.engines.protocol import Request
from pyvmaf.video.format import Format
from tests.make.planes import CONTENTS, Plane, content

pytestmark = pytest.mark.usefixtures("plain_c")

OPTIONS: tuple[dict[str, str], ...] = (
    {},
    {"debug": "true"},
    {"motion_force_zero": "true"},
    {"motion_max_val": "18"},
    {"motion_fps_weight": "0.5", "debug": "true"},
    {"motion_blend_factor": "0.25", "motion_blend_offset": "4"},
    {"motion_five_frame_window": "true", "motion_moving_average": "true", "motion_max_val": "18"},
    {"motion_moving_average": "true"},
)


def compare(frames: list[Plane], bits: int, options: dict[str, str]) -> None:
    height, width = frames[0].shape
    with Context(width, height, "400", bits) as context:
        context.use_feature("motion", options)
        for index, frame in enumerate(frames):
            context.read([frame], None, index)
        context.flush()
        keys = list(score_keys("motion", options))
        expected = {key: context.feature_scores(key, list(range(len(frames)))) for key in keys}
    request = Request("motion", tuple(sorted(options.items())))
    for name in _native.instruction_sets():
        kernel = MotionScores({request: keys}, Format.planar(width, height, "400", bits), name)
        for frame in frames:
            kernel.read((frame,), ())
        scores = kernel.take()
        assert list(scores) == keys
        for key in keys:
            np.testing.assert_array_equal(scores[key], expected[key], err_msg=f"{name}, {key}, {options}")


@settings(max_examples=40, deadline=None)
@given(
    width=st.integers(33, 150),
    height=st.integers(33, 90),
    bits=st.sampled_from([8, 10, 12]),
    kinds=st.lists(st.sampled_from(CONTENTS), min_size=1, max_size=6),
    options=st.sampled_from(OPTIONS),
    seed=st.integers(0, 999),
)
def test_any_frames(width: int, height: int, bits: int, kinds: list[str], options: dict[str, str], seed: int) -> None:
    compare([content(kind, width, height, bits, seed + i) for i, kind in enumerate(kinds)], bits, options)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_lengths_of_clips(count: int, options: dict[str, str]) -> None:
    compare([content("texture", 40, 33, 8, seed) for seed in range(count)], 8, options)


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_the_largest_differences(bits: int) -> None:
    frames = [content(kind, 67, 35, bits, 0) for kind in ("white", "black and white", "white", "stripes")]
    compare([np.zeros_like(frames[0]), *frames], bits, {})


def test_what_does_not_fit_is_refused() -> None:
    level = _native.instruction_sets()[0]
    for words, message in (
        ((32, 40, 8, 1, level), "32x40 are smaller than 33x33"),
        ((40, 40, 9, 1, level), "9 bits: must be 8, 10 or 12"),
        ((40, 40, 8, 3, level), "distance 3: must be 1 or 2"),
        ((40, 40, 8, 1, "mmx"), "instruction set 'mmx' is not one of"),
    ):
        with pytest.raises(ValueError, match=message):
            _native.Motion(*words)
    kernel = _native.Motion(40, 48, 10, 1, level)
    with pytest.raises(ValueError, match="the reference is 40x47, must be 40x48"):
        kernel.measure(np.zeros((47, 40), np.uint16))
    with pytest.raises(ValueError, match="more than the 1023"):
        kernel.measure(np.full((48, 40), 1024, np.uint16))
