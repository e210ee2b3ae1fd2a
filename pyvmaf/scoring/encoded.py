"""CAMBI at the size and depth of the encode, of videos that were scaled after decoding."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyvmaf.engines.libvmaf.models import ModelName, model_info
from pyvmaf.video.format import parse_size
from pyvmaf.video.piped import is_piped
from pyvmaf.video.reader import Reader

if TYPE_CHECKING:
    from pyvmaf.features.options import Reading
    from pyvmaf.scoring.scores import Scores

# The least that libvmaf takes for them.
_LEAST = (180, 150)
_DEPTHS = (8, 10)


def filled(
    teachers: Iterable[ModelName],
    reading: Reading,
    reference: str | os.PathLike[str],
    videos: Iterable[str | os.PathLike[str]],
) -> dict[str, str]:
    """Return the names of models with the size and depth of the encode for CAMBI, by the names without.

    Nothing is filled in for models without CAMBI or with such options of their own, for videos whose pictures are those of the
    encode or were cropped, padded or piped, and for several videos that differ.

    Args:
        teachers: models of libvmaf.
        reading: how the videos are read.
        reference: the reference.
        videos: the distorted videos.
    """
    changed = reading.scale or reading.display
    named = [name for name in teachers if _reads_encode(name)]
    if not named or not changed or reading.crop or reading.pad or is_piped(reference) or any(map(is_piped, videos)):
        return {}
    ours = _facts(reference, reading)
    facts = {_facts(video, reading) for video in videos}
    if len(facts) != 1:
        return {}
    ((width, height, bits),) = facts
    wide, high, depth = _measured(ours, (width, height, bits), reading)
    options = []
    if (
        (width < wide or height < high)
        and width <= wide
        and height <= high
        and width >= _LEAST[0]
        and height >= _LEAST[1]
    ):
        options += [f"cambi.enc_width={width}", f"cambi.enc_height={height}"]
    if options and bits < depth and bits in _DEPTHS:
        options += [f"cambi.enc_bitdepth={bits}"]
    return {str(name): str(_with(name, options)) for name in named} if options else {}


def _with(name: ModelName, options: Iterable[str]) -> ModelName:
    # Options of names are sorted.
    return ModelName(name.base, tuple(sorted((*name.options, *options))))


def _reads_encode(name: ModelName) -> bool:
    stated = any("enc_" in option for option in name.options)
    return (
        name.path is None
        and not stated
        and any(feature.extractor == "cambi" for feature in model_info(str(name)).features)
    )


def _facts(video: str | os.PathLike[str], reading: Reading) -> tuple[int, int, int]:
    """Width, height and bits per sample of the frames of a file."""
    raw = reading.raw if Path(video).suffix.lower() == ".yuv" else None
    form = Reader(video, raw=raw, stream=reading.stream, drop_alpha=reading.drop_alpha, fps=reading.fps).format
    return form.width, form.height, form.bit_depth


def _measured(
    reference: tuple[int, int, int], distorted: tuple[int, int, int], reading: Reading
) -> tuple[int, int, int]:
    """Width, height and bits per sample of the frames that are compared."""
    depth = max(reading.bit_depth or 0, distorted[2])
    if reading.match_depth:
        depth = max(depth, reference[2])
    if isinstance(reading.scale, str):
        return *parse_size(reading.scale), depth
    wide, high = reference[:2]
    if reading.display:
        screen = parse_size(reading.display)
        factor = min(screen[0] / wide, screen[1] / high)
        wide, high = round(wide * factor / 2) * 2, round(high * factor / 2) * 2
    return wide, high, depth


def renamed(names: Mapping[str, str], columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return columns under the names of the models as they were asked for."""
    return {_asked(names, column): values for column, values in columns.items()}


def _asked(names: Mapping[str, str], column: str) -> str:
    for asked, actual in names.items():
        if column == actual or column.endswith(f":{actual}"):
            return column.removesuffix(actual) + asked
    return column


def described(scores: Scores, names: Mapping[str, str]) -> Scores:
    """Return scores with the columns of the models as they were asked for, and a note on what was filled in."""
    models = ", ".join(names.values())
    note = f"CAMBI is measured at the size and depth of the encode, which was scaled: {models}"
    return replace(
        scores,
        columns=renamed(names, scores.columns),
        libvmaf_models=renamed(names, scores.libvmaf_models),
        notes=[*scores.notes, note],
    )
