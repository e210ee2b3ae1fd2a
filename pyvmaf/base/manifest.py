"""The manifest of an artefact: its command, inputs, outputs and code.

Every verb that writes an artefact calls `write_manifest` once, which writes ``<artefact>.manifest.json`` beside it. The
hashed part of a manifest holds nothing that differs between two identical runs: times, host and thread counts are in
the separate block ``run``.
"""

from __future__ import annotations

import os
import platform
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from pyvmaf.base.code import NOTHING, Uses, identity
from pyvmaf.base.files import content_hash, read_bytes, relative, sha256_bytes, sha256_file, write_json
from pyvmaf.base.outputs import MANIFEST_SUFFIX, current, place, run
from pyvmaf.base.parse import parse_json
from pyvmaf.base.verbs import verb as verb_row
from pyvmaf.errors import IntegrityError, PyvmafError

SCHEMA = "ai-run-provenance-v1"

# Options that change the speed or the output on the terminal, never a result.
_NEUTRAL_OPTIONS = frozenset({"--threads", "--jobs", "--code", "--progress", "--no-progress", "--quiet"})
_NEUTRAL_FLAGS = frozenset({"--progress", "--no-progress", "--quiet"})


def _describe(path: Path) -> dict[str, Any]:
    exists = place(path).is_file()
    return {"path": relative(path), "exists": exists, "sha256": sha256_file(path) if exists else None}


def _describe_all(named: Mapping[str, Path | Sequence[Path]]) -> dict[str, Any]:
    described: dict[str, Any] = {}
    for name, value in named.items():
        if isinstance(value, str | os.PathLike):
            described[name] = _describe(Path(value))
        else:
            described[name] = sorted((_describe(Path(item)) for item in value), key=lambda item: str(item["path"]))
    return described


def _flat(named: Mapping[str, Path | Sequence[Path]]) -> Iterator[Path]:
    for value in named.values():
        yield from [Path(value)] if isinstance(value, str | os.PathLike) else map(Path, value)


def _plain(value: Any) -> Any:
    """Return `value` as manifests hold it: paths relative, containers as JSON."""
    if isinstance(value, os.PathLike):
        return relative(value)
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, str):
        return relative(value) if os.path.isabs(value) else value
    if isinstance(value, list | tuple | set | frozenset):
        items = [_plain(v) for v in value]
        return sorted(items, key=repr) if isinstance(value, set | frozenset) else items
    return value


def normalised_argv(argv: Sequence[str]) -> list[str]:
    """Return the command without options that cannot change the result, with paths relative to the run's folder."""
    kept: list[str] = []
    skip = False
    for position, word in enumerate(argv):
        if skip:
            skip = False
            continue
        option, equals, value = word.partition("=")
        if position and option in _NEUTRAL_OPTIONS:
            skip = not equals and option not in _NEUTRAL_FLAGS
            continue
        if position == 0:
            kept.append(Path(word).name)
        elif equals and option.startswith("-"):
            kept.append(f"{option}={_plain(value)}")
        else:
            kept.append(str(_plain(word)))
    return kept


@cache
def package_versions(name: str) -> dict[str, str]:
    """Return the versions of the installed packages that shape a verb's results."""
    versions = {}
    for package in verb_row(name).packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "absent"
    return versions


@cache
def _own_version() -> str:
    return metadata.version("vmaf-train")


def engine_block(name: str, uses: Uses = NOTHING) -> dict[str, str]:
    """Return the block ``engine``: identity of the verb's code, pyvmaf's version, stage, and the facts of `uses`."""
    block = {"fingerprint": identity(name, uses), "pyvmaf": _own_version()}
    return block | {"stage": verb_row(name).stage} | dict(uses.facts)


def build_run_provenance(
    *,
    verb: str,
    args: Mapping[str, Any],
    inputs: Mapping[str, Path | Sequence[Path]],
    outputs: Mapping[str, Path | Sequence[Path]],
    uses: Uses = NOTHING,
    shared_trainer: str = "",
) -> dict[str, Any]:
    """Build the block ``run_provenance`` of a document: the same for every identical run.

    Args:
        verb: the command's name ("fit").
        args: arguments of the verb, by option name.
        inputs, outputs: files by role; a file that does not exist (yet) is listed with ``exists: false``.
        uses: modules and facts that data choose, as in `pyvmaf.base.code.identity`.
        shared_trainer: dotted name of the module that trains, for models that share it with others; "" for none.

    Raises:
        IntegrityError: an input is not the file that the verb has read.
    """
    if (work := current()) is not None:
        for path in _flat(inputs):
            work.record(path)
    return {
        "schema": SCHEMA,
        "entrypoint": f"vmaf-train {verb}",
        "argv": normalised_argv(sys.argv),
        "args": _plain(args),
        "inputs": _describe_all(inputs),
        "outputs": _describe_all(outputs),
        "engine": engine_block(verb, uses),
        "packages": package_versions(verb),
        **({"shared_trainer": shared_trainer} if shared_trainer else {}),
    }


