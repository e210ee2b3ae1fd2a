"""A model is data: the schema of ``config/models/{model}.yaml``.

One trainer, one exporter and one judge read these files; another model of the same kind is another file.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pyvmaf.codecs import VOCABULARIES
from pyvmaf.errors import InputError, unknown_name
from pyvmaf.features.catalog import FEATURES, SETS
from pyvmaf.provenance import read_yaml

Kind = Literal["fr", "nr", "filter", "mos", "saliency"]
"""fr: reference and distorted. nr: distorted only. filter, mos, saliency: as their names say."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Inputs(_Section):
    """What the network sees."""

    features: str | tuple[str, ...] = Field(
        default="canonical6", description="A feature set (canonical6, full) or a list of feature names, in input order."
    )
    codec: str | None = Field(
        default=None, description="Version of the codec vocabulary whose block is a second input, or null for none."
    )
    guard: Literal["none", "clamp"] = Field(
        default="none",
        description="clamp: each feature is kept inside the range of the training rows, in the graph too. none: values "
        "outside of it pass, and a network answers with whatever it continues to.",
    )
    transforms: dict[str, Literal["log", "log1p", "sqrt"]] = Field(
        default={}, description="Applied to a feature before it is scaled, in the graph: feature name to function."
    )

    @field_validator("features")
    @classmethod
    def _known_features(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        names = resolve_features(value)
        if not names:
            raise ValueError("a model needs at least one feature")
        if len(set(names)) != len(names):
            raise ValueError(f"a feature is listed twice: {', '.join(names)}")
        return value

    @field_validator("codec")
    @classmethod
    def _known_vocabulary(cls, value: str | None) -> str | None:
        if value is not None and value not in VOCABULARIES:
            raise unknown_name("codec vocabulary", value, VOCABULARIES)
        return value

    @model_validator(mode="after")
    def _transforms_of_inputs(self) -> Inputs:
        for name in self.transforms:
            if name not in self.names:
                raise unknown_name("input to transform", name, self.names)
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Feature names in the order of the network's input columns."""
        return resolve_features(self.features)

    @property
    def column_transforms(self) -> tuple[str | None, ...]:
        """The transform of each of `names`, None for a column without; empty where no column has one."""
        return tuple(self.transforms.get(name) for name in self.names) if self.transforms else ()


class Network(_Section):
    """The function that is fitted."""

    type: Literal["mlp"] = Field(default="mlp", description="mlp: linear layers with an activation between them.")
    hidden: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field(
        description="Widths of the hidden layers; an empty list is a linear model."
    )
    activation: Literal["relu", "gelu"] = Field(default="relu", description="gelu is the exact one (erf).")
    dropout: float = Field(default=0.0, ge=0, le=0.99, description="Share of hidden activations zeroed while training.")


class Target(_Section):
    """What is predicted."""

    table: str = Field(default="default", description="Name of the table in results/tables that is trained on.")
    column: str = Field(default="vmaf", description="Column of the table to predict.")
    range: tuple[float, float] = Field(
        default=(0.0, 100.0), description="Expected output range, for checks and sidecar."
    )
    standardise: bool = Field(
        default=True,
        description="Fit (target - mean) / std of the training rows; the inverse is folded into the last layer. Raw "
        "targets of 0 to 100 leave small networks far from converged, and some with no unit alive.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Target:
        if self.range[0] >= self.range[1]:
            raise ValueError(f"range must be [low, high] with low < high, not {list(self.range)}")
        return self


class Optimiser(_Section):
    """How it is fitted."""

    name: Literal["adam", "adamw"] = Field(
        default="adam", description="adam adds weight decay to the gradient, adamw does not."
    )
    lr: float = Field(default=1e-3, gt=0, description="Learning rate.")
    weight_decay: float = Field(default=0.0, ge=0, description="Weight decay.")
    beta1: float = Field(default=0.9, ge=0, lt=1, description="Decay of the first moment.")
    beta2: float = Field(default=0.999, ge=0, lt=1, description="Decay of the second moment.")
    eps: float = Field(default=1e-8, gt=0, description="Added to the root of the second moment.")


class Split(_Section):
    """Which rows are held out together."""

    protocol: Literal["leave_one_out"] = Field(
        default="leave_one_out", description="One fold per distinct value of `by`."
    )
    by: Literal["source", "group"] = Field(
        default="source", description="source: the scene (LOSO). group: the film or recording session, which is harder."
    )


class Gates(_Section):
    """What a model must reach over all seeds to be promoted."""

    mean_plcc_min: float = Field(default=0.95, ge=-1, le=1, description="Mean over seeds of the mean PLCC over folds.")
    plcc_spread_max: float = Field(default=0.005, ge=0, description="Largest minus smallest mean PLCC among the seeds.")
    per_seed_min: float = Field(default=0.95, ge=-1, le=1, description="Mean PLCC that each seed must reach.")


class Rows(_Section):
    """Which rows may be left out."""

    max_dropped_share: float = Field(
        default=0.05, ge=0, lt=1, description="Refuse a table where more than this share of rows lacks a needed value."
    )


class Export(_Section):
    """The ONNX file."""

    opset: Literal[17] = Field(default=17, description="Operator set.")
    tolerance: float = Field(
        default=1e-5,
        gt=0,
        le=1e-4,
        description="Largest |torch - onnxruntime|, relative to the width of the target's range.",
    )
    scaler: Literal["baked", "sidecar"] = Field(
        default="baked",
        description="baked: the graph takes raw features. sidecar: the caller scales with the sidecar's figures.",
    )
    max_bytes: int = Field(default=1_000_000, ge=1, le=50_000_000, description="Refuse a larger file.")


class Quantised(_Section):
    """One int8 variant."""

    mode: Literal["static_qdq"] = Field(default="static_qdq", description="How it is quantised; also the file's name.")
    budget: float = Field(default=0.01, ge=0, description="Largest mean drop of PLCC on held-out sources.")
    rmse_max: float = Field(
        default=1.0, gt=0, description="Largest RMSE between int8 and fp32, in units of the target."
    )
    calibration_rows: int = Field(default=4096, ge=1, description="Rows that the activation ranges are measured on.")


class Ensemble(_Section):
    """The seeds of a model used together: their mean, and an interval around it."""

    nominal_coverage: float = Field(
        default=0.95, ge=0.5, le=0.999, description="Share of rows that the intervals are to hold."
    )
    method: Literal["conformal", "gaussian"] = Field(
        default="conformal",
        description="conformal: half-widths calibrated on held-out residuals. gaussian: z standard deviations of the "
        "members, which says how much they disagree and not how far off they are together.",
    )
    coverage_tolerance: float = Field(
        default=0.02,
        gt=0,
        le=0.5,
        description="Largest difference between the nominal coverage and the one measured on held-out rows.",
    )


class ModelSpec(_Section):
    """One file of config/models."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$", description="Also the file's name and the registry id.")
    kind: Kind = Field(default="fr", description="What the model does with its inputs.")
    description: str = Field(max_length=256, description="One sentence for the registry.")
    license: str = Field(default="BSD-2-Clause-Patent", max_length=128, description="Licence of the weights.")
    inputs: Inputs
    network: Network
    target: Target = Target()
    optimiser: Optimiser = Optimiser()
    epochs: int = Field(ge=0, le=100_000, description="Passes over the training rows; 0 keeps the initial weights.")
    batch_size: int = Field(
        default=256, ge=1, le=1 << 20, description="Rows per step; the last batch of an epoch may be smaller."
    )
    seeds: tuple[Annotated[int, Field(ge=0, lt=1 << 32)], ...] = Field(default=(0, 1, 2), min_length=1)
    split: Split = Split()
    gates: Gates = Gates()
    rows: Rows = Rows()
    export: Export = Export()
    quantised: tuple[Quantised, ...] = (Quantised(),)
    ensemble: Ensemble | None = Field(
        default=None, description="Also make one model of all seeds that were judged; null for none."
    )

    @model_validator(mode="after")
    def _transforms_in_graph(self) -> ModelSpec:
        if self.inputs.transforms and self.export.scaler == "sidecar":
            raise ValueError(
                "inputs.transforms belong into the graph, but export.scaler: sidecar leaves the features to callers, who "
                "scale and do no more: take scaler: baked"
            )
        return self

    @field_validator("seeds")
    @classmethod
    def _distinct_seeds(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) != len(value):
            raise ValueError(f"a seed is listed twice: {list(value)}")
        return value

    @field_validator("quantised")
    @classmethod
    def _distinct_modes(cls, value: tuple[Quantised, ...]) -> tuple[Quantised, ...]:
        modes = [q.mode for q in value]
        if len(set(modes)) != len(modes):
            raise ValueError(f"a mode is listed twice: {modes}")
        return value

    def quantised_mode(self, mode: str) -> Quantised:
        """The settings of one int8 variant.

        Raises:
            InputError: this model has no such variant.
        """
        for candidate in self.quantised:
            if candidate.mode == mode:
                return candidate
        known = ", ".join(q.mode for q in self.quantised) or "none"
        raise InputError(f"model {self.name} has no quantised mode {mode!r}; it has: {known}")

    def training(self) -> dict[str, Any]:
        """What shapes the weights, as plain JSON values; the epochs are left out, because a run may ask for others."""
        parts = self.model_dump(
            mode="json", include={"inputs", "network", "target", "optimiser", "batch_size", "split"}
        )
        parts["inputs"]["features"] = list(self.inputs.names)
        return parts


def resolve_features(value: str | tuple[str, ...]) -> tuple[str, ...]:
    """Names of a feature set, or of a list of names and sets, in the order in which they are given.

    Raises:
        InputError: a name is in no table (it is also a ValueError, as pydantic wants).
    """
    names: list[str] = []
    for word in (value,) if isinstance(value, str) else value:
        if word in SETS:
            names.extend(SETS[word])
        elif word in FEATURES:
            names.append(word)
        else:
            raise unknown_name("feature", word, [*SETS, *FEATURES])
    return tuple(names)


def _valid_keys(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """Keys that are allowed where an unknown one was found (`loc` ends with the unknown key)."""
    current: Any = model
    for part in loc[:-1]:
        if isinstance(part, str) and isinstance(current, type) and issubclass(current, BaseModel):
            annotation = current.model_fields[part].annotation
            inner = [a for a in getattr(annotation, "__args__", ()) if isinstance(a, type) and issubclass(a, BaseModel)]
            current = inner[0] if inner else annotation
    if isinstance(current, type) and issubclass(current, BaseModel):
        return list(current.model_fields)
    return []


def explain(err: ValidationError, model: type[BaseModel], where: str) -> InputError:
    """What pydantic found wrong in `where`, as one error: each key, what it was, the nearest valid key."""
    problems = []
    for item in err.errors(include_url=False):
        key = ".".join(str(part) for part in item["loc"]) or "the file"
        if item["type"] == "extra_forbidden":
            valid = _valid_keys(model, item["loc"])
            near = difflib.get_close_matches(str(item["loc"][-1]), valid, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}? " if near else ""
            problems.append(f"unknown key {key!r}: {hint}valid: {', '.join(valid)}")
        elif item["type"] == "missing":
            problems.append(f"key {key!r} is missing")
        else:
            problems.append(f"{key} = {item['input']!r}: {item['msg'].removeprefix('Value error, ')}")
    return InputError(f"{where}: " + "; ".join(problems))


def parse_spec(data: Any, where: str) -> ModelSpec:
    """A spec from plain data.

    Args:
        data: what a YAML file holds.
        where: what to call it in errors.

    Raises:
        InputError: a key is unknown, missing or has a value that is not allowed.
    """
    if not isinstance(data, dict):
        raise InputError(f"{where}: a model is a mapping of keys, not {type(data).__name__}")
    try:
        return ModelSpec.model_validate(data)
    except ValidationError as err:
        raise explain(err, ModelSpec, where) from err


def load_spec(path: Path) -> ModelSpec:
    """The spec in a YAML file; its `name` must be the file's name.

    Raises:
        MissingFileError: there is no such file.
        InputError: it is not YAML or not a spec.
    """
    spec = parse_spec(read_yaml(path), str(path))
    if spec.name != path.stem:
        raise InputError(f"{path}: name is {spec.name!r}, but the file is called {path.stem!r}: make them the same")
    return spec
