"""Kernels of CUDA against those of the processor, to the last bit.

A driver that runs the kernels on the processor takes the place of CUDA's: each launch, block, step and thread, with
sanitizers. What only a device does (warps, atomics, its compiler) is left to scripts/gpu_check.sh.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pyvmaf import _native
from pyvmaf.engines import DEVICE_VARIABLE
from pyvmaf.engines.cuda.measures import Measured, Measures
from pyvmaf.engines.device.computer import ANY
from pyvmaf.engines.device.process import DeviceBatch, DeviceProcess, process_of
from pyvmaf.engines.protocol import Request, Requests
from pyvmaf.errors import InputError, NativeError, UnavailableError
from pyvmaf.video.format import Format
from tests.make import cuda_computer
from tests.make.cuda_driver import fake_driver
from tests.make.planes import CONTENTS, Plane, content

pytestmark = pytest.mark.xdist_group("cuda")

Frame = tuple[Plane, list[Plane]]


def requests(*wanted: tuple[str, Mapping[str, str]]) -> Requests:
    return {Request(name, tuple(sorted(options.items()))): [] for name, options in wanted}


ALL = requests(
    ("vif", {}),
    ("vif", {"vif_enhn_gain_limit": "1.0"}),
    ("adm", {}),
    ("adm", {"adm_enhn_gain_limit": "1.0"}),
    ("motion", {}),
    ("motion", {"motion_five_frame_window": "true"}),
)


def started() -> DeviceProcess:
    return process_of("cuda", cuda_computer.__name__)


@pytest.fixture(scope="module")
def process() -> Iterator[DeviceProcess]:
    with fake_driver():
        child = DeviceProcess("cuda", cuda_computer.__name__, ANY)
        yield child
        child.stop()


def form_of(frames: Sequence[Frame], bits: int) -> Format:
    height, width = frames[0][0].shape
    return Format.planar(width, height, "400", bits)


def by_processor(frames: Sequence[Frame], bits: int, wanted: Requests) -> Measured:
    """Measure with plain C++."""
    form = form_of(frames, bits)
    measures = Measures(wanted, form, "portable")
    pairs = [((reference,), [(plane,) for plane in distorted]) for reference, distorted in frames]
    motion = [
        _native.Motion(form.width, form.height, bits, distance, "portable") for distance in measures.wanted.motion
    ]
    return Measured(
        [np.concatenate([scores.measure(*pair) for pair in pairs]) for scores in measures.vif],
        [np.concatenate([scores.measure(*pair) for pair in pairs]) for scores in measures.adm],
        [np.array([kernel.measure(reference) for reference, _ in frames]) for kernel in motion],
    )


def opened(process: DeviceProcess, form: Format, wanted: Requests = ALL) -> DeviceBatch:
    return DeviceBatch(process, wanted, form, Measures(wanted, form, "").columns())


def by_device(process: DeviceProcess, frames: Sequence[Frame], bits: int, wanted: Requests) -> Measured:
    form = form_of(frames, bits)
    batch, pairs = opened(process, form, wanted), 0
    for reference, distorted in frames:
        batch.read_versions(pairs, (reference,), [(plane,) for plane in distorted])
        pairs += max(1, len(distorted))
    return Measures(wanted, form, "").from_columns(batch.harvest())


def assert_same(found: Measured, expected: Measured) -> None:
    for name in Measured._fields:
        for values, others in zip(getattr(found, name), getattr(expected, name), strict=True):
            np.testing.assert_array_equal(values, others, err_msg=name)


def compare(process: DeviceProcess, frames: Sequence[Frame], bits: int, wanted: Requests = ALL) -> None:
    """Compare what depends on distorted versions, and what depends on the reference alone."""
    alone: list[Frame] = [(reference, []) for reference, _ in frames]
    for motion, own in ((False, list(frames)), (True, alone)):
        part = {request: keys for request, keys in wanted.items() if (request.extractor == "motion") is motion}
        if part:
            assert_same(by_device(process, own, bits, part), by_processor(own, bits, part))


_LADDERS = """
import json, sys
import numpy as np
from pyvmaf import _native

device = _native.KernelsDevice(0, b"fake")

def ladder(width=40, height=40, bits=8, vif=[[100.0, 1.0]], adm=[([100.0, 1.0], True, (3.0, 1080, 0.03125, 0))],
           motion=[1, 2], at_once=2):
    return _native.KernelsLadder(device, width, height, bits, 1, vif, adm, motion, at_once)
