"""libvmaf's own models: the built-in versions and JSON files, what they read, and their scores.

`model_info` tells the features of a model without loading libvmaf, `Model` loads one, and `predict` gives its scores
from features that were measured before.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from pyvmaf.engines.libvmaf.build import native, translated
from pyvmaf.engines.libvmaf.extractors import EXTRACTORS, OptionValue, feature_key, parse_options, score_keys
from pyvmaf.errors import InputError, shown, unknown_name

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Scores = NDArray[np.float64]

# A prediction context holds 16 bytes per name and frame; a thousand frames keep it below a megabyte.
_CHUNK = 1000

MAX_NAMES = 128
"""Most names of scores in one context: libvmaf writes beyond its table at the next."""

# Names of a collection's own: its bagged score, the deviation, and both ends of the interval.
_SUMMARIES = 4

OPTIONS: Mapping[str, str] = {
    "disable_clip": "do not clip the score to the model's range",
    "enable_transform": "apply the model's transform, which in vmaf_v0.6.1 stands for viewing on a phone",
}
"""Options that a model's name can carry after colons (``vmaf_v0.6.1:enable_transform``), as in FFmpeg's filter.

Options of its features are of the form EXTRACTOR.OPTION=VALUE (``vmaf_v1.0.16_3d0h:cambi.cambi_max_val=20``).
"""

ALIASES: Mapping[str, str] = {
    "v0.6": "vmaf_v0.6.1",
    "4k": "vmaf_4k_v0.6.1",
    "phone": "vmaf_v0.6.1:enable_transform",
    "neg": "vmaf_v0.6.1neg",
    "4k-neg": "vmaf_4k_v0.6.1neg",
    "v1": "vmaf_v1.0.16_3d0h",
    "v1-4k": "vmaf_v1.0.16_1d5h_2160",
    "v1-phone": "vmaf_v1.0.16_5d0h",
    "v1-hfr": "vmaf_v1.0.16_hfr_3d0h",
    "v1-4k-hfr": "vmaf_v1.0.16_hfr_1d5h_2160",
    "v1-phone-hfr": "vmaf_v1.0.16_hfr_5d0h",
}
"""Short names of models, with options: 1080p, 4K and phone screens, and high frame rates (50 and more)."""

_NAME = re.compile(r"(.+\.json|[^:]+)((?::[^:]*)*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ModelFeature:
    """One input of a model.

    Attributes:
        extractor, options: what computes it.
        key: the name under which libvmaf files the score.
        base: that name without options.
        input: the name under which the model reads it, which options that were changed do not change.
    """

    extractor: str
    options: tuple[tuple[str, OptionValue], ...]
    key: str
    base: str = ""
    input: str = ""


Transform = Literal["none", "off", "on"]


class ModelName(NamedTuple):
    """The name of a model of libvmaf, taken apart.

    Attributes:
        base: built-in version, or path of a JSON file.
        options: options that are set, sorted.
    """

    base: str
    options: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ":".join((self.base, *self.options))

    @property
    def path(self) -> Path | None:
        """Path of the JSON file; None for a built-in version."""
        return None if self.base in MODELS else Path(self.base)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The inputs of a model.

    Attributes:
        name: built-in version or path, with options.
        features: its inputs, in the model's order.
        members: 1 for a model; the number of models of a collection.
        transform: whether the model has a transform of its score, and whether that is applied without any option.
        sha256: hash of the file; None for a built-in version.
        text: what libvmaf reads in place of the file; None for a built-in version.
    """

    name: ModelName
    features: tuple[ModelFeature, ...]
    members: int = 1
    transform: Transform = "none"
    sha256: str | None = None
    text: bytes | None = field(default=None, repr=False)

    @property
    def source(self) -> str:
        """Name of the model as text."""
        return str(self.name)

    @property
    def identity(self) -> str:
        """What decides the model's scores: built-in version or hash of the file, with options."""
        return self.source if self.sha256 is None else ":".join((f"sha256:{self.sha256}", *self.name.options))

    @property
    def collection(self) -> bool:
        """Whether this is a bootstrap collection, which gives a confidence interval."""
        return self.members > 1

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the scores that the model is given."""
        return tuple(feature.key for feature in self.features)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names by which the model itself calls them."""
        return tuple(feature.input for feature in self.features)

    @property
    def changed(self) -> bool:
        """Whether its features are computed with other options than the model states."""
        return any("." in option.partition("=")[0] for option in self.name.options)


@cache
def _extractor_of() -> dict[str, str]:
    return {
        base: name
        for name, extractor in EXTRACTORS.items()
        for bases in (extractor.scores, *extractor.extra.values())
        for base in bases
    }


