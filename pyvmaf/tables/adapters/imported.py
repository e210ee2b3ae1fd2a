"""Rows that other programs made: what an adapter returns, and the checks that adapters share."""

from __future__ import annotations

import math
import re
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from numpy import float64
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from pyvmaf.base.opinion import NATIVE, SPREADS, check_on_scale
from pyvmaf.base.roots import locate
from pyvmaf.base.section import Section
from pyvmaf.codecs.encoders import rung_name
from pyvmaf.codecs.vocabularies import encoder_name
from pyvmaf.corpora.spec import Corpus, Root
from pyvmaf.errors import InputError
from pyvmaf.features.catalog import CONTEXT
from pyvmaf.features.table import STRENGTH

if TYPE_CHECKING:
    from pyvmaf.tables.adapters.frames import FrameTable

MOS_SCALE = (1.0, 5.0)
"""The scale of opinion scores in tables: absolute category rating, 1 (bad) to 5 (excellent)."""

_LARGEST_CRF = 255

_LARGEST = 1e12
"""Beyond it statistics over frames lose their meaning, and counts do not fit into columns."""


def _one_group(value: str | None) -> str | None:
    if value is not None:
        try:
            groups = re.compile(value).groups
        except re.error as err:
            raise ValueError(f"{value!r} is not a regular expression: {err}") from err
        if groups < 1:
            raise ValueError(f"{value!r} has no group: put parentheses around the part to take")
    return value


Pattern = Annotated[str | None, AfterValidator(_one_group)]
"""A regular expression with a group."""


@dataclass
class Encode:
    """One encode of the files.

    Attributes:
        where: file and line, for messages.
        columns: values of a clip table's columns other than features.
        pooled: pooled features by column name.
        frames: per-frame values by training name, float64 [frames]; None if there are none.
    """

    where: str
    columns: dict[str, Any]
    pooled: dict[str, float] = field(default_factory=dict)
    frames: dict[str, NDArray[float64]] | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """Clip, codec and rung, which identify it."""
        return self.columns["clip"], self.columns["codec"], self.columns["rung"]


@dataclass
class Rows:
    """What an adapter read.

    Attributes:
        encodes: in the order of the files, each once.
        teacher: what computed the VMAF.
        unit: what a row of the shard is, "clip" or "frame".
        rows_in: rows of the files.
        bad: rows that cannot be used, with file, line and reason; also rows that contradict an earlier row of their encode.
        dropped: number of rows that were left out for another reason, by reason.
        ignored: columns from which nothing was taken.
        hint: what may be wrong with the files as a whole, for messages.
    """

    encodes: list[Encode]
    teacher: str
    unit: str
    rows_in: int = 0
    bad: list[str] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    hint: str = ""

    def repeated(self, first: Encode, other: Encode, where: str) -> None:
        """Count a row of an encode that has one already; if the two contradict one another, the later one is bad."""
        names = {**first.pooled, **other.pooled}
        for name in names:
            one, two = first.pooled.get(name, math.nan), other.pooled.get(name, math.nan)
            if not (one == two or (is_missing(one) and is_missing(two))):
                self.bad.append(
                    f"{where}: {first.where} is of the same encode, but has {name} {one:g} instead of {two:g}"
                )
                return
        self.dropped["duplicates"] = self.dropped.get("duplicates", 0) + 1


class TableCorpus(Corpus, Section):
    """Keys of a corpus of tables."""

    root: Root = Field(
        description="Folder of the tables, relative to this file or absolute, or beginning with "
        "${VMAF_DATA_ROOT:-~/.cache/vmaf-train}/datasets/."
    )

    @property
    @abstractmethod
    def max_bad_share(self) -> float:
        """Largest share of rows that may be unusable."""

    def home(self, corpus_file: Path, fetched: Path) -> Path:
        """Return the root, seen from the corpus file."""
        return locate(self.root, corpus_file.resolve().parent)

    @abstractmethod
    def read(self, files: Mapping[str, Path]) -> Rows:
        """Read the tables.

        Args:
            files: each file by its path in the corpus file.

        Raises:
            InputError: a file cannot be read, or does not have a column that the corpus file names.
        """

    def tables(self, files: Mapping[str, Path]) -> list[FrameTable] | None:
        """Open tables of frames that are read in parts; None if `read` returns the rows.

        Args:
            files: each file by its path in the corpus file.

        Raises:
            InputError: a column is missing or of a wrong type, or the rows are of several teachers.
        """
        return None


