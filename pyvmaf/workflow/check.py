"""What would fail in the course of a run, refused before its first job.

The plan alone is made from YAML files and their schemas, because every job makes it again. This module is loaded once
per run: it reads the files with the classes of their kinds, and asks the code of each stage whether it can do its part.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

# Pydantic looks for plugins in the metadata of every installed package; this project uses none.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

from pyvmaf import engines
from pyvmaf.base import layout
from pyvmaf.base.coded import Coded
from pyvmaf.base.layout import AGGREGATED
from pyvmaf.base.opinion import MOS, NATIVE, shown_scale
from pyvmaf.base.roots import VARIABLE
from pyvmaf.codecs.encoders import ENCODERS
from pyvmaf.corpora import ladders
from pyvmaf.corpora.keys import periodic
from pyvmaf.corpora.manifest import CorpusClip, CorpusManifest
from pyvmaf.corpora.pairs import Pair, Reference, measured_size
from pyvmaf.corpora.pairs import Spec as Pairs
from pyvmaf.corpora.prepare import plan as plan_clip
from pyvmaf.corpora.spec import Entry, VideoCorpus, load_corpus
from pyvmaf.encodes.encoder import EncoderRung
from pyvmaf.errors import InputError, PyvmafError, UnavailableError, unknown_name
from pyvmaf.features.catalog import CONTEXT, FEATURES, TEACHER, pooled_column, select
from pyvmaf.features.requests import Teacher, usable
from pyvmaf.features.table import LEADING as FRAME_COLUMNS
from pyvmaf.frames.spec import PictureSet
from pyvmaf.frames.table import PICTURE
from pyvmaf.frames.table import columns as picture_columns
from pyvmaf.labels.scores import NAMES
from pyvmaf.labels.spec import load_labels
from pyvmaf.models.crossval import Division
from pyvmaf.models.spec import ModelSpec, load_any, load_spec
from pyvmaf.tables.clips import LEADING as CLIP_COLUMNS
from pyvmaf.tables.clips import SHOTS
from pyvmaf.tables.opinions import OneScale
from pyvmaf.video.ffmpeg import FFmpeg, ffmpeg
from pyvmaf.video.format import Format, parse_size

if TYPE_CHECKING:
    from pyvmaf.workflow.plan import Corpus, Model, Plan

_SHOWN = 3

_LEADING = {"frame": FRAME_COLUMNS, "clip": CLIP_COLUMNS, PICTURE: tuple(picture_columns())}


def check(plan: Plan) -> None:
    """Refuse a plan that cannot be carried out.

    Raises:
        InputError, UnavailableError: the first problems, each with what to change.
    """
    corpora = {name: load_corpus(corpus.path) for name, corpus in plan.corpora.items()}
    specs = {name: load_spec(Path(model.path)) for name, model in plan.models.items()}
    for checkpoint in plan.checkpoints.values():
        load_any(Path(checkpoint.path))
    videos = {name: corpus for name, corpus in corpora.items() if isinstance(corpus, VideoCorpus)}
    clips = _Clips(videos)
    problems = [*_names(plan), *_settings(plan), *_present(plan), *clips.problems]
    if plan.encoded:
        problems += _tools(plan)
        problems += _rungs(plan, clips)
    if videos:
        problems += _measurements(plan, clips)
    for dataset in plan.datasets:
        problems += _caught(lambda: load_labels(Path(plan.labels(dataset).path)), f"labels.{dataset}: ")  # noqa: B023
        if dataset == AGGREGATED:
            problems.append(f"labels.{dataset}: this name is that of all datasets together: choose another one")
    for table in plan.tables:
        if plan.unit(table) == PICTURE:
            problems += _pictures(plan, table, clips)
    for name, model in plan.models.items():
        problems += _model(plan, model, specs[name], clips)
    if not problems:
        return
    different = list(dict.fromkeys(map(str, problems)))
    more = len(different) - _SHOWN
    text = "; ".join(different[:_SHOWN]) + (f"; and {more} more problems" if more > 0 else "")
    raise (UnavailableError if isinstance(problems[0], UnavailableError) else InputError)(text)


Problem = str | PyvmafError


def _caught(call: Callable[[], object], where: str = "") -> Iterator[Problem]:
    """The error of a call, if there is one."""
    try:
        call()
    except UnavailableError as err:
        yield UnavailableError(f"{where}{err}")
    except PyvmafError as err:
        yield f"{where}{err}"


class _Clips:
    """The clips of the corpora, as far as their files tell what preparation will make of them.

    Attributes:
        formats: format of each clip that is encoded, if a scan probed its source or the clip was prepared, by (corpus, clip).
        sizes: width and height of the other clips whose entries state them, by (corpus, clip).
        pairs: formats in which the pairs of each reference are measured, by (corpus, clip).
        entries: every clip by (corpus, clip).
        problems: why clips cannot be prepared.
    """

    def __init__(self, corpora: dict[str, VideoCorpus]) -> None:
        self.formats: dict[tuple[str, str], Format] = {}
        self.sizes: dict[tuple[str, str], tuple[int, int]] = {}
        self.pairs: dict[tuple[str, str], list[Format]] = {}
        self.entries: dict[tuple[str, str], Entry] = {}
        self.problems: list[Problem] = []
        self._distinct: dict[frozenset[str], dict[Format, tuple[str, str]]] = {}
        for name, corpus in corpora.items():
            if isinstance(corpus, Pairs):
                self._add_pairs(corpus)
                continue
            collected = _collected(name)
            for entry in corpus.taken:
                self.entries[name, entry.key] = entry
                try:
                    form = _prepared(entry)
                except InputError as err:
                    stated = " (its probe says what was found by the scan)" if entry.probe else ""
                    self.problems.append(f"corpus {name}: {err}{stated}")
                else:
                    form = form or _made_before(entry, collected.get(entry.key))
                    if form is not None:
                        self.formats[name, entry.key] = form
                    elif size := entry.scale or entry.crop:
                        self.sizes[name, entry.key] = parse_size(size)

    def _add_pairs(self, corpus: Pairs) -> None:
        for entry in corpus.taken:
            self.entries[corpus.name, entry.key] = entry
            files: list[Entry | Pair] = [entry, *entry.pairs]
            for item in files:
                if item.path.lower().endswith(".yuv") and item.raw is None:
                    self.problems.append(
                        f"corpus {corpus.name}: {item.path} is a headerless file: it needs the key raw with size, pix_fmt "
                        "and fps"
                    )
            reference = _stated(entry)
            if reference is None:
                continue
            try:
                reference = _converted(corpus, entry, reference)
            except InputError as err:
                self.problems.append(f"corpus {corpus.name}: {err}")
                continue
            size = measured_size(corpus, entry, reference) or (reference.width, reference.height)
            depths = {max(reference.bit_depth, form.bit_depth) for pair in entry.pairs if (form := _stated(pair))}
            self.pairs[corpus.name, entry.key] = [
                Format.planar(*size, reference.chroma, depth)
                for depth in sorted(depths or {reference.bit_depth})
                if reference.chroma != "rgb"
            ]

    def distinct(self, plan: Plan, codec: str) -> dict[Format, tuple[str, str]]:
        """Each format of clips that have a ladder of a codec, with one of them."""
        encoded = frozenset(corpus for corpus in plan.encoded if codec in plan.ladders_of(corpus))
        if encoded not in self._distinct:
            examples = self._distinct[encoded] = {}
            for clip, form in self.formats.items():
                if clip[0] in encoded:
                    examples.setdefault(replace(form, rate=None), clip)
        return self._distinct[encoded]


def _converted(corpus: Pairs, entry: Reference, reference: Format) -> Format:
    """Format of a reference after the conversions of its pairs.

    Raises:
        InputError: they do not fit the pictures of a file.
    """
    convert = corpus.conversions(entry)
    for pair in entry.pairs:
        if (form := _stated(pair)) is not None:
            convert.format(form, "distorted", pair.path)
    return convert.format(reference, "reference", entry.path)


def _stated(item: Entry | Pair) -> Format | None:
    """Format of a file as the corpus file states it; None if it does not."""
    if item.probe is not None:
        return Format(item.probe.width, item.probe.height, item.probe.pix_fmt).measurable
    return item.raw.format() if item.raw else None


def _prepared(entry: Entry) -> Format | None:
    """Format of the clip that preparation makes of an entry; None if the corpus file does not tell.

    Raises:
        InputError: it cannot be prepared.
    """
    if entry.path.lower().endswith(".yuv") and entry.raw is None:
        raise InputError(f"entry {entry.key!r} is a headerless file: it needs the key raw with size, pix_fmt and fps")
    raw = entry.raw.format() if entry.raw else None
    probe = entry.probe
    if probe is None:
        source = raw
    else:
        source = Format(probe.width, probe.height, probe.pix_fmt)
        if entry.frames is not None and entry.frames[1] >= probe.frames:
            raise InputError(
                f"entry {entry.key!r} asks for frames {entry.frames[0]} to {entry.frames[1]}, but {entry.path} has "
                f"{probe.frames} frames (0 to {probe.frames - 1}): correct the range"
            )
    if source is None:
        return None
    steps = plan_clip(entry, source, "matroska")
    width, height = steps.scale or (steps.crop or (source.width, source.height))[:2]
    return Format(width, height, steps.pix_fmt)


def _collected(corpus: str) -> Mapping[str, CorpusClip]:
    """Return the clips of a corpus that was prepared and collected before; none of one that was not."""
    path = layout.COLLECTION.path(corpus=corpus)
    try:
        return CorpusManifest.read(path).clips if os.path.isfile(path) else {}
    except PyvmafError:
        # The rule that writes it makes it again, or says what is wrong with it.
        return {}


def _made_before(entry: Entry, clip: CorpusClip | None) -> Format | None:
    """Format of a clip that was prepared before; None if it was made in another way than the entry asks for."""
    if clip is None or clip.source_sha256 != entry.sha256:
        return None
    size = clip.video.width, clip.video.height
    stated = entry.scale or entry.crop
    same = parse_size(stated) == size if stated else clip.scale is None
    return Format(*size, clip.video.pix_fmt) if same else None


def _names(plan: Plan) -> Iterator[Problem]:
    """Names that Snakemake takes for the start of an endless recursion."""
    clips = [clip for _, clip in plan.clips()]
    for name in dict.fromkeys((*plan.corpora, *clips, *plan.all_codecs, *plan.models, *plan.tables)):
        if periodic(name):
            yield f"{name!r} ends in 20 repetitions, which Snakemake takes for an endless name: choose another one"


def _present(plan: Plan) -> Iterator[Problem]:
    """Files in the movable folder of datasets, which are no inputs of rules: they may be gone if what they give is made."""
    for name, corpus in plan.corpora.items():
        if not corpus.movable or corpus.skips:
            continue
        missing = sorted(file for file in {*_files_to_read(corpus)} if not os.path.isfile(file))
        if missing:
            yield (
                f"corpus {name}: {len(missing)} of its files do not exist, the first is {missing[0]}: put them there "
                f"(vmaf-train fetch --corpus {name} gets them, or says where they are handed out), or set {VARIABLE}"
            )


def _files_to_read(corpus: Corpus) -> Iterator[str]:
    """The files of a corpus from which something is still to be made."""
    yield from corpus.files
    for clip, codecs in corpus.pairs.items():
        for codec, rungs in codecs.items():
            if not os.path.exists(layout.LADDER.path(corpus=corpus.name, clip=clip, codec=codec)):
                yield corpus.source(clip)
                yield from (corpus.located(pair["path"]) for pair in rungs.values())
    for clip in () if corpus.paired else corpus.clips:
        if not os.path.exists(layout.CLIP.path(corpus=corpus.name, clip=clip)):
            yield corpus.source(clip)


def _settings(plan: Plan) -> Iterator[Problem]:
    """Settings that name what does not exist."""
    modes = {entry["mode"] for model in plan.models.values() for entry in model.spec["quantised"]}
    for mode in plan.config["quantized"] or ():
        if mode not in modes:
            yield unknown_name("int8 variant in `quantized`", mode, sorted(modes))
    cache = Path(plan.config["cache"])
    if cache.exists() and not cache.is_dir():
        yield f"cache: {cache} is a file, not a folder: name another one"


def _tools(plan: Plan) -> Iterator[Problem]:
    """Encoders and filters that the FFmpeg of the configuration does not have."""
    try:
        tool = ffmpeg(plan.config["ffmpeg"])
        encoders, filters = _listed(tool, "-encoders"), _listed(tool, "-filters")
    except PyvmafError as err:
        yield err
        return
    # Clips and filtered versions are stored as lossless H.264.
    wanted = {"libx264": "prepared clips"}
    for codec, rungs in plan.codecs.items():
        for rung in rungs.values():
            if isinstance(rung, EncoderRung):
                wanted.setdefault(rung.encoder, f"ladder {codec!r}")
    for encoder, why in wanted.items():
        if encoder not in encoders:
            yield UnavailableError(
                f"{why}: FFmpeg {tool.version} ({plan.config['ffmpeg']}) was built without {encoder}: use another FFmpeg, "
                "or other codecs"
            )
    for name in ("scale", "settb", "setpts", "trim", "crop", "format"):
        if name not in filters:
            yield UnavailableError(
                f"FFmpeg {tool.version} ({plan.config['ffmpeg']}) was built without the filter {name}"
            )


@cache
def _listed(tool: FFmpeg, option: str) -> frozenset[str]:
    """Names that FFmpeg lists.

    Raises:
        InputError: it cannot be run.
    """
    try:
        done = subprocess.run(
            [tool.path, "-hide_banner", option], capture_output=True, text=True, check=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError) as err:
        raise InputError(f"{tool.path} cannot be run as FFmpeg: {err}") from err
    return frozenset(re.findall(r"^ [A-Z.]{2,6} +(\S+) ", done.stdout, re.MULTILINE))


def _rungs(plan: Plan, clips: _Clips) -> Iterator[Problem]:
    """Ladders that cannot be made of some clip."""
    for codec, rungs in plan.codecs.items():
        for form, (corpus, clip) in clips.distinct(plan, codec).items():
            for rung in rungs.values():
                problems = list(_caught(lambda: rung.pix_fmt(form, f"clip {clip} of corpus {corpus}")))  # noqa: B023
                if problems:
                    yield f"ladder {codec!r}: {problems[0]}"
                    break


def _measured_formats(plan: Plan, clips: _Clips) -> dict[Format, tuple[str, str]]:
    """Formats in which clips are compared with their rungs: widened to the most bits of either."""
    examples: dict[Format, tuple[str, str]] = {}
    for codec, rungs in plan.codecs.items():
        for form, clip in clips.distinct(plan, codec).items():
            depths = {form.bit_depth}
            for rung in rungs.values():
                try:
                    made = replace(form, pix_fmt=rung.pix_fmt(form, ""))
                except InputError:
                    continue
                depths.add(max(form.bit_depth, made.bit_depth))
            for depth in depths:
                examples.setdefault(Format.planar(form.width, form.height, form.chroma, depth), clip)
    for clip, size in clips.sizes.items():
        if clip[0] in plan.encoded:
            # The format with the fewest obstacles.
            examples.setdefault(Format(*size, "yuv420p"), clip)
    for clip, forms in clips.pairs.items():
        if not plan.corpora[clip[0]].skips:
            for form in forms:
                examples.setdefault(form, clip)
    return examples


def _measurements(plan: Plan, clips: _Clips) -> Iterator[Problem]:
    """Features and teachers that cannot be computed."""
    selection = select(plan.config["features"])
    lost = {name: FEATURES[name].unavailable for name in selection.explicit if FEATURES[name].unavailable}
    for name, reason in lost.items():
        yield f"features: {name!r} cannot be computed ({reason}): take it out of `features`"
    try:
        loaded = {backend: engines.load(backend) for backend in {plan.config["backend"], *plan.backends.values()}}
        teacher = Teacher(plan.config["teacher"])
    except PyvmafError as err:
        yield err
        return
    missing: dict[str, str] = {}
    for form, (corpus, clip) in _measured_formats(plan, clips).items():
        where, engine = f"clip {clip} of corpus {corpus}: ", loaded[plan.backend(corpus)]
        if not lost:
            try:
                missing |= usable(selection, engine, form)[1]
            except InputError as err:
                yield f"{where}{err}: take it out of `features`, or the clip out of the corpus"
        yield from _caught(lambda: teacher.check(engine, form), f"{where}teacher: ")  # noqa: B023
    for name, model in plan.models.items():
        if any(corpus in plan.videos for corpus, _ in plan.table(model.table)):
            for feature in model.measured:
                if reason := FEATURES[feature].unavailable or missing.get(feature):
                    yield f"model {name} reads {feature!r}, which cannot be computed on every clip: {reason}"


def _model(plan: Plan, model: Model, spec: ModelSpec, clips: _Clips) -> Iterator[Problem]:
    """Columns that a model's table will not have, rows that it refuses, and a split that the table does not allow."""
    shards = plan.table(model.table)
    unit = plan.unit(model.table)
    yield from _units(plan, model.table, unit)
    yield from _scales(plan, model.table, spec)
    leading = _LEADING[unit]
    measured = {*select(plan.config["features"]).names, TEACHER}
    leading = (*leading, *_opinions(plan, model.table))
    where = f"model {model.name}: "
    absent = [name for name in (*model.columns, *spec.split.columns) if not _has(name, unit, leading, measured)]
    imported = any(plan.corpora[corpus].imported for corpus, _ in shards)
    if imported:
        # What else imported tables hold is known when they are read.
        absent = [name for name in absent if (name in (*FEATURES, TEACHER) if unit == "clip" else pooled_column(name))]
    if absent:
        yield f"{where}{_absent(absent, model, unit, measured)}"
    if absent or imported:
        return
    encoders = dict.fromkeys(encoder for corpus, codec in shards for encoder in _encoders(plan, corpus, codec))
    if reason := model.refused_encoder(list(encoders)):
        yield f"{where}{reason}"
    if set(spec.split.columns) <= set(_KNOWN) and not (unit == PICTURE and plan.table_images(model.table)):
        yield from _caught(lambda: Division.of(spec.split, _rows(plan, model.table, clips)), where)


