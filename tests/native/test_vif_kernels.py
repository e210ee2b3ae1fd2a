"""Own kernels of VIF against libvmaf's plain C: numerators, denominators and scores, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pyvmaf import _native
from pyvmaf.engines.kernels.check import GAIN_LIMITS, instruction_set
from pyvmaf.engines.kernels.vif import computes
from pyvmaf.engines.libvmaf.context import Context
from pyvmaf.engines.protocol import Request
from pyvmaf.video.format import Format
from tests.make.planes import CONTENTS, Plane, content

pytestmark = pytest.mark.usefixtures("plain_c")


def libvmaf_ratios(reference: Plane, distorted: Plane, bits: int, limit: float) -> NDArray[np.float64]:
    """Return the numerators, denominators and scores of the four scales, of shape (4, 3)."""
    with Context(reference.shape[1], reference.shape[0], "400", bits) as context:
        options = {} if limit == GAIN_LIMITS[0] else {"vif_enhn_gain_limit": limit}
        context.use_feature("vif", {"debug": True, **options})
        context.read([reference], [distorted], 0)
        context.flush()

        def values(keys: list[str]) -> list[float]:
            return [float(context.feature_scores(key, [0])[0]) for key in sorted(keys)]

        scales = [key for key in context.keys if "scale" in key]
        numerators, denominators = ([key for key in scales if part in key] for part in ("_num_", "_den_"))
        scores = [key for key in scales if key not in numerators + denominators]
        return np.array([values(numerators), values(denominators), values(scores)]).T


def compare(reference: Plane, distorted: list[Plane], bits: int) -> None:
    height, width = reference.shape
    for name in _native.instruction_sets():
        kernel = _native.Vif(width, height, bits, len(distorted), GAIN_LIMITS, name)
        ratios = kernel.measure(reference, distorted)
        assert ratios.shape == (len(distorted), len(GAIN_LIMITS), 4, 2)
        for rung, planes in enumerate(distorted):
            for limit, own in zip(GAIN_LIMITS, ratios[rung], strict=True):
                found = np.concatenate([own, own[:, :1] / own[:, 1:]], axis=1).astype(np.float64)
                expected = libvmaf_ratios(reference, planes, bits, limit)
                np.testing.assert_array_equal(found, expected, err_msg=f"{name}, rung {rung}, limit {limit}")


@settings(max_examples=25, deadline=None)
@given(
    width=st.integers(33, 300),
    height=st.integers(33, 150),
    bits=st.sampled_from([8, 10, 12]),
    kinds=st.lists(st.sampled_from(CONTENTS), min_size=2, max_size=5),
    seed=st.integers(0, 999),
)
def test_any_frames(width: int, height: int, bits: int, kinds: list[str], seed: int) -> None:
    planes = [content(kind, width, height, bits, seed + i) for i, kind in enumerate(kinds)]
    compare(planes[0], planes[1:], bits)


@pytest.mark.parametrize("bits", [8, 10, 12])
@pytest.mark.parametrize("size", [(33, 33), (639, 359), (257, 64), (128, 129)])
def test_sizes_at_the_edges_of_tiles_and_vectors(size: tuple[int, int], bits: int) -> None:
    reference = content("texture", *size, bits, 1)
    peak = 2**bits - 1
    noise = np.random.default_rng(2).integers(-peak // 20, peak // 20 + 1, reference.shape)
    noisy = np.clip(reference.astype(np.int64) + noise, 0, peak).astype(reference.dtype)
    compare(reference, [noisy, reference, content("stripes", *size, bits, 3)], bits)


def test_any_strides() -> None:
    whole = content("texture", 160, 120, 8, 4)
    view = whole[::-2, ::2]
    assert view.strides == (-320, 2)
    kernel = _native.Vif(80, 60, 8, 1, [100.0], _native.instruction_sets()[0])
    other = content("noise", 80, 60, 8, 5)
    np.testing.assert_array_equal(kernel.measure(view, [other]), kernel.measure(view.copy(), [other]))


def test_a_ladder_equals_its_rungs_and_a_frame_leaves_nothing_behind() -> None:
    planes = [content(kind, 97, 65, 10, 6) for kind in CONTENTS]
    kernel = _native.Vif(97, 65, 10, len(planes), GAIN_LIMITS, _native.instruction_sets()[0])
    ladder = kernel.measure(planes[0], planes)
    for rung, plane in enumerate(planes):
        np.testing.assert_array_equal(kernel.measure(planes[0], [plane])[0], ladder[rung])


def test_the_self_check_chooses_the_fastest() -> None:
    assert _native.instruction_sets()[-1] == "portable"
    assert all(_native.logarithms_agree(name) for name in _native.instruction_sets())
    assert instruction_set() == _native.instruction_sets()[0]


@pytest.mark.parametrize("size", [(32, 64), (64, 32), (33, 33)])
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_the_engine_asks_the_kernels_for_what_they_take(size: tuple[int, int], bits: int) -> None:
    try:
        _native.Vif(*size, bits, 1, [100.0], _native.instruction_sets()[0])
        taken = True
    except ValueError:
        taken = False
    assert computes(Request("vif"), Format.planar(*size, "420", bits)) == taken


def test_what_does_not_fit_is_refused() -> None:
    level = _native.instruction_sets()[0]
    for words, message in (
        ((32, 40, 8, 1, [100.0], level), "32x40 are smaller than 33x33"),
        ((40, 40, 9, 1, [100.0], level), "9 bits: must be 8, 10 or 12"),
        ((40, 40, 8, 0, [100.0], level), "one distorted version or more"),
        ((40, 40, 8, 1, [], level), "0 limits of the gain: must be 1 or 2"),
        ((40, 40, 8, 1, [100.0], "mmx"), "instruction set 'mmx' is not one of"),
    ):
        with pytest.raises(ValueError, match=message):
            _native.Vif(*words)
    kernel = _native.Vif(40, 48, 10, 1, [100.0], level)
    frame = np.zeros((48, 40), np.uint16)
    for reference, distorted, message in (
        (frame, [], "0 distorted versions: must be 1 to 1"),
        (frame, [frame, frame], "2 distorted versions: must be 1 to 1"),
        (frame[1:], [frame], "the reference is 40x47, must be 40x48"),
        (frame, [frame[:, 1:]], "distorted version 0 is 39x48, must be 40x48"),
        (frame, [frame.astype(np.uint8)], "distorted version 0 holds uint8 samples"),
        (frame, [frame + np.uint16(1024)], "distorted version 0 holds 1024 at row 0, column 0: more than the 1023"),
    ):
        with pytest.raises(ValueError, match=message):
            kernel.measure(reference, distorted)
