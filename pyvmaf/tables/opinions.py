"""Opinion scores in tables: the scores of a corpus file beside its rows, and tables of different scales on one."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from pyvmaf.base.opinion import COLUMNS, COUNTS, MOS, NATIVE, SPREADS, shown_scale
from pyvmaf.corpora import Ratings
from pyvmaf.errors import InputError
from pyvmaf.labels.keyed import keyed_columns
from pyvmaf.labels.scales import ScaleMap, default_map, fitting_map
from pyvmaf.tables.clips import ENCODE_KEY
from pyvmaf.tables.columns import floats

if TYPE_CHECKING:
    import pyarrow as pa

Scale = tuple[float, float]


class Rating(Protocol):
    """Opinion scores that stand elsewhere than in a table."""

    @property
    def scale(self) -> Scale | None:
        """Their scale; None if there are none."""

    @property
    def names(self) -> Sequence[str]:
        """The columns that they become; none if there are no scores."""

    def columns(self, table: pa.Table) -> Mapping[str, pa.Array[Any]]:
        """Return the columns of the rows of a table."""


class CorpusRatings:
    """The opinion scores of a corpus file, by clip, codec and rung.

    Attributes:
        scale: the scale of the scores; None if nothing is rated.
        names: the columns that they become.
    """

    def __init__(self, ratings: Ratings) -> None:
        self.scale = ratings.scale if ratings.encodes else None
        self._encodes = ratings.encodes
        present = {name for rating in ratings.encodes.values() for name in rating}
        self.names = [name for name in COLUMNS if name in present]

    @property
    def args(self) -> dict[str, Any]:
        """The scores for the manifest."""
        return {} if self.scale is None else {"mos_scale": list(self.scale), "mos_of": len(self._encodes)}

    def columns(self, table: pa.Table) -> Mapping[str, pa.Array[Any]]:
        """Return the columns of the rows of a table of frames."""
        import pyarrow as pa

        fields = {name: pa.int64() if name in COUNTS else pa.float64() for name in self.names}
        return keyed_columns(table, ENCODE_KEY, self._find, fields)

    def _find(self, key: tuple[str, ...]) -> Mapping[str, Any] | None:
        clip, codec, rung = key
        # What was rated is the encode, or the clip with all that is made of it.
        return self._encodes.get((clip, codec, rung)) or self._encodes.get((clip, "", ""))


@dataclass(frozen=True)
class OneScale:
    """How the opinion scores of several inputs come to one scale.

    Attributes:
        scale: the scale of the result; None if no input has scores.
        maps: by corpus label, the map of its scores; labels whose scores stay as they are have none.
        native: whether the result has the column of native scores.
    """

    scale: Scale | None
    maps: Mapping[str, ScaleMap]
    native: bool

    @staticmethod
    def of(rated: Sequence[tuple[str, Path, Scale | None]], wanted: Scale | None, named: Mapping[str, str]) -> OneScale:
        """Choose the maps.

        Args:
            rated: label, path and scale of each input that has scores.
            wanted: the scale to map to; None to leave them.
            named: map by label, in place of the usual one.

        Raises:
            InputError: the scale of an input is not known, the scales differ and none is wanted, or no map fits.
        """
        for _, path, scale in rated:
            if scale is None:
                raise InputError(
                    f"{os.fspath(path)} has a column mos, but its metadata do not say on which scale: make the table again "
                    "(shard, import-table or join)"
                )
        _check_named(rated, wanted, named)
        scales: dict[Scale, str] = {}
        for _, path, scale in rated:
            if scale is not None:
                scales.setdefault(scale, os.fspath(path))
        if wanted is None:
            if len(scales) > 1:
                raise InputError(_mixed(scales))
            return OneScale(next(iter(scales), None), {}, native=False)
        if not rated:
            raise InputError(
                f"no table has opinion scores, which are to be mapped to {shown_scale(wanted)}: leave it out"
            )
        maps: dict[str, ScaleMap] = {}
        for label, _, scale in rated:
            assert scale is not None
            if label in named:
                maps[label] = fitting_map(named[label], scale, wanted, label)
            elif (usual := default_map(scale, wanted)) is not None:
                maps[label] = usual
        return OneScale(wanted, maps, native=True)

    @property
    def added(self) -> tuple[str, ...]:
        """Columns that inputs get in addition to those that they have."""
        return (NATIVE,) if self.native else ()

    def apply(self, label: str, table: pa.Table) -> pa.Table:
        """Return the rows of an input with their opinion scores on the common scale.

        Args:
            label: the corpus label.
            table: rows of the input.
        """
        import pyarrow as pa

        if MOS not in table.column_names or not self.native:
            return table
        if NATIVE not in table.column_names:
            table = table.append_column(NATIVE, table.column(MOS))
        chosen = self.maps.get(label)
        if chosen is None:
            return table
        mapped = {MOS: np.clip(floats(table, MOS) * chosen.slope + chosen.offset, *chosen.to)}
        mapped |= {name: abs(chosen.slope) * floats(table, name) for name in SPREADS if name in table.column_names}
        for name, values in mapped.items():
            table = table.set_column(table.column_names.index(name), name, pa.array(values))
        return table

    def names(self) -> dict[str, str]:
        """Return the name of each map, for the manifest."""
        return {label: chosen.name for label, chosen in self.maps.items()}


def rated_rows(table: pa.Table) -> int:
    """Count the rows that have an opinion score."""
    return int(np.count_nonzero(np.isfinite(floats(table, MOS)))) if MOS in table.column_names else 0


def _check_named(
    rated: Sequence[tuple[str, Path, Scale | None]], wanted: Scale | None, named: Mapping[str, str]
) -> None:
    if named and wanted is None:
        raise InputError(
            "a map of opinion scores is named, but not the scale that all are mapped to: add --mos-scale "
            "(mos_scale of the configuration's table)"
        )
    labels = [label for label, _, _ in rated]
    for label in named:
        if label not in labels:
            raise InputError(
                f"a map of opinion scores is named for {label!r}, but the inputs with scores are {', '.join(labels) or 'none'}"
            )


def _mixed(scales: Mapping[Scale, str]) -> str:
    """Say that scales differ, and which map brings them together."""
    (one, first), (two, second), *_ = scales.items()
    hints = []
    for scale, other in ((one, two), (two, one)):
        try:
            usual = default_map(scale, other)
        except InputError:
            continue
        if usual is not None:
            hints.append(f"mos_scale: [{other[0]:g}, {other[1]:g}] maps them by {usual.name}")
    return (
        f"the opinion scores are on different scales, {shown_scale(one)} in {first} and {shown_scale(two)} in {second}: say "
        "in the configuration's table (or with --mos-scale) which one they are mapped to; "
        + ("; ".join(hints) or "there is no map between the two")
    )
