"""How an artefact came about, told from manifests alone.

Nothing is hashed here: `verify` says whether the bytes are still those that the manifests speak of.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyvmaf.base.files import write_json
from pyvmaf.base.manifest import write_manifest
from pyvmaf.errors import InputError, MissingFileError
from pyvmaf.registry.manifests import Manifest, Named, is_manifest, load_manifest, walk

SCHEMA = "pyvmaf-trace-v1"


@dataclass
class Step:
    """One file, and the command that made it.

    Attributes:
        path: the file, as seen from the run's folder.
        sha256: its hash as the manifest that made it (or read it) recorded.
        verb: the command's name, None for a file that no manifest says how to make: a source.
        command: the command, as far as it shapes the result; a call from Python is written as one.
        engine: identity of the code that ran.
        inputs: what it was made from: sources first, then by verb and path.
        stale: the hash that the reader recorded, where it is not the one that the maker did.
        seen: the step is told elsewhere in the tree, hence its inputs are left out here.
    """

    path: str
    sha256: str | None
    verb: str | None = None
    command: str | None = None
    engine: dict[str, str] = field(default_factory=dict)
    inputs: list[Step] = field(default_factory=list)
    stale: str | None = None
    seen: bool = False

    def steps(self) -> Iterator[Step]:
        """This step and all below it."""
        yield self
        for step in self.inputs:
            yield from step.steps()

    def as_data(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "path": self.path,
            "sha256": self.sha256,
            "verb": self.verb,
            "command": self.command,
            "engine": self.engine,
            "stale": self.stale,
            "seen": self.seen,
            "inputs": [step.as_data() for step in self.inputs],
        }


def _command(manifest: Manifest) -> str:
    """The command as typed; of a call from Python, which has none, the verb with what it was asked."""
    argv = [str(word) for word in manifest.body.get("argv", [])]
    if manifest.verb in argv:
        return shlex.join(["vmaf-train", *argv[argv.index(manifest.verb) :]])
    args = (f"{name}={value}" for name, value in sorted(manifest.body.get("args", {}).items()) if value is not None)
    return f"{manifest.verb}({', '.join(args)})"


def _packages(manifest: Manifest) -> list[Step]:
    """The registry packages that `fetch` was told to take files out of: where every trace of the embedded clips ends."""
    pinned = manifest.body.get("args", {}).get("packages", [])
    return [
        Step(f"package {package['name']}=={package['version']} ({package['filename']})", package["sha256"])
        for package in (pinned if isinstance(pinned, list) else [])
        if isinstance(package, dict) and {"name", "version", "filename", "sha256"} <= package.keys()
    ]


def _makers(tree: Path) -> dict[Path, Manifest]:
    """The manifest that each file below `tree` was made by."""
    makers: dict[Path, Manifest] = {}
    for path in walk(tree):
        if is_manifest(path) and not path.is_symlink():
            manifest = load_manifest(path)
            for item in manifest.outputs:
                makers.setdefault(item.path, manifest)
    return makers


def _tree_of(file: Path) -> Path:
    """The highest folder above `file` that its own manifest speaks of, else its own folder."""
    beside = [p for p in sorted(file.parent.glob("*.manifest.json")) if is_manifest(p)]
    for path in beside:
        manifest = load_manifest(path)
        for item in manifest.outputs:
            if item.path == file:
                first = item.recorded.split("/")[0]
                return manifest.root / first if "/" in item.recorded else file.parent
    raise InputError(
        f"{file.name}: no manifest in its folder names it, so nothing says how it came about (is it a source?)"
    )


def trace(file: str | os.PathLike[str], *, tree: str | os.PathLike[str] | None = None) -> Step:
    """The steps that led to `file`, back to what no manifest says how to make.

    Args:
        file: an artefact, or its manifest.
        tree: the results folder to look for manifests in; the one that the artefact's manifest names by default.

    Raises:
        MissingFileError: there is no such file.
        InputError: no manifest names it.
        IntegrityError: a manifest is damaged.
    """
    path = Path(os.path.abspath(file))
    if is_manifest(path):
        path = load_manifest(path).artefact
    if not path.exists():
        raise MissingFileError(f"no such file: {os.fspath(file)}")
    makers = _makers(Path(os.path.abspath(tree)) if tree is not None else _tree_of(path))
    if path not in makers:
        raise InputError(f"{os.fspath(file)} is named by no manifest, so nothing says how it came about")
    made = next(item for item in makers[path].outputs if item.path == path)
    return _follow(made, makers, set())


def _follow(item: Named, makers: dict[Path, Manifest], seen: set[Path]) -> Step:
    manifest = makers.get(item.path)
    if manifest is None:
        return Step(item.recorded, item.sha256)
    made = next(out for out in manifest.outputs if out.path == item.path)
    step = Step(
        path=item.recorded,
        sha256=made.sha256,
        verb=manifest.verb,
        command=_command(manifest),
        engine={k: str(v) for k, v in manifest.body.get("engine", {}).items()},
        stale=item.sha256 if item.sha256 != made.sha256 else None,
        seen=manifest.path in seen,
    )
    if not step.seen:
        seen.add(manifest.path)

        def place(item: Named) -> tuple[str, str]:
            maker = makers.get(item.path)
            return ("" if maker is None else maker.verb, item.recorded)

        step.inputs = _packages(manifest)
        step.inputs += [_follow(item, makers, seen) for item in sorted(manifest.inputs, key=place)]
    return step


def write_trace(step: Step, output: Path) -> None:
    """Write the steps as JSON (schema ``pyvmaf-trace-v1``), with its manifest beside it."""
    write_json(output, {"schema": SCHEMA, "artefact": step.as_data()})
    write_manifest(
        output,
        verb="trace",
        args={"file": step.path, "json": output},
        inputs={},
        outputs={"trace": output},
    )
