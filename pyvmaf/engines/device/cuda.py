"""What computers on devices of CUDA share: errors of the extension, and the choice of a device."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pyvmaf.engines.device.computer import DeviceError
from pyvmaf.engines.libvmaf.build import native


@contextmanager
def device_errors() -> Iterator[None]:
    """Turn the extension's errors of CUDA into those of a computer."""
    try:
        yield
    except native().CudaError as error:
        raise DeviceError(error.kind, str(error)) from None


def free_device(uuids: Sequence[str]) -> int:
    """Return the index of the first device that no other process on this machine has chosen; the first one if all are taken.

    A chosen device is locked until this process ends, so that as many jobs as there are devices have one each.

    Args:
        uuids: of the devices of this machine, one or more.
    """
    for index, uuid in enumerate(uuids):
        path = Path(tempfile.gettempdir(), f"pyvmaf-{os.getuid()}-{uuid}.lock")
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
        else:
            # The descriptor stays open: the lock ends with the process.
            return index
    return 0
