"""Random parts of pictures, to train on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import IterableDataset

from pyvmaf.models.image.randomness import stream
from pyvmaf.models.image.rows import PictureRows
from pyvmaf.models.image.spec import ImageSpec

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
"""Crops [n, 1, s, s] in [0, 1], their targets ([n] scaled scores, or crops of the pristine pictures), weights [n], and the
number of each crop's source among those of the batch, int64 [n]."""


def scaled(spec: ImageSpec, y: NDArray[np.float64]) -> NDArray[np.float32]:
    """Map targets [n] to the scale that networks are trained on: the target's range to -2 to 2."""
    low, high = spec.target.range
    return ((y - (low + high) / 2) / ((high - low) / 4)).astype(np.float32)


class RandomCrops(IterableDataset[Batch]):
    """The batches of one epoch: each row once, in random order, with a random part of its picture.

    What is drawn depends on the seed, the member and the epoch alone, so that a training that was interrupted goes on with
    the same crops.
    """

    def __init__(self, spec: ImageSpec, data: PictureRows, rows: NDArray[np.int64], *words: object) -> None:
        """`words` name the stream of random numbers: seed, member and epoch."""
        self._spec, self._data, self._rows, self._words = spec, data, rows, words
        self._targets = scaled(spec, data.y)
        self._sources = np.asarray(data.keys.get("source", data.groups)[np.arange(data.y.size)])

    def __len__(self) -> int:
        return -(-self._rows.size // self._spec.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        rng = stream("crops", *self._words)
        order = self._order(rng)
        for start in range(0, order.size, self._spec.batch_size):
            rows = order[start : start + self._spec.batch_size]
            parts = [self._part(int(row), rng) for row in rows]
            inputs = self._lit(_tensor([first for first, _ in parts]), rng)
            if self._spec.network.is_filter:
                targets = _tensor([second for _, second in parts if second is not None])
            else:
                targets = torch.from_numpy(self._targets[rows])
            sources = np.unique(self._sources[rows], return_inverse=True)[1].astype(np.int64)
            yield inputs, targets, torch.from_numpy(self._data.weights[rows]), torch.from_numpy(sources)

    def _order(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """The rows in random order: those of a source in groups of ``sampling.together``."""
        size = self._spec.sampling.together
        if size == 1:
            return rng.permutation(self._rows)
        sources, groups = self._sources[self._rows], []
        for source in np.unique(sources):
            own = rng.permutation(self._rows[sources == source])
            groups += [own[start : start + size] for start in range(0, own.size, size)]
        return np.concatenate([groups[index] for index in rng.permutation(len(groups))])

    def _lit(self, crops: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        """Change contrast and mean of each crop, in place."""
        light = self._spec.augmentation.light
        if not light:
            return crops
        contrast, shift = rng.uniform(-light, light, (2, len(crops), 1, 1, 1)).astype(np.float32)
        mean = crops.mean(dim=(2, 3), keepdim=True)
        changed = crops.sub_(mean).mul_(torch.from_numpy(1 + contrast)).add_(mean)
        return changed.add_(torch.from_numpy(shift / 4)).clamp_(0, 1)

    def _part(self, row: int, rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any] | None]:
        picture, side = self._data.picture(row), self._spec.crops.train
        pictures = [picture] + ([self._data.reference(row)] if self._spec.network.is_filter else [])
        height, width = picture.shape
        top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
        changes, flips = self._spec.augmentation, rng.random(3) < 0.5
        parts = [one[top : top + side, left : left + side] for one in pictures]
        if changes.flip and flips[0]:
            parts = [part[:, ::-1] for part in parts]
        if changes.transpose and flips[1]:
            parts = [part.T for part in parts]
        if changes.transpose and flips[2]:
            parts = [part[::-1] for part in parts]
        return parts[0], parts[1] if len(parts) > 1 else None


def _tensor(parts: list[NDArray[np.uint8]]) -> torch.Tensor:
    """Stack squares as [n, 1, s, s] in [0, 1]."""
    pixels = np.stack([np.asarray(part) for part in parts])[:, None].astype(np.float32)
    return torch.from_numpy(np.divide(pixels, np.float32(255), out=pixels))
