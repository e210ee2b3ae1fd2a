"""The manifest of a whole prepared corpus: every clip with hashes, format and labels in one file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from pyvmaf.base.files import relative, sha256_file, write_json
from pyvmaf.base.manifest import read_manifest, write_manifest
from pyvmaf.corpora.prepare import clip_paths
from pyvmaf.corpora.spec import Corpus
from pyvmaf.errors import IntegrityError


def collect(corpus: Corpus, folder: Path, output: Path) -> dict[str, Any]:
    """Gather the prepared clips of a corpus into one JSON file, with a manifest.

    Args:
        corpus: the corpus.
        folder: where its clips lie.
        output: the file to write.

    Returns:
        What was written.

    Raises:
        MissingFileError: a clip or its manifest is missing.
        IntegrityError: a clip is not the one that its manifest speaks of.
    """
    paths = clip_paths(corpus, folder)
    clips: dict[str, Any] = {}
    for key, path in paths.items():
        entry = corpus.entry(key)
        body = read_manifest(path)
        sha256, noted = sha256_file(path), body["outputs"]["clip"]["sha256"]
        if sha256 != noted:
            raise IntegrityError(f"{path} has SHA-256 {sha256}, but its manifest says {noted}: prepare it again")
        details = body["details"]
        clips[key] = {
            "path": relative(path),
            "sha256": sha256,
            "source": entry.source,
            "group": entry.group,
            "mos": entry.mos,
            "source_path": entry.path,
            "source_sha256": entry.sha256,
            "source_frames": list(entry.frames) if entry.frames else None,
            "crop": details["crop"],
            "scale": details["scale"],
            "own_bytes": details["own_bytes"],
            "video": details["video"],
        }
    content = {
        "schema_version": 1,
        "name": corpus.name,
        "license": corpus.license,
        "description": corpus.description,
        "sources": sorted({entry.source for entry in corpus.entries}),
        "groups": dict(sorted(Counter(entry.group for entry in corpus.entries).items())),
        "clips": clips,
    }
    write_json(output, content)
    write_manifest(
        output,
        verb="manifest",
        args={"corpus": corpus.name},
        inputs={"clips": list(paths.values())},
        outputs={"manifest": output},
    )
    return content
