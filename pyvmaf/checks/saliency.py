"""``vmaf-train eval-saliency-per-mb``: agreement of saliency maps with masks, per pixel and per macroblock."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pyvmaf.base.document import Call, Document, Name, Part, Positive, RunProvenance, Sha256, Share, publish
from pyvmaf.base.outputs import publishes, reading
from pyvmaf.errors import InputError, IntegrityError, MissingFileError
from pyvmaf.runtime.saliency import block_means, iou, resized
from pyvmaf.runtime.tensors import TensorModel
from pyvmaf.scoring.saliency import load, saliency_maps
from pyvmaf.video.reader import Reader
from pyvmaf.video.tensors import Picture, tensors

BLOCK, THRESHOLD = 16, 0.5
SUFFIXES = (".npy", ".pgm", ".png", ".jpg", ".jpeg")
_MOST_NPY = 1 << 28

Advance = Callable[[int, int], None]


class Agreement(Part):
    """One map against its mask."""

    name: Name
    iou: Share = Field(description="Of the blocks")
    pixel_iou: Share
    mae: Share = Field(description="Mean absolute difference of map and mask")


class EvaluatedModel(Part):
    """The model that made the maps."""

    id: Name
    sha256: Sha256


class SaliencyEvaluation(Document):
    """Agreement of saliency maps with masks."""

    title: ClassVar[str] = "Report of eval-saliency-per-mb: saliency maps against masks"

    schema_version: Literal[1] = 1
    model: EvaluatedModel | None = Field(description="null: the maps were files")
    block_size: Positive
    threshold: float = Field(gt=0, lt=1)
    n_pairs: Positive
    macro_iou: Share = Field(description="Mean over the pairs, of blocks")
    micro_iou: Share = Field(description="Of the blocks of all pairs together")
    macro_pixel_iou: Share
    micro_pixel_iou: Share
    mean_absolute_error: Share
    rows: Annotated[list[Agreement], Field(min_length=1)]
    run_provenance: RunProvenance


@publishes("eval-saliency-per-mb")
def eval_saliency(
    predicted: Path,
    truth: Path,
    output: Path | None = None,
    *,
    model: str | os.PathLike[str] | None = None,
    registry: str | os.PathLike[str] | None = None,
    block: int = BLOCK,
    threshold: float = THRESHOLD,
    threads: int = 1,
    advance: Advance | None = None,
) -> SaliencyEvaluation:
    """Compare saliency maps with masks of the same names.

    A block is salient if the mean of its pixels is above the threshold; blocks at the right and lower edge may be smaller.
    Two pictures without anything salient agree: their IoU is 1.

    Args:
        predicted: folder of maps (`SUFFIXES`), or of pictures that `model` makes the maps of.
        truth: folder of masks; files are paired by their path below the folder, without the suffix.
        output: the report as JSON; None to write nothing.
        model: id of a registered model or path of an ONNX file; None if `predicted` holds maps.
        registry: as in `pyvmaf.scoring.find.registry_path`.
        block: side of a block, pixels of the mask.
        threshold: above which a pixel or a block is salient.
        threads: of the runtime.
        advance: called with (pairs done, pairs in all).

    Raises:
        MissingFileError: a folder, or the mask of a map, is not there.
        InputError: sizes differ, two files of a folder have one name, or an option is out of range.
        IntegrityError: a file is damaged.
    """
    if block < 1 or not 0 < threshold < 1:
        raise InputError(f"--block-size is 1 or more and --threshold between 0 and 1, not {block} and {threshold:g}")
    maps, masks = _files(predicted), _files(truth)
    if missing := sorted(maps.keys() - masks.keys()):
        raise MissingFileError(
            f"{truth} has no mask for {missing[0]} of {predicted} ({len(missing)} of {len(maps)} are missing)"
        )
    for path in (*maps.values(), *(masks[name] for name in maps)):
        reading(path)
    call = Call(
        "eval-saliency-per-mb",
        args={"model": model, "block_size": block, "threshold": threshold},
        inputs={"maps": list(maps.values()), "masks": [masks[name] for name in maps]},
    )
    loaded = None if model is None else load(model, registry=registry, threads=threads)
    rows, counts = [], np.zeros(4, np.int64)
    for done, (name, path) in enumerate(maps.items(), start=1):
        mask = read_map(masks[name])
        made = read_map(path) if loaded is None else _map_of(loaded, path, mask.shape)
        if made.shape != mask.shape:
            raise InputError(
                f"{path} is {made.shape[1]}x{made.shape[0]}, but its mask {masks[name]} is {mask.shape[1]}x{mask.shape[0]}"
            )
        pixels = made > threshold, mask > threshold
        blocks = block_means(made, block) > threshold, block_means(mask, block) > threshold
        rows.append(
            Agreement(name=name, iou=iou(*blocks), pixel_iou=iou(*pixels), mae=float(np.abs(made - mask).mean()))
        )
        counts += [int(np.count_nonzero(one)) for a, b in (blocks, pixels) for one in (a & b, a | b)]
        if advance is not None:
            advance(done, len(maps))
    report = SaliencyEvaluation(
        model=None if loaded is None else EvaluatedModel(id=loaded.name, sha256=loaded.sha256),
        block_size=block,
        threshold=threshold,
        n_pairs=len(rows),
        macro_iou=float(np.mean([row.iou for row in rows])),
        micro_iou=_share(counts[0], counts[1]),
        macro_pixel_iou=float(np.mean([row.pixel_iou for row in rows])),
        micro_pixel_iou=_share(counts[2], counts[3]),
        mean_absolute_error=float(np.mean([row.mae for row in rows])),
        rows=rows,
        run_provenance=call.provenance(),
    )
    return publish(report, output, call)


def _share(part: int, whole: int) -> float:
    return 1.0 if whole == 0 else float(part / whole)


def _files(folder: Path) -> dict[str, Path]:
    """The pictures below a folder, by their path in it without the suffix."""
    if not folder.is_dir():
        raise MissingFileError(f"no such folder: {folder}")
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            name = path.relative_to(folder).with_suffix("").as_posix()
            if name in found:
                raise InputError(f"{found[name]} and {path} have one name: which one is meant is not known; remove one")
            found[name] = path
    if not found:
        raise InputError(f"{folder} holds no pictures ({', '.join(SUFFIXES)})")
    return found


def read_map(path: Path) -> NDArray[np.float64]:
    """Read a map or mask [h, w], 0 to 1."""
    if path.suffix.lower() != ".npy":
        batch = next(tensors(Reader(path), Picture("gray"), indices=[0]))
        return np.asarray(batch[0, 0], dtype=np.float64)
    if path.stat().st_size > _MOST_NPY:
        raise InputError(f"{path} has {path.stat().st_size} bytes, but a map may have at most {_MOST_NPY}")
    try:
        values: NDArray[Any] = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as err:
        raise IntegrityError(f"{path} is not a readable .npy file of numbers: {err}") from err
    array = np.asarray(np.squeeze(values), dtype=np.float64) / (255 if values.dtype == np.uint8 else 1)
    if array.ndim != 2 or not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
        raise InputError(
            f"{path} is not a map: it holds {values.dtype} {list(values.shape)}, not one picture of 0 to 1"
        )
    return array


def _map_of(model: TensorModel, path: Path, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Make the map of a picture, in the size of its mask."""
    _, made = next(saliency_maps(model, path))
    return resized(made, (shape[0], shape[1]))
