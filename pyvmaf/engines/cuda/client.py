"""The worker of this process, and batches of frames that it measures."""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from pyvmaf.engines import DEVICE_VARIABLE, without_cuda
from pyvmaf.engines.cuda.wire import receive, send
from pyvmaf.engines.libvmaf.build import native
from pyvmaf.errors import InputError, NativeError, UnavailableError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

AT_ONCE = 3
"""Frames of a batch that are measured at the same time, where the device has room for them."""

SECONDS = 300.0
"""Time that one call may take; the first includes the start of the driver."""

_REMEDY = "use backend auto (--backend auto, `backend: auto` in the configuration)"


def image() -> bytes:
    """Return the compiled kernels of this build.

    Raises:
        UnavailableError: it has none.
    """
    found: bytes = native().kernels_image()
    if not found:
        raise without_cuda("cuda")
    return found


class Device(NamedTuple):
    """The device of a worker.

    Attributes:
        name, uuid: of the device.
        capability: major and minor compute capability.
        driver: version of CUDA of the driver, 1000 * major + 10 * minor.
        memory: free and all bytes, when the worker started.
    """

    name: str
    uuid: str
    capability: tuple[int, int]
    driver: int
    memory: tuple[int, int]


class Worker:
    """A process that uses a device. Threads may share it."""

    def __init__(self) -> None:
        """Start the process and open the device.

        Raises:
            UnavailableError: the build has no kernels, or the driver, the device or its capability is missing.
        """
        kernels = image()
        self.pid = os.getpid()
        self._lock = threading.Lock()
        self._next = 0
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the worker)
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._connection.settimeout(SECONDS)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "pyvmaf.engines.cuda.worker", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=self._errors,
                stderr=self._errors,
                pass_fds=[theirs.fileno()],
            )
        try:
            words, _ = self.call({"device": os.environ.get(DEVICE_VARIABLE) or "0"}, kernels)
        except BaseException:
            self.close()
            raise
        self.device = Device(
            words["name"], words["uuid"], tuple(words["capability"]), words["driver"], tuple(words["memory"])
        )

    def call(
        self, words: dict[str, Any], payload: bytes = b"", descriptor: int | None = None
    ) -> tuple[dict[str, Any], bytes]:
        """Send a message and return the answer.

        Raises:
            InputError: the frames cannot be measured.
            NativeError: the device failed, or the worker ended.
            UnavailableError: as `__init__`.
        """
        with self._lock:
            try:
                send(self._connection, words, payload, descriptor)
                answer, result, _ = receive(self._connection)
            except TimeoutError:
                self._process.kill()
                raise NativeError(f"the CUDA device did not answer within {SECONDS:g} seconds ({_REMEDY})") from None
            except OSError:
                raise NativeError(self._last_words()) from None
        if os.fstat(self._errors.fileno()).st_size:
            self._process.kill()
            raise NativeError(
                f"the process that uses the CUDA device printed an error: {self.printed().splitlines()[0]}"
            )
        if "error" not in answer:
            return answer, result
        message = answer["message"]
        if answer["error"] == "input":
            raise InputError(message)
        if answer["error"] == "unavailable":
            raise UnavailableError(f"backend 'cuda' was asked for, but {message}: {_REMEDY}")
        raise NativeError(f"{message} ({_REMEDY})")

    def _last_words(self) -> str:
        """Say how the worker ended, with the last line that it or the driver printed."""
        try:
            status = self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        ended = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        lines = self.printed().splitlines()
        return f"the process that uses the CUDA device {ended}" + (f": {lines[-1]}" if lines else "")

    def printed(self) -> str:
        """Return what the worker, the driver or a sanitizer printed."""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace").strip()

    def alive(self) -> bool:
        """Tell whether the worker can be used by this process."""
        return self.pid == os.getpid() and self._process.poll() is None

    def new_batch(self) -> int:
        """Return a number for a batch."""
        with self._lock:
            self._next += 1
            return self._next

    def close(self) -> None:
        """End the worker and wait for it."""
        self._connection.close()
        if self.pid == os.getpid():
            try:
                self._process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._errors.close()


