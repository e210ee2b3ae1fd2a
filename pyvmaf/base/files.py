"""Hashes, atomic writes, locks, JSON and YAML: every file of the project is read and written through these."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

from pyvmaf.base.outputs import Stamp, check_output, current, keep_hash, known_hash, place, reading
from pyvmaf.base.parse import MAX_BYTES, parse_json, parse_yaml
from pyvmaf.base.roots import movable
from pyvmaf.errors import InputError, IntegrityError, MissingFileError


def sha256_bytes(data: bytes) -> str:
    """Return the SHA-256 of `data` as 64 hex digits."""
    from hashlib import sha256

    return sha256(data).hexdigest()


def open_regular(path: str | os.PathLike[str]) -> BufferedReader:
    """Open a regular file for reading; others may block for ever, or have no end.

    Raises:
        MissingFileError: there is no such file.
        InputError: it is a device, a pipe or a socket.
    """
    try:
        handle = os.open(place(path), os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except (FileNotFoundError, NotADirectoryError) as err:
        raise MissingFileError(f"no such file: {os.fspath(path)}") from err
    except OSError as err:
        if err.errno == errno.ENXIO:
            raise InputError(f"{os.fspath(path)} is a socket or a pipe, not a regular file: refused") from err
        raise
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return open(handle, "rb")
    os.close(handle)
    if stat.S_ISDIR(mode):
        raise MissingFileError(f"no such file: {os.fspath(path)} (it is a folder)")
    raise InputError(f"{os.fspath(path)} is a device or a pipe, not a regular file: refused")


def sha256_file(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's bytes as 64 hex digits.

    Inside a verb (`pyvmaf.base.outputs.publishes`) a file that it reads is hashed once.

    Raises:
        MissingFileError: the file does not exist.
        InputError: it is a device, a pipe or a socket, whose bytes may have no end.
        IntegrityError: it was changed while it was read.
    """
    with open_regular(path) as stream:
        stamp = Stamp.of(os.fstat(stream.fileno()))
        if (known := known_hash(path, stamp)) is not None:
            return known
        from hashlib import file_digest

        digest = file_digest(stream, "sha256").hexdigest()
        if Stamp.of(os.fstat(stream.fileno())) != stamp:
            raise IntegrityError(f"{os.fspath(path)} was changed while it was read: run again when nobody writes it")
    keep_hash(path, stamp, digest)
    return digest


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
def atomic_path(path: str | os.PathLike[str], *, update: bool = False, at_once: bool = False) -> Iterator[Path]:
    """Give a temporary path that is renamed to `path` when the block succeeds.

    The temporary file lies in the same folder (made if absent) and keeps the suffix, because writers guess formats
    from it. Whatever happens inside the block (an exception, Ctrl-C, a full disk), `path` holds either its old bytes or
    all of the new ones. A temporary file of a killed process is removed by the next process that writes `path`.

    Inside a verb (`pyvmaf.base.outputs.publishes`) the file gets its name when the verb ends, with all its other outputs.

    Args:
        path: the file.
        update: the verb has read the file itself and writes it anew, or has checked that it may be replaced.
        at_once: rename it when the block ends, whatever was there: for files that a verb keeps for itself.

    Raises:
        InputError: `path` cannot be an output: see `pyvmaf.base.outputs.check_output`.
        OSError: the file cannot be written; its ``filename`` is `path`.
    """
    from tempfile import mkstemp

    target = Path(path)
    work = None if at_once else current()
    if work is None:
        check_output(target, (), None)
    else:
        work.check_output(target, update=update)
    with _named(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target)
        handle, name = mkstemp(prefix=_prefix(target), suffix=f".tmp{target.suffix}", dir=target.parent)
    temporary = Path(name)
    try:
        try_lock(handle)
        with _named(target, temporary):
            yield temporary
            # mkstemp makes private files; results are shared like any other file.
            temporary.chmod(0o666 & ~_umask())
            with open(temporary, "rb+") as stream:
                os.fsync(stream.fileno())
            if work is None:
                os.replace(temporary, target)
            else:
                work.staged[os.path.abspath(target)] = (temporary, handle)
                return
    finally:
        if work is None or os.path.abspath(target) not in work.staged:
            temporary.unlink(missing_ok=True)
            os.close(handle)


