"""Messages of FFmpeg's libraries, collected while they work for this process.

PyAV hands them to one callback for the whole process, which is switched on while somebody listens. A message belongs to
the thread that it comes from: a decoder with one thread speaks in the thread that calls it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

ERROR, WARNING, INFO = 16, 24, 32
"""FFmpeg's levels; a lower one is more serious."""


class Message(NamedTuple):
    """A message: its level, the name of the part that it comes from ("h264", "matroska,webm"), and its text."""

    level: int
    part: str
    text: str


_lock = threading.Lock()
_listeners = 0
_before: tuple[int | None, bool] = (None, True)


@contextmanager
def heard(level: int = ERROR) -> Iterator[list[Message]]:
    """Collect the messages of this thread.

    Args:
        level: the least serious level to collect.

    Returns:
        a list that is filled when the block ends.
    """
    from av.logging import Capture

    messages: list[Message] = []
    with _listening(level):
        capture = Capture(local=True)
        logs = capture.__enter__()
        try:
            yield messages
        finally:
            capture.__exit__(None, None, None)
            messages += [Message(*log) for log in logs if log[0] <= level]


@contextmanager
def _listening(level: int) -> Iterator[None]:
    """Let PyAV hand on messages, also such that repeat the one before, which it would hold back for another listener."""
    global _listeners, _before
    from av import logging

    with _lock:
        if not _listeners:
            _before = logging.get_level(), logging.get_skip_repeated()
            logging.set_skip_repeated(False)
        _listeners += 1
        logging.set_level(max(level, logging.get_level() or level))
    try:
        yield
    finally:
        with _lock:
            _listeners -= 1
            if not _listeners:
                logging.set_level(_before[0])
                logging.set_skip_repeated(_before[1])
