"""The videos in a folder: those that are taken, and everything that is left out with its reason."""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pyvmaf.errors import InputError, MissingFileError

SUFFIXES = (
    *(".mp4", ".mkv", ".webm", ".mov", ".m4v", ".avi", ".mpg", ".mpeg", ".ts", ".flv", ".ogv", ".y4m", ".yuv"),
    *(".264", ".h264", ".265", ".h265", ".266", ".h266", ".hevc", ".vvc", ".ivf", ".obu"),
    *(".m2ts", ".mts", ".m2t", ".mxf", ".m1v", ".m2v", ".mpv", ".mpe", ".vob", ".wmv", ".asf", ".3gp", ".3g2", ".f4v"),
    *(".mk3d", ".nut", ".divx", ".ogm", ".dv", ".qt", ".gxf", ".rm", ".rmvb", ".wtv"),
)
"""Suffixes of files that are read as videos."""

# How files of videos begin, whatever they are called. Scripts and lists of files are not among them.
_BEGINNINGS = re.compile(
    rb"\x1a\x45\xdf\xa3"  # Matroska, WebM
    rb"|....ftyp(?!avif|avis|heic|heix|mif1|msf1|M4A |M4B )|....(?:moov|mdat|wide)"  # MP4, MOV; no stills, no music
    rb"|RIFF....AVI |FLV\x01|DKIF\x00\x00|YUV4MPEG2 |nut/multimedia|\.RMF"
    rb"|OggS.{22}.{1,255}?(?:\x80theora|BBCD|OVP80|\x01video)"
    rb"|\x00\x00\x01[\xba\xb3]"  # MPEG programme and video streams
    rb"|\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02"  # MXF
    rb"|\x30\x26\xb2\x75\x8e\x66\xcf\x11"  # ASF, WMV
    rb"|\x47.{187}\x47.{187}\x47|.{4}\x47.{191}\x47.{191}\x47",  # transport streams, with and without time codes
    re.DOTALL,
)
_BEGINNING = 600

_MOST_NAMES = 3


def is_video_name(name: str) -> bool:
    """Return whether a name has the suffix of a video."""
    return Path(name).suffix.lower() in SUFFIXES


def begins_as_video(data: bytes) -> bool:
    """Return whether a file begins as videos do; those without a header do not."""
    return _BEGINNINGS.match(data[:_BEGINNING]) is not None


@dataclass
class Found:
    """The content of a folder.

    Attributes:
        videos: files with a suffix of `SUFFIXES`, sorted by path.
        recognised: files of other names that begin as videos do, sorted by path.
        left_out: path below the folder → why it is left out: hidden, a link, no permission, a name that cannot be kept.
        others: number of further files by suffix, which neither by name nor by content are videos.
    """

    videos: list[Path] = field(default_factory=list)
    recognised: list[Path] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    others: Counter[str] = field(default_factory=Counter)

    @property
    def remarks(self) -> list[str]:
        """Lines about the files that are no videos."""
        if not self.others:
            return []
        counts = sorted(self.others.items(), key=lambda item: (-item[1], item[0]))
        kinds = ", ".join(f"{count} {suffix or 'without suffix'}" for suffix, count in counts)
        return [f"left out, not videos by name or content: {kinds}"]


def find_videos(root: Path) -> Found:
    """Find the videos below a folder. Links and hidden files are left out and listed.

    Raises:
        MissingFileError: there is no such folder.
        InputError: there are no videos in it.
    """
    if not root.is_dir():
        raise MissingFileError(f"no such folder: {root}")
    found = Found()
    for path in sorted(_files(root, root, found)):
        if path.suffix.lower() in SUFFIXES:
            found.videos.append(path)
        elif _begins_as_video(path, found, root):
            found.recognised.append(path)
        elif path.relative_to(root).as_posix() not in found.left_out:
            found.others[path.suffix.lower()] += 1
    if not found.videos and not found.recognised:
        reasons = [f"{path}: {reason}" for path, reason in found.left_out.items()][:_MOST_NAMES]
        why = f" (left out: {'; '.join(reasons)})" if reasons else ""
        raise InputError(f"there are no videos in {root}: their suffixes are {', '.join(SUFFIXES)}{why}")
    return found


def clean_name(path: str) -> str | None:
    """Say why the path of a video cannot stand in a corpus file or a workflow; None if it can."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8: rename it"
    if re.search(r"\{\s*\w", path):
        return "its name has {…}, which a workflow takes for a wildcard: rename it"
    return None


def _files(folder: Path, root: Path, found: Found) -> Iterator[Path]:
    """Iterate over the regular files below a folder; what is left out is added to `found`."""
    try:
        entries = list(os.scandir(folder))
    except OSError as err:
        found.left_out[_shown(folder, root)] = f"it cannot be read: {err.strerror}"
        return
    for entry in entries:
        path = folder / entry.name
        reason = _reason(entry, root)
        if reason is not None:
            found.left_out[_shown(path, root)] = reason
        elif entry.is_dir(follow_symlinks=False):
            yield from _files(path, root, found)
        else:
            yield path


def _reason(entry: os.DirEntry[str], root: Path) -> str | None:
    """Say why a file or folder is left out; None if it is not."""
    if entry.name.startswith("."):
        return "it is hidden"
    if entry.is_symlink():
        return f"it is a link to {os.readlink(entry.path)}: scan that folder, or copy the file"
    if entry.is_dir():
        return None
    try:
        mode = entry.stat().st_mode
    except OSError as err:
        return f"it cannot be read: {err.strerror}"
    if not stat.S_ISREG(mode):
        return "it is a pipe or a device, not a file"
    return clean_name(Path(entry.path).relative_to(root).as_posix())


def _begins_as_video(path: Path, found: Found, root: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return _BEGINNINGS.match(stream.read(_BEGINNING)) is not None
    except OSError as err:
        found.left_out[_shown(path, root)] = f"it cannot be read: {err.strerror}"
        return False


def _shown(path: Path, root: Path) -> str:
    """A path below the root as it is printed: on one line, and without characters that cannot be."""
    text = path.relative_to(root).as_posix()
    return text if text.isprintable() else ascii(text)[1:-1]
