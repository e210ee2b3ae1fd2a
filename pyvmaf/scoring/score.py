"""Score one pair of videos with any models: libvmaf's own, registered ones, and files, in one pass over the frames."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.engines.libvmaf.models import MODELS
from pyvmaf.errors import InputError, MissingFileError, unknown_name
from pyvmaf.features.catalog import CONTEXT, DEFAULT_FEATURES, DEFAULT_MODEL, FEATURES, TEACHER, pooled_column
from pyvmaf.features.pool import pool
from pyvmaf.runtime.load import Ensemble, Model, Prediction
from pyvmaf.scoring import scores as plain
from pyvmaf.scoring.find import INT8, is_ensemble, is_path, load_model, registry_path
from pyvmaf.scoring.origin import Origin, origin, stated
from pyvmaf.scoring.scores import Scores
from pyvmaf.video.format import Format

AnyModel = str | os.PathLike[str] | Model


@dataclass(frozen=True)
class Models:
    """The models of one call, told apart.

    Attributes:
        teachers: libvmaf's, by built-in name or path of their JSON.
        learned: models of this project.
    """

    teachers: tuple[str, ...]
    learned: tuple[Model, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """What the learned models read of frames: features, and the teacher's score."""
        words = dict.fromkeys(name for model in self.learned for name in model.features)
        parts = ((pooled_column(word) or (word,))[0] for word in words if word not in CONTEXT)
        return tuple(dict.fromkeys(parts))

    @property
    def needed_teachers(self) -> tuple[str, ...]:
        """Libvmaf's models that have to run, the ones that were asked for first."""
        more = (DEFAULT_MODEL,) if TEACHER in self.inputs else ()
        return tuple(dict.fromkeys((*self.teachers, *more)))


def find_models(models: Iterable[AnyModel], registry: str | os.PathLike[str] | None = None) -> Models:
    """Load models by name.

    Args:
        models: each a built-in model of libvmaf, the path of one of libvmaf's JSON, the id of a registered model
            (``.int8`` behind it for the int8 variant), the path of a model or ensemble, or a loaded model.
        registry: as in `load_model`.

    Raises:
        InputError: a name is neither libvmaf's nor the registry's, or two models have one name.
        MissingFileError, IntegrityError: as `load_model`.
    """
    teachers: list[str] = []
    learned: list[Model] = []
    for given in models:
        if isinstance(given, Model):
            learned.append(given)
        elif given in MODELS:
            teachers.append(str(given))
        elif is_path(given):
            path = os.fspath(given)
            if path.endswith(".json") and Path(path).exists() and not is_ensemble(path):
                teachers.append(path)
            else:
                learned.append(load_model(Path(path)))
        else:
            learned.append(_registered(str(given), registry_path(registry)))
    names = [model.name for model in learned]
    taken = {*FEATURES, "vmaf", "frame_index", *MODELS}
    for name in names:
        if names.count(name) > 1 or name in taken:
            raise InputError(f"two columns would be called {name!r}: name each model once, and none like a feature")
    return Models(tuple(dict.fromkeys(teachers)), tuple(learned))


def _registered(name: str, registry: Path) -> Model:
    from pyvmaf.registry.register import load_registry

    if not registry.exists():
        unknown = unknown_name("model of libvmaf", name, MODELS)
        raise MissingFileError(
            f"{unknown}; and there is no registry at {registry} to look it up in: run where the workflow ran, name a "
            "registry (--registry, $PYVMAF_REGISTRY), or give a path"
        )
    data = load_registry(registry)
    if name.removesuffix(INT8) not in {entry["id"] for entry in [*data["models"], *data["held"]]}:
        raise unknown_name(f"model (of libvmaf, or registered in {registry})", name, [
            *(entry["id"] for entry in data["models"]), *MODELS
        ])  # fmt: skip
    return load_model(name, registry=registry)


