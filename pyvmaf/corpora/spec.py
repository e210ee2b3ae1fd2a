"""A corpus as data: the file ``config/corpora/{name}.yaml``."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, ValidationError, field_validator, model_validator

from pyvmaf.base.files import read_yaml
from pyvmaf.base.section import Section
from pyvmaf.errors import InputError, MissingFileError, unknown_name
from pyvmaf.video.format import Format

# What may stand in paths and wildcards of the workflow.
KEY_PATTERN = r"^[a-z0-9][a-z0-9_]*$"
_LABEL_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
_SHA256_PATTERN = r"^[0-9a-f]{64}$"
_PLAIN_PATTERN = r"^yuv4(20|22|44)p(10le)?$"
_SIZE_PATTERN = r"^[1-9][0-9]{0,4}x[1-9][0-9]{0,4}$"

Key = Annotated[str, Field(pattern=KEY_PATTERN, max_length=100)]
Label = Annotated[str, Field(pattern=_LABEL_PATTERN, max_length=100)]
Sha256 = Annotated[str, Field(pattern=_SHA256_PATTERN)]
Size = Annotated[str, Field(pattern=_SIZE_PATTERN)]
Column = Literal[
    "group", "source", "clip", "codec", "encoder", "preset", "crf",
    "width", "height", "fps", "bitrate_kbps", "n_frames", "mos", "mos_ci", "mos_std", "n_ratings",
]  # fmt: skip
"""What a log can say about a video beside its features."""


def _one_group(value: str | None) -> str | None:
    if value is not None:
        try:
            groups = re.compile(value).groups
        except re.error as err:
            raise ValueError(f"{value!r} is no regular expression: {err}") from err
        if groups < 1:
            raise ValueError(f"{value!r} has no group: put what is to be taken into parentheses")
    return value


Pattern = Annotated[str | None, AfterValidator(_one_group)]


class Package(Section):
    """A file of a package registry that is fetched for the videos inside of it, and never installed."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Name in the registry.")
    version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+!-]*$", description="Exact version.")
    filename: str = Field(pattern=r"^[^/\\]+\.(whl|zip)$", description="Name of the file that is fetched.")
    sha256: Sha256 = Field(description="SHA-256 of that file.")


class Raw(Section):
    """Format of a file without a header."""

    size: Size = Field(description="Width and height, WxH.")
    pix_fmt: str = Field(default="yuv420p", description="FFmpeg's name of the pixel format.")
    fps: str = Field(
        default="25", pattern=r"^[1-9][0-9]*(/[1-9][0-9]*)?$", description="Frames per second, a fraction."
    )

    def format(self) -> Format:
        """Return the format for the reader."""
        return Format.parse(self.size, self.pix_fmt, self.fps)


class Probe(Section):
    """What `manifest-scan` found the file to be; for people, nothing is computed from it."""

    width: int = Field(gt=0)
    height: int = Field(gt=0)
    pix_fmt: str
    fps: str
    frames: int = Field(gt=0)


class Pinned(Section):
    """A video file of the corpus, and the bytes that it must have."""

    path: str = Field(
        description="The video: relative to the root for a folder, <package>/<member inside the zip> for packages."
    )
    sha256: Sha256 = Field(description="SHA-256 of the video file.")


class Extra(Pinned):
    """A file that is fetched and checked along with the corpus, but is no clip of it."""

    description: str = Field(default="", description="What it is good for.")