"""


def ladders(code: str) -> Any:
    """Run code in a child that makes ladders itself, and return what it prints."""
    done = subprocess.run([sys.executable, "-c", _LADDERS + code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@settings(max_examples=25, deadline=None)
@given(
    width=st.integers(33, 190),
    height=st.integers(33, 90),
    bits=st.sampled_from([8, 10, 12]),
    kinds=st.lists(st.sampled_from(CONTENTS), min_size=2, max_size=4),
    seed=st.integers(0, 999),
)
def test_any_frames(process: DeviceProcess, width: int, height: int, bits: int, kinds: list[str], seed: int) -> None:
    planes = [content(kind, width, height, bits, seed + i) for i, kind in enumerate(kinds)]
    compare(process, [(planes[0], planes[1:]), (planes[1], planes[:1])], bits)


@pytest.mark.parametrize("bits", [8, 12])
# Whole tiles of VIF (112, 120, 124 columns), of its smaller pictures and of wavelets, and one more or less.
@pytest.mark.parametrize("size", [(33, 33), (112, 64), (113, 65), (240, 34), (249, 33), (311, 49), (126, 144)])
def test_sizes_at_the_edges_of_tiles(process: DeviceProcess, size: tuple[int, int], bits: int) -> None:
    reference = content("texture", *size, bits, 1)
    compare(process, [(reference, [content("noise", *size, bits, 2), content("stripes", *size, bits, 3)])], bits)


@pytest.mark.parametrize("bits", [8, 12])
def test_hard_edges(process: DeviceProcess, bits: int) -> None:
    peak = 2**bits - 1
    y, x = np.mgrid[:47, :71]
    kind = np.uint8 if bits == 8 else np.uint16
    patterns = (x % 2, y % 2, (x + y) % 2, x // 2 % 2, (x // 2 + y // 2) % 2, x // 4 % 2, (x > 48) & (y > 30))
    planes: list[Plane] = [(peak * pattern).astype(kind) for pattern in patterns]
    compare(process, [(reference, planes) for reference in planes], bits)


_FAR = {"adm_norm_view_dist": "5.0", "adm_ref_display_height": "2160", "adm_noise_weight": "0.02", "adm_csf_mode": "3"}


@pytest.mark.parametrize(
    "wanted",
    [
        requests(*(("vif", {"vif_enhn_gain_limit": limit}) for limit in ("1.0", "100.0", "1.2"))),
        requests(
            ("adm", {"adm_enhn_gain_limit": "7.0", "adm_skip_aim": "true"}),
            ("adm", {"adm_enhn_gain_limit": "1.0", **_FAR}),
            ("adm", {}),
            ("adm", {"adm_enhn_gain_limit": "1.0"}),
        ),
        requests(("motion", {"motion_five_frame_window": "true"})),
    ],
)
def test_measures_do_not_depend_on_each_other(process: DeviceProcess, wanted: Requests) -> None:
    planes = [content(kind, 97, 65, 10, 6) for kind in CONTENTS]
    sharper = np.clip(512 + 1.3 * (planes[0].astype(np.float64) - 512), 0, 1023).astype(np.uint16)
    frames = [(planes[0], [planes[1], sharper]), (planes[1], [planes[0]]), (planes[2], planes[3:4])]
    compare(process, frames, 10, wanted)


def test_what_is_measured_survives_the_columns() -> None:
    form, rng = Format.planar(64, 48, "400", 12), np.random.default_rng(3)
    measures = Measures(ALL, form, "")
    most = np.finfo(np.float32).max
    ratios = rng.uniform(-most, most, (5, 2, 4, 2)).astype(np.float32)
    parts = rng.uniform(-1, 1, (5, 2, 4, 3)).astype(np.float32) * np.float32(1e-38)
    sums = [rng.integers(0, 2**53, 5), rng.integers(0, 2**53, 5)]
    measured = Measured([ratios], [parts], sums)
    columns = measures.to_columns(measured)
    assert list(columns) == measures.columns()
    assert_same(measures.from_columns(columns), measured)


def test_frames_with_and_without_versions_in_one_ladder() -> None:
    with fake_driver():
        found = ladders("""
