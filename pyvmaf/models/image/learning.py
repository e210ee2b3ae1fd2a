"""What a training of a network of pictures consists of, whoever runs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import Dataset

Batch = tuple[torch.Tensor, ...]
"""Inputs [n, c, h, w] of a network, and what its loss needs beside them."""


class Lesson(Protocol):
    """What is learned: a network, the batches of its rows, and their loss."""

    def phases(self, epochs: int) -> list[Phase]:
        """Divide a training of so many epochs into its parts."""

    def network(self) -> nn.Module:
        """Make a network with initial weights."""

    def batches(self, rows: NDArray[np.int64], *words: object) -> Dataset[Batch]:
        """Give the batches of a pass over rows, as many as its length; `words` name the stream of random numbers."""

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """Compute the mean loss of a batch; its inputs lie in memory channel by channel."""


@dataclass(frozen=True)
class Phase:
    """A part of a training.

    Attributes:
        epochs: passes over its rows.
        lesson: its batches and their loss.
        lr: its learning rate, which goes through the whole schedule.
    """

    epochs: int
    lesson: Lesson
    lr: float
