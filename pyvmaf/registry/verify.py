"""Whether a results tree still holds the bytes that its manifests vouch for, and nothing else.

Every file below the tree must be named by a manifest, and hash to what that manifest says. What a manifest
names as input must be the bytes that the input's own manifest vouches for: otherwise the artefact was made
from other bytes than those that lie there now (a stale chain).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from pyvmaf.base.files import sha256_file, write_json
from pyvmaf.base.manifest import build_run_provenance, write_manifest
from pyvmaf.errors import InputError, IntegrityError, MissingFileError, PyvmafError
from pyvmaf.registry.manifests import Manifest, is_manifest, load_manifest, walk

SCHEMA = "pyvmaf-verify-v1"

Kind = Literal["changed", "missing", "unaccounted", "stale", "conflict", "manifest", "link", "cache", "registry"]

MEANING: dict[Kind, str] = {
    "changed": "its bytes are not those that its manifest vouches for",
    "missing": "a manifest names it, but it is not there",
    "unaccounted": "no manifest names it",
    "stale": "it was made from other bytes than those that lie there now",
    "conflict": "two manifests vouch for different bytes of it",
    "manifest": "the manifest itself is damaged",
    "link": "a link or a special file, whose bytes this tree does not hold",
    "cache": "a cache entry fails its own checksum",
    "registry": "the registry disagrees with the files that it lists",
}

# Left by git, by Snakemake (marks on output folders) and by file managers: they hold nothing.
_IGNORED = frozenset({".gitkeep", ".gitignore", ".snakemake_timestamp", ".DS_Store"})


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        path: the file, as seen from the folder that holds the tree.
        kind: one of `MEANING`.
        message: what is wrong, with both values.
        manifest: the manifest that says so, None where none does.
        expected: the hash that was recorded.
        found: the hash that the bytes have.
    """

    path: str
    kind: Kind
    message: str
    manifest: str | None = None
    expected: str | None = None
    found: str | None = None


