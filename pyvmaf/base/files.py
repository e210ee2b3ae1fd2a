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
    return read_json_bytes(path)[1]


def read_json_bytes(path: str | os.PathLike[str]) -> tuple[bytes, Any]:
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


def resource(module_file: str, name: str) -> Path:
    """A file or folder that lies beside a module and is read by it; its bytes are part of the code (`pyvmaf.base.code`).

    Args:
        module_file: the module's ``__file__``.
        name: path from the module's folder, written out.
    """
    return Path(module_file).parent / name