rng = np.random.default_rng(5)
planes = [rng.integers(0, 256, (40, 60), np.uint8) for _ in range(9)]
frames = [(plane, [planes[i - 1]] if i % 3 else []) for i, plane in enumerate(planes)]
own = ladder(60)
limits = [100.0, 1.0]
vif, adm = _native.Vif(60, 40, 8, 1, limits, "portable"), _native.Adm(60, 40, 8, 1, limits, True, 3.0, 1080, 0.03125, 0, "portable")
motion = [_native.Motion(60, 40, 8, distance, "portable") for distance in (1, 2)]
results, expected = [], []
for frame in frames:
    own.push(*frame)
    while own.pending > own.at_once:
        results.append(own.pop())
while own.pending:
    results.append(own.pop())
same = []
for (reference, distorted), (ratios, parts, sums) in zip(frames, results, strict=True):
    if distorted:
        same.append(np.array_equal(ratios[0], vif.measure(reference, distorted)))
        same.append(np.array_equal(parts[0], adm.measure(reference, distorted)))
    same.append(sums == [kernel.measure(reference) for kernel in motion])
print(json.dumps([bool(equal) for equal in same]))
""")
    assert found == [True] * 21


def test_batches_side_by_side(process: DeviceProcess) -> None:
    clips = [[content("texture", 64 + 8 * i, 48, 8, 10 * i + j) for j in range(3)] for i in range(3)]
    batches = [opened(process, Format.planar(clip[0].shape[1], 48, "400", 8)) for clip in clips]
    for j in range(3):
        for clip, batch in zip(clips, batches, strict=True):
            batch.read(j, (clip[j],), (clip[0],))
    for clip, batch in zip(clips, batches, strict=True):
        frames: list[Frame] = [(plane, [clip[0]]) for plane in clip]
        found = Measures(ALL, form_of(frames, 8), "").from_columns(batch.harvest())
        assert_same(found, by_processor(frames, 8, ALL))


def test_ladders_out_of_range_are_refused() -> None:
    with fake_driver():
        said = ladders("""
said = []
for words in (
    {"width": 32}, {"bits": 9}, {"vif": [[]]}, {"motion": [3]}, {"vif": [], "adm": [], "motion": []}, {"at_once": 0}
):
    try:
        ladder(**words)
    except ValueError as error:
        said.append(str(error))
