"""Cache of pictures, addressed by everything that decides them: the file, the frames, their size, crop and colour.

An entry holds a few pictures of one video, so that a call that was cut off goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.files import content_hash, write_bytes
from pyvmaf.base.parse import parse_json
from pyvmaf.errors import InputError, IntegrityError

SUFFIX = ".pictures"

_SCHEMA = 1
_ENTRY = "entry"
_TENSOR = "pictures"


@dataclass(frozen=True)
class Entry:
    """Pictures of one video.

    Attributes:
        pixels: uint8 of shape [n, h, w] or [n, h, w, c].
        stamps: time stamp of each frame in the stream's time base; None if the file has none.
    """

    pixels: NDArray[np.uint8]
    stamps: tuple[int | None, ...]


def read(path: Path) -> tuple[dict[str, Any], Entry]:
    """Read the key and the pictures of an entry.

    Raises:
        IntegrityError: the entry is damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        if not path.is_file():
            # A pipe would never end.
            raise IntegrityError("it is not a file")
        with safe_open(path, framework="numpy") as stored:
            header = parse_json((stored.metadata() or {})[_ENTRY], "its header")
            pixels = stored.get_tensor(_TENSOR)
        key, checksum, stamps = dict(header["key"]), header["sha256"], tuple(header["stamps"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, IntegrityError) as err:
        raise IntegrityError(f"cache entry {path} is damaged ({err}): its pictures are made again") from err
    if hashlib.sha256(pixels.data).hexdigest() != checksum or path.stem != content_hash(key):
        raise IntegrityError(f"cache entry {path} is damaged: it holds other pictures: they are made again")
    return key, Entry(pixels, stamps)


def check(path: str | os.PathLike[str]) -> None:
    """Check one entry.

    Raises:
        IntegrityError: the entry is damaged.
    """
    read(Path(path))


class PictureCache:
    """Entries in a folder, which several processes may use at once.

    Attributes:
        hits: number of pictures that were read.
        damaged: messages about damaged entries, and about a cache that cannot be used.
    """

    def __init__(self, folder: str | os.PathLike[str] | None) -> None:
        """Use a folder; None for no cache."""
        self._folder = None if folder is None else Path(folder)
        self.hits = 0
        self.damaged: list[str] = []

    def path(self, key: Mapping[str, Any]) -> Path:
        """Return the path of an entry."""
        assert self._folder is not None
        name = content_hash({"schema": _SCHEMA, **key})
        return self._folder / name[:2] / f"{name}{SUFFIX}"

    def get(self, key: Mapping[str, Any]) -> Entry | None:
        """Return an entry; None if it is absent or damaged."""
        if self._folder is None or not os.path.lexists(path := self.path(key)):
            return None
        try:
            _, entry = read(path)
        except IntegrityError as err:
            self.damaged.append(str(err))
            return None
        self.hits += len(entry.pixels)
        return entry

    def put(self, key: Mapping[str, Any], entry: Entry) -> None:
        """Store an entry. After the first one that cannot be written none is, and `damaged` says why."""
        if self._folder is None:
            return
        from safetensors.numpy import save

        header = {
            "key": {"schema": _SCHEMA, **key},
            "sha256": hashlib.sha256(entry.pixels.data).hexdigest(),
            "stamps": list(entry.stamps),
        }
        data = save({_TENSOR: entry.pixels}, metadata={_ENTRY: json.dumps(header, sort_keys=True)})
        try:
            write_bytes(self.path(key), data, at_once=True)
        except (OSError, InputError) as err:
            self.damaged.append(
                f"the cache {self._folder} cannot be written, and the pictures of this run are not kept: {err}"
            )
            self._folder = None
