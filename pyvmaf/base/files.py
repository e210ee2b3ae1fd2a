"""Hashes, atomic writes, locks, JSON and YAML: every file of the project is read and written through these."""

from __future__ import annotations

import errno
import fcntl
import glob
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyvmaf.errors import InputError, IntegrityError, MissingFileError


def sha256_bytes(data: bytes) -> str:
    """Return the SHA-256 of `data` as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's bytes as 64 hex digits.

    Raises:
        MissingFileError: the file does not exist.
    """
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except (FileNotFoundError, IsADirectoryError) as err:
        raise MissingFileError(f"no such file: {os.fspath(path)}") from err


def dumps(value: Any) -> str:
    """Write `value` as deterministic JSON: sorted keys, the shortest float that reads back equal; NaN is refused."""
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def content_hash(value: Any) -> str:
    """Return the SHA-256 of the deterministic JSON of `value`."""
    return sha256_bytes(dumps(value).encode())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path that is renamed to `path` when the block succeeds.

    The temporary file lies in the same folder (made if absent) and keeps the suffix, because writers guess formats
    from it. Whatever happens inside the block (an exception, Ctrl-C, a full disk), `path` holds either its old bytes or
    all of the new ones. A temporary file of a killed process is removed by the next process that writes `path`.
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
    """Take the exclusive lock of an open file or folder, which the kernel releases when the process ends.

    Returns:
        False if another process holds the lock, or the file system does not have locks.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _sweep(target: Path) -> None:
    """Remove temporary files of killed writers of `target`; writers that still run hold a lock."""
    for path in target.parent.glob(f".{glob.escape(target.name)}.*.tmp{glob.escape(target.suffix)}"):
        try:
            handle = os.open(path, os.O_RDWR)
        except OSError:
            continue  # removed meanwhile, or owned by somebody else
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
    return read_json_bytes(path)[1]


def read_json_bytes(path: str | os.PathLike[str]) -> tuple[bytes, Any]:
    """Read the bytes of a JSON file, and its value.

    Raises:
        MissingFileError, IntegrityError: as `read_json`.
    """
    try:
        text = Path(path).read_bytes()
        return text, json.loads(text)
    except FileNotFoundError as err:
        raise MissingFileError(f"no such file: {os.fspath(path)}") from err
    except (UnicodeDecodeError, json.JSONDecodeError) as err:
        raise IntegrityError(f"{os.fspath(path)} is not JSON ({err}): it is damaged or was cut short") from err


def read_yaml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the mapping in a YAML file; an empty file gives an empty mapping.

    Raises:
        MissingFileError: the file does not exist.
        InputError: it is not YAML, or not a mapping.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        data = yaml.load(Path(path).read_bytes(), Loader=loader)  # noqa: S506 (the safe loader, in C if PyYAML has it)
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
    """Return `path` relative to the working directory; of a path outside of it, only the file name."""
    full = Path(os.path.abspath(path))
    try:
        return full.relative_to(Path.cwd()).as_posix()
    except ValueError:
        return full.name


def is_disk_full(error: BaseException) -> bool:
    """Return whether `error` reports a full file system or quota."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def confined(root: str | os.PathLike[str], member: str) -> Path:
    """Return `root`/`member`, which has to lie inside `root`.

    Raises:
        InputError: `member` is absolute or climbs out with ``..``.
    """
    base = Path(root).resolve()
    path = (base / member).resolve()
    if path != base and base not in path.parents:
        raise InputError(f"{member!r} would lie outside of {relative(root)}: refused")
    return path


def resource(module_file: str, name: str) -> Path:
    """Return a file or folder beside a module; its bytes are part of the code identity (`pyvmaf.base.code`).

    Args:
        module_file: the module's ``__file__``.
        name: path from the module's folder, written out.
    """
    return Path(module_file).parent / name
