"""What is said of videos beside their scores: what was done to frames, and doubts about the numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Notes:
    """Notes on videos that are compared.

    Attributes:
        lines: all of them, in order.
        doubts: those that say why scores may be wrong, or mean something else than they seem to.
    """

    lines: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    def say(self, lines: Iterable[str]) -> None:
        """Add what was done."""
        self.lines += lines

    def add(self, others: Notes) -> None:
        """Add other notes."""
        self.lines += others.lines
        self.doubts += others.doubts

    def doubt(self, lines: Iterable[str]) -> None:
        """Add doubts."""
        new = list(lines)
        self.lines += new
        self.doubts += new
