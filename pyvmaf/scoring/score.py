"""Score one pair of videos with any models: libvmaf's own, registered ones, and files, in one pass over the frames."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pyvmaf.engines import AUTO
from pyvmaf.engines.libvmaf.models import ALIASES, MODELS, ModelName, model_name
from pyvmaf.errors import InputError, MissingFileError, unknown_name
from pyvmaf.features.catalog import (
    CONTEXT,
    DEFAULT_FEATURES,
    DEFAULT_MODEL,
    FEATURES,
    TEACHER,
    Selection,
    pooled_column,
    select,
)
from pyvmaf.features.ladder import Ladder, extract_ladder
from pyvmaf.features.options import AS_CODED, BY_DEFAULT, Compute, Reading, Window
from pyvmaf.features.requests import Teacher
from pyvmaf.scoring.encoded import described, filled, renamed
from pyvmaf.scoring.find import INT8, is_ensemble, is_path, load_model, registry_path
from pyvmaf.scoring.live import Take, comes_live, live_ladder
from pyvmaf.scoring.scores import Scores
from pyvmaf.video.format import Format, parse_size
from pyvmaf.video.layouts import BICUBIC
from pyvmaf.video.paced import PairBy
from pyvmaf.video.piped import STANDARD_INPUT, is_piped
from pyvmaf.video.sync import WINDOW

if TYPE_CHECKING:
    from pyvmaf.runtime.ensemble import AnyModel as LoadedModel
    from pyvmaf.scoring.calibration import Calibration
    from pyvmaf.scoring.shots import Finder

AnyModel: TypeAlias = "str | os.PathLike[str] | LoadedModel"
Video = str | os.PathLike[str]

SCREENS = {"hd": "1920x1080", "4k": "3840x2160"}
"""Sizes of screens by name."""


@dataclass(frozen=True)
class Models:
    """Models of one call.

    Attributes:
        teachers: libvmaf's models, by built-in name or path of their JSON, with options.
        learned: models of this project.
    """

    teachers: tuple[ModelName, ...]
    learned: tuple[LoadedModel, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Columns of frames that the learned models read: features, and the teacher's score."""
        words = dict.fromkeys(name for model in self.learned for name in model.features)
        parts = ((pooled_column(word) or (word,))[0] for word in words if word not in CONTEXT)
        return tuple(dict.fromkeys(parts))

    @property
    def needed_teachers(self) -> tuple[ModelName, ...]:
        """Models of libvmaf that have to run, first those that were asked for."""
        more = (ModelName(DEFAULT_MODEL),) if TEACHER in self.inputs else ()
        return tuple(dict.fromkeys((*self.teachers, *more)))

    @property
    def columns(self) -> dict[str, str]:
        """Column of each of libvmaf's models by its name.

        The first is ``vmaf``, a built-in model has its own name, and a JSON file the stem of its name unless something
        else of this call is called that: then it is the path.

        Raises:
            InputError: a column of a model of this project has the name of another column.
        """
        names = self.needed_teachers
        learned = list(self._learned_columns())
        taken = [*FEATURES, TEACHER, "frame_index", *MODELS, *learned, *(_stem(name) for name in names if name.path)]
        columns = {}
        for index, name in enumerate(names):
            short = str(name) if name.path is None or taken.count(_stem(name)) > 1 else _stem(name)
            columns[str(name)] = TEACHER if index == 0 else short
        fixed = {*FEATURES, TEACHER, "frame_index", *MODELS, *columns.values()}
        for column in learned:
            if column in fixed or learned.count(column) > 1:
                raise InputError(
                    f"two columns would be called {column!r}: name each model once, and none like a feature"
                )
        return columns

    def _learned_columns(self) -> Iterator[str]:
        if self.learned:
            # What models of this project need is imported for them alone: to score with libvmaf's takes a second less.
            from pyvmaf.scoring.predict import columns_of

            for model in self.learned:
                yield from columns_of(model)


def _calibration(path: str | os.PathLike[str], models: Sequence[LoadedModel]) -> Calibration:
    from pyvmaf.scoring.calibration import usable

    return usable(path, models)


def _looking(models: Sequence[LoadedModel]) -> list[LoadedModel]:
    """Return the models that look at pictures."""
    if not models:
        return []
    from pyvmaf.scoring.looked import looks

    return [model for model in models if looks(model)]


def _stem(name: ModelName) -> str:
    return ":".join((Path(name.base).stem, *name.options))


