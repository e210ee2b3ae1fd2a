"""The text of a corpus file, and how a second scan changes it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyvmaf.base.files import read_yaml, write_text
from pyvmaf.corpora.folder import Spec
from pyvmaf.corpora.keys import clip_key
from pyvmaf.corpora.scan import Scan
from pyvmaf.corpora.spec import Entry, load_corpus, parse_corpus
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
    "probe",
)
_WIDTH = 1_000_000


def read_existing(path: Path) -> Spec | None:
    """Read the corpus file that a scan is about to add to; None if it does not exist.

    Raises:
        InputError: the path is not that of a YAML file, or the file that exists is not a corpus of the kind folder.
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
    if not isinstance(corpus, Spec):
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
    existing: Spec | None


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


def to_yaml(corpus: Spec) -> str:
    """Return the text of a corpus file."""
    value = corpus.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    lines = ["# Written by vmaf-train manifest-scan; edit it as you like, and keep the hashes."]
    lines += [
        f"{key}: {_line(value[key])}"
        for key in ("name", "kind", "license", "description", "root", "mos_scale")
        if key in value
    ]
    if "dataset" in value:
        lines += ["dataset:", *_block(value["dataset"])]
    for key in ("extras",):
        lines += [f"{key}:", *(f"  - {_line(item)}" for item in value[key])] if key in value else []
    lines += ["entries:", *_entry_lines(value["entries"])]
    return "\n".join(lines) + "\n"


def write_corpus(result: Scan, path: Path) -> bool:
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
    text = _with_added(before, result)
    write_text(path, to_yaml(result.corpus) if text is None else text)
    return True


def _with_added(text: str, result: Scan) -> str | None:
    """The text with the new entries at its end; None if that does not give the corpus."""
    import yaml

    added = [entry for entry in result.corpus.entries if entry.key in result.added]
    dumped = [entry.model_dump(mode="json", exclude_none=True, exclude_defaults=True) for entry in added]
    # The file of a dataset that nobody has scanned has no entries yet.
    head = [] if re.search("^entries:", text, re.MULTILINE) else ["entries:"]
    longer = "\n".join([text.rstrip("\n"), *head, *_entry_lines(dumped)]) + "\n"
    try:
        value = yaml.safe_load(longer)
    except yaml.YAMLError:
        return None
    return longer if isinstance(value, dict) and _holds(value, result.corpus) else None


def _holds(value: Mapping[str, Any], corpus: Spec) -> bool:
    """Return whether the values of a corpus file are those of a corpus, whatever the order of its entries."""
    try:
        other = parse_corpus(value)
    except InputError:
        return False
    return isinstance(other, Spec) and _sorted(other) == _sorted(corpus)


def _sorted(corpus: Spec) -> Spec:
    def key(entry: Entry) -> str:
        return entry.key

    return corpus.model_copy(update={"entries": tuple(sorted(corpus.entries, key=key))})


def _entry_lines(entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for entry in entries:
        keys = [key for key in _KEY_ORDER if key in entry]
        for index, key in enumerate([*keys, *(key for key in entry if key not in keys)]):
            yield f"  {'-' if index == 0 else ' '} {key}: {_line(entry[key])}"


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
