"""Arrays that may be larger than memory: beyond a size they lie in files that nobody else sees.

The files are in the folder for temporary files (``TMPDIR``), have no name, and are gone with the process. Their pages
are the kernel's to write out and drop when memory is short.
"""

from __future__ import annotations

import mmap
import tempfile
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

IN_MEMORY = 512 << 20
"""Bytes up to which everything stays in memory."""


_ALL: weakref.WeakSet[Scratch] = weakref.WeakSet()


class Scratch:
    """Makes arrays that belong together, in memory or in files.

    Attributes:
        large: whether they are in files.
    """

    def __init__(self, n_bytes: int) -> None:
        """`n_bytes`: what all arrays will take, roughly."""
        self.large = n_bytes > IN_MEMORY
        self.maps: list[mmap.mmap] = []
        _ALL.add(self)

    def array(self, shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """An array whose values are not set yet."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if not self.large or size == 0:
            return np.empty(shape, dtype)
        with tempfile.TemporaryFile(prefix="pyvmaf-") as stream:
            stream.truncate(size)
            mapped = mmap.mmap(stream.fileno(), size)
        self.maps.append(mapped)
        return np.frombuffer(mapped, dtype).reshape(shape)


def release() -> None:
    """Take the pages of all such files out of this process; what they hold stays, in the kernel's cache or on disk."""
    for scratch in _ALL:
        for mapped in scratch.maps:
            mapped.madvise(mmap.MADV_DONTNEED)


CHUNK_ROWS = 1 << 18
"""Rows that are looked at together by default."""


def chunks(n: int, size: int | None = None) -> Iterator[slice]:
    """Slices that cover rows 0 to `n`, in order; after each, pages of arrays in files are given back (`release`).

    Args:
        n: number of rows.
        size: rows per slice, `CHUNK_ROWS` by default; the last slice may be shorter.
    """
    step = CHUNK_ROWS if size is None else size
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))
        release()
