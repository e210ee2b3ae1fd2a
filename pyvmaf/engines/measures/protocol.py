"""What a measure of this package is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pyvmaf.engines.protocol import Needs, Request
    from pyvmaf.video.format import Format
    from pyvmaf.video.reader import Planes


class Pass(Protocol):
    """A measure of the pairs of one video, in order."""

    def measure(self, reference: Planes, distorted: Planes) -> dict[str, float]:
        """Return the scores of the next pair by name."""


class Measure(Protocol):
    """A measure.

    Attributes:
        needs: the frames that it reads.
    """

    needs: Needs

    def obstacle(self, form: Format) -> str | None:
        """Say why it cannot measure frames of this format; None if it can."""

    def start(self, request: Request, form: Format) -> Pass:
        """Start with the first pair of a video."""
