"""Work of a device in a child process: what it computes, and each way in which it can fail."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import pyvmaf
from pyvmaf import engines
from pyvmaf.engines.device import process
from pyvmaf.engines.libvmaf import build
from pyvmaf.engines.libvmaf.engine import Libvmaf
from pyvmaf.engines.libvmaf_cuda import engine as cuda
from pyvmaf.engines.libvmaf_cuda.requests import covers
from pyvmaf.engines.protocol import Request
from pyvmaf.errors import NativeError, UnavailableError
from pyvmaf.features.cache import entries, read
from pyvmaf.features.ladder import Ladder, extract_ladder
from pyvmaf.features.options import Compute, Reading, Window
from pyvmaf.video.format import Format
from tests.cuda import computers

FEATURES = ["canonical6", "motion", "motion3", "adm_scale0", "psnr_cb"]
FORM = Format.parse("96x64")
VIF = {Request("vif"): ["VMAF_integer_feature_vif_scale0_score"]}


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """A function that makes the engine compute on a device of the tests."""
    monkeypatch.setattr(build, "cuda_architectures", lambda: ("sm_75",))
    monkeypatch.setattr(engines, "cuda_architectures", lambda: ("sm_75",))
    monkeypatch.setattr(build, "nvcc", lambda: "13.0.88")
    monkeypatch.setattr(cuda, "device", computers)
    monkeypatch.setattr(process, "_processes", {})
    yield lambda name: monkeypatch.setenv(engines.DEVICE_VARIABLE, name)
    process._stop_all()


def measured(
    pair: tuple[Path, Path], backend: str, cache: Path | None = None, threads: int = 2, frames: int = 12
) -> Ladder:
    compute = Compute(backend=backend, threads=threads, cache=cache)
    reading = Reading(window=Window(0, frames))
    distorted = {"a": pair[1], "b": pair[0]}
    return extract_ladder(pair[0], distorted, features=FEATURES, model="vmaf_v0.6.1", reading=reading, compute=compute)


@pytest.mark.parametrize("threads", [1, 3])
def test_scores_come_through_the_process_as_they_are(
    pair: tuple[Path, Path], device: Callable[[str], None], threads: int
) -> None:
    device("good")
    expected, found = measured(pair, "cpu"), measured(pair, "libvmaf-cuda", threads=threads)
    for name, rung in expected.rungs.items():
        own = found.rungs[name]
        assert own.vmaf is not None
        assert rung.vmaf is not None
        np.testing.assert_array_equal(own.vmaf, rung.vmaf)
        for column, values in rung.features.items():
            np.testing.assert_array_equal(own.features[column], values, err_msg=column)


def test_ten_bits_and_another_window_come_through(
    pair: tuple[Path, Path], device: Callable[[str], None], convert: Callable[..., Path]
) -> None:
    device("good")
    deep = [convert(path, f"{path.stem}-10.mkv", "-pix_fmt", "yuv420p10le", "-c:v", "ffv1") for path in pair]
    reading = Reading(window=Window(5, 30, 4))
    ladders = [
        extract_ladder(
            deep[0],
            {"a": deep[1]},
            features="canonical6",
            model=None,
            reading=reading,
            compute=Compute(backend=backend),
        )
        for backend in ("cpu", "libvmaf-cuda")
    ]
    for column, values in ladders[0].rungs["a"].features.items():
        np.testing.assert_array_equal(ladders[1].rungs["a"].features[column], values, err_msg=column)


def test_no_entry_of_the_processor_answers_for_the_device(
    pair: tuple[Path, Path], device: Callable[[str], None], tmp_path: Path
) -> None:
    device("good")
    for backend in ("cpu", "libvmaf-cuda"):
        assert measured(pair, backend, tmp_path).cached == 0
        assert measured(pair, backend, tmp_path).computed == []
    keys = [read(path)[0] for path in entries(tmp_path)]
    assert {key["engine"] for key in keys} == {"libvmaf", "libvmaf-cuda"}
    own = [key for key in keys if key["engine"] == "libvmaf-cuda"]
    # Each entry names what computed it: the device, or the processor in the same pass.
    on_device = {key["extractor"] for key in own if "cuda-13.0.88" in key["identity"] and "extractor" in key}
    assert on_device == {"vif", "adm", "motion"}
    assert {key["extractor"] for key in own if "extractor" in key} == {*on_device, "psnr"}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("abort", r"the process of engine 'libvmaf-cuda' ended by signal 6 \(read\).*: no score of it is used"),
        ("print", r"printed an error \((read|harvest)\): code: 700; description: CUDA_ERROR_ILLEGAL_ADDRESS: no score"),
        ("raise", r"engine 'libvmaf-cuda' failed: RuntimeError: no such thing"),
        ("nan", r"returned nan as \S+ of the pair \d+ that it read, and 1 values of \d+ that are not numbers"),
        ("short", r"returned \d+ values of \S+ for \d+ pairs of frames"),
        ("lost", r"returned 0 values of \S+ for \d+ pairs of frames"),
        (
            "off",
            r"computes VMAF_integer_feature_vif_scale0_score of pair 0 as 0\.\d{6}, the processor as 0\.\d{6}: they may differ by "
            r"0\.001",
        ),
    ],
)
def test_a_fault_of_the_device_fails_the_job(
    pair: tuple[Path, Path], device: Callable[[str], None], tmp_path: Path, fault: str, message: str
) -> None:
    device(fault)
    with pytest.raises(NativeError, match=message):
        measured(pair, "libvmaf-cuda", tmp_path)
    # Nothing of the pass was kept.
    assert not list(entries(tmp_path))
    # Another job starts another process.
    device("good")
    assert measured(pair, "libvmaf-cuda", tmp_path).computed


def test_a_device_that_hangs_is_given_up(
    pair: tuple[Path, Path], device: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "SECONDS", 4.0)
    device("slow")
    with pytest.raises(NativeError, match=r"did not answer within 4 seconds \(read\)"):
        measured(pair, "libvmaf-cuda", threads=1)
    (child,) = process._processes.values()
    assert child._child.returncode == -9


def test_a_device_that_is_missing_is_named(pair: tuple[Path, Path], device: Callable[[str], None]) -> None:
    device("absent")
    message = "engine 'libvmaf-cuda' cannot compute: there is no driver: install NVIDIA's driver on this machine, or use backend auto"
    with pytest.raises(UnavailableError, match=message):
        measured(pair, "libvmaf-cuda")


@pytest.mark.parametrize("most", [2, 3])
def test_batches_wait_for_memory(pair: tuple[Path, Path], device: Callable[[str], None], most: int) -> None:
    """One batch is that of the reference; with room for one more, the threads of the ladder take turns."""
    device(f"small:{most}")
    expected, found = measured(pair, "cpu", frames=40), measured(pair, "libvmaf-cuda", threads=3, frames=40)
    for name, rung in expected.rungs.items():
        for column, values in rung.features.items():
            np.testing.assert_array_equal(found.rungs[name].features[column], values, err_msg=column)


def test_too_little_memory_for_one_batch_is_an_error(pair: tuple[Path, Path], device: Callable[[str], None]) -> None:
    device("small:1")
    with pytest.raises(UnavailableError, match="there is memory for 1 batches: use fewer threads or another device"):
        measured(pair, "libvmaf-cuda", threads=3)


def test_threads_share_one_process_and_a_thread_that_fails_gives_back(device: Callable[[str], None]) -> None:
    device("good")
    batches = [cuda.ENGINE.open(VIF, FORM) for _ in range(3)]
    assert len(process._processes) == 1
    frames = [np.full((64, 96), value, np.uint8) for value in (10, 200)]
    results: list[float] = []

    def work(batch: object) -> None:
        assert isinstance(batch, cuda.CheckedBatch)
        for index in range(5):
            batch.read(index, (frames[0],), (frames[1],))
        results.append(float(batch.harvest()["VMAF_integer_feature_vif_scale0_score"][-1]))

    threads = [threading.Thread(target=work, args=[batch]) for batch in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(results)) == 1
    assert len(results) == 3


def test_the_child_ends_with_its_channel(device: Callable[[str], None]) -> None:
    device("good")
    child = process.process_of("libvmaf-cuda", computers.__name__)
    assert child.device["name"] == "processor"
    child.stop()
    assert child._child.returncode == 0
    assert not child.usable
    with pytest.raises(NativeError, match="the process was stopped"):
        child.call({"do": "begin"})


def test_a_forked_process_starts_its_own_child(device: Callable[[str], None]) -> None:
    device("good")
    child = process.process_of("libvmaf-cuda", computers.__name__)
    pid = os.fork()
    if pid == 0:
        os._exit(0 if not child.usable else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert child.usable


@pytest.mark.parametrize(
    ("request_", "on_device"),
    [
        (Request("vif"), True),
        (Request("vif", (("vif_enhn_gain_limit", "1.0"),)), True),
        (Request("vif", (("vif_skip_scale0", "true"),)), False),
        (Request("adm", (("adm_skip_aim", "true"),)), True),
        (Request("adm"), False),
        (Request("adm", (("adm_norm_view_dist", "5.0"), ("adm_skip_aim", "true"))), False),
        (Request("motion", (("debug", "true"),)), True),
        (Request("motion", (("motion_max_val", "18.0"),)), False),
        (Request("psnr"), False),
        (Request("cambi"), False),
    ],
)
def test_requests_that_the_cuda_extractors_do_not_answer_go_to_the_processor(
    device: Callable[[str], None], request_: Request, on_device: bool
) -> None:
    assert covers(request_) is on_device
    processor = Libvmaf().identity_for(request_, FORM)
    assert (cuda.ENGINE.identity_for(request_, FORM) != processor) is on_device
    assert cuda.ENGINE.needs(request_) == Libvmaf().needs(request_)


def test_a_build_without_cuda_is_refused_in_one_line(pair: tuple[Path, Path]) -> None:
    if build.cuda_architectures():
        pytest.skip("this build has CUDA")
    for call in (lambda: pyvmaf.score(*pair, backend="libvmaf-cuda"), lambda: engines.uses("libvmaf-cuda")):
        with pytest.raises(
            UnavailableError, match=r"'libvmaf-cuda' was asked for, but this build .* build it with `make setup CUDA=1`"
        ):
            call()
    assert "libvmaf-cuda" not in engines.backends()
