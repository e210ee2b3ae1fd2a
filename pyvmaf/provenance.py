"""Hashes, atomic writes, and the manifest that says where an artefact came from.

Every verb that writes an artefact calls `write_manifest` once; it leaves ``<artefact>.manifest.json``
beside it. The hashed part of a manifest holds nothing that differs between two identical runs: times,
host and thread counts sit in the separate block ``run``.
"""

from __future__ import annotations

import errno
import fcntl
import glob
import hashlib
import json
import os
import platform
import re
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from pyvmaf.errors import InputError, IntegrityError, MissingFileError, PyvmafError

SCHEMA = "ai-run-provenance-v1"
MANIFEST_SUFFIX = ".manifest.json"

# Options that change how fast or how loudly a run goes, never what it writes.
_NEUTRAL_OPTIONS = frozenset({"--threads", "--jobs", "--engine", "--progress", "--no-progress", "--quiet"})
_NEUTRAL_FLAGS = frozenset({"--progress", "--no-progress", "--quiet"})

# Packages whose version can change the bytes of what a stage writes.
_PACKAGES: dict[str, tuple[str, ...]] = {
    "corpora": ("av", "imageio-ffmpeg"),
    "encodes": ("av", "imageio-ffmpeg"),
    "features": ("av", "numpy", "pyarrow"),
    "tables": ("numpy", "pyarrow"),
    "models": ("numpy", "onnx", "onnxruntime", "pyarrow", "scipy", "torch"),
    "quantized": ("numpy", "onnx", "onnxruntime", "pyarrow", "scipy", "torch", "torchao"),
    "registry": (),
    "audit": (),
    "reports": ("altair", "numpy", "pandas", "vl-convert-python"),
    "checks": ("numpy", "onnx", "onnxruntime", "pyarrow", "scipy"),
    "studies": ("numpy", "pyarrow", "scikit-learn", "scipy", "torch"),
}


def sha256_bytes(data: bytes) -> str:
    """SHA-256 of `data` as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes as 64 hex digits.

    Raises:
        MissingFileError: there is no such file.
    """
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except (FileNotFoundError, IsADirectoryError) as err:
        raise MissingFileError(f"no such file: {os.fspath(path)}") from err


def dumps(value: Any) -> str:
    """Deterministic JSON: sorted keys, shortest float that reads back the same, NaN and infinity refused."""
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def content_hash(value: Any) -> str:
    """SHA-256 over the deterministic JSON of `value`."""
    return sha256_bytes(dumps(value).encode())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path in the folder of `path` (made if absent) that takes its name when the block succeeds.

    The temporary name keeps the suffix, because writers guess formats from it. Whatever happens inside, also
    Ctrl-C or a full disk, `path` holds either its old bytes or all of the new ones. What a killed process left
    half-written is removed by the next one that writes `path`.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep(target)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=f".tmp{target.suffix}", dir=target.parent)
    temporary = Path(name)
    try:
        try_lock(handle)
        yield temporary
        # mkstemp makes private files; results are shared like any other file.
        temporary.chmod(0o666 & ~_umask())
        with open(temporary, "rb+") as stream:
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


def try_lock(handle: int) -> bool:
    """Take the lock that says "somebody is writing this", of a file or folder; it goes with the process, however that
    ends. False where somebody has it, or the file system has no locks.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _sweep(target: Path) -> None:
    """Remove what writers of `target` left behind that were killed; those still at work hold a lock."""
    for path in target.parent.glob(f".{glob.escape(target.name)}.*.tmp{glob.escape(target.suffix)}"):
        try:
            handle = os.open(path, os.O_RDWR)
        except OSError:
            continue  # gone meanwhile, or not ours
        try:
            if try_lock(handle):
                path.unlink(missing_ok=True)
        finally:
            os.close(handle)


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` to `path` atomically, as UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write `value` to `path` atomically as deterministic JSON."""
    write_text(path, dumps(value))


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file.

    Raises:
        MissingFileError: there is no such file.
        IntegrityError: the file is not JSON.
    """
    return _read_json(path)[1]


def _read_json(path: str | os.PathLike[str]) -> tuple[bytes, Any]:
    """The bytes of a JSON file, and what they say."""
    try:
        text = Path(path).read_bytes()
        return text, json.loads(text)
    except FileNotFoundError as err:
        raise MissingFileError(f"no such file: {os.fspath(path)}") from err
    except (UnicodeDecodeError, json.JSONDecodeError) as err:
        raise IntegrityError(f"{os.fspath(path)} is not JSON ({err}): it is damaged or was cut short") from err


def read_yaml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The mapping in a YAML file; an empty file is an empty one.

    Raises:
        MissingFileError: there is no such file.
        InputError: it is not YAML, or no mapping.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        data = yaml.load(Path(path).read_bytes(), Loader=loader)  # noqa: S506 (the safe loader, in C where there is one)
    except FileNotFoundError as err:
        raise MissingFileError(f"no such file: {os.fspath(path)}") from err
    except yaml.YAMLError as err:
        raise InputError(f"{os.fspath(path)} is not YAML: {' '.join(str(err).split())}") from err
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise InputError(f"{os.fspath(path)} holds {type(data).__name__}, not a mapping of keys")
    return data


def relative(path: str | os.PathLike[str]) -> str:
    """`path` as it is seen from the working directory; of a path outside of it only the file name is kept."""
    full = Path(os.path.abspath(path))
    try:
        return full.relative_to(Path.cwd()).as_posix()
    except ValueError:
        return full.name


def is_disk_full(error: BaseException) -> bool:
    """Whether `error` says that a file system or a quota is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _describe(path: Path) -> dict[str, Any]:
    exists = path.is_file()
    return {"path": relative(path), "exists": exists, "sha256": sha256_file(path) if exists else None}


