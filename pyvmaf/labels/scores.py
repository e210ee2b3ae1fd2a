"""Opinion scores of label files by key, on one scale."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyvmaf.base.opinion import COUNTS, MOS, NATIVE, check_on_scale, shown_scale
from pyvmaf.errors import InputError, MissingFileError
from pyvmaf.labels.keyed import Key, Lookup
from pyvmaf.labels.rows import read_rows
from pyvmaf.labels.scales import default_map, scale_map
from pyvmaf.labels.spec import find_spec, load_labels

if TYPE_CHECKING:
    import pyarrow as pa

Scale = tuple[float, float]

NAMES: tuple[str, ...] = (MOS, "mos_std", "n_ratings", NATIVE)
"""Columns that a row of labels becomes."""


@dataclass(frozen=True)
class Labels:
    """Which label files, and how their rows find those of a table.

    Attributes:
        paths: rows of the verbs labels or aggregate, or others with a score (.jsonl, .csv, .parquet).
        feature_key, feature_pattern: column of the table that names the video, and the part of it that is the key.
        label_key, label_pattern: the same of the labels.
        scale: scale to map the scores to; None to leave them, on one scale.
        stated: scale of rows that do not say theirs.
        corpora: labels of the corpora whose rows are rated; none for all.
    """

    paths: tuple[Path, ...]
    feature_key: str = "clip"
    feature_pattern: str | None = None
    label_key: str = "src"
    label_pattern: str | None = None
    scale: Scale | None = None
    stated: Scale | None = None
    corpora: tuple[str, ...] = ()

    def args(self) -> dict[str, Any]:
        """Return how keys are made, for a manifest."""
        keys = {
            "feature_key": {"column": self.feature_key, "pattern": self.feature_pattern},
            "label_key": {"key": self.label_key, "pattern": self.label_pattern},
        }
        return keys | ({"corpora": list(self.corpora)} if self.corpora else {})


class Scores:
    """Opinion scores that are put beside the rows of tables.

    Attributes:
        scale: the scale of the scores.
        names: the columns that they become.
        lookup: finds them, and counts.
    """

    names = NAMES

    def __init__(self, labels: Labels) -> None:
        """Read the labels.

        Raises:
            MissingFileError, IntegrityError: a file is not there or damaged.
            InputError: a row has no key, no score, or one off its scale; two rows of one key say different things; the
                scales differ or are not known.
        """
        import pyarrow as pa

        reader = _Reader(labels)
        for path in labels.paths:
            reader.read(path)
        self.scale: Scale | None = reader.finish()
        fields = {name: pa.int64() if name in COUNTS else pa.float64() for name in NAMES}
        key = Key.of(labels.feature_key, labels.feature_pattern)
        self.lookup = Lookup({(name,): row for name, row in reader.found.items()}, key, fields)

    def columns(self, table: pa.Table) -> Mapping[str, pa.Array[Any]]:
        """Return the columns of the rows of a table."""
        return self.lookup.columns(table)


class _Reader:
    def __init__(self, labels: Labels) -> None:
        self._labels = labels
        self._key = Key.of(labels.label_key, labels.label_pattern)
        self._scales: dict[Scale, str] = {}
        self._of_dataset: dict[str, Scale | None] = {}
        self._where: dict[str, str] = {}
        self.found: dict[str, dict[str, Any]] = {}

    def read(self, path: Path) -> None:
        for where, row in read_rows(path, (MOS, self._key.column)):
            text = str(row[self._key.column])
            name = self._key(text)
            if name is None:
                raise InputError(f"{where}: the pattern of the labels finds no key in {text!r}")
            values = self._values(where, row)
            earlier = self.found.setdefault(name, values)
            if earlier != values:
                raise InputError(
                    f"{self._where[name]} and {where}: several labels have the key {name!r}, with scores {earlier[MOS]:g} and "
                    f"{values[MOS]:g}: the key is too short, or a video is listed twice"
                )
            self._where.setdefault(name, where)

    def finish(self) -> Scale | None:
        """Return the scale of all scores."""
        if self._labels.scale is not None:
            return self._labels.scale
        if len(self._scales) > 1:
            (one, first), (two, second), *_ = self._scales.items()
            raise InputError(
                f"the labels are on different scales, {shown_scale(one)} from {first} and {shown_scale(two)} from {second}: "
                f"map them to one, for example with --mos-scale 0,100, or put them together with vmaf-train aggregate"
            )
        return next(iter(self._scales), None)

    def _values(self, where: str, row: Mapping[str, Any]) -> dict[str, Any]:
        mos = _number(where, row, MOS)
        assert mos is not None
        scale = self._scale(where, row)
        self._scales.setdefault(scale, where)
        try:
            check_on_scale(mos, scale)
        except InputError as err:
            raise InputError(f"{where}: {err}") from err
        # A deviation and a number of 0 are not known.
        deviation = _number(where, row, "mos_std_dev" if "mos_std_dev" in row else "mos_std") or None
        ratings = _number(where, row, "n_ratings") or None
        native = _number(where, row, NATIVE)
        chosen = None if self._labels.scale is None else default_map(scale, self._labels.scale)
        return {
            MOS: mos if chosen is None else chosen.value(mos),
            "mos_std": deviation if chosen is None or deviation is None else chosen.deviation(deviation),
            "n_ratings": None if ratings is None else int(ratings),
            NATIVE: mos if native is None else native,
        }

    def _scale(self, where: str, row: Mapping[str, Any]) -> Scale:
        stated = row.get("mos_scale")
        if isinstance(stated, list | tuple) and len(stated) == 2 and stated[0] < stated[1]:
            return float(stated[0]), float(stated[1])
        if stated not in (None, ""):
            raise InputError(f"{where}: mos_scale {stated!r} is not [lowest, highest]")
        dataset = str(row.get("corpus_source") or row.get("corpus") or "")
        if dataset not in self._of_dataset:
            self._of_dataset[dataset] = _scale_of(dataset)
        scale = self._labels.stated or self._of_dataset[dataset]
        if scale is None:
            raise InputError(
                f"{where} does not say which scale its score is on, and {dataset or 'its corpus'!r} is no dataset of config/labels: "
                "say it, for example --label-scale 1,5"
            )
        return scale


def _scale_of(dataset: str) -> Scale | None:
    """Return the scale of the rows of a dataset; None if there is no such dataset."""
    if not dataset:
        return None
    try:
        spec = load_labels(find_spec(dataset))
    except MissingFileError:
        return None
    return spec.scale if spec.stored is None else scale_map(spec.stored).to


def _number(where: str, row: Mapping[str, Any], name: str) -> float | None:
    """Return a number of a row; None if it is missing."""
    value = row.get(name)
    if value is None or value == "":
        return None
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{where}: {name} is {value!r}, not a number")
    return number
