"""What engines have in common whose numbers are libvmaf's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyvmaf.engines.libvmaf.engine import ENGINE as LIBVMAF
from pyvmaf.engines.protocol import Engine

if TYPE_CHECKING:
    from pyvmaf.engines.protocol import Request
    from pyvmaf.video.format import Format


class EqualEngine(Engine):
    """An engine whose numbers are libvmaf's to the last bit, so that the two share cache entries."""

    @property
    def equals(self) -> str:
        """Name of libvmaf's engine."""
        return LIBVMAF.name

    def identity(self) -> str:
        """Return libvmaf's identity, which decides the numbers."""
        return LIBVMAF.identity()

    def identity_for(self, request: Request, form: Format) -> str:
        """Return libvmaf's identity for the request."""
        return LIBVMAF.identity_for(request, form)
