"""The workflow's configuration: one tree of classes from which everything that describes it is generated.

`Config` gives ``workflow/schemas/config.schema.yaml`` (which the Snakefile validates against, without importing
this module), the commented default ``config/config.yaml`` and ``config/README.md``. The schemas of corpus and
model files are generated here too. ``vmaf-train config --write`` writes them; a test fails when they drift.
"""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Self, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from pyvmaf.base import layout
from pyvmaf.base.files import read_bytes, read_yaml, sha256_bytes, write_text
from pyvmaf.base.section import Section
from pyvmaf.encodes import distortion
from pyvmaf.engines import AUTO, engine_name
from pyvmaf.errors import InputError, shown
from pyvmaf.features.catalog import DEFAULT_FEATURES, DEFAULT_MODEL, select
from pyvmaf.frames.spec import PictureSet
from pyvmaf.labels.keyed import Key
from pyvmaf.labels.scales import scale_map

_MOST_THREADS = 1024

CONFIGURATION = "config/config.yaml"
"""The one generated file that people edit."""

_MARK = "# As it was generated, the lines below have the SHA-256 "
_DIGITS = 16

SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
"""A name that becomes part of paths."""

Recipe = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$")]
"""A name between the preset and the CRF in the name of a rung."""


class Ladder(Section):
    """The distorted versions of a clip. A ladder of an encoder has one for each preset and CRF."""

    distortion: str = Field(
        default="encoder",
        description="Kind of distortion: encoder, filter (an FFmpeg filter, stored lossless), or identity (the clip itself, "
        "for features that need no reference).",
    )

    corpora: list[Name] | None = Field(
        default=None,
        min_length=1,
        description="Corpora of the run whose clips get this ladder; null: all that are encoded.",
    )
    encoder: str | None = Field(default=None, description="FFmpeg encoder; null: the ladder's own name is the encoder.")
    presets: list[str | int] = Field(default=[], description="Presets, as the encoder spells them.")
    crfs: list[int] = Field(default=[], description="Quality numbers (CRF; QP for libvvenc), lower is better.")
    bit_depth: Literal[8, 10] | None = Field(
        default=None, description="Bits per sample; null: those of the reference, or the only ones of the encoder."
    )
    extra: list[str] = Field(default=[], description="Further FFmpeg options for the encode, as alternating words.")
    recipes: dict[Recipe, Annotated[list[str], Field(min_length=2)]] = Field(
        default={},
        description="Sets of options to try, by name: each preset and CRF is also encoded with the options of each recipe, in "
        "addition to `extra`; `analyze-sweep` compares recipes with the bare encoder.",
    )
    strengths: list[Annotated[float, Field(ge=0)]] = Field(
        default=[], description="Strengths of a distortion without an encoder, higher is worse."
    )
    settings: dict[Name, str] = Field(
        default={},
        description="Settings of a distortion without an encoder: for a filter, `filter: 'gblur=sigma={strength}'`.",
    )


class LabelFile(Section):
    """A published file of opinion scores, and the videos that it is of."""

    file: str = Field(
        min_length=1, description="The label file, as its authors publish it; relative to the working folder."
    )
    dataset: Name | None = Field(
        default=None, description="The dataset: a file in `config/labels`. null: the name here is that of the dataset."
    )
    videos: str | None = Field(
        default=None,
        min_length=1,
        description="Folder of the dataset's videos; each is hashed and its header read. null: rows say nothing of files.",
    )
    max_missing_share: float = Field(
        default=0.1, ge=0, le=1, description="Largest share of the videos that may be absent or unreadable."
    )