def as_models(model: AnyModel | Iterable[AnyModel] | None) -> tuple[AnyModel, ...]:
    """Return one model, several, or none as a tuple."""
    if isinstance(model, str | os.PathLike):
        return (model,)
    if model is None or isinstance(model, Iterable):
        return tuple(model or ())
    return (model,)


def find_models(models: Iterable[AnyModel], registry: str | os.PathLike[str] | None = None) -> Models:
    """Load models by name.

    Args:
        models: each a built-in model of libvmaf, the path of its JSON (both with options), the id of a registered model (``ID.int8`` for
            its int8 variant), the path of a model or ensemble, or a loaded model.
        registry: as in `load_model`.

    Raises:
        InputError: neither libvmaf nor the registry has the name, or two models have the same name.
        MissingFileError, IntegrityError: as `load_model`.
    """
    teachers: list[ModelName] = []
    learned: list[LoadedModel] = []
    for model in models:
        if not isinstance(model, str | os.PathLike):
            learned.append(model)
            continue
        name = model_name(model if isinstance(model, str) else Path(model))
        if name is not None and (name.path is None or (name.path.exists() and not is_ensemble(name.path))):
            teachers.append(name)
        elif is_path(model):
            learned.append(load_model(Path(model)))
        else:
            learned.append(_registered(str(model), registry_path(registry)))
    chosen = Models(tuple(dict.fromkeys(teachers)), tuple(learned))
    _ = chosen.columns  # refuses names that occur twice
    return chosen


def _registered(name: str, registry: Path) -> LoadedModel:
    from pyvmaf.registry.entry import Registry

    if not registry.exists():
        unknown = unknown_name("model of libvmaf", name, (*MODELS, *ALIASES))
        raise MissingFileError(
            f"{unknown}; and there is no registry at {registry} to look it up in: run in the folder of the workflow, name a "
            "registry (--registry, $PYVMAF_REGISTRY), or give a path"
        )
    listed = Registry.read(registry)
    shipped = [entry.id for entry in listed.models]
    if name.removesuffix(INT8) not in {*shipped, *(held.id for held in listed.held)}:
        raise unknown_name(f"model (of libvmaf, or registered in {registry})", name, [*shipped, *MODELS, *ALIASES])
    return load_model(name, registry=registry)


