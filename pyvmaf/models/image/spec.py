"""The spec of a model that looks at pictures: a score without a reference, or a filter."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from pyvmaf.base.code import Uses
from pyvmaf.base.section import Section
from pyvmaf.corpora.spec import Sha256
from pyvmaf.models.image import backbones
from pyvmaf.models.image.backbones import check_known
from pyvmaf.models.spec import Ensemble, Export, ModelSpec, Optimiser, Pooled, Quantised, Split, Target

REFERENCE = "reference"
"""The target of a filter: the pristine picture."""


# Keys at these values are left out of what a fit says of its settings, as by versions that did not have them.


def _is_none(value: object) -> bool:
    return value is None


def _is_zero(value: object) -> bool:
    return value == 0


def _is_one(value: object) -> bool:
    return value == 1


class Backbone(Section):
    """A published network that a head is trained on."""

    model: Annotated[str, AfterValidator(check_known)] = Field(
        description="Model file of the checkpoint, a row of `BACKBONES`; the configuration names it in `checkpoints`."
    )
    sha256: Sha256 = Field(description="SHA-256 of the converted weights (weights.safetensors of convert).")


class Head(Section):
    """What is trained on the figures of a backbone's layers; it is solved, not stepped towards."""

    type: Literal["line", "bumps"] = Field(
        default="bumps",
        description="line: a weighted sum of the standardised figures. bumps: a weighted sum of exp(-(distance / width)^2) to "
        "centres, which are training rows.",
    )
    penalty: float = Field(default=1.0, gt=0, description="Weight of the penalty on large weights.")
    width: float = Field(
        default=1.0, gt=0, description="bumps: width, as a multiple of the root of the number of figures."
    )
    centres: int = Field(default=1024, ge=1, le=4096, description="bumps: centres at most.")


class Network(Section):
    """The network."""

    type: Literal["mobilenet_tiny", "residual", "frozen"] = Field(
        description="mobilenet_tiny: depthwise-separable convolutions; a score. residual: picture in, picture out; the "
        "network computes what is added to it. frozen: a published backbone that stays as it is, and a head; a score."
    )
    backbone: Backbone | None = Field(default=None, description="frozen: the backbone.", exclude_if=_is_none)
    head: Head | None = Field(default=None, description="frozen: the head.", exclude_if=_is_none)
    channels: int = Field(default=16, ge=4, le=128, description="residual: channels of the convolutions.")
    blocks: int = Field(default=4, ge=1, le=32, description="residual: blocks of two convolutions each.")
    share: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="residual: share of the learned change that the shipped network makes. A change that is half as large keeps "
        "most of the gain of pictures that it suits, and does a quarter to a half of the harm to others.",
        exclude_if=_is_one,
    )

    @property
    def is_filter(self) -> bool:
        """Whether it answers with a picture."""
        return self.type == "residual"

    @property
    def is_frozen(self) -> bool:
        """Whether only a head is trained."""
        return self.type == "frozen"

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.is_frozen != (self.backbone is not None) or self.is_frozen != (self.head is not None):
            raise ValueError(
                f"network.type: {self.type} {'needs' if self.is_frozen else 'does not take'} network.backbone and network.head"
            )
        return self


class Crops(Section):
    """The parts of a picture that a network sees, at the picture's own scale."""

    train: int = Field(default=128, ge=16, le=1024, description="Side of the random squares that are trained on.")
    judge: int = Field(
        default=224, ge=32, le=1024, description="Side of the squares that a score is computed from: the graph's input."
    )
    views: Literal[1, 3, 5] = Field(
        default=5,
        description="Squares of a picture whose scores are averaged. 1: the centre. 3: with the corners top left and bottom "
        "right. 5: with all corners.",
    )


class Augmentation(Section):
    """Changes of training crops that do not change their quality."""

    flip: bool = Field(default=True, description="Mirror half of the crops.")
    transpose: bool = Field(default=False, description="Also swap rows and columns of half of the crops.")
    light: float = Field(
        default=0.0,
        ge=0,
        le=0.5,
        description="Of scores: multiply the contrast of a crop by up to 1 +- this, and shift its mean by up to this share of a "
        "quarter of the range, so that neither stands for quality.",
    )


