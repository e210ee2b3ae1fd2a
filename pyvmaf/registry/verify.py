"""Comparison of a results tree with its manifests.

Every file below the tree must be named by a manifest and have the hash that the manifest records. The recorded hash of
an input must be the one that the input's own manifest records: otherwise the artefact was made from other bytes than
those that are there now (a stale chain).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from pyvmaf.base.document import Call, Count, Document, Part, RunProvenance, publish
from pyvmaf.base.files import sha256_file
from pyvmaf.base.outputs import publishes
from pyvmaf.errors import InputError, MissingFileError, PyvmafError
from pyvmaf.registry.manifests import Manifest, is_manifest, load_manifests, walk

Kind = Literal[
    "changed", "missing", "unaccounted", "stale", "conflict", "manifest", "link", "unreadable", "cache", "registry"
]

MEANING: dict[Kind, str] = {
    "changed": "its bytes are not those that its manifest records",
    "missing": "a manifest names it, but it does not exist",
    "unaccounted": "no manifest names it",
    "stale": "it was made from other bytes than those that are there now",
    "conflict": "two manifests record different bytes of it",
    "manifest": "the manifest itself is damaged",
    "link": "a link or a special file, whose bytes this tree does not hold",
    "unreadable": "the system does not let it be read",
    "cache": "a cache entry fails its own checksum",
    "registry": "the registry disagrees with the files that it lists",
}

DELETABLE = frozenset({"prepare", "encode"})
"""Verbs whose outputs may be deleted after they were measured: the workflow makes them again when it needs them."""

# Left by git, by Snakemake (marks on output folders) and by file managers: they hold nothing.
_IGNORED = frozenset({".gitkeep", ".gitignore", ".snakemake_timestamp", ".DS_Store"})


class Finding(Part):
    """A file that is not as manifests record it."""

    path: str = Field(description="The file, relative to the folder that holds the tree.")
    kind: Kind
    message: str = Field(description="The problem with both values.")
    manifest: str | None = Field(default=None, description="The manifest that records otherwise.")
    expected: str | None = Field(default=None, description="The recorded hash.")
    found: str | None = Field(default=None, description="The hash of the bytes.")


class Counts(Part):
    """Numbers of files."""

    files: Count = Field(description="Regular files in the tree, manifests included.")
    manifests: Count = Field(description="Manifests among them.")
    hashed: Count = Field(description="Files that were hashed, inputs outside of the tree included.")
    bytes: Count = Field(description="Their size.")
    cache_entries: Count = Field(description="Cache entries whose own checksum was computed.")
    elsewhere: Count = Field(description="Inputs neither in the tree nor at their recorded path: not compared.")
    deleted: Count = Field(description="Clips and encodes that were deleted after they were measured.")


class VerifyReport(Document):
    """Report of ``vmaf-train verify``; the same for the same tree."""

    title: ClassVar[str] = "Report of vmaf-train verify"

    schema_: Literal["pyvmaf-verify-v1"] = Field(default="pyvmaf-verify-v1", alias="schema")
    tree: str = Field(description="Name of the folder that was verified.")
    clean: bool = Field(description="There are no findings.")
    counts: Counts
    findings: list[Finding] = Field(description="Sorted by path.")
    run_provenance: RunProvenance


@dataclass
class Outcome:
    """Result of `verify`.

    Attributes:
        tree: name of the folder that was verified.
        findings: sorted by path; empty for a clean tree.
        files: regular files below the tree, manifests included.
        manifests: manifests among them.
        hashed: files that were hashed, inputs outside of the tree included.
        bytes: their size.
        cache_entries: cache entries whose own checksum was computed.
        elsewhere: inputs neither in the tree nor at their recorded path, hence not compared.
        deleted: clips and encodes that do not exist anymore, whose features do.
        read: the manifests that are whole.
    """

    tree: str
    findings: list[Finding] = field(default_factory=list)
    files: int = 0
    manifests: int = 0
    hashed: int = 0
    bytes: int = 0
    cache_entries: int = 0
    elsewhere: int = 0
    deleted: int = 0
    read: list[Manifest] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether there are no findings."""
        return not self.findings

    def report(self, provenance: RunProvenance) -> VerifyReport:
        """Return the outcome as a document."""
        return VerifyReport(
            tree=self.tree,
            clean=self.clean,
            counts=Counts(
                files=self.files,
                manifests=self.manifests,
                hashed=self.hashed,
                bytes=self.bytes,
                cache_entries=self.cache_entries,
                elsewhere=self.elsewhere,
                deleted=self.deleted,
            ),
            findings=self.findings,
            run_provenance=provenance,
        )