def _opinions(plan: Plan, table: str) -> set[str]:
    """Return the columns of opinion scores that a table gets from corpus files."""
    given = {name for corpus, _ in plan.table(table) for name in plan.corpora[corpus].rated}
    given |= set(NAMES) if plan.table_datasets(table) else set()
    return given | ({NATIVE} if given and plan.config["tables"][table]["mos_scale"] is not None else set())


def _scales(plan: Plan, table: str, spec: ModelSpec) -> Iterator[Problem]:
    """Opinion scores of corpus files that cannot be put on one scale, or not on that of the model."""
    keys = plan.config["tables"][table]
    wanted = None if keys["mos_scale"] is None else (float(keys["mos_scale"][0]), float(keys["mos_scale"][1]))
    corpora = {corpus: plan.corpora[corpus] for corpus, _ in plan.table(table)}
    rated = [(name, Path(corpus.path), corpus.scale) for name, corpus in corpora.items() if corpus.rated]
    labels = keys["labels"]
    for name, path, _ in rated if labels is not None else ():
        if name in (labels["corpora"] or corpora):
            yield (
                f"table {table!r} gets opinion scores from labels, but {path} has some, too: leave corpus {name} out of "
                "labels.corpora, or the scores out of the file"
            )
    if labels is not None or not rated or any(corpus.imported for corpus in corpora.values()):
        return  # the scores of imported tables are known when they are read
    try:
        scale = OneScale.of(rated, wanted, keys["mos_maps"]).scale
    except InputError as err:
        yield f"table {table!r}: {err}"
        return
    if spec.target.column == MOS and spec.target.states_range and spec.target.range != scale and scale is not None:
        low, high = spec.target.range
        yield (
            f"model {spec.name}: target.range is [{low:g}, {high:g}], but the opinion scores of table {table!r} are on the "
            f"scale {shown_scale(scale)}: leave it out, or set mos_scale of the table"
        )


