"""The spec of a regressor: a network on rows of features."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from pyvmaf.base.section import Section
from pyvmaf.codecs.vocabularies import VOCABULARIES
from pyvmaf.errors import InputError, unknown_name
from pyvmaf.features.catalog import CONTEXT, resolve
from pyvmaf.models.regressor.names import CODEC, RESERVED, SCORE
from pyvmaf.models.regressor.plan import on_frames
from pyvmaf.models.spec import Export, ModelSpec, load_spec

_TENSOR_NAME = r"^[a-z][a-z0-9_]{0,63}$"


class Inputs(Section):
    """The inputs of the network."""

    features: str | tuple[str, ...] = Field(
        default="canonical6",
        description="A feature set (canonical6, full) or a list of names, in input order: features of frames (adm2), or "
        "of a clip table features pooled over the frames (adm2_mean; also hmean, std, min, max, p5, p50). vmaf is the "
        "teacher's score, for models of another target.",
    )
    context: tuple[str, ...] = Field(
        default=(),
        description="Properties of the video that are inputs, too, appended to the features: "
        + ", ".join(f"{entry.name} ({entry.unit})" for entry in CONTEXT.values())
        + ".",
    )
    codec: str | None = Field(
        default=None, description="Version of the codec vocabulary whose block is a second input, or null for none."
    )
    codec_dropout: float = Field(
        default=0.0,
        ge=0,
        le=0.9,
        description="Share of the rows of a batch that are trained on as if their codec were not known, so that the "
        "score of an unknown one is learned, too. The vocabulary needs a slot for it.",
    )
    guard: Literal["none", "clamp"] = Field(
        default="none",
        description="clamp: each feature is kept inside the range of the training rows, in the graph too. none: values "
        "outside of it pass, and a network answers with whatever it continues to.",
    )
    guard_margin: dict[str, Annotated[float, Field(ge=0, le=100)]] = Field(
        default={},
        description="How far outside of that range the guard lets a feature be, on either side: feature name to widths "
        "of the range.",
    )
    transforms: dict[str, Literal["log", "log1p", "sqrt"]] = Field(
        default={}, description="Applied to a feature before it is scaled, in the graph: feature name to function."
    )

    @field_validator("features")
    @classmethod
    def _known_features(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        names = resolve(value)
        if len(set(names)) != len(names):
            raise ValueError(f"a feature is listed twice: {', '.join(names)}")
        return value

    @field_validator("context")
    @classmethod
    def _known_context(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in CONTEXT:
                raise unknown_name("context", name, CONTEXT)
        if len(set(value)) != len(value):
            raise ValueError(f"a context is listed twice: {', '.join(value)}")
        return value

    @field_validator("codec")
    @classmethod
    def _known_vocabulary(cls, value: str | None) -> str | None:
        if value is not None and value not in VOCABULARIES:
            raise unknown_name("codec vocabulary", value, VOCABULARIES)
        return value

    @model_validator(mode="after")
    def _some(self) -> Inputs:
        if not self.names:
            raise ValueError("a model needs at least one feature, or a property of the video in context")
        return self

    @model_validator(mode="after")
    def _transforms_of_inputs(self) -> Inputs:
        for what, named in (("input to transform", self.transforms), ("input with a margin", self.guard_margin)):
            for name in named:
                if name not in self.names:
                    raise unknown_name(what, name, self.names)
        return self

    @model_validator(mode="after")
    def _codec_to_drop(self) -> Inputs:
        if self.codec_dropout and (self.codec is None or VOCABULARIES[self.codec].blind_or_none is None):
            raise ValueError(
                "codec_dropout trains the slot of an unknown codec, which "
                + ("needs codec" if self.codec is None else f"vocabulary {self.codec} does not have")
            )
        return self

    @model_validator(mode="after")
    def _margin_of_a_guard(self) -> Inputs:
        if self.guard_margin and self.guard == "none":
            raise ValueError("guard_margin has no effect without a guard: set guard: clamp")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the input columns in the network's order: features, then context."""
        return (*resolve(self.features), *self.context)

    @property
    def column_margins(self) -> tuple[float, ...]:
        """The guard's margin of each of `names`; empty if no column has one."""
        return tuple(self.guard_margin.get(name, 0.0) for name in self.names) if self.guard_margin else ()

    @property
    def column_transforms(self) -> tuple[str | None, ...]:
        """The transform of each of `names`, None for a column without; empty if no column has one."""
        return tuple(self.transforms.get(name) for name in self.names) if self.transforms else ()


