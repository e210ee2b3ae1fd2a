"""Messages between a process and its worker on a device: a JSON header and bytes."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

_LENGTHS = struct.Struct("<IQ")
_MOST_HEADER = 1 << 20


def send(
    connection: socket.socket, header: dict[str, Any], payload: bytes = b"", descriptor: int | None = None
) -> None:
    """Send a message, and a descriptor of a file with it.

    Raises:
        OSError: the other process has ended.
    """
    text = json.dumps(header).encode()
    start = _LENGTHS.pack(len(text), len(payload))
    if descriptor is None:
        connection.sendall(start)
    elif socket.send_fds(connection, [start], [descriptor]) != len(start):
        raise OSError("a message was cut off")
    connection.sendall(text + payload)


def receive(connection: socket.socket) -> tuple[dict[str, Any], bytes, int | None]:
    """Return the next message: header, bytes, and the descriptor that came with it.

    Raises:
        OSError: the other process has ended.
    """
    start, descriptors, _, _ = socket.recv_fds(connection, _LENGTHS.size, 1)
    start += _exactly(connection, _LENGTHS.size - len(start))
    length, size = _LENGTHS.unpack(start)
    if length > _MOST_HEADER:
        raise OSError(f"a message has a header of {length} bytes")
    header: dict[str, Any] = json.loads(_exactly(connection, length))
    return header, _exactly(connection, size), descriptors[0] if descriptors else None


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = bytearray(size)
    view, done = memoryview(data), 0
    while done < size:
        count = connection.recv_into(view[done:])
        if count == 0:
            raise OSError("the other process has ended")
        done += count
    return bytes(data)
