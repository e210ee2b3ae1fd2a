"""The distortion ``identity``: the clip itself, for features that need no reference.

Features of one video (CAMBI, motion, SpEED) are measured on pairs like all others; where nothing distorts a video, both
sides of the pair are the same file. VMAF, ADM, VIF, SSIM and PSNR of such a pair are constants.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pyvmaf.encodes.distortion import Made, Reference, refuse
from pyvmaf.errors import InputError

if TYPE_CHECKING:
    from pyvmaf.video.ffmpeg import Advance, FFmpeg
    from pyvmaf.video.format import Format

_AT_A_TIME = 1 << 28


@dataclass(frozen=True)
class IdentityRung:
    """The only rung of an identity ladder."""

    kind: ClassVar[str] = "identity"
    name: ClassVar[str] = "identity"
    strength: ClassVar[float] = 0.0

    @property
    def settings(self) -> dict[str, Any]:
        """There are no settings."""
        return {}

    @property
    def identity(self) -> dict[str, str]:
        """Nothing: no table row decides the bytes."""
        return {}

    def options(self) -> list[str]:
        """The settings as options of ``vmaf-train encode``."""
        return ["--distortion", self.kind]

    def pix_fmt(self, form: Format, where: str) -> str:
        """Return the pixel format of the clip."""
        return form.pix_fmt

    def make(self, reference: Reference, output: Path, *, tool: FFmpeg, threads: int, advance: Advance | None) -> Made:
        """Write a file with the bytes of the reference.

        Not a link: Snakemake renews the time of every output, which would make the reference newer than what was made
        of it, and a tree with symbolic links is no copy of a run. The copy shares its blocks with the reference on file
        systems that can (btrfs, XFS).

        Raises:
            InputError: the reference is not a Matroska file.
        """
        if reference.path.suffix.lower() != ".mkv":
            raise InputError(
                f"{reference.path} is not a Matroska file (.mkv), but its identity encode would be called so: prepare "
                "it first, which keeps every sample"
            )
        started = time.perf_counter()
        _copy(reference.path, output)
        if advance is not None:
            advance(reference.video.frames, reference.video.frames)
        return Made(reference.video.format.pix_fmt, [], time.perf_counter() - started, {"extra_params": []})


def _copy(source: Path, target: Path) -> None:
    """Copy a file, without a second copy of its blocks where the file system can share them."""
    try:
        with open(source, "rb") as read, open(target, "wb") as written:
            while os.copy_file_range(read.fileno(), written.fileno(), _AT_A_TIME):
                pass
    except (AttributeError, OSError):
        # Not Linux, another file system, or a full disk: the plain copy says which.
        shutil.copyfile(source, target)


def ladder(name: str, keys: Mapping[str, Any]) -> list[IdentityRung]:
    """Return the rungs of a ladder of the configuration: the clip itself.

    Raises:
        InputError: a key has a value.
    """
    where = f"ladder {name!r} of the configuration"
    refuse(where, keys, ("encoder", "presets", "crfs", "bit_depth", "extra", "recipes", "strengths", "settings"))
    return [IdentityRung()]


def rung(strength: float | None, settings: Mapping[str, str]) -> IdentityRung:
    """Return the rung from options of the command line.

    Args:
        strength: None or 0.
        settings: none.

    Raises:
        InputError: there is a setting or another strength.
    """
    for setting in settings:
        raise InputError(f"the distortion identity takes no settings, but {setting!r} is given: leave it out")
    if strength:
        raise InputError(
            f"the strength is {strength:g}, but identity changes nothing, which is strength 0: leave it out"
        )
    return IdentityRung()