class Results(NamedTuple):
    """What was measured of frames.

    Attributes:
        vif, adm: of each measure, float32 of shape (rows, limits of the gain, 4, 2 or 3).
        motion: of each frame and each measure, an int.
    """

    vif: list[NDArray[np.float32]]
    adm: list[NDArray[np.float32]]
    motion: list[list[int]]


class Wanted(NamedTuple):
    """What is measured, as `_native.KernelsLadder` takes it."""

    vif: list[list[float]]
    adm: list[tuple[list[float], bool, tuple[float, int, float, int]]]
    motion: list[int]


class Ladder:
    """Frames that a worker measures: a reference and at most `most` distorted versions each."""

    def __init__(
        self, worker: Worker, width: int, height: int, bits: int, most: int, wanted: Wanted, at_once: int = AT_ONCE
    ) -> None:
        """Take the memory.

        Raises:
            InputError, NativeError: as `Worker.call`.
        """
        import mmap

        import numpy as np

        self._worker, self._batch, self.most = worker, worker.new_batch(), most
        kind = np.uint8 if bits == 8 else np.uint16
        shape = (most + 1, height, width)
        size = int(np.prod(shape)) * np.dtype(kind).itemsize
        descriptor = os.memfd_create("pyvmaf-frames", os.MFD_CLOEXEC)
        try:
            os.ftruncate(descriptor, size)
            self._planes: NDArray[Any] = np.frombuffer(mmap.mmap(descriptor, size), kind).reshape(shape)
            words = {
                "do": "open",
                "batch": self._batch,
                "width": width,
                "height": height,
                "bits": bits,
                "most": most,
                "at_once": at_once,
                **wanted._asdict(),
            }
            self.facts, _ = worker.call(words, descriptor=descriptor)
        finally:
            os.close(descriptor)

    def push(self, reference: NDArray[Any], distorted: Sequence[NDArray[Any]]) -> None:
        """Start to measure a frame.

        Raises:
            InputError, NativeError: as `Worker.call`.
        """
        for index, plane in enumerate((reference, *distorted)):
            if plane.shape != self._planes.shape[1:] or plane.dtype != self._planes.dtype:
                name = f"distorted version {index - 1}" if index else "the reference"
                raise InputError(
                    f"{name} has the shape {plane.shape} and the type {plane.dtype}, must have "
                    f"{self._planes.shape[1:]} and {self._planes.dtype}"
                )
            self._planes[index] = plane
        self._worker.call({"do": "push", "batch": self._batch, "count": len(distorted)})

    def take(self) -> Results:
        """Return what was measured of the frames since the last call; waits for it.

        Raises:
            NativeError: as `Worker.call`.
        """
        import numpy as np

        words, data = self._worker.call({"do": "take", "batch": self._batch})
        arrays, begin = [], 0
        for shape in words["shapes"]:
            count = int(np.prod(shape))
            arrays.append(np.frombuffer(data, np.float32, count, begin).reshape(shape))
            begin += 4 * count
        by_rows = (
            [array for array in arrays if array.shape[-1] == 2],
            [array for array in arrays if array.shape[-1] == 3],
        )
        return Results(*by_rows, words["motion"])

    def close(self) -> None:
        """Free the memory."""
        if self._worker.alive():
            with suppress(NativeError):
                self._worker.call({"do": "close", "batch": self._batch})


_current: Worker | None = None
_starting = threading.Lock()


def worker() -> tuple[Worker, bool]:
    """Return the worker of this process, and whether it was started now.

    Raises:
        UnavailableError: as `Worker`.
    """
    global _current
    with _starting:
        if _current is not None and _current.alive():
            return _current, False
        if _current is not None and _current.pid == os.getpid():
            _current.close()
        _current = Worker()
        return _current, True


def stop() -> None:
    """End the worker of this process, if it has one."""
    global _current
    with _starting:
        if _current is not None and _current.pid == os.getpid():
            _current.close()
        _current = None


atexit.register(stop)
