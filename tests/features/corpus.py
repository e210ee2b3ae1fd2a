"""Corpus manifests for tests of this stage."""

from __future__ import annotations

from pathlib import Path

from pyvmaf.base.files import sha256_file
from pyvmaf.corpora.manifest import CorpusClip, CorpusManifest, VideoFacts
from pyvmaf.video.probe import inspect


def corpus_file(folder: Path, clips: dict[str, tuple[Path, str, str]], name: str = "made") -> Path:
    """Write a corpus manifest beside links to clips: key → file, source, group."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = {}
    for key, (path, source, group) in clips.items():
        (folder / f"{key}.mkv").symlink_to(path)
        entries[key] = CorpusClip(
            path=f"somewhere/{key}.mkv",
            sha256=sha256_file(path),
            source=source,
            group=group,
            mos=None,
            source_path=path.name,
            source_sha256=sha256_file(path),
            source_frames=None,
            crop=None,
            scale=None,
            own_bytes=True,
            video=VideoFacts(**inspect(path).as_dict()),
        )
    target = folder / "corpus.json"
    CorpusManifest(name=name, license="none", description="", sources=sorted(clips), groups={}, clips=entries).write(
        target
    )
    return target
