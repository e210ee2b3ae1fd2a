"""Own kernels of ADM against libvmaf's plain C: parts and scores of all scales, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyvmaf import _native
from pyvmaf.engines.kernels.adm import computes, open_scores
from pyvmaf.engines.libvmaf.context import Context
from pyvmaf.engines.libvmaf.extractors import score_keys
from pyvmaf.engines.protocol import Request
from pyvmaf.video.format import Format
from tests.make.planes import CONTENTS, Plane, content

pytestmark = pytest.mark.usefixtures("plain_c")

DEFAULT: dict[str, str] = {"debug": "true"}
NEG = {**DEFAULT, "adm_enhn_gain_limit": "1.0"}
SKIP = {**DEFAULT, "adm_skip_aim": "true"}
OTHERS: tuple[dict[str, str], ...] = (
    {**DEFAULT, "adm_enhn_gain_limit": "1.2"},
    {**DEFAULT, "adm_enhn_gain_limit": "7"},
    {**DEFAULT, "adm_norm_view_dist": "5.0", "adm_noise_weight": "0.02"},
    {**NEG, "adm_ref_display_height": "2160", "adm_dlm_weight": "0.7", "adm_min_val": "0.5"},
    *(
        {"adm_norm_view_dist": distance, "adm_ref_display_height": height, "adm_csf_mode": mode, **NEG}
        for distance, height in (
            ("3.0", "1080"),
            ("5.0", "1080"),
            ("1.5", "2160"),
            ("3.0", "2160"),
            ("5.0", "2160"),
            ("5.0", "720"),
        )
        for mode in ("2", "3")
    ),
)


def libvmaf_scores(
    reference: Plane, distorted: list[Plane], bits: int, options: dict[str, str]
) -> dict[str, list[float]]:
    height, width = reference.shape
    with Context(width, height, "400", bits) as context:
        context.use_feature("adm", options)
        for index, plane in enumerate(distorted):
            context.read([reference], [plane], index)
        context.flush()
        return {
            key: context.feature_scores(key, list(range(len(distorted)))).tolist() for key in score_keys("adm", options)
        }


def compare(reference: Plane, distorted: list[Plane], bits: int, *settings: dict[str, str]) -> None:
    """Compare the scores of all instruction sets with libvmaf's, with several options at once."""
    height, width = reference.shape
    form = Format.planar(width, height, "400", bits)
    requests = {Request("adm", tuple(sorted(o.items()))): list(score_keys("adm", o)) for o in settings}
    assert all(computes(request, form) for request in requests)
    for name in _native.instruction_sets():
        scores: dict[str, list[float]] = {}
        for kernel in open_scores(requests, form, name):
            kernel.read((reference,), [(plane,) for plane in distorted])
            scores |= {key: values.tolist() for key, values in kernel.take().items()}
        for options in settings:
            for key, expected in libvmaf_scores(reference, distorted, bits, options).items():
                assert scores[key] == expected, f"{name}, {key}, {options}"


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(33, 300),
    height=st.integers(33, 150),
    bits=st.sampled_from([8, 10, 12]),
    kinds=st.lists(st.sampled_from(CONTENTS), min_size=2, max_size=4),
    seed=st.integers(0, 999),
    options=st.sampled_from([(DEFAULT,), (DEFAULT, NEG), (SKIP,), *((o,) for o in OTHERS)]),
)
def test_any_frames(
    width: int, height: int, bits: int, kinds: list[str], seed: int, options: tuple[dict[str, str], ...]
) -> None:
    planes = [content(kind, width, height, bits, seed + i) for i, kind in enumerate(kinds)]
    compare(planes[0], planes[1:], bits, *options)


