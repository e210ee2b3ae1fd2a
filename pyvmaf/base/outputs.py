"""Outputs of a verb: they replace neither what the verb reads nor what somebody else wrote, and they appear together.

A verb runs inside `publishes`. Every reader of `pyvmaf.base.files` notes what it reads (`reading`), and every writer asks
for a temporary file (`pyvmaf.base.files.atomic_path`). The outputs take their names when the verb has ended without an
error; if it fails, none does.
"""

from __future__ import annotations

import functools
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, ParamSpec, TypeVar

from pyvmaf.base.parse import parse_json
from pyvmaf.errors import InputError, IntegrityError

MANIFEST_SUFFIX = ".manifest.json"

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Stamp(NamedTuple):
    """What tells a file from another, and from itself after a change: device, inode, size, time in nanoseconds."""

    device: int
    inode: int
    size: int
    modified: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        """Return the stamp of a file's status."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


class Watch:
    """Files that must not change while they are read."""

    def __init__(self, paths: Iterable[str | os.PathLike[str]]) -> None:
        """Note the present state of files; what is no regular file is left out."""
        self._stamps: dict[Path, Stamp] = {}
        for path in paths:
            with suppress(OSError):
                status = os.stat(path)
                if stat.S_ISREG(status.st_mode):
                    self._stamps[Path(path)] = Stamp.of(status)

    def check(self) -> None:
        """Compare the files with their first state.

        Raises:
            IntegrityError: one was changed, replaced or removed.
        """
        for path, stamp in self._stamps.items():
            _check_stamp(path, stamp)


@dataclass
class Run:
    """One call of a verb.

    Attributes:
        verb: name of the command.
        read: stamp and hash (once it was computed) of the files that were read, by absolute path.
        inputs: those among them whose hash a manifest records.
        manifests: paths of the manifests that it writes.
        staged: temporary file and its lock, by the absolute path that the file will have.
    """

    verb: str
    read: dict[str, tuple[Stamp, str | None]] = field(default_factory=dict)
    inputs: set[str] = field(default_factory=set)
    manifests: set[str] = field(default_factory=set)
    staged: dict[str, tuple[Path, int]] = field(default_factory=dict)

    def record(self, path: Path) -> None:
        """Note that a manifest records the hash of a file as that of an input."""
        self.inputs.add(_key(path))

    def check_inputs(self) -> None:
        """Refuse if an input is not the file that was read.

        Raises:
            IntegrityError: a file was changed, replaced or removed.
        """
        for path in self.inputs & self.read.keys():
            _check_stamp(Path(path), self.read[path][0])

    def check_output(self, target: Path, *, update: bool = False) -> None:
        """Refuse an output that would replace an input, another output, or a file that the verb did not write.

        Raises:
            InputError: see above, or the path cannot be that of a file.
        """
        if target.name.endswith(MANIFEST_SUFFIX) and _key(target) not in self.manifests:
            refuse_manifest(target)
        if _key(target) in self.staged:
            raise InputError(f"{target} is the name of two outputs of {self.verb}: give them different names")
        # A verb may look at its old manifest, for instance to see whether there is anything to do.
        own = update or _key(target) in self.manifests
        check_output(target, () if own else self.read, self.verb, update=update)

    def commit(self) -> None:
        """Give every output its name."""
        self.check_inputs()
        for target, (temporary, handle) in list(self.staged.items()):
            # While the verb worked, another process may have made a link to an input of it.
            _replace(temporary, Path(target))
            os.close(handle)
            del self.staged[target]

    def discard(self) -> None:
        """Remove outputs that did not take their name."""
        for temporary, handle in self.staged.values():
            temporary.unlink(missing_ok=True)
            os.close(handle)
        self.staged.clear()


_RUN: ContextVar[Run | None] = ContextVar("run", default=None)


def current() -> Run | None:
    """Return the run of the verb that is at work, if one is."""
    return _RUN.get()


@contextmanager
def run(verb: str) -> Iterator[Run]:
    """Run a verb: its outputs take their names when the block ends, or none does.

    Raises:
        IntegrityError: an input was changed while it was read.
    """
    work = Run(verb)
    token = _RUN.set(work)
    try:
        yield work
        work.commit()
    finally:
        _RUN.reset(token)
        work.discard()


def publishes(verb: str) -> Callable[[Callable[_P, _T]], Callable[_P, _T]]:
    """Decorate the function of a verb that writes artefacts: see `run`."""

    def decorate(function: Callable[_P, _T]) -> Callable[_P, _T]:
        @functools.wraps(function)
        def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            with run(verb):
                return function(*args, **kwargs)

        return call

    return decorate


def reading(path: str | os.PathLike[str]) -> None:
    """Note that the running verb reads a file, before it does."""
    work = _RUN.get()
    if work is None or _key(path) in work.staged:
        return
    with suppress(OSError):
        status = os.stat(path)
        if stat.S_ISREG(status.st_mode):
            for name in (_key(path), os.path.realpath(path)):
                work.read.setdefault(name, (Stamp.of(status), None))


def claim(*paths: Path) -> None:
    """Refuse outputs now that the running verb would refuse when it writes them, after hours perhaps.

    Args:
        paths: the files, which have manifests of their own or not.

    Raises:
        InputError: see `check_output`.
    """
    work = _RUN.get()
    if work is None:
        return
    for path in paths:
        work.check_output(path)
        check_output(path.with_name(path.name + MANIFEST_SUFFIX), work.read, None)


def discard() -> None:
    """Remove what the running verb has written so far, because it writes something else in its place."""
    work = _RUN.get()
    if work is not None:
        work.discard()


def place(path: str | os.PathLike[str]) -> Path:
    """Return where the bytes of a file are: those of an output of the running verb are in its temporary file."""
    work = _RUN.get()
    staged = None if work is None else work.staged.get(_key(path))
    return Path(path) if staged is None else staged[0]


def known_hash(path: str | os.PathLike[str], stamp: Stamp) -> str | None:
    """Return the hash that the running verb has computed of a file, unless it changed.

    Args:
        path: the file.
        stamp: of its present status.
    """
    work = _RUN.get()
    if work is None or _key(path) in work.staged:
        return None
    noted, digest = work.read.get(_key(path), (stamp, None))
    return digest if noted == stamp else None


def keep_hash(path: str | os.PathLike[str], stamp: Stamp, digest: str) -> None:
    """Note the hash of a file that the running verb reads."""
    work = _RUN.get()
    if work is not None and _key(path) not in work.staged and work.read.get(_key(path), (stamp, None))[0] == stamp:
        work.read[_key(path)] = (stamp, digest)


def _key(path: str | os.PathLike[str]) -> str:
    return os.path.abspath(path)


def _check_stamp(path: Path, stamp: Stamp) -> None:
    try:
        present = Stamp.of(os.stat(path))
    except OSError as err:
        raise IntegrityError(f"{path} was removed while it was read ({err.strerror}): nothing was written") from err
    if present != stamp:
        raise IntegrityError(
            f"{path} was changed or replaced while it was read ({stamp.size} bytes then, {present.size} now): run again "
            "when nobody writes it; nothing was written"
        )


def check_output(target: Path, inputs: Iterable[str | Path], verb: str | None, *, update: bool = False) -> None:
    """Refuse a path for an output.

    Args:
        target: the path.
        inputs: files that are read.
        verb: the command that writes it; None if any file may be replaced.
        update: the verb has read the file itself and writes it anew.

    Raises:
        InputError: the file is one of `inputs` under whatever name; it is a folder or a special file, or lies below a
            file; it exists, and no manifest says that this verb wrote it.
    """
    if is_stream(target):
        raise InputError(f"cannot write {target}: it is a device or a pipe, and this output is a file")
    try:
        status = os.stat(target)
    except FileNotFoundError:
        _check_parents(target)
        return
    except OSError as err:
        _check_parents(target)
        raise InputError(f"cannot write {target}: {err.strerror}") from err
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"cannot write {target}: it is a folder; name a file")
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"cannot write {target}: it is not a regular file")
    for path in inputs:
        if _is(path, status):
            same = "" if _key(path) == _key(target) else f" (as {path})"
            raise InputError(f"{target} would be written, but it is also read{same}: name another output")
    if verb is not None and not update and status.st_size and not _may_replace(target, verb):
        raise InputError(
            f"{target} exists already, and no manifest beside it says that {verb} wrote it: remove it, or name another "
            "output"
        )


def refuse_manifest(target: Path) -> NoReturn:
    """Refuse an output that has the name of a manifest."""
    raise InputError(f"{target} is the name of a manifest, which belongs to the file beside it: name another output")


def is_stream(path: str | os.PathLike[str]) -> bool:
    """Return whether an output is written as it comes, not as a file: ``-``, ``/dev/stdout``, a pipe or a device."""
    if os.fspath(path) == "-" or _is_of_system(Path(path)):
        return True
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def _is_of_system(path: Path) -> bool:
    """Return whether a path is one of the system's own, where nothing is renamed."""
    parent = path.absolute().parent
    return parent in (Path("/dev"), Path("/dev/fd")) or Path("/proc") in (parent, *parent.parents)