class TableLabels(Section):
    """Labels that rate the rows of a table."""

    datasets: list[Name] = Field(
        min_length=1, description="Names from `labels`, or `aggregated`: all of them on 0 to 100, each video once."
    )
    corpora: list[Name] | None = Field(
        default=None, min_length=1, description="Corpora whose rows are rated; null: all of the table."
    )
    feature_key: str = Field(default="clip", min_length=1, description="Column of the table that names the video.")
    feature_key_regex: str | None = Field(
        default=None, description="The part of it that is the key: a regular expression with one group."
    )
    label_key: str = Field(default="src", min_length=1, description="Key of the labels that names the video.")
    label_key_regex: str | None = Field(default=None, description="The part of it that is the key.")

    @model_validator(mode="after")
    def _keys_with_one_group(self) -> Self:
        Key.of(self.feature_key, self.feature_key_regex)
        Key.of(self.label_key, self.label_key_regex)
        return self


class Images(Section):
    """Images that become pictures."""

    source: str = Field(
        min_length=1,
        description="A folder of images, or a list (.csv) with the column image and perhaps mask, source, group, mos, "
        "mos_std, n_ratings; relative to the working folder.",
    )
    root: str | None = Field(
        default=None, description="Folder from which the paths in a list start; null: that of the list."
    )
    masks: str | None = Field(
        default=None,
        description="Folder of masks with the stems of a folder's images; null: none, or that of a data set laid out as DUTS.",
    )
    mos: str | None = Field(
        default=None, description="Opinion scores of a folder's images, with the columns key and mos."
    )
    mos_scale: tuple[float, float] | None = Field(
        default=None, description="Scale of the opinion scores, [lowest, highest]."
    )


class Table(Section):
    """Which shards a training table is put together from."""

    corpora: list[Name] | None = Field(
        default=None,
        description="Corpora; null: all of `corpora` that hold videos. Imported tables have to be named. Only a table of "
        "images may have none.",
    )
    codecs: list[Name] | None = Field(
        default=None, min_length=1, description="Ladders of those that hold videos; null: all of `codecs`."
    )
    unit: Literal["frame", "clip"] = Field(
        default="frame", description="What a row is: a frame, or a clip with its frames pooled."
    )
    mos_scale: tuple[float, float] | None = Field(
        default=None,
        description="Scale that opinion scores are mapped to, [1, 5] or [0, 100]; the native ones are kept in "
        "`mos_native`. null: they stay as they are, and have to be on one scale.",
    )
    mos_maps: dict[Name, str] = Field(
        default={},
        description="Corpora whose scores do not take the usual map: corpus to the name of one in "
        "`pyvmaf/labels/scales.py` (`0-100-dmos` for scores where higher is worse).",
    )

    pictures: Name | None = Field(
        default=None, description="Rows are pictures, those of this name in `pictures`; null: they are frames or clips."
    )
    images: list[Name] = Field(
        default=[], description="Names from `images` whose pictures are in the table, too; with `corpora: []` alone."
    )
    mixed_engines: bool = Field(
        default=False,
        description="Allow rows that engines of other numbers measured: of libvmaf-cuda beside those of the processor.",
    )
    labels: TableLabels | None = Field(
        default=None,
        description="Opinion scores from label files, `{datasets: [konvid-1k]}`: datasets (names from `labels`, or "
        "`aggregated`), corpora, feature_key (`clip`) and label_key (`src`), feature_key_regex and label_key_regex. null: "
        "those of the corpora.",
    )

    @model_validator(mode="after")
    def _has_rows(self) -> Self:
        if self.images and self.pictures is None:
            raise ValueError("images are pictures: say which, pictures: a name from `pictures`")
        if self.pictures is not None and self.unit != "frame":
            raise ValueError(f"rows are pictures, not {self.unit}s: leave unit out")
        if self.corpora == [] and not self.images:
            raise ValueError("a table needs corpora, or images")
        return self

    @model_validator(mode="after")
    def _maps_to_a_scale(self) -> Self:
        if self.mos_maps and self.mos_scale is None:
            raise ValueError("mos_maps map opinion scores to mos_scale: set it, for example [0, 100]")
        for name in self.mos_maps.values():
            scale_map(name)
        if self.mos_scale is not None and not self.mos_scale[0] < self.mos_scale[1]:
            raise ValueError(f"mos_scale {list(self.mos_scale)} is not a scale: write [lowest, highest]")
        return self


class Report(Section):
    """What the page shows."""

    points: int = Field(default=400, ge=10, description="Most points per fold in the scatter plots.")


