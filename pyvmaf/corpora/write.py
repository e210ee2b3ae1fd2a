"""The text of a corpus file, and how a second scan changes it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pyvmaf.base.files import read_yaml, write_text
from pyvmaf.corpora.keys import clip_key
from pyvmaf.corpora.spec import Entry, VideoCorpus, load_corpus, parse_corpus
from pyvmaf.errors import InputError, MissingFileError, PyvmafError

_KEY_ORDER = (
    "key",
    "path",
    "sha256",
    "source",
    "group",
    "frames",
    "crop",
    "scale",
    "pix_fmt",
    "mos",
    "mos_std",
    "n_ratings",
    "raw",
    "stream",
    "convert",
    "probe",
)
_HEAD = ("name", "kind", "license", "description", "root")
_WIDTH = 1_000_000


SCANNED = ("folder", "pairs")
"""Kinds of corpus that a scan writes."""


class Scanned(Protocol):
    """The result of a scan."""

    @property
    def corpus(self) -> VideoCorpus:
        """The corpus, checked."""

    @property
    def added(self) -> tuple[str, ...]:
        """Keys of the entries that are new in it."""


_Corpus = TypeVar("_Corpus", bound=VideoCorpus)


def read_existing(path: Path) -> VideoCorpus | None:
    """Read the corpus file that a scan is about to add to; None if it does not exist.

    Raises:
        InputError: the path is not that of a YAML file, or the file that exists is not a corpus that a scan writes.
    """
    if path.suffix not in (".yaml", ".yml"):
        raise InputError(f"a corpus file ends in .yaml, but --output is {path}")
    if not path.exists():
        return None
    try:
        corpus = load_corpus(path)
    except MissingFileError as err:
        raise InputError(f"{path} exists and is not a file: choose another --output") from err
    except PyvmafError as err:
        raise InputError(f"{path} exists and is not a corpus file, so nothing is added to it: {err}") from err
    if corpus.kind not in SCANNED or not isinstance(corpus, VideoCorpus):
        raise InputError(
            f"{path} exists and is a corpus of kind {corpus.kind}, so nothing is added to it: choose another --output"
        )
    return corpus


@dataclass(frozen=True)
class Target:
    """What a scan describes, and where.

    Attributes:
        name: name of the corpus.
        path: the corpus file.
        root: the folder of the videos.
        existing: the corpus file as it is; None if it does not exist.
    """

    name: str
    path: Path
    root: Path
    existing: VideoCorpus | None

    def kind(self, wanted: str | None) -> str:
        """Return the kind of the corpus: the one that is asked for, else that of the file, else ``folder``."""
        return wanted or (self.existing.kind if self.existing is not None else "folder")

    def of(self, wanted: type[_Corpus]) -> _Corpus | None:
        """Return the corpus that exists, which has to be of the kind that is scanned.

        Raises:
            InputError: it is not.
        """
        if self.existing is None or isinstance(self.existing, wanted):
            return self.existing
        raise InputError(
            f"{self.path} exists and is a corpus of kind {self.existing.kind}, so nothing is added to it: choose another "
            f"--output, or scan with --kind {self.existing.kind}"
        )


def scan_target(root: Path | None, name: str | None, output: Path | None) -> Target:
    """Find what a scan describes from what the user says of it.

    Args:
        root: the folder; by default the root of the corpus file that exists.
        name: name of the corpus; by default that of the corpus file, or made of the folder's name.
        output: the corpus file; by default the one of that name in ``config/corpora``.

    Raises:
        InputError: neither folder nor corpus file is given, or see `read_existing`.
    """
    if root is None and name is None and output is None:
        raise InputError("give the folder of the videos with --root, or a corpus of config/corpora with --dataset")
    called = name or clip_key((root or Path(output or "").with_suffix("")).resolve().name)
    path = output or Path("config") / "corpora" / f"{called}.yaml"
    existing = read_existing(path)
    if root is None:
        if existing is None:
            raise MissingFileError(f"{path} does not exist yet, so that nobody knows its folder: give it with --root")
        root = existing.home(path, Path())
        if not root.is_dir():
            origin = f" ({existing.dataset.origin})" if existing.dataset is not None else ""
            raise MissingFileError(
                f"{root} does not exist: put the files of {existing.name} there{origin}, or give --root"
            )
    return Target(existing.name if existing is not None and name is None else called, path, root, existing)


def to_yaml(corpus: VideoCorpus) -> str:
    """Return the text of a corpus file."""
    value = corpus.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    lines = ["# Written by vmaf-train manifest-scan; edit it as you like, and keep the hashes."]
    keys = [key for key in _HEAD if key in value]
    keys += [key for key in value if key not in (*keys, "dataset", "extras", "entries")]
    lines += [f"{key}: {_line(value[key])}" for key in keys]
    if "dataset" in value:
        lines += ["dataset:", *_block(value["dataset"])]
    for key in ("extras",):
        lines += [f"{key}:", *(f"  - {_line(item)}" for item in value[key])] if key in value else []
    lines += ["entries:", *_entry_lines(value["entries"])] if "entries" in value else []
    return "\n".join(lines) + "\n"


def write_corpus(result: Scanned, path: Path) -> bool:
    """Write the result of a scan atomically; return whether the file has changed.

    New entries are added at the end of a file that exists, whose lines stay as they are. Where more than that has changed
    (files that moved, labels that were joined), the file is written anew, without its comments.
    """
    try:
        before = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        write_text(path, to_yaml(result.corpus))
        return True
    if _holds(read_yaml(path), result.corpus):
        return False
    text = _with_added(before, result.corpus, result.added)
    write_text(path, to_yaml(result.corpus) if text is None else text)
    return True


def _with_added(text: str, corpus: VideoCorpus, added: Sequence[str]) -> str | None:
    """The text with the new entries at its end; None if that does not give the corpus."""
    import yaml

    new = [entry for entry in corpus.entries if entry.key in added]
    dumped = [entry.model_dump(mode="json", exclude_none=True, exclude_defaults=True) for entry in new]
    # The file of a dataset that nobody has scanned has no entries yet.
    text = re.sub(r"^entries: *\[ *\] *(#.*)?$", "", text, flags=re.MULTILINE)
    head = [] if re.search("^entries:", text, re.MULTILINE) else ["entries:"]
    longer = "\n".join([text.rstrip("\n"), *head, *_entry_lines(dumped)]) + "\n"
    try:
        value = yaml.safe_load(longer)
    except yaml.YAMLError:
        return None
    return longer if isinstance(value, dict) and _holds(value, corpus) else None


def _holds(value: Mapping[str, Any], corpus: VideoCorpus) -> bool:
    """Return whether the values of a corpus file are those of a corpus, whatever the order of its entries."""
    try:
        other = parse_corpus(value)
    except InputError:
        return False
    return isinstance(other, VideoCorpus) and _sorted(other) == _sorted(corpus)


def _sorted(corpus: VideoCorpus) -> VideoCorpus:
    def key(entry: Entry) -> str:
        return entry.key

    return corpus.model_copy(update={"entries": tuple(sorted(corpus.entries, key=key))})


def _entry_lines(entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for entry in entries:
        keys = [key for key in _KEY_ORDER if key in entry]
        for index, key in enumerate([*keys, *(key for key in entry if key not in (*keys, "pairs"))]):
            yield f"  {'-' if index == 0 else ' '} {key}: {_line(entry[key])}"
        if "pairs" in entry:
            yield "    pairs:"
            yield from (f"      - {_line(_ordered(pair))}" for pair in entry["pairs"])


def _ordered(pair: Mapping[str, Any]) -> dict[str, Any]:
    first = [key for key in ("rung", "path", "sha256", "codec") if key in pair]
    return {key: pair[key] for key in [*first, *(key for key in pair if key not in first)]}


def _block(value: Mapping[str, Any]) -> Iterator[str]:
    """The lines of a section, indented."""
    import yaml

    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=_WIDTH)
    yield from (f"  {line}" for line in text.splitlines())


def _line(value: Any) -> str:
    """A value on one line of YAML."""
    import yaml

    def dump(**style: Any) -> str:
        text = yaml.safe_dump(
            value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=_WIDTH, **style
        )
        return str(text).removesuffix("\n").removesuffix("\n...")

    line = dump()
    # Names with line breaks: only between double quotation marks they stand on one line.
    return dump(default_style='"') if len(line.splitlines()) > 1 else line