def _describe_all(named: Mapping[str, Path | Sequence[Path]]) -> dict[str, Any]:
    described: dict[str, Any] = {}
    for name, value in named.items():
        if isinstance(value, str | os.PathLike):
            described[name] = _describe(Path(value))
        else:
            described[name] = sorted((_describe(Path(item)) for item in value), key=lambda item: str(item["path"]))
    return described


def _plain(value: Any) -> Any:
    """`value` with paths made relative and containers made JSON, as manifests hold it."""
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
    """The command as typed, less what cannot change the result, with paths seen from the run's folder."""
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
def package_versions(stage: str) -> dict[str, str]:
    """Versions of the installed packages that shape what `stage` writes."""
    versions = {}
    for name in _PACKAGES[stage]:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "absent"
    return versions


def engine_block(stage: str) -> dict[str, str]:
    """What computes `stage`: fingerprint of its code, pyvmaf's version, and libvmaf's identity where it is used."""
    from pyvmaf.fingerprint import fingerprint, uses_native

    block = {"fingerprint": fingerprint(stage), "pyvmaf": metadata.version("vmaf-train"), "stage": stage}
    if uses_native(stage):
        from pyvmaf.engine import identity

        block["libvmaf"] = identity()
    return block


def build_run_provenance(
    *,
    verb: str,
    stage: str,
    args: Mapping[str, Any],
    inputs: Mapping[str, Path | Sequence[Path]],
    outputs: Mapping[str, Path | Sequence[Path]],
) -> dict[str, Any]:
    """The block ``run_provenance`` for a report or sidecar: the same for every identical run.

    Args:
        verb: the command's name ("fit").
        stage: the stage that the verb belongs to.
        args: what the verb was asked, by option name.
        inputs, outputs: files by role; a file that does not exist (yet) is listed with ``exists: false``.
    """
    return {
        "schema": SCHEMA,
        "entrypoint": f"vmaf-train {verb}",
        "argv": normalised_argv(sys.argv),
        "args": _plain(args),
        "inputs": _describe_all(inputs),
        "outputs": _describe_all(outputs),
        "engine": engine_block(stage),
        "packages": package_versions(stage),
    }


def manifest_path(artefact: str | os.PathLike[str]) -> Path:
    """Where the manifest of `artefact` lies."""
    path = Path(artefact)
    return path.with_name(path.name + MANIFEST_SUFFIX)


def write_manifest(
    artefact: str | os.PathLike[str],
    *,
    verb: str,
    stage: str,
    args: Mapping[str, Any],
    inputs: Mapping[str, Path | Sequence[Path]],
    outputs: Mapping[str, Path | Sequence[Path]],
    details: Mapping[str, Any] | None = None,
    timings: Mapping[str, Path] | None = None,
    seconds: float | None = None,
    measured: Mapping[str, Any] | None = None,
) -> Path:
    """Write ``<artefact>.manifest.json`` and return its path. Call it after the outputs are in place.

    Args:
        artefact: the main output.
        verb, stage, args, inputs, outputs: as in `build_run_provenance`; `outputs` names every file that the
            verb left behind, so that `vmaf-train verify` can account for each.
        details: what the verb wants to state about its output (counts, reasons); same for identical runs.
        timings: outputs that hold wall-clock values; their hashes go into the ``run`` block.
        seconds: how long the work took.
        measured: further figures that differ from run to run (latencies); they too go into the ``run`` block.

    Raises:
        PyvmafError: an output that was named does not exist.
    """
    body = build_run_provenance(verb=verb, stage=stage, args=args, inputs=inputs, outputs=outputs)
    for role, described in body["outputs"].items():
        for item in described if isinstance(described, list) else [described]:
            if not item["exists"]:
                raise PyvmafError(f"{verb} was to leave {item['path']} ({role}), but no such file is there")
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
    write_json(path, body)
    return path


def read_manifest(artefact: str | os.PathLike[str]) -> dict[str, Any]:
    """The manifest of `artefact`, its hashed part checked.

    Raises:
        MissingFileError: there is none.
        IntegrityError: it is not JSON, of another schema, or was changed by hand.
    """
    path = manifest_path(artefact)
    text, body = _read_json(path)
    if not isinstance(body, dict) or body.get("schema") != SCHEMA:
        raise IntegrityError(f"{relative(path)} is not a manifest of schema {SCHEMA}")
    expected = body.get("content_sha256")
    if sha256_bytes(_hashed_part(text)) == expected:
        return body
    found = content_hash({k: v for k, v in body.items() if k not in ("run", "content_sha256")})
    if expected != found:
        raise IntegrityError(
            f"{relative(path)} says its content hashes to {expected}, but it hashes to {found}: "
            "it was changed after it was written"
        )
    return body


_UNHASHED = re.compile(rb'^ "content_sha256": "[0-9a-f]{64}",\n|^ "run": \{\n(?:  .*\n)* \},\n', re.MULTILINE)


def _hashed_part(text: bytes) -> bytes:
    """What is hashed of a manifest's own text, as it was written: putting the JSON together again is ten times slower.

    Another way of writing the same gives another hash; then the content decides.
    """
    return _UNHASHED.sub(b"", text)


def confined(root: str | os.PathLike[str], member: str) -> Path:
    """`root`/`member`, refused where the result would lie outside of `root`.

    Raises:
        InputError: `member` is absolute or climbs out with ``..``.
    """
    base = Path(root).resolve()
    path = (base / member).resolve()
    if path != base and base not in path.parents:
        raise InputError(f"{member!r} would lie outside of {relative(root)}: refused")
    return path
