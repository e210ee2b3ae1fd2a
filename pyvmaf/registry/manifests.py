"""Reader of the manifests of a results tree, with the paths of outputs and inputs resolved.

A manifest names paths relative to the working folder of its run. It does not hold that folder (nor any absolute path):
the folder follows from the manifest's own path, so a tree can be moved or mounted anywhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyvmaf.base.manifest import read_manifest
from pyvmaf.base.outputs import MANIFEST_SUFFIX
from pyvmaf.errors import IntegrityError


@dataclass(frozen=True)
class Named:
    """One file that a manifest names.

    Attributes:
        role: role of the file in the verb ("weights", "table").
        path: its present path, absolute.
        recorded: its path in the manifest.
        sha256: the recorded hash; None for a file that did not exist then.
    """

    role: str
    path: Path
    recorded: str
    sha256: str | None


@dataclass(frozen=True)
class Manifest:
    """One manifest with its paths resolved.

    Attributes:
        path: the manifest file.
        artefact: the file beside it, whose name it has.
        root: the working folder of the run.
        outputs: the files that the verb wrote, those with wall-clock values included.
        inputs: the files that it read.
        body: the content of the manifest.
    """

    path: Path
    artefact: Path
    root: Path
    outputs: tuple[Named, ...]
    inputs: tuple[Named, ...]
    body: dict[str, Any]

    @property
    def verb(self) -> str:
        """Name of the command ("fit")."""
        return str(self.body.get("entrypoint", "")).rpartition(" ")[2] or "?"


def is_manifest(path: Path) -> bool:
    """Return whether `path` has the name of a manifest."""
    return path.name.endswith(MANIFEST_SUFFIX) and path.name != MANIFEST_SUFFIX


def _items(block: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if not isinstance(block, dict):
        return
    for role, value in sorted(block.items()):
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict) and isinstance(item.get("path"), str):
                yield role, item


def _root(artefact: Path, recorded: Iterable[str]) -> Path:
    """Return the run's folder: `artefact` without the longest recorded path that it ends with."""
    parts = artefact.parts
    best = 1
    for path in recorded:
        words = tuple(path.split("/"))
        if len(words) > best and parts[-len(words) :] == words:
            best = len(words)
    return Path(*parts[:-best])


def _within(root: Path, recorded: str) -> Path:
    # normpath, not resolve: a symbolic link must stay visible as one.
    return Path(os.path.normpath(root / recorded))


def load_manifest(path: Path) -> Manifest:
    """Read one manifest file, given its own path.

    Raises:
        MissingFileError: the file does not exist.
        IntegrityError: it is damaged, was changed by hand, or does not name an output.
    """
    artefact = path.with_name(path.name.removesuffix(MANIFEST_SUFFIX))
    body = read_manifest(artefact)
    outputs = list(_items(body.get("outputs")))
    run = body.get("run")
    outputs += _items(run.get("timings") if isinstance(run, dict) else None)
    if not outputs:
        raise IntegrityError(f"{path} does not name an output: write the artefact again")
    root = _root(Path(os.path.abspath(artefact)), (str(item["path"]) for _, item in outputs))

    def named(role: str, item: dict[str, Any]) -> Named:
        recorded = str(item["path"])
        sha = item.get("sha256")
        return Named(role, _within(root, recorded), recorded, sha if isinstance(sha, str) else None)

    return Manifest(
        path=path,
        artefact=artefact,
        root=root,
        outputs=tuple(named(role, item) for role, item in outputs),
        inputs=tuple(named(role, item) for role, item in _items(body.get("inputs"))),
        body=body,
    )


def walk(tree: Path) -> Iterator[Path]:
    """List everything below `tree` that is not a folder, sorted; links are listed, never followed."""
    for folder, folders, files in os.walk(tree):
        folders.sort()
        parent = Path(folder)
        # A link to a folder is an entry of its own: its content belongs to another tree.
        linked = [name for name in folders if (parent / name).is_symlink()]
        folders[:] = [name for name in folders if name not in linked]
        for name in sorted([*files, *linked]):
            yield parent / name