def _features(inputs: Iterable[tuple[str, Mapping[str, OptionValue]]]) -> tuple[ModelFeature, ...]:
    """Find the extractors of a model's features.

    Raises:
        InputError: no extractor computes one of them, with these options.
    """
    features: dict[str, ModelFeature] = {}
    for base, options in inputs:
        extractor = _extractor_of().get(base)
        if extractor is None:
            raise InputError(f"it reads {shown(base)}, which no extractor of this build computes")
        if "heatmaps_path" in options:
            raise InputError(f"it sets heatmaps_path of {base!r}: a model must not write files")
        parsed = parse_options(extractor, options)
        key = feature_key(base, extractor, parsed)
        if key not in score_keys(extractor, parsed):
            wanted = next(word for word, bases in EXTRACTORS[extractor].extra.items() if base in bases)
            raise InputError(f"it reads {base!r}, which extractor {extractor!r} computes with {wanted} only")
        if key in features:
            raise InputError(f"it reads {key!r} twice")
        features[key] = ModelFeature(extractor, tuple(sorted(parsed.items())), key, base, key)
    return tuple(features.values())


def _built(
    version: str,
    inputs: Iterable[tuple[str, Mapping[str, OptionValue]]],
    members: int = 1,
    transform: Transform = "none",
) -> ModelInfo:
    return ModelInfo(ModelName(version), _features(inputs), members, transform)


def _first_generation(
    version: str, gain_limit: float | None = None, members: int = 1, transform: Transform = "off"
) -> ModelInfo:
    adm: dict[str, OptionValue] = {} if gain_limit is None else {"adm_enhn_gain_limit": gain_limit}
    vif: dict[str, OptionValue] = {} if gain_limit is None else {"vif_enhn_gain_limit": gain_limit}
    inputs: list[tuple[str, Mapping[str, OptionValue]]] = [
        ("VMAF_integer_feature_adm2_score", adm),
        ("VMAF_integer_feature_motion2_score", {}),
        *((f"VMAF_integer_feature_vif_scale{scale}_score", vif) for scale in range(4)),
    ]
    return _built(version, inputs, members, transform)


def _second_generation(
    version: str, distance: float, height: int, speed: Mapping[str, OptionValue], *, high_rate: bool
) -> ModelInfo:
    motion: dict[str, OptionValue] = {"motion_max_val": 18.0}
    if high_rate:
        motion |= {"motion_five_frame_window": True, "motion_moving_average": True}
    return _built(
        version,
        [
            (
                "Cambi_feature_cambi_score",
                {"cambi_high_res_speedup": 1080, "cambi_vis_lum_threshold": 0.06, "cambi_max_val": 17.0},
            ),
            (
                "Speed_chroma_feature_speed_chroma_uv_score",
                {
                    "speed_nn_floor": 0.1,
                    "speed_sigma_nn": 0.19,
                    "speed_weight_var_mode": 5,
                    "speed_max_val": 45.0,
                    **speed,
                },
            ),
            (
                "VMAF_integer_feature_adm3_score",
                {
                    "adm_dlm_weight": 0.7,
                    "adm_enhn_gain_limit": 1.0,
                    "adm_noise_weight": 0.02,
                    "adm_norm_view_dist": distance,
                    "adm_ref_display_height": height,
                    "adm_min_val": 0.5,
                    "adm_csf_mode": 2,
                },
            ),
            ("VMAF_integer_feature_motion3_score", motion),
        ],
        transform="on",
    )


class _BuiltIn(Mapping[str, ModelInfo]):
    """Models by version, each described when it is asked for: most calls need one of them."""

    def __init__(self, makers: Mapping[str, Callable[[str], ModelInfo]]) -> None:
        self._makers, self._infos = makers, dict[str, ModelInfo]()

    def __getitem__(self, version: str) -> ModelInfo:
        if version not in self._infos:
            self._infos[version] = self._makers[version](version)
        return self._infos[version]

    def __contains__(self, version: object) -> bool:
        return version in self._makers

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


