"""Cache of scores, addressed by everything that decides them.

An entry holds the scores of one extractor, or of one model, on one pair or one reference. Its name is the hash of its
key: name and identity of the engine, SHA-256 and conversions of both files, the frames, and extractor with options. An
entry carries a checksum of its values.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.files import content_hash, write_bytes
from pyvmaf.base.parse import parse_json
from pyvmaf.errors import InputError, IntegrityError

SCHEMA = 1
SUFFIX = ".scores"
# One key only: safetensors keeps its metadata in a hash map, whose order differs from run to run.
_ENTRY = "entry"

Scores = dict[str, NDArray[np.float64]]


def _digest(scores: Mapping[str, NDArray[np.float64]]) -> str:
    from hashlib import sha256

    digest = sha256()
    for name in sorted(scores):
        digest.update(name.encode() + b"\0")
        digest.update(np.ascontiguousarray(scores[name], dtype="<f8").tobytes())
    return digest.hexdigest()


def read(path: Path) -> tuple[dict[str, Any], Scores]:
    """Read the key and the scores of an entry.

    Raises:
        IntegrityError: the entry is damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        if not path.is_file():
            # A pipe would never end.
            raise IntegrityError("it is not a file")
        with safe_open(path, framework="numpy") as entry:
            header = parse_json((entry.metadata() or {})[_ENTRY], "its header")
            scores = {name: entry.get_tensor(name) for name in entry.keys()}  # noqa: SIM118  # not a mapping
        key = header["key"]
        checksum = header["sha256"]
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, IntegrityError) as err:
        raise IntegrityError(f"cache entry {path} is damaged ({err}): it will be computed again") from err
    actual = _digest(scores)
    if actual != checksum:
        raise IntegrityError(
            f"cache entry {path} is damaged: its values hash to {actual}, it was written with {checksum}: "
            "it will be computed again"
        )
    if path.stem != content_hash(key):
        raise IntegrityError(f"cache entry {path} holds the scores of another key: it will be computed again")
    return key, scores


def check(path: str | os.PathLike[str]) -> None:
    """Check one entry.

    Raises:
        IntegrityError: the entry is damaged.
    """
    read(Path(path))


def entries(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """List the entries of a cache folder, in a fixed order."""
    yield from sorted(Path(folder).rglob(f"*{SUFFIX}"))


class CacheWarning(UserWarning):
    """An entry of the cache is damaged, or the cache cannot be used."""


class Cache:
    """Entries in a folder, which several processes may use at once.

    Attributes:
        hits: number of entries that were read.
        damaged: messages about damaged entries, and about a cache that cannot be used.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.hits = 0
        self.damaged: list[str] = []
        self._usable = True

    def path(self, key: Mapping[str, Any]) -> Path:
        """Return the path of an entry."""
        name = content_hash({"schema": SCHEMA, **key})
        return self.folder / name[:2] / f"{name}{SUFFIX}"

    def get(self, key: Mapping[str, Any], names: tuple[str, ...]) -> Scores | None:
        """Return the scores `names` of an entry; None if it is absent, damaged or lacks one of them."""
        path = self.path(key)
        if not os.path.lexists(path):
            return None
        try:
            _, scores = read(path)
        except IntegrityError as err:
            self.damaged.append(str(err))
            return None
        if not set(names) <= set(scores):
            return None
        self.hits += 1
        return {name: scores[name] for name in names}

    def put(self, key: Mapping[str, Any], scores: Scores) -> None:
        """Store the scores of an entry, and replace those that it had.

        The cache saves time and nothing else: after the first entry that cannot be written, none is, and `damaged` says
        why.
        """
        if not self._usable:
            return
        from safetensors.numpy import save

        plain = {name: np.ascontiguousarray(values, dtype="<f8") for name, values in scores.items()}
        header = {"key": {"schema": SCHEMA, **key}, "sha256": _digest(plain)}
        data = save(plain, metadata={_ENTRY: json.dumps(header, sort_keys=True)})
        path = self.path(key)
        try:
            if os.path.lexists(path) and not path.is_file() and not path.is_dir():
                path.unlink()
            write_bytes(path, data, at_once=True)
        except (OSError, InputError) as err:
            self._usable = False
            self.damaged.append(
                f"the cache {self.folder} cannot be written, and the scores of this run are not kept: {err}"
            )
