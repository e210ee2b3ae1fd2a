"""What computes features of frame pairs."""

from __future__ import annotations

from pyvmaf.base.code import Uses


def uses(backend: str) -> Uses:
    """What a verb that measures features uses: the code of the engine, and the identity of what it computes with.

    Raises:
        UnavailableError: the extension is not built.
    """
    from pyvmaf.engines.libvmaf.build import identity

    return Uses(("pyvmaf.engines.libvmaf.context",), (("libvmaf", identity()),))
