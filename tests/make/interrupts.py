"""Interrupts at a chosen place of a call."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupt:
    """Raises KeyboardInterrupt after a number of the events at which Python looks for signals.

    These are entries into functions and returns from C. Use it as `sys.setprofile`'s function.

    Args:
        after: number of events that are left alone.
        where: end of the name of a file, in whose functions events count; all by default.

    Attributes:
        left: events that are left; negative once it has interrupted.
    """

    def __init__(self, after: int, where: str = "") -> None:
        self.left = after
        self._where = where

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        """Count an event of this thread."""
        if event in ("call", "c_return") and frame.f_code.co_filename.endswith(self._where):
            self.left -= 1
            if self.left < 0:
                sys.setprofile(None)
                raise KeyboardInterrupt


@contextmanager
def interrupted(after: int, where: str = "") -> Iterator[Interrupt]:
    """Interrupt the block after a number of events, unless it ends before; the arguments are those of `Interrupt`."""
    interrupt = Interrupt(after, where)
    sys.setprofile(interrupt)
    try:
        yield interrupt
    finally:
        sys.setprofile(None)