class Threads(Section):
    """CPU threads of the rules that can use more than one, and of those that must not."""

    encode_rung: int = Field(
        default=1,
        ge=1,
        le=_MOST_THREADS,
        description="One encode. Some encoders write other bytes with another count, so it counts as content.",
    )
    extract_features: int = Field(
        default=2, ge=1, le=_MOST_THREADS, description="Features of one ladder, one context per thread."
    )
    fit_model: int = Field(
        default=1,
        ge=1,
        le=_MOST_THREADS,
        description="Training of one seed, all folds at once; more threads do not help.",
    )


_LADDERS = {
    "libx264": Ladder(presets=["medium"], crfs=[23, 30, 37, 44]),
    "libx265": Ladder(presets=["medium"], crfs=[24, 31, 38, 45]),
    "libsvtav1": Ladder(presets=["8"], crfs=[35, 48, 57, 63]),
    "libvvenc": Ladder(presets=["faster"], crfs=[27, 34, 41, 48]),
    "libvpx-vp9": Ladder(presets=["good"], crfs=[34, 46, 56, 63]),
}


class Config(Section):
    """Everything that the default run can be told."""

    corpora: list[Name] = Field(
        default=["embedded"],
        min_length=1,
        description="Corpora to use: names of files in `corpora_folder`, or of those that come with the workflow.",
    )
    codecs: list[Name] = Field(
        default=list(_LADDERS),
        min_length=1,
        description="Ladders to encode every clip with: names from `ladders`.",
    )
    models: list[Name] = Field(
        default=["fr_regressor_v1", "fr_regressor_v2", "vmaf_tiny_v2"],
        description="Models to train: names of files in `models_folder`, or of those that come with the workflow. []: none; the "
        "run ends with its tables.",
    )
    checkpoints: list[Name] = Field(
        default=[],
        description="Published checkpoints to convert and register: names of model files of kind `imported`, such as "
        "transnet_v2 and u2netp.",
    )
    seeds: list[Annotated[int, Field(ge=0, lt=1 << 32)]] | None = Field(
        default=None, min_length=1, description="Seeds to train each model with; null: what each model's file says."
    )
    quantized: list[Name] | None = Field(
        default=None, description="Int8 variants to make of each model; null: all that its file names; []: none."
    )
    features: str | list[str] = Field(
        default=DEFAULT_FEATURES, description="Features to measure: a set (canonical6, full, k150k) or a list of names."
    )
    teacher: str = Field(
        default=DEFAULT_MODEL, description="VMAF model whose per-frame scores are the training target."
    )
    backend: Name = Field(
        default=AUTO,
        description=(
            "Engine that computes features: auto (own kernels where they give libvmaf's bits, else libvmaf), or cpu (libvmaf "
            "alone). Both give the same tables. libvmaf-cuda, in a build with CUDA, has numbers of its own (docs/cuda.md)."
        ),
    )
    backends: dict[Name, Name] = Field(
        default={}, description="Engines of single corpora: corpus to backend; the others are measured with `backend`."
    )
    ffmpeg: str = Field(
        default="embedded",
        min_length=1,
        description="FFmpeg that encodes: embedded (the one of imageio-ffmpeg), system (the one on PATH), or a path.",
    )
    cache: str = Field(
        default=layout.CACHE,
        min_length=1,
        description="Folder of the feature cache; on a cluster one that all nodes see. Moving it rebuilds nothing.",
    )
    corpora_folder: str = Field(
        default="config/corpora",
        description="Where {corpus}.yaml are looked for first; relative to the working folder.",
    )
    models_folder: str = Field(
        default="config/models", description="Where {model}.yaml are looked for first; relative to the working folder."
    )
    ladders: dict[Name, Ladder] = Field(
        default=_LADDERS,
        description="How each codec encodes. Only the ladders named in `codecs` are made.",
    )
    pictures: dict[Name, PictureSet] = Field(
        default={},
        description="Pictures for models that look at pixels: which frames, their size, crop and colour, by name. Only those "
        "that a table asks for are taken.",
    )
    images: dict[Name, Images] = Field(
        default={}, description="Folders and lists of images by name. Only those that a table asks for are read."
    )
    tables: dict[Name, Table] = Field(
        default={"default": Table()},
        description="Training tables by name. Only the tables that a model asks for are made.",
    )
    labels: dict[Name, LabelFile] = Field(
        default={},
        description="Published files of opinion scores by dataset. Only those that a table asks for are read.",
    )
    report: Report = Field(default=Report(), description="What the page shows.")
    threads: Threads = Field(default=Threads(), description="Threads per rule; `--cores` caps them.")


