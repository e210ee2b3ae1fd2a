"""Description of a folder of videos as a corpus file, and the comparison of such a file with its folder."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, cast

from pyvmaf.base.files import sha256_file
from pyvmaf.base.roots import movable
from pyvmaf.corpora.find import Found, clean_name, find_videos
from pyvmaf.corpora.folder import Spec
from pyvmaf.corpora.keys import clip_key, key_of
from pyvmaf.corpora.opinions import Opinion, join, read_opinions
from pyvmaf.corpora.spec import NAME_PATTERN, Entry, VideoCorpus, parse_corpus
from pyvmaf.errors import InputError, IntegrityError, PyvmafError
from pyvmaf.video.ffmpeg import Advance
from pyvmaf.video.format import Format
from pyvmaf.video.probe import Video, inspect

_NO_SHORTER_THAN = 2
_UNKNOWN = "unknown"


@dataclass(frozen=True)
class Options:
    """How videos become clips.

    Attributes:
        cut: split files at their hard cuts.
        min_frames: number of frames of the shortest shot that becomes a clip (with `cut`).
        raw: format of headerless files.
        skip_broken: leave out broken files instead of failing.
        shots: finds the shots of a video with `cut`, given its path and, if it is headerless, its format; None for the
            changes between its thumbnails.
        scenes: regular expression of names of files whose first group is the scene; each file is one by default.
    """

    cut: bool = False
    min_frames: int = 24
    raw: Format | None = None
    skip_broken: bool = False
    shots: Callable[[Path, Format | None], tuple[tuple[int, int], ...]] | None = None
    scenes: str | None = None


@dataclass
class Scan:
    """The result of a scan.

    Attributes:
        corpus: the corpus, checked.
        added: keys of the clips that are new in it.
        remarks: lines about everything that a person should know: what was left out, converted, gone or changed.
    """

    corpus: Spec
    added: tuple[str, ...] = ()
    remarks: list[str] = field(default_factory=list)


def scan(
    root: Path,
    name: str,
    *,
    license_: str = _UNKNOWN,
    description: str = "",
    base: Path | None = None,
    labels: Path | None = None,
    labels_source: str | None = None,
    mos_scale: tuple[float, float] | None = None,
    options: Options = Options(),
    existing: Spec | None = None,
    advance: Advance | None = None,
) -> Scan:
    """Decode every new video of a folder to its end and describe the folder as a corpus.

    Each file is one clip and one source. With `Options.cut`, each shot is one, and the file is the group. Files of the
    same bytes have the same source and group, so that no split has them on both sides.

    Args:
        root: the folder.
        name: name of the corpus.
        license_, description: texts for the corpus file.
        base: folder of the corpus file. The root is written relative to it if it is near.
        labels: CSV file with the columns key and mos, perhaps mos_std and n_ratings, or rows of ``vmaf-train labels``.
        labels_source: column of the labels that names the scene of a video; without it each file is a scene.
        mos_scale: lowest and highest score of the labels' scale; required with labels, unless `existing` has it.
        options: how videos become clips.
        existing: the corpus as an earlier scan or a person wrote it. All that it says stays as it is; videos that it does
            not have are added to it.
        advance: called with (files done, files in total).

    Raises:
        MissingFileError, InputError: the root, the labels or a video are wrong, two files get the same key, or `existing`
            describes another folder.
        IntegrityError: a video is damaged.
    """
    if not re.fullmatch(NAME_PATTERN.strip("^$"), name):
        raise InputError(
            f"{name!r} is not a name for a corpus: use lower-case letters, digits, hyphens and underscores"
        )
    if (reason := clean_name(str(root.resolve()))) is not None:
        raise InputError(f"the folder {str(root.resolve())!r} cannot be the root of a corpus: {reason}")
    opinions = read_opinions(labels, labels_source) if labels else []
    scale = common_scale(existing, mos_scale, labels)
    remarks: list[str] = []
    if existing is not None:
        remarks += check_same_folder(existing, name, root, base)
        if existing.dataset is not None and existing.dataset.scenes is not None:
            options = replace(options, scenes=existing.dataset.scenes)
    found = find_videos(root)
    work = _Work(root, options, existing.entries if existing else ())
    work.read(found, advance)
    entries = work.entries
    if not entries:
        reasons = "; ".join(work.left_out.values()) or "all shots are too short"
        raise InputError(f"there are no usable videos in {root}: {reasons}")
    remarks += [f"left out: {path}: {reason}" for path, reason in found.left_out.items()]
    remarks += found.remarks
    remarks += work.remarks
    if labels:
        entries, more = _label(entries, join(opinions, work.keys), work.keys)
        remarks += more
    keys: dict[str, Any] = {"license": license_, "description": description, "root": root_text(root, base)}
    if existing is not None:
        remarks += [
            f"kept: the {key} {getattr(existing, key)!r} of the corpus file, for which {value!r} was given"
            for key, value in (("license", license_), ("description", description))
            if value not in (_UNKNOWN, "", getattr(existing, key))
        ]
        kept = {"license", "description", "extras", "dataset", "max_clips", *({"root"} if existing.entries else ())}
        keys |= existing.model_dump(mode="json", include=kept)
    if existing is None or not existing.entries:
        entries.sort(key=lambda entry: str(entry["key"]))
    keys |= {} if scale is None else {"mos_scale": scale}
    corpus = cast("Spec", parse_corpus({"name": name, "kind": "folder", **keys, "entries": entries}))
    if corpus.dataset is not None and corpus.dataset.videos not in (None, len(work.keys)):
        remarks.append(f"{name} should have {corpus.dataset.videos} videos, but {len(work.keys)} are there")
    sources = len({entry.source for entry in corpus.entries})
    if sources < 2:
        remarks.append("there is one source only: a split by source needs two or more")
    return Scan(corpus, tuple(work.added), remarks)


def common_scale(
    existing: VideoCorpus | None, stated: tuple[float, float] | None, labels: Path | None
) -> tuple[float, float] | None:
    """Return the scale of the corpus's opinion scores.

    Raises:
        InputError: there are labels without a scale, or the corpus file has another one.
    """
    kept = existing.mos_scale if existing is not None else None
    if kept is not None and stated not in (None, kept):
        raise InputError(
            f"the corpus file has mos_scale {list(kept)}, but {list(stated or ())} is given: its scores would be on two "
            "scales; leave --mos-scale out, or correct the file"
        )
    if labels is not None and kept is None and stated is None:
        raise InputError(f"{labels} does not say which scale its scores are on: give it, for example --mos-scale 1,5")
    return kept or stated


def check_same_folder(existing: VideoCorpus, name: str, root: Path, base: Path | None) -> list[str]:
    """Refuse a folder that is not the one of the corpus file; one without entries gets its root now, and a remark.

    Raises:
        InputError: see above.
    """
    if existing.name != name:
        raise InputError(
            f"the corpus file that exists is called {existing.name!r}, not {name!r}: choose another --output, or "
            f"--name {existing.name}"
        )
    home = existing.home((base or Path()) / "corpus.yaml", Path())
    if home.resolve() != root.resolve():
        if not existing.entries:
            return [f"the root of {name} was {getattr(existing, 'root', '')}, and is {root_text(root, base)} now"]
        raise InputError(
            f"the corpus file that exists describes {home.resolve()}, not {root.resolve()}: choose another --output, or "
            "correct its root"
        )
    return []


class _Work:
    """Reads the files of a folder one by one.

    Attributes:
        entries: entries of the corpus, first those that exist, as JSON values.
        added: keys of new entries.
        keys: path of each file that has entries, by the key that its name gives.
        left_out: path → why a file has no entry.
        remarks: lines about files.
    """

    def __init__(self, root: Path, options: Options, existing: Sequence[Entry]) -> None:
        self._root = root
        self._options = options
        self.entries: list[dict[str, Any]] = [
            entry.model_dump(mode="json", exclude_none=True, exclude_defaults=True) for entry in existing
        ]
        self._by_path: dict[str, list[dict[str, Any]]] = {}
        for entry in self.entries:
            # A person may have written ./a.mkv.
            self._by_path.setdefault(PurePosixPath(entry["path"]).as_posix(), []).append(entry)
        self._taken = {entry["key"]: entry["path"] for entry in self.entries}
        self._by_hash: dict[str, dict[str, Any]] = {}
        for entry in self.entries:
            self._by_hash.setdefault(entry["sha256"], entry)
        self.keys: dict[str, str] = {}
        self.added: list[str] = []
        self.left_out: dict[str, str] = {}
        self.remarks: list[str] = []

    def read(self, found: Found, advance: Advance | None) -> None:
        """Read all files; those that have entries are only compared with their hashes."""
        present = {path.relative_to(self._root).as_posix() for path in (*found.videos, *found.recognised)}
        absent = {path: entries for path, entries in self._by_path.items() if path not in present}
        # What the scan itself leaves out, such as links, may have been added by hand.
        kept = [path for path in absent if (self._root / path).is_file()]
        gone = {path: entries for path, entries in absent.items() if path not in kept}
        for old in kept:
            self._compare(old, sha256_file(self._root / old))
        named, total = set(found.videos), len(present)
        for number, path in enumerate((*found.videos, *found.recognised), start=1):
            relative = path.relative_to(self._root).as_posix()
            try:
                digest = sha256_file(path)
            except (PyvmafError, OSError) as err:
                self._leave_out(relative, err, named=path in named)
                continue
            if relative in self._by_path:
                self._compare(relative, digest)
            elif moved := next((old for old, entries in gone.items() if entries[0]["sha256"] == digest), None):
                self._move(moved, relative, gone.pop(moved))
            else:
                self._add(relative, path, digest, named=path in named)
            if advance is not None:
                advance(number, total)
        for old, entries in gone.items():
            names = ", ".join(entry["key"] for entry in entries)
            self.remarks.append(f"gone: {old}: its entries stay ({names}): delete them, or put the file back")

    def _compare(self, path: str, digest: str) -> None:
        entries = self._by_path[path]
        self.keys[clip_key(path)] = path
        if pinned := next((entry["sha256"] for entry in entries if entry["sha256"] != digest), None):
            names = ", ".join(entry["key"] for entry in entries)
            self.remarks.append(
                f"changed: {path}: it has SHA-256 {digest}, but {pinned} is pinned: its entries stay ({names}): put the "
                "file back, or delete them and scan again"
            )

    def _move(self, old: str, new: str, entries: list[dict[str, Any]]) -> None:
        for entry in entries:
            entry["path"] = new
        self.keys[clip_key(new)] = new
        self.remarks.append(f"moved: {old} is now {new}: its entries keep their keys")

    def _add(self, relative: str, path: Path, digest: str, *, named: bool) -> None:
        """Add the clips of a file.

        Args:
            relative: its path below the root.
            path: the file.
            digest: its SHA-256.
            named: its name says that it is a video. A file that only begins like one is left out if it is none.
        """
        key = clip_key(relative)
        if key in self.keys:
            raise InputError(f"{self.keys[key]} and {relative} would both get the key {key!r}: rename one of them")
        raw = self._options.raw if path.suffix.lower() == ".yuv" else None
        video: Video | None = None
        try:
            video = inspect(path, raw)
            video.check(path)
            if self._options.cut and self._options.shots is not None:
                video = replace(video, shots=self._options.shots(path, raw))
        except (InputError, IntegrityError) as err:
            self._leave_out(relative, err, named=named, sound=video is not None)
            return
        self.keys[key] = relative
        self.remarks += [video.notice] if video.notice else []
        common = {"path": relative, "sha256": digest, **_facts(video, raw)}
        if "pix_fmt" in common:
            self.remarks.append(
                f"will be converted: {relative} from {video.format.pix_fmt} to {common['pix_fmt']}{_range(video)}"
            )
        self.remarks += [f"{relative} {remark}" for remark in video.remarks]
        for entry in self._clips(key, relative, video):
            if entry["key"] in self._taken:
                raise InputError(
                    f"{self._taken[entry['key']]} and {relative} would both get the key {entry['key']!r}: rename the file, "
                    "or give the entry that exists another key"
                )
            self._taken[entry["key"]] = relative
            self.entries.append({**entry, **common, **self._same_scene(relative, digest, entry)})
            self.added.append(entry["key"])
        self._by_hash.setdefault(digest, self.entries[-1] if self.entries else {})

    def _leave_out(self, relative: str, err: Exception, *, named: bool, sound: bool = False) -> None:
        """Leave a file out.

        Args:
            relative: its path below the root.
            err: the reason.
            named: its name says that it is a video. Without `Options.skip_broken` such a file stops the scan.
            sound: it can be read, but does not suit.

        Raises:
            InputError, IntegrityError: the scan stops.
        """
        reason = str(err) if isinstance(err, PyvmafError) else f"{relative} cannot be read: {err}"
        if named and not self._options.skip_broken:
            kind = type(err) if isinstance(err, InputError | IntegrityError) else InputError
            raise kind(f"{reason} (--skip-broken leaves such files out)") from err
        self.left_out[relative] = reason
        self.remarks.append(f"left out{'' if sound else ', broken'}: {relative}: {reason}")

    def _clips(self, key: str, relative: str, video: Video) -> list[dict[str, Any]]:
        """Keys, sources and frames of the clips of a file."""
        shots = video.shots if self._options.cut and len(video.shots) > 1 else ()
        if not shots:
            scene = self._scene(key, relative)
            return [{"key": key, "source": scene, "group": scene}]
        clips = []
        for index, (first, last) in enumerate(shots, start=1):
            if last - first + 1 < max(self._options.min_frames, _NO_SHORTER_THAN):
                self.remarks.append(f"left out, shorter than --min-frames: {relative} frames {first} to {last}")
                continue
            shot = f"{key}_{index}"
            clips.append({"key": shot, "source": shot, "group": key, "frames": [first, last]})
        return clips

    def _scene(self, key: str, relative: str) -> str:
        """Name the scene of a file by the part of its name that does, or by its key."""
        if self._options.scenes is None:
            return key
        name = PurePosixPath(relative).name
        match = re.search(self._options.scenes, name)
        if match is None or not match[1]:
            self.remarks.append(f"{relative} is not called as the dataset's scenes are: it is a scene of its own")
            return key
        return key_of(match[1])

    def _same_scene(self, relative: str, digest: str, entry: Mapping[str, Any]) -> dict[str, str]:
        """Source and group of a clip whose file has the bytes of another one."""
        twin = self._by_hash.get(digest)
        if twin is None or twin["path"] == relative:
            return {}
        same = [e for e in self.entries if e["path"] == twin["path"] and e.get("frames") == entry.get("frames")]
        scene = (same or [twin])[0]
        self.remarks.append(f"the same bytes: {relative} and {twin['path']}: both have the source {scene['source']}")
        return {"source": scene["source"], "group": scene["group"]}


def _label(
    entries: list[dict[str, Any]], joined: tuple[dict[str, Opinion], list[str]], videos: Mapping[str, str]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Add opinion scores to entries that have none; return them with remarks."""
    scores, unmatched = joined
    by_path = {videos[key]: opinion for key, opinion in scores.items()}
    remarks, labelled = [], []
    for entry in entries:
        opinion = by_path.get(entry["path"])
        if opinion is None:
            labelled.append(entry)
            continue
        if entry.get("mos", opinion.mos) == opinion.mos:
            entry = opinion.keys | entry
        if opinion.source is not None and entry["source"] == entry["group"] == entry["key"]:
            entry = entry | {"source": opinion.source, "group": opinion.source}
        labelled.append(entry)
        remarks += [
            f"kept: the {key} {entry[key]} of {entry['key']}, for which the file of labels has {value}"
            for key, value in opinion.keys.items()
            if entry.get(key, value) != value
        ]
    if unmatched:
        remarks.append(f"labels without video: {', '.join(sorted(unmatched))}")
    if without := sorted({str(entry["key"]) for entry in labelled if "mos" not in entry}):
        remarks.append(f"videos without label: {', '.join(without)}")
    return labelled, remarks


