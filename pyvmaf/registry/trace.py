"""The commands that led to a file, from manifests alone.

Nothing is hashed here: `verify` compares the bytes with the manifests.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from pyvmaf.base.document import Call, Document, Part, publish
from pyvmaf.base.outputs import publishes
from pyvmaf.errors import InputError, MissingFileError
from pyvmaf.registry.manifests import Manifest, Named, is_manifest, load_manifest, load_manifests, walk

_DEEPEST = 40
"""Most commands in a chain; a run has some ten."""


class TracedFile(Part):
    """One file, and the command that made it."""

    path: str = Field(description="The file, relative to the run's folder.")
    sha256: str | None = Field(description="Its hash by the manifest that made it, else by the one that read it.")
    verb: str | None = Field(description="Name of the command; null for a source, which no manifest makes.")
    command: str | None = Field(description="The command without options that do not shape the result.")
    engine: dict[str, str] = Field(description="Identity of the code that ran.")
    stale: str | None = Field(description="The hash that the reader recorded, if it is not that of the maker.")
    seen: bool = Field(description="The file occurs earlier in the trace, and its inputs are left out here.")
    inputs: list[TracedFile] = Field(description="Sources first, then by verb and path.")


class Trace(Document):
    """Report of ``vmaf-train trace``."""

    title: ClassVar[str] = "Trace of a file: the commands that led to it"

    schema_: Literal["pyvmaf-trace-v1"] = Field(default="pyvmaf-trace-v1", alias="schema")
    artefact: TracedFile


@dataclass
class Step:
    """One file, and the command that made it; attributes as in `TracedFile`."""

    path: str
    sha256: str | None
    verb: str | None = None
    command: str | None = None
    engine: dict[str, str] = field(default_factory=dict)
    inputs: list[Step] = field(default_factory=list)
    stale: str | None = None
    seen: bool = False

    def steps(self) -> Iterator[Step]:
        """Iterate over this step and all below it."""
        yield self
        for step in self.inputs:
            yield from step.steps()

    def as_part(self) -> TracedFile:
        """Return the step as a part of a document."""
        return TracedFile(
            path=self.path,
            sha256=self.sha256,
            verb=self.verb,
            command=self.command,
            engine=self.engine,
            stale=self.stale,
            seen=self.seen,
            inputs=[step.as_part() for step in self.inputs],
        )


def _command(manifest: Manifest) -> str:
    """Return the command line; for a call from Python the verb with its arguments."""
    argv = [str(word) for word in manifest.body.get("argv", [])]
    if manifest.verb in argv:
        return shlex.join(["vmaf-train", *argv[argv.index(manifest.verb) :]])
    args = (f"{name}={value}" for name, value in sorted(manifest.body.get("args", {}).items()) if value is not None)
    return f"{manifest.verb}({', '.join(args)})"


def _packages(manifest: Manifest) -> list[Step]:
    """Return the registry packages that `fetch` took files from: the ends of every trace of the embedded clips."""
    pinned = manifest.body.get("args", {}).get("packages", [])
    return [
        Step(f"package {package['name']}=={package['version']} ({package['filename']})", package["sha256"])
        for package in (pinned if isinstance(pinned, list) else [])
        if isinstance(package, dict) and {"name", "version", "filename", "sha256"} <= package.keys()
    ]


def _makers(tree: Path) -> dict[Path, Manifest]:
    """Map each file below `tree` to the manifest that names it as an output."""

    def refused(_: Path, err: Exception) -> None:
        raise err

    makers: dict[Path, Manifest] = {}
    for manifest in load_manifests(
        (path for path in walk(tree) if is_manifest(path) and not path.is_symlink()), refused
    ):
        for item in manifest.outputs:
            makers.setdefault(item.path, manifest)
    return makers


def _tree_of(file: Path) -> Path:
    """Return the folder of results that a file lies in, by the path that its manifest records, else its own folder."""
    for path in filter(is_manifest, sorted(file.parent.glob("*.manifest.json"))):
        manifest = load_manifest(path)
        for item in manifest.outputs:
            if item.path == file:
                return manifest.tree(item)
    raise InputError(f"{file.name}: no manifest in its folder names it, so its commands are unknown (is it a source?)")


def trace(file: str | os.PathLike[str], *, tree: str | os.PathLike[str] | None = None) -> Step:
    """Trace a file back to its sources.

    Args:
        file: an artefact, or its manifest.
        tree: the results folder with the manifests; by default the one that the artefact's manifest names.

    Returns:
        The step that made the file, with those before it.

    Raises:
        MissingFileError: the file does not exist.
        InputError: no manifest names it, or its chain of commands has more than 40 links.
        IntegrityError: a manifest is damaged.
    """
    path = Path(os.path.abspath(file))
    if is_manifest(path):
        path = load_manifest(path).artefact
    if not path.exists():
        raise MissingFileError(f"no such file: {os.fspath(file)}")
    makers = _makers(Path(os.path.abspath(tree)) if tree is not None else _tree_of(path))
    if path not in makers:
        raise InputError(f"{os.fspath(file)} is named by no manifest, so its commands are unknown")
    output = next(item for item in makers[path].outputs if item.path == path)
    return _follow(output, makers, set(), 0)


def _follow(item: Named, makers: dict[Path, Manifest], seen: set[Path], depth: int) -> Step:
    if depth > _DEEPEST:
        raise InputError(
            f"{item.recorded} is more than {_DEEPEST} commands back, which no run makes: trace a later file"
        )
    manifest = makers.get(item.path)
    if manifest is None:
        return Step(item.recorded, item.sha256)
    output = next(out for out in manifest.outputs if out.path == item.path)
    step = Step(
        path=item.recorded,
        sha256=output.sha256,
        verb=manifest.verb,
        command=_command(manifest),
        engine={k: str(v) for k, v in manifest.body.get("engine", {}).items()},
        stale=item.sha256 if item.sha256 != output.sha256 else None,
        seen=manifest.path in seen,
    )
    if not step.seen:
        seen.add(manifest.path)

        def by_verb(item: Named) -> tuple[str, str]:
            maker = makers.get(item.path)
            return ("" if maker is None else maker.verb, item.recorded)

        step.inputs = _packages(manifest)
        step.inputs += [_follow(item, makers, seen, depth + 1) for item in sorted(manifest.inputs, key=by_verb)]
    return step


@publishes("trace")
def write_trace(step: Step, output: Path) -> Trace:
    """Write a trace as JSON (schema ``pyvmaf-trace-v1``), with its manifest beside it."""
    call = Call("trace", args={"file": step.path, "json": output}, inputs={})
    return publish(Trace(artefact=step.as_part()), output, call, role="trace")
