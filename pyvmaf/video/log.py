"""Messages of FFmpeg's libraries, collected while they work for this process.

PyAV hands them to one callback for the whole process, which is switched on while somebody listens. A message belongs to
the thread that it comes from: a decoder with one thread speaks in the thread that calls it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

ERROR, WARNING, INFO = 16, 24, 32
"""FFmpeg's levels; a lower one is more serious."""


class Message(NamedTuple):
    """A message: its level, the name of the part that it comes from ("h264", "matroska,webm"), and its text."""

    level: int
    part: str
    text: str


class _State:
    """What listeners share.

    Attributes:
        listeners: how many there are.
        before: PyAV's level, and whether it holds back repetitions, from before there were any.
        others: messages of threads that do not listen themselves, while somebody listens to them.
        to_others: how many listen to those.
        capture: PyAV's capture that fills `others`.
    """

    listeners = 0
    before: tuple[int | None, bool] = (None, True)
    others: list[tuple[int, str, str]]
    to_others = 0
    capture: Any = None


_lock = threading.Lock()
_state = _State()


@contextmanager
def heard(level: int = ERROR, *, everywhere: bool = False) -> Iterator[list[Message]]:
    """Collect the messages of this thread.

    Args:
        level: the least serious level to collect.
        everywhere: collect those of threads that do not listen themselves, too: a decoder's own, but also a stranger's.

    Returns:
        a list that is filled when the block ends.
    """
    from av.logging import Capture

    messages: list[Message] = []
    with _listening(level), ExitStack() as stack:
        others = stack.enter_context(_listening_to_others()) if everywhere else []
        seen = len(others)
        capture = Capture(local=True)
        logs = capture.__enter__()
        try:
            yield messages
        finally:
            capture.__exit__(None, None, None)
            messages += [Message(*log) for log in (*logs, *others[seen:]) if log[0] <= level]


@contextmanager
def _listening_to_others() -> Iterator[list[tuple[int, str, str]]]:
    from av.logging import Capture

    with _lock:
        if not _state.to_others:
            _state.capture = Capture(local=False)
            _state.others = _state.capture.__enter__()
        _state.to_others += 1
        others = _state.others
    try:
        yield others
    finally:
        with _lock:
            _state.to_others -= 1
            if not _state.to_others and _state.capture is not None:
                _state.capture.__exit__(None, None, None)


@contextmanager
def _listening(level: int) -> Iterator[None]:
    """Let PyAV hand on messages, also such that repeat the one before, which it would hold back for another listener."""
    from av import logging

    with _lock:
        if not _state.listeners:
            _state.before = logging.get_level(), logging.get_skip_repeated()
            logging.set_skip_repeated(False)
        _state.listeners += 1
        logging.set_level(max(level, logging.get_level() or level))
    try:
        yield
    finally:
        with _lock:
            _state.listeners -= 1
            if not _state.listeners:
                logging.set_level(_state.before[0])
                logging.set_skip_repeated(_state.before[1])
