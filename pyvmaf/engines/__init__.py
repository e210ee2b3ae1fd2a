"""Engines: the code that computes features of frame pairs, one module each behind one protocol."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from pyvmaf.base.table import Table
from pyvmaf.engines.libvmaf.build import cuda_architectures
from pyvmaf.errors import UnavailableError, unknown_name

if TYPE_CHECKING:
    from pyvmaf.base.code import Uses
    from pyvmaf.engines.protocol import Engine

ENGINES: Table[str] = {
    "libvmaf": "pyvmaf.engines.libvmaf.engine",
    "kernels": "pyvmaf.engines.kernels.engine",
    "libvmaf-cuda": "pyvmaf.engines.libvmaf_cuda.engine",
    "cuda": "pyvmaf.engines.cuda.engine",
}
"""Dotted module of each engine, which holds it as ``ENGINE``, by the engine's name."""

AUTO = "auto"
"""Backend by default: the fastest engine that gives libvmaf's numbers to the last bit on this machine."""

CPU = "cpu"
"""Backend that stands for `LIBVMAF` alone; every other backend but `AUTO` is an engine's name."""

KERNELS = "kernels"
"""Engine with own kernels, and libvmaf for all that they do not compute."""

CUDA = ("libvmaf-cuda", "cuda")
"""Engines that need a build with CUDA, and a device."""

DEVICE_VARIABLE = "PYVMAF_CUDA_DEVICE"
"""Environment variable with the index or UUID of the device to use; by default the first that no other process uses."""

LIBVMAF = "libvmaf"
"""Engine that calls libvmaf on the processor. Scores of libvmaf's models are always computed with it."""


def engine_name(backend: str) -> str:
    """Return the name of the engine behind a backend.

    Args:
        backend: "auto", "cpu", or the name of an engine.

    Raises:
        InputError: no backend has this name.
        UnavailableError: the backend needs CUDA, which this build does not have.
    """
    # A plan may be made on a machine without a device: whether there is one shows when frames are measured.
    if backend in CUDA and not cuda_architectures():
        raise without_cuda(backend)
    if backend == AUTO:
        return KERNELS
    if backend == CPU:
        return LIBVMAF
    if backend in ENGINES:
        return backend
    raise unknown_name("backend", backend, backends())


def without_cuda(backend: str) -> UnavailableError:
    """Make the error for a backend that needs CUDA, in a build without it."""
    return UnavailableError(
        f"backend {backend!r} was asked for, but this build of pyvmaf computes on the processor only: build it with "
        "`make setup CUDA=1` (-DPYVMAF_CUDA=ON), or use backend auto (--backend auto, `backend: auto` in the configuration)"
    )


def backends() -> tuple[str, ...]:
    """List the backends of this installation."""
    lacking = () if cuda_architectures() else CUDA
    return (AUTO, CPU, *(name for name in ENGINES if name not in (LIBVMAF, *lacking)))


def load(backend: str) -> Engine:
    """Load the engine behind a backend.

    Raises:
        InputError, UnavailableError: as `engine_name`.
    """
    engine: Engine = import_module(ENGINES[engine_name(backend)]).ENGINE
    return engine


def uses(backend: str) -> Uses:
    """Return what a verb that measures features uses beside its imports: the engine's code and the engines' identities.

    Raises:
        InputError, UnavailableError: as `engine_name`; also if the engine is not installed.
    """
    from pyvmaf.base.code import Uses

    engine = load(backend)
    identities = {LIBVMAF: load(CPU).identity(), engine.name: engine.identity()}
    return Uses((ENGINES[engine.name],), tuple(identities.items()))