@pytest.mark.parametrize("bits", [8, 10, 12])
@pytest.mark.parametrize("size", [(33, 33), (34, 35), (639, 359), (257, 64), (128, 129), (33, 200), (144, 34)])
def test_sizes_at_the_edges_of_vectors(size: tuple[int, int], bits: int) -> None:
    reference = content("texture", *size, bits, 1)
    peak = 2**bits - 1
    noise = np.random.default_rng(2).integers(-peak // 20, peak // 20 + 1, reference.shape)
    noisy = np.clip(reference.astype(np.int64) + noise, 0, peak).astype(reference.dtype)
    sharper = np.clip(peak // 2 + 1.3 * (reference.astype(np.float64) - peak // 2), 0, peak).astype(reference.dtype)
    compare(reference, [noisy, reference, sharper, content("stripes", *size, bits, 3)], bits, DEFAULT, NEG)


@pytest.mark.parametrize("bits", [8, 12])
def test_hard_edges(bits: int) -> None:
    peak = 2**bits - 1
    y, x = np.mgrid[:65, :97]
    kind = np.uint8 if bits == 8 else np.uint16
    planes = [
        (peak * pattern).astype(kind)
        for pattern in (x % 2, y % 2, (x + y) % 2, x // 2 % 2, y // 2 % 2, (x // 2 + y // 2) % 2, x // 4 % 2, (x > 48) & (y > 30))
    ]  # fmt: skip
    for reference in planes:
        compare(reference, planes, bits, DEFAULT, NEG)


@pytest.mark.parametrize("options", OTHERS, ids=str)
def test_viewing(options: dict[str, str]) -> None:
    reference, noisy = content("texture", 97, 65, 8, 1), content("texture", 97, 65, 8, 2)
    compare(reference, [noisy, content("stripes", 97, 65, 8, 1)], 8, options)


def test_any_strides() -> None:
    whole = content("texture", 160, 120, 8, 4)
    view = whole[::-2, ::2]
    assert view.strides == (-320, 2)
    other = content("noise", 80, 60, 8, 5)
    compare(view, [other], 8, DEFAULT)
    compare(other, [view], 8, DEFAULT)


def test_a_ladder_equals_its_rungs_and_a_frame_leaves_nothing_behind() -> None:
    planes = [content(kind, 97, 65, 10, 6) for kind in CONTENTS]
    kernel = _native.Adm(
        97, 65, 10, len(planes), [100.0, 1.0], True, 3.0, 1080, 0.03125, 0, _native.instruction_sets()[0]
    )
    ladder = kernel.measure(planes[0], planes)
    for rung, plane in enumerate(planes):
        np.testing.assert_array_equal(kernel.measure(planes[0], [plane])[0], ladder[rung])


@pytest.mark.parametrize(
    ("options", "size", "bits", "taken"),
    [
        ({}, (33, 33), 8, True),
        ({}, (32, 33), 8, False),
        ({}, (33, 33), 16, False),
        ({"adm_csf_mode": "2"}, (33, 33), 8, True),
        ({"adm_csf_mode": "1"}, (33, 33), 8, False),
        ({"adm_csf_mode": "2", "adm_norm_view_dist": "4.0"}, (33, 33), 8, False),
        ({"adm_skip_scale0": "true"}, (33, 33), 8, False),
        ({"adm_noise_weight": "0"}, (33, 33), 8, False),
    ],
)
def test_the_engine_asks_the_kernels_for_what_they_take(
    options: dict[str, str], size: tuple[int, int], bits: int, taken: bool
) -> None:
    assert computes(Request("adm", tuple(options.items())), Format.planar(*size, "420", bits)) == taken


def test_what_does_not_fit_is_refused() -> None:
    level = _native.instruction_sets()[0]
    viewing = (3.0, 1080, 0.03125, 0)
    for words, message in (
        ((32, 40, 8, 1, [100.0], False, *viewing, level), "32x40 are smaller than 33x33"),
        ((40, 40, 9, 1, [100.0], False, *viewing, level), "9 bits: must be 8, 10 or 12"),
        ((40, 40, 8, 0, [100.0], False, *viewing, level), "one distorted version or more"),
        ((40, 40, 8, 1, [], False, *viewing, level), "0 limits of the gain: must be 1 or 2"),
        ((40, 40, 8, 1, [100.0], False, 3.0, 1000, 0.03125, 0, level), "must be 3240 or more"),
        ((40, 40, 8, 1, [100.0], False, 3.0, 1080, 0.03125, 1, level), "sensitivity 1: must be 0, 2 or 3"),
        (
            (40, 40, 8, 1, [100.0], False, 4.0, 1080, 0.03125, 2, level),
            "no blended sensitivity is known for 1080 lines",
        ),
        ((40, 40, 8, 1, [100.0], False, *viewing, "mmx"), "instruction set 'mmx' is not one of"),
    ):
        with pytest.raises(ValueError, match=message):
            _native.Adm(*words)
    kernel = _native.Adm(40, 48, 10, 1, [100.0], False, *viewing, level)
    frame = np.zeros((48, 40), np.uint16)
    for reference, distorted, message in (
        (frame, [], "0 distorted versions: must be 1 to 1"),
        (frame, [frame, frame], "2 distorted versions: must be 1 to 1"),
        (frame[1:], [frame], "the reference is 40x47, must be 40x48"),
        (frame, [frame + np.uint16(1024)], "distorted version 0 holds 1024 at row 0, column 0: more than the 1023"),
    ):
        with pytest.raises(ValueError, match=message):
            kernel.measure(reference, distorted)