class Loss(Section):
    """The loss of a crop."""

    name: Literal["smooth_l1", "relative_l1", "gain"] = Field(
        default="smooth_l1",
        description="smooth_l1: of scores. relative_l1: of pictures, the mean absolute error divided by that of the crop as it "
        "came in, so that good crops count as much as bad ones. gain: of pictures, the logarithm of the mean squared error "
        "divided by that of the crop as it came in, which is the change of PSNR.",
    )
    beta: float = Field(
        default=0.5, gt=0, description="smooth_l1: where it turns linear, with a target range that is 4 wide."
    )
    within: float = Field(
        default=0.0,
        ge=0,
        description="smooth_l1: weight of the same loss of the differences from the mean of the source's crops in the batch: "
        "the order of the versions of one content then counts, too. It needs sampling.together.",
        exclude_if=_is_zero,
    )
    floor: float = Field(
        default=0.002,
        gt=0,
        description="relative_l1: added to the error that is divided by. gain: its square is added to both errors.",
    )
    power: float = Field(
        default=1.0, ge=0, le=1, description="relative_l1: exponent of the divisor; 0 for the plain absolute error."
    )
    harm: float = Field(
        default=1.0,
        ge=1,
        description="gain: weight of a crop that became worse, against one that became better. Contents that no picture of the "
        "training shows are then left as they are rather than changed in a way that may not suit them.",
        exclude_if=_is_one,
    )


class Stage(Section):
    """Epochs of a training that have a loss, a learning rate and rows of their own."""

    epochs: int = Field(ge=1, le=100_000, description="Passes over its rows.")
    loss: Loss | None = Field(default=None, description="null: the model's.")
    lr: float | None = Field(
        default=None, gt=0, description="Learning rate, which goes through schedule in each stage; null: optimiser.lr."
    )
    below: float | None = Field(
        default=None, description="Train on pictures whose teacher score lies below this only; null: on all."
    )


class Schedule(Section):
    """The learning rate over the steps of a training."""

    name: Literal["constant", "cosine", "one_cycle"] = Field(
        default="one_cycle",
        description="cosine: falls from optimiser.lr to 0. one_cycle: rises from a 25th of optimiser.lr to it, and falls to "
        "0 (Smith & Topin 2018).",
    )
    rise: float = Field(default=0.3, gt=0, lt=1, description="one_cycle: share of the steps on which it rises.")
    averaging: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Ship the mean of the weights over the steps: how much of it each step keeps, and less in the first steps; "
        "0 ships the weights of the last step.",
        exclude_if=_is_zero,
    )


class EarlyStopping(Section):
    """When a training ends before its last epoch."""

    patience: int = Field(default=15, ge=1, description="Epochs without a smaller validation loss.")
    share: float = Field(
        default=0.1,
        gt=0,
        lt=1,
        description="Share of the training values of split.by that are validated on instead, at least one; chosen by a hash "
        "of the value.",
    )


class QualityWeight(Section):
    """A weight of rows of low quality."""

    below: float = Field(description="Rows whose teacher score lies below this.")
    weight: float = Field(gt=0, description="The weight of their loss, against 1.")


class Sampling(Section):
    """Which pictures are trained on, and how much each counts."""

    max_rows: int | None = Field(
        default=None, ge=1, description="Pictures at most, evenly spaced over those of each source; null: all."
    )
    weights: tuple[QualityWeight, ...] = Field(
        default=(), description="Weights per quality; of several that a row falls under the first one counts."
    )
    together: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Pictures of one source that come into a batch together, in random groups.",
        exclude_if=_is_one,
    )
    references: bool = Field(default=True, description="Also train on pristine pictures, which have the best score.")


class Within(Section):
    """Limits on the order of the pictures of one source, where the content does not differ."""

    mean_min: float | None = Field(default=None, ge=-1, le=1, description="Mean over the sources; null: no limit.")
    worst_min: float | None = Field(default=None, ge=-1, le=1, description="Of each source; null: no limit.")
    rows_min: int = Field(default=8, ge=3, description="Sources with fewer held-out pictures are not judged.")


class Constant(Section):
    """Limit against a predictor that answers the mean of its training rows for every picture."""

    rmse_share_max: float = Field(
        default=0.9, gt=0, description="Largest RMSE over all held-out rows, as a share of the constant's."
    )


class Gain(Section):
    """Limits on what a filter does to the PSNR of held-out pictures, per cell of codec and rung."""

    cell_min: float = Field(default=0.0, description="Mean gain of every cell, dB.")
    mean_min: float = Field(default=0.03, description="Mean over the cells, dB.")
    worst_min: float = Field(default=-0.1, description="Mean gain of each clip in each cell, dB.")


class ImageGates(Section):
    """Limits that a model must keep to be promoted."""

    unit: Literal["picture", "version"] = Field(
        default="picture",
        description="What the limits pooled, within and constant are on. version: means over the pictures of a version of a clip, "
        "as videos are scored.",
    )
    pooled: Pooled | None = Field(
        default=None,
        description="Limits on the figures over the held-out rows of all folds together; null: not judged.",
    )
    within: Within | None = Field(default=None, description="Limits on the order within sources; null: not judged.")
    constant: Constant | None = Field(default=None, description="Limit against a constant predictor; null: not judged.")
    gain: Gain | None = Field(default=None, description="Limits on the gain of a filter; null: not judged.")


