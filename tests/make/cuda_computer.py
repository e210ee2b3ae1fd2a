"""What the child process of the engine ``cuda`` computes with in tests: the kernels, by a driver that needs no compiled ones."""

from __future__ import annotations

from pyvmaf.engines.cuda.device import Kernels


def start(device: str) -> Kernels:
    """Open a device."""
    return Kernels(device, b"fake")
