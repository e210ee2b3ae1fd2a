"""libvmaf's own models: the built-in versions and JSON files, what they read, and their scores.

`model_info` tells the features of a model without loading libvmaf, `Model` loads one, and `predict` gives its scores
from features that were measured before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pyvmaf.engines.libvmaf.build import native, translated
from pyvmaf.engines.libvmaf.extractors import EXTRACTORS, OptionValue, feature_key, parse_options
from pyvmaf.errors import InputError, MissingFileError, unknown_name

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Scores = NDArray[np.float64]

# A prediction context holds 16 bytes per name and frame; a thousand frames keep it below a megabyte.
_CHUNK = 1000


@dataclass(frozen=True, slots=True)
class ModelFeature:
    """One input of a model: the extractor with its options, and the name under which libvmaf files the score."""

    extractor: str
    options: tuple[tuple[str, OptionValue], ...]
    key: str


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The inputs of a model.

    Attributes:
        source: built-in version or path.
        features: its inputs, in the model's order.
        members: 1 for a model; the number of models of a collection.
    """

    source: str
    features: tuple[ModelFeature, ...]
    members: int = 1

    @property
    def collection(self) -> bool:
        """Whether this is a bootstrap collection, which gives a confidence interval."""
        return self.members > 1

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the scores that the model reads."""
        return tuple(feature.key for feature in self.features)


@cache
def _extractor_of() -> dict[str, str]:
    return {
        base: name
        for name, extractor in EXTRACTORS.items()
        for bases in (extractor.scores, *extractor.extra.values())
        for base in bases
    }


def _info(source: str, inputs: Iterable[tuple[str, Mapping[str, OptionValue]]], members: int = 1) -> ModelInfo:
    features = []
    for base, options in inputs:
        name = _extractor_of().get(base)
        if name is None:
            raise InputError(f"model {source!r} reads {base!r}, which no extractor of this build computes")
        parsed = parse_options(name, options)
        features.append(ModelFeature(name, tuple(sorted(parsed.items())), feature_key(base, name, parsed)))
    return ModelInfo(source, tuple(features), members)


def _first_generation(source: str, gain_limit: float | None = None, members: int = 1) -> ModelInfo:
    adm: dict[str, OptionValue] = {} if gain_limit is None else {"adm_enhn_gain_limit": gain_limit}
    vif: dict[str, OptionValue] = {} if gain_limit is None else {"vif_enhn_gain_limit": gain_limit}
    inputs: list[tuple[str, Mapping[str, OptionValue]]] = [
        ("VMAF_integer_feature_adm2_score", adm),
        ("VMAF_integer_feature_motion2_score", {}),
        *((f"VMAF_integer_feature_vif_scale{scale}_score", vif) for scale in range(4)),
    ]
    return _info(source, inputs, members)


def _second_generation(
    source: str, distance: float, height: int, speed: Mapping[str, OptionValue], *, high_rate: bool
) -> ModelInfo:
    motion: dict[str, OptionValue] = {"motion_max_val": 18.0}
    if high_rate:
        motion |= {"motion_five_frame_window": True, "motion_moving_average": True}
    return _info(
        source,
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
    )


def _built_in() -> dict[str, ModelInfo]:
    infos = [
        _first_generation("vmaf_v0.6.1"),
        _first_generation("vmaf_v0.6.1neg", 1.0),
        _first_generation("vmaf_4k_v0.6.1"),
        _first_generation("vmaf_4k_v0.6.1neg", 1.0),
        _first_generation("vmaf_b_v0.6.3", members=21),
    ]
    views: tuple[tuple[str, float, int, dict[str, OptionValue]], ...] = (
        ("3d0h", 3.0, 1080, {"speed_kernelscale": 1.0}),
        ("3d0h_2160", 3.0, 2160, {"speed_prescale": 0.5, "speed_prescale_method": "bilinear"}),
        ("5d0h", 5.0, 1080, {"speed_prescale": 0.6, "speed_prescale_method": "bilinear"}),
        ("1d5h_2160", 1.5, 2160, {}),
    )
    for rate in ("", "hfr_"):
        for view, distance, height, speed in views:
            source = f"vmaf_v1.0.16_{rate}{view}"
            infos.append(_second_generation(source, distance, height, speed, high_rate=bool(rate)))
    return {info.source: info for info in infos}


MODELS: dict[str, ModelInfo] = _built_in()
"""The models inside the pinned build, by version."""


def model_info(source: str | Path) -> ModelInfo:
    """Return the inputs of a model, a built-in version or a JSON file in libvmaf's format.

    Raises:
        MissingFileError: the path does not exist.
        InputError: `source` is neither a built-in version nor a usable file.
    """
    if isinstance(source, str) and source in MODELS:
        return MODELS[source]
    path = Path(source)
    if path.suffix != ".json":
        raise unknown_name("model", str(source), MODELS)
    if not path.is_file():
        raise MissingFileError(f"model file {path} does not exist")
    try:
        document = json.loads(path.read_bytes())
        members = [document] if "model_dict" in document else [document[key] for key in sorted(document, key=int)]
        model = members[0]["model_dict"]
        for key in ("model_type", "norm_type", "model"):
            # libvmaf loads a file that lacks these, and crashes when it is asked for a score.
            if not isinstance(model[key], str):
                raise TypeError(f"{key!r} is not a string")
        names = model["feature_names"]
        options = model.get("feature_opts_dicts") or [{}] * len(names)
        if len(names) != len(options):
            raise ValueError(f"{len(names)} feature_names but {len(options)} feature_opts_dicts")
        if model["norm_type"] == "linear_rescale":
            for key in ("slopes", "intercepts"):
                if len(model[key]) != len(names) + 1:
                    raise ValueError(f"{len(names)} feature_names but {len(model[key])} {key}: one more is needed")
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise InputError(f"{path} is not a model in libvmaf's JSON format: {type(error).__name__}: {error}") from None
    return _info(str(path), zip(names, options, strict=True), len(members))


class Model:
    """A model of libvmaf, or a bootstrap collection of them, ready to be used by contexts and `predict`.

    Attributes:
        info: its inputs.
        name: the name under which libvmaf files its predictions; unique unless the caller chose it.
    """

    def __init__(self, source: str | Path, name: str | None = None) -> None:
        """Load a built-in version (a key of `MODELS`) or a JSON file in libvmaf's format.

        Raises:
            MissingFileError: a path does not exist.
            InputError: `source` is neither a built-in version nor a model, or the name is empty.
            NativeError: libvmaf refused the file.
        """
        if name is not None and not name:
            raise InputError("the name of a model must not be empty")
        self.info = model_info(source)
        extension = native()
        kind = extension.ModelCollection if self.info.collection else extension.Model
        with translated():
            self._raw = kind(str(source), is_path=str(source) not in MODELS, name=name or "")

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
        return cast("Scores", native().predict(model.raw, model.info.keys, table, _CHUNK))


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
        return cast("dict[str, Scores]", native().predict_collection(model.raw, model.info.keys, table, _CHUNK))
