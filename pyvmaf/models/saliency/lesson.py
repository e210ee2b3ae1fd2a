"""What a saliency model learns: random crops of pictures with their masks, and the loss of maps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import IterableDataset

from pyvmaf.models.image.learning import Batch, Phase
from pyvmaf.models.image.randomness import stream
from pyvmaf.models.saliency.names import MEAN, STD
from pyvmaf.models.saliency.networks import build
from pyvmaf.models.saliency.rows import MaskedRows
from pyvmaf.models.saliency.spec import SaliencySpec

_SMOOTH = 1.0
"""Added to both sides of the Dice coefficient: samples, so that a batch without anything salient has one."""


class MaskedCrops(IterableDataset[Batch]):
    """The batches of one epoch: each row once, in random order, with a random part of its picture and mask."""

    def __init__(self, spec: SaliencySpec, data: MaskedRows, rows: NDArray[np.int64], *words: object) -> None:
        """`words` name the stream of random numbers: seed, member and epoch."""
        self._spec, self._data, self._rows, self._words = spec, data, rows, words

    def __len__(self) -> int:
        return -(-self._rows.size // self._spec.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        rng = stream("masked crops", *self._words)
        order = rng.permutation(self._rows)
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
        for start in range(0, order.size, self._spec.batch_size):
            parts = [self._part(int(row), rng) for row in order[start : start + self._spec.batch_size]]
            pictures = torch.from_numpy(
                np.stack([picture for picture, _ in parts]).transpose(0, 3, 1, 2) / np.float32(255)
            )
            masks = torch.from_numpy(np.stack([mask for _, mask in parts])[:, None] / np.float32(255))
            yield (self._lit(pictures, rng) - mean) / std, masks

    def _part(self, row: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        picture, mask, side = self._data.picture(row), self._data.mask(row), self._spec.crop
        top, left = (int(rng.integers(size - side + 1)) for size in mask.shape)
        flip = self._spec.augmentation.flip and rng.random() < 0.5
        window = (slice(top, top + side), slice(left, left + side))
        parts = picture[window], mask[window]
        return (parts[0][:, ::-1], parts[1][:, ::-1]) if flip else parts

    def _lit(self, crops: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        """Change contrast and mean of each crop."""
        light = self._spec.augmentation.light
        contrast, shift = rng.uniform(-light, light, (2, len(crops), 1, 1, 1)).astype(np.float32)
        mean = crops.mean(dim=(1, 2, 3), keepdim=True)
        return torch.clamp((crops - mean) * torch.from_numpy(1 + contrast) + mean + torch.from_numpy(shift / 2), 0, 1)


@dataclass(frozen=True)
class SaliencyLesson:
    """The rows of a table; see `pyvmaf.models.image.learning.Lesson`."""

    spec: SaliencySpec
    data: MaskedRows

    def phases(self, epochs: int) -> list[Phase]:
        """Train in one part."""
        return [Phase(epochs, self, self.spec.optimiser.lr)]

    def network(self) -> nn.Module:
        """Make the network of the spec."""
        return build(self.spec.network)

    def batches(self, rows: NDArray[np.int64], *words: object) -> MaskedCrops:
        """Give random crops of the rows."""
        return MaskedCrops(self.spec, self.data, rows, *words)

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """Binary cross-entropy of logits and masks, and the part of the Dice coefficient that is missing."""
        pictures, masks = batch
        logits = network(pictures)
        entropy = nn.functional.binary_cross_entropy_with_logits(logits, masks)
        maps = torch.sigmoid(logits)
        dice = (2 * (maps * masks).sum() + _SMOOTH) / (maps.sum() + masks.sum() + _SMOOTH)
        return entropy + self.spec.loss.dice * (1 - dice)