class ImageExport(Export, Section):
    """The ONNX file of a model that looks at pictures."""

    tolerance: float = Field(
        default=1e-5,
        gt=0,
        le=1e-4,
        description="Largest |torch - onnxruntime|, relative to the width of the output's range.",
    )


class ImageSpec(ModelSpec, Section):
    """A model of pictures: of a score, or of the pristine picture."""

    kind: Literal["image"] = Field(default="image", description="Pictures in; a score or a picture out.")
    network: Network
    crops: Crops = Crops()
    augmentation: Augmentation = Augmentation()
    loss: Loss = Loss()
    schedule: Schedule = Schedule()
    stages: tuple[Stage, ...] = Field(
        default=(),
        description="Parts of the training, one after another, whose epochs add up to epochs; none: one with the model's loss. A "
        "fit with other epochs divides them in the same proportion.",
        exclude_if=lambda stages: not stages,
    )
    early_stopping: EarlyStopping | None = Field(default=None, description="null: every epoch is trained.")
    sampling: Sampling = Sampling()
    precision: Literal["32", "16-mixed"] = Field(
        default="32", description="Numbers that a training computes with; 16-mixed needs device: cuda."
    )
    device: Literal["cpu", "cuda"] = Field(default="cpu", description="Device of the training.")
    target: Target = Target(table="pictures")
    optimiser: Optimiser = Optimiser(name="adamw", lr=3e-3, weight_decay=1e-4)
    batch_size: int = Field(default=32, ge=1, le=4096, description="Crops per step.")
    split: Split = Split(protocol="kfold", k=6, by="source")
    gates: ImageGates = ImageGates()  # type: ignore[assignment]
    export: ImageExport = ImageExport()
    quantised: tuple[Quantised, ...] = (Quantised(mode="static_qdq", calibration_rows=64),)
    ensemble: Ensemble | None = Field(default=None, description="Ensembles of models of pictures are not made: null.")

    @property
    def takes_backbone(self) -> bool:
        """Whether fit reads the weights of a published network."""
        return self.network.is_frozen

    def uses(self, verb: str) -> Uses:
        """What a verb uses for it in addition to its imports: the family, and the backbone."""
        backbone = self.network.backbone
        return backbones.uses(verb, self.kind, None if backbone is None else backbone.model)

    @model_validator(mode="after")
    def _trains(self) -> Self:
        if self.network.is_frozen and self.early_stopping is not None:
            raise ValueError("early_stopping is for networks that are trained in epochs: leave it out")
        if self.loss.within and (self.network.is_filter or self.sampling.together < 2):
            raise ValueError(
                "loss.within compares crops of one source in a batch: it is for scores, with sampling.together of 2 or more"
            )
        if self.precision != "32" and self.device == "cpu":
            raise ValueError(f"precision: {self.precision} needs device: cuda")
        return self

    @model_validator(mode="after")
    def _losses(self) -> Self:
        filters = self.network.is_filter
        for loss in (self.loss, *(stage.loss for stage in self.stages if stage.loss is not None)):
            if filters != (loss.name in ("relative_l1", "gain")):
                raise ValueError(f"loss.name: {loss.name} is not a loss of a {'picture' if filters else 'score'}")
        if self.stages and (total := sum(stage.epochs for stage in self.stages)) != self.epochs:
            raise ValueError(f"stages have {total} epochs together, but epochs is {self.epochs}")
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        filters = self.network.is_filter
        if filters != (self.target.column == REFERENCE):
            raise ValueError(
                f"network.type: {self.network.type} answers with a {'picture' if filters else 'score'}, so target.column must "
                f"{'' if filters else 'not '}be {REFERENCE}"
            )
        if filters and self.augmentation.light:
            raise ValueError("augmentation.light is for scores: a filter learns the light of the pristine picture")
        if self.ensemble is not None:
            raise ValueError("ensembles of models of pictures are not made: set ensemble: null")
        if self.rows.negatives:
            raise ValueError("rows.negatives are rows of features, not pictures: leave it out")
        if self.split.beside is not None:
            raise ValueError("split.beside trains more members than the protocol's: leave it out")
        if not any(getattr(self.gates, key) for key in type(self.gates).model_fields if key != "unit"):
            raise ValueError("gates: nothing would be judged, and the model promoted: set limits, such as constant: {}")
        for entry in self.quantised:
            if entry.mode == "qat" and self.network.share != 1:
                raise ValueError(
                    "quantised mode qat trains the whole change again, but network.share is below 1: static_qdq"
                )
            if entry.mode == "dynamic":
                raise ValueError(f"quantised mode {entry.mode} is not for convolutions: static, static_qdq or qat")
        return self


SPEC = ImageSpec
