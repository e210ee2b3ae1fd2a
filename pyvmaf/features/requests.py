"""The requests to an engine behind features and models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pyvmaf.engines.libvmaf.extractors import report_name, spell_options
from pyvmaf.engines.libvmaf.models import Model, model_info, predict, predict_collection
from pyvmaf.engines.protocol import Engine, Request
from pyvmaf.errors import InputError
from pyvmaf.features.adapt import Traits, adapt, catalog_of
from pyvmaf.features.catalog import FEATURES, Feature, Selection

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pyvmaf.video.format import Format


class Teacher:
    """A model of libvmaf that gives per-frame targets.

    Attributes:
        name: built-in version or path, with options.
        keys: the scores that it reads, by the request that computes them.
    """

    def __init__(self, name: str) -> None:
        self._info = model_info(name)
        self.name = self._info.source
        self.keys: dict[Request, tuple[str, ...]] = {}
        catalog = {feature.key: feature.request for feature in FEATURES.values()}
        for feature in self._info.features:
            # A score of the catalog's own request under the same name is the same score.
            options = tuple(spell_options(dict(feature.options)).items())
            request = catalog.get(feature.key) or Request(feature.extractor, options)
            self.keys[request] = (*self.keys.get(request, ()), feature.key)
        self._model: Model | None = None

    def named(self) -> dict[str, str]:
        """Return libvmaf's name of each score that the model reads, by the name of its column.

        Scores of the catalog have their training names. Others have libvmaf's short name and that of the model, since their
        options are the model's: ``cambi:vmaf_v1.0.16_3d0h``.
        """
        known = {feature.key: feature.name for feature in reversed(list(FEATURES.values()))}
        model = ":".join(
            (
                Path(self._info.name.base).stem if self._info.name.path else self._info.name.base,
                *self._info.name.options,
            )
        )
        return {
            known.get(feature.key) or f"{report_name(feature.base).removeprefix('integer_')}:{model}": feature.key
            for feature in self._info.features
        }

    def identity(self) -> str:
        """Return what decides the model: a built-in version or the hash of a file, with options."""
        return self._info.identity

    def check(self, engine: Engine, form: Format) -> None:
        """Refuse frames that the model cannot score.

        Raises:
            InputError: the engine cannot compute a feature that the model reads.
        """
        for request in self.keys:
            reason = engine.obstacle(request, form)
            if reason:
                raise InputError(f"model {self.name!r} cannot score {form.size} {form.pix_fmt} frames: {reason}")

    def predict(self, scores: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """Score frames from the scores that the model reads (of a collection, the bagged score)."""
        if self._model is None:
            self._model = Model(self._info)
        if self._model.info.collection:
            return predict_collection(self._model, scores)["bagging"]
        return predict(self._model, scores)


def obstacle(feature: Feature, engine: Engine, form: Format) -> str | None:
    """Say why a feature cannot be computed on frames of this format; None if it can."""
    if feature.chroma and form.chroma == "400":
        return f"it needs chroma planes, which {form.pix_fmt} frames do not have"
    return engine.obstacle(feature.request, form)


def usable(
    selection: Selection, engine: Engine, form: Format, traits: Traits | None = None, *, apart: bool = False
) -> tuple[tuple[Feature, ...], dict[str, str]]:
    """Split features into those that can be computed on frames of this format and those that cannot.

    Args:
        selection: the features.
        engine: the engine that computes.
        form: format of the frames.
        traits: about the reference, for features that follow them; None to leave those as they are.
        apart: frames that follow each other are no neighbours in the video.

    Returns:
        Features that can be computed, in catalog order and with their options for this reference, and by name the reason why the others cannot.

    Raises:
        InputError: a feature that was asked for by name cannot be computed.
    """
    features: list[Feature] = []
    unavailable: dict[str, str] = {}
    for name in selection.names:
        feature = adapt(FEATURES[name], traits)
        reason = feature if isinstance(feature, str) else obstacle(feature, engine, form)
        if not isinstance(feature, str) and reason is None:
            if apart and engine.needs(feature.request).ordered:
                unavailable[name] = "it compares a pair with the pair before, and these frames are no neighbours"
            else:
                features.append(feature)
        elif name in selection.explicit:
            raise InputError(f"feature {name!r} cannot be computed on {form.size} {form.pix_fmt} frames: {reason}")
        else:
            unavailable[name] = str(reason)
    return tuple(features), unavailable


def requests_of(
    features: Iterable[Feature], teachers: Sequence[Teacher], form: Format, traits: Traits | None = None
) -> dict[Request, tuple[str, ...]]:
    """List the requests behind features and models.

    Args:
        features: as from `usable`.
        teachers: the models.
        form: format of the frames.
        traits: about the reference, as for `usable`.

    Raises:
        InputError: models read two scores of one name with different options, which libvmaf does not tell apart.

    Returns:
        Requests in order of first use, each with the names of its scores: all of the catalog on frames of this format,
        so that a cache entry serves other features, too, then those that only a model reads.
    """
    keys: dict[Request, list[str]] = {feature.request: [] for feature in features}
    for teacher in teachers:
        for request, names in teacher.keys.items():
            keys.setdefault(request, []).extend(names)
    read: dict[str, Request] = {}
    for teacher in teachers:
        for request, names in teacher.keys.items():
            for name in names:
                if read.setdefault(name, request) != request:
                    raise InputError(
                        f"{name} of {request} and of {read[name]} have the same name in libvmaf: score with one of the models at a time"
                    )
    catalog = [feature for feature in catalog_of(traits) if not (feature.chroma and form.chroma == "400")]
    return {
        request: tuple(dict.fromkeys([*(f.key for f in catalog if f.request == request), *names]))
        for request, names in keys.items()
    }