class Entry(Pinned):
    """One clip."""

    key: Key = Field(description="Name of the clip: lower-case letters, digits and underscores.")
    source: Label = Field(description="The scene; a split keeps all clips of one scene together.")
    group: Label = Field(description="Something coarser than the scene: the film, the recording session.")
    frames: tuple[int, int] | None = Field(default=None, description="First and last frame, inclusive; all without it.")
    crop: Size | None = Field(
        default=None,
        description="Size WxH to crop to, about the centre. Without it only what is no multiple of the chroma "
        "subsampling is cropped away.",
    )
    scale: Size | None = Field(default=None, description="Size WxH to scale to, after the crop.")
    pix_fmt: str | None = Field(
        default=None,
        pattern=_PLAIN_PATTERN,
        description="Pixel format to convert to; without it the format of the video is kept.",
    )
    mos: float | None = Field(default=None, description="Mean opinion score, where viewers rated the video.")
    raw: Raw | None = Field(default=None, description="Format of a headerless .yuv file.")
    probe: Probe | None = Field(default=None, description="What the file was found to be.")

    @field_validator("frames")
    @classmethod
    def _ordered(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        if value is not None and not 0 <= value[0] <= value[1]:
            raise ValueError(f"frames {value[0]} to {value[1]} are no range: write [first, last], counted from 0")
        return value


class Table(Section):
    """A file of rows, and the bytes that it must have."""

    path: str = Field(min_length=1, description="The file, relative to the root.")
    sha256: Sha256 = Field(description="SHA-256 of the file.")


class Frames(Table):
    """An .npz file of per-frame values: one array [frames, columns] per video, and the names of the columns."""

    where: dict[str, str] = Field(
        default={},
        description="Whose frames it holds: column of the tables to value; all rows where it is empty.",
    )


class FeatureLog(Section):
    """Logs of libvmaf that somebody else made, one row per video, with what viewers said about it."""

    tables: tuple[Table, ...] = Field(min_length=1, description="Tables of pooled values, .csv or .parquet.")
    frames: tuple[Frames, ...] = Field(
        default=(), description="Per-frame values of the same videos (.npz). They are pooled here, and must agree."
    )
    frame_key: str | None = Field(default=None, description="Column of the tables whose values name the npz's arrays.")
    frame_names: str = Field(default="__features__", description="Array of the npz that names the columns.")
    columns: dict[Column, str | tuple[str, ...]] = Field(
        description="Column of a training table to the log's column that it is taken from; of several columns the "
        "values are joined with '/'. source, clip and codec are needed."
    )
    features: dict[str, str] = Field(
        default={}, description="Feature's name in the log to its training name; equal names need no entry."
    )
    codecs: dict[str, str] = Field(
        default={},
        description="Codec as the log writes it to the encoder that it stands for; names and aliases of encoders need "
        "no entry.",
    )
    mos_scale: tuple[float, float] = Field(
        default=(1.0, 5.0),
        description="Ends of the scale of opinion scores. They are mapped linearly to 1 to 5, their intervals with them.",
    )
    teacher: str = Field(
        min_length=1, description="What computed the log's VMAF. Tables of different teachers are not put together."
    )
    unit: Literal["clip", "frame"] = Field(
        default="clip", description="What a row of the training table is: a video, or a frame of `frames`."
    )
    max_bad_share: float = Field(
        default=0.05, ge=0, lt=1, description="Refuse a log where more than this share of rows cannot be used."
    )

    @model_validator(mode="after")
    def _complete(self) -> FeatureLog:
        missing = [name for name in ("source", "clip", "codec") if name not in self.columns]
        if missing:
            raise ValueError(f"columns lacks {', '.join(missing)}: say which columns of the log they are")
        if self.unit == "frame" and not self.frames:
            raise ValueError("unit: frame needs frames, the files of per-frame values")
        if self.frames and self.frame_key is None:
            raise ValueError("frames need frame_key, the column whose values name the arrays")
        if self.mos_scale[0] >= self.mos_scale[1]:
            raise ValueError(f"mos_scale {list(self.mos_scale)} is no scale: write [lowest, highest]")
        return self


class EncodeRows(Section):
    """Rows of vmaf-tune's corpus (JSON Lines, schema versions 1 to 3), one per encode or one per frame."""

    files: tuple[Table, ...] = Field(min_length=1, description="The .jsonl files; of equal encodes the first counts.")
    source: Pattern = Field(
        default=None,
        description="Regular expression whose first group, found in `src`, is the source; its stem without.",
    )
    group: Pattern = Field(
        default=None,
        description="Regular expression whose first group, found in `src`, is the group; the source without.",
    )
    teacher: str | None = Field(
        default=None, min_length=1, description="What computed the VMAF; null: what the rows say in vmaf_model."
    )
    max_bad_share: float = Field(
        default=0.05,
        ge=0,
        lt=1,
        description="Refuse files where more than this share of lines is damaged. Rows without features do not count: "
        "they are left out and counted.",
    )


class Corpus(Section):
    """A corpus: a name, where its videos come from, and its clips; or tables that were made elsewhere."""

    name: Key = Field(description="Name of the corpus; the file is called {name}.yaml.")
    kind: Literal["packages", "folder", "feature-log", "corpus-jsonl"] = Field(
        description="packages: videos inside files of a package registry. folder: videos in a directory. feature-log: "
        "tables of libvmaf features and opinion scores. corpus-jsonl: rows of vmaf-tune's corpus."
    )
    license: str = Field(description="Licence of the videos.")
    description: str = Field(default="", description="What the corpus is.")
    packages: tuple[Package, ...] = Field(default=(), description="Files to fetch (kind packages).")
    root: str | None = Field(
        default=None,
        description="Folder of the videos or tables, relative to this file or absolute (every kind but packages).",
    )
    extras: tuple[Extra, ...] = Field(default=(), description="Files to fetch that are no clips.")
    entries: tuple[Entry, ...] = Field(default=(), description="The clips (kinds packages and folder).")
    log: FeatureLog | None = Field(default=None, description="The tables (kind feature-log).")
    rows: EncodeRows | None = Field(default=None, description="The rows (kind corpus-jsonl).")

    @model_validator(mode="after")
    def _consistent(self) -> Corpus:
        seen: set[str] = set()
        for entry in self.entries:
            if entry.key in seen:
                raise ValueError(f"two entries have the key {entry.key!r}: keys name files, so each may occur once")
            seen.add(entry.key)
        made = {"feature-log": "log", "corpus-jsonl": "rows"}
        for kind, key in made.items():
            if (getattr(self, key) is None) == (self.kind == kind):
                raise ValueError(f"a {kind} corpus has the key {key!r}, and no other has")
        if self.kind in made:
            if self.root is None or self.packages or self.entries or self.extras:
                raise ValueError(f"a {self.kind} corpus has a root and no packages, entries or extras")
            return self
        if not self.entries:
            raise ValueError("entries: a corpus of videos has at least one clip")
        if self.kind == "folder" and (self.root is None or self.packages):
            raise ValueError("a folder corpus has a root and no packages")
        if self.kind == "packages":
            if self.root is not None or not self.packages:
                raise ValueError("a packages corpus has packages and no root")
            names = {package.name for package in self.packages}
            for item in self.pinned:
                if item.path.partition("/")[0] not in names:
                    raise ValueError(f"path {item.path!r} must start with one of the packages: {', '.join(names)}")
        return self

    @property
    def pinned(self) -> tuple[Pinned | Table, ...]:
        """Every file: those of the entries and the extras, or the tables."""
        log = () if self.log is None else (*self.log.tables, *self.log.frames)
        return (*self.entries, *self.extras, *log, *(() if self.rows is None else self.rows.files))

    def entry(self, key: str) -> Entry:
        """The clip of that name.

        Raises:
            InputError: there is none.
        """
        for entry in self.entries:
            if entry.key == key:
                return entry
        raise unknown_name(f"clip of corpus {self.name}", key, [entry.key for entry in self.entries])


def find_corpus(name: str | os.PathLike[str]) -> Path:
    """The file of a corpus that is given by path or by name.

    A name stands for ``config/corpora/{name}.yaml`` in the working directory.

    Raises:
        MissingFileError: there is no such file.
        InputError: there is no corpus of that name.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or path.parent != Path():
        if not path.is_file():
            raise MissingFileError(f"no such corpus file: {path}")
        return path
    folder = Path("config") / "corpora"
    found = folder / f"{path}.yaml"
    if not found.is_file():
        names = sorted(item.stem for item in folder.glob("*.yaml"))
        if not names:
            raise MissingFileError(f"no corpus {path}: there is no {found} here; give the path of a corpus file")
        raise unknown_name("corpus", str(name), names)
    return found


def load_corpus(path: str | os.PathLike[str]) -> Corpus:
    """Read and check a corpus file.

    Raises:
        MissingFileError: there is no such file.
        InputError: it is no YAML, or a key or value is wrong; the message names file, place and the nearest key.
    """
    try:
        return Corpus.model_validate(read_yaml(path))
    except ValidationError as err:
        raise InputError(f"{os.fspath(path)}: {_explain(err)}") from err


_PARTS: dict[str, type[BaseModel]] = {
    "packages": Package,
    "entries": Entry,
    "extras": Extra,
    "raw": Raw,
    "probe": Probe,
    "log": FeatureLog,
    "rows": EncodeRows,
    "tables": Table,
    "files": Table,
    "frames": Frames,
}


def _explain(error: ValidationError) -> str:
    """The first few problems, each with its place."""
    problems = []
    for item in error.errors(include_url=False)[:3]:
        where = ".".join(str(part) for part in item["loc"]) or "the file"
        if item["type"] == "extra_forbidden":
            problems.append(f"unknown key {where!r}{_nearest(item['loc'])}")
        elif item["type"] == "missing":
            problems.append(f"key {where!r} is missing")
        else:
            given = "" if isinstance(item["input"], dict | list) or not item["loc"] else f" (it is {item['input']!r})"
            problems.append(f"{where}: {item['msg'].removeprefix('Value error, ')}{given}")
    more = error.error_count() - len(problems)
    return "; ".join(problems) + (f"; and {more} more" if more else "")


def _nearest(place: tuple[int | str, ...]) -> str:
    parents = [part for part in place[:-1] if isinstance(part, str)]
    model: Any = _PARTS.get(parents[-1], Corpus) if parents else Corpus
    near = difflib.get_close_matches(str(place[-1]), list(model.model_fields), n=1)
    return f": did you mean {near[0]!r}?" if near else f": valid are {', '.join(model.model_fields)}"
