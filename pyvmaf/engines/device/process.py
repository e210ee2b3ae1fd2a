"""A device's child process as its parent sees it, and batches of frames that it computes.

Whatever goes wrong in the child fails the job: a signal that ends it (an abort of CUDA), a line that it prints (libvmaf
prints errors of CUDA and goes on with wrong data), a call that takes too long, a score that is missing or not a number.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import mmap
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pyvmaf.engines import DEVICE_VARIABLE
from pyvmaf.engines.device import worker
from pyvmaf.engines.device.computer import ANY
from pyvmaf.engines.device.wire import Message, new_memory, open_memory, receive, send
from pyvmaf.engines.protocol import Batch, Requests
from pyvmaf.errors import InputError, NativeError, UnavailableError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pyvmaf.engines.protocol import Scores
    from pyvmaf.video.format import Format
    from pyvmaf.video.reader import Planes

SECONDS = 300.0
"""Time that one call may take before the device counts as hung; the first includes the start of the driver."""

_REMEDIES = {
    "build": "build it with `make setup CUDA=1` (-DPYVMAF_CUDA=ON), or use backend auto",
    "driver": "install NVIDIA's driver on this machine, or use backend auto",
    "function": "install a newer driver of NVIDIA on this machine, or use backend auto",
    "version": "install a newer driver of NVIDIA on this machine, or use backend auto",
    "start": "check the driver with nvidia-smi, or use backend auto",
    "device": f"set {DEVICE_VARIABLE} to the index or UUID of a device (nvidia-smi -L), or use backend auto",
    "capability": "use a device of compute capability 7.5 or later, or backend auto",
    "memory": "use fewer threads or another device, or backend auto",
}


def unavailable(engine: str, kind: str, message: str) -> UnavailableError:
    """Make the error for an engine whose build, driver or device is missing.

    Args:
        engine: its name.
        kind: what is missing, as in `_native.CudaError`.
        message: what was found.
    """
    return UnavailableError(f"engine {engine!r} cannot compute: {message}: {_REMEDIES[kind]}")


class _Busy(Exception):  # noqa: N818
    """The device has too little memory left for a batch."""


class DeviceProcess:
    """A child that computes on a device, for all batches of this process."""

    def __init__(self, engine: str, module: str, device: str) -> None:
        """Start the child, and wait until the device is ready.

        Args:
            engine: name of the engine, for messages.
            module: dotted module with ``start``, see `pyvmaf.engines.device.worker`.
            device: index or UUID of the device, or `ANY`.

        Raises:
            UnavailableError: the driver, the device or what it needs is missing.
            NativeError: the child failed.
        """
        self.engine, self.owner = engine, os.getpid()
        self._lock = threading.Lock()
        self._failure: str | None = None
        self._output = tempfile.TemporaryFile()  # noqa: SIM115
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.settimeout(SECONDS)
        command = [sys.executable, "-W", "ignore", "-m", worker.__name__, str(theirs.fileno()), module, device]
        with theirs:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                pass_fds=[theirs.fileno()],
            )
        answer, _ = self._answer("starting")
        if "error" in answer:
            self.stop()
            raise unavailable(engine, answer["kind"], answer["error"])
        self.device: dict[str, Any] = answer["device"]

    @property
    def usable(self) -> bool:
        """Whether the child can be asked: it belongs to this process and has not failed."""
        return self._failure is None and self.owner == os.getpid()

    def call(self, message: Message, files: Sequence[int] = ()) -> tuple[Message, list[int]]:
        """Send a message and return the answer.

        Raises:
            InputError, NativeError, UnavailableError: as `try_call`; the last one if the device has too little memory.
        """
        try:
            return self.try_call(message, files)
        except _Busy as busy:
            raise unavailable(self.engine, "memory", str(busy)) from None

    def try_call(self, message: Message, files: Sequence[int] = ()) -> tuple[Message, list[int]]:
        """Send a message and return the answer.

        Raises:
            _Busy: the device has too little memory now.
            InputError: the frames do not fit.
            NativeError: the child failed, now or before.
        """
        with self._lock:
            if self._failure is not None:
                raise NativeError(self._failure)
            try:
                send(self._channel, message, files)
            except OSError:
                raise self._ended(message["do"]) from None
            answer, received = self._answer(message["do"])
        if "error" not in answer:
            return answer, received
        if answer["kind"] == "memory":
            raise _Busy(answer["error"])
        if answer["kind"] == "input":
            raise InputError(f"engine {self.engine!r} cannot measure this: {answer['error']}")
        raise NativeError(f"engine {self.engine!r} failed: {answer['error']}: no score of it is used: use backend auto")

    def _answer(self, what: str) -> tuple[Message, list[int]]:
        try:
            answer, files = receive(self._channel)
        except EOFError:
            raise self._ended(what) from None
        except TimeoutError:
            raise self._failed(f"did not answer within {SECONDS:g} seconds ({what})") from None
        if os.fstat(self._output.fileno()).st_size:
            for file in files:
                os.close(file)
            raise self._failed(f"printed an error ({what})")
        return answer, files

    def _ended(self, what: str) -> NativeError:
        status = self._child.wait()
        how = f"by signal {-status}" if status < 0 else f"with status {status}"
        return self._failed(f"ended {how} ({what})")

    def _failed(self, how: str) -> NativeError:
        self._child.kill()
        self._child.wait()
        self._output.seek(0)
        lines = self._output.read(64 * 1024).decode(errors="replace").splitlines()
        # The end of a traceback names the error; libvmaf's first line names the call that failed first.
        said = [line.strip() for line in lines if line.strip()]
        words = "; ".join([*said[:1], *said[max(1, len(said) - 2) :]])
        told = f"the process of engine {self.engine!r} {how}" + (f": {words}" if words else "")
        self._failure = f"{told}: no score of it is used"
        self._channel.close()
        self._output.close()
        return NativeError(self._failure)

    def stop(self) -> None:
        """End the child: it ends when the channel closes."""
        if self.owner != os.getpid():
            return
        self._failure = self._failure or "the process was stopped"
        self._channel.close()
        try:
            self._child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._output.close()


_processes: dict[tuple[str, str], DeviceProcess] = {}
_starting = threading.Lock()


def process_of(engine: str, module: str, prove: Callable[[DeviceProcess], None] | None = None) -> DeviceProcess:
    """Return the running child of an engine, or start it.

    Args:
        engine, module: as of `DeviceProcess`.
        prove: called with a child that was started; where it raises, the child ends, and the next call starts another.

    Raises:
        UnavailableError, NativeError: as `DeviceProcess`, and what `prove` raises.
    """
    key = (module, os.environ.get(DEVICE_VARIABLE) or ANY)
    with _starting:
        process = _processes.get(key)
        if process is None or not process.usable:
            process = DeviceProcess(engine, *key)
            try:
                if prove is not None:
                    prove(process)
            except BaseException:
                process.stop()
                raise
            _processes[key] = process
        return process


@atexit.register
def _stop_all() -> None:
    for process in _processes.values():
        process.stop()


class Places:
    """Who holds batches on a device, so that a thread can wait until another gives memory back."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._holders: dict[int, int] = {}
        self.waited = 0

    def taken(self) -> int:
        """Count a batch of this thread; return the thread, for `given_back`."""
        me = threading.get_ident()
        with self._changed:
            self._holders[me] = self._holders.get(me, 0) + 1
        return me

    def given_back(self, thread: int) -> None:
        """Count a batch of a thread as closed."""
        with self._changed:
            self._holders[thread] -= 1
            if not self._holders[thread]:
                del self._holders[thread]
            self._changed.notify_all()

    def wait(self) -> bool:
        """Wait until another thread closes a batch; False if none will, or if this thread holds one itself.

        Threads that hold a batch never wait, so threads cannot wait for one another. The thread that reads the clip, which
        is the main thread of most programs, closes its batch at the end only, so that waiting for it alone is in vain.
        """
        with self._changed:
            me, reading = threading.get_ident(), threading.main_thread().ident
            if me in self._holders or not set(self._holders) - {reading}:
                return False
            self.waited += 1
            self._changed.wait(timeout=SECONDS)
            return True