def _facts(video: Video, raw: Format | None) -> dict[str, Any]:
    """Return the keys that describe the pictures of a file."""
    form = video.format
    facts: dict[str, Any] = {}
    if not form.plain:
        facts["pix_fmt"] = _nearest_plain(form)
    if raw is not None:
        facts["raw"] = {"size": raw.size, "pix_fmt": raw.pix_fmt, "fps": raw.fps}
    if video.stream is not None:
        facts["stream"] = video.stream
    facts["probe"] = {
        "width": form.width,
        "height": form.height,
        "pix_fmt": form.pix_fmt,
        "fps": form.fps,
        "frames": video.frames,
    }
    return facts


def _range(video: Video) -> str:
    """Return what a conversion does to the colours."""
    if video.format.chroma == "rgb":
        return ", and to limited range and BT.709"
    return ", and from full to limited range" if video.colour.range == "pc" else ""


def _nearest_plain(form: Format) -> str:
    """Return the format of 8 or 10 bits that loses least."""
    chroma = {"422": "422", "444": "444", "rgb": "444"}.get(form.chroma, "420")
    return f"yuv{chroma}p{'10le' if form.bit_depth > 8 else ''}"


def root_text(root: Path, base: Path | None) -> str:
    """Return the root as the corpus file has it.

    A folder of a dataset is named by the variable (`pyvmaf.base.roots`), another one relative to the corpus file, unless the
    path has more than two ``..``.
    """
    if (named := movable(root) or movable(root.resolve())) is not None:
        return named
    full = root.resolve()
    if base is not None:
        text = Path(os.path.relpath(full, base.resolve())).as_posix()
        if text.count("../") <= 2:
            return text
    return full.as_posix()
