"""What a model of pictures learns: random crops of pictures, and the loss of a score or of a filtered picture."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pyvmaf.errors import InputError
from pyvmaf.models.image.crops import RandomCrops
from pyvmaf.models.image.learning import Batch, Phase
from pyvmaf.models.image.networks import build
from pyvmaf.models.image.rows import PictureRows
from pyvmaf.models.image.spec import ImageSpec, Loss, Stage


@dataclass(frozen=True)
class PictureLesson:
    """The rows of a table; see `pyvmaf.models.image.learning.Lesson`.

    Attributes:
        spec: the model.
        data: the rows.
        stage: the stage of the training that it is of.
    """

    spec: ImageSpec
    data: PictureRows
    stage: Stage | None = None

    def phases(self, epochs: int) -> list[Phase]:
        """Divide epochs as the stages of the spec do."""
        if not self.spec.stages:
            return [Phase(epochs, self, self.spec.optimiser.lr)]
        ends = np.cumsum([stage.epochs for stage in self.spec.stages]) / self.spec.epochs * epochs
        counts = np.diff(np.rint(ends).astype(int), prepend=0)
        return [
            Phase(int(count), replace(self, stage=stage), stage.lr or self.spec.optimiser.lr)
            for count, stage in zip(counts, self.spec.stages, strict=True)
            if count
        ]

    @property
    def _loss(self) -> Loss:
        return self.spec.loss if self.stage is None or self.stage.loss is None else self.stage.loss

    def network(self) -> nn.Module:
        """Make the network of the spec."""
        return build(self.spec.network)

    def batches(self, rows: NDArray[np.int64], *words: object) -> RandomCrops:
        """Give random crops of the rows that the stage trains on.

        Raises:
            InputError: there are none.
        """
        below = None if self.stage is None else self.stage.below
        if below is not None:
            rows = rows[self.data.quality(rows) < below]
            if not rows.size:
                raise InputError(
                    f"{self.data.path}: no picture to train on has a score below {below:g}, which a stage of {self.spec.name} "
                    "trains on: leave its `below` out, or add stronger compression"
                )
        return RandomCrops(self.spec, self.data, rows, *words)

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """Compute the loss of scores, or of pictures."""
        inputs, targets, weights, sources = batch
        answers = network(inputs)
        loss = self._loss
        if loss.name == "smooth_l1":
            each = nn.functional.smooth_l1_loss(answers[:, 0], targets, beta=loss.beta, reduction="none")
            if loss.within:
                away, expected = (centred(values, sources) for values in (answers[:, 0], targets))
                order = nn.functional.smooth_l1_loss(away, expected, beta=loss.beta, reduction="none")
                each = each + loss.within * order
        elif loss.name == "gain":
            after, before = ((one - targets).square().mean(dim=(1, 2, 3)) + loss.floor**2 for one in (answers, inputs))
            change = torch.log(after / before)
            each = torch.where(change > 0, loss.harm * change, change)
        else:
            error = (answers - targets).abs().mean(dim=(1, 2, 3))
            before = (inputs - targets).abs().mean(dim=(1, 2, 3))
            each = error / (before + loss.floor) ** loss.power
        return (each * weights).sum() / weights.sum()


def centred(values: torch.Tensor, sources: torch.Tensor) -> torch.Tensor:
    """Subtract from each value [n] the mean of those of its source [n]."""
    counts = torch.bincount(sources)
    sums = torch.zeros(len(counts), dtype=values.dtype, device=values.device).index_add(0, sources, values)
    return values - (sums / counts)[sources]