print(json.dumps(said))
""")
    for text, part in zip(
        said,
        (
            "32x40 are smaller than 33x33",
            "9 bits: must be 8, 10 or 12",
            "0 limits of the gain: must be 1 or 2",
            "distance 3: must be 1 or 2",
            "nothing is to be measured",
            "0 frames at once",
        ),
        strict=True,
    ):
        assert part in text


def test_what_does_not_fit_is_refused(process: DeviceProcess) -> None:
    with pytest.raises(InputError, match=r"engine 'cuda' cannot measure this: .*32x40 are smaller than 33x33"):
        opened(process, Format.planar(32, 40, "400", 8))
    batch = opened(process, Format.planar(40, 48, "400", 10))
    frame: NDArray[np.uint16] = np.zeros((48, 40), np.uint16)
    for reference, distorted, message in (
        (frame[1:], frame, r"the reference has the shape \(47, 40\)"),
        (frame[:1], frame, r"the reference has the shape \(1, 40\)"),
        (frame, frame.astype(np.uint8), "distorted version 0 has the shape .* and the type uint8"),
        (frame, frame + np.uint16(1024), "distorted version 0 holds 1024 at row 0, column 0: more than the 1023"),
    ):
        with pytest.raises(InputError, match=message):
            batch.read(0, (reference,), (distorted,))
    batch.close()


def test_less_memory_means_fewer_frames_at_once() -> None:
    frames: list[Frame] = [(content("texture", 90, 70, 8, i), [content("noise", 90, 70, 8, i)]) for i in range(4)]
    code = "own = ladder(90, 70, at_once=4)\nprint(json.dumps([own.at_once, own.device_memory]))"
    with fake_driver():
        at_once, whole = ladders(code)
    assert at_once == 4
    frame_bytes = whole // 6
    with fake_driver(FAKE_CUDA_MEMORY=str(4 * frame_bytes)):
        at_once, part = ladders(code)
        assert 1 <= at_once < 4
        assert part <= 4 * frame_bytes
        compare(started(), frames, 8)
    message = (
        r"engine 'cuda' cannot compute: frames of 90x70 with 1 distorted versions need \d+ MiB of the CUDA device's memory, "
        r"of which \d+ MiB are free: use fewer threads or another device"
    )
    with fake_driver(FAKE_CUDA_MEMORY=str(2 * frame_bytes)), pytest.raises(UnavailableError, match=message):
        opened(started(), form_of(frames, 8))


def test_too_little_memory_for_more_versions_is_said() -> None:
    reference, *versions = [(content("texture", 90, 70, 8, i),) for i in range(9)]
    wanted = requests(("vif", {}))
    code = "print(json.dumps(ladder(90, 70, adm=[], motion=[], at_once=1).device_memory))"
    with fake_driver():
        size = ladders(code)
    with fake_driver(FAKE_CUDA_MEMORY=str(size)):
        batch = opened(started(), Format.planar(90, 70, "400", 8), wanted)
        batch.read(0, reference, versions[0])
        with pytest.raises(UnavailableError, match="frames of 90x70 with 8 distorted versions need"):
            batch.read_versions(1, reference, versions)
        batch.close()


@pytest.mark.parametrize("call", ["cuLaunchKernel", "cuMemcpyHtoDAsync_v2", "cuEventSynchronize"])
def test_an_error_of_the_device_is_reported(call: str) -> None:
    frame = content("texture", 40, 40, 8, 1)
    message = "engine 'cuda' failed: .* failed on the CUDA device: CUDA_ERROR_ILLEGAL_ADDRESS: no score of it is used"
    with fake_driver(FAKE_CUDA_FAULT=call, FAKE_CUDA_FROM="1"), pytest.raises(NativeError, match=message):
        by_device(started(), [(frame, [frame])] * 8, 8, ALL)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            {"FAKE_CUDA_DEVICES": "0"},
            "the CUDA driver does not start: CUDA_ERROR_NO_DEVICE, which .*: check the driver with nvidia-smi",
        ),
        (
            {"FAKE_CUDA_CAPABILITY": "70"},
            "has compute capability 7.0: the kernels need 7.5 or more: use a device of compute capability 7.5 or later",
        ),
        ({DEVICE_VARIABLE: "1"}, "CUDA device 1 is missing: the driver has 1: set PYVMAF_CUDA_DEVICE"),
        ({DEVICE_VARIABLE: "9" * 30}, "CUDA device 9+ is missing: the driver has 1: set PYVMAF_CUDA_DEVICE"),
        ({DEVICE_VARIABLE: "GPU-77"}, "no CUDA device has the UUID 'GPU-77': there are GPU-00010203-0405"),
        (
            {DEVICE_VARIABLE: "GPU-", "FAKE_CUDA_DEVICES": "2"},
            "2 CUDA devices have the UUID 'GPU-': there are GPU-00010203-0405.*, GPU-1011",
        ),
        (
            {"LD_LIBRARY_PATH": "/nowhere"},
            "the CUDA driver is missing: libcuda.so.1 cannot be loaded: install NVIDIA's driver on this machine",
        ),
    ],
)
def test_what_is_missing_is_named(words: dict[str, str], message: str) -> None:
    with fake_driver(**words), pytest.raises(UnavailableError, match=f"^engine 'cuda' cannot compute: .*{message}"):
        started()


def test_a_driver_without_a_function_is_refused(tmp_path: Path) -> None:
    library = tmp_path / "libcuda.so.1"
    subprocess.run(
        ["gcc", "-shared", "-x", "c", "-", "-o", library], input=b"int cuInit(unsigned f) { return f; }", check=True
    )
    message = r"too old: libcuda\.so\.1 does not have cuGetErrorName: install a newer driver"
    with fake_driver(LD_LIBRARY_PATH=str(tmp_path)), pytest.raises(UnavailableError, match=message):
        started()


def test_a_device_by_its_uuid() -> None:
    with fake_driver(**{"FAKE_CUDA_DEVICES": "2", DEVICE_VARIABLE: "GPU-1011"}):
        assert started().device["uuid"].startswith("GPU-10111213-")
        assert started().device["index"] == 1


def test_processes_choose_different_devices(tmp_path: Path) -> None:
    with fake_driver(FAKE_CUDA_DEVICES="2", TMPDIR=str(tmp_path)):
        children = [DeviceProcess("cuda", cuda_computer.__name__, ANY) for _ in range(3)]
        for child in children:
            child.stop()
    # A third one shares the first device.
    assert [child.device["index"] for child in children] == [0, 1, 0]


def test_a_process_that_ends_is_reported() -> None:
    with fake_driver():
        own = started()
        own._child.kill()
        with pytest.raises(NativeError, match=r"the process of engine 'cuda' ended by signal 9 \(begin\)"):
            opened(own, Format.planar(40, 40, "400", 8))
        assert not own.usable
