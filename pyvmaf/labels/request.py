"""One call of ``join`` as data: the options of its command line, or the keys of a row of a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from pyvmaf.base.opinion import parse_scale
from pyvmaf.errors import InputError, shown, unknown_name
from pyvmaf.labels.columns import Columns, Split
from pyvmaf.labels.join import join, join_columns

SPLIT_SEED = "chug-hdr-v1"
"""Seed of the published splits."""

_LISTS = {"labels": ";", "columns": ","}
"""Keys that hold several values, and what divides them in a text."""


@dataclass(frozen=True)
class JoinRequest:
    """What ``join`` is asked to do.

    Attributes:
        features: the table, parquet.
        labels: label files or, with `columns`, other tables.
        output: the table to write.
        report: what matched; beside the table if it is None.
        feature_key, feature_key_regex, label_key, label_key_regex: how rows find each other.
        mos_scale, label_scale: as in `pyvmaf.labels.join.join`, as text "LOW,HIGH".
        columns: columns to join instead of opinion scores; none for opinion scores.
        prefix, frame_key, label_frame_key, split_by, split_seed: as in `pyvmaf.labels.columns.Columns`.
    """

    features: str
    labels: tuple[str, ...]
    output: str
    report: str | None = None
    feature_key: str = "clip"
    feature_key_regex: str | None = None
    label_key: str | None = None
    label_key_regex: str | None = None
    mos_scale: str | None = None
    label_scale: str | None = None
    columns: tuple[str, ...] = ()
    prefix: str = ""
    frame_key: str | None = None
    label_frame_key: str | None = None
    split_by: str | None = None
    split_seed: str = SPLIT_SEED

    def __post_init__(self) -> None:
        """Check that the options go together.

        Raises:
            InputError: they do not.
        """
        of_columns = {"--prefix": self.prefix, "--frame-key": self.frame_key, "--label-frame-key": self.label_frame_key}
        of_columns["--split-by"] = self.split_by
        if not self.columns and any(of_columns.values()):
            raise InputError(f"{', '.join(of_columns)} go with --columns: name the columns")
        if self.columns and (self.mos_scale or self.label_scale):
            raise InputError("--mos-scale and --label-scale are of opinion scores, which are joined without --columns")

    @classmethod
    def of(cls, row: Mapping[str, Any], where: str) -> Self:
        """Read the row of a batch; an empty value is one that is not given.

        Args:
            row: values by name. In a text, several labels are divided by ``;``, several columns by ``,``.
            where: its place, for messages.

        Raises:
            InputError: a key is unknown or missing, a value is not text, or the values do not go together.
        """
        names = [field.name for field in fields(cls)]
        values: dict[str, Any] = {}
        for name, value in row.items():
            if name not in names:
                raise InputError(f"{where}: {unknown_name('key', str(name), names)}")
            if value in (None, "", []):
                continue
            if name in _LISTS:
                parts = [part.strip() for part in value.split(_LISTS[name])] if isinstance(value, str) else value
                if not isinstance(parts, list) or not all(isinstance(part, str) and part for part in parts):
                    raise InputError(f"{where}: {name} is {shown(value)}: write a list of texts")
                values[name] = tuple(parts)
            elif isinstance(value, str):
                values[name] = value
            else:
                raise InputError(f"{where}: {name} is {shown(value)}: write a text")
        if lacking := [name for name in ("features", "labels", "output") if name not in values]:
            raise InputError(f"{where} lacks {', '.join(lacking)}; it has {', '.join(values) or 'nothing'}")
        try:
            return cls(**values)
        except InputError as err:
            raise InputError(f"{where}: {err}") from err

    def outputs(self, base: Path = Path()) -> tuple[Path, Path]:
        """Return the files that are written: the table, and the report.

        Args:
            base: the folder that relative paths start from.
        """
        table = base / self.output
        return table, table.with_suffix(".json") if self.report is None else base / self.report

    def run(self, base: Path = Path()) -> dict[str, Any]:
        """Join, and return the report.

        Args:
            base: the folder that relative paths start from.

        Raises:
            InputError, IntegrityError, MissingFileError: as `pyvmaf.labels.join.join` and `join_columns`.
        """
        table, report = self.outputs(base)
        inputs: Sequence[Path] = [base / path for path in self.labels]
        if not self.columns:
            return join(
                base / self.features,
                inputs,
                table,
                report,
                feature_key=self.feature_key,
                feature_pattern=self.feature_key_regex,
                label_key=self.label_key or "src",
                label_pattern=self.label_key_regex,
                mos_scale=None if self.mos_scale is None else parse_scale(self.mos_scale),
                label_scale=None if self.label_scale is None else parse_scale(self.label_scale),
            )
        asked = Columns(
            self.columns,
            self.prefix,
            self.feature_key,
            self.feature_key_regex,
            self.label_key or self.feature_key,
            self.label_key_regex,
            self.frame_key,
            self.label_frame_key or self.frame_key or "frame_index",
            None if self.split_by is None else Split(self.split_by, self.split_seed),
        )
        return join_columns(base / self.features, inputs, table, report, asked)
