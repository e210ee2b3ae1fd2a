"""Facts about a reference clip for later stages, which depend on nothing else of this stage."""

from __future__ import annotations

from pathlib import Path

from pyvmaf.base.files import sha256_file
from pyvmaf.base.manifest import read_manifest
from pyvmaf.errors import IntegrityError, MissingFileError
from pyvmaf.video.ffmpeg import Advance
from pyvmaf.video.probe import Video, inspect


def clip_video(path: Path, advance: Advance | None = None) -> tuple[Video, str]:
    """Return the facts about a reference clip, and its SHA-256.

    They come from the manifest of the clip if that has this SHA-256, otherwise from decoding the clip.

    Args:
        path: the clip.
        advance: called as frames are decoded.

    Raises:
        MissingFileError, InputError, IntegrityError: as `pyvmaf.video.probe.inspect`.
    """
    sha256 = sha256_file(path)
    try:
        manifest = read_manifest(path)
        if manifest["outputs"]["clip"]["sha256"] == sha256:
            return Video.from_dict(manifest["details"]["video"]), sha256
    except (MissingFileError, IntegrityError, KeyError, TypeError):
        # The clip was not made by this project.
        pass
    return inspect(path, advance=advance), sha256
