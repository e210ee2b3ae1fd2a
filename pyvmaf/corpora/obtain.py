"""Get the files of a published dataset into its folder, and record where each came from."""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pyvmaf.base.files import confined, sha256_file, try_lock, write_json
from pyvmaf.base.manifest import manifest_path, write_manifest
from pyvmaf.base.outputs import run
from pyvmaf.corpora import archive as archives
from pyvmaf.corpora.dataset import Dataset, Download
from pyvmaf.corpora.fetched import FETCH_MANIFEST, FetchedArchive, FetchedFile, FetchManifest, Stems
from pyvmaf.corpora.find import is_video_name
from pyvmaf.corpora.http import Client, Limits, Remote, Say, download
from pyvmaf.corpora.licence import Ask, accept_licence
from pyvmaf.corpora.listing import Selected, list_bucket, remote_item, select_stems
from pyvmaf.corpora.space import check_space
from pyvmaf.corpora.spec import Corpus
from pyvmaf.errors import InputError, IntegrityError, MissingFileError

Advance = Callable[[int, int, str | None], None]

WORK_FOLDER = ".fetch"
LISTING = "listing.json"
_JOURNAL = "journal.json"


@dataclass(frozen=True)
class Options:
    """How the files of a dataset are got.

    Attributes:
        accept_licence: the user accepts the terms.
        keep_zips: keep archives after they were unpacked.
        n_stems: number of stems to take of a bucket; None for the number of the dataset's file.
        archive: an archive that the user has; None to get it.
        members: pattern with ``*`` and ``?`` of the names of the members to unpack; None for all of the dataset.
        limits, unpack: when to give up.
        ask: asks the user on a terminal; None if there is none.
    """

    accept_licence: bool = False
    keep_zips: bool = False
    n_stems: int | None = None
    archive: Path | None = None
    members: str | None = None
    limits: Limits = field(default_factory=Limits)
    unpack: archives.Limits = field(default_factory=archives.Limits)
    ask: Ask | None = None


def obtain(
    corpus: Corpus,
    dataset: Dataset,
    root: Path,
    options: Options,
    *,
    say: Say = lambda _line: None,
    advance: Advance | None = None,
) -> FetchManifest:
    """Get the files of a dataset that are missing, and write ``fetch_manifest.json`` in its folder.

    A file that an earlier call got is compared with the hash that was recorded then. A download that was interrupted is
    continued.

    Args:
        corpus: the corpus.
        dataset: its section ``dataset``.
        root: the folder of its files.
        options: see `Options`.
        say: called with lines about what happens.
        advance: called with bytes that are done and in total, and with the name of the file.

    Raises:
        InputError: the terms are not accepted, the dataset has no public address, there is not enough space, an option is of
            another kind of dataset, or an archive is refused.
        IntegrityError: a file is not the expected one.
        PyvmafError: the network failed; what came stays, and the next call continues.
    """
    started = time.perf_counter()
    _check_options(corpus, dataset, options)
    if not dataset.downloads and dataset.listing is None:
        raise InputError(
            f"{corpus.name} has no public address: {dataset.origin}; put its files into {root} ({dataset.layout}), then "
            f"vmaf-train manifest-scan --dataset {corpus.name}"
        )
    if (without := _not_public(dataset, root, options)) is not None and not (root / FETCH_MANIFEST).is_file():
        raise InputError(
            f"{without.file} of {corpus.name} has no public address: {dataset.origin}; then vmaf-train fetch --corpus "
            f"{corpus.name} --archive PATH/{without.file}"
        )
    digest = accept_licence(corpus, dataset.terms, root, accepted=options.accept_licence, say=say, ask=options.ask)
    with _work_folder(root) as work:
        job = _Job(corpus, dataset, root, work, options, digest, say, advance)
        manifest = job.run()
        # They have their names before the journal goes: one of both always says what is there.
        with run("fetch"):
            _publish(corpus, manifest, root, options, started)
        shutil.rmtree(work, ignore_errors=True)
    videos = sum(is_video_name(item.path) for item in manifest.files)
    if dataset.videos is not None and videos != dataset.videos and dataset.listing is None and options.members is None:
        say(f"note: {corpus.name} should have {dataset.videos} videos, but {videos} came")
    return manifest