def score(
    reference: str | os.PathLike[str] | None,
    distorted: str | os.PathLike[str],
    *,
    features: str | Iterable[str] | None = None,
    model: AnyModel | Sequence[AnyModel] | None = DEFAULT_MODEL,
    registry: str | os.PathLike[str] | None = None,
    codec: tuple[str | None, str | int | None, float | None] | None = None,
    context: Mapping[str, float] | None = None,
    threads: int = 1,
    frames: tuple[int, int | None] | None = None,
    subsample: int = 1,
    shortest: bool = False,
    stream: int | None = None,
    drop_alpha: bool = False,
    luma_only: bool = False,
    fps: str = "25",
    raw: Format | None = None,
    scale: bool | str = False,
    match_depth: bool = False,
    bit_depth: int | None = None,
    deinterlace: bool | str = False,
    crop: Sequence[str] = (),
    pad: Sequence[str] = (),
    range: str | None = None,  # noqa: A002  # the word for it
    scaler: str = BICUBIC,
    pair_by: PairBy = "number",
    display: str | None = None,
    offset: int | str = 0,
    sync: bool | int = False,
    film_grain: bool = True,
    backend: str = AUTO,
    calibration: str | os.PathLike[str] | None = None,
    shots: bool = False,
    advance: Callable[[int, int], None] | None = None,
    take: Take | None = None,
) -> Scores:
    """Score a distorted video against its reference, or without one, in process and without temporary files.

    Args:
        reference, distorted: video files of equal size, bit depth and frame count; `reference` is None for models that look
            at the distorted video alone. A pipe with y4m, or "-" for standard input, is read once, as it comes.
        features: training names and names of sets ("canonical6", "full"), as a list or with commas. By default the
            features that the models read: of vmaf_v0.6.1 canonical6. Those that only a model of libvmaf has are called
            like ``cambi:vmaf_v1.0.16_3d0h``.
        model: one model or several, each a built-in model of libvmaf, the path of its JSON, the id of a registered
            model (``vmaf_tiny_v2``, ``vmaf_tiny_v2.int8``), the path of a model.onnx or ensemble.json, or a model that
            `load_model` returned; None for features only. A model of libvmaf takes options as in FFmpeg's filter
            (``vmaf_v0.6.1:enable_transform``, ``:disable_clip``, ``:cambi.cambi_max_val=20``), and has a short name
            (`pyvmaf.engines.libvmaf.models.ALIASES`: ``neg``, ``4k``, ``phone``, ``v1``, ``v1-4k``, …).
        registry: the registry of the ids; by default $PYVMAF_REGISTRY, else results/registry/registry.json.
        codec: (encoder, preset, CRF) of the distorted video for models that read them, None for an unknown part. By
            default they are read from the encode record beside the file, or else from its stream.
        context: properties of the distorted video ("height", "fps", "bitrate_kbps") for models that read them, which
            replace those of the file.
        threads: worker threads; the scores do not depend on it.
        frames: (first, stop) of the frames to score, stop excluded. The rows equal those of the whole clip.
        subsample: score every n-th frame only. The rows equal those of the whole clip.
        shortest: stop at the end of the shorter clip.
        stream: which video stream of files that have several, counted from 0; by default FFmpeg's choice, which
            `Scores.notes` names.
        drop_alpha: leave out transparency.
        luma_only: compare luma alone, of any chroma layouts.
        fps: frames per second of numbered pictures (``frame_%04d.png``), a fraction.
        raw: layout of files that end in .yuv, see `pyvmaf.video.format.Format.parse`.
        scale: True scales the distorted clip to the reference's size (bicubic), "WxH" both clips to that size.
        match_depth: widen the clip of fewer bits per sample to the other's depth.
        bit_depth: widen both clips to so many bits per sample: 10 measures 8-bit clips as models of generation v1 advise.
        deinterlace: "auto" (or True) makes one frame of both fields of each frame (FFmpeg's bwdif) of clips that are interlaced,
            flagged or not; "bob" makes a frame of each field ("auto:yadif" and "bob:yadif" with that filter), and "weave" takes both fields for one picture.
        crop: parts of the picture to compare, "[reference=|distorted=]WxH[+X+Y]", by default in the middle of both clips.
        pad: sizes of black pictures that frames are put into, "[reference=|distorted=]WxH[+X+Y]", after the crop.
        range: "limited" or "full": convert samples of the other range.
        scaler: scaler of FFmpeg for `scale` and `display`: `pyvmaf.video.layouts.SCALERS`.
        pair_by: "number" compares frames of one number; "nearest" each frame of the distorted clip with that of the reference
            which is nearest in time; "reference" and "distorted" convert the other clip to the rate of this one first (FFmpeg's
            filter fps).
        display: "hd", "4k" or "WxH": scale the reference to fill a screen of that size, and the distorted clip with it (bicubic).
        offset: by how many frames the distorted clip starts later than the reference (negative: earlier), or seconds as
            text ("0.1s"). Frames without a counterpart are not compared, and rows count from the first pair.
        sync: look for the offset within so many frames, `pyvmaf.video.sync.WINDOW` if True; `Scores.alignment` has it.
        film_grain: let decoders add film grain where an encoder asks for it (AV1, H.264, HEVC), as players do.
        backend: "auto", "cpu" (libvmaf alone), or the name of another engine.
        calibration: report of ``vmaf-train calibrate`` for one of the models, which adds the column ``{id}_mos``.
        shots: look for the cuts of the reference, for `Scores.cuts`: with the registered model for shots, which decodes it once
            more, else by the changes between thumbnails, meanwhile.
        advance: called with (frames done, total or 0).
        take: called with each row (``frame_index`` and the columns) while the frames come, one frame late. Rows come after
            the last frame if another model than libvmaf's scores them, of a part of the frames, and of features that need
            more than the next frame.

    Returns:
        One row per scored frame at full double precision: the features, ``vmaf`` for the (first) model of libvmaf, a
        column per further model, and of an ensemble also ``{id}_sigma``, ``{id}_low`` and ``{id}_high``. A model of
        whole clips has the same score in every row. `Scores.libvmaf_models` names the model of each column. `Scores.summaries` holds the clip's score by each registered model,
        and how much to trust it.

    Raises:
        InputError: the pair cannot be compared as it is, or a model cannot be used; the message names the remedy.
        MissingFileError, IntegrityError: as `load_model`.
        UnavailableError: this build or machine does not have the backend.
        NativeError: the engine failed.

    Warns:
        ModelWarning: scores lie far outside a model's expected range.

    Examples:
        >>> scores = pyvmaf.score("reference.mkv", "distorted.mkv", threads=2)
        >>> scores["vmaf"].mean(), scores.pooled()["vmaf"]["p5"]
        >>> pyvmaf.score("reference.mkv", "distorted.mkv", model=["vmaf_v0.6.1", "vmaf_tiny_v2"])["vmaf_tiny_v2"]
        >>> pyvmaf.score(None, "distorted.mkv", model="nr_metric_v1")["nr_metric_v1"].mean()
    """
    scoring = scoring_of(
        features=features,
        model=model,
        registry=registry,
        codec=codec,
        context=context,
        threads=threads,
        frames=frames,
        subsample=subsample,
        backend=backend,
        advance=advance,
        shortest=shortest,
        stream=stream,
        drop_alpha=drop_alpha,
        luma_only=luma_only,
        fps=fps,
        raw=raw,
        scale=scale,
        match_depth=match_depth,
        bit_depth=bit_depth,
        deinterlace=deinterlace,
        crop=tuple(crop),
        pad=tuple(pad),
        range=range,
        scaler=scaler,
        pair_by=pair_by,
        display=display,
        offset=offset,
        sync=sync,
        film_grain=film_grain,
        calibration=calibration,
        shots=shots,
    )
    return scoring.alone(distorted, take) if reference is None else scoring.pair(reference, distorted, take)


