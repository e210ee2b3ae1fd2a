"""What the child process of `libvmaf-cuda` does: contexts of libvmaf on a device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.engines.device.computer import ANY, DeviceError, Luma
from pyvmaf.engines.device.cuda import device_errors, free_device
from pyvmaf.engines.libvmaf.build import native
from pyvmaf.engines.libvmaf.extractors import parse_options, spell_options
from pyvmaf.engines.libvmaf_cuda.requests import computed, device_options
from pyvmaf.engines.protocol import Request

_BYTES = {"adm": 100, "vif": 80, "motion": 16}
"""Bytes of device memory per sample of luma that libvmaf takes for an extractor, counted from its allocations and rounded
up (integer_adm_cuda.c, integer_vif_cuda.c, integer_motion_cuda.c)."""

_RING = 4
"""Pictures that libvmaf keeps on the device."""

_RESERVE = 256 * 2**20
"""Bytes that stay free, for the driver's own needs."""


def needed_bytes(extractors: Sequence[str], width: int, height: int, bits: int) -> int:
    """Return an upper bound of the device memory that a batch takes, in bytes, beside the driver's own needs."""
    samples = (width + 512) * height
    pictures = _RING * (1 if bits == 8 else 2)
    return samples * (pictures + sum(_BYTES[name] for name in extractors))


def choose(device: str) -> str:
    """Return the device to use: the one asked for, or that of `free_device`.

    Raises:
        DeviceError: there is no driver or device.
    """
    if device != ANY:
        return device
    with device_errors():
        uuids = [str(found["uuid"]) for found in native().cuda_devices()]
    return uuids[free_device(uuids)]


class DeviceContexts:
    """A device, and what it computes."""

    def __init__(self, wanted: str) -> None:
        """Hold the device.

        Raises:
            DeviceError: the build, the driver, the device or its compute capability is missing.
        """
        self._name = choose(wanted)
        with device_errors():
            self._device = native().CudaDevice(self._name)

    def describe(self) -> dict[str, Any]:
        """Return index, name, UUID, compute capability and memory of the device, and the driver's version of CUDA."""
        return {**self._device.describe(), "driver": native().cuda_driver_version()}

    def memory(self) -> tuple[int, int]:
        """Return the bytes of memory that are free, and all."""
        with device_errors():
            free, total = self._device.memory()
        return int(free), int(total)

    def open(self, requests: Mapping[Request, Sequence[str]], width: int, height: int, bits: int) -> _Context:
        """Open a context, if there is enough memory.

        libvmaf does not check whether it gets the memory that it asks for, so this is decided before.

        Raises:
            DeviceError: there is too little memory.
        """
        need, (free, total) = needed_bytes([r.extractor for r in requests], width, height, bits), self.memory()
        if need + _RESERVE > free:
            raise DeviceError(
                "memory",
                f"frames of {width}x{height} need {need >> 20} MiB of the device's memory and {_RESERVE >> 20} MiB in reserve, "
                f"of {total >> 20} MiB {free >> 20} MiB are free",
            )
        with device_errors():
            context = native().Context(width, height, "400", bits, cuda_device=self._device.describe()["uuid"])
        return _Context(context, requests)


class _Context:
    """A context of libvmaf with CUDA extractors."""

    def __init__(self, context: Any, requests: Mapping[Request, Sequence[str]]) -> None:
        self._context, self._requests, self._count = context, requests, 0
        for request in requests:
            options = parse_options(request.extractor, device_options(request))
            context.use_feature(f"{request.extractor}_cuda", spell_options(options))

    def read(self, index: int, reference: Luma, distorted: Sequence[Luma]) -> None:
        """Read a frame with its distorted versions."""
        for place, luma in enumerate(distorted or [None]):
            self._context.read([reference], None if luma is None else [luma], index + place)
        self._count = index + max(1, len(distorted))

    def harvest(self) -> Mapping[str, NDArray[np.float64]]:
        """Flush, and read every score; those that libvmaf did not compute are left out."""
        self._context.flush()
        frames = np.arange(self._count, dtype=np.int64)
        columns: dict[str, NDArray[np.float64]] = {}
        for request in self._requests:
            for key in computed(request):
                values, present = self._context.feature_scores(key, frames)
                columns[key] = values[present]
        self.close()
        return columns

    def close(self) -> None:
        """Free everything."""
        self._context.close()


def start(device: str) -> DeviceContexts:
    """Hold a device: its index, its UUID, or "any"."""
    return DeviceContexts(device)