def score(
    reference: str | os.PathLike[str],
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
    raw: Format | None = None,
    scale: bool | str = False,
    match_depth: bool = False,
    backend: str = "cpu",
    advance: Callable[[int, int], None] | None = None,
) -> Scores:
    """Score a distorted video against its reference, in process and without temporary files.

    Args:
        reference, distorted: video files of equal size, bit depth and frame count.
        features: training names and names of sets ("canonical6", "full"), as a list or with commas. By default what
            the models read; canonical6 where they are libvmaf's, which bring their own.
        model: one model or several, each a built-in one of libvmaf, the path of its JSON, the id of a registered
            model (``vmaf_tiny_v2``, ``vmaf_tiny_v2.int8``), the path of a model.onnx or ensemble.json, or what
            `load_model` returned; None for features only.
        registry: where ids are looked up; by default $PYVMAF_REGISTRY, else results/registry/registry.json.
        codec: (encoder, preset, CRF) of the distorted video for models that read them, None for what is not known.
            By default what the file says: its encode record, else its stream.
        context: for models that read them, properties of the distorted video ("height", "fps", "bitrate_kbps") to take
            instead of what the file says.
        threads: worker threads; the scores do not depend on it.
        frames: (first, stop) of the frames to score, stop excluded. The rows equal those of the whole clip.
        subsample: score every n-th frame only. The rows equal those of the whole clip.
        shortest: stop at the end of the shorter clip.
        raw: layout of files that end in .yuv, see `pyvmaf.video.format.Format.parse`.
        scale: True scales the distorted clip to the reference's size (bicubic), "WxH" both clips to that size.
        match_depth: widen the clip of fewer bits per sample to the other's depth.
        backend: "cpu", or "cuda" where the build and the machine have it.
        advance: called with (frames done, total or 0).

    Returns:
        One row per scored frame at full double precision: the features, ``vmaf`` for the (first) model of libvmaf, a
        column per further model, and of an ensemble also ``{id}_sigma``, ``{id}_low`` and ``{id}_high``. A model of
        whole clips has the same score in every row. `Scores.judged` says what each registered model's score of the
        clip is, and how much to trust it.

    Raises:
        InputError: the pair cannot be compared as it is, or a model cannot be used; the message says what to do.
        MissingFileError, IntegrityError: as `load_model`.
        UnavailableError: the backend is not in this build.
        NativeError: libvmaf failed.

    Warns:
        ModelWarning: scores lie far outside of a model's expected range.

    Example:
        >>> scores = pyvmaf.score("reference.mkv", "distorted.mkv", threads=2)
        >>> scores["vmaf"].mean(), scores.pooled()["vmaf"]["p5"]
        >>> pyvmaf.score("reference.mkv", "distorted.mkv", model=["vmaf_v0.6.1", "vmaf_tiny_v2"])["vmaf_tiny_v2"]
    """
    given = (model,) if isinstance(model, str | os.PathLike | Model) else tuple(model or ())
    models = find_models(given, registry)
    wanted = list(_words(features)) if features is not None else []
    needed = [name for name in models.inputs if name in FEATURES]
    scores = plain.score(
        reference,
        distorted,
        features=[*wanted, *needed] or DEFAULT_FEATURES,
        model=models.needed_teachers,
        threads=threads,
        frames=frames,
        subsample=subsample,
        shortest=shortest,
        raw=raw,
        scale=scale,
        match_depth=match_depth,
        backend=backend,
        advance=advance,
    )
    if not models.learned:
        return scores
    pair = _Pair(scores, Path(distorted), codec, dict(context or {}), raw)
    columns, judged = dict(scores.columns), {}
    for one in models.learned:
        found, said = _judge(one, pair)
        columns |= found
        judged[one.name] = said
    return replace(scores, columns=columns, judged=judged)


def _words(features: str | Iterable[str]) -> Iterable[str]:
    return features.split(",") if isinstance(features, str) else features


class _Pair:
    """What is known of a pair once its frames were measured; what is asked of the file is asked once."""

    def __init__(
        self,
        scores: Scores,
        distorted: Path,
        codec: tuple[str | None, str | int | None, float | None] | None,
        context: dict[str, float],
        raw: Format | None,
    ) -> None:
        for name in context:
            if name not in CONTEXT:
                raise unknown_name("context", name, CONTEXT)
        self.scores = scores
        self._distorted, self._codec, self._context, self._raw = distorted, codec, context, raw
        self._stated: dict[str, float] | None = None

    @cached_property
    def origin(self) -> Origin:
        if self._codec is None:
            return origin(self._distorted)
        encoder, preset, crf = self._codec
        return Origin(encoder, None if preset is None else str(preset), crf, "given")

    def frames(self, name: str) -> NDArray[np.float64]:
        """A column of frames by the name that models have for it."""
        if name != TEACHER or self.scores.model == DEFAULT_MODEL:
            return self.scores[name]
        return self.scores[DEFAULT_MODEL]

    def context(self, name: str, model: str) -> float:
        """A property of the distorted video.

        Raises:
            InputError: the file does not say it.
        """
        if name in self._context:
            return self._context[name]
        if self._stated is None:
            self._stated = stated(self._distorted, self._raw)
        if name not in self._stated:
            raise InputError(
                f"model {model} reads {name} ({CONTEXT[name].about}), which {self._distorted} does not say: give it, "
                f"with --context {name}=NUMBER on the command line"
            )
        return self._stated[name]


