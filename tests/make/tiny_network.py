"""A network of a few weights that stands in `ARCHITECTURES` for the large ones: pictures in, a map out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

TASK = "saliency"
INPUTS = {"input": (1, 3, 8, 8)}
OUTPUTS = {"saliency_map": (1, 1, 8, 8)}
RANGES = {"input": (0.0, 1.0)}
OUTPUT_RANGE = (0.0, 1.0)
WHOLE = False


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 3, padding=1)
        self.bn = nn.BatchNorm2d(1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.bn(self.conv(x)))
