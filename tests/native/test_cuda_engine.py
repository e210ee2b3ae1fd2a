"""The engine ``cuda`` against libvmaf, with a driver that runs the kernels on the processor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pyvmaf.engines import engine_name, load
from pyvmaf.engines.cuda.check import Sampler
from pyvmaf.engines.cuda.engine import ENGINE
from pyvmaf.engines.libvmaf.build import native
from pyvmaf.engines.libvmaf.engine import ENGINE as LIBVMAF
from pyvmaf.engines.libvmaf.extractors import score_keys
from pyvmaf.engines.protocol import Engine, Request
from pyvmaf.errors import InputError, NativeError, UnavailableError
from pyvmaf.video.format import Format
from pyvmaf.video.reader import Planes
from tests.make.cuda_driver import fake_driver
from tests.make.planes import content

pytestmark = [pytest.mark.xdist_group("cuda"), pytest.mark.usefixtures("plain_c")]

Scores = dict[str, NDArray[np.float64]]

REQUESTS = {
    Request(name, options): list(score_keys(name, dict(options)))
    for name, options in (
        ("vif", ()),
        ("vif", (("vif_enhn_gain_limit", "1.0"),)),
        ("adm", ()),
        ("adm", (("adm_enhn_gain_limit", "1.0"),)),
        ("motion", ()),
        ("motion", (("motion_five_frame_window", "true"),)),
        ("psnr", (("enable_chroma", "false"),)),
    )
}
FORM = Format.planar(67, 45, "400", 8)

Pair = tuple[Planes, Planes]
Clip = Callable[..., list[tuple[list[Any], list[Any]]]]


def frames(clip: Clip, count: int, bits: int = 8) -> list[Pair]:
    return [(tuple(reference), tuple(distorted)) for reference, distorted in clip(count, 67, 45, "400", bits)]


def measured(engine: Engine, pairs: list[Pair], form: Format = FORM) -> Scores:
    batch = engine.open(REQUESTS, form)
    try:
        for index, (reference, distorted) in enumerate(pairs):
            batch.read(index, reference, distorted)
        return batch.harvest()
    finally:
        batch.close()


def assert_same(found: Scores, expected: Scores) -> None:
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        np.testing.assert_array_equal(found[key], values, err_msg=key)


@pytest.mark.parametrize("bits", [8, 10])
def test_scores_are_those_of_libvmaf(clip: Clip, bits: int) -> None:
    form = Format.planar(67, 45, "400", bits)
    pairs = frames(clip, 7, bits)
    with fake_driver():
        assert_same(measured(ENGINE, pairs, form), measured(LIBVMAF, pairs, form))


def test_a_ladder_is_measured_together() -> None:
    versions: list[Planes] = [
        (content(kind, 67, 45, 8, i),) for i, kind in enumerate(("noise", "texture", "ramp", "stripes"))
    ]
    reference = (content("texture", 67, 45, 8, 9),)
    requests = {request: keys for request, keys in REQUESTS.items() if request.extractor != "motion"}
    found: list[Scores] = []
    expected: list[Scores] = []
    with fake_driver():
        for engine, scores in ((ENGINE, found), (LIBVMAF, expected)):
            batch = engine.open(requests, FORM)
            batch.read_versions(0, reference, versions[:2])
            batch.read_versions(2, reference, versions[1:])
            batch.read(5, reference, versions[0])
            scores.append(batch.harvest())
    assert_same(found[0], expected[0])


def test_results_share_the_cache() -> None:
    request = Request("vif")
    assert ENGINE.equals == LIBVMAF.name
    assert ENGINE.identity_for(request, FORM) == LIBVMAF.identity_for(request, FORM)
    assert ENGINE.needs(request) == LIBVMAF.needs(request)


# Each kernel whose sums reach a score, and the measure that it belongs to.
@pytest.mark.parametrize(
    ("kernel", "measure"),
    [
        ("vif_statistics_0_bytes", "VIF"),
        ("vif_statistics_3", "VIF"),
        ("adm_lines", "ADM"),
        ("adm_visible_2", "ADM"),
        ("adm_reference_cubes_1", "ADM"),
        ("motion_difference_bytes", "motion"),
    ],
)
def test_a_wrong_sum_fails_the_first_job(clip: Clip, kernel: str, measure: str) -> None:
    with fake_driver(FAKE_CUDA_WRONG=kernel), pytest.raises(NativeError, match=rf"^{measure} of the golden frames"):
        measured(ENGINE, frames(clip, 2))


def test_a_wrong_sum_of_the_sampled_frame_fails_the_job(clip: Clip) -> None:
    # The golden frames start the kernel of 8 bits twice.
    driver = fake_driver(FAKE_CUDA_WRONG="vif_statistics_0_bytes", FAKE_CUDA_FROM="2")
    with driver, pytest.raises(NativeError, match=r"^VIF of frame \d+ of a clip of 67x45 by processor \(fake CUDA\)"):
        measured(ENGINE, frames(clip, 4))


def test_a_process_starts_again_after_its_end(clip: Clip) -> None:
    pairs = frames(clip, 3)
    with fake_driver():
        batch = ENGINE.open(REQUESTS, FORM)
        batch.read(0, *pairs[0])
        process = ENGINE.process()
        process._child.kill()
        with pytest.raises(NativeError, match="ended by signal 9"):
            batch.harvest()
        batch.close()
        assert_same(measured(ENGINE, pairs), measured(LIBVMAF, pairs))
        assert ENGINE.process() is not process


def test_a_device_that_gave_wrong_golden_frames_is_not_used_later(clip: Clip) -> None:
    with fake_driver(FAKE_CUDA_WRONG="vif_statistics_0_bytes"):
        for _ in range(2):
            with pytest.raises(NativeError, match=r"^VIF of the golden frames"):
                measured(ENGINE, frames(clip, 2))


def test_motion_that_is_always_zero_needs_no_device(clip: Clip) -> None:
    options = (("motion_force_zero", "true"),)
    requests = {Request("motion", options): list(score_keys("motion", dict(options)))}
    found: list[Scores] = []
    with fake_driver():
        for engine in (ENGINE, LIBVMAF):
            batch = engine.open(requests, FORM)
            for index, (reference, _) in enumerate(frames(clip, 3)):
                batch.read(index, reference, None)
            found.append(batch.harvest())
    assert_same(*found)


def test_motion_of_several_versions_is_refused(clip: Clip) -> None:
    (reference, distorted), *_ = frames(clip, 1)
    requests = {request: keys for request, keys in REQUESTS.items() if request.extractor == "motion"}
    with fake_driver():
        batch = ENGINE.open(requests, FORM)
        with pytest.raises(InputError, match="motion is measured of pairs or of the reference alone"):
            batch.read_versions(0, reference, [distorted, distorted])
        batch.close()


def test_a_sample_of_a_clip_may_be_any_of_its_frames() -> None:
    picked: set[int] = set()
    for count in (1, 2, 3, 10, 30, 100, 300, 1000):
        sampler = Sampler()
        for index in range(count):
            plane = np.full((2, 2), index % 256, np.uint8)
            sampler.read((plane,), [(plane,)])
        sample = sampler.sample
        assert sample is not None
        assert sample.row == sample.frame
        assert len(sample.references) == min(3, sample.frame + 1)
        assert [int(plane[0, 0]) for plane in sample.references] == [
            index % 256 for index in range(max(0, sample.frame - 2), sample.frame + 1)
        ]
        picked.add(sample.frame)
    # Not always the first ones.
    assert len(picked) > 3
    assert max(picked) > 30


def test_a_build_without_cuda_says_so() -> None:
    if native().kernels_image():
        assert engine_name("cuda") == "cuda"
        return
    with pytest.raises(UnavailableError, match=r"'cuda' was asked for, but this build .* processor only"):
        load("cuda")
