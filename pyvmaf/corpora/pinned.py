"""Checks of files whose bytes are pinned by a SHA-256."""

from __future__ import annotations

from pathlib import Path

from pyvmaf.base.files import sha256_file
from pyvmaf.errors import IntegrityError


def check_file(path: Path, sha256: str) -> None:
    """Check that a file has the pinned bytes.

    Raises:
        MissingFileError: there is no such file.
        IntegrityError: its SHA-256 differs; the message quotes both.
    """
    digest = sha256_file(path)
    if digest != sha256:
        raise IntegrityError(
            f"{path} has SHA-256 {digest}, but {sha256} is pinned: it is damaged or another version of the file"
        )