def is_missing(value: Any) -> bool:
    """Return whether a number is None, NaN or infinite."""
    return value is None or not math.isfinite(value)


def parse_number(value: Any, name: str) -> float:
    """Return a cell as a number; NaN if it is empty.

    Raises:
        InputError: it is not a number, infinite, or larger than anything that is measured.
    """
    if value is None or (isinstance(value, str) and value.strip().lower() in ("", "nan", "na", "null")):
        return math.nan
    try:
        # Python's own spelling of numbers has underscores and digits of other scripts, no file's has.
        text = str(value) if isinstance(value, str) else ""
        if isinstance(value, bool) or "_" in text or not text.isascii():
            raise ValueError(value)
        number = float(value)
    except OverflowError as err:
        raise InputError(f"{name} is larger than any number of 64 bits") from err
    except (TypeError, ValueError) as err:
        shown = repr(value)
        raise InputError(f"{name} is {shown if len(shown) <= 60 else shown[:60] + '…'}, which is not a number") from err
    if math.isinf(number):
        raise InputError(f"{name} is {value!r}, which is not finite")
    if abs(number) > _LARGEST:
        raise InputError(f"{name} is {number:g}, which nothing measures")
    return number


def complete_encoder(columns: dict[str, Any], codecs: Mapping[str, str]) -> None:
    """Fill in encoder, preset, CRF, rung and strength of an encode from the columns that are there.

    Raises:
        InputError: the encoder is unknown, or a CRF is not a whole number of 0 to 255.
    """
    name = str(columns.get("encoder") or columns["codec"])
    encoder = encoder_name(codecs.get(name, name))
    columns["codec"] = codecs.get(columns["codec"], columns["codec"]) if columns.get("encoder") else encoder
    columns["encoder"] = encoder
    preset, crf = str(columns.get("preset") or ""), columns.get("crf", math.nan)
    if not is_missing(crf) and not (crf == int(crf) and 0 <= crf <= _LARGEST_CRF):
        raise InputError(f"CRF {crf:g} is not a whole number of 0 to {_LARGEST_CRF}")
    columns["preset"] = preset
    columns[STRENGTH] = crf
    columns["rung"] = preset if is_missing(crf) else rung_name(preset, int(crf)).removeprefix("-")


def check_context(columns: Mapping[str, Any]) -> None:
    """Refuse sizes, rates and bitrates that no video has; a CRF is checked with its encoder.

    Raises:
        InputError: there is one.
    """
    for name, entry in CONTEXT.items():
        value = columns.get(name, math.nan) if name != "crf" else math.nan
        if not is_missing(value) and not (entry.low <= value and (entry.high is None or value <= entry.high)):
            raise InputError(f"{name} is {value:g} {entry.unit}, outside of the plausible range")


def rescale(columns: dict[str, Any], scale: tuple[float, float]) -> None:
    """Map opinion scores linearly to the scale of 1 to 5; the native score is kept beside.

    Raises:
        InputError: a score lies outside of its own scale.
    """
    mos = columns.get("mos", math.nan)
    if not is_missing(mos):
        check_on_scale(mos, scale)
    if scale == MOS_SCALE:
        return
    factor = (MOS_SCALE[1] - MOS_SCALE[0]) / (scale[1] - scale[0])
    for name in SPREADS:
        if name in columns:
            columns[name] *= factor
    if "mos" in columns:
        columns[NATIVE] = mos
        columns["mos"] = MOS_SCALE[0] + (mos - scale[0]) * factor