def scoring_of(
    *,
    model: AnyModel | Sequence[AnyModel] | None = DEFAULT_MODEL,
    features: str | Iterable[str] | None = None,
    registry: str | os.PathLike[str] | None = None,
    codec: tuple[str | None, str | int | None, float | None] | None = None,
    context: Mapping[str, float] | None = None,
    threads: int = 1,
    backend: str = AUTO,
    advance: Callable[[int, int], None] | None = None,
    calibration: str | os.PathLike[str] | None = None,
    shots: bool = False,
    **reading: Any,
) -> Scoring:
    """Return what scores videos with these options of `score`."""
    return Scoring(
        model,
        features,
        reading_of(**reading),
        Compute(backend=backend, threads=threads, progress=advance),
        registry=registry,
        codec=codec,
        context=context,
        calibration=calibration,
        shots=shots,
    )


def reading_of(
    *,
    frames: tuple[int, int | None] | None = None,
    subsample: int = 1,
    sync: bool | int = False,
    **reading: Any,
) -> Reading:
    """Return how videos are read with these options of `score`; the other ones are left out."""
    chosen = {name: value for name, value in reading.items() if name in _READING}
    if chosen.get("display") is not None:
        chosen["display"] = SCREENS.get(chosen["display"], chosen["display"])
        parse_size(chosen["display"])
    if isinstance(chosen.get("deinterlace"), bool):
        chosen["deinterlace"] = "auto" if chosen["deinterlace"] else ""
    if sync is not False:
        chosen["sync"] = WINDOW if sync is True else sync
    first, stop = frames or (0, None)
    return Reading(window=Window(first, stop, subsample), **chosen)


_READING = frozenset(field.name for field in fields(Reading))
# Conversions that models of pictures do not see.
_COMPARED_ONLY = ("offset", "sync", "crop", "pad", "deinterlace", "display", "range", "pair_by")


