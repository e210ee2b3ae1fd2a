"""Space on the disk, looked at before it is filled."""

from __future__ import annotations

import shutil
from pathlib import Path

from pyvmaf.errors import InputError

_GIGABYTE = 1e9


def check_space(folder: Path, needed: int, what: str) -> None:
    """Refuse work for which the disk does not have the space.

    Args:
        folder: a folder on the disk, which need not exist yet.
        needed: bytes.
        what: what needs them, for the message.

    Raises:
        InputError: fewer bytes are free.
    """
    present = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(present).free
    if free < needed:
        raise InputError(
            f"{what} needs up to {needed} bytes ({needed / _GIGABYTE:.1f} GB), but {free} ({free / _GIGABYTE:.1f} GB) are free "
            f"in {present}: free some, or set VMAF_DATA_ROOT to a folder of another disk; nothing was fetched"
        )