def load(path: Path) -> Config:
    """The configuration in a YAML file; keys that it leaves out have their defaults.

    Raises:
        MissingFileError: there is no such file.
        InputError: it is not YAML, or a key or value is not allowed: also an encoder, preset or CRF of a ladder.
        UnavailableError: this build does not have the backend.
    """
    try:
        config = Config.model_validate(read_yaml(path))
    except ValidationError as err:
        raise InputError(f"{path}: {_explain(err)}") from err
    try:
        for backend in (config.backend, *config.backends.values()):
            engine_name(backend)
        select(config.features)
        for name, ladder in config.ladders.items():
            distortion.kind(ladder.distortion).ladder(name, ladder.model_dump(mode="json"))
    except InputError as err:
        raise InputError(f"{path}: {err}") from err
    return config


def _explain(err: ValidationError) -> str:
    problems = []
    for item in err.errors(include_url=False):
        where = ".".join(map(str, item["loc"])) or "the file"
        if item["type"] == "extra_forbidden":
            valid = list(_fields_at(Config, item["loc"][:-1]))
            near = difflib.get_close_matches(str(item["loc"][-1]), valid, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}? " if near else ""
            problems.append(f"unknown key {shown(where)}: {hint}valid: {', '.join(valid)}")
        else:
            problems.append(f"{where} = {shown(item['input'])}: {item['msg']}")
    return "; ".join(problems)


def _fields_at(section: type[Section], loc: tuple[int | str, ...]) -> Iterator[str]:
    """Names of the keys at a place of the tree, as pydantic names places."""
    for part in loc:
        if part in section.model_fields:
            section = _section(section.model_fields[str(part)]) or section
    yield from section.model_fields


def _section(field: FieldInfo) -> type[Section] | None:
    """The class of a field that is a section, or a mapping of names to sections."""
    kind = field.annotation
    if get_origin(kind) is dict:
        kind = get_args(kind)[1]
    return kind if isinstance(kind, type) and issubclass(kind, Section) else None


# --- what is generated -------------------------------------------------------------------------------------------


def documents() -> dict[str, str]:
    """Every generated file: path below the repository → content."""
    from pyvmaf.base import documents as table

    return {
        CONFIGURATION: default_yaml(),
        "config/README.md": readme(),
        **schemas(),
        **{f"docs/schemas/{name}.schema.json": table.schema_json(name) for name in table.DOCUMENTS},
    }


def schemas() -> dict[str, str]:
    """The schemas that a plan checks its files against: path below the repository → content."""
    return {
        "workflow/schemas/config.schema.yaml": schema_yaml(Config, "Configuration of the workflow"),
        "workflow/schemas/corpus.schema.yaml": corpus_schema_yaml(),
        "workflow/schemas/model.schema.yaml": model_schema_yaml(),
    }


def write_documents(folder: Path) -> list[Path]:
    """Write every generated file, unless the configuration there was edited.

    Args:
        folder: the repository, or another folder for the files.

    Returns:
        The files.

    Raises:
        InputError: ``config/config.yaml`` exists and is not as it was generated; nothing is written.
    """
    files = {folder / name: text for name, text in documents().items()}
    configuration = folder / CONFIGURATION
    if configuration.exists() and not _is_generated(configuration):
        raise InputError(
            f"{configuration} was edited since it was generated, and would be replaced: move your values to a file of your "
            f"own (snakemake --configfile mine.yaml) and remove {configuration}, or give --write another folder; nothing was "
            "written"
        )
    for path, text in files.items():
        write_text(path, text)
    return list(files)


