"""The spec of a model that maps salient objects."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from pyvmaf.base.section import Section
from pyvmaf.models.image.spec import EarlyStopping, ImageExport, Schedule
from pyvmaf.models.saliency.names import STRIDE
from pyvmaf.models.spec import Ensemble, ModelSpec, Optimiser, Quantised, Split, Target

MASK = "mask"
"""The target: the mask of a picture. Figures of rows are of its mean, 0 to 1."""


class Network(Section):
    """The network."""

    type: Literal["tiny_unet_v1", "tiny_unet_v2"] = Field(
        default="tiny_unet_v2",
        description="tiny_unet_v1: transposed convolutions on the way up, 112,841 parameters. tiny_unet_v2: bilinear resizing "
        "and convolutions of 3x3, 123,721 parameters.",
    )


class Augmentation(Section):
    """Changes of training crops that do not move what is salient."""

    flip: bool = Field(default=True, description="Mirror half of the crops.")
    light: float = Field(
        default=0.2,
        ge=0,
        le=0.9,
        description="Multiply the contrast of a crop by up to 1 +- this, and shift its mean by up to this share of half of the "
        "range.",
    )


class Loss(Section):
    """The loss of a crop: binary cross-entropy, and 1 - Dice coefficient of the batch."""

    dice: float = Field(default=1.0, ge=0, description="Weight of the Dice part.")


class Iou(Section):
    """Limits on the intersection over union of maps and masks, mean over the held-out pictures of each corpus."""

    least: float = Field(default=0.5, ge=0, le=1, description="IoU of every corpus.")
    above_fixed: float | None = Field(
        default=None,
        ge=-1,
        le=1,
        description="How far the IoU of every corpus is above that of a fixed map, the mean of the training masks at the "
        "threshold that suits the corpus best; null: no limit.",
    )


class SaliencyGates(Section):
    """Limits that a model must keep to be promoted."""

    iou: Iou = Iou()


class SaliencySpec(ModelSpec, Section):
    """A model that maps salient objects."""

    kind: Literal["saliency"] = Field(description="Pictures in colour in; maps of salient objects out.")
    network: Network = Network()
    side: int = Field(
        default=96,
        ge=32,
        le=1024,
        multiple_of=STRIDE,
        description="Width and height of the pictures of the table, and of those that the shipped model takes.",
    )
    crop: int = Field(
        default=80, ge=32, le=1024, multiple_of=STRIDE, description="Side of the random squares that are trained on."
    )
    augmentation: Augmentation = Augmentation()
    loss: Loss = Loss()
    schedule: Schedule = Schedule()
    early_stopping: EarlyStopping | None = Field(default=None, description="null: every epoch is trained.")
    precision: Literal["32", "16-mixed"] = Field(
        default="32", description="Numbers that a training computes with; 16-mixed needs device: cuda."
    )
    device: Literal["cpu", "cuda"] = Field(default="cpu", description="Device of the training.")
    target: Target = Target(table="saliency", column=MASK, range=(0.0, 1.0))
    optimiser: Optimiser = Optimiser(name="adam", lr=3e-3)
    batch_size: int = Field(default=16, ge=1, le=4096, description="Crops per step.")
    split: Split = Split(protocol="hash")
    gates: SaliencyGates = SaliencyGates()  # type: ignore[assignment]
    export: ImageExport = ImageExport()
    quantised: tuple[Quantised, ...] = (Quantised(mode="static_qdq", calibration_rows=64),)
    ensemble: Ensemble | None = Field(default=None, description="Ensembles of maps are not made: null.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.target.column != MASK or self.target.range != (0.0, 1.0):
            raise ValueError(f"target: a map answers masks, so column is {MASK} and range [0, 1]")
        if self.crop > self.side:
            raise ValueError(f"crop: {self.crop} is larger than the pictures (side: {self.side})")
        if self.precision != "32" and self.device == "cpu":
            raise ValueError(f"precision: {self.precision} needs device: cuda")
        if self.ensemble is not None:
            raise ValueError("ensembles of maps are not made: set ensemble: null")
        if self.rows.negatives:
            raise ValueError("rows.negatives are rows of features, not pictures: leave it out")
        if self.split.beside is not None:
            raise ValueError("split.beside trains more members than the protocol's: leave it out")
        for entry in self.quantised:
            if entry.mode == "dynamic":
                raise ValueError(f"quantised mode {entry.mode} is not for convolutions: static, static_qdq or qat")
        return self


SPEC = SaliencySpec
