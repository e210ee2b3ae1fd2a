"""What engines on devices have in common: the requests are libvmaf's, and a child process computes."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from pyvmaf.engines.libvmaf.engine import ENGINE as LIBVMAF
from pyvmaf.engines.protocol import Engine

if TYPE_CHECKING:
    from pyvmaf.engines.device.process import DeviceProcess
    from pyvmaf.engines.protocol import Needs, Request
    from pyvmaf.video.format import Format


class DeviceEngine(Engine):
    """An engine whose child process uses a device, and which computes on the processor what the device does not."""

    @abstractmethod
    def process(self) -> DeviceProcess:
        """Return the child process, which is started if none runs.

        Raises:
            UnavailableError: the build, the driver, the device or its compute capability is missing.
            NativeError: the child failed.
        """

    def obstacle(self, request: Request, form: Format) -> str | None:
        """Say why libvmaf cannot compute a request on the processor: devices add no features."""
        return LIBVMAF.obstacle(request, form)

    def needs(self, request: Request) -> Needs:
        """Return the frames that libvmaf reads for a request."""
        return LIBVMAF.needs(request)
