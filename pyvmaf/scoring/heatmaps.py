"""Heat maps of banding: where CAMBI finds it in each frame, as libvmaf writes them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from pyvmaf.base.outputs import check_output
from pyvmaf.engines.libvmaf.context import Context
from pyvmaf.errors import InputError
from pyvmaf.features.ladder import aligned, open_pair
from pyvmaf.features.options import AS_CODED, Reading
from pyvmaf.video.piped import is_piped

BLOCK = 256
"""Frames that one context of libvmaf sees, so that memory does not grow with the video."""


def write_heatmaps(
    reference: str | os.PathLike[str],
    distorted: str | os.PathLike[str],
    folder: Path,
    reading: Reading = AS_CODED,
    advance: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write CAMBI's heat maps of the frames of a distorted video that are compared with a reference.

    A file per scale holds those of all frames, one after another: samples of 16 bits, little-endian, as many rows and columns as
    its name says (``cambi_heatmap_scale_0_1280x720_16b.gray``). The video is decoded once more.

    Args:
        reference, distorted: the videos, read as a score reads them.
        folder: is made if it does not exist; files of these names in it are replaced.
        reading: how the videos are read.
        advance: called with (frames done, total or 0).

    Returns:
        The files.

    Raises:
        InputError: a video is a pipe, the frames are too small for CAMBI, or the folder cannot be written.
    """
    for video in (reference, distorted):
        if is_piped(video):
            raise InputError(f"{video} is a pipe, which cannot be read again for heat maps: save it to a file first")
    first, others, _ = open_pair(reference, {"distorted": distorted}, reading)
    _, others, _ = aligned(first, others, reading)
    source, form = others["distorted"], others["distorted"].format
    check_output(folder / "file", [Path(reference), Path(distorted)], None)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".heatmaps-") as name:
        parts: list[Path] = []
        context: Context | None = None
        done = 0
        for index, planes in enumerate(source.planes(luma=True)):
            if index not in reading.window:
                if reading.window.stop is not None and index >= reading.window.stop:
                    break
                continue
            if context is None:
                parts.append(Path(name, f"{len(parts):06}"))
                parts[-1].mkdir()
                context = Context(form.width, form.height, "400", form.bit_depth)
                context.use_feature("cambi", {"heatmaps_path": str(parts[-1])})
            context.read(planes[:1], planes[:1], done % BLOCK)
            done += 1
            if advance is not None:
                advance(done, source.stated_frames or 0)
            if not done % BLOCK:
                _finish(context)
                context = None
        if context is not None:
            _finish(context)
        return _joined(parts, folder)


def _finish(context: Context) -> None:
    context.flush()
    context.close()


def _joined(parts: list[Path], folder: Path) -> list[Path]:
    """Put the files of all parts one after another, and give them their names."""
    if not parts:
        return []
    made = []
    for file in sorted(parts[0].iterdir()):
        for part in parts[1:]:
            with open(file, "ab") as whole, open(part / file.name, "rb") as more:
                shutil.copyfileobj(more, whole)
        made.append(folder / file.name)
        os.replace(file, made[-1])
    return made