def verify(
    tree: str | os.PathLike[str],
    *,
    threads: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    advance: Callable[[int, int], None] = lambda _done, _total: None,
) -> Outcome:
    """Hash a results tree and list each file that is missing, changed, unaccounted for or stale.

    Args:
        tree: the results folder, or any part of it.
        threads: files hashed at the same time; the number of processors by default.
        cache: the feature cache, whose entries carry their own checksums; ``cache`` in the tree by default.
        advance: called with (bytes hashed, bytes in all).

    Raises:
        MissingFileError: the folder does not exist.
        InputError: `tree` is not a folder.
    """
    root = Path(os.path.abspath(tree))
    if not root.exists():
        raise MissingFileError(f"no such folder: {os.fspath(tree)}")
    if not root.is_dir():
        raise InputError(f"{os.fspath(tree)} is a file: name the results folder that it lies in")
    if cache is not None and not Path(cache).is_dir():
        raise MissingFileError(f"no such cache folder: {os.fspath(cache)}")
    check = _Check(root, Path(os.path.abspath(cache)) if cache is not None else root / "cache")
    check.collect()
    check.hash(threads or os.cpu_count() or 1, advance)
    check.check_outputs()
    check.check_inputs()
    check.check_cache()
    check.check_registries()
    check.outcome.findings.sort(key=lambda finding: (finding.path, finding.kind, finding.message))
    check.outcome.read = check.manifests
    return check.outcome