def _is_generated(path: Path) -> bool:
    """Return whether a configuration is as it was generated, by this version or another one."""
    text = read_bytes(path).decode(errors="replace")
    first, _, rest = text.partition("\n")
    if first.startswith(_MARK):
        # The mark alone is wrong where two branches were merged: then the lines are those that are generated now.
        return first == _MARK + sha256_bytes(rest.encode())[:_DIGITS] or rest == default_yaml().partition("\n")[2]
    # The first versions did not mark what they generated.
    try:
        return Config.model_validate(read_yaml(path)) == Config()
    except (InputError, ValidationError):
        return False


def schema_yaml(model: type[BaseModel], title: str) -> str:
    """The JSON schema of `model` as YAML, with references resolved so that each key is described where it stands."""
    return _generated({"$schema": SCHEMA_DIALECT, "title": title, **_inlined(model)})


def corpus_schema_yaml() -> str:
    """The JSON schema of corpus files as YAML: an alternative per kind, chosen by ``kind``."""
    from pyvmaf.corpora import KINDS
    from pyvmaf.corpora.spec import spec_class

    return _generated(
        {
            "$schema": SCHEMA_DIALECT,
            "title": "A corpus: config/corpora/{corpus}.yaml",
            "discriminator": {"propertyName": "kind"},
            "oneOf": [_inlined(spec_class(kind)) for kind in KINDS],
        }
    )


def model_schema_yaml() -> str:
    """The JSON schema of model files as YAML: an alternative per family, chosen by ``kind``.

    Each alternative has the further key ``reads``: the keys of the file that each step of the workflow reads.
    """
    from pyvmaf.base.families import FAMILIES
    from pyvmaf.models.spec import spec_class

    classes = dict.fromkeys(spec_class(kind) for kind in FAMILIES)
    return _generated(
        {
            "$schema": SCHEMA_DIALECT,
            "title": "A model: config/models/{model}.yaml",
            "discriminator": {"propertyName": "kind"},
            "oneOf": [_inlined(model) | {"reads": model.reads()} for model in classes],
        }
    )


def _generated(schema: Mapping[str, Any]) -> str:
    return "# Generated by `vmaf-train config --write`: edit the classes, not this file.\n" + _dump(schema)