def _judge(model: Model, pair: _Pair) -> tuple[dict[str, NDArray[np.float64]], dict[str, Any]]:
    """A model's columns, one value per frame, and what it says of the whole clip."""
    whole = any(pooled_column(name) for name in model.features)
    n = 1 if whole else len(pair.scores)
    rows: dict[str, NDArray[np.float64]] = {}
    for name in model.features:
        pooled = pooled_column(name)
        if name in CONTEXT:
            rows[name] = np.full(n, pair.context(name, model.name))
        elif pooled is not None:
            rows[name] = np.array([pool(pair.frames(pooled[0]))[pooled[1]]])
        else:
            rows[name] = pair.frames(name)
    usable = np.asarray(np.isfinite(np.column_stack(list(rows.values()))).all(axis=1), dtype=np.bool_)
    if not usable.any():
        empty = [name for name, values in rows.items() if not np.isfinite(values).any()]
        why = "; ".join(pair.scores.unavailable[name] for name in empty if name in pair.scores.unavailable)
        raise InputError(
            f"model {model.name} cannot score this pair: {', '.join(empty) or 'some feature'} has no finite value in any "
            f"frame{f' ({why})' if why else ''}"
        )
    coded = model.sidecar["codec"] is not None
    # What nothing is known of is left to the model, which may have no place for it.
    codec = pair.origin.triple if coded and pair.origin.how != "unknown" else None
    found = model.predict({name: values[usable] for name, values in rows.items()}, codec)
    columns = {model.name: found.scores}
    for suffix, values in (("sigma", found.sigma), ("low", found.low), ("high", found.high)):
        if values is not None:
            columns[f"{model.name}_{suffix}"] = values
    places = np.ones(len(pair.scores), dtype=np.bool_) if whole else usable
    said = _said(model, found, whole=whole, left_out=int(np.count_nonzero(~usable)), columns=list(columns))
    if coded:
        said["codec"] = str(pair.origin)
    context = {name: float(rows[name][0]) for name in model.features if name in CONTEXT}
    if context:
        said["context"] = context
    return {name: _spread_out(values, places) for name, values in columns.items()}, said


def _spread_out(values: NDArray[np.float64], usable: NDArray[np.bool_]) -> NDArray[np.float64]:
    column = np.full(usable.size, np.nan)
    column[usable] = values
    return column


def _said(model: Model, found: Prediction, *, whole: bool, left_out: int, columns: Sequence[str]) -> dict[str, Any]:
    said: dict[str, Any] = {
        "kind": model.sidecar["kind"],
        "of": "clip" if whole else "frames",
        "score": float(found.scores.mean()),
        "outside_training_range": {"share": found.outside_share, "by_feature": found.outside},
        "outside_output_range": found.unexpected_share,
        "frames_left_out": left_out,
        "bounds": list(columns[1:]),
    }
    if isinstance(model, Ensemble):
        ends = _only(found) if whole else model.mean_interval(found)
        said |= {
            "interval": model.method,
            "nominal_coverage": model.nominal,
            "measured_coverage": model.manifest["coverage_gate"]["empirical_coverage"],
            "score_interval": None if ends is None else dict(zip(("sigma", "low", "high"), ends, strict=True)),
        }
    return said


def _only(found: Prediction) -> tuple[float, float, float] | None:
    """The interval of the one row that a whole clip is."""
    if found.sigma is None or found.low is None or found.high is None:
        return None
    return float(found.sigma[0]), float(found.low[0]), float(found.high[0])


def warnings_of(judged: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What a reader should know before trusting a score, one sentence each."""
    sentences = []
    for name, said in judged.items():
        beyond = said["outside_training_range"]
        if beyond["share"]:
            which = ", ".join(f"{feature} in {share:.0%}" for feature, share in beyond["by_feature"].items())
            what = "the clip lies" if said["of"] == "clip" else f"{beyond['share']:.1%} of the frames lie"
            sentences.append(
                f"{name}: {what} outside of what it was trained on ({which}): expect more of an error there"
            )
        if said["frames_left_out"]:
            sentences.append(f"{name}: {said['frames_left_out']} frames without finite features have no score")
    return sentences
