"""Reader of the manifests of a results tree, with the paths of outputs and inputs resolved.

A manifest names paths relative to the working folder of its run. It does not hold that folder (nor any absolute path):
the folder follows from the manifest's own path, so a tree can be moved, mounted anywhere and renamed.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pyvmaf.base.manifest import read_manifest
from pyvmaf.base.outputs import MANIFEST_SUFFIX
from pyvmaf.errors import IntegrityError, PyvmafError


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
        place: where its paths lie now.
        outputs: the files that the verb wrote, those with wall-clock values included.
        inputs: the files that it read.
        body: the content of the manifest.
    """

    path: Path
    artefact: Path
    place: Place
    outputs: tuple[Named, ...]
    inputs: tuple[Named, ...]
    body: dict[str, Any]

    def tree(self, item: Named) -> Path:
        """Return the folder of results that a file of the manifest lies in; its own folder if none is recorded."""
        if self.place.recorded:
            return self.place.folder
        first, slash, _ = item.recorded.partition("/")
        return self.place.folder / first if slash else item.path.parent

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


class Place(NamedTuple):
    """Where the paths of a manifest lie now.

    A recorded path that begins with `recorded` ("results") lies in `folder` ("/copies/renamed"); another is relative to the
    run's folder, which is as many levels above `folder` as `recorded` has names.
    """

    recorded: tuple[str, ...]
    folder: Path

    @property
    def root(self) -> Path:
        """The folder that stands for the working folder of the run."""
        return Path(os.path.normpath(self.folder.joinpath(*[".."] * len(self.recorded))))

    def find(self, recorded: str) -> Path:
        """Return the present path of a recorded one."""
        words = tuple(recorded.split("/"))
        inside = bool(self.recorded) and words[: len(self.recorded)] == self.recorded
        # normpath, not resolve: a symbolic link must stay visible as one.
        where = self.folder.joinpath(*words[len(self.recorded) :]) if inside else self.root / recorded
        return Path(os.path.normpath(where))

    def covers(self, artefact: Path, recorded: Iterable[str]) -> bool:
        """Return whether the place could be that of a manifest beside `artefact`."""
        return self.folder in artefact.parents and any(
            tuple(path.split("/"))[: len(self.recorded)] == self.recorded for path in recorded
        )


def _own_place(artefact: Path, recorded: Sequence[str]) -> Place:
    """Return the place that one manifest suggests: `artefact` ends as one of the recorded paths does, as far as it can."""
    best: tuple[str, ...] = ()
    folder = artefact.parent
    length = 0
    for path in recorded:
        words = tuple(path.split("/"))
        same = 0
        for ours, theirs in zip(reversed(artefact.parts[1:]), reversed(words), strict=False):
            if ours != theirs:
                break
            same += 1
        if same > length:
            length = same
            best, folder = words[:-same], Path(*artefact.parts[:-same])
    return Place(best, folder)


@dataclass(frozen=True)
class _Parsed:
    """A manifest whose paths are not resolved yet."""

    path: Path
    artefact: Path
    body: dict[str, Any]
    outputs: list[tuple[str, dict[str, Any]]]

    @property
    def recorded(self) -> list[str]:
        return [str(item["path"]) for _, item in self.outputs]

    def placed(self, place: Place) -> Manifest:
        def named(role: str, item: dict[str, Any]) -> Named:
            recorded = str(item["path"])
            sha = item.get("sha256")
            return Named(role, place.find(recorded), recorded, sha if isinstance(sha, str) else None)

        return Manifest(
            path=self.path,
            artefact=self.artefact,
            place=place,
            outputs=tuple(named(role, item) for role, item in self.outputs),
            inputs=tuple(named(role, item) for role, item in _items(self.body.get("inputs"))),
            body=self.body,
        )


_KINDS = {"entrypoint": str, "argv": list, "args": dict, "inputs": dict, "outputs": dict, "engine": dict, "run": dict}


def _parse(path: Path) -> _Parsed:
    artefact = Path(os.path.abspath(path.with_name(path.name.removesuffix(MANIFEST_SUFFIX))))
    body = read_manifest(artefact)
    for key, kind in _KINDS.items():
        if key in body and not isinstance(body[key], kind):
            raise IntegrityError(f"{path}: {key} holds {type(body[key]).__name__}, not {kind.__name__}")
    outputs = [*_items(body.get("outputs")), *_items(body.get("run", {}).get("timings"))]
    if not outputs:
        raise IntegrityError(f"{path} does not name an output: write the artefact again")
    if any("\0" in str(item["path"]) for _, item in [*outputs, *_items(body.get("inputs"))]):
        raise IntegrityError(f"{path} names a file whose path cannot be")
    return _Parsed(path, artefact, body, outputs)


def load_manifest(path: Path) -> Manifest:
    """Read one manifest file, given its own path.

    Raises:
        MissingFileError: the file does not exist.
        IntegrityError: it is damaged, was changed by hand, or does not name an output.
    """
    parsed = _parse(path)
    return parsed.placed(_own_place(parsed.artefact, parsed.recorded))


def load_manifests(paths: Iterable[Path], refused: Callable[[Path, Exception], None]) -> list[Manifest]:
    """Read the manifests of a tree, which may be a copy under another name.

    The manifests vote on where their paths lie now, so that a file that was moved inside of the tree with its manifest
    is not taken for one in its right place.

    Args:
        paths: the manifest files.
        refused: called with each file that cannot be read as a manifest, and the reason.
    """
    parsed = []
    votes: Counter[Place] = Counter()
    for path in paths:
        try:
            manifest = _parse(path)
        except (PyvmafError, OSError) as err:
            refused(path, err)
            continue
        parsed.append(manifest)
        if manifest.artefact.name in {name.rpartition("/")[2] for name in manifest.recorded}:
            votes[_own_place(manifest.artefact, manifest.recorded)] += 1
    ranked = sorted(votes, key=lambda place: (-votes[place], len(place.recorded)))
    found = []
    for manifest in parsed:
        covering = (place for place in ranked if place.covers(manifest.artefact, manifest.recorded))
        found.append(manifest.placed(next(covering, _own_place(manifest.artefact, manifest.recorded))))
    return found


def walk(tree: Path, refused: Callable[[OSError], None] = lambda _err: None) -> Iterator[Path]:
    """List everything below `tree` that is not a folder, sorted; links are listed, never followed.

    Args:
        tree: the folder.
        refused: called with the error of a folder that cannot be listed.
    """
    for folder, folders, files in os.walk(tree, onerror=refused):
        folders.sort()
        parent = Path(folder)
        # A link to a folder is an entry of its own: its content belongs to another tree.
        linked = [name for name in folders if (parent / name).is_symlink()]
        folders[:] = [name for name in folders if name not in linked]
        for name in sorted([*files, *linked]):
            yield parent / name
