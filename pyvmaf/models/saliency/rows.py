"""Pictures with masks of a table of the stage frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.coded import Coded
from pyvmaf.base.files import sha256_file
from pyvmaf.errors import InputError
from pyvmaf.models.crossval import NUMBERED, ROW_COLUMNS
from pyvmaf.models.image.rows import PictureRows, open_pictures, texts
from pyvmaf.models.saliency.spec import SaliencySpec
from pyvmaf.tables.columns import floats, strings

if TYPE_CHECKING:
    import pyarrow as pa

COLOUR = "rgb24"
CORPUS = "corpus"
"""The column that figures are told apart by."""


@dataclass(frozen=True)
class MaskedRows(PictureRows):
    """Pictures in colour with masks; y is the mean of the mask, 0 to 1.

    Attributes:
        corpora: corpus of each of the n rows.
    """

    corpora: NDArray[np.str_] | None = None

    def mask(self, row: int) -> NDArray[np.uint8]:
        """The mask of a usable row, uint8 [h, w]."""
        mask: NDArray[np.uint8] | None = self.pictures.mask(int(self.index[row]))  # type: ignore[attr-defined]
        assert mask is not None  # rows without one are left out
        return mask

    def names(self) -> NDArray[np.str_]:
        """Corpus of each row."""
        assert self.corpora is not None
        return self.corpora


def read_rows(spec: SaliencySpec, path: Path) -> MaskedRows:
    """Read the rows that a model can be trained on.

    Raises:
        MissingFileError, IntegrityError: a file is not there or is damaged, or a mask has another size than its picture.
        InputError: pictures are not in colour or have another size than the model takes, or no row has a mask.
    """
    opened = open_pictures(path)
    if opened.colour != COLOUR:
        raise InputError(
            f"{path} holds pictures of pixel format {opened.colour}, but {spec.name} takes {COLOUR}: extract the pictures with "
            f"--colour {COLOUR} --size {spec.side}x{spec.side}"
        )
    table = opened.rows
    masked = np.array([name is not None for name in table["mask_file"].to_pylist()], dtype=bool)
    used = np.flatnonzero(masked).astype(np.int64)
    lost = int(masked.size - used.size)
    if not used.size:
        raise InputError(
            f"{path}: none of {masked.size} pictures has a mask, which {spec.name} is trained on: extract them with masks "
            "(--masks, a folder laid out as DUTS, or the column mask of a list)"
        )
    if lost > spec.rows.max_dropped_share * masked.size:
        raise InputError(
            f"{path}: {lost} of {masked.size} pictures have no mask, more than rows.max_dropped_share "
            f"{spec.rows.max_dropped_share:g}"
        )
    _check_sizes(spec, table, used, path)
    if missing := [name for name in spec.split.columns if name not in table.column_names]:
        raise InputError(f"{path} has no column {', '.join(missing)}, which split needs")
    y = np.empty(used.size)
    found = MaskedRows(
        path=path,
        sha256=sha256_file(path),
        pictures=opened,
        index=used,
        y=y,
        weights=np.ones(used.size, dtype=np.float32),
        keys={name: Coded.of(strings(table, name)[used]) for name in dict.fromkeys((*spec.split.columns, "source"))},
        rows={
            name: floats(table, name)[used] if name in NUMBERED else Coded.of(texts(table, name)[used])
            for name in ROW_COLUMNS
        },
        groups=Coded.of(strings(table, spec.split.by)[used]),
        n_total=table.num_rows,
        dropped={"rows": lost, "by_column": {"mask": lost} if lost else {}},
        corpora=strings(table, CORPUS)[used],
    )
    y[:] = [found.mask(row).mean() / 255 for row in range(used.size)]
    return found


def _check_sizes(spec: SaliencySpec, table: pa.Table, used: NDArray[np.int64], path: Path) -> None:
    width, height = (floats(table, name)[used] for name in ("width", "height"))
    others = np.flatnonzero((width != spec.side) | (height != spec.side))
    if others.size:
        first = int(others[0])
        raise InputError(
            f"{path}: {others.size} of {used.size} pictures have another size than the {spec.side}x{spec.side} that {spec.name} "
            f"takes (side), the first of them {width[first]:g}x{height[first]:g} (row {int(used[first])}): extract them with "
            f"--size {spec.side}x{spec.side}"
        )