def manifest_path(artefact: str | os.PathLike[str]) -> Path:
    """Return the path of the manifest of `artefact`."""
    path = Path(artefact)
    return path.with_name(path.name + MANIFEST_SUFFIX)


def write_manifest(
    artefact: str | os.PathLike[str],
    *,
    verb: str,
    args: Mapping[str, Any],
    inputs: Mapping[str, Path | Sequence[Path]],
    outputs: Mapping[str, Path | Sequence[Path]],
    details: Mapping[str, Any] | None = None,
    timings: Mapping[str, Path] | None = None,
    seconds: float | None = None,
    measured: Mapping[str, Any] | None = None,
    uses: Uses = NOTHING,
    shared_trainer: str = "",
) -> Path:
    """Write ``<artefact>.manifest.json`` and return its path. Call it after the outputs are written.

    Args:
        artefact: the main output.
        verb, args, inputs, outputs, uses, shared_trainer: as in `build_run_provenance`; `outputs` names every file that the verb
            wrote, so that `vmaf-train verify` can account for each.
        details: statements about the output (counts, reasons); the same for identical runs.
        timings: outputs that hold wall-clock values; their hashes go into the ``run`` block.
        seconds: duration of the work.
        measured: further figures that differ from run to run (latencies), for the ``run`` block.

    Raises:
        PyvmafError: a named output does not exist.
        IntegrityError: an input is not the file that the verb has read.
    """
    body = build_run_provenance(
        verb=verb, args=args, inputs=inputs, outputs=outputs, uses=uses, shared_trainer=shared_trainer
    )
    for role, described in body["outputs"].items():
        for item in described if isinstance(described, list) else [described]:
            if not item["exists"]:
                raise PyvmafError(f"{verb} was to write {item['path']} ({role}), but the file does not exist")
    if details:
        body["details"] = _plain(details)
    body["content_sha256"] = content_hash(body)
    body["run"] = {
        "finished_utc": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": seconds,
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "argv": list(sys.argv),
        "timings": _describe_all(timings or {}),
    }
    if measured:
        body["run"]["measured"] = dict(measured)
    path = manifest_path(artefact)
    work = current()
    if work is None:
        with run(verb) as alone:
            alone.manifests.add(os.path.abspath(path))
            write_json(path, body)
    else:
        work.check_inputs()
        work.manifests.add(os.path.abspath(path))
        write_json(path, body)
    return path


def read_manifest(artefact: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the manifest of `artefact` and check its hash.

    Raises:
        MissingFileError: the artefact does not have a manifest.
        IntegrityError: it is not JSON, of another schema, or was changed by hand.
    """
    path = manifest_path(artefact)
    text = read_bytes(path)
    body = parse_json(text, os.fspath(path))
    if not isinstance(body, dict) or body.get("schema") != SCHEMA:
        raise IntegrityError(f"{relative(path)} is not a manifest of schema {SCHEMA}")
    expected = body.get("content_sha256")
    # The hash counts for what a reader of the file gets, not for some of its lines.
    content = {key: value for key, value in body.items() if key not in ("run", "content_sha256")}
    part = _hashed_part(text)
    if sha256_bytes(part) == expected and parse_json(part, os.fspath(path)) == content:
        return body
    if expected != (actual := content_hash(content)):
        raise IntegrityError(
            f"{relative(path)} says its content hashes to {expected}, but it hashes to {actual}: "
            "it was changed after it was written"
        )
    return body


def _hashed_part(text: bytes) -> bytes:
    """Cut ``content_sha256`` and ``run`` out of the text of a manifest, as `write_json` lays it out.

    To parse it takes a fraction of the time of writing the content as JSON once more. Of a manifest with another layout
    the result is something else; then the content decides.
    """
    for start, end in ((b'\n "content_sha256": ', b","), (b'\n "run": {\n', b"\n },")):
        first = text.find(start)
        last = text.find(end, first)
        if first < 0 or last < 0:
            return text
        text = text[:first] + text[last + len(end) :]
    return text