class BaseSettings(Section):
    """A linear part that the network corrects."""

    inputs: tuple[str, ...] = Field(
        min_length=1, description="The inputs that the linear part reads, by name; they are among inputs."
    )
    penalty: float = Field(
        default=1.0,
        ge=0,
        description="Ridge regression's penalty on the weights of standardised inputs, against the squared errors of all "
        "rows; 0 for least squares.",
    )
    knots: int | None = Field(
        default=None,
        ge=2,
        le=16,
        description="Weights and bias are lines with so many corners over the CRF of the codec block, of each codec its own, "
        "and the penalty is on the weights at each corner. No line rises with the CRF, and the network corrects it as a whole: it does "
        "not see the CRF. null: they are the same for every codec and CRF.",
    )
    limit: float = Field(
        ge=0,
        description="How much the network adds or takes away at most, in units of the target; 0: nothing, and the graph is without it.",
    )


class Network(Section):
    """The network."""

    type: Literal["mlp"] = Field(default="mlp", description="mlp: linear layers with an activation between them.")
    hidden: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field(
        description="Widths of the hidden layers; an empty list is a linear model."
    )
    activation: Literal["relu", "gelu"] = Field(default="relu", description="gelu is the exact one (erf).")
    dropout: float = Field(default=0.0, ge=0, le=0.99, description="Share of hidden activations zeroed while training.")
    normalise: Literal["none", "layer"] = Field(
        default="none",
        description="layer: the inputs of a row, once scaled, are standardised over themselves before the first layer, with "
        "a learned factor and shift each (LayerNorm, Ba et al. 2016). It needs inputs.guard: clamp.",
    )
    normalise_epsilon: float = Field(
        default=1e-5,
        gt=0,
        description="layer: added to the variance of a row's inputs. With a small one nothing is left of how good a row is "
        "on the whole, but how its inputs compare; inputs that are standardised have a variance of about 1.",
    )
    output: Literal["linear", "sigmoid"] = Field(
        default="linear",
        description="sigmoid: low + (high - low) sigmoid(x) with the ends of target.range, so that no score leaves it. It "
        "needs target.standardise: false.",
    )
    base: BaseSettings | None = Field(
        default=None,
        description="A ridge regression on some of the inputs, which the network corrects within a limit; null: none. "
        "Outside of what the training rows show the score then goes on in a straight line.",
    )


class RowExport(Export, Section):
    """The ONNX file of a regressor."""

    codec_name: str = Field(
        default=CODEC, pattern=_TENSOR_NAME, description="Name of the graph's second input, the codec block."
    )
    output_name: str = Field(default=SCORE, pattern=_TENSOR_NAME, description="Name of the graph's output.")

    @model_validator(mode="after")
    def _distinct_names(self) -> RowExport:
        names = (self.codec_name, self.output_name)
        for name in names:
            if name in RESERVED or names.count(name) > 1:
                raise ValueError(f"{name} is the name of another tensor of the graph: take another one")
        return self