_places: dict[int, Places] = {}


class DeviceBatch(Batch):
    """A batch of luma that the child computes."""

    _numbers = itertools.count()

    def __init__(
        self, process: DeviceProcess, requests: Requests, form: Format, columns: Sequence[str] | None = None
    ) -> None:
        """Open the batch. If the device has too little memory, wait until another thread of this process closes one.

        Args:
            process: the child.
            requests: what it computes.
            form: of the frames.
            columns: names of the columns that it returns; by default the scores of the requests.

        Raises:
            InputError: such frames cannot be measured.
            UnavailableError: there is too little memory even so.
            NativeError: the child failed.
        """
        self._process, self._form = process, form
        self._wanted = [key for keys in requests.values() for key in keys] if columns is None else list(columns)
        self._number, self._count = next(self._numbers), 0
        self._places = _places.setdefault(id(process), Places())
        self._memory: mmap.mmap | None = None
        self._room = 0
        self._holder: int | None = None
        message = {
            "do": "begin",
            "batch": self._number,
            "requests": [[request.extractor, request.options, list(keys)] for request, keys in requests.items()],
            "format": [form.width, form.height, form.bit_depth],
        }
        while True:
            try:
                answer, _ = process.try_call(message)
                break
            except _Busy as busy:
                if not self._places.wait():
                    raise unavailable(process.engine, "memory", str(busy)) from None
        self._holder = self._places.taken()
        self.free, self.total = answer["memory"]

    def read(self, index: int, reference: Planes, distorted: Planes | None) -> None:
        """Read a pair of frames, or one of the reference alone."""
        self.read_versions(index, reference, [] if distorted is None else [distorted])

    def read_versions(self, index: int, reference: Planes, distorted: Sequence[Planes]) -> None:
        """Read a frame of the reference with several distorted versions of it.

        Raises:
            InputError: a plane does not have the batch's size and type, or holds samples of more bits.
            NativeError: the child failed.
            UnavailableError: the device has too little memory for so many versions.
        """
        lumas = [reference[0], *(planes[0] for planes in distorted)]
        self._check(lumas)
        files = self._make_room(len(lumas))
        assert self._memory is not None
        try:
            for place, luma in enumerate(lumas):
                self._slot(place)[...] = luma
            message = {"do": "read", "batch": self._number, "index": index, "count": len(distorted)}
            self._process.call(message, files)
        finally:
            for file in files:
                os.close(file)
        self._count += max(1, len(distorted))

    @property
    def _type(self) -> np.dtype[Any]:
        return np.dtype(np.uint8 if self._form.bit_depth == 8 else np.uint16)

    def _check(self, lumas: Sequence[NDArray[Any]]) -> None:
        expected = ((self._form.height, self._form.width), self._type)
        for place, luma in enumerate(lumas):
            if (luma.shape, luma.dtype) != expected:
                name = f"distorted version {place - 1}" if place else "the reference"
                raise InputError(
                    f"{name} has the shape {luma.shape} and the type {luma.dtype}, must have {expected[0]} and {expected[1]}"
                )

    def _slot(self, place: int) -> NDArray[Any]:
        form, dtype = self._form, self._type
        size = form.width * form.height
        assert self._memory is not None
        slot = np.frombuffer(self._memory, dtype, size, place * size * dtype.itemsize)
        return slot.reshape(form.height, form.width)

    def _make_room(self, count: int) -> list[int]:
        """Make the memory hold so many frames; return its descriptor if the child does not have it yet."""
        if count <= self._room:
            return []
        size = self._form.width * self._form.height * self._type.itemsize
        file, self._memory = new_memory(count * size)
        self._room = count
        return [file]

    def harvest(self) -> Scores:
        """Return the scores.

        Raises:
            NativeError: the child failed, or a score is missing or not a number.
        """
        try:
            answer, files = self._process.call({"do": "harvest", "batch": self._number})
        finally:
            self._leave()
        memory = open_memory(files[0])
        columns: Scores = {}
        offset = 0
        for key, size in answer["columns"]:
            columns[key] = np.frombuffer(memory, np.float64, size, offset).copy()
            offset += size * 8
        for key in self._wanted:
            check_column(self._process.engine, key, columns.get(key), self._count)
        return {key: columns[key] for key in self._wanted}

    def _leave(self) -> None:
        if self._holder is not None:
            self._places.given_back(self._holder)
            self._holder = None

    def close(self) -> None:
        """Free the batch's memory on the device."""
        if self._holder is not None:
            self._leave()
            # Of a child that failed nothing is left to free.
            with contextlib.suppress(NativeError):
                self._process.call({"do": "close", "batch": self._number})


def check_column(engine: str, key: str, values: NDArray[np.float64] | None, count: int) -> None:
    """Refuse a column that is not complete.

    Raises:
        NativeError: values are missing, or are not numbers.
    """
    size = 0 if values is None else values.size
    if values is None or size != count:
        raise NativeError(f"engine {engine!r} returned {size} values of {key} for {count} pairs of frames")
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise NativeError(
            f"engine {engine!r} returned {values[bad[0]]} as {key} of the pair {bad[0]} that it read, and {bad.size} values of "
            f"{count} that are not numbers: no score of it is used"
        )
