"""``vmaf-train mask-pictures``: masks for pictures that have none, made by a model: labels that a student learns from."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.document import Call
from pyvmaf.base.manifest import write_manifest
from pyvmaf.base.outputs import claim, publishes
from pyvmaf.base.parquet import METADATA_KEY
from pyvmaf.errors import InputError
from pyvmaf.features.table import write_table
from pyvmaf.frames.pictures import Pictures
from pyvmaf.frames.storage import SUFFIX, writing
from pyvmaf.frames.table import File, PictureTable, name_in, picture_table
from pyvmaf.runtime.saliency import maps, picture_size, resized
from pyvmaf.runtime.tensors import TensorModel
from pyvmaf.scoring.saliency import load

COLOUR = "rgb24"

Advance = Callable[[int, int], None]


@publishes("mask-pictures")
def mask_pictures(
    table: Path,
    output: Path,
    *,
    model: str | os.PathLike[str] | None = None,
    registry: str | os.PathLike[str] | None = None,
    threads: int = 1,
    advance: Advance | None = None,
) -> int:
    """Write a table of the same pictures, each with a mask: its own, or the map that a model makes of it.

    Args:
        table: pictures in colour, of one size.
        output: the table to write, in the folder of the pictures; the new masks lie beside it in a file that ends in
            .masks.safetensors.
        model, registry, threads: as in `pyvmaf.scoring.saliency.load`.
        advance: called with (pictures done, all).

    Returns:
        The number of masks that were made.

    Raises:
        MissingFileError, InputError, IntegrityError: as `load` and `Pictures.open`; also if pictures are not in colour, have
            several sizes, or all have masks.
    """
    if output.suffix != ".parquet":
        raise InputError(f"{output} does not end in .parquet, which tables do: name it {output.stem}.parquet")
    masks = output.with_name(f"{output.stem}.masks{SUFFIX}")
    pictures, read = Pictures.open(table), PictureTable(table)
    if pictures.colour != COLOUR:
        raise InputError(
            f"{table} holds pictures of pixel format {pictures.colour}, but saliency is of {COLOUR}: extract them with --colour "
            f"{COLOUR}"
        )
    bare = [row for row in range(len(pictures)) if pictures.mask(row) is None]
    if not bare:
        raise InputError(f"each of the {len(pictures)} pictures of {table} has a mask: there is nothing to make")
    claim(output, masks)
    loaded = load(model, registry=registry, threads=threads)
    call = Call(
        "mask-pictures",
        args={"model": loaded.name, "sha256": loaded.sha256},
        inputs={"table": table, "pictures": pictures.files},
    )
    columns = {name: read.rows[name].to_pylist() for name in ("mask_file", "mask_row")}
    with writing(masks, "gray") as writer:
        for done, row in enumerate(bare, start=1):
            columns["mask_file"][row] = name_in(output, masks)
            columns["mask_row"][row] = writer.add(mask_of(loaded, pictures.picture(row)), f"row {row} of {table}")
            if advance is not None:
                advance(done, len(bare))
    files = {name: file.as_json() for name, file in read.files.items()}
    files[name_in(output, masks)] = File.of(masks).as_json()
    block = {**read.block, "files": {name: files[name] for name in sorted(files)}}
    data = {name: read.rows[name] for name in read.rows.column_names} | columns
    made = picture_table(data, {METADATA_KEY: json.dumps(block, sort_keys=True).encode()}, read.opinions)
    write_table(made, output)
    write_manifest(
        output,
        verb=call.verb,
        args=call.args,
        inputs=call.inputs,
        outputs={"table": output, "masks": masks},
        details={"model": loaded.name, "made": len(bare), "pictures": len(pictures)},
    )
    return len(bare)


def mask_of(model: TensorModel, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Make the map of a picture [h, w, 3] as a mask of its size, 0 to 255."""
    width, height = picture_size(model)
    planes = [resized(picture[..., channel].astype(np.float64), (height, width)) for channel in range(3)]
    (made,) = maps(model, np.rint(np.stack(planes))[None].astype(np.uint8))
    whole = resized(made, (picture.shape[0], picture.shape[1]))
    return np.asarray(np.rint(np.clip(whole, 0, 1) * 255).astype(np.uint8))