class Scoring:
    """Scores of videos by the same models, features and options.

    Args:
        model, features, registry, codec, context, calibration, shots: as of `score`.
        reading: how the videos are read.
        compute: the engine, threads and progress.

    Raises:
        InputError, MissingFileError, IntegrityError: as `find_models` and `pyvmaf.features.catalog.select`.
    """

    def __init__(
        self,
        model: AnyModel | Sequence[AnyModel] | None = DEFAULT_MODEL,
        features: str | Iterable[str] | None = None,
        reading: Reading = AS_CODED,
        compute: Compute = BY_DEFAULT,
        *,
        registry: str | os.PathLike[str] | None = None,
        codec: tuple[str | None, str | int | None, float | None] | None = None,
        context: Mapping[str, float] | None = None,
        calibration: str | os.PathLike[str] | None = None,
        shots: bool = False,
    ) -> None:
        self.models = find_models(as_models(model), registry)
        self._calibration = None if calibration is None else _calibration(calibration, self.models.learned)
        self._detector = _detector(registry, reading) if shots else None
        self.reading, self._compute = reading, replace(compute, shots=shots and self._detector is None)
        self._codec, self._context = codec, dict(context or {})
        self._words = [] if features is None else features.split(",") if isinstance(features, str) else list(features)
        inputs = [name for name in self.models.inputs if name in FEATURES]
        words = [*self._words, *inputs]
        self._inputs = {} if words else _inputs(self.models.teachers)
        if self._inputs:
            names = tuple(name for name in FEATURES if name in self._inputs)
            self._selection = Selection(names, frozenset())
            self._inputs = {name: key for name, key in self._inputs.items() if name not in names}
        else:
            self._selection = select(words or DEFAULT_FEATURES)
        self._teachers = [str(name) for name in self.models.needed_teachers]
        self._looking = _looking(self.models.learned)
        changed = [name for name in _COMPARED_ONLY if name in reading.described()]
        if self._looking and changed:
            raise InputError(
                f"model {self._looking[0].name} looks at the pictures of the distorted video as they are: score it without "
                f"{', '.join(changed)}"
            )

    def alone(self, video: Video, take: Take | None = None) -> Scores:
        """Score a video without a reference; raises what `score` raises."""
        self._check_pipes(None, video)
        _without_reference(self.models, self._words, self._looking)
        from pyvmaf.scoring.looked import look

        advance = self._compute.progress
        scores = look(self._looking, Path(video), self.reading, codec=self._codec, advance=advance)
        return handed_over(self._calibrated(scores), take)

    def pair(self, reference: Video, distorted: Video, take: Take | None = None) -> Scores:
        """Score a pair, and hand over its rows; raises what `score` raises."""
        if names := filled(self.models.teachers, self.reading, reference, [distorted]):
            handed = None if take is None else lambda row: take(renamed(names, row))
            return described(self._with(names).pair(reference, distorted, handed), names)
        live = take is not None and not self.models.learned
        if take is None or not live or not comes_live(self._selection, self._teachers, self.reading, self._compute):
            [scores] = self.versions(reference, [distorted])
            return handed_over(scores, take)
        self._check_pipes(reference, distorted)
        ladder = live_ladder(
            reference, distorted, self._selection, self.models.columns, self.reading, self._compute, take, self._inputs
        )
        [scores] = self._scores(ladder, Path(reference), [distorted])
        return scores

    def versions(self, reference: Video, distorted: Sequence[Video]) -> list[Scores]:
        """Score several versions of a reference, which is decoded once.

        Notes that name another version are left out of a version's scores.

        Raises:
            InputError: a version is named twice; also what `score` raises.
        """
        names = [os.fspath(video) for video in distorted]
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"{name} is named twice among the distorted videos")
            self._check_pipes(reference, name)
        if filled_in := filled(self.models.teachers, self.reading, reference, distorted):
            done = self._with(filled_in).versions(reference, distorted)
            return [described(scores, filled_in) for scores in done]
        ladder = extract_ladder(
            reference,
            dict(zip(names, distorted, strict=True)),
            features=self._selection,
            model=self._teachers,
            reading=self.reading,
            compute=self._compute,
        )
        return self._scores(ladder, Path(reference), distorted)

    def _with(self, names: Mapping[str, str]) -> Scoring:
        """Return a copy with other names of models of libvmaf, by those that they replace."""
        other = copy(self)
        teachers = (model_name(names.get(str(name), str(name))) for name in self.models.teachers)
        other.models = replace(self.models, teachers=tuple(name for name in teachers if name is not None))
        other._teachers = [str(name) for name in other.models.needed_teachers]
        if self._inputs:
            inputs = _inputs(other.models.teachers)
            other._inputs = {name: key for name, key in inputs.items() if name not in FEATURES}
        return other

    def _scores(self, ladder: Ladder, reference: Path, distorted: Sequence[Video]) -> list[Scores]:
        columns, reading = self.models.columns, self.reading.described()
        every = [str(Path(video)) for video in distorted]
        cuts = ladder.cuts
        if self._detector is not None and not is_piped(reference):
            skip = max(0, 0, *(offset.frames for offset in ladder.offsets.values()))
            cuts = [first - skip for first, _ in self._detector(reference, self.reading.raw)[1:] if first > skip]
        results = []
        for video, (name, rung) in zip(distorted, ladder.rungs.items(), strict=True):
            others = [path for path in every if path != str(Path(video))]
            notes = [note for note in ladder.notes if not any(path in note for path in others) or str(video) in note]
            offset = ladder.offsets.get(name)
            measured = Scores(
                rung.indices,
                {
                    **rung.features,
                    **{column: rung.inputs[key] for column, key in self._inputs.items()},
                    **{columns[model]: values for model, values in rung.models.items()},
                },
                ladder.unavailable,
                {columns[model]: model for model in rung.models},
                notes=[*notes, *_capped(rung.features, ladder.format)],
                doubts=[note for note in ladder.doubts if note in notes],
                reading=reading,
                alignment={} if offset is None else offset.as_json(),
                cuts=cuts,
                size=ladder.format.size,
            )
            results.append(self._predicted(measured, Path(video)) if self.models.learned else measured)
        return results

    def _predicted(self, scores: Scores, distorted: Path) -> Scores:
        """Add the scores of this project's models to those of a pair."""
        from pyvmaf.scoring.predict import Pair, predict

        pair = Pair(scores, distorted, self._codec, self._context, self.reading.raw, self.reading.stream)
        columns, summaries = dict(scores.columns), dict(scores.summaries)
        if self._looking:
            from pyvmaf.scoring.looked import look

            looked = look(self._looking, distorted, self.reading, codec=self._codec)
            columns |= {name: _on_frames(values, looked.frame_index, scores) for name, values in looked.columns.items()}
            summaries |= looked.summaries
        for learned in self.models.learned:
            if learned in self._looking:
                continue
            prediction, summary = predict(learned, pair)
            columns |= prediction
            summaries[learned.name] = summary
        return self._calibrated(replace(scores, columns=columns, summaries=summaries))

    def _calibrated(self, scores: Scores) -> Scores:
        if self._calibration is None:
            return scores
        from pyvmaf.scoring.calibration import calibrated

        return calibrated(scores, self._calibration)

    def _check_pipes(self, reference: Video | None, distorted: Video) -> None:
        """Refuse to read a pipe twice."""
        if reference is not None and os.fspath(reference) == os.fspath(distorted) == STANDARD_INPUT:
            raise InputError("both videos are - (standard input), which holds one: name the other one's file or pipe")
        if self._looking and is_piped(distorted):
            raise InputError(
                f"model {self._looking[0].name} reads pictures in a pass of its own, and {distorted} is a pipe, which can be "
                "read only once: save the video to a file first"
            )


