"""Kernels of CUDA against those of the processor, to the last bit.

A driver that runs the kernels on the processor takes the place of CUDA's: each launch, block, step and thread, with
sanitizers. What only a device does (warps, atomics, its compiler) is left to scripts/gpu_check.sh.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyvmaf import _native
from pyvmaf.engines import DEVICE_VARIABLE
from pyvmaf.engines.cuda.client import Ladder, Results, Wanted, Worker
from pyvmaf.errors import InputError, NativeError, UnavailableError
from tests.make.cuda_driver import fake_driver
from tests.make.planes import CONTENTS, Plane, content

pytestmark = pytest.mark.xdist_group("cuda")

VIEWING = (3.0, 1080, 0.03125, 0)
LIMITS = [100.0, 1.0]
ALL = Wanted([LIMITS], [(LIMITS, True, VIEWING)], [1, 2])


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with fake_driver():
        started = Worker()
        yield started
        assert started.printed() == ""
        started.close()


def by_processor(frames: Sequence[tuple[Plane, list[Plane]]], bits: int, wanted: Wanted) -> Results:
    """Measure with plain C++."""
    height, width = frames[0][0].shape
    most = max(len(distorted) for _, distorted in frames)
    vif = [_native.Vif(width, height, bits, most, limits, "portable") for limits in wanted.vif]
    adm = [
        _native.Adm(width, height, bits, most, limits, additive, *viewing, "portable")
        for limits, additive, viewing in wanted.adm
    ]
    motion = [_native.Motion(width, height, bits, distance, "portable") for distance in wanted.motion]
    return Results(
        [np.concatenate([kernel.measure(*frame) for frame in frames]) for kernel in vif],
        [np.concatenate([kernel.measure(*frame) for frame in frames]) for kernel in adm],
        [[kernel.measure(reference) for kernel in motion] for reference, _ in frames],
    )


def by_device(worker: Worker, frames: Sequence[tuple[Plane, list[Plane]]], bits: int, wanted: Wanted) -> Results:
    height, width = frames[0][0].shape
    most = max(len(distorted) for _, distorted in frames)
    ladder = Ladder(worker, width, height, bits, most, wanted, at_once=2)
    for frame in frames:
        ladder.push(*frame)
    results = ladder.take()
    ladder.close()
    return results


def compare(worker: Worker, frames: Sequence[tuple[Plane, list[Plane]]], bits: int, wanted: Wanted = ALL) -> None:
    found, expected = by_device(worker, frames, bits, wanted), by_processor(frames, bits, wanted)
    for name in ("vif", "adm"):
        for own, other in zip(getattr(found, name), getattr(expected, name), strict=True):
            np.testing.assert_array_equal(own, other, err_msg=name)
    assert found.motion == expected.motion


@settings(max_examples=25, deadline=None)
@given(
    width=st.integers(33, 190),
    height=st.integers(33, 90),
    bits=st.sampled_from([8, 10, 12]),
    kinds=st.lists(st.sampled_from(CONTENTS), min_size=2, max_size=4),
    seed=st.integers(0, 999),
)
def test_any_frames(worker: Worker, width: int, height: int, bits: int, kinds: list[str], seed: int) -> None:
    planes = [content(kind, width, height, bits, seed + i) for i, kind in enumerate(kinds)]
    compare(worker, [(planes[0], planes[1:]), (planes[1], planes[:1])], bits)


@pytest.mark.parametrize("bits", [8, 12])
# Whole tiles of VIF (112, 120, 124 columns), of its smaller pictures and of wavelets, and one more or less.
@pytest.mark.parametrize("size", [(33, 33), (112, 64), (113, 65), (240, 34), (249, 33), (311, 49), (126, 144)])
def test_sizes_at_the_edges_of_tiles(worker: Worker, size: tuple[int, int], bits: int) -> None:
    reference = content("texture", *size, bits, 1)
    compare(worker, [(reference, [content("noise", *size, bits, 2), content("stripes", *size, bits, 3)])], bits)


@pytest.mark.parametrize("bits", [8, 12])
def test_hard_edges(worker: Worker, bits: int) -> None:
    peak = 2**bits - 1
    y, x = np.mgrid[:47, :71]
    kind = np.uint8 if bits == 8 else np.uint16
    patterns = (x % 2, y % 2, (x + y) % 2, x // 2 % 2, (x // 2 + y // 2) % 2, x // 4 % 2, (x > 48) & (y > 30))
    planes: list[Plane] = [(peak * pattern).astype(kind) for pattern in patterns]
    compare(worker, [(reference, planes) for reference in planes], bits)


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted([[1.0], [100.0, 1.2]], [], []),
        Wanted([], [([7.0], False, VIEWING), ([1.0], True, (5.0, 2160, 0.02, 3)), (LIMITS, True, VIEWING)], []),
        Wanted([], [], [2]),
    ],
)
def test_measures_do_not_depend_on_each_other(worker: Worker, wanted: Wanted) -> None:
    planes = [content(kind, 97, 65, 10, 6) for kind in CONTENTS]
    sharper = np.clip(512 + 1.3 * (planes[0].astype(np.float64) - 512), 0, 1023).astype(np.uint16)
    compare(worker, [(planes[0], [planes[1], sharper]), (planes[1], [planes[0]]), (planes[2], planes[3:4])], 10, wanted)


def test_many_frames_and_the_reference_alone(worker: Worker) -> None:
    planes = [content(CONTENTS[i % 4], 60, 40, 8, i) for i in range(9)]
    frames = [(plane, [planes[i - 1]] if i % 3 else []) for i, plane in enumerate(planes)]
    found = by_device(worker, frames, 8, ALL)
    expected = by_processor([frame for frame in frames if frame[1]], 8, ALL)
    np.testing.assert_array_equal(found.vif[0], expected.vif[0])
    np.testing.assert_array_equal(found.adm[0], expected.adm[0])
    kernels = [_native.Motion(60, 40, 8, distance, "portable") for distance in (1, 2)]
    assert found.motion == [[kernel.measure(plane) for kernel in kernels] for plane in planes]


def test_ladders_side_by_side(worker: Worker) -> None:
    clips = [[content("texture", 64 + 8 * i, 48, 8, 10 * i + j) for j in range(3)] for i in range(3)]
    ladders = [Ladder(worker, clip[0].shape[1], 48, 8, 1, ALL) for clip in clips]
    for j in range(3):
        for clip, ladder in zip(clips, ladders, strict=True):
            ladder.push(clip[j], [clip[0]])
    for clip, ladder in zip(clips, ladders, strict=True):
        found, expected = ladder.take(), by_processor([(plane, [clip[0]]) for plane in clip], 8, ALL)
        np.testing.assert_array_equal(found.vif[0], expected.vif[0])
        np.testing.assert_array_equal(found.adm[0], expected.adm[0])
        assert found.motion == expected.motion
        ladder.close()


def test_what_does_not_fit_is_refused(worker: Worker) -> None:
    for words, message in (
        ((32, 40, 8, 1, ALL), "32x40 are smaller than 33x33"),
        ((40, 40, 9, 1, ALL), "9 bits: must be 8, 10 or 12"),
        ((40, 40, 8, 1, Wanted([[]], [], [])), "0 limits of the gain: must be 1 or 2"),
        ((40, 40, 8, 1, Wanted([], [], [3])), "distance 3: must be 1 or 2"),
        ((40, 40, 8, 1, Wanted([], [], [])), "nothing is to be measured"),
        ((40, 40, 8, 1, ALL, 0), "0 frames at once"),
    ):
        with pytest.raises(InputError, match=message):
            Ladder(worker, *words)
    ladder = Ladder(worker, 40, 48, 10, 1, ALL)
    frame = np.zeros((48, 40), np.uint16)
    for reference, distorted, message in (
        (frame[1:], [frame], r"the reference has the shape \(47, 40\)"),
        (frame, [frame.astype(np.uint8)], "distorted version 0 has the shape .* and the type uint8"),
        (frame, [frame + np.uint16(1024)], "distorted version 0 holds 1024 at row 0, column 0: more than the 1023"),
    ):
        with pytest.raises(InputError, match=message):
            ladder.push(reference, distorted)
    ladder.close()


def test_less_memory_means_fewer_frames_at_once() -> None:
    frames = [(content("texture", 90, 70, 8, i), [content("noise", 90, 70, 8, i)]) for i in range(4)]
    with fake_driver():
        started = Worker()
        facts = Ladder(started, 90, 70, 8, 1, ALL, at_once=4).facts
        started.close()
    assert facts["at_once"] == 4
    frame_bytes = facts["device_memory"] // 6
    with fake_driver(FAKE_CUDA_MEMORY=str(4 * frame_bytes)):
        started = Worker()
        ladder = Ladder(started, 90, 70, 8, 1, ALL, at_once=4)
        assert 1 <= ladder.facts["at_once"] < 4
        assert ladder.facts["device_memory"] <= 4 * frame_bytes
        ladder.close()
        compare(started, frames, 8)
        started.close()
    with fake_driver(FAKE_CUDA_MEMORY=str(2 * frame_bytes)):
        started = Worker()
        with pytest.raises(NativeError, match=r"frames of 90x70 with 1 distorted versions need \d+ MiB"):
            Ladder(started, 90, 70, 8, 1, ALL)
        started.close()


@pytest.mark.parametrize("call", ["cuLaunchKernel", "cuMemcpyHtoDAsync_v2", "cuEventSynchronize"])
def test_an_error_of_the_device_is_reported(call: str) -> None:
    with fake_driver(FAKE_CUDA_FAULT=call, FAKE_CUDA_FROM="1"):
        started = Worker()
        frame = content("texture", 40, 40, 8, 1)
        with pytest.raises(NativeError, match="failed on the CUDA device: CUDA_ERROR_ILLEGAL_ADDRESS"):
            by_device(started, [(frame, [frame])] * 8, 8, ALL)
        started.close()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"FAKE_CUDA_DEVICES": "0"}, "the CUDA driver does not start: CUDA_ERROR_NO_DEVICE"),
        ({"FAKE_CUDA_CAPABILITY": "70"}, "has compute capability 7.0: the kernels need 7.5 or more"),
        ({DEVICE_VARIABLE: "1"}, "CUDA device 1 is missing: the driver has 1"),
        ({DEVICE_VARIABLE: "GPU-77"}, "no CUDA device has the UUID 'GPU-77': there are GPU-00010203-0405"),
        ({"LD_LIBRARY_PATH": "/nowhere"}, "the CUDA driver is missing: libcuda.so.1 cannot be loaded"),
    ],
)
def test_what_is_missing_is_named(words: dict[str, str], message: str) -> None:
    with fake_driver(**words), pytest.raises(UnavailableError, match=message):
        Worker()


def test_a_driver_without_a_function_is_refused(tmp_path: Path) -> None:
    library = tmp_path / "libcuda.so.1"
    subprocess.run(
        ["gcc", "-shared", "-x", "c", "-", "-o", library], input=b"int cuInit(unsigned f) { return f; }", check=True
    )
    message = r"too old: libcuda\.so\.1 does not have cuGetErrorName"
    with fake_driver(LD_LIBRARY_PATH=str(tmp_path)), pytest.raises(UnavailableError, match=message):
        Worker()


def test_a_device_by_its_uuid() -> None:
    with fake_driver(**{"FAKE_CUDA_DEVICES": "2", DEVICE_VARIABLE: "GPU-1011"}):
        started = Worker()
        assert started.device.uuid.startswith("GPU-10111213-")
        started.close()


def test_a_worker_that_ends_is_reported(worker: Worker) -> None:
    assert worker.alive()
    with fake_driver():
        own = Worker()
        os.kill(own._process.pid, 9)
        with pytest.raises(NativeError, match="the process that uses the CUDA device was ended by signal 9"):
            Ladder(own, 40, 40, 8, 1, ALL)
        assert not own.alive()
        own.close()
