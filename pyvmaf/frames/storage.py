"""Pictures in one safetensors file: a single tensor of bytes, written picture by picture, and read by mapping it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.files import atomic_path
from pyvmaf.base.outputs import place, reading
from pyvmaf.errors import InputError, IntegrityError, MissingFileError
from pyvmaf.video.tensors import COLOURS

SUFFIX = ".safetensors"

TENSOR = "pictures"
"""Name of the tensor: uint8 [n, height, width] for gray, [n, height, width, channels] otherwise."""

# The number of pictures is known when the last one is written; the space is filled up with blanks.
_HEADER = 512
_LONGEST_HEADER = 1 << 16

Pixels = NDArray[np.uint8]


class PictureWriter:
    """Writes pictures of one size, one after another; memory holds none of them.

    Attributes:
        count: number of pictures so far.
    """

    def __init__(self, stream: IO[bytes], path: Path, colour: str) -> None:
        self._stream, self._path, self._colour = stream, path, colour
        self._shape: tuple[int, ...] | None = None
        self._first = ""
        self.count = 0
        stream.write(b" " * _HEADER)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a picture; empty before the first one."""
        return self._shape or ()

    def add(self, pixels: Pixels, origin: str) -> int:
        """Append a picture, and return its number.

        Args:
            pixels: uint8 of shape [h, w] or [h, w, c].
            origin: where it comes from, for messages.

        Raises:
            InputError: its size is not that of the first one.
        """
        if self._shape is None:
            self._shape, self._first = pixels.shape, origin
        if pixels.shape != self._shape:
            raise InputError(
                f"{origin} gives pictures of {_size(pixels.shape)}, {self._first} of {_size(self._shape)}, and one file holds "
                "pictures of one size: scale them (size, longest) or crop them"
            )
        self._stream.write(np.ascontiguousarray(pixels).data)
        self.count += 1
        return self.count - 1

    def cut(self, count: int) -> None:
        """Take the last pictures back, so that so many remain."""
        if count == 0:
            self._shape = None
        length = int(np.prod(self.shape, dtype=np.int64)) if count else 0
        self._stream.seek(_HEADER + count * length)
        self._stream.truncate()
        self.count = count

    def finish(self, empty: bool = False) -> None:
        """Write the header.

        Args:
            empty: whether there may be no pictures.

        Raises:
            InputError: there are no pictures.
        """
        if self._shape is None and not empty:
            raise InputError(f"{self._path} would hold no pictures: no frame or image was taken")
        channels = COLOURS[self._colour]
        blank = (1, 1) if channels == 1 else (1, 1, channels)
        shape = [self.count, *(self._shape or blank)]
        tensor = {"dtype": "U8", "shape": shape, "data_offsets": [0, int(np.prod(shape, dtype=np.int64))]}
        # One key: readers that keep metadata in a hash map give them in another order from run to run.
        header = {"__metadata__": {"colour": self._colour}, TENSOR: tensor}
        data = json.dumps(header, separators=(",", ":")).encode()
        self._stream.seek(0)
        self._stream.write((_HEADER - 8).to_bytes(8, "little") + data.ljust(_HEADER - 8))


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"


@contextmanager
def writing(path: Path, colour: str, *, empty: bool = False) -> Iterator[PictureWriter]:
    """Write a file of pictures atomically.

    Args:
        path: the file.
        colour: a key of `COLOURS`.
        empty: whether it may hold no pictures.

    Raises:
        InputError: the block added no pictures.
    """
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        writer = PictureWriter(stream, path, colour)
        yield writer
        writer.finish(empty)


def open_pictures(path: Path, colour: str | None = None) -> Pixels:
    """Map the pictures of a file: uint8 of shape [n, h, w] or [n, h, w, c], read-only.

    Args:
        path: the file.
        colour: the colour that it is to have; None for any.

    Raises:
        MissingFileError: there is no such file.
        IntegrityError: it is damaged, or not a file of pictures of this colour.
    """
    from safetensors import SafetensorError, safe_open

    reading(path)
    file = place(path)
    if not file.is_file():
        raise MissingFileError(f"no such file: {path}")
    try:
        with open(file, "rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
        if length > _LONGEST_HEADER:
            raise IntegrityError(f"{path} is not a file of pictures: its header has {length} bytes")
        # The library compares the header with the length of the file.
        with safe_open(file, framework="numpy") as opened:
            names: Any = list(opened.keys())
            metadata = opened.metadata() or {}
            tensor = opened.get_slice(TENSOR)
            shape, dtype = tuple(tensor.get_shape()), tensor.get_dtype()
    except (SafetensorError, OSError, OverflowError) as err:
        raise IntegrityError(f"{path} is not a readable file of pictures ({err}): make it again") from err
    has = metadata.get("colour")
    if names != [TENSOR] or dtype != "U8" or has not in COLOURS:
        raise IntegrityError(f"{path} is a safetensors file, but not one of pictures: it holds {', '.join(names)}")
    channels = COLOURS[has]
    if len(shape) != (3 if channels == 1 else 4) or 0 in shape or (channels > 1 and shape[-1] != channels):
        raise IntegrityError(f"{path} states pictures of shape {list(shape)}, which are not {has}: make it again")
    if colour not in (None, has):
        raise IntegrityError(f"{path} holds pictures in {has}, not in {colour}: make it again")
    return np.memmap(file, np.uint8, "r", 8 + length, shape)
