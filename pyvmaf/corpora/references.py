"""References of pairs that exist, collected where they lie."""

from __future__ import annotations

from collections.abc import Sequence, Set
from pathlib import Path

from pyvmaf.base.files import confined
from pyvmaf.corpora.manifest import CorpusClip, RawFacts, VideoFacts
from pyvmaf.corpora.pinned import check_file
from pyvmaf.corpora.skipped import is_of_file, portable
from pyvmaf.corpora.spec import Entry
from pyvmaf.errors import PyvmafError
from pyvmaf.video.probe import inspect


def collect_references(
    entries: Sequence[Entry], root: Path, *, skip: bool, fields: Set[str] = frozenset()
) -> tuple[dict[str, Path], dict[str, CorpusClip], dict[str, str]]:
    """Decode the references of a corpus of pairs to their ends and describe them.

    Args:
        entries: the references.
        root: the folder that their paths start from.
        skip: whether references that cannot be read are skipped.
        fields: keys of references whose fields are made into frames before they are compared, or taken for pictures.

    Returns:
        The files and the descriptions by key, and of the references that cannot be read, if such are skipped, the reason.

    Raises:
        MissingFileError, InputError, IntegrityError: a reference is missing, is not the pinned file, or cannot be read,
            and such files are not skipped.
    """
    files: dict[str, Path] = {}
    clips: dict[str, CorpusClip] = {}
    failed: dict[str, str] = {}
    for entry in entries:
        path = confined(root, entry.path)
        try:
            clips[entry.key] = _clip(entry, path, interlaced=entry.key in fields)
            files[entry.key] = path
        except PyvmafError as err:
            if not skip or not is_of_file(err):
                raise
            failed[entry.key] = portable(str(err), root)
    return files, clips, failed


def _clip(entry: Entry, path: Path, *, interlaced: bool) -> CorpusClip:
    check_file(path, entry.sha256)
    video = inspect(path, entry.raw.format() if entry.raw else None, stream=entry.stream)
    if not interlaced:
        video.check(path)
    return CorpusClip(
        path=entry.path,
        sha256=entry.sha256,
        source=entry.source,
        group=entry.group,
        mos=entry.mos,
        source_path=entry.path,
        source_sha256=entry.sha256,
        source_frames=None,
        crop=None,
        scale=None,
        own_bytes=True,
        in_place=True,
        raw=None if entry.raw is None else RawFacts(**entry.raw.model_dump()),
        stream=entry.stream,
        video=VideoFacts(**video.as_dict()),
    )
