"""A corpus as data: the file ``config/corpora/{name}.yaml``."""

from __future__ import annotations

import difflib
import importlib
import math
import os
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, cast, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from pyvmaf import corpora
from pyvmaf.base.code import Uses
from pyvmaf.base.files import read_yaml
from pyvmaf.base.opinion import check_on_scale
from pyvmaf.base.roots import check_root
from pyvmaf.base.section import Section
from pyvmaf.corpora import Ratings
from pyvmaf.corpora.dataset import Dataset
from pyvmaf.errors import InputError, MissingFileError, unknown_name
from pyvmaf.errors import shown as cut
from pyvmaf.video.format import Format

if TYPE_CHECKING:
    from pyvmaf.corpora.manifest import CorpusClip

# What may stand in paths and wildcards of the workflow.
KEY_PATTERN = r"^[a-z0-9][a-z0-9_]*$"
NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]*$"
LABEL_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*( [A-Za-z0-9._-]+)*$"
_SHA256_PATTERN = r"^[0-9a-f]{64}$"
_PLAIN_PATTERN = r"^yuv4(20|22|44)p(10le)?$"
_SIZE_PATTERN = r"^[1-9][0-9]{0,4}x[1-9][0-9]{0,4}$"


def _expandable(root: str) -> str:
    check_root(root)
    return root


Key = Annotated[str, Field(pattern=KEY_PATTERN, max_length=100)]
Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=100)]
FileName = Annotated[str, StringConstraints(strip_whitespace=False)]
"""The path of a file, which may begin and end with blanks."""

Root = Annotated[FileName, AfterValidator(_expandable), Field(min_length=1)]
"""Folder of the files: relative to the corpus file, absolute, or beginning with `pyvmaf.base.roots.DATASETS`."""

Label = Annotated[str, Field(pattern=LABEL_PATTERN, max_length=100)]
Sha256 = Annotated[str, Field(pattern=_SHA256_PATTERN)]
Size = Annotated[str, Field(pattern=_SIZE_PATTERN)]


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
    """The format that `manifest-scan` read from the file; for people, nothing is computed from it."""

    width: int = Field(gt=0)
    height: int = Field(gt=0)
    pix_fmt: str
    fps: str
    frames: int = Field(gt=0)


class Pinned(Section):
    """A file of the corpus, and the bytes that it must have."""

    path: FileName = Field(
        min_length=1,
        description="The file: relative to the root, or <package>/<member inside the zip> for packages.",
    )
    sha256: Sha256 = Field(description="SHA-256 of the file.")


class Extra(Pinned, Section):
    """A file that is fetched and checked with the corpus, but is not a clip of it."""

    description: str = Field(default="", description="Purpose of the file.")


class Rated(Section):
    """The opinion score of a video. It is a label: a change of it makes no clip, encode or feature again."""

    mos: float | None = Field(
        default=None, description="Mean opinion score, if viewers rated the video; on the corpus's `mos_scale`."
    )
    mos_std: float | None = Field(
        default=None, ge=0, description="Standard deviation of the ratings that the score is the mean of."
    )
    n_ratings: int | None = Field(default=None, ge=1, description="Number of those ratings.")

    @model_validator(mode="after")
    def _rated_if_described(self) -> Self:
        if self.mos is None and (self.mos_std is not None or self.n_ratings is not None):
            raise ValueError("mos_std and n_ratings describe a mos, which is missing: add it, or leave them out")
        return self


