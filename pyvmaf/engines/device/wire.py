"""Messages between a process and its child: small JSON objects, with memory that both see beside them.

The socket keeps the bounds of messages (SOCK_SEQPACKET). Frames and scores are in anonymous files whose descriptors
travel with a message.
"""

from __future__ import annotations

import json
import mmap
import os
import socket
from collections.abc import Sequence
from typing import Any

MOST = 64 * 1024
"""Bytes of a message, at most."""

Message = dict[str, Any]


def send(channel: socket.socket, message: Message, files: Sequence[int] = ()) -> None:
    """Send a message with descriptors.

    Raises:
        OSError: the other side is gone.
        ValueError: the message is too large.
    """
    data = json.dumps(message, separators=(",", ":")).encode()
    if len(data) > MOST:
        raise ValueError(f"a message of {len(data)} bytes, at most {MOST} are possible")
    socket.send_fds(channel, [data], files)


def receive(channel: socket.socket) -> tuple[Message, list[int]]:
    """Receive a message and its descriptors, which belong to the caller.

    Raises:
        EOFError: the other side is gone.
        TimeoutError: nothing came within the socket's timeout.
    """
    try:
        data, files, _, _ = socket.recv_fds(channel, MOST, 4)
    except ConnectionError:
        raise EOFError from None
    if not data:
        raise EOFError
    message: Message = json.loads(data)
    return message, files


def new_memory(size: int) -> tuple[int, mmap.mmap]:
    """Return the descriptor of zeroed anonymous memory of a size in bytes, and the memory; the caller closes both."""
    file = os.memfd_create("pyvmaf", os.MFD_CLOEXEC)
    try:
        os.ftruncate(file, size)
        return file, mmap.mmap(file, size)
    except BaseException:
        os.close(file)
        raise


def open_memory(file: int) -> mmap.mmap:
    """Map the memory behind a descriptor, which is closed."""
    try:
        return mmap.mmap(file, os.fstat(file).st_size)
    finally:
        os.close(file)