def _check_options(corpus: Corpus, dataset: Dataset, options: Options) -> None:
    """Refuse options that would have no effect."""
    packed = [item for item in dataset.downloads if item.members is not None]
    if options.n_stems is not None and dataset.listing is None:
        raise InputError(f"--n-stems selects from a bucket, but {corpus.name} does not come from one: leave it out")
    for name, value in (
        ("--keep-zips", options.keep_zips),
        ("--archive", options.archive),
        ("--members", options.members),
    ):
        if value and not packed:
            raise InputError(f"{name} is for archives, but {corpus.name} does not come in one: leave it out")
    if options.archive is not None:
        if not options.archive.is_file():
            raise MissingFileError(f"no such file: {options.archive}")
        if _given(dataset, options) is None:
            names = ", ".join(item.file for item in packed)
            raise InputError(f"{options.archive.name} is none of the archives of {corpus.name} ({names}): rename it")


def _given(dataset: Dataset, options: Options) -> Download | None:
    """The download for which the user gives an archive: the one of its name, or the only one without an address."""
    if options.archive is None:
        return None
    packed = [item for item in dataset.downloads if item.members is not None]
    same = [item for item in packed if item.file == options.archive.name]
    private = [item for item in packed if item.url is None]
    return same[0] if same else private[0] if len(private) == 1 else None


def _not_public(dataset: Dataset, root: Path, options: Options) -> Download | None:
    given = _given(dataset, options)
    missing = (item for item in dataset.downloads if item.url is None and item is not given)
    return next((item for item in missing if not (root / item.file).is_file()), None)


@contextmanager
def _work_folder(root: Path) -> Iterator[Path]:
    """Make the folder of partial files, which one process at a time uses.

    Raises:
        InputError: another process does.
    """
    work = root / WORK_FOLDER
    work.mkdir(parents=True, exist_ok=True)
    handle = os.open(work, os.O_RDONLY)
    try:
        if not try_lock(handle):
            raise InputError(f"another fetch is at work in {root}: wait until it has ended")
        yield work
    finally:
        os.close(handle)


def _publish(corpus: Corpus, manifest: FetchManifest, root: Path, options: Options, started: float) -> None:
    target = root / FETCH_MANIFEST
    try:
        if FetchManifest.read(target) == manifest and manifest_path(target).is_file():
            return
    except MissingFileError:
        pass
    manifest.write(target, update=True)
    write_manifest(
        target,
        verb="fetch",
        uses=corpus.uses,
        args={"corpus": corpus.name, "keep_zips": options.keep_zips, "policy": manifest.policy},
        inputs={},
        outputs={"receipt": target},
        seconds=time.perf_counter() - started,
    )