class Entry(Pinned, Rated, Section):
    """One clip."""

    key: Key = Field(description="Name of the clip: lower-case letters, digits and underscores.")
    source: Label = Field(description="The scene; a split keeps all clips of one scene together.")
    group: Label = Field(description="Something coarser than the scene: the film, the recording session.")
    frames: tuple[int, int] | None = Field(default=None, description="First and last frame, inclusive; all by default.")
    crop: Size | None = Field(
        default=None,
        description="Size WxH to crop to, about the centre; by default the next smaller multiple of the chroma "
        "subsampling.",
    )
    scale: Size | None = Field(default=None, description="Size WxH to scale to, after the crop.")
    pix_fmt: str | None = Field(
        default=None,
        pattern=_PLAIN_PATTERN,
        description="Pixel format to convert to; by default that of the video.",
    )
    raw: Raw | None = Field(default=None, description="Format of a headerless .yuv file.")
    stream: int | None = Field(
        default=None,
        ge=0,
        description="Which video stream of a file that has several, counted from 0; by default FFmpeg's choice.",
    )
    probe: Probe | None = Field(default=None, description="Format of the file.")

    @field_validator("frames")
    @classmethod
    def _ordered(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        if value is not None and not 0 <= value[0] <= value[1]:
            raise ValueError(f"frames {value[0]} to {value[1]} are not a range: write [first, last], counted from 0")
        return value


class Corpus(Section):
    """Keys of every corpus. Each kind adds its own (`pyvmaf.corpora.KINDS`)."""

    name: Name = Field(
        description="Name of the corpus: lower-case letters, digits, hyphens and underscores; the file is called {name}.yaml."
    )
    kind: str = Field(description="Kind of the corpus.")
    license: str = Field(description="Licence of the files.")
    description: str = Field(default="", description="Description of the corpus.")
    dataset: Dataset | None = Field(
        default=None, description="For published datasets: what they are for, and where the files come from."
    )

    @property
    @abstractmethod
    def pinned(self) -> tuple[Pinned, ...]:
        """Every file of the corpus with its hash."""

    @property
    def uses(self) -> Uses:
        """What a verb that reads this corpus uses in addition to its imports."""
        return corpora.kind(self.kind).uses

    @property
    def skipped(self) -> float:
        """The largest share of a shard's encodes or pairs that may be skipped because they cannot be measured."""
        return 0.0

    @property
    def skips(self) -> bool:
        """Whether files that cannot be measured are skipped."""
        return False

    def ratings(self) -> Ratings:
        """Return the opinion scores of its clips and their rungs; none by default."""
        return Ratings(None, {})

    @abstractmethod
    def home(self, corpus_file: Path, fetched: Path) -> Path:
        """Return the folder that the paths of its files start from.

        Args:
            corpus_file: its YAML file.
            fetched: the folder that `fetch` fills.
        """


class VideoCorpus(Corpus, Section):
    """Keys of a corpus that holds videos."""

    extras: tuple[Extra, ...] = Field(default=(), description="Files that are checked with the clips but are no clips.")
    entries: tuple[Entry, ...] = Field(min_length=1, description="The clips.")
    max_clips: int | None = Field(
        default=None, ge=1, description="Use only so many clips, of pairs so many references: the first ones."
    )
    on_error: Literal["stop", "skip"] = Field(
        default="stop",
        description="Files that cannot be prepared, encoded or measured: stop the run, or skip them and list each with its "
        "reason.",
    )
    max_failed_share: float = Field(
        default=0.05,
        ge=0,
        lt=1,
        description="With `on_error: skip`, the largest share of clips, and of the encodes or pairs of a codec, that may be "
        "skipped.",
    )
    mos_scale: tuple[float, float] | None = Field(
        default=None,
        description="Ends of the scale of the opinion scores, [lowest, highest]: [1, 5] for absolute category rating. "
        "Required if a video has a score. Higher is better.",
    )

    @property
    def skipped(self) -> float:
        """The largest share of a shard's encodes or pairs that may be skipped."""
        return self.max_failed_share if self.skips else 0.0

    @property
    def skips(self) -> bool:
        """Whether files that cannot be measured are skipped."""
        return self.on_error == "skip"

    def ratings(self) -> Ratings:
        """Return the opinion scores of its clips and their rungs."""
        return Ratings.of(self.model_dump(mode="json"))

    @property
    def rated(self) -> Iterator[tuple[str, Rated]]:
        """Everything that may have an opinion score, with its name."""
        yield from ((entry.key, entry) for entry in self.entries)

    @model_validator(mode="after")
    def _scores_on_a_scale(self) -> Self:
        low, high = self.mos_scale or (0, 1)
        if not -math.inf < low < high < math.inf:
            raise ValueError(f"mos_scale {[low, high]} is not a scale: write [lowest, highest]")
        for name, item in self.rated:
            if item.mos is None:
                continue
            if self.mos_scale is None:
                raise ValueError(
                    f"{name} has mos {item.mos:g}, but the corpus does not say on which scale: add mos_scale, for example "
                    "[1, 5] or [0, 100]"
                )
            try:
                check_on_scale(item.mos, self.mos_scale)
            except InputError as err:
                raise ValueError(f"{name}: {err}") from err
        return self

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        seen: set[str] = set()
        for entry in self.entries:
            if entry.key in seen:
                raise ValueError(f"two entries have the key {entry.key!r}: keys name files, so each may occur once")
            seen.add(entry.key)
        return self

    @property
    def pinned(self) -> tuple[Pinned, ...]:
        """The videos of the clips, and the extras."""
        return (*self.entries, *self.extras)

    @property
    def taken(self) -> tuple[Entry, ...]:
        """The clips that are used."""
        return self.entries[: self.max_clips]

    def entry(self, key: str) -> Entry:
        """Return the clip with this key.

        Raises:
            InputError: there is no such clip.
        """
        for entry in self.entries:
            if entry.key == key:
                return entry
        raise unknown_name(f"clip of corpus {self.name}", key, [entry.key for entry in self.entries])

    def clip_paths(self, folder: Path, keys: Sequence[str] = ()) -> dict[str, Path]:
        """Return the file of each clip in a folder of prepared clips, by key; of all clips that are used if no keys are given.

        Raises:
            InputError: there is no such clip.
        """
        return {key: folder / f"{self.entry(key).key}.mkv" for key in keys or [entry.key for entry in self.taken]}

    def collected(self, root: Path) -> tuple[dict[str, Path], dict[str, CorpusClip], dict[str, str]] | None:
        """Return the clips that are used where they lie, see `pyvmaf.corpora.references`; None if clips are prepared."""
        return None


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


def spec_class(kind: str) -> type[Corpus]:
    """Return the class that describes the YAML files of a kind.

    Raises:
        InputError: there is no such kind.
    """
    return cast("type[Corpus]", importlib.import_module(corpora.kind(kind).module).Spec)


def parse_corpus(data: Mapping[str, Any]) -> Corpus:
    """Return the corpus that a mapping of keys describes.

    Raises:
        InputError: a key or value is wrong; the message names its place and the nearest key.
    """
    if not isinstance(data.get("kind"), str):
        raise InputError(f"key 'kind' is missing: it is one of {', '.join(corpora.KINDS)}")
    model = spec_class(data["kind"])
    try:
        return model.model_validate(data)
    except ValidationError as err:
        raise InputError(_explain(err, model)) from err


def load_corpus(path: str | os.PathLike[str]) -> Corpus:
    """Read and check a corpus file.

    Raises:
        MissingFileError: there is no such file.
        InputError: it is not YAML, or a key or value is wrong; the message names file, place and the nearest key.
    """
    data = read_yaml(path)
    try:
        return parse_corpus(data)
    except InputError as err:
        raise InputError(f"{os.fspath(path)}: {err}") from err


def load_videos(path: str | os.PathLike[str]) -> VideoCorpus:
    """Read and check the file of a corpus that holds videos.

    Raises:
        MissingFileError: there is no such file.
        InputError: as `load_corpus`, or the corpus does not hold videos, or was not scanned yet.
    """
    corpus = load_corpus(path)
    if isinstance(corpus, VideoCorpus) and not corpus.entries:
        raise InputError(corpora.not_scanned(os.fspath(path), corpus.model_dump(mode="json")))
    if not isinstance(corpus, VideoCorpus):
        raise InputError(
            f"{os.fspath(path)} is a corpus of kind {corpus.kind}, which does not hold videos: its tables are read with "
            "vmaf-train import-table"
        )
    return corpus


def _explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Describe the first problems, each with its place."""
    problems = []
    for item in error.errors(include_url=False)[:3]:
        where = ".".join(str(part) for part in item["loc"]) or "the file"
        if item["type"] == "extra_forbidden":
            problems.append(f"unknown key {cut(where)}{_nearest(item['loc'], model)}")
        elif item["type"] == "missing":
            problems.append(f"key {where!r} is missing")
        else:
            shown = (
                "" if isinstance(item["input"], dict | list) or not item["loc"] else f" (it is {cut(item['input'])})"
            )
            problems.append(f"{where}: {item['msg'].removeprefix('Value error, ')}{shown}")
    more = error.error_count() - len(problems)
    return "; ".join(problems) + (f"; and {more} more" if more else "")


def _nearest(place: tuple[int | str, ...], model: type[BaseModel]) -> str:
    for part in place[:-1]:
        if part in model.model_fields:
            model = _section(model.model_fields[str(part)].annotation) or model
    near = difflib.get_close_matches(str(place[-1]), list(model.model_fields), n=1)
    return f": did you mean {near[0]!r}?" if near else f": valid are {', '.join(model.model_fields)}"


def _section(annotation: Any) -> type[BaseModel] | None:
    """Return the section inside a type such as ``tuple[Entry, ...] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((section for inner in get_args(annotation) if (section := _section(inner))), None)
