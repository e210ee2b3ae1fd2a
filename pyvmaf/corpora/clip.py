"""What later stages ask about a reference clip; apart from the rest, so that they depend on nothing more."""

from __future__ import annotations

from pathlib import Path

from pyvmaf.base.files import sha256_file
from pyvmaf.base.manifest import read_manifest
from pyvmaf.errors import IntegrityError, MissingFileError
from pyvmaf.video.probe import Video, inspect


def clip_video(path: Path) -> tuple[Video, str]:
    """What a reference clip is, and its SHA-256: from its manifest where that is about these very bytes.

    Raises:
        MissingFileError, InputError, IntegrityError: as `probe.inspect`.
    """
    sha256 = sha256_file(path)
    try:
        manifest = read_manifest(path)
        if manifest["outputs"]["clip"]["sha256"] == sha256:
            return Video.from_dict(manifest["details"]["video"]), sha256
    except (MissingFileError, IntegrityError, KeyError, TypeError):
        # No manifest of ours: the file itself is asked.
        pass
    return inspect(path), sha256
