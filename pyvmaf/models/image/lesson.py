"""What a model of pictures learns: random crops of pictures, and the loss of a score or of a filtered picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pyvmaf.models.image.crops import RandomCrops
from pyvmaf.models.image.networks import build
from pyvmaf.models.image.rows import PictureRows
from pyvmaf.models.image.spec import ImageSpec
from pyvmaf.models.image.trainer import Batch


@dataclass(frozen=True)
class PictureLesson:
    """The rows of a table; see `pyvmaf.models.image.trainer.Lesson`."""

    spec: ImageSpec
    data: PictureRows

    def network(self) -> nn.Module:
        """Make the network of the spec."""
        return build(self.spec.network)

    def batches(self, rows: NDArray[np.int64], *words: object) -> RandomCrops:
        """Give random crops of the rows."""
        return RandomCrops(self.spec, self.data, rows, *words)

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """Compute the loss of scores, or of pictures."""
        inputs, targets, weights = batch
        answers = network(inputs)
        loss = self.spec.loss
        if loss.name == "smooth_l1":
            each = nn.functional.smooth_l1_loss(answers[:, 0], targets, beta=loss.beta, reduction="none")
        else:
            error = (answers - targets).abs().mean(dim=(1, 2, 3))
            before = (inputs - targets).abs().mean(dim=(1, 2, 3))
            each = error / (before + loss.floor) ** loss.power
        return (each * weights).sum() / weights.sum()