class _Check:
    def __init__(self, root: Path, cache: Path) -> None:
        self.root = root
        self.cache = cache
        self.outcome = Outcome(tree=root.name)
        self.plain: dict[Path, int] = {}
        self.entries: list[Path] = []
        self.manifests: list[Manifest] = []
        self.claims: dict[Path, list[tuple[Manifest, str | None]]] = {}
        self.hashes: dict[Path, str] = {}
        self.unread: set[Path] = set()
        self.videos: frozenset[str | None] | None = None

    def show(self, path: Path) -> str:
        try:
            return _text(path.relative_to(self.root.parent).as_posix())
        except ValueError:
            return _text(os.path.relpath(path, self.root.parent))

    def report(self, path: Path, kind: Kind, message: str, by: Manifest | None = None, **hashes: str | None) -> None:
        manifest = None if by is None else self.show(by.path)
        self.outcome.findings.append(
            Finding(path=self.show(path), kind=kind, message=_text(message), manifest=manifest, **hashes)
        )

    def collect(self) -> None:
        """List every file once, and read the manifests."""
        inside = self.root in self.cache.parents or self.cache == self.root
        manifests: list[Path] = []
        for path in [*walk(self.root, self.refuse_folder), *(() if inside else walk(self.cache, self.refuse_folder))]:
            try:
                status = path.lstat()
            except OSError:
                continue  # it was removed meanwhile
            if self.cache in path.parents and stat.S_ISREG(status.st_mode) and not path.name.startswith("."):
                self.entries.append(path)
                self.outcome.files += 1
                continue
            if stat.S_ISLNK(status.st_mode):
                target = os.readlink(path)
                broken = "" if os.path.exists(path) else ", which does not exist"
                self.report(path, "link", f"is a link to {target}{broken}: replace it with the file itself")
                continue
            if not stat.S_ISREG(status.st_mode):
                self.report(path, "link", "is not a regular file")
                continue
            self.outcome.files += 1
            if is_manifest(path):
                self.outcome.manifests += 1
                manifests.append(path)
            elif path.name not in _IGNORED:
                self.plain[path] = status.st_size
        self.manifests = load_manifests(manifests, self.refuse)
        for manifest in self.manifests:
            if all(item.path != manifest.artefact for item in manifest.outputs):
                named = ", ".join(item.recorded for item in manifest.outputs[:3])
                self.report(manifest.path, "manifest", f"lies beside {manifest.artefact.name}, but names {named}")
            for item in manifest.outputs:
                self.claims.setdefault(item.path, []).append((manifest, item.sha256))

    def refuse_folder(self, err: OSError) -> None:
        self.report(Path(str(err.filename)), "unreadable", f"cannot be listed: {err.strerror}")

    def refuse(self, path: Path, err: Exception) -> None:
        """Report a file that cannot be read, and go on."""
        if isinstance(err, OSError) and not isinstance(err, PyvmafError):
            self.unread.add(path)
            self.report(path, "unreadable", f"cannot be read: {err.strerror or err}")
        elif is_manifest(path):
            self.report(path, "manifest", str(err))
        else:
            self.unread.add(path)
            self.report(path, "link" if isinstance(err, InputError) else "unreadable", str(err))

    def hash(self, threads: int, advance: Callable[[int, int], None]) -> None:
        """Hash the files that manifests name, each once, the largest first so that no thread ends up alone."""
        named = set(self.claims)
        named.update(item.path for manifest in self.manifests for item in manifest.inputs if item.sha256)
        sizes = {}
        for path in named:
            size = self.plain.get(path)
            if size is None and not (self.root in path.parents and os.path.islink(path)):
                size = _size(path)
            if size is not None:
                sizes[path] = size
        order = sorted(sizes, key=lambda path: (-sizes[path], path))
        total, done = sum(sizes.values()), 0
        pool = ThreadPoolExecutor(threads)
        try:
            for path, digest in zip(order, pool.map(self.digest, order), strict=True):
                if digest is not None:
                    self.hashes[path] = digest
                done += sizes[path]
                advance(done, total)
        finally:
            # After Ctrl-C the files that are still in the queue are not waited for.
            pool.shutdown(cancel_futures=True)
        self.outcome.hashed = len(self.hashes)
        self.outcome.bytes = total

    def digest(self, path: Path) -> str | None:
        try:
            return sha256_file(path)
        except MissingFileError:
            return None  # it was removed meanwhile, and is reported as missing
        except (PyvmafError, OSError) as err:
            self.refuse(path, err)
            return None

    def check_outputs(self) -> None:
        for path, claims in self.claims.items():
            by, expected = claims[0]
            if len({sha for _, sha in claims}) > 1:
                others = ", ".join(self.show(manifest.path) for manifest, _ in claims)
                self.report(path, "conflict", f"manifests record different bytes of it: {others}", by)
                expected = next((sha for _, sha in claims if sha == self.hashes.get(path)), expected)
            actual = self.hashes.get(path)
            if actual is None:
                # What is no regular file or cannot be read was reported as such.
                if path in self.unread or os.path.lexists(path):
                    continue
                if self.was_measured(by, expected):
                    self.outcome.deleted += 1
                else:
                    self.report(path, "missing", "is named by its manifest, but does not exist", by, expected=expected)
            elif actual != expected:
                self.report(
                    path,
                    "changed",
                    f"hashes to {actual}, but its manifest says {expected}",
                    by,
                    expected=expected,
                    found=actual,
                )
        for path in self.plain:
            if path not in self.claims:
                self.report(
                    path,
                    "unaccounted",
                    "is left over from a write that was cut off" if is_leftover(path) else "is named by no manifest",
                )

    def was_measured(self, by: Manifest, sha256: str | None) -> bool:
        """Return whether a file can be deleted: a clip or an encode of which features were extracted."""
        return by.verb in DELETABLE and sha256 in self.measured()

    def measured(self) -> frozenset[str | None]:
        """Return the hashes of the videos whose features were extracted."""
        if self.videos is None:
            self.videos = frozenset(
                item.sha256
                for manifest in self.manifests
                if manifest.verb == "extract-features" and _size(manifest.artefact) is not None
                for item in manifest.inputs
            )
        return self.videos

    def recorded(self, path: Path) -> str | None:
        """Return the hash that an input must have had: that of its own manifest, else that of its bytes now."""
        claims = self.claims.get(path)
        if not claims:
            return self.hashes.get(path)
        hashes = [sha for _, sha in claims]
        actual = self.hashes.get(path)
        return actual if actual in hashes else hashes[0]

    def check_inputs(self) -> None:
        for manifest in self.manifests:
            for item in manifest.inputs:
                if item.sha256 is None:
                    continue
                expected = self.recorded(item.path)
                if expected is None:
                    if self.root in item.path.parents and not os.path.lexists(item.path):
                        self.report(
                            item.path, "missing", "was read to make an artefact, but does not exist", manifest,
                            expected=item.sha256,
                        )  # fmt: skip
                    else:
                        self.outcome.elsewhere += 1
                elif expected != item.sha256:
                    self.report(
                        manifest.artefact,
                        "stale",
                        f"was made from {item.recorded} with hash {item.sha256}, but that file now has {expected}",
                        manifest,
                        expected=item.sha256,
                        found=expected,
                    )

    def check_cache(self) -> None:
        if not self.entries:
            return
        from pyvmaf.features import cache as scores
        from pyvmaf.frames import cache as pictures

        checks = {scores.SUFFIX: scores.check, pictures.SUFFIX: pictures.check}
        for path in self.entries:
            try:
                checks.get(path.suffix, scores.check)(path)
            except (PyvmafError, OSError) as err:
                self.report(path, "cache", str(err))
            self.outcome.cache_entries += 1

    def check_registries(self) -> None:
        from pyvmaf.registry.consistency import check_registry
        from pyvmaf.registry.entry import REGISTRY_NAME

        for path in self.plain:
            if path.name == REGISTRY_NAME:
                try:
                    messages = check_registry(path)
                except (PyvmafError, OSError) as err:
                    messages = [str(err)]
                for message in messages:
                    self.report(path, "registry", message)


def _text(name: str) -> str:
    """Return a name as text that JSON can hold: bytes that are not UTF-8 as ``\\xfc``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _size(path: Path) -> int | None:
    """Return the size of a regular file; None of everything else."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def is_leftover(path: Path) -> bool:
    """Return whether a file was left half-written by a killed process, by its name."""
    return path.name.startswith(".") and ".tmp" in path.name


@publishes("verify")
def write_report(outcome: Outcome, tree: Path, output: Path) -> VerifyReport:
    """Write an outcome as JSON, with its manifest beside it (so that it may lie in the tree itself).

    Args:
        outcome: result of `verify`.
        tree: the folder that was verified.
        output: the file to write.
    """
    call = Call("verify", args={"tree": tree, "json": output}, inputs={})
    report = outcome.report(call.provenance())
    return publish(report, output, call, details={"clean": outcome.clean, "findings": len(outcome.findings)})