def _is(path: str | Path, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(path), status)
    except OSError:
        return False


def _check_parents(target: Path) -> None:
    for parent in target.absolute().parents:
        try:
            status = os.stat(parent)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as err:
            raise InputError(f"cannot write {target}: {err.strerror}") from err
        if not stat.S_ISDIR(status.st_mode):
            raise InputError(f"cannot write {target}: {parent} is a file, not a folder")
        return


def _may_replace(target: Path, verb: str) -> bool:
    """Return whether a manifest in the folder of a file names it as an output of the verb."""
    if target.name.endswith(MANIFEST_SUFFIX):
        # It belongs to the file beside it, which was asked about already, or which is gone.
        return _body(target) is not None
    beside = target.with_name(target.name + MANIFEST_SUFFIX)
    others = (target.parent / name for name in os.listdir(target.parent) if name.endswith(MANIFEST_SUFFIX))
    for manifest in [beside] if beside.is_file() else others:
        body = _body(manifest)
        if body is not None and body.get("entrypoint") == f"vmaf-train {verb}":
            run_block = body.get("run")
            timings = run_block.get("timings") if isinstance(run_block, dict) else None
            if target.name in {*_names(body.get("outputs")), *_names(timings)}:
                return True
    return False


def _body(manifest: Path) -> dict[str, Any] | None:
    try:
        body = parse_json(manifest.read_bytes(), str(manifest)) if manifest.is_file() else None
    except (OSError, IntegrityError):
        return None
    return body if isinstance(body, dict) and "entrypoint" in body else None


def _names(block: Any) -> Iterator[str]:
    for value in block.values() if isinstance(block, dict) else ():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict) and isinstance(item.get("path"), str):
                yield item["path"].rpartition("/")[2]


def _replace(temporary: Path, target: Path) -> None:
    try:
        os.replace(temporary, target)
    except OSError as err:
        err.filename, err.filename2 = os.fspath(target), None
        raise
