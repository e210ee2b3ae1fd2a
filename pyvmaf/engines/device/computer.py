"""What a child process computes with: the contract between it and an engine's device code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pyvmaf.engines.protocol import Request

ANY = "any"
"""Name of the device by default: the first that no other process uses."""

Luma = NDArray[np.uint8] | NDArray[np.uint16]


class DeviceError(Exception):
    """A device cannot do what was asked for. `kind` is one of `_native.CudaError`, or "input" for frames that do not fit."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class ComputerBatch(Protocol):
    """Frames whose scores are collected together."""

    def read(self, index: int, reference: Luma, distorted: Sequence[Luma]) -> None:
        """Read the luma of a reference and of its distorted versions, as pairs from `index` on; none for the reference alone.

        The arrays belong to the caller, who changes them afterwards.
        """

    def harvest(self) -> Mapping[str, NDArray[np.float64]]:
        """Finish, and return each column with one value per pair in the order of reading."""

    def close(self) -> None:
        """Free everything."""


class Computer(Protocol):
    """What computes on a device."""

    def describe(self) -> dict[str, Any]:
        """Return facts of the device, as JSON values."""
        ...

    def memory(self) -> tuple[int, int]:
        """Return the bytes of its memory that are free, and all."""
        ...

    def open(self, requests: Mapping[Request, Sequence[str]], width: int, height: int, bits: int) -> ComputerBatch:
        """Start a batch of frames of this size.

        Raises:
            DeviceError: there is not enough memory ("memory"), or such frames cannot be measured.
        """
        ...
