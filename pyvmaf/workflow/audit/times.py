"""Inputs that are newer than an output although their bytes are those that it was made from: copies without their times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pyvmaf.base.files import sha256_file
from pyvmaf.base.manifest import read_manifest
from pyvmaf.base.outputs import MANIFEST_SUFFIX
from pyvmaf.errors import PyvmafError


class Recorded:
    """Compares files with the hashes that manifests recorded of them.

    Args:
        folder: the working folder of the run; paths are relative to it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Many jobs read the same files.
        self._hash = cache(self._sha256)

    def changed(self, outputs: Sequence[str], inputs: Sequence[str]) -> list[str]:
        """Return the inputs whose bytes are not those that the manifest of the outputs recorded.

        An input that no manifest names counts as changed.
        """
        recorded: dict[str, set[str]] = {}
        for output in outputs:
            if not output.endswith(MANIFEST_SUFFIX):
                for name, sha256 in self._recorded(output):
                    recorded.setdefault(name, set()).add(sha256)
        # Of a file outside of the run's folder a manifest holds the name alone.
        return [path for path in inputs if self._hash(path) not in recorded.get(Path(path).name, ())]

    def _recorded(self, output: str) -> Iterator[tuple[str, str]]:
        """File names and hashes of the inputs of an output."""
        try:
            yield from _files(read_manifest(self._folder / output)["inputs"])
        except (PyvmafError, KeyError):
            return

    def _sha256(self, path: str) -> str | None:
        try:
            return sha256_file(self._folder / path)
        except PyvmafError:
            return None


def _files(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        if isinstance(value.get("path"), str) and isinstance(value.get("sha256"), str):
            yield Path(value["path"]).name, value["sha256"]
        else:
            for inner in value.values():
                yield from _files(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _files(inner)