@dataclass
class Outcome:
    """What `verify` saw.

    Attributes:
        tree: the folder that was verified, by its name.
        findings: sorted by path; empty for a clean tree.
        files: regular files below the tree, manifests included.
        manifests: how many of them are manifests.
        hashed: files that were re-hashed, inputs outside of the tree included.
        bytes: their size together.
        cache_entries: cache entries whose own checksum was computed.
        elsewhere: inputs that lie neither in the tree nor where the run found them, hence were not compared.
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
    read: list[Manifest] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def as_data(self) -> dict[str, Any]:
        """Plain JSON values as `schemas/verify.schema.json` describes them, the same for the same tree."""
        counts = {
            name: getattr(self, name)
            for name in ("files", "manifests", "hashed", "bytes", "cache_entries", "elsewhere")
        }
        return {
            "schema": SCHEMA,
            "tree": self.tree,
            "clean": self.clean,
            "counts": counts,
            "findings": [asdict(f) for f in self.findings],
        }


def verify(
    tree: str | os.PathLike[str],
    *,
    threads: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    advance: Callable[[int, int], None] = lambda _done, _total: None,
) -> Outcome:
    """Re-hash a results tree and name each file that is missing, changed, unaccounted for or stale.

    Args:
        tree: the results folder, or any part of it.
        threads: files hashed at the same time; as many as there are processors by default.
        cache: the feature cache, whose entries carry their own checksums; ``cache`` in the tree by default.
        advance: called with (bytes hashed, bytes in all).

    Raises:
        MissingFileError: there is no such folder.
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
    check.judge_outputs()
    check.judge_inputs()
    check.judge_cache()
    check.judge_registries()
    check.outcome.findings.sort()
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

    def show(self, path: Path) -> str:
        try:
            return path.relative_to(self.root.parent).as_posix()
        except ValueError:
            return os.path.relpath(path, self.root.parent)

    def found(self, path: Path, kind: Kind, message: str, by: Manifest | None = None, **hashes: str | None) -> None:
        manifest = None if by is None else self.show(by.path)
        self.outcome.findings.append(Finding(self.show(path), kind, message, manifest, **hashes))

    def collect(self) -> None:
        """Look at every file once, and read the manifests."""
        inside = self.root in self.cache.parents or self.cache == self.root
        for path in [*walk(self.root), *(() if inside else walk(self.cache))]:
            status = path.lstat()
            if self.cache in path.parents and stat.S_ISREG(status.st_mode) and not path.name.startswith("."):
                self.entries.append(path)
                self.outcome.files += 1
                continue
            if stat.S_ISLNK(status.st_mode):
                target = os.readlink(path)
                broken = "" if path.exists() else ", which does not exist"
                self.found(path, "link", f"is a link to {target}{broken}: put the file itself there")
                continue
            if not stat.S_ISREG(status.st_mode):
                self.found(path, "link", "is not a regular file")
                continue
            self.outcome.files += 1
            if is_manifest(path):
                self.outcome.manifests += 1
                self.read(path)
            elif path.name not in _IGNORED:
                self.plain[path] = status.st_size
        for manifest in self.manifests:
            for item in manifest.outputs:
                self.claims.setdefault(item.path, []).append((manifest, item.sha256))

    def read(self, path: Path) -> None:
        try:
            manifest = load_manifest(path)
        except IntegrityError as err:
            self.found(path, "manifest", str(err))
            return
        if all(item.path != manifest.artefact for item in manifest.outputs):
            self.found(
                path,
                "manifest",
                f"lies beside {manifest.artefact.name}, but vouches for "
                f"{', '.join(item.recorded for item in manifest.outputs[:3])}",
            )
        self.manifests.append(manifest)

    def hash(self, threads: int, advance: Callable[[int, int], None]) -> None:
        """Hash what any manifest names, each file once, the largest first so that no thread ends up alone."""
        named = set(self.claims)
        named.update(item.path for manifest in self.manifests for item in manifest.inputs if item.sha256)
        sizes = {}
        for path in named:
            size = self.plain.get(path)
            if size is None and path.is_file() and not (self.root in path.parents and path.is_symlink()):
                size = path.stat().st_size
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
            # After Ctrl-C nobody waits for the files that are still in the queue.
            pool.shutdown(cancel_futures=True)
        self.outcome.hashed = len(self.hashes)
        self.outcome.bytes = total

    def digest(self, path: Path) -> str | None:
        try:
            return sha256_file(path)
        except MissingFileError:
            return None  # it went away meanwhile, and is reported as missing

    def judge_outputs(self) -> None:
        for path, claims in self.claims.items():
            by, expected = claims[0]
            if len({sha for _, sha in claims}) > 1:
                others = ", ".join(self.show(manifest.path) for manifest, _ in claims)
                self.found(path, "conflict", f"manifests vouch for different bytes of it: {others}", by)
                expected = next((sha for _, sha in claims if sha == self.hashes.get(path)), expected)
            found = self.hashes.get(path)
            if found is None:
                # A link in its place was reported as such.
                if not path.is_symlink():
                    self.found(path, "missing", "is named by its manifest, but is not there", by, expected=expected)
            elif found != expected:
                self.found(
                    path,
                    "changed",
                    f"hashes to {found}, but its manifest says {expected}",
                    by,
                    expected=expected,
                    found=found,
                )
        for path in self.plain:
            if path not in self.claims:
                what = "is left over from a write that was cut off" if is_leftover(path) else "is named by no manifest"
                self.found(path, "unaccounted", what)

    def vouched(self, path: Path) -> str | None:
        """The hash that an input must have had: what its own manifest says, else what its bytes are now."""
        claims = self.claims.get(path)
        if not claims:
            return self.hashes.get(path)
        hashes = [sha for _, sha in claims]
        found = self.hashes.get(path)
        return found if found in hashes else hashes[0]

    def judge_inputs(self) -> None:
        for manifest in self.manifests:
            for item in manifest.inputs:
                if item.sha256 is None:
                    continue
                expected = self.vouched(item.path)
                if expected is None:
                    if self.root in item.path.parents and not item.path.is_symlink():
                        self.found(
                            item.path, "missing", "was read to make an artefact, but is not there", manifest,
                            expected=item.sha256,
                        )  # fmt: skip
                    else:
                        self.outcome.elsewhere += 1
                elif expected != item.sha256:
                    self.found(
                        manifest.artefact,
                        "stale",
                        f"was made from {item.recorded} as it was with hash {item.sha256}, "
                        f"but that file now has {expected}: made from other bytes",
                        manifest,
                        expected=item.sha256,
                        found=expected,
                    )

    def judge_cache(self) -> None:
        if not self.entries:
            return
        from pyvmaf.features.cache import check

        for path in self.entries:
            try:
                check(path)
            except (IntegrityError, InputError) as err:
                self.found(path, "cache", str(err))
            self.outcome.cache_entries += 1

    def judge_registries(self) -> None:
        from pyvmaf.registry.register import REGISTRY_NAME, check_registry

        for path in self.plain:
            if path.name == REGISTRY_NAME:
                for message in check_registry(path):
                    self.found(path, "registry", message)


def is_leftover(path: Path) -> bool:
    """Whether a file is what a killed process left half-written, by its name."""
    return path.name.startswith(".") and ".tmp" in path.name


def write_report(outcome: Outcome, tree: Path, output: Path) -> None:
    """Write what was found as JSON, with its manifest beside it (so that it may lie in the tree itself).

    Args:
        outcome: what `verify` returned.
        tree: the folder that was verified.
        output: the file to write.

    Raises:
        PyvmafError: the report would not be as its own schema says.
    """
    from pyvmaf.registry.register import violations

    data = outcome.as_data()
    data["run_provenance"] = build_run_provenance(
        verb="verify", args={"tree": tree, "json": output}, inputs={}, outputs={}
    )
    wrong = violations(data, "verify")
    if wrong:
        raise PyvmafError(f"{output} would not be a valid report: {'; '.join(wrong[:3])}: not written")
    write_json(output, data)
    write_manifest(
        output,
        verb="verify",
        args={"tree": tree, "json": output},
        inputs={},
        outputs={"report": output},
        details={"clean": outcome.clean, "findings": len(outcome.findings)},
    )
