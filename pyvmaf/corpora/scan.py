"""Description of a folder of videos as a corpus file."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyvmaf.base.files import sha256_file, write_text
from pyvmaf.corpora.folder import Spec
from pyvmaf.corpora.spec import KEY_PATTERN
from pyvmaf.errors import InputError, IntegrityError, MissingFileError
from pyvmaf.video.ffmpeg import Advance
from pyvmaf.video.format import Format
from pyvmaf.video.probe import Video, inspect

SUFFIXES = (
    *(".mp4", ".mkv", ".webm", ".mov", ".m4v", ".avi", ".mpg", ".mpeg", ".ts", ".flv", ".ogv", ".y4m", ".yuv"),
    *(".264", ".h264", ".265", ".h265", ".hevc", ".ivf"),
)
"""Suffixes of files that are read as videos."""

_NO_SHORTER_THAN = 2


@dataclass(frozen=True)
class Scan:
    """The result of a scan.

    Attributes:
        corpus: the corpus, checked.
        skipped: file → why it was left out.
        short_shots: shots that are too short for a clip, as "file frames A to B".
        converted: file → "format to format", if its pixel format has to be converted.
        unmatched_labels: keys of the label file for which there is no video.
        unlabelled: keys of videos that the label file does not have.
    """

    corpus: Spec
    skipped: dict[str, str]
    short_shots: tuple[str, ...]
    converted: dict[str, str]
    unmatched_labels: tuple[str, ...]
    unlabelled: tuple[str, ...]


def clip_key(path: str) -> str:
    """Return the key of a clip: its relative path without suffix in lower case, with "_" for other characters.

    Raises:
        InputError: the path does not have a letter or a digit.
    """
    stem = re.sub(r"\.[A-Za-z0-9]{1,5}$", "", path)
    key = re.sub(r"[^a-z0-9]+", "_", stem.lower()).strip("_")
    if not key:
        raise InputError(f"{path!r} does not give a key, because it has no letter or digit: rename it")
    return key[:100]


def find_videos(root: Path) -> list[Path]:
    """Find the videos below a folder, sorted by path. Hidden files and folders are left out; links are followed.

    Raises:
        MissingFileError: there is no such folder.
        InputError: there are no videos in it.
    """
    if not root.is_dir():
        raise MissingFileError(f"no such folder: {root}")
    videos = [
        path
        for path in sorted(root.rglob("*"))
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    ]
    if not videos:
        raise InputError(f"there are no videos in {root}: their suffixes are {', '.join(SUFFIXES)}")
    return videos


def read_labels(path: Path) -> dict[str, float]:
    """Read the mean opinion scores of a CSV file with the columns ``key`` and ``mos``, by clip key.

    Raises:
        MissingFileError: there is no such file.
        InputError: a column is missing, a score is not a finite number, or a key has two scores.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            columns = reader.fieldnames or []
            if not {"key", "mos"} <= set(columns):
                raise InputError(f"{path} must have the columns key and mos, but has {', '.join(columns) or 'none'}")
            labels: dict[str, float] = {}
            for row in reader:
                line, key = reader.line_num, clip_key(row["key"] or "")
                try:
                    mos = float(row["mos"])
                except (TypeError, ValueError) as err:
                    raise InputError(
                        f"{path} line {line}: mos {row['mos']!r} of {row['key']!r} is not a number"
                    ) from err
                if mos != mos or abs(mos) == float("inf"):
                    raise InputError(f"{path} line {line}: mos of {row['key']!r} is {mos}: leave the line out")
                if labels.setdefault(key, mos) != mos:
                    raise InputError(f"{path} line {line}: {row['key']!r} has two scores, {labels[key]} and {mos}")
            return labels
    except FileNotFoundError as err:
        raise MissingFileError(f"no such file: {path}") from err
    except (UnicodeDecodeError, csv.Error) as err:
        raise InputError(f"{path} is not a CSV file: {err}") from err


