"""Pictures of a table, mapped into memory: what trainers of models that look at pixels read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.files import sha256_file
from pyvmaf.base.opinion import read_scale
from pyvmaf.errors import InputError, IntegrityError, MissingFileError
from pyvmaf.frames.storage import open_pictures
from pyvmaf.frames.table import FILES, ROWS, SIZES, PictureTable

_GRAY = "gray"


class Pictures:
    """The rows of a table of pictures, with their pictures memory-mapped.

    Attributes:
        path: the table.
        rows: corpus, group, source, clip, codec, encoder, preset, crf, rung, strength, frame_index; width and height of
            the picture; vmaf of the frame; columns of opinion scores if there are some (`pyvmaf.base.opinion`); file and row
            where the picture is; reference_file and reference_row of the pristine picture of the same frame; mask_file and
            mask_row. What is not known is null. Pristine pictures have the rung ``reference`` and no codec.
        colour: "gray", "rgb24", "bgr24", "rgba" or "bgra".
        teacher: the model that gave vmaf; "" if there are no scores.
        mos_scale: lowest and highest opinion score; None if there are none.
    """

    def __init__(self, table: PictureTable) -> None:
        self._table = table
        self.path, self.rows, self.colour = table.path, table.rows, table.colour
        self.teacher = str(table.block["model"])
        self.mos_scale = read_scale(table.block, os.fspath(table.path))
        self._maps: dict[str, NDArray[np.uint8]] = {}
        self._names: dict[str, list[str | None]] = {}
        self._places: dict[str, NDArray[np.int64]] = {}
        for file, row in zip(FILES, ROWS, strict=True):
            self._names[file] = self.rows[file].to_pylist()
            self._places[file] = np.array(
                [-1 if place is None else place for place in self.rows[row].to_pylist()], np.int64
            )
        for name in dict.fromkeys(name for names in self._names.values() for name in names if name is not None):
            self._maps[name] = self._open(name)
        self._check_places()

    @classmethod
    def open(cls, table: Path) -> Pictures:
        """Open a table and its files of pictures, whose sizes and hashes are compared with those in the table.

        Raises:
            MissingFileError: the table or a file of pictures does not exist.
            IntegrityError: one is damaged, or not the file that the table was made of.
            InputError: the table has no rows.
        """
        read = PictureTable(Path(table))
        if not read.rows.num_rows:
            raise InputError(f"{table} has no rows: there are no pictures in it")
        return cls(read)

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    @property
    def files(self) -> list[Path]:
        """The files of pictures, for manifests."""
        return [self._table.locate(name) for name in self._maps]

    def picture(self, row: int) -> NDArray[np.uint8]:
        """Return the picture of a row, read-only: [height, width] if `colour` is gray, else [height, width, channels]."""
        pixels = self._pixels("file", row)
        assert pixels is not None
        return pixels

    def reference(self, row: int) -> NDArray[np.uint8] | None:
        """Return the pristine picture of the same frame, of the same shape; None if there is none."""
        return self._pixels("reference_file", row)

    def mask(self, row: int) -> NDArray[np.uint8] | None:
        """Return the mask of a row, [height, width], 0 to 255; None if there is none."""
        return self._pixels("mask_file", row)

    def _pixels(self, column: str, row: int) -> NDArray[np.uint8] | None:
        name = self._names[column][row]
        if name is None:
            return None
        pixels: NDArray[np.uint8] = self._maps[name][self._places[column][row]]
        return pixels

    def _open(self, name: str) -> NDArray[np.uint8]:
        path = self._table.locate(name)
        if name not in self._table.files:
            raise IntegrityError(f"{self.path} does not state the hash of {name}: make it again")
        stated = self._table.files[name]
        if not path.is_file():
            raise MissingFileError(f"no such file: {path}, which holds pictures of {self.path}: make it again")
        if (size := path.stat().st_size) != stated.bytes:
            raise IntegrityError(
                f"{path} has {size} bytes, but {self.path} was made of {stated.bytes}: make both again"
            )
        if (digest := sha256_file(path)) != stated.sha256:
            raise IntegrityError(
                f"{path} has the SHA-256 {digest}, but {self.path} was made of a file with {stated.sha256}: make both again"
            )
        masks = name in self._names["mask_file"]
        return open_pictures(path, _GRAY if masks else self.colour)

    def _check_places(self) -> None:
        """Compare rows and sizes with the files.

        Raises:
            IntegrityError: a row has no picture, or names one that its file does not hold, or one of another size.
        """
        width, height = (self.rows[name].to_numpy() for name in SIZES)
        for column, names in self._names.items():
            places = self._places[column]
            for name, pixels in self._maps.items():
                here = np.array([item == name for item in names], bool)
                if not here.any():
                    continue
                wrong = here & ((places < 0) | (places >= len(pixels)))
                wrong |= here & ((width != pixels.shape[2]) | (height != pixels.shape[1]))
                if wrong.any():
                    row = int(np.argmax(wrong))
                    raise IntegrityError(
                        f"{self.path}: row {row} names picture {places[row]} of {name} ({width[row]}x{height[row]}), which holds "
                        f"{len(pixels)} of {pixels.shape[2]}x{pixels.shape[1]}: make it again"
                    )
        absent: Any = [row for row, name in enumerate(self._names["file"]) if name is None]
        if absent:
            raise IntegrityError(f"{self.path}: row {absent[0]} has no picture: make it again")
