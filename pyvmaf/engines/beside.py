"""Streams that join own scores of a pair with those of another engine's stream."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyvmaf.engines.protocol import Stream
    from pyvmaf.video.reader import Planes


class StreamBeside(ABC):
    """Own scores, known at once, and a stream that reads the same pairs."""

    def __init__(self, rest: Stream | None) -> None:
        """Start beside the stream of the other requests; None if there are no others."""
        self._rest = rest
        self._rows: deque[dict[str, float]] = deque()

    @abstractmethod
    def measure(self, reference: Planes, distorted: Planes | None) -> dict[str, float]:
        """Return the own scores of a pair, by key."""

    def push(self, reference: Planes, distorted: Planes | None) -> None:
        """Compute the scores of a pair."""
        row = self.measure(reference, distorted)
        if self._rest is not None:
            self._rest.push(reference, distorted)
            row |= self._rest.pop() or {}
        self._rows.append(row)

    def pop(self, *, ended: bool = False) -> dict[str, float] | None:
        """Return the scores of the first pair that was not returned yet."""
        return self._rows.popleft() if self._rows else None

    def close(self) -> None:
        """Free the other engine's memory."""
        if self._rest is not None:
            self._rest.close()