def _pictures(plan: Plan, table: str, clips: _Clips) -> Iterator[Problem]:
    """Pictures that cannot be taken, as far as the files of corpora tell."""
    name = plan.table_pictures(table)
    try:
        pictures = PictureSet.of(**plan.pictures(name))
    except InputError as err:
        yield f"pictures.{name}: {err}"
        return
    for corpus, clip, codec in plan.picture_ladders(table):
        owner = plan.corpora[corpus]
        if owner.paired and ladders.conversions(owner.spec, owner.clips[clip]):
            yield (
                f"table {table!r} is of pictures, which are taken of videos as they are, but the pairs of {clip} in corpus {corpus} are "
                "converted (convert): take it out of the corpus file, or leave the corpus out of the table"
            )
        if codec == layout.REFERENCE and (form := clips.formats.get((corpus, clip))) is not None:
            size, where = (form.width, form.height), f"clip {clip} of corpus {corpus}"
            yield from _caught(lambda: pictures.picture(*size, size, where), f"pictures.{name}: ")  # noqa: B023
    choices = (pictures.every, pictures.count, pictures.per_second, pictures.frames)
    if plan.table(table) and all(choice is None for choice in choices):
        yield f"pictures.{name} does not say which frames are taken of videos: give every, count, per_second or frames"
    for images in plan.table_images(table):
        source = plan.images(images)["source"]
        if not os.path.exists(source):
            yield f"images.{images}: {source} does not exist: correct the path, which starts from the working folder"


