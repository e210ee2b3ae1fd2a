"""The child process that owns a device: it opens batches, reads frames into them, and returns their scores.

It is started as ``python -m pyvmaf.engines.device.worker CHANNEL MODULE DEVICE``. The module has a function ``start`` that
takes the device's name and returns a `pyvmaf.engines.device.computer.Computer`. The child ends when its parent does,
because the channel then closes.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import socket
import sys
from collections.abc import Sequence
from importlib import import_module

import numpy as np

from pyvmaf.engines.device.computer import Computer, ComputerBatch, DeviceError, Luma
from pyvmaf.engines.device.wire import Message, new_memory, open_memory, receive, send
from pyvmaf.engines.protocol import Request


class _Open:
    """An open batch, and the memory of its frames."""

    def __init__(self, batch: ComputerBatch, width: int, height: int, bits: int) -> None:
        self.batch = batch
        self._shape, self._type = (height, width), np.dtype(np.uint8 if bits == 8 else np.uint16)
        self._memory: mmap.mmap | None = None

    def frames(self, count: int, files: Sequence[int]) -> list[Luma]:
        if files:
            self._memory = open_memory(files[0])
        assert self._memory is not None
        size = self._shape[0] * self._shape[1]
        return [
            np.frombuffer(self._memory, self._type, size, place * size * self._type.itemsize).reshape(self._shape)
            for place in range(count)
        ]


def _requests(message: Message) -> dict[Request, list[str]]:
    return {
        Request(extractor, tuple((key, value) for key, value in options)): keys
        for extractor, options, keys in message["requests"]
    }


class Worker:
    """Answers messages until the channel closes."""

    def __init__(self, channel: socket.socket, computer: Computer) -> None:
        self._channel, self._computer = channel, computer
        self._open: dict[int, _Open] = {}
        self._flush = ctypes.CDLL(None).fflush

    def run(self) -> None:
        """Answer every message."""
        self._answer({"device": self._computer.describe()})
        while True:
            try:
                message, files = receive(self._channel)
            except EOFError:
                return
            try:
                self._answer(*getattr(self, f"_{message['do']}")(message, files))
            except DeviceError as error:
                self._answer({"kind": error.kind, "error": str(error)})
            except Exception as error:
                self._answer({"kind": "call", "error": f"{type(error).__name__}: {error}"})

    def _answer(self, message: Message, files: Sequence[int] = ()) -> None:
        # What libvmaf printed has to be seen before the answer is believed.
        self._flush(None)
        try:
            send(self._channel, message, files)
        finally:
            for file in files:
                os.close(file)

    def _begin(self, message: Message, files: Sequence[int]) -> tuple[Message]:
        width, height, bits = message["format"]
        batch = self._computer.open(_requests(message), width, height, bits)
        self._open[message["batch"]] = _Open(batch, width, height, bits)
        return ({"memory": self._computer.memory()},)

    def _read(self, message: Message, files: Sequence[int]) -> tuple[Message]:
        batch = self._open[message["batch"]]
        reference, *distorted = batch.frames(1 + message["count"], files)
        batch.batch.read(message["index"], reference, distorted)
        return ({},)

    def _harvest(self, message: Message, files: Sequence[int]) -> tuple[Message, list[int]]:
        scores = self._open.pop(message["batch"]).batch.harvest()
        columns = {key: np.ascontiguousarray(values, np.float64) for key, values in scores.items()}
        file, memory = new_memory(max(1, sum(column.nbytes for column in columns.values())))
        memory.write(b"".join(column.tobytes() for column in columns.values()))
        memory.close()
        return {"columns": [[key, column.size] for key, column in columns.items()]}, [file]

    def _close(self, message: Message, files: Sequence[int]) -> tuple[Message]:
        batch = self._open.pop(message["batch"], None)
        if batch is not None:
            batch.batch.close()
        return ({},)


def main(words: Sequence[str]) -> int:
    """Start what computes, and answer messages.

    Args:
        words: number of the channel's descriptor, module, device.
    """
    # Ctrl-C reaches the whole group; the parent decides when this process ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel = socket.socket(fileno=int(words[0]))
    try:
        computer: Computer = import_module(words[1]).start(words[2])
    except DeviceError as error:
        send(channel, {"kind": error.kind, "error": str(error)})
        return 1
    Worker(channel, computer).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