@contextmanager
def _named(target: Path, temporary: Path | None = None) -> Iterator[None]:
    """Let errors name the file, not its temporary name."""
    try:
        yield
    except OSError as err:
        if err.errno is not None and (temporary is None or err.filename in (None, os.fspath(temporary))):
            err.filename, err.filename2 = os.fspath(target), None
        raise


def _prefix(target: Path) -> str:
    """Return the start of temporary names, short enough for the longest name of a file."""
    return f".{target.name}." if len(os.fsencode(target.name)) < 200 else f".{sha256_bytes(os.fsencode(target))[:32]}."


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
    from glob import escape

    for path in target.parent.glob(f"{escape(_prefix(target))}*.tmp{escape(target.suffix)}"):
        try:
            handle = os.open(path, os.O_RDWR)
        except OSError:
            continue  # removed meanwhile, or owned by somebody else
        try:
            if try_lock(handle):
                path.unlink(missing_ok=True)
        finally:
            os.close(handle)


def write_bytes(path: str | os.PathLike[str], data: bytes, *, update: bool = False, at_once: bool = False) -> None:
    """Write `data` to `path` atomically.

    Args:
        path, update, at_once: as in `atomic_path`.
        data: all bytes of the file.
    """
    with atomic_path(path, update=update, at_once=at_once) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | os.PathLike[str], text: str, *, update: bool = False, at_once: bool = False) -> None:
    """Write `text` to `path` atomically, as UTF-8."""
    write_bytes(path, text.encode(), update=update, at_once=at_once)


def write_json(path: str | os.PathLike[str], value: Any, *, update: bool = False, at_once: bool = False) -> None:
    """Write `value` to `path` atomically as deterministic JSON."""
    write_text(path, dumps(value), update=update, at_once=at_once)


def read_bytes(path: str | os.PathLike[str], max_bytes: int = MAX_BYTES) -> bytes:
    """Read a file.

    Raises:
        MissingFileError: there is no such file.
        IntegrityError: it is larger than `max_bytes`.
        InputError: it is a device, a pipe or a socket.
    """
    reading(path)
    with open_regular(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > max_bytes:
            raise IntegrityError(
                f"{os.fspath(path)} has {size} bytes, but such a file has at most {max_bytes}: refused"
            )
        return stream.read(max_bytes + 1)


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file.

    Raises:
        MissingFileError: there is no such file.
        InputError: it is not a regular file.
        IntegrityError: it is not JSON, or refused: see `pyvmaf.base.parse.parse_json`.
    """
    return parse_json(read_bytes(path), os.fspath(path))


def read_yaml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the mapping in a YAML file; an empty file gives an empty mapping.

    Raises:
        MissingFileError: the file does not exist.
        InputError: it is not YAML, not a mapping, or refused: see `pyvmaf.base.parse.parse_yaml`.
    """
    return parse_yaml(read_bytes(path), os.fspath(path))


def relative(path: str | os.PathLike[str]) -> str:
    """Return `path` relative to the working directory; of a path outside of it, only the file name.

    Of a file in the folder of datasets (`pyvmaf.base.roots`) it is the file name, too: that folder may be moved.
    """
    full = Path(os.path.abspath(path))
    if movable(full) is not None:
        return full.name
    try:
        return full.relative_to(Path.cwd()).as_posix()
    except ValueError:
        return full.name


def cache_folder() -> Path:
    """The user's folder for what can be made again."""
    given = os.environ.get("XDG_CACHE_HOME")
    return Path(given or os.path.expanduser("~/.cache")) / "pyvmaf"


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