def _detector(registry: str | os.PathLike[str] | None, reading: Reading) -> Finder | None:
    """Return the registered model for shots, unless it would read other frames than those that are scored."""
    from pyvmaf.scoring.shots import finder

    found = finder(registry)
    return None if found is None or reading.stream is not None else found[1]


def handed_over(scores: Scores, take: Take | None) -> Scores:
    """Hand over every row of finished scores, and return them."""
    if take is not None:
        for row in scores.rows():
            take(row)
    return scores


def _inputs(models: Iterable[ModelName]) -> dict[str, str]:
    """Return libvmaf's names of the scores that models of libvmaf read, by the names of their columns."""
    inputs: dict[str, str] = {}
    for model in models:
        for column, key in Teacher(str(model)).named().items():
            if key in inputs.values():
                # A model before reads the same score.
                continue
            if inputs.setdefault(column, key) != key:
                # Two JSON files of one name.
                inputs[f"{column.partition(':')[0]}:{model}"] = key
    return inputs


def _without_reference(models: Models, features: Sequence[str], looking: Sequence[LoadedModel]) -> None:
    """Refuse what a score without a reference cannot have."""
    others = [*map(str, models.teachers), *(learned.name for learned in models.learned if learned not in looking)]
    if others or features or not looking:
        what = ", ".join([*others, *features]) or "features"
        raise InputError(
            f"{what} cannot be computed without a reference: name the reference first, or only models that look at pictures "
            "(--model nr_metric_v1)"
        )


def _on_frames(values: NDArray[np.float64], indices: NDArray[np.int64], scores: Scores) -> NDArray[np.float64]:
    """Put the scores of frames beside the rows of the same frames; NaN where a video ended earlier."""
    column = np.full(len(scores), np.nan)
    _, rows, found = np.intersect1d(scores.frame_index, indices, assume_unique=True, return_indices=True)
    column[rows] = values[found]
    return column


def _capped(columns: Mapping[str, NDArray[np.float64]], form: Format) -> list[str]:
    """Say in how many frames a PSNR is at the cap that libvmaf puts in place of infinity."""
    cap = 6 * form.bit_depth + 12
    counts = {
        name: int(np.count_nonzero(values >= cap)) for name, values in columns.items() if name.startswith("psnr_")
    }
    return [
        f"{name} is at libvmaf's cap of {cap} dB in {count} of {columns[name].size} frames, as of planes without a difference"
        for name, count in counts.items()
        if count and name != "psnr_hvs"
    ]
