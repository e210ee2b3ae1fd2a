"""Members of zip archives that nobody here made: each is checked before and while it is unpacked."""

from __future__ import annotations

import hashlib
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pyvmaf.base.files import atomic_path, confined
from pyvmaf.errors import InputError, IntegrityError, MissingFileError, shown

Advance = Callable[[int, int], None]

_CHUNK = 1 << 20
_ENCRYPTED = 0x1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


@dataclass(frozen=True)
class Limits:
    """Largest archive that is unpacked.

    Attributes:
        members: most members.
        member_bytes: most bytes of a member.
        total_bytes: most bytes of all members.
        ratio: most bytes for a byte of the archive. Videos and tables of numbers do not come near it.
        ratio_from: bytes from which on the ratio of a member counts.
    """

    members: int = 200_000
    member_bytes: int = 64 << 30
    total_bytes: int = 4 << 40
    ratio: float = 100.0
    ratio_from: int = 1 << 20


PACKAGE_LIMITS = Limits(member_bytes=4 << 30)
"""Limits for packages of a registry: an archive that claims more is not the pinned one."""


@dataclass(frozen=True)
class Unpacked:
    """A member that was unpacked.

    Attributes:
        path: its path in the archive.
        sha256, size: of its bytes.
    """

    path: str
    sha256: str
    size: int


@contextmanager
def opened(archive: Path, limits: Limits = Limits(), called: str | None = None) -> Iterator[zipfile.ZipFile]:
    """Open an archive and check what it says about its members.

    Args:
        archive: the archive.
        limits: see `Limits`.
        called: its name in messages; the file's name by default.

    Raises:
        InputError: a name would leave the folder or occurs twice, a member is a link, needs a password, or overlaps
            another one, or the archive exceeds the limits.
        IntegrityError: it is not a zip archive, or damaged.
    """
    name = called or archive.name
    try:
        with zipfile.ZipFile(archive) as bundle:
            _check(name, bundle, archive.stat().st_size, limits)
            yield bundle
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as err:
        raise IntegrityError(f"{archive} is not an undamaged zip archive: {err}") from err


def members(bundle: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return the members of an archive that are files."""
    return [info for info in bundle.infolist() if not info.is_dir()]


def unpack(
    bundle: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, *, called: str, sha256: str | None = None
) -> Unpacked:
    """Unpack one member, atomically and only if it has the expected bytes.

    Args:
        bundle: the archive, as from `opened`.
        info: the member.
        target: its file.
        called: name of the archive in messages.
        sha256: its SHA-256, if that is known.

    Raises:
        IntegrityError: the member is damaged, or has another hash.
    """
    digest, size = hashlib.sha256(), 0
    with atomic_path(target, at_once=True) as temporary:
        with bundle.open(info) as source, open(temporary, "wb") as sink:
            while block := source.read(_CHUNK):
                size += len(block)
                if size > info.file_size:
                    raise IntegrityError(
                        f"{info.filename} of {called} has more than the {info.file_size} bytes it states"
                    )
                digest.update(block)
                sink.write(block)
        if size != info.file_size:
            raise IntegrityError(f"{info.filename} of {called} has {size} bytes, but states {info.file_size}")
        if sha256 is not None and digest.hexdigest() != sha256:
            raise IntegrityError(
                f"{info.filename} of {called} has SHA-256 {digest.hexdigest()}, but {sha256} is pinned: "
                "correct the file that pins it; nothing was kept"
            )
    return Unpacked(info.filename, digest.hexdigest(), size)


def extract(archive: Path, wanted: dict[str, str], folder: Path) -> None:
    """Extract single files from a zip archive, each atomically and only if it has the pinned bytes.

    Args:
        archive: the archive.
        wanted: path inside the archive → SHA-256.
        folder: folder for the files, which keep their paths.

    Raises:
        InputError: the archive is refused: see `opened`.
        MissingFileError: a member is not in the archive.
        IntegrityError: the archive is damaged, or a member has another hash.
    """
    with opened(archive, PACKAGE_LIMITS) as bundle:
        for member, sha256 in wanted.items():
            try:
                info = bundle.getinfo(member)
            except KeyError as err:
                raise MissingFileError(f"{archive.name} does not have {member}") from err
            unpack(bundle, info, confined(folder, member), called=archive.name, sha256=sha256)


def same_bytes(info: zipfile.ZipInfo, path: Path) -> bool:
    """Return whether a file has the size and the checksum that an archive states for a member."""
    if not path.is_file() or path.stat().st_size != info.file_size:
        return False
    crc = 0
    with open(path, "rb") as stream:
        while block := stream.read(_CHUNK):
            crc = zlib.crc32(block, crc)
    return crc == info.CRC


def _check(name: str, bundle: zipfile.ZipFile, size: int, limits: Limits) -> None:
    infos = bundle.infolist()
    if len(infos) > limits.members:
        raise InputError(f"{name} has {len(infos)} members, but at most {limits.members} are unpacked: refused")
    seen: dict[str, str] = {}
    total = 0
    for info in infos:
        _check_member(name, info, limits)
        path = PurePosixPath(info.filename).as_posix()
        if path in seen:
            raise InputError(f"{name} has {shown(seen[path])} twice, and nobody can tell which one is meant: refused")
        seen[path] = info.filename
        total += info.file_size
    files = {PurePosixPath(info.filename).as_posix() for info in infos if not info.is_dir()}
    for path in files:
        if parent := next((str(p) for p in PurePosixPath(path).parents if str(p) in files), None):
            raise InputError(f"{name} has {shown(parent)} as a file and as a folder: refused")
    if total > limits.total_bytes:
        raise InputError(f"{name} would be {total} bytes, but at most {limits.total_bytes} are unpacked: refused")
    _check_overlaps(name, infos, size)


def _check_member(name: str, info: zipfile.ZipInfo, limits: Limits) -> None:
    member = info.orig_filename
    parts = PurePosixPath(member).parts
    if ".." in parts or member.startswith("/") or "\\" in member or "\0" in member or re.match(r"[A-Za-z]:", member):
        raise InputError(f"{name} has {member!r}, which would be extracted outside of its folder: refused")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise InputError(f"{name}: {member!r} is a link or a device, not a file: refused")
    if info.flag_bits & _ENCRYPTED:
        raise InputError(f"{name}: {member!r} needs a password: unpack the archive by hand")
    if info.compress_type not in _METHODS:
        raise InputError(f"{name}: {member!r} is packed by method {info.compress_type}: unpack the archive by hand")
    if info.file_size > limits.member_bytes:
        raise InputError(
            f"{name}: {member} would be {info.file_size} bytes, but a member has at most {limits.member_bytes}: refused"
        )
    if info.file_size > limits.ratio_from and info.file_size > limits.ratio * max(info.compress_size, 1):
        raise InputError(
            f"{name}: {info.compress_size} bytes of {member!r} would become {info.file_size}, more than "
            f"{limits.ratio:g} for one: refused"
        )


def _check_overlaps(name: str, infos: list[zipfile.ZipInfo], size: int) -> None:
    """Refuse members that share bytes of the archive, by which a small archive becomes large."""
    end, before = 0, ""
    for info in sorted(infos, key=lambda item: item.header_offset):
        if info.header_offset < end or info.header_offset + info.compress_size > size:
            raise InputError(
                f"{name}: {info.filename!r} shares bytes with {before!r}, or is not in the archive: refused"
            )
        end, before = info.header_offset + info.compress_size, info.filename