def _units(plan: Plan, table: str, unit: str) -> Iterator[Problem]:
    """Imported tables of clips in a table of frames."""
    for corpus, _ in plan.table(table):
        log = plan.corpora[corpus].spec.get("log")
        if unit == "frame" and isinstance(log, Mapping) and log.get("unit", "clip") == "clip":
            yield (
                f"table {table!r} is of frames, but the rows of corpus {corpus} are clips: write tables: "
                f"{{{table}: {{unit: clip}}}}, or log.unit: frame in the corpus file if it has frames"
            )


def _has(name: str, unit: str, leading: Sequence[str], measured: set[str]) -> bool:
    """Return whether a table of encoded corpora has a column."""
    if name in leading or (unit == "clip" and name in SHOTS):
        return True
    if unit != "clip":
        return unit == "frame" and name in measured
    pooled = pooled_column(name)
    return pooled is not None and pooled[0] in measured


def _absent(names: Sequence[str], model: Model, unit: str, measured: set[str]) -> str:
    name = names[0]
    text = f"its table {model.table!r} will have no column {name!r}"
    if unit == PICTURE:
        return f"{text}, because a row of it is a picture: name a table of frames or clips in target.table"
    if unit == "clip" and name in {*measured, *FEATURES}:
        return (
            f"{text}, because a row of it is a clip, whose columns are {name}_mean, {name}_min, …: name those in the model's "
            f"file, or write tables: {{{model.table}: {{unit: frame}}}}"
        )
    pooled = pooled_column(name)
    if unit == "frame" and pooled is not None:
        return (
            f"{text}, because a row of it is a frame: write tables: {{{model.table}: {{unit: clip}}}}, or name {pooled[0]} "
            "in the model's file"
        )
    if name in CONTEXT and CONTEXT[name].of == "joined":
        return (
            f"{text}: it comes from another table, and no rule joins it. Fit by hand on what vmaf-train join writes, or take "
            "it out of inputs.context"
        )
    if name.startswith("mos"):
        return (
            f"{text}: opinion scores come with entries of a corpus file that have mos, or with imported tables (kinds "
            "feature-log and corpus-jsonl), and this table has no such corpus"
        )
    return f"{text}: add it to `features`, or take it out of the model's file"