def _inlined(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a class without references."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})
    body = _inline(schema, definitions)
    return {key: value for key, value in body.items() if key != "title"}


def _inline(node: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(node, list):
        return [_inline(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    merged = dict(node)
    reference = merged.pop("$ref", None)
    if reference is not None:
        target = definitions[reference.rpartition("/")[2]]
        merged = {**target, **merged}
    # pydantic titles every key with its own name; names of properties are kept as they are.
    inlined = {
        key: {name: _inline(value, definitions) for name, value in item.items()}
        if key == "properties"
        else item
        if key in ("default", "examples", "const", "enum", "required")
        else _inline(item, definitions)
        for key, item in merged.items()
        if not (key == "title" and isinstance(item, str))
    }
    # A mapping whose keys are names: a key that is no valid name would otherwise be let through.
    return {**inlined, "additionalProperties": False} if "patternProperties" in inlined else inlined


class _Dumper(yaml.SafeDumper):
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        # Lists are indented below their key, as people write them.
        super().increase_indent(flow, False)


def _dump(data: Any) -> str:
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def _flow(value: Any) -> str:
    """`value` on one line of YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**9, sort_keys=False).strip()
    return text.removesuffix("...").strip()


def _comment(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, 110, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")


def default_yaml() -> str:
    """The default configuration with each key's description above it, marked so that edits can be seen."""
    lines = [
        "# The default run. Generated by `vmaf-train config --write` from pyvmaf/workflow/config.py.",
        "# Change a key here, in a file of your own (snakemake --configfile mine.yaml), or on the command line:",
        "#   snakemake --cores 4 --config 'corpora=[mine]' 'codecs=[libx264, libsvtav1]'",
    ]
    default = Config()
    for name, field in Config.model_fields.items():
        lines += ["", *_comment(str(field.description), "")]
        value = getattr(default, name)
        section = _section(field)
        if section is None:
            lines.append(f"{name}: {_flow(value)}")
        elif isinstance(value, dict):
            for key, inner in section.model_fields.items():
                lines += _comment(f"{key} ({_default(inner)}): {inner.description}", "  ")
            lines.append(f"{name}:" if value else f"{name}: {{}}")
            lines += [f"  {key}: {_flow(item.model_dump(exclude_defaults=True))}" for key, item in value.items()]
        else:
            lines.append(f"{name}:")
            for key, inner in section.model_fields.items():
                lines += [*_comment(str(inner.description), "  "), f"  {key}: {_flow(getattr(value, key))}"]
    text = "\n".join(lines) + "\n"
    return f"{_MARK}{sha256_bytes(text.encode())[:_DIGITS]}\n{text}"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return f"default {_flow(field.get_default(call_default_factory=True))}"


def _type(annotation: Any) -> str:
    """A type as a reader of the page knows it."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return " or ".join(_type(a) for a in arguments)
    if origin is Annotated:
        return _type(arguments[0])
    if origin is tuple:
        return f"list of {len(arguments)} {_type(arguments[0])}s"
    if origin is list:
        return f"list of {_type(arguments[0])}s"
    if origin is Literal:
        return " or ".join(f"`{a}`" for a in arguments)
    if origin is dict:
        return "mapping"
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return "mapping"
    return {str: "name", int: "number", float: "number", bool: "true/false", type(None): "null"}[annotation]


def _table(section: type[Section], *, defaults: bool = True) -> list[str]:
    lines = ["| key | type | default | what it does |", "|---|---|---|---|"]
    for name, field in section.model_fields.items():
        inner = _section(field)
        default = "see below" if inner is not None and defaults else _default(field).removeprefix("default ")
        shown = default if default in ("required", "see below") else f"`{default}`"
        kind = _type(field.annotation).replace("|", "\\|")
        lines.append(f"| `{name}` | {kind} | {shown} | {field.description} |")
    return lines


def readme() -> str:
    """The page that explains every key."""
    lines = [
        "# Configuration",
        "",
        "<!-- Generated by `vmaf-train config --write` from pyvmaf/workflow/config.py. -->",
        "",
        "`config.yaml` holds the default run. Three ways to change it, the later wins:",
        "",
        "1. edit `config.yaml`;",
        "2. `snakemake --configfile mine.yaml`, a file with only the keys that differ;",
        "3. `snakemake --config 'corpora=[mine]' 'seeds=[0]'`.",
        "",
        "Lists are replaced, mappings are merged: to use two codecs, say `codecs: [libx264, libx265]`; to add a",
        "ladder, add it to `ladders` and name it in `codecs`. A key or name that does not exist is refused with the",
        "nearest one that does. A change rebuilds only what uses the key: `snakemake -n` says what and why.",
        "",
        *_table(Config),
    ]
    for name, field in Config.model_fields.items():
        section = _section(field)
        if section is not None:
            lines += ["", f"## `{name}`", "", " ".join(str(section.__doc__).split()), ""]
            lines += _table(section, defaults=False)
    lines += [
        "",
        "## Corpora and models",
        "",
        "A corpus is a file `corpora/{corpus}.yaml` and a model a file `models/{model}.yaml`; their schemas are",
        "`../workflow/schemas/corpus.schema.yaml` and `../workflow/schemas/model.schema.yaml`. A corpus of one's own",
        "videos is written by one command and then named in `corpora`:",
        "",
        "    vmaf-train manifest-scan --root /videos --name mine --output config/corpora/mine.yaml",
        "    snakemake --cores 4 --config 'corpora=[mine]'",
        "",
        "With `snakemake --directory elsewhere` the folders `config/corpora` and `config/models` of that place are",
        "looked at first, then the ones here.",
    ]
    return "\n".join(lines) + "\n"
