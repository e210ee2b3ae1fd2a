"""Description of pairs that exist as a corpus file, and the comparison of such a file with its folder."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, cast

from pyvmaf.base.files import confined, sha256_file
from pyvmaf.codecs.encoders import encoder as find_encoder
from pyvmaf.codecs.encoders import rung_name
from pyvmaf.codecs.stated import Stated, stated
from pyvmaf.corpora.conversions import Conversions
from pyvmaf.corpora.find import clean_name, find_videos
from pyvmaf.corpora.keys import clip_key, key_of
from pyvmaf.corpora.ladders import GIVEN
from pyvmaf.corpora.lists import Candidate, label, read_pairs
from pyvmaf.corpora.names import find_pairs, rate
from pyvmaf.corpora.pairs import Names, Spec
from pyvmaf.corpora.scan import check_same_folder, common_scale, root_text
from pyvmaf.corpora.spec import NAME_PATTERN, parse_corpus
from pyvmaf.errors import InputError, IntegrityError, MissingFileError, PyvmafError
from pyvmaf.video.ffmpeg import Advance
from pyvmaf.video.format import Format
from pyvmaf.video.probe import Video, inspect

IDENTITY = "identity"
"""Codec of a pair whose two sides are one file."""

_MOST = 3


@dataclass(frozen=True)
class Listing:
    """A CSV file of pairs.

    Attributes:
        path: the file.
        reference, distorted: the columns that name the files.
    """

    path: Path
    reference: str = "reference"
    distorted: str = "distorted"


@dataclass
class PairScan:
    """The result of a scan.

    Attributes:
        corpus: the corpus, checked.
        added: keys of references that are new in it.
        pairs: number of pairs that are new in it.
        remarks: lines about everything that a person should know.
    """

    corpus: Spec
    added: tuple[str, ...] = ()
    pairs: int = 0
    remarks: list[str] = field(default_factory=list)


def scan_pairs(
    root: Path,
    name: str,
    *,
    names: Names | None = None,
    listing: Listing | None = None,
    license_: str = "",
    description: str = "",
    base: Path | None = None,
    raw: Format | None = None,
    mos_scale: tuple[float, float] | None = None,
    skip_broken: bool = False,
    existing: Spec | None = None,
    advance: Advance | None = None,
) -> PairScan:
    """Decode every new file of pairs to its end and describe the pairs as a corpus.

    Args:
        root: the folder of the files.
        name: name of the corpus.
        names: how the files are called; by default as `existing` says.
        listing: a CSV file that lists the pairs, in place of names.
        license_, description: texts for the corpus file.
        base: folder of the corpus file. The root is written relative to it if it is near.
        raw: format of headerless files of which neither their names nor the list says it.
        mos_scale: lowest and highest score of the list's scale; required if it has scores, unless `existing` has it.
        skip_broken: leave pairs out whose files are broken or do not belong together, instead of failing.
        existing: the corpus as an earlier scan or a person wrote it. All that it says stays as it is; pairs that it does not
            have are added to it.
        advance: called with (files done, files in total).

    Raises:
        MissingFileError: a file or folder does not exist.
        InputError: names, list or files are wrong; the message says what to change.
        IntegrityError: a file is damaged.
    """
    if not re.fullmatch(NAME_PATTERN.strip("^$"), name):
        raise InputError(
            f"{name!r} is not a name for a corpus: use lower-case letters, digits, hyphens and underscores"
        )
    if not root.is_dir():
        raise MissingFileError(f"no such folder: {root}")
    names = names or (existing.layout if existing is not None else None)
    remarks = check_same_folder(existing, name, root, base) if existing is not None else []
    if listing is not None:
        candidates, more = read_pairs(listing.path, listing.reference, listing.distorted)
    elif names is not None:
        candidates, more = _by_names(root, names, skip_broken)
    else:
        raise InputError(
            "nothing says which files are pairs: give --layout netflix or ugc, --reference-pattern and --distorted-pattern, or "
            "a list with --pairs-csv"
        )
    remarks += more
    _check_roles(candidates)
    rated = listing is not None and any("mos" in item.known for item in candidates)
    scale = common_scale(existing, mos_scale, listing.path if listing is not None and rated else None)
    work = _Work(root, raw, existing, skip_broken)
    work.read(candidates, advance)
    if not work.references:
        raise InputError(f"there are no usable pairs in {root}: {'; '.join(work.remarks[:_MOST])}")
    keys: dict[str, Any] = {"license": license_, "description": description, "root": root_text(root, base)}
    if existing is not None:
        moved = set() if existing.entries else {"root"}
        keys |= existing.model_dump(
            mode="json", exclude={"name", "kind", "entries", *moved}, exclude_none=True, exclude_defaults=True
        )
    if names is not None and listing is None:
        keys["layout"] = names.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    keys |= {} if scale is None else {"mos_scale": scale}
    entries = list(work.references.values())
    if existing is None or not existing.entries:
        entries.sort(key=lambda entry: str(entry["key"]))
    corpus = cast("Spec", parse_corpus({"name": name, "kind": "pairs", **keys, "entries": entries}))
    remarks += work.remarks
    videos = len({item.path for item in corpus.pinned} - {item.path for item in corpus.extras})
    if corpus.dataset is not None and corpus.dataset.videos not in (None, videos):
        remarks.append(f"{name} should have {corpus.dataset.videos} videos, but {videos} are in it")
    if len({entry.source for entry in corpus.entries}) < 2:
        remarks.append("there is one source only: a split by source needs two or more")
    return PairScan(corpus, tuple(work.added), work.pairs, remarks)


def _by_names(root: Path, names: Names, skip_broken: bool) -> tuple[list[Candidate], list[str]]:
    """Find pairs by the names of files."""
    found = find_videos(root)
    paths = [path.relative_to(root).as_posix() for path in (*found.videos, *found.recognised)]
    pairs = find_pairs(sorted(paths), names.reference, names.distorted)
    remarks = [f"left out: {path}: {reason}" for path, reason in found.left_out.items()] + found.remarks
    if pairs.alone:
        shown = ", ".join(pairs.alone[:_MOST]) + (
            f" and {len(pairs.alone) - _MOST} more" if len(pairs.alone) > _MOST else ""
        )
        if not skip_broken:
            raise InputError(
                f"no reference matches {names.reference!r} for {shown}: put it into the folder, or leave such files out with "
                "--skip-broken"
            )
        remarks.append(f"left out, without a reference: {shown}")
    remarks += [f"left out, a reference without distorted versions: {path}" for path in pairs.unpaired]
    if pairs.others:
        remarks.append(f"left out, matching no pattern: {len(pairs.others)} files, such as {pairs.others[0]}")
    form = names.raw.model_dump() if names.raw else {}
    known = {"codec": names.codec} if names.codec else {}
    return [
        _candidate(pair.reference, pair.distorted, pair.parts, pair.own, form, known) for pair in pairs.pairs
    ], remarks


_MEANING = frozenset({"fps", "size", "pix_fmt", "codec", "preset", "crf", "bitrate"})


def _candidate(
    reference: str,
    distorted: str,
    parts: Mapping[str, str],
    own: Sequence[str],
    form: Mapping[str, str],
    known: Mapping[str, Any],
) -> Candidate:
    """Read what the parts of the names of a pair say."""
    pair: dict[str, Any] = dict(known)
    pair |= {name: parts[name] for name in ("codec", "preset") if name in parts}
    if "crf" in parts:
        pair["crf"] = int(parts["crf"])
    if "bitrate" in parts and float(parts["bitrate"]) > 0:
        pair["bitrate_kbps"] = float(parts["bitrate"])
    if own:
        pair["rung"] = "_".join(parts[name] for name in own)
    both = dict(form) | {name: parts[name] for name in ("size", "pix_fmt") if name in parts}
    if "fps" in parts:
        both |= {"fps": rate(parts["fps"])}
    words = [value for name, value in parts.items() if name not in (*own, *_MEANING)]
    labels = {"name": "_".join(words)} if words else {}
    if "source" in parts:
        labels["source"] = parts["source"]
    return Candidate(distorted, reference, distorted, pair, labels, both, both)


def _check_roles(candidates: Sequence[Candidate]) -> None:
    """Refuse pairs that are there twice, and files on both sides.

    Raises:
        InputError: see above.
    """
    owners: dict[str, Candidate] = {}
    references = {_norm(item.reference): item for item in candidates}
    for item in candidates:
        path = _norm(item.distorted)
        first = owners.setdefault(path, item)
        if first is not item and _norm(first.reference) == _norm(item.reference):
            raise InputError(
                f"{item.where}: the pair of {item.reference} and {item.distorted} is in {first.where}, too: leave one out"
            )
        if first is not item:
            raise InputError(
                f"{item.where}: {item.distorted} is a distorted version of {item.reference} here and of {first.reference} in "
                f"{first.where}: a distorted version has one reference; are the two columns swapped?"
            )
        other = references.get(path)
        if other is not None and path != _norm(item.reference):
            raise InputError(
                f"{item.where}: {item.distorted} is a distorted version here and the reference in {other.where}: are the two "
                "columns swapped?"
            )


def _norm(path: str) -> str:
    # A person may have written ./a.mkv.
    return PurePosixPath(path).as_posix()


@dataclass
class _File:
    """A file of a pair that was decoded: its hash, its facts, and its keys in the corpus file."""

    digest: str
    video: Video
    keys: dict[str, Any]


class _Work:
    """Reads pairs one by one.

    Attributes:
        references: entries of the corpus by path of the reference, first those that exist, as JSON values.
        added: keys of new references.
        pairs: number of new pairs.
        remarks: lines about files.
    """

    def __init__(self, root: Path, raw: Format | None, existing: Spec | None, skip_broken: bool) -> None:
        self._root = root
        self._raw = {} if raw is None else {"size": raw.size, "pix_fmt": raw.pix_fmt, "fps": raw.fps}
        self._skip = skip_broken
        self._convert = (existing.convert if existing is not None else None) or Conversions()
        self.references: dict[str, dict[str, Any]] = {}
        for entry in existing.entries if existing is not None else ():
            value = entry.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
            self.references[_norm(entry.path)] = value
        self._keys = {entry["key"]: path for path, entry in self.references.items()}
        self._files: dict[str, _File] = {}
        self._by_hash: dict[str, str] = {}
        # Path of a distorted version and hash of its reference, by its own hash.
        self._versions: dict[str, tuple[str, str]] = {
            pair["sha256"]: (pair["path"], entry["sha256"])
            for entry in self.references.values()
            for pair in entry["pairs"]
            if pair["sha256"] != entry["sha256"]
        }
        self.added: list[str] = []
        self.pairs = 0
        self.remarks: list[str] = []

    def read(self, candidates: Sequence[Candidate], advance: Advance | None) -> None:
        """Read all pairs; those that have entries are only compared with their hashes."""
        self._compare(candidates)
        known = {(path, _norm(pair["path"])) for path, entry in self.references.items() for pair in entry["pairs"]}
        new = [item for item in candidates if (_norm(item.reference), _norm(item.distorted)) not in known]
        total = len({_norm(path) for item in new for path in (item.reference, item.distorted)})
        smaller: list[bool] = []
        for item in new:
            try:
                reference = self._file(item.reference, item.reference_raw)
                distorted = self._file(item.distorted, {**_rate(reference), **item.distorted_raw})
                self._check_pair(item, reference, distorted)
                self._check_contents(item, reference, distorted)
            except (PyvmafError, OSError) as err:
                self._leave_out(item, err)
                continue
            self._add(item, reference, distorted)
            if "raw" not in reference.keys and reference is not distorted:
                sizes = [(self._root / path).stat().st_size for path in (item.reference, item.distorted)]
                smaller.append(sizes[0] < sizes[1])
            if advance is not None:
                advance(len(self._files), total)
        if len(smaller) > 1 and all(smaller):
            self.remarks.append(
                "every reference has fewer bytes than its distorted version: if the two sides are swapped, swap their columns "
                "or patterns"
            )

    def _compare(self, candidates: Sequence[Candidate]) -> None:
        """Compare the files that have entries with their hashes."""
        del candidates
        for path, entry in self.references.items():
            for item in (entry, *entry["pairs"]):
                file = confined(self._root, item["path"])
                if not file.is_file():
                    self.remarks.append(
                        f"gone: {item['path']}: its entry stays ({entry['key']}): delete it, or put the file back"
                    )
                elif (digest := sha256_file(file)) != item["sha256"]:
                    self.remarks.append(
                        f"changed: {item['path']}: it has SHA-256 {digest}, but {item['sha256']} is pinned: its entry stays "
                        f"({entry['key']}): put the file back, or delete it and scan again"
                    )
            self._by_hash.setdefault(entry["sha256"], path)

    def _file(self, path: str, raw: Mapping[str, str]) -> _File:
        """Decode a file to its end, once."""
        name = _norm(path)
        if name not in self._files:
            if (reason := clean_name(path)) is not None:
                raise InputError(f"{path}: {reason}")
            file = confined(self._root, path)
            if not file.is_file():
                raise MissingFileError(f"no such file: {file}")
            form = self._format(name, raw)
            video = inspect(file, form)
            if not self._convert.deinterlace:
                video.check(file)
            keys: dict[str, Any] = {}
            if form is not None:
                keys["raw"] = {"size": form.size, "pix_fmt": form.pix_fmt, "fps": form.fps}
            if video.stream is not None:
                keys["stream"] = video.stream
            self.remarks += [video.notice] if video.notice else []
            self.remarks += [f"{name} {remark}" for remark in video.remarks]
            shown = video.format
            keys["probe"] = {"width": shown.width, "height": shown.height, "pix_fmt": shown.pix_fmt}
            keys["probe"] |= {"fps": shown.fps, "frames": video.frames}
            self._files[name] = _File(sha256_file(file), video, keys)
        return self._files[name]

    def _format(self, name: str, raw: Mapping[str, str]) -> Format | None:
        if not name.lower().endswith(".yuv"):
            return None
        keys = {**self._raw, **raw}
        if "size" not in keys:
            raise InputError(
                f"{name} is raw video, which does not state its size: give --size WxH --pix-fmt FMT, a column size, or the key "
                "raw of the layout"
            )
        return Format.parse(keys["size"], keys.get("pix_fmt", "yuv420p"), keys.get("fps", "25"))

    def _check_pair(self, item: Candidate, reference: _File, distorted: _File) -> None:
        one, two = reference.video, distorted.video
        if one.frames != two.frames and not self._convert.recounts:
            raise InputError(
                f"frame counts differ: the reference {item.reference} has {one.frames}, {item.distorted} has {two.frames}: give "
                "a version that has every frame of the reference"
            )
        if one.format.chroma != two.format.chroma:
            raise InputError(
                f"chroma layouts differ: {item.reference} is {one.format.pix_fmt}, {item.distorted} is {two.format.pix_fmt}: "
                "convert one of them"
            )

    def _leave_out(self, item: Candidate, err: Exception) -> None:
        reason = str(err) if isinstance(err, PyvmafError) else f"{item.distorted} cannot be read: {err}"
        if not self._skip:
            kind = type(err) if isinstance(err, InputError | IntegrityError) else InputError
            where = "" if item.where == item.distorted else f"{item.where}: "
            raise kind(f"{where}{reason} (--skip-broken leaves such pairs out)") from err
        self.remarks.append(f"left out: {item.distorted}: {reason}")

    def _add(self, item: Candidate, reference: _File, distorted: _File) -> None:
        path = _norm(item.reference)
        entry = self.references.get(path) or self._new_reference(item, reference)
        pair = self._pair(item, distorted, identical=path == _norm(item.distorted))
        taken = {(other.get("codec", GIVEN), other["rung"]) for other in entry["pairs"]}
        if (pair.get("codec", GIVEN), pair["rung"]) in taken:
            pair["rung"] = clip_key(_norm(item.distorted))
        for other in entry["pairs"]:
            if other["sha256"] == pair["sha256"]:
                self.remarks.append(
                    f"the same bytes: {pair['path']} and {other['path']}: take one out if it is there twice"
                )
        if entry["sha256"] == pair["sha256"] and path != _norm(item.distorted):
            self.remarks.append(f"the same bytes: {pair['path']} and its reference {path}")
        self.references[path] = entry
        entry["pairs"].append(pair)
        self.pairs += 1

    def _new_reference(self, item: Candidate, file: _File) -> dict[str, Any]:
        path = _norm(item.reference)
        known = item.reference_known
        key = key_of(known["name"]) if known.get("name") else clip_key(path)
        if key in self._keys:
            key = clip_key(path)
        if key in self._keys:
            raise InputError(f"{self._keys[key]} and {path} would both get the key {key!r}: rename one of them")
        self._keys[key] = path
        source = label(known["source"]) if known.get("source") else key
        twin = self._by_hash.setdefault(file.digest, path)
        if twin != path:
            source = self.references[twin]["source"]
            self.remarks.append(f"the same bytes: {path} and {twin}: both have the source {source}")
        group = label(known["group"]) if known.get("group") else source
        self.added.append(key)
        return {
            "key": key,
            "path": path,
            "sha256": file.digest,
            "source": source,
            "group": group,
            **file.keys,
            "pairs": [],
        }

    def _pair(self, item: Candidate, file: _File, *, identical: bool) -> dict[str, Any]:
        path = _norm(item.distorted)
        known = dict(item.known)
        pair: dict[str, Any] = {"path": path, "sha256": file.digest, **file.keys}
        pair |= self._maker(item, known, identical)
        if "bitrate_kbps" in known:
            pair["bitrate_kbps"] = known["bitrate_kbps"]
        elif "raw" not in file.keys and not identical:
            size = (self._root / path).stat().st_size
            pair["bitrate_kbps"] = round(size * 8 / 1000 / file.video.seconds, 3)
        pair |= {name: known[name] for name in ("mos", "mos_std", "n_ratings") if name in known}
        pair["rung"] = _rung(known.get("rung"), pair)
        return pair

    def _maker(self, item: Candidate, known: Mapping[str, Any], identical: bool) -> dict[str, Any]:
        """Codec, encoder, preset and CRF of a distorted version, as far as they are known."""
        text = known.get("codec")
        if identical and text is None:
            return {"codec": IDENTITY}
        maker: dict[str, Any] = {}
        if text is not None:
            try:
                maker["codec"] = maker["encoder"] = find_encoder(str(text)).name
            except InputError:
                maker["codec"] = key_of(str(text))
        found = stated(self._root / _norm(item.distorted))
        if found is not None:
            claimed = maker.setdefault("encoder", found.encoder)
            if claimed != found.encoder:
                raise InputError(
                    f"{item.where}: codec is {text!r}, but the stream of {item.distorted} is of {found.encoder}"
                    + self._of_reference(item, str(claimed), known.get("crf"))
                )
            maker.setdefault("codec", found.encoder)
            if found.crf is not None and found.crf == int(found.crf):
                maker["crf"] = int(found.crf)
        if "crf" in known:
            maker["crf"] = self._crf(item, known["crf"], found, maker.get("encoder"))
        if "preset" in known:
            maker["preset"] = known["preset"]
        return maker

    def _crf(self, item: Candidate, crf: int, found: Stated | None, encoder: str | None) -> int:
        """Return the CRF of the list, after it was compared with what the stream states."""
        swapped = self._of_reference(item, encoder, crf)
        if found is not None and not found.agrees(crf):
            raise InputError(
                f"{item.where}: CRF is {crf}, but the stream of {item.distorted} says {found.settings}{swapped}"
            )
        if swapped and (found is None or found.rate_control is None):
            raise InputError(f"{item.where}: CRF is {crf}, which {item.distorted} does not state{swapped}")
        return crf

    def _of_reference(self, item: Candidate, encoder: str | None, crf: int | None) -> str:
        """Say that the reference is what the list says of the distorted version; empty if it is not, or does not state it."""
        found = stated(self._root / _norm(item.reference))
        same = found is not None and found.encoder == (encoder or found.encoder)
        if found is None or not same or (crf is not None and found.crf != crf):
            return ""
        what = found.encoder if crf is None else f"{found.encoder} with CRF {crf}"
        return f"; that of {item.reference} is of {what}: are the two columns swapped?"

    def _check_contents(self, item: Candidate, reference: _File, distorted: _File) -> None:
        """Refuse a distorted version whose bytes are those of another row's reference, or of its distorted version.

        Names alone do not show it if the same file lies there several times.
        """
        path, own = _norm(item.distorted), reference.digest
        if own == distorted.digest:
            return
        twice = self._versions.get(distorted.digest, ("", own))
        if twice[1] != own:
            raise InputError(
                f"{item.where}: {path} has the bytes of {twice[0]}, a distorted version of another reference: {_doubt(item)}"
            )
        side = self._by_hash.get(distorted.digest) or self._versions.get(own, ("", ""))[0]
        if side:
            raise InputError(
                f"{item.where}: one of {item.reference} and {path} has the bytes of {side}, which is on the other side "
                f"elsewhere: {_doubt(item)}"
            )
        self._versions[distorted.digest] = (path, own)


def _doubt(item: Candidate) -> str:
    """Say what may be wrong with a pair whose bytes contradict it: a list may have swapped columns, names may be wrong."""
    by_name = item.where == item.distorted
    return "one of the two is not what its name says" if by_name else "are the two columns swapped?"


def _rate(reference: _File) -> dict[str, str]:
    """The rate of a reference, which headerless versions of it have, too."""
    return {"fps": reference.video.format.fps}


def _rung(text: str | None, pair: Mapping[str, Any]) -> str:
    """Name a rung: by its preset and CRF if no text names it, else after its file."""
    if text is None and "preset" in pair and "crf" in pair:
        text = rung_name(pair["preset"], pair["crf"])
    if text is None:
        text = clip_key(pair["path"].rpartition("/")[2])
    clean = re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-")
    return clean if clean and len(clean) <= 90 else key_of(text)
