"""The spec of a dataset's label files: ``config/labels/{dataset}.yaml``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from pyvmaf.base.files import read_yaml
from pyvmaf.base.section import Section
from pyvmaf.errors import InputError, MissingFileError, unknown_name
from pyvmaf.labels.scales import SCALE_MAPS

FOLDER = Path("config/labels")
"""Where specs lie that are called by name."""

Names = tuple[Annotated[str, Field(min_length=1)], ...]


class Layout(Section):
    """One form in which the labels are handed out."""

    name: str = Field(min_length=1, description="What it is, for messages.")
    key: Names = Field(
        min_length=1,
        description="Columns that name the video, as their authors call them; the first that is there counts.",
    )
    mos: Names = Field(min_length=1, description="Names that the column of the score may have, in order of preference.")
    deviation: Names = Field(default=(), description="Names of the column of the standard deviation of the ratings.")
    ratings: Names = Field(default=(), description="Names of the column of the number of ratings.")
    parts: dict[str, Names] = Field(
        default={}, description="Further columns that `file` or `extra` need: word to the names that it may have."
    )
    values: dict[str, dict[str, str]] = Field(
        default={}, description="Other spellings of a part: word to its values, each with what takes its place."
    )
    form: Literal["table", "xlsx", "mat"] = Field(
        default="table", description="table: text with separators. xlsx: a workbook. mat: a MATLAB 5 file."
    )
    sheet: str | None = Field(default=None, description="xlsx: the sheet.")
    headerless: Names = Field(
        default=(), description="Names of the columns of a file without a header line; such a file has exactly these."
    )
    pattern: str | None = Field(
        default=None, description="Regular expression with one group: the key within the column, for example ^([0-9]+)."
    )
    key_of: str | None = Field(
        default=None,
        description="The key, put together from parts: for example {encoder}/{video}. The column is then a part.",
    )
    rows: tuple[int, int] = Field(description="Least and most rows that such a file has; other files are not it.")
    expected: int | None = Field(
        default=None, ge=1, description="Rows of the published file, which are said beside those read."
    )

    @field_validator("pattern")
    @classmethod
    def _one_group(cls, value: str | None) -> str | None:
        try:
            groups = 1 if value is None else re.compile(value).groups
        except re.error as err:
            raise ValueError(f"it is no regular expression ({err})") from err
        if groups != 1:
            raise ValueError(f"it needs exactly one group, in parentheses, not {groups}")
        return value

    @model_validator(mode="after")
    def _sheet_of_a_workbook(self) -> Self:
        if (self.form == "xlsx") != (self.sheet is not None):
            raise ValueError("sheet belongs to form xlsx, and to no other")
        if self.rows[0] > self.rows[1] or self.rows[0] < 1:
            raise ValueError(f"rows are [least, most] with 1 <= least <= most, not {list(self.rows)}")
        return self


class LabelSpec(Section):
    """A dataset of rated videos: how its label files look, and on which scale its scores are."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$", description="Also the file's name.")
    description: str = Field(min_length=1, max_length=256, description="One sentence.")
    license: str = Field(min_length=1, description="Terms of use of the labels.")
    version: str = Field(min_length=1, description="Version of the dataset, for the rows.")
    scale: tuple[float, float] = Field(description="Ends of the scale of the scores in the files.")
    slack: float = Field(default=0.05, ge=0, description="How far outside of it a score may lie: scores are rounded.")
    stored: str | None = Field(
        default=None, description="Map of the scores for the rows' `mos`; null: as they are. The native score is kept."
    )
    aggregated: str = Field(
        description="Map of the rows' `mos` to the common scale of 0 to 100, see pyvmaf.labels.scales."
    )
    videos: Names = Field(
        min_length=1,
        description="File names of a video, relative to the folder of videos; {key} and the parts are replaced. The first "
        "file that is there counts.",
    )
    extra: dict[str, str] = Field(
        default={}, description="Further keys of a row: key to the part that it is taken from."
    )
    encoder: str = Field(default="", description="What encoded the videos, if it is one and the same.")
    layouts: tuple[Layout, ...] = Field(min_length=1, description="Forms in which the labels are handed out.")
    max_bad_share: float = Field(
        default=0.01, ge=0, lt=1, description="Refuse a file if more than this share of its rows cannot be used."
    )

    @model_validator(mode="after")
    def _known_maps(self) -> Self:
        for name in (self.stored, self.aggregated):
            if name is not None and name not in SCALE_MAPS:
                raise unknown_name("map between scales", name, SCALE_MAPS)
        if self.scale[0] >= self.scale[1]:
            raise ValueError(f"scale is [lowest, highest], not {list(self.scale)}")
        return self


def fill(template: str, words: Mapping[str, str]) -> str:
    """Put words into a template: ``{word}``, or ``{word:0>2}`` for one filled up with zeros.

    Raises:
        InputError: the template names a word that is not there.
    """

    def word(found: re.Match[str]) -> str:
        if found[1] not in words:
            raise unknown_name(f"word of {template!r}", found[1], words)
        return words[found[1]].rjust(int(found[2] or 0), "0")

    return re.sub(r"\{(\w+)(?::0>([0-9]))?\}", word, template)


def find_spec(name: str) -> Path:
    """Return the path of a spec: a path, or the name of one in config/labels.

    Raises:
        MissingFileError: there is none.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or path.exists():
        return path
    found = FOLDER / f"{name}.yaml"
    if not found.is_file():
        known = sorted(item.stem for item in FOLDER.glob("*.yaml"))
        if not known:
            raise MissingFileError(
                f"unknown dataset {name!r}: there are no specs in {FOLDER}, which a checkout has: run it there, or give the path "
                "of a spec, see docs/labels.md"
            )
        raise MissingFileError(
            f"{unknown_name('dataset', name, known)}; or give the path of a spec, see docs/labels.md"
        )
    return found


def load_labels(path: Path) -> LabelSpec:
    """Read a spec.

    Raises:
        MissingFileError: there is no such file.
        InputError: it is not YAML, or not a spec.
    """
    from pyvmaf.base.document import problems

    try:
        spec = LabelSpec.model_validate(read_yaml(path))
    except ValidationError as err:
        raise InputError(f"{path} is no spec of labels: {problems(err)}") from err
    if spec.name != path.stem:
        raise InputError(f"{path}: name is {spec.name!r}, but the file is called {path.stem!r}: make them the same")
    return spec
