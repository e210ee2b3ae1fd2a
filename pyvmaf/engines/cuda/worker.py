"""The process that uses a device: an abort of the driver ends it, and not the process that asks for scores.

``python -m pyvmaf.engines.cuda.worker DESCRIPTOR`` answers the messages of a socket until it is closed.
"""

from __future__ import annotations

import mmap
import os
import socket
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from pyvmaf import _native
from pyvmaf.engines.cuda.wire import receive, send

if TYPE_CHECKING:
    from numpy.typing import NDArray


class _Ladder:
    """Frames of one batch, and what was measured of them."""

    def __init__(self, device: _native.KernelsDevice, words: dict[str, Any], descriptor: int) -> None:
        self.ladder = _native.KernelsLadder(
            device,
            words["width"],
            words["height"],
            words["bits"],
            words["most"],
            words["vif"],
            [(limits, additive, tuple(viewing)) for limits, additive, viewing in words["adm"]],
            words["motion"],
            words["at_once"],
        )
        kind = np.uint8 if words["bits"] == 8 else np.uint16
        shape = (words["most"] + 1, words["height"], words["width"])
        memory = mmap.mmap(descriptor, int(np.prod(shape)) * np.dtype(kind).itemsize)
        self._planes: NDArray[np.uint8] | NDArray[np.uint16] = np.frombuffer(memory, kind).reshape(shape)
        self._vif: list[list[NDArray[np.float32]]] = [[] for _ in words["vif"]]
        self._adm: list[list[NDArray[np.float32]]] = [[] for _ in words["adm"]]
        self._motion: list[list[int]] = []
        # Limits of the gain, scales, and numbers of each.
        self._shapes = [(len(limits), 4, 2) for limits in words["vif"]]
        self._shapes += [(len(limits), 4, 3) for limits, _, _ in words["adm"]]

    def push(self, count: int) -> None:
        self.ladder.push(self._planes[0], list(self._planes[1 : count + 1]))
        while self.ladder.pending > self.ladder.at_once:
            self._pop()

    def _pop(self) -> None:
        vif, adm, motion = self.ladder.pop()
        for measured, own in ((vif, self._vif), (adm, self._adm)):
            for array, rows in zip(measured, own, strict=True):
                if len(array):
                    rows.append(array)
        self._motion.append(motion)

    def take(self) -> tuple[dict[str, Any], bytes]:
        """Return the results of all frames since the last call, by their shapes and their bytes."""
        while self.ladder.pending:
            self._pop()
        measures = [(rows, shape) for rows, shape in zip(self._vif + self._adm, self._shapes, strict=True)]
        arrays = [np.concatenate([np.empty((0, *shape), np.float32), *rows]) for rows, shape in measures]
        header = {"shapes": [array.shape for array in arrays], "motion": self._motion}
        for rows in self._vif + self._adm:
            rows.clear()
        self._motion = []
        return header, b"".join(array.tobytes() for array in arrays)


class _Worker:
    def __init__(self, words: dict[str, Any], image: bytes) -> None:
        self.device = _native.KernelsDevice(_index(words["device"]), image)
        self._ladders: dict[int, _Ladder] = {}

    def answer(self, words: dict[str, Any], descriptor: int | None) -> tuple[dict[str, Any], bytes]:
        """Do what a message asks for, and return the answer."""
        batch, task = words["batch"], words["do"]
        if task == "open" and descriptor is not None:
            self._ladders.pop(batch, None)
            ladder = _Ladder(self.device, words, descriptor)
            self._ladders[batch] = ladder
            return {
                "at_once": ladder.ladder.at_once,
                "device_memory": ladder.ladder.device_memory,
                "pinned_memory": ladder.ladder.pinned_memory,
            }, b""
        if task == "push":
            self._ladders[batch].push(words["count"])
        elif task == "take":
            return self._ladders[batch].take()
        elif task == "close":
            self._ladders.pop(batch, None)
        else:
            raise RuntimeError(f"unknown message {task!r}")
        return {}, b""


def _index(name: str) -> int:
    """Return the index of a device by its index or the start of its UUID, as the driver prints it."""
    if name.isdigit():
        return int(name)
    uuids = [uuid for _, uuid, _, _ in _native.kernels_devices()]
    found = [index for index, uuid in enumerate(uuids) if uuid.startswith(name)]
    if len(found) != 1:
        raise _native.KernelsUnavailableError(
            f"no CUDA device has the UUID {name!r}: there are {', '.join(uuids) or 'none'}"
        )
    return found[0]


def _error(error: Exception) -> dict[str, str]:
    kind = (
        "unavailable"
        if isinstance(error, _native.KernelsUnavailableError)
        else "device"
        if isinstance(error, _native.KernelsError)
        else "input"
        if isinstance(error, ValueError)
        else "internal"
    )
    return {"error": kind, "message": str(error) or type(error).__name__}


def serve(connection: socket.socket) -> None:
    """Answer messages until the other side closes the connection."""
    worker: _Worker | None = None
    while True:
        try:
            words, payload, descriptor = receive(connection)
        except OSError:
            return
        try:
            if worker is None:
                worker = _Worker(words, payload)
                device = worker.device
                header: dict[str, Any] = {
                    "name": device.name,
                    "uuid": device.uuid,
                    "capability": device.capability,
                    "driver": device.driver_version,
                    "memory": device.memory(),
                }
                result = b""
            else:
                header, result = worker.answer(words, descriptor)
        except (RuntimeError, ValueError, TypeError, MemoryError) as error:
            header, result = _error(error), b""
        finally:
            if descriptor is not None:
                os.close(descriptor)
        try:
            send(connection, header, result)
        except OSError:
            return


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
