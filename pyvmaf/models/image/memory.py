"""Memory of a training: each step asks for the same arrays again."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

# Parameters of mallopt in glibc, and their values when a process starts.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_BY_DEFAULT = 128 * 1024
# The largest threshold that glibc takes; larger arrays come from the system as before.
_MOST_KEPT = 32 * 1024 * 1024
_NEVER = (1 << 31) - 1


@contextmanager
def kept_memory() -> Iterator[None]:
    """Let the C library keep freed arrays for the next step, and give them back at the end.

    By default glibc returns arrays of some megabytes to the system as soon as they are freed, and the system clears each page
    of the next ones, which can take a quarter of the processor time of a step. Nothing that is computed changes. Other C libraries are left
    as they are.
    """
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt") or not hasattr(library, "malloc_trim"):
        yield
        return
    library.mallopt(_MMAP_THRESHOLD, _MOST_KEPT)
    library.mallopt(_TRIM_THRESHOLD, _NEVER)
    try:
        yield
    finally:
        library.mallopt(_MMAP_THRESHOLD, _BY_DEFAULT)
        library.mallopt(_TRIM_THRESHOLD, _BY_DEFAULT)
        library.malloc_trim(0)