def _encoders(plan: Plan, corpus: str, codec: str) -> list[str | None]:
    """The encoders of a shard; None stands for rungs that no encoder made, or of which nobody knows it."""
    owner = plan.corpora[corpus]
    if owner.paired:
        pairs = (pair for codecs in owner.pairs.values() for pair in codecs.get(codec, {}).values())
        return list(dict.fromkeys(_known_encoder(pair["encoder"]) for pair in pairs))
    rung = next(iter(plan.codecs[codec].values()))
    return [_known_encoder(rung.encoder) if isinstance(rung, EncoderRung) else None]


def _known_encoder(name: str | None) -> str | None:
    return name if name in ENCODERS else None


_KNOWN = ("corpus", "source", "group", "clip", "codec", "encoder")


@dataclass(frozen=True)
class _Rows:
    """The rows of a table as far as the plan knows them: one for each clip and codec.

    Attributes:
        path: the table, for messages.
        keys: names of the rows by column.
    """

    path: Path
    keys: Mapping[str, Coded]


def _rows(plan: Plan, table: str, clips: _Clips) -> _Rows:
    rows = [
        (corpus, entry.source, entry.group, clip, codec, encoder or "")
        for corpus, codec in plan.table(table)
        for encoder in _encoders(plan, corpus, codec)
        for clip in plan.clips_with(corpus, codec)
        if (entry := clips.entries.get((corpus, clip))) is not None
    ]
    columns = zip(*rows, strict=True)
    return _Rows(Path(f"table {table}"), {name: Coded.of(list(v)) for name, v in zip(_KNOWN, columns, strict=True)})
