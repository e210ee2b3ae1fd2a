"""The libvmaf build behind this installation: the extension, its identity, and settings of the whole process.

Log level and CPU mask are global inside libvmaf, so they are functions of this module.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast

from pyvmaf.errors import InputError, NativeError, UnavailableError, unknown_name

LOG_LEVELS = ("none", "error", "warning", "info", "debug")


@cache
def native() -> Any:
    """Import the extension.

    Raises:
        UnavailableError: the extension cannot be loaded; the message says how to build it.
    """
    try:
        from pyvmaf import _native
    except ImportError as error:
        raise UnavailableError(
            f"the extension pyvmaf._native cannot be loaded ({error}): build it with `make setup` or `pip install .`"
        ) from error
    return _native


@contextmanager
def translated() -> Iterator[None]:
    """Turn exceptions of the extension into those of this package."""
    try:
        yield
    except native().Error as error:
        raise NativeError(str(error), abs(error.errno)) from None
    except (TypeError, ValueError) as error:
        raise InputError(str(error)) from None


@cache
def _build_file() -> dict[str, Any]:
    """Read the file that the build wrote beside the extension, without loading the extension."""
    spec = importlib.util.find_spec("pyvmaf._native")
    if spec is None or spec.origin is None:
        raise UnavailableError("the extension pyvmaf._native is not built: run `make setup` or `pip install .`")
    path = Path(spec.origin).with_name("_native_build.json")
    try:
        return cast("dict[str, Any]", json.loads(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise UnavailableError(f"{path.name} beside the extension cannot be read ({error}): build it again") from None


def repairs() -> tuple[str, ...]:
    """Return the names of the errors of libvmaf that this build puts right; the extension is not loaded."""
    return tuple(str(_build_file().get("repairs", "")).split())


def identity(repaired: Iterable[str] | None = None) -> str:
    """Return what decides the numbers: libvmaf's commit, a hash of its build's options and edits, and its repairs.

    Manifests hold it. The extension is not loaded.

    Args:
        repaired: repairs that concern the scores in question, of which the build may lack some; None for all that the
            build has.

    Raises:
        UnavailableError: the extension is not built.
    """
    build = _build_file()
    concerned = [name for name in repairs() if repaired is None or name in set(repaired)]
    return "+".join((f"libvmaf-{build['commit']}-{build['recipe'][:16]}", *concerned))


def cuda_architectures() -> tuple[str, ...]:
    """Return the GPU architectures that this build has code for, as nvcc names them; none without CUDA.

    "sm_80" runs on compute capability 8.0 and later of 8, "compute_120" on 12.0 and everything later. The extension is
    not loaded.
    """
    return tuple(str(_build_file().get("cuda_architectures", "")).split())


def nvcc() -> str:
    """Return the version of the compiler of the device code; empty without CUDA. The extension is not loaded."""
    return str(_build_file().get("nvcc", ""))


def engine() -> dict[str, Any]:
    """Describe the libvmaf that computes.

    Returns:
        pyvmaf (version), libvmaf (version), commit, identity, repairs (errors of libvmaf that are put right), sha256 (of
        the extension), compiler, flags, simd (the widest instruction set that may be used on this machine) and cuda.
    """
    from hashlib import sha256
    from importlib.metadata import version

    extension = native()
    build = extension.build_info()
    return {
        "pyvmaf": version("vmaf-train"),
        "libvmaf": extension.version(),
        "commit": build["commit"],
        "identity": identity(),
        "repairs": list(repairs()),
        "sha256": sha256(Path(extension.__file__).read_bytes()).hexdigest(),
        "compiler": build["compiler"],
        "flags": build["flags"],
        "simd": simd(),
        "cuda": bool(build["cuda"]),
        "cuda_architectures": build["cuda_architectures"].split(),
        "nvcc": build["nvcc"],
    }


def simd() -> str:
    """Return the widest instruction set that libvmaf may use on this machine: avx512icl, avx512, avx2, neon or c."""
    return cast(str, native().simd_level())


def set_log_level(level: Literal["none", "error", "warning", "info", "debug"]) -> None:
    """Set how much libvmaf writes to standard error, for the whole process. The initial level is "none".

    Raises:
        InputError: no level has this name.
    """
    if level not in LOG_LEVELS:
        raise unknown_name("log level", level, LOG_LEVELS)
    native().set_log_level(level)


def set_cpu_mask(mask: int) -> None:
    """Hide instruction sets from libvmaf, for the whole process; results stay the same, speed does not.

    Args:
        mask: bits to hide; on x86 8 is AVX2, 16 AVX-512, 32 the later AVX-512 of Ice Lake, 0 hides nothing.

    Raises:
        InputError: negative, or more than 64 bits.
    """
    if not 0 <= mask < 2**64:
        raise InputError(f"CPU mask {mask} is not in 0..2**64-1")
    native().set_cpu_mask(mask)