def scan(
    root: Path,
    name: str,
    *,
    license_: str = "unknown",
    description: str = "",
    base: Path | None = None,
    cut: bool = False,
    min_frames: int = 24,
    labels: Path | None = None,
    raw: Format | None = None,
    skip_broken: bool = False,
    advance: Advance | None = None,
    say: Callable[[str], None] = lambda _line: None,
) -> Scan:
    """Decode every video of a folder to its end and describe the folder as a corpus.

    Each file is one clip and one source. With `cut`, each shot is one, and the file is the group.

    Args:
        root: the folder.
        name: name of the corpus.
        license_, description: texts for the corpus file.
        base: folder of the corpus file. The root is written relative to it if it is near.
        cut: split files at their hard cuts.
        min_frames: number of frames of the shortest shot that becomes a clip (with `cut`).
        labels: CSV file with the columns key and mos.
        raw: format of headerless files.
        skip_broken: leave out broken files instead of failing.
        advance: called with (files done, files in total).
        say: called with a line about each file that is left out.

    Raises:
        MissingFileError, InputError: the root, the labels or a video are wrong, or two files get the same key.
        IntegrityError: a video is damaged.
    """
    if not re.fullmatch(KEY_PATTERN.strip("^$"), name):
        raise InputError(f"{name!r} is not a name for a corpus: use lower-case letters, digits and underscores")
    scores = read_labels(labels) if labels else {}
    paths = find_videos(root)
    entries: list[dict[str, Any]] = []
    origins: dict[str, str] = {}
    skipped: dict[str, str] = {}
    converted: dict[str, str] = {}
    short: list[str] = []
    for number, path in enumerate(paths):
        relative = path.relative_to(root).as_posix()
        key = clip_key(relative)
        if key in origins:
            raise InputError(f"{origins[key]} and {relative} would both get the key {key!r}: rename one of them")
        origins[key] = relative
        try:
            video = inspect(path, raw if path.suffix.lower() == ".yuv" else None)
        except (InputError, IntegrityError) as err:
            if not skip_broken:
                raise type(err)(f"{err} (--skip-broken leaves such files out)") from err
            skipped[relative] = str(err)
            say(f"left out: {err}")
            continue
        if advance is not None:
            advance(number + 1, len(paths))
        common = _common(relative, path, video, raw, scores.get(key))
        if "pix_fmt" in common:
            converted[relative] = f"{video.format.pix_fmt} to {common['pix_fmt']}"
        shots = video.shots if cut and len(video.shots) > 1 else ()
        for index, (first, last) in enumerate(shots, start=1):
            if last - first + 1 < max(min_frames, _NO_SHORTER_THAN):
                short.append(f"{relative} frames {first} to {last}")
                continue
            shot = f"{key}_{index}"
            entries.append({"key": shot, **common, "source": shot, "group": key, "frames": [first, last]})
        if not shots:
            entries.append({"key": key, **common, "source": key, "group": key})
    if not entries:
        raise InputError(
            f"there are no usable videos in {root}: {'; '.join(skipped.values()) or 'all shots are too short'}"
        )
    corpus = Spec.model_validate(
        {
            "name": name,
            "kind": "folder",
            "license": license_,
            "description": description,
            "root": _root_text(root, base),
            "entries": sorted(entries, key=lambda entry: str(entry["key"])),
        }
    )
    return Scan(
        corpus,
        skipped,
        tuple(short),
        converted,
        tuple(sorted(set(scores) - set(origins))),
        tuple(sorted(set(origins) - set(scores))) if labels else (),
    )


def _common(path: str, file: Path, video: Video, raw: Format | None, mos: float | None) -> dict[str, Any]:
    """Return the keys that all clips of a file share."""
    form = video.format
    entry: dict[str, Any] = {"path": path, "sha256": sha256_file(file)}
    if not form.plain:
        entry["pix_fmt"] = _nearest_plain(form)
    if mos is not None:
        entry["mos"] = mos
    if file.suffix.lower() == ".yuv" and raw is not None:
        entry["raw"] = {"size": raw.size, "pix_fmt": raw.pix_fmt, "fps": raw.fps}
    entry["probe"] = {
        "width": form.width,
        "height": form.height,
        "pix_fmt": form.pix_fmt,
        "fps": form.fps,
        "frames": video.frames,
    }
    return entry


def _nearest_plain(form: Format) -> str:
    """Return the format of 8 or 10 bits that loses least."""
    chroma = {"422": "422", "444": "444", "rgb": "444"}.get(form.chroma, "420")
    return f"yuv{chroma}p{'10le' if form.bit_depth > 8 else ''}"


def _root_text(root: Path, base: Path | None) -> str:
    """Return the root as the corpus file has it: relative to that file, unless the path has more than two ``..``."""
    full = root.resolve()
    if base is not None:
        text = Path(os.path.relpath(full, base.resolve())).as_posix()
        if text.count("../") <= 2:
            return text
    return full.as_posix()


_KEY_ORDER = ("key", "path", "sha256", "source", "group", "frames", "crop", "scale", "pix_fmt", "mos", "raw", "probe")


def to_yaml(corpus: Spec) -> str:
    """Return the text of a corpus file."""
    import yaml

    value = corpus.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    head = {key: value[key] for key in ("name", "kind", "license", "description", "root") if key in value}
    lines = ["# Written by vmaf-train manifest-scan; edit it as you like, and keep the hashes."]
    lines += yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=1000).splitlines()
    lines.append("entries:")
    for entry in value["entries"]:
        for index, key in enumerate(key for key in _KEY_ORDER if key in entry):
            text = yaml.safe_dump(entry[key], default_flow_style=True, sort_keys=False, allow_unicode=True, width=1000)
            lines.append(f"  {'-' if index == 0 else ' '} {key}: {text.splitlines()[0]}")
    return "\n".join(lines) + "\n"


def write_corpus(corpus: Spec, path: Path) -> None:
    """Write the corpus file atomically."""
    write_text(path, to_yaml(corpus))


def summary(result: Scan) -> Sequence[str]:
    """Return the lines of a summary for a person."""
    corpus = result.corpus
    sources = len({entry.source for entry in corpus.entries})
    lines = [f"{len(corpus.entries)} clips of {sources} sources"]
    lines += [f"left out, broken: {path}: {reason}" for path, reason in result.skipped.items()]
    lines += [f"left out, shorter than --min-frames: {shot}" for shot in result.short_shots]
    lines += [f"will be converted: {path} from {formats}" for path, formats in result.converted.items()]
    if result.unmatched_labels:
        lines.append(f"labels without video: {', '.join(result.unmatched_labels)}")
    if result.unlabelled:
        lines.append(f"videos without label: {', '.join(result.unlabelled)}")
    if sources < 2:
        lines.append("there is one source only: a split by source needs two or more")
    return lines
