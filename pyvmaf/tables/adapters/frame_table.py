"""Corpora of the kind ``frame-table``: per-frame parquet of another program."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from pyvmaf.base.parquet import ParquetTable
from pyvmaf.base.section import Section
from pyvmaf.corpora.spec import Pinned
from pyvmaf.errors import InputError
from pyvmaf.features.catalog import FEATURES, TEACHER
from pyvmaf.tables.adapters.frames import UNKNOWN, FrameTable, Reading
from pyvmaf.tables.adapters.imported import Pattern, Rows, TableCorpus


def _training_name(value: str) -> str:
    if value not in FEATURES and value != TEACHER:
        raise ValueError(f"{value!r} is neither a feature of the catalog nor {TEACHER!r}")
    return value


def _ordered(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] >= value[1]:
        raise ValueError(f"{list(value)} is not a scale: write [lowest, highest]")
    return value


Scale = Annotated[tuple[float, float], AfterValidator(_ordered)]


class FrameTables(Section):
    """Parquet files with one row per frame."""

    files: tuple[Pinned, ...] = Field(min_length=1, description="The .parquet files, one after the other.")
    teacher: str | None = Field(
        default=None,
        min_length=1,
        description="What computed the VMAF; null: a column vmaf_model or teacher of the files.",
    )
    source: Pattern = Field(
        default=None,
        description="Regular expression; its first group in the name of the video is the source. Default: a column source.",
    )
    group: Pattern = Field(
        default=None,
        description="Regular expression; its first group in the name of the video is the group. Default: a column group.",
    )
    codec: str = Field(default=UNKNOWN, min_length=1, description="Codec of files without a column codec.")
    codecs: dict[str, str] = Field(default={}, description="The files' name of a codec to the name of an encoder.")
    mos_scale: Scale | None = Field(
        default=None, description="Lowest and highest opinion score of a column mos; null: it is left out."
    )
    features: dict[str, Annotated[str, AfterValidator(_training_name)]] = Field(
        default={}, description="The files' name of a column to the training name, where they differ."
    )


class Spec(TableCorpus, Section):
    """Per-frame tables of another program."""

    kind: Literal["frame-table"] = Field(description="Per-frame tables of another program.")
    frames: FrameTables = Field(description="The tables.")

    @property
    def pinned(self) -> tuple[Pinned, ...]:
        """The tables."""
        return self.frames.files

    @property
    def max_bad_share(self) -> float:
        """None: a video is whole or not there."""
        return 0.0

    def read(self, files: Mapping[str, Path]) -> Rows:
        """Refuse: such tables are read in parts (`tables`)."""
        raise InputError(f"corpus {self.name} holds frames, which are read in parts")

    def tables(self, files: Mapping[str, Path]) -> list[FrameTable]:
        """Open the tables.

        Args:
            files: each file by its path in the corpus file.

        Raises:
            InputError: a column is missing or of a wrong type, or the rows are of several teachers.
        """
        keys = self.frames
        reading = Reading(keys.teacher, keys.source, keys.group, keys.codec, keys.codecs, keys.features, keys.mos_scale)
        opened = [FrameTable(ParquetTable(files[item.path]), reading) for item in keys.files]
        teachers = {table.teacher: table.path for table in opened}
        if len(teachers) > 1:
            described = ", ".join(f"{path} by {teacher}" for teacher, path in teachers.items())
            raise InputError(f"the targets come from different teachers: {described}: write a corpus of each")
        return opened