@dataclass
class _Job:
    """One call of `obtain`.

    Attributes:
        files, archives: what is there, checked.
        known: what an earlier call recorded, by path.
    """

    corpus: Corpus
    dataset: Dataset
    root: Path
    work: Path
    options: Options
    terms: str
    say: Say
    advance: Advance | None
    files: dict[str, FetchedFile] = field(default_factory=dict)
    archives: dict[str, FetchedArchive] = field(default_factory=dict)
    known: dict[str, FetchedFile] = field(default_factory=dict)
    known_archives: dict[str, FetchedArchive] = field(default_factory=dict)
    selection: Stems | None = None

    def run(self) -> FetchManifest:
        self._recall()
        self.client = Client(self.options.limits)
        if not self.known and self.dataset.disk_bytes is not None and self.dataset.listing is None:
            check_space(self.root, self.dataset.disk_bytes, self.corpus.name)
        for item in self.dataset.downloads:
            if item.members is None:
                self._file(item)
            else:
                self._archive(item, item.members)
        if self.dataset.listing is not None:
            self._stems()
        return self._manifest()

    def _recall(self) -> None:
        """Read what earlier calls recorded: the last complete one, and one that was interrupted since."""
        for path in (self.root / FETCH_MANIFEST, self.work / _JOURNAL):
            try:
                manifest = FetchManifest.read(path)
            except MissingFileError:
                continue
            self.known.update({item.path: item for item in manifest.files})
            self.known_archives.update({item.file: item for item in manifest.archives})

    def _manifest(self) -> FetchManifest:
        return FetchManifest(
            dataset=self.corpus.name,
            license=self.corpus.license,
            terms_sha256=self.terms,
            policy=self._policy(),
            selection=self.selection,
            archives=sorted(self.archives.values(), key=lambda item: item.file),
            files=sorted(self.files.values(), key=lambda item: item.path),
        )

    def _policy(self) -> str:
        if self.dataset.listing is not None:
            count = self.options.n_stems or self.dataset.listing.stems
            return f"the {count} stems with the fewest bytes among those that have all parts, ties by name"
        if self.options.members is not None:
            return f"members of the archives that are called {self.options.members}"
        return "all files"

    def _note(self) -> None:
        """Record what is there, for a call after this one was interrupted."""
        # What is not looked at yet was recorded by earlier calls.
        everything = FetchManifest(
            dataset=self.corpus.name,
            license=self.corpus.license,
            terms_sha256=self.terms,
            policy="interrupted",
            selection=None,
            archives=list((self.known_archives | self.archives).values()),
            files=list((self.known | self.files).values()),
        )
        write_json(self.work / _JOURNAL, everything.as_json(), at_once=True)

    def _is_there(self, path: str) -> bool:
        """Return whether a file is there as it was recorded."""
        recorded = self.known.get(path)
        target = confined(self.root, path)
        if recorded is None or not target.is_file():
            return False
        if target.stat().st_size == recorded.bytes and sha256_file(target) == recorded.sha256:
            return True
        self.say(f"{target} is not what was fetched: fetching it again")
        return False

    def _refuse_own(self, path: str) -> None:
        """Refuse to replace a file that no earlier call got.

        Raises:
            InputError: there is one.
        """
        target = confined(self.root, path)
        if path not in self.known and os.path.lexists(target):
            raise InputError(f"{target} exists, and fetch did not get it: move it away, or scan the folder as it is")

    def _get(self, remote: Remote, target: Path) -> tuple[str, int]:
        """Get a file, after its size was compared with the space on the disk; return its hash and size."""
        if remote.size is not None:
            check_space(self.root, remote.size, remote.name)
        self.say(f"fetching {remote.url}")

        def moved(done: int, total: int) -> None:
            if self.advance is not None:
                self.advance(done, total, remote.name)

        got = download(self.client, remote, target, self.work, say=self.say, advance=moved)
        if got.redirected_to:
            self.say(f"note: {remote.url} redirected to {', '.join(got.redirected_to)}")
        return got.sha256, got.size

    def _get_file(self, remote: Remote, path: str) -> None:
        """Get a file, which is recorded before it has its name: a later call knows it whenever this one is killed."""
        target = confined(self.root, path)
        whole = self.work / "whole" / target.name
        digest, size = self._get(remote, whole)
        self.known[path] = FetchedFile(path=path, bytes=size, sha256=digest, url=remote.url, archive=None)
        self._note()
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(whole, target)

    def _remote(self, item: Download, sha256: str | None) -> Remote:
        assert item.url is not None
        return Remote(
            item.url,
            item.file,
            size=item.bytes,
            sha256=item.sha256 or sha256,
            hosts=self.dataset.hosts,
            most_bytes=self.dataset.disk_bytes,
        )

    def _file(self, item: Download) -> None:
        """Get a file that is kept as it is."""
        if not self._is_there(item.file):
            self._refuse_own(item.file)
            recorded = self.known.get(item.file)
            remote = self._remote(item, recorded.sha256 if recorded else None)
            self._get_file(remote, item.file)
        self.files[item.file] = self.known[item.file]
        self._note()

    def _archive(self, item: Download, pattern: str) -> None:
        """Get an archive and unpack it, unless all that was unpacked is there."""
        recorded = self.known_archives.get(item.file)
        mine = [path for path, file in self.known.items() if file.archive == item.file]
        wanted = [path for path in mine if self._is_selected(path)]
        complete = recorded is not None and len(wanted) == len(mine) == recorded.unpacked
        if complete:
            self.say(f"checking {len(mine)} files of {item.file}")
        if complete and self.options.archive is None and all(self._is_there(path) for path in mine):
            assert recorded is not None
            kept = recorded.kept and (self.root / item.file).is_file()
            if kept == self.options.keep_zips or kept:
                self.archives[item.file] = recorded.model_copy(update={"kept": kept})
                self.files.update({path: self.known[path] for path in mine})
                return
        path, own, digest = self._locate(item, recorded)
        with self._opened(item, path, own=own) as bundle:
            everything = archives.members(bundle)
            chosen = [
                info for info in everything if re.fullmatch(pattern, info.filename) and self._is_selected(info.filename)
            ]
            if not chosen:
                extra = f" and {self.options.members!r}" if self.options.members else ""
                shown = ", ".join(info.filename for info in everything[:3])
                raise InputError(
                    f"no member of {item.file} is called as {pattern!r}{extra} says (it has {len(everything)} files: {shown}"
                    f"{', …' if len(everything) > 3 else ''})"
                )
            self._unpack(item, bundle, chosen)
        kept = self._keep(item, path, own=own)
        self.archives[item.file] = FetchedArchive(
            file=item.file,
            url=None if own and recorded is None else item.url,
            bytes=path.stat().st_size if path.exists() else (self.root / item.file).stat().st_size,
            sha256=digest,
            members=len(everything),
            unpacked=len(chosen),
            kept=kept,
        )
        self._note()
        if not kept and not own:
            path.unlink(missing_ok=True)

    @contextmanager
    def _opened(self, item: Download, path: Path, *, own: bool) -> Iterator[zipfile.ZipFile]:
        """Open an archive; one that was fetched and is damaged is not kept."""
        try:
            with archives.opened(path, self.options.unpack, item.file) as bundle:
                yield bundle
        except IntegrityError:
            if not own:
                path.unlink(missing_ok=True)
            raise

    def _is_selected(self, path: str) -> bool:
        return self.options.members is None or fnmatch.fnmatchcase(PurePosixPath(path).name, self.options.members)

    def _locate(self, item: Download, recorded: FetchedArchive | None) -> tuple[Path, bool, str]:
        """Find or get an archive; return it, whether it is the user's own, and its hash."""
        expected = item.sha256 or (recorded.sha256 if recorded else None)
        given = self.options.archive if _given(self.dataset, self.options) is item else None
        for path, own in ((given, True), (self.root / item.file, True), (self.work / item.file, False)):
            if path is None or not path.is_file():
                continue
            self.say(f"using {path}")
            digest = sha256_file(path)
            if expected is not None and digest != expected:
                if not own:
                    path.unlink()
                    continue
                raise IntegrityError(
                    f"{path} has SHA-256 {digest}, but {expected} is expected: it is damaged or another version of the "
                    "archive; remove it, and it is fetched again"
                )
            return path, own, digest
        if item.url is None:
            raise InputError(
                f"files of {item.file} are missing, and it has no public address: {self.dataset.origin}; then give it by "
                "--archive"
            )
        target = self.work / item.file
        digest, _ = self._get(self._remote(item, expected), target)
        return target, False, digest

    def _unpack(self, item: Download, bundle: zipfile.ZipFile, chosen: list[zipfile.ZipInfo]) -> None:
        """Unpack members of an archive; those that are there already are kept."""
        folder = f"{item.into}/" if item.into else ""
        total = sum(info.file_size for info in chosen)
        paths = {info.filename: f"{folder}{PurePosixPath(info.filename).as_posix()}" for info in chosen}
        missing = []
        for info in chosen:
            target = confined(self.root, paths[info.filename])
            if archives.same_bytes(info, target):
                continue
            self._refuse_own(paths[info.filename])
            missing.append(info)
        check_space(self.root, sum(info.file_size for info in missing), f"the content of {item.file}")
        self.say(f"unpacking {len(missing)} of {len(chosen)} files of {item.file}")
        absent, done = {info.filename for info in missing}, 0
        for info in chosen:
            path = paths[info.filename]
            target = confined(self.root, path)
            if info.filename in absent:
                expected = self.known[path].sha256 if path in self.known else None
                digest = archives.unpack(bundle, info, target, called=item.file, sha256=expected).sha256
            else:
                digest = sha256_file(target)
            self.files[path] = FetchedFile(path=path, bytes=info.file_size, sha256=digest, url=None, archive=item.file)
            done += info.file_size
            if self.advance is not None:
                self.advance(done, total, f"unpacking {item.file}")

    def _keep(self, item: Download, path: Path, *, own: bool) -> bool:
        """Move an archive into the root if it is to be kept; return whether it is there."""
        target = self.root / item.file
        if self.options.keep_zips and not own:
            os.replace(path, target)
        return target.is_file()

    def _stems(self) -> None:
        """Get the smallest stems of a bucket."""
        listing = self.dataset.listing
        assert listing is not None
        items = list_bucket(self.client, listing, self.root / LISTING, self.say)
        chosen = select_stems(listing, items, self.options.n_stems or listing.stems)
        self.say(f"{len(chosen.stems)} of {chosen.listed} stems, {chosen.bytes} bytes")
        folder = f"{listing.into}/" if listing.into else ""
        wanted = {f"{folder}{item.name}": item for parts in chosen.stems.values() for item in parts.values()}
        missing = [path for path in wanted if not self._is_there(path)]
        check_space(self.root, sum(wanted[path].size for path in missing), self.corpus.name)
        for path, item in wanted.items():
            if path in missing:
                self._refuse_own(path)
                recorded = self.known.get(path)
                remote = remote_item(listing, item, self.dataset.hosts, recorded.sha256 if recorded else None)
                self._get_file(remote, path)
            self.files[path] = self.known[path]
            self._note()
        self.selection = _selection(listing.url, folder, chosen)


def _selection(url: str, folder: str, chosen: Selected) -> Stems:
    return Stems(
        listing=url,
        listing_sha256=chosen.sha256,
        listed=chosen.listed,
        incomplete=chosen.incomplete,
        bytes=chosen.bytes,
        stems={
            stem: {part: f"{folder}{item.name}" for part, item in parts.items()} for stem, parts in chosen.stems.items()
        },
    )