def _built_in() -> _BuiltIn:
    makers: dict[str, Callable[[str], ModelInfo]] = {
        "vmaf_v0.6.1": _first_generation,
        "vmaf_v0.6.1neg": partial(_first_generation, gain_limit=1.0),
        "vmaf_4k_v0.6.1": partial(_first_generation, transform="none"),
        "vmaf_4k_v0.6.1neg": partial(_first_generation, gain_limit=1.0, transform="none"),
        "vmaf_b_v0.6.3": partial(_first_generation, members=21),
    }
    views: tuple[tuple[str, float, int, dict[str, OptionValue]], ...] = (
        ("3d0h", 3.0, 1080, {"speed_kernelscale": 1.0}),
        ("3d0h_2160", 3.0, 2160, {"speed_prescale": 0.5, "speed_prescale_method": "bilinear"}),
        ("5d0h", 5.0, 1080, {"speed_prescale": 0.6, "speed_prescale_method": "bilinear"}),
        ("1d5h_2160", 1.5, 2160, {}),
    )
    for rate in ("", "hfr_"):
        for view, distance, height, speed in views:
            makers[f"vmaf_v1.0.16_{rate}{view}"] = partial(
                _second_generation, distance=distance, height=height, speed=speed, high_rate=bool(rate)
            )
    return _BuiltIn(makers)


MODELS: Mapping[str, ModelInfo] = _built_in()
"""The models inside the pinned build, by version."""


def model_name(source: str | Path) -> ModelName | None:
    """Take the name of a model of libvmaf apart; None if it names neither a built-in version nor a JSON file.

    Args:
        source: built-in version, path of a JSON file, or one of `ALIASES`; a name or path in text may carry options,
            each ``:option``, ``:option=true`` or ``:option=false``.

    Raises:
        InputError: an option is unknown or has another value.
    """
    if isinstance(source, Path) or source in MODELS or Path(source).suffix == ".json":
        return ModelName(str(source)) if source in MODELS or Path(source).suffix == ".json" else None
    short, colon, options = source.partition(":")
    match = _NAME.fullmatch(ALIASES.get(short, short) + colon + options)
    if match is None or (match[1] not in MODELS and not match[1].endswith(".json")):
        return None
    chosen = set()
    for word in match[2].split(":")[1:]:
        option, _, value = word.partition("=")
        if "." in option and value:
            chosen.add(word)
            continue
        if option not in OPTIONS:
            raise unknown_name(f"option of model {match[1]!r}", option, (*OPTIONS, "EXTRACTOR.OPTION=VALUE"))
        if value not in ("", "true", "false") or word.endswith("="):
            raise InputError(f"option {option} of model {match[1]!r} is {shown(value)}: it must be true or false")
        if value != "false":
            chosen.add(option)
    return ModelName(match[1], tuple(sorted(chosen)))


def model_info(source: str | Path) -> ModelInfo:
    """Return the inputs of a model, a built-in version or a JSON file in libvmaf's format, with or without options.

    A file is read once: what libvmaf scores with are the values that were checked here.

    Raises:
        MissingFileError: the path does not exist.
        IntegrityError: the file is not JSON.
        InputError: `source` is neither a built-in version nor a usable file, or an option cannot be used.
    """
    name = model_name(source)
    if name is None:
        raise unknown_name("model", str(source), (*MODELS, *ALIASES))
    info = replace(MODELS[name.base], name=name) if name.path is None else _read(name, name.path)
    info = replace(info, features=_with_options(info))
    if "enable_transform" in name.options and info.transform == "none":
        raise InputError(f"model {name.base!r} does not have a transform that enable_transform could apply")
    return info


def _with_options(info: ModelInfo) -> tuple[ModelFeature, ...]:
    """Return the features of a model with the options of its name.

    Raises:
        InputError: the model does not read the extractor, or the extractor does not have such an option or value.
    """
    changes: dict[str, dict[str, OptionValue]] = {}
    for word in info.name.options:
        (name, _, value) = word.partition("=")
        extractor, dot, option = name.partition(".")
        if dot:
            if option in changes.setdefault(extractor, {}):
                raise InputError(f"model {info.name.base!r} is given {extractor}.{option} twice")
            changes[extractor][option] = value
    known = {feature.extractor for feature in info.features}
    for extractor in changes:
        if extractor not in known:
            raise unknown_name(f"extractor of model {info.name.base!r}", extractor, sorted(known))
    return tuple(_changed(feature, changes.get(feature.extractor)) for feature in info.features)


def _changed(feature: ModelFeature, options: Mapping[str, OptionValue] | None) -> ModelFeature:
    if options is None:
        return feature
    if "heatmaps_path" in options:
        raise InputError("heatmaps_path cannot be set: a model must not write files")
    parsed = parse_options(feature.extractor, {**dict(feature.options), **options})
    key = feature_key(feature.base, feature.extractor, parsed)
    return replace(feature, options=tuple(sorted(parsed.items())), key=key)