class RegressorSpec(ModelSpec, Section):
    """A model that predicts one number from a row of features."""

    kind: Literal["fr", "mos"] = Field(
        default="fr",
        description="fr: a full-reference score like the teacher's. mos: opinion scores, from features of frames or clips.",
    )
    inputs: Inputs
    network: Network
    device: Literal["cpu", "cuda"] = Field(
        default="cpu",
        description="Device of the training. With cuda the weights are the same bits each time, and close to the processor's.",
        exclude_if=lambda device: device == "cpu",
    )
    export: RowExport = RowExport()

    @model_validator(mode="after")
    def _target_is_not_an_input(self) -> RegressorSpec:
        if self.target.column in self.inputs.names:
            raise ValueError(f"{self.target.column} is the target: it cannot be an input as well")
        return self

    @model_validator(mode="after")
    def _base_of_inputs(self) -> RegressorSpec:
        for name in self.network.base.inputs if self.network.base else ():
            if name not in self.inputs.names:
                raise unknown_name("input of network.base", name, self.inputs.names)
        return self

    @model_validator(mode="after")
    def _knots_of_codecs(self) -> RegressorSpec:
        if self.network.base is None or self.network.base.knots is None:
            return self
        if self.inputs.codec is None or VOCABULARIES[self.inputs.codec].quality is None:
            raise ValueError(
                "network.base.knots are over the CRF of the codec block: set inputs.codec to a vocabulary that has one "
                f"({', '.join(name for name, block in VOCABULARIES.items() if block.quality is not None)})"
            )
        if self.inputs.codec_dropout:
            raise ValueError(
                "network.base.knots give each codec a line of its own, which inputs.codec_dropout hides: leave one of them out"
            )
        return self

    @model_validator(mode="after")
    def _network_to_quantise(self) -> RegressorSpec:
        if self.quantised and self.network.base is not None and not self.network.base.limit:
            raise ValueError(
                "quantised is of a network, but with network.base.limit: 0 the model has none: set quantised: [], or another limit"
            )
        return self

    @model_validator(mode="after")
    def _bounded_output(self) -> RegressorSpec:
        if self.network.output == "sigmoid" and self.target.standardise:
            raise ValueError(
                "network.output: sigmoid is trained on the share of target.range: set target.standardise: false"
            )
        if self.network.output == "sigmoid" and self.network.base is not None:
            raise ValueError(
                "network.base is corrected by a network in units of the target: set network.output: linear"
            )
        return self

    @model_validator(mode="after")
    def _epsilon_of_a_normalisation(self) -> RegressorSpec:
        if self.network.normalise == "none" and "normalise_epsilon" in self.network.model_fields_set:
            raise ValueError("network.normalise_epsilon has no effect without a normalisation: set normalise: layer")
        return self

    @model_validator(mode="after")
    def _normalised_inputs(self) -> RegressorSpec:
        if self.network.normalise == "none":
            return self
        # Over all inputs of a row, one that never varied in training changes what becomes of the others.
        if self.inputs.guard == "none":
            raise ValueError(
                "network.normalise: layer computes with all inputs of a row, so one that never varied in training must stay "
                "as it was: set inputs.guard: clamp"
            )
        if self.inputs.codec is not None and len(VOCABULARIES[self.inputs.codec].slots) > 1:
            raise ValueError(
                "network.normalise: layer computes with all inputs of a row, so a codec that no training row had would "
                f"change the others: vocabulary {self.inputs.codec} has several slots, take one of one slot (v4) or none"
            )
        return self

    @model_validator(mode="after")
    def _transforms_in_graph(self) -> RegressorSpec:
        if self.inputs.transforms and self.export.scaler == "sidecar":
            raise ValueError(
                "inputs.transforms are part of the graph, but with export.scaler: sidecar callers scale the features and "
                "do no more: set scaler: baked"
            )
        return self

    @model_validator(mode="after")
    def _negatives_are_frames(self) -> RegressorSpec:
        if self.rows.negatives and not self.on_frames:
            raise ValueError(
                "rows.negatives are frames with the teacher's score, but the inputs or the target of this model are not: leave "
                "it out"
            )
        return self

    @property
    def on_frames(self) -> bool:
        """Whether it predicts the teacher's score of a frame from features of that frame."""
        return on_frames(self.inputs.names, self.target.column)

    def training(self) -> dict[str, Any]:
        """Everything that shapes the weights, with the features written out."""
        parts = super().training()
        parts["inputs"]["features"] = list(resolve(self.inputs.features))
        # Weights of versions without these keys are those of models that do not use them.
        for section, key in (("network", "base"), ("inputs", "codec_dropout")):
            if not parts[section][key]:
                del parts[section][key]
        if parts["network"].get("base"):
            if parts["network"]["base"]["knots"] is None:
                del parts["network"]["base"]["knots"]
            else:
                # Versions that did not state this have other arrays in their weights.
                parts["network"]["base"]["falling"] = True
        for key in ("normalise", "normalise_epsilon", "output"):
            if parts["network"][key] == Network.model_fields[key].default:
                del parts["network"][key]
        return parts


SPEC = RegressorSpec


def load_regressor(path: Path) -> RegressorSpec:
    """Read the spec of a regressor.

    Raises:
        MissingFileError: there is no such file.
        InputError: it is not YAML, not a spec, or that of another family.
    """
    spec = load_spec(path)
    if not isinstance(spec, RegressorSpec):
        raise InputError(f"{path} is a model of kind {spec.kind!r}, which does not read rows of features")
    return spec
