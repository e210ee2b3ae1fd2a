"""What the child process of the tests computes with: libvmaf on the processor, with the faults that a device has.

The name of the device chooses the fault: "good"; "abort", "print", "nan", "short", "lost" and "slow" at the fourth pair or the
harvest; "off" adds to VIF; "small:N" has memory for N batches; "absent" does not start.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.engines.device.computer import DeviceError, Luma
from pyvmaf.engines.libvmaf.engine import ENGINE
from pyvmaf.engines.protocol import Request
from pyvmaf.video.format import Format

FAULT_AT = 3


class Processor:
    """A device that is none."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.open_batches = 0

    def describe(self) -> dict[str, Any]:
        return {"name": "processor", "index": 0}

    def memory(self) -> tuple[int, int]:
        return 2**30, 2**30

    def open(self, requests: Mapping[Request, Sequence[str]], width: int, height: int, bits: int) -> ProcessorBatch:
        most = self.fault.partition(":")[2]
        if most and self.open_batches >= int(most):
            raise DeviceError("memory", f"there is memory for {most} batches")
        self.open_batches += 1
        return ProcessorBatch(self, requests, Format.planar(width, height, "400", bits))


class ProcessorBatch:
    """A batch of libvmaf."""

    def __init__(self, owner: Processor, requests: Mapping[Request, Sequence[str]], form: Format) -> None:
        self._owner, self._batch = owner, ENGINE.open(requests, form)

    def read(self, index: int, reference: Luma, distorted: Sequence[Luma]) -> None:
        for place, luma in enumerate(distorted or [None]):
            self._batch.read(index + place, (reference,), None if luma is None else (luma,))
        if index >= FAULT_AT:
            self._fail(self._owner.fault)

    def _fail(self, fault: str) -> None:
        if fault == "abort":
            os.abort()
        if fault == "print":
            # As libvmaf does: to the standard output of C, which is written out late.
            ctypes.CDLL(None).printf(b"code: %d; description: %s\n", 700, b"CUDA_ERROR_ILLEGAL_ADDRESS")
        if fault == "slow":
            time.sleep(60)
        if fault == "raise":
            raise RuntimeError("no such thing")

    def harvest(self) -> Mapping[str, NDArray[np.float64]]:
        scores = self._batch.harvest()
        self._owner.open_batches -= 1
        fault, first = self._owner.fault, next(iter(scores))
        if fault == "nan":
            scores[first][-1] = np.nan
        if fault == "short":
            scores[first] = scores[first][:-1]
        if fault == "lost":
            del scores[first]
        if fault == "off":
            scores = {key: values + 0.002 if "vif" in key else values for key, values in scores.items()}
        return scores

    def close(self) -> None:
        self._batch.close()
        self._owner.open_batches -= 1


def start(device: str) -> Processor:
    """Start what computes."""
    if device == "absent":
        raise DeviceError("driver", "there is no driver")
    return Processor(device)
