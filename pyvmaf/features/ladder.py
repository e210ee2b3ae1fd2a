"""Features and teacher scores of a whole ladder of encodes: what the cache has not is computed in one pass."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.engines.libvmaf.extractors import adm_depends_on_cpu
from pyvmaf.engines.libvmaf.models import model_info
from pyvmaf.errors import InputError
from pyvmaf.features.cache import Cache
from pyvmaf.features.catalog import (
    DEFAULT_FEATURES,
    DEFAULT_MODEL,
    FEATURES,
    Feature,
    Selection,
    Unit,
    select,
    unit_obstacle,
    usable,
)
from pyvmaf.features.extract import ALL, Scores, Task, Window, check_formats, keys_of, run
from pyvmaf.video.format import Format, parse_size
from pyvmaf.video.reader import FrameSource, Reader

if TYPE_CHECKING:
    from pyvmaf.engines.libvmaf.models import Model

Clip = str | os.PathLike[str] | FrameSource


@dataclass(frozen=True)
class Rung:
    """The scores of one distorted clip.

    Attributes:
        indices: int64, frame numbers counted from 0.
        features: by training name, in catalog order; float64, one value per frame; NaN throughout where unavailable.
        vmaf: float64, the (first) model's score per frame; None where no model was asked for.
        models: float64 per frame, the score of each model that was asked for, by its name.
    """

    indices: NDArray[np.int64]
    features: dict[str, NDArray[np.float64]]
    vmaf: NDArray[np.float64] | None
    models: dict[str, NDArray[np.float64]] = field(default_factory=dict)


@dataclass
class Ladder:
    """What was found for a reference and its distorted versions.

    Attributes:
        rungs: by the names that the distorted clips were given.
        unavailable: features that could not be computed, with the reason.
        frames: how many frames the clips have, as far as the window reaches.
        format: how the frames were laid out when they were compared.
        computed: extractor runs that were needed, as text ("vif on crf28").
        cached: how many results the cache held.
        damaged: messages about cache entries that had to be computed again.
    """

    rungs: dict[str, Rung]
    unavailable: dict[str, str]
    frames: int
    format: Format
    computed: list[str] = field(default_factory=list)
    cached: int = 0
    damaged: list[str] = field(default_factory=list)


class Teacher:
    """A model of libvmaf that gives per-frame targets.

    Attributes:
        name: built-in version or path.
        keys: the scores that it reads, by the extractor that gives them.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.keys: dict[Unit, tuple[str, ...]] = {}
        shared = {f.key: f.unit for f in FEATURES.values() if f.unit}
        for feature in model_info(name).features:
            # A score that the catalog's own extractor gives under the same name is the same score.
            unit = shared.get(feature.key) or Unit(
                feature.extractor, tuple((k, _spelled(v)) for k, v in feature.options)
            )
            self.keys[unit] = (*self.keys.get(unit, ()), feature.key)
        self._loaded: Model | None = None

    def predict(self, scores: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """The model's score per frame from the scores that it reads (of a collection, the bagged one)."""
        from pyvmaf.engines.libvmaf.models import Model, predict, predict_collection

        if self._loaded is None:
            self._loaded = Model(self.name)
        if self._loaded.info.collection:
            return predict_collection(self._loaded, scores)["bagging"]
        return predict(self._loaded, scores)


def _spelled(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def open_pair(
    reference: Clip,
    distorted: Mapping[str, Clip],
    *,
    raw: Format | None = None,
    scale: bool | str = False,
    match_depth: bool = False,
) -> tuple[FrameSource, dict[str, FrameSource]]:
    """Open a reference and distorted clips so that their frames can be compared.

    Args:
        reference, distorted: files, or videos that were opened already; the distorted ones by name.
        raw: layout of files that end in .yuv.
        scale: True scales distorted clips to the reference's size; "WxH" scales both sides to that size.
        match_depth: widen 8 bit to the other side's depth where they differ.

    Raises:
        InputError: formats differ and no conversion was asked for.
    """

    def opened(path: Clip, size: tuple[int, int] | None) -> FrameSource:
        if not isinstance(path, str | os.PathLike):
            return path
        return Reader(path, raw=raw if Path(path).suffix.lower() == ".yuv" else None, size=size)

    common = parse_size(scale) if isinstance(scale, str) else None
    ref = opened(reference, common)
    target = (ref.format.width, ref.format.height) if scale else None
    videos = {name: opened(path, target) for name, path in distorted.items()}
    if match_depth:
        depth = max(v.format.bit_depth for v in (ref, *videos.values()))
        ref = ref.widened(depth)
        videos = {name: video.widened(depth) for name, video in videos.items()}
    check_formats(ref, list(videos.values()))
    return ref, videos


def extract_ladder(
    reference: Clip,
    distorted: Mapping[str, Clip],
    *,
    features: str | Iterable[str] = DEFAULT_FEATURES,
    model: str | Sequence[str] | None = DEFAULT_MODEL,
    cache: str | os.PathLike[str] | None = None,
    threads: int = 1,
    window: Window = ALL,
    shortest: bool = False,
    raw: Format | None = None,
    scale: bool | str = False,
    match_depth: bool = False,
    backend: str = "cpu",
    advance: Callable[[int, int], None] | None = None,
) -> Ladder:
    """Per-frame features and model scores of distorted versions of one reference.

    The reference is decoded once, what depends on it alone (motion) is computed once, and whatever the cache holds
    is not computed at all.

    Args:
        reference: the pristine clip, a file or an opened video.
        distorted: its distorted versions, by name.
        features: training names and names of sets.
        model: a built-in model of libvmaf or the path of its JSON, or several of them; None for none.
        cache: folder of the cache, None for none.
        threads: worker threads; any number gives the same bytes.
        window: which frames.
        shortest: stop at the shortest clip.
        raw, scale, match_depth: as in `open_pair`.
        backend: "cpu", or "cuda" where the build and the machine have it.
        advance: called with (pairs of frames done, total or 0).

    Raises:
        InputError: the clips cannot be compared, or a feature asked for by name cannot be computed on them.
        UnavailableError: the backend is not in this build.
    """
    if not distorted:
        raise InputError(f"no distorted clips were given for {reference}")
    selection = features if isinstance(features, Selection) else select(features)
    named = (model,) if isinstance(model, str) else model or ()
    teachers = [Teacher(name) for name in dict.fromkeys(named)]
    ref, videos = open_pair(reference, distorted, raw=raw, scale=scale, match_depth=match_depth)
    form = ref.format
    able, unavailable = usable(selection, form)
    for teacher in teachers:
        check_teacher(teacher, form)
    extra = _keys(teachers)
    units = tuple(dict.fromkeys([*(f.unit for f in able if f.unit), *extra]))
    keys = {unit: keys_of(unit, form, extra) for unit in units}
    shared = [u for u in units if u.reference_only]
    paired = [u for u in units if not u.reference_only]

    # How long a pair is that --shortest accepts does not follow from the reference alone.
    store = Cache(cache) if cache is not None and not shortest else None
    names = _Names(store, ref, videos, window)
    found: dict[str, Scores] = {name: {} for name in videos}
    common: Scores = {}
    missing_shared = [u for u in shared if not _take(store, names.unit(u, None), keys[u], common)]
    missing = {
        name: tuple(u for u in paired if not _take(store, names.unit(u, name), keys[u], found[name])) for name in videos
    }
    computed = [f"{u} on the reference" for u in missing_shared]
    computed += [f"{u} on {name}" for name, todo in missing.items() for u in todo]
    todo = [name for name in videos if missing[name]]
    # The reference alone still needs company: its scores are only right for as many frames as the pairs have.
    companions = todo or (list(videos)[:1] if missing_shared or not units else [])
    if companions:
        tasks = [Task(videos[name], missing[name]) for name in companions]
        extraction = run(
            ref,
            tasks,
            missing_shared,
            extra_keys=extra,
            window=window,
            shortest=shortest,
            threads=threads,
            backend=backend,
            advance=advance,
        )
        indices, frames = extraction.indices, extraction.frames
        common.update(extraction.reference)
        for unit in missing_shared:
            _keep(store, names.unit(unit, None), {k: extraction.reference[k] for k in keys[unit]})
        for name, scores in zip(companions, extraction.distorted, strict=True):
            found[name].update(scores)
            for unit in missing[name]:
                _keep(store, names.unit(unit, name), {k: scores[k] for k in keys[unit]})
    else:
        first: Scores = {**common, **next(iter(found.values()))}
        count = next(iter(first.values())).size
        indices = window.first + window.step * np.arange(count, dtype=np.int64)
        frames = int(indices[-1]) + 1
    rungs: dict[str, Rung] = {}
    for name in videos:
        scores = {**common, **found[name]}
        lengths = {values.size for values in scores.values()}
        if lengths - {indices.size}:
            raise InputError(
                f"{videos[name].path} has scores of {sorted(lengths)} frames in the cache where {indices.size} are wanted: "
                "the files changed while they were read, run again"
            )
        judged = {t.name: _predicted(store, names.model(t.name, name), t, scores) for t in teachers}
        vmaf = judged[teachers[0].name] if teachers else None
        rungs[name] = Rung(indices, _columns(selection, able, scores, indices.size), vmaf, judged)
    return Ladder(
        rungs=rungs,
        unavailable=unavailable,
        frames=frames,
        format=form,
        computed=computed,
        cached=store.hits if store else 0,
        damaged=store.damaged if store else [],
    )


def _keys(teachers: Sequence[Teacher]) -> dict[Unit, tuple[str, ...]]:
    """The scores that any of the models reads, by the extractor that gives them."""
    keys: dict[Unit, tuple[str, ...]] = {}
    for teacher in teachers:
        for unit, names in teacher.keys.items():
            keys[unit] = tuple(dict.fromkeys((*keys.get(unit, ()), *names)))
    return keys


def check_teacher(teacher: Teacher | None, form: Format) -> None:
    if teacher is None:
        return
    for unit in teacher.keys:
        reason = unit_obstacle(unit, form)
        if reason:
            raise InputError(f"model {teacher.name!r} cannot score {form.size} {form.pix_fmt} frames: {reason}")


class _Names:
    """Keys of cache entries: everything that decides a score."""

    def __init__(
        self, store: Cache | None, ref: FrameSource, videos: Mapping[str, FrameSource], window: Window
    ) -> None:
        if store is None:
            return
        from pyvmaf.engines.libvmaf.build import engine, identity

        self._engine = identity()
        self._reference = ref.identity()
        self._distorted = {name: video.identity() for name, video in videos.items()}
        # At some widths libvmaf's ADM has other last digits with other instruction sets.
        self._simd = engine()["simd"] if adm_depends_on_cpu(ref.format.width) else None
        self._window = {"first": window.first, "stop": window.stop, "step": window.step}

    def _common(self, name: str | None) -> dict[str, Any]:
        return {
            "libvmaf": self._engine,
            "simd": self._simd,
            "frames": self._window,
            "reference": self._reference,
            "distorted": None if name is None else self._distorted[name],
        }

    def unit(self, unit: Unit, name: str | None) -> dict[str, Any]:
        if not hasattr(self, "_engine"):
            return {}
        return {**self._common(name), "extractor": unit.extractor, "options": dict(unit.options)}

    def model(self, model: str, name: str) -> dict[str, Any]:
        if not hasattr(self, "_engine"):
            return {}
        path = Path(model)
        if path.suffix == ".json":
            from pyvmaf.base.files import sha256_file

            model = f"sha256:{sha256_file(path)}"
        return {**self._common(name), "model": model}


def _take(store: Cache | None, key: Mapping[str, Any], names: Sequence[str], into: Scores) -> bool:
    scores = store.get(key, tuple(names)) if store else None
    if scores is None:
        return False
    into.update(scores)
    return True


def _keep(store: Cache | None, key: Mapping[str, Any], scores: Scores) -> None:
    if store:
        store.put(key, scores)


def _predicted(store: Cache | None, key: Mapping[str, Any], teacher: Teacher, scores: Scores) -> NDArray[np.float64]:
    known: Scores = {}
    if not _take(store, key, ("vmaf",), known):
        known["vmaf"] = teacher.predict(scores)
        _keep(store, key, known)
    return known["vmaf"]


def _columns(
    selection: Selection, able: Sequence[Feature], scores: Scores, frames: int
) -> dict[str, NDArray[np.float64]]:
    keys = {f.name: f.key for f in able}
    return {name: scores[keys[name]] if name in keys else np.full(frames, np.nan) for name in selection.names}