def _read(name: ModelName, path: Path) -> ModelInfo:
    from pyvmaf.engines.libvmaf.model_file import read_model_file

    file = read_model_file(path)
    try:
        features, *others = [_features(member.features) for member in file.members]
        for number, other in enumerate(others, 1):
            if other != features:
                raise InputError(f"its member {number} reads other features than member 0")
        members = len(file.members)
        names = len(features) + members + _SUMMARIES
        if members > 1 and names > MAX_NAMES:
            raise InputError(
                f"it has {members} members, which with its features and summaries are {names} names of scores: libvmaf "
                f"holds {MAX_NAMES} in one context"
            )
    except InputError as error:
        raise InputError(f"model {str(path)!r} cannot be used: {' '.join(str(error).split())}") from None
    return ModelInfo(name, features, members, file.members[0].transform, file.sha256, file.text)


@contextmanager
def _readable(text: bytes) -> Iterator[str]:
    """Give a path from which libvmaf can read a text."""
    with os.fdopen(os.memfd_create("pyvmaf-model"), "wb") as stream:
        stream.write(text)
        stream.flush()
        yield f"/proc/self/fd/{stream.fileno()}"


class Model:
    """A model of libvmaf, or a bootstrap collection of them, ready to be used by contexts and `predict`.

    Attributes:
        info: its inputs.
        name: the name under which libvmaf files its predictions; unique unless the caller chose it.
    """

    def __init__(self, source: str | Path | ModelInfo, name: str | None = None) -> None:
        """Load a built-in version (a key of `MODELS`) or a JSON file in libvmaf's format, with or without options.

        Args:
            source: as in `model_name`, or what `model_info` returned.
            name: the name under which libvmaf files its predictions.

        Raises:
            MissingFileError, IntegrityError, InputError: as `model_info`; also if the name is empty.
            NativeError: libvmaf refused the model.
        """
        if name is not None and not name:
            raise InputError("the name of a model must not be empty")
        self.info = source if isinstance(source, ModelInfo) else model_info(source)
        extension = native()
        kind = extension.ModelCollection if self.info.collection else extension.Model
        flags = {option: True for option in self.info.name.options if option in OPTIONS}
        with translated():
            if self.info.text is None:
                self._raw = kind(self.info.name.base, name=name or "", **flags)
            else:
                with _readable(self.info.text) as path:
                    self._raw = kind(self.info.name.base, path=path, name=name or "", **flags)

    @property
    def name(self) -> str:
        """Name under which libvmaf files predictions."""
        return cast(str, self._raw.name)

    @property
    def raw(self) -> Any:
        """Object of the extension."""
        return self._raw

    def __repr__(self) -> str:
        return f"Model({self.info.source!r}, name={self.name!r})"


def _table(model: Model, features: Mapping[str, ArrayLike]) -> Scores:
    import numpy as np

    keys = model.info.keys
    missing = [key for key in keys if key not in features]
    if missing:
        raise InputError(
            f"model {model.info.source!r} reads {', '.join(missing)}; the features given are {', '.join(features) or 'none'}"
        )
    columns = [np.asarray(features[key], np.float64) for key in keys]
    shapes = {key: column.shape for key, column in zip(keys, columns, strict=True)}
    if any(len(shape) != 1 for shape in shapes.values()) or len(set(shapes.values())) > 1:
        raise InputError(f"features must be 1-D and of one length, these are {shapes}")
    return np.ascontiguousarray(np.stack(columns, axis=1))


def predict(model: Model | str | Path, features: Mapping[str, ArrayLike]) -> Scores:
    """Score features that were measured before; equal to the scores of a context to the last bit.

    Args:
        model: a model, or a source that `Model` accepts.
        features: libvmaf's name of the score (`model_info(…).keys`) → one value per frame; more are ignored.

    Returns:
        float64, one score per frame.

    Raises:
        InputError: a feature is missing, lengths differ, or the model is a collection.
    """
    model = model if isinstance(model, Model) else Model(model)
    if model.info.collection:
        raise InputError(f"{model.info.source!r} has {model.info.members} members: use predict_collection()")
    table = _table(model, features)
    with translated():
        return cast("Scores", native().predict(model.raw, model.info.inputs, table, _CHUNK))


def predict_collection(model: Model | str | Path, features: Mapping[str, ArrayLike]) -> dict[str, Scores]:
    """Score features that were measured before with a bootstrap collection.

    Args:
        model, features: as in `predict`.

    Returns:
        "bagging" (the score), "stddev", "ci_p95_lo" and "ci_p95_hi", one value per frame each.

    Raises:
        InputError: a feature is missing, lengths differ, or the model is not a collection.
    """
    model = model if isinstance(model, Model) else Model(model)
    if not model.info.collection:
        raise InputError(f"{model.info.source!r} is a single model: use predict()")
    table = _table(model, features)
    with translated():
        return cast("dict[str, Scores]", native().predict_collection(model.raw, model.info.inputs, table, _CHUNK))
