"""Pictures of a table of the stage frames, with the labels that a model is trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.coded import Coded
from pyvmaf.base.files import sha256_file
from pyvmaf.base.layout import REFERENCE as PRISTINE
from pyvmaf.chunks import Scratch
from pyvmaf.errors import InputError
from pyvmaf.metrics import psnr
from pyvmaf.models.crossval import NUMBERED, ROW_COLUMNS
from pyvmaf.models.image.spec import ImageSpec
from pyvmaf.tables.columns import floats, strings

if TYPE_CHECKING:
    import pyarrow as pa

QUALITY = "vmaf"
"""The column that weights per quality read."""

PSNR_CAP = 100.0
"""PSNR of equal pictures, dB."""


class Pictures(Protocol):
    """Sampled pictures with their labels, as `pyvmaf.frames.pictures.Pictures` gives them."""

    @property
    def rows(self) -> pa.Table:
        """Labels: corpus, group, source, clip, codec, preset, crf, rung, strength, frame_index, width, height, vmaf, …"""

    @property
    def colour(self) -> str:
        """Pixel format of the pictures."""

    def picture(self, row: int) -> NDArray[np.uint8]:
        """uint8 [h, w] of gray pictures."""

    def reference(self, row: int) -> NDArray[np.uint8] | None:
        """The pristine picture of the same frame; None if there is none."""


@dataclass(frozen=True)
class PictureRows:
    """The usable rows of a table of pictures.

    Attributes:
        path, sha256: the file that was read.
        pictures: the pixels.
        index: int64 [n], row of the table.
        y: float64 [n], finite: the target; of a filter the PSNR of the picture as it came in, dB.
        weights: float32 [n], weight of the row's loss.
        keys: every text column that the split reads, by name, each of n rows; ``source`` if the table has it.
        rows: the columns of `ROW_COLUMNS` that the table has, each of n rows.
        groups: of the n rows, the value of the column that the split goes by.
        n_total: rows of the file.
        dropped: rows left out, and for how many of them each column was the reason.
        scratch: where further arrays may lie.
    """

    path: Path
    sha256: str
    pictures: Pictures
    index: NDArray[np.int64]
    y: NDArray[np.float64]
    weights: NDArray[np.float32]
    keys: Mapping[str, Coded]
    rows: Mapping[str, Coded | NDArray[np.float64]]
    groups: Coded
    n_total: int
    dropped: dict[str, Any]
    scratch: Scratch = field(default_factory=lambda: Scratch(0))

    def quality(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """The teacher's score of usable rows [n].

        Raises:
            InputError: the table has none.
        """
        if QUALITY not in self.pictures.rows.column_names:
            raise InputError(f"{self.path} has no column {QUALITY}, by which stages choose their pictures")
        return floats(self.pictures.rows, QUALITY)[self.index[rows]]

    def picture(self, row: int) -> NDArray[np.uint8]:
        """The picture of a usable row, uint8 [h, w]."""
        return self.pictures.picture(int(self.index[row]))

    def reference(self, row: int) -> NDArray[np.uint8]:
        """The pristine picture of a usable row, uint8 [h, w].

        Raises:
            InputError: the table has none, or one of another size.
        """
        picture = self.pictures.reference(int(self.index[row]))
        if picture is None:
            raise InputError(
                f"{self.path}: row {int(self.index[row])} has no pristine picture, which a filter is trained on"
            )
        if picture.shape != self.picture(row).shape:
            raise InputError(
                f"{self.path}: row {int(self.index[row])} is a picture of {shown_size(self.picture(row))}, but its pristine "
                f"picture has {shown_size(picture)}: extract the frames again"
            )
        return picture


def shown_size(picture: NDArray[Any]) -> str:
    """Width x height of a picture [h, w, ...]."""
    return f"{picture.shape[1]}x{picture.shape[0]}"


def open_pictures(path: Path) -> Pictures:
    """Open a table of pictures (`pyvmaf.frames`).

    Raises:
        MissingFileError, IntegrityError: a file is not there or is damaged.
        InputError: it is not a table of pictures.
    """
    from pyvmaf.frames.pictures import Pictures as Stored

    return Stored.open(path)


def read_rows(spec: ImageSpec, path: Path, pictures: Pictures | None = None) -> PictureRows:
    """Read the rows that a model can be trained on.

    Args:
        spec: the model.
        path: the table.
        pictures: its content, if it is open already.

    Raises:
        MissingFileError, IntegrityError: a file is not there or is damaged.
        InputError: pictures are not gray or smaller than a crop, a column is missing, or no row has the target.
    """
    opened = open_pictures(path) if pictures is None else pictures
    if opened.colour != "gray":
        raise InputError(
            f"{path} holds pictures of pixel format {opened.colour}, but {spec.name} takes gray ones: extract the frames with "
            "gray"
        )
    table = opened.rows
    names = set(table.column_names)
    if missing := [name for name in spec.split.columns if name not in names]:
        raise InputError(
            f"{path} has no column {', '.join(missing)}, which split needs; it has {', '.join(sorted(names))}"
        )
    used, reasons = _used(spec, table, path)
    dropped = int(table.num_rows - used.size)
    if used.size == 0:
        raise InputError(f"{path}: none of {table.num_rows} pictures can be trained on ({_words(reasons)})")
    used = _sampled(spec, table, used)
    _check_sizes(spec, table, used, path)
    y = np.zeros(used.size) if spec.network.is_filter else floats(table, spec.target.column)[used]
    if not spec.network.is_filter:
        _check_range(spec, y, path)
    found = PictureRows(
        path=path,
        sha256=sha256_file(path),
        pictures=opened,
        index=used,
        y=y,
        weights=_weights(spec, table, used, path),
        keys={
            name: Coded.of(strings(table, name)[used])
            for name in dict.fromkeys((*spec.split.columns, *(("source",) if "source" in names else ())))
        },
        rows={
            name: floats(table, name)[used] if name in NUMBERED else Coded.of(texts(table, name)[used])
            for name in ROW_COLUMNS
            if name in names
        },
        groups=Coded.of(strings(table, spec.split.by)[used]),
        n_total=table.num_rows,
        dropped={"rows": dropped, "by_column": reasons},
    )
    if spec.network.is_filter:
        y[:] = [psnr(found.picture(row), found.reference(row), cap=PSNR_CAP) for row in range(y.size)]
    return found


def texts(table: pa.Table, name: str) -> NDArray[np.str_]:
    """A text column; the empty string in place of null."""
    return np.array(["" if value is None else str(value) for value in table[name].to_pylist()], dtype=np.str_)


def _used(spec: ImageSpec, table: pa.Table, path: Path) -> tuple[NDArray[np.int64], dict[str, int]]:
    """Rows that can be trained on, and for how many others each column was the reason."""
    names, reasons = table.column_names, {}
    keep = np.ones(table.num_rows, dtype=bool)
    pristine = texts(table, "rung") == PRISTINE if "rung" in names else np.zeros(table.num_rows, dtype=bool)
    if spec.network.is_filter or not spec.sampling.references:
        reasons["rung"] = int(np.count_nonzero(pristine))
        keep &= ~pristine
    if not spec.network.is_filter:
        if spec.target.column not in names:
            raise InputError(
                f"{path} has no column {spec.target.column} (the target of {spec.name}); it has {', '.join(names)}"
            )
        known = np.isfinite(floats(table, spec.target.column))
        reasons[spec.target.column] = int(np.count_nonzero(keep & ~known))
        keep &= known
        lost = reasons[spec.target.column] / max(1, table.num_rows)
        if lost > spec.rows.max_dropped_share and keep.any():
            raise InputError(
                f"{path}: {reasons[spec.target.column]} of {table.num_rows} pictures have no {spec.target.column}, more than "
                f"rows.max_dropped_share {spec.rows.max_dropped_share:g}"
            )
    return np.flatnonzero(keep), {name: count for name, count in reasons.items() if count}


def _words(reasons: Mapping[str, int]) -> str:
    return ", ".join(
        f"{count} lack {name}" if name != "rung" else f"{count} are pristine" for name, count in reasons.items()
    )


def _sampled(spec: ImageSpec, table: pa.Table, used: NDArray[np.int64]) -> NDArray[np.int64]:
    """At most ``sampling.max_rows`` of the rows, evenly spaced over those of each value of ``split.by``."""
    most = spec.sampling.max_rows
    if most is None or used.size <= most:
        return used
    from pyvmaf.models.sampling import evenly

    return evenly(strings(table, spec.split.by), used, most)


def _check_sizes(spec: ImageSpec, table: pa.Table, used: NDArray[np.int64], path: Path) -> None:
    side = spec.crops.train if spec.network.is_filter else max(spec.crops.train, spec.crops.judge)
    width, height = (floats(table, name)[used] for name in ("width", "height"))
    small = np.flatnonzero((width < side) | (height < side))
    if small.size:
        first = int(small[0])
        raise InputError(
            f"{path}: {small.size} of {used.size} pictures are smaller than the crops of {side}x{side} that {spec.name} takes, "
            f"the first of them {width[first]:g}x{height[first]:g} (row {int(used[first])}): leave their clips out of the "
            "table, or make crops smaller"
        )


def _check_range(spec: ImageSpec, y: NDArray[np.float64], path: Path) -> None:
    low, high = spec.target.range
    slack = 1e-6 * (high - low)
    outside = int(np.count_nonzero((y < low - slack) | (y > high + slack)))
    if outside:
        raise InputError(
            f"{path}: {outside} of {y.size} pictures have a {spec.target.column} outside of target.range [{low:g}, {high:g}], "
            f"from {y.min():g} to {y.max():g}: set target.range to the scale of {spec.target.column}"
        )


def _weights(spec: ImageSpec, table: pa.Table, used: NDArray[np.int64], path: Path) -> NDArray[np.float32]:
    weights = np.ones(used.size, dtype=np.float32)
    if not spec.sampling.weights:
        return weights
    if QUALITY not in table.column_names:
        raise InputError(f"{path} has no column {QUALITY}, which sampling.weights of {spec.name} read")
    quality = floats(table, QUALITY)[used]
    for entry in reversed(spec.sampling.weights):
        weights[quality < entry.below] = entry.weight
    return weights
