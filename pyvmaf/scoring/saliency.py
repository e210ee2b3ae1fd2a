"""``vmaf-train saliency``: mean and variance of the saliency map of each frame, as columns that `join` puts beside others."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.document import Call
from pyvmaf.base.files import atomic_path
from pyvmaf.base.manifest import write_manifest
from pyvmaf.base.outputs import claim, publishes, reading
from pyvmaf.encodes.probe import Saliency
from pyvmaf.errors import InputError
from pyvmaf.runtime.saliency import COLUMNS, maps, picture_size
from pyvmaf.runtime.tensors import TensorModel
from pyvmaf.scoring.tensors import load_for, registered_for
from pyvmaf.video.reader import Reader
from pyvmaf.video.tensors import Picture, tensors

TASK = "saliency"
DEFAULT = "u2netp"
"""The model that is used if several are registered and none is named."""

_BATCH = 8

Advance = Callable[[int, int], None]


def load(
    model: str | os.PathLike[str] | None = None, *, registry: str | os.PathLike[str] | None = None, threads: int = 1
) -> TensorModel:
    """Load a model for saliency.

    Args:
        model: id of a registered model, or path of an ONNX file; None for `DEFAULT`, else the first registered one.
        registry: as in `pyvmaf.scoring.find.registry_path`.
        threads: of the runtime.

    Raises:
        MissingFileError, InputError, IntegrityError: as `load_for`; also if none is named and none is registered.
    """
    named = registered_for(TASK, registry, DEFAULT) if model is None else model
    if named is None:
        raise InputError(
            f"no model for saliency is registered: convert and register one (vmaf-train convert --config config/models/"
            f"{DEFAULT}.yaml), or name an ONNX file (--model)"
        )
    loaded = load_for(TASK, named, registry=registry, threads=threads)
    picture_size(loaded)
    return loaded


def saliency_maps(model: TensorModel, path: Path, every: int = 1) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Give number and map of each `every`-th frame of a video, or of an image: [h, w] of the model's size, 0 to 1.

    Raises:
        MissingFileError, InputError, IntegrityError: as `Reader`.
    """
    reader = Reader(path)
    picture = Picture("rgb24", size=picture_size(model), scaler="bilinear", values=None)
    if every == 1:
        batches = enumerate(one for batch in tensors(reader, picture, batch=_BATCH) for one in batch)
        yield from ((index, maps(model, _whole(one)[None])[0]) for index, one in batches)
        return
    indices = list(range(0, reader.count_frames(), every))
    pictures = (one for batch in tensors(reader, picture, indices=indices, batch=_BATCH) for one in batch)
    for index, one in zip(indices, pictures, strict=True):
        yield index, maps(model, _whole(one)[None])[0]


def _whole(picture: NDArray[Any]) -> NDArray[np.uint8]:
    return picture.astype(np.uint8, copy=False)


def for_probes(
    model: str | os.PathLike[str] | None = None, registry: str | os.PathLike[str] | None = None
) -> Saliency | None:
    """Give what measures the saliency of a probe; None if no model is named and none is registered.

    Args:
        model: id of a registered model, or path of an ONNX file.
        registry: as in `load`.

    Raises:
        MissingFileError, InputError, IntegrityError: as `load`.
    """
    if model is None and registered_for(TASK, registry, DEFAULT) is None:
        return None
    loaded = load(model, registry=registry)

    def measure(path: Path, every: int) -> Iterator[tuple[float, float]]:
        return ((float(one.mean()), float(one.var())) for _, one in saliency_maps(loaded, path, every))

    return Saliency(loaded.name, loaded.sha256, measure)


@publishes("saliency")
def saliency(
    videos: Sequence[Path],
    output: Path,
    *,
    model: str | os.PathLike[str] | None = None,
    registry: str | os.PathLike[str] | None = None,
    every: int = 1,
    per_clip: bool = False,
    threads: int = 1,
    advance: Advance | None = None,
) -> int:
    """Write the columns ``saliency_mean`` and ``saliency_var`` of videos.

    Args:
        videos: the files; the stem of each is its ``clip``.
        output: parquet table with a row per measured frame (clip, frame_index), or per video.
        model, registry, threads: as in `load`.
        every: measure each of so many frames only.
        per_clip: give the means over the measured frames of each video, and how many they are (``n_frames``).
        advance: called with (videos done, videos in all).

    Returns:
        The number of rows.

    Raises:
        MissingFileError, InputError, IntegrityError: as `Reader` and `load`; also if two videos have one stem.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if every < 1:
        raise InputError(f"--every is a number of frames, 1 or more, not {every}")
    stems = [path.stem for path in videos]
    if twice := sorted({stem for stem in stems if stems.count(stem) > 1}):
        raise InputError(f"two of the videos would both be the clip {twice[0]!r}: rename one of them")
    for path in videos:
        reading(path)
    claim(output)
    loaded = load(model, registry=registry, threads=threads)
    call = Call(
        "saliency",
        args={"model": loaded.name, "sha256": loaded.sha256, "every": every, "per_clip": per_clip},
        inputs={"videos": list(videos)},
    )
    rows: list[dict[str, Any]] = []
    for done, path in enumerate(videos, start=1):
        values = [(index, float(one.mean()), float(one.var())) for index, one in saliency_maps(loaded, path, every)]
        if per_clip:
            means = np.mean([value[1:] for value in values], axis=0)
            rows.append({"clip": path.stem, **dict(zip(COLUMNS, means.tolist(), strict=True)), "n_frames": len(values)})
        else:
            rows += [
                {"clip": path.stem, "frame_index": i, COLUMNS[0]: mean, COLUMNS[1]: var} for i, mean, var in values
            ]
        if advance is not None:
            advance(done, len(videos))
    with atomic_path(output) as temporary:
        pq.write_table(pa.Table.from_pylist(rows), temporary, compression="zstd")
    write_manifest(
        output,
        verb=call.verb,
        args=call.args,
        inputs=call.inputs,
        outputs={"table": output},
        details={"model": loaded.name, "rows": len(rows)},
    )
    return len(rows)
