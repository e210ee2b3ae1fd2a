"""The networks, as torch modules of layers that have an ONNX form (`pyvmaf.models.image.onnx_form`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pyvmaf.errors import InputError
from pyvmaf.models.image.spec import Network


class Separable(nn.Sequential):
    """A depthwise 3x3 convolution and a pointwise one, each with batch normalisation and ReLU6."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False),
            nn.BatchNorm2d(inputs),
            nn.ReLU6(inplace=True),
            nn.Conv2d(inputs, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU6(inplace=True),
        )


class MobileNetTiny(nn.Module):
    """Score of gray pictures: [n, 1, h, w] in [0, 1] to [n, 1].

    A convolution of 16 channels and five separable ones to 128, then the mean over the picture and a linear layer: 19,105
    trained numbers.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6(inplace=True))
        self.blocks = nn.Sequential(
            Separable(16, 32, 2),
            Separable(32, 32, 1),
            Separable(32, 64, 2),
            Separable(64, 64, 1),
            Separable(64, 128, 2),
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.head = nn.Linear(128, 1)

    def forward(self, frame: Tensor) -> Tensor:
        """Score pictures."""
        answers: Tensor = self.head(self.flatten(self.pool(self.blocks(self.stem(frame)))))
        return answers


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions whose result is added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, 1, 1)
        self.relu = nn.ReLU()
        self.second = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Add the convolutions of x to it."""
        change: Tensor = self.second(self.relu(self.first(x)))
        return x + change


_CHANGE = 0.1
"""Unit of what a filter adds. Corrections are about one of 255 levels: in a unit of the whole range a single step of the
optimiser moves the last layer by more than it has to learn."""
_CONTRAST = 8.0
"""Gain of a filter's first layer, whose kernels start without a mean: what differs from the surroundings is what a filter
looks at, and the level of the surroundings, which is some ten times larger, is noise to the layers behind."""


class ResidualFilter(nn.Module):
    """Pictures to pictures of the same size: [n, 1, h, w] in [0, 1], whose last layer starts at zero."""

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        self.inwards = nn.Conv2d(1, channels, 3, 1, 1)
        kernels = self.inwards.weight.detach()
        kernels.copy_(_CONTRAST * (kernels - kernels.mean(dim=(1, 2, 3), keepdim=True)))
        self.relu = nn.ReLU()
        self.blocks = nn.Sequential(*(ResidualBlock(channels) for _ in range(blocks)))
        self.outwards = nn.Conv2d(channels, 1, 3, 1, 1)
        for layer in (self.inwards, self.outwards):
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.outwards.weight)

    def forward(self, degraded: Tensor) -> Tensor:
        """Filter pictures."""
        residual: Tensor = self.outwards(self.blocks(self.relu(self.inwards(degraded))))
        return torch.clamp(degraded + residual * _CHANGE, 0.0, 1.0)


class Scaled(nn.Module):
    """A network whose answers are mapped to a range: low + (answer + 2) / 4 of its width, kept inside if asked."""

    def __init__(self, network: nn.Module, bounds: tuple[float, float], clip: bool) -> None:
        super().__init__()
        self.network = network
        self.bounds = bounds
        self.clip = clip

    def forward(self, frame: Tensor) -> Tensor:
        """Score pictures: [n]."""
        low, high = self.bounds
        answers: Tensor = self.network(frame) * ((high - low) / 4) + (low + high) / 2
        if self.clip:
            answers = torch.clamp(answers, low, high)
        return torch.squeeze(answers, 1)


def build(network: Network) -> nn.Module:
    """Make a network that is trained whole, with torch's initial weights."""
    if network.is_frozen:
        raise InputError("a frozen backbone is not trained: its head is solved")
    if network.is_filter:
        return ResidualFilter(network.channels, network.blocks)
    return MobileNetTiny()


def in_part(network: Network, state: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Let a trained filter make only a share of its change: its last layer is linear."""
    if network.share == 1:
        return state
    share = np.float32(network.share)
    return {name: values * share if name.startswith("outwards.") else values for name, values in state.items()}


def n_parameters(module: nn.Module) -> int:
    """Count the trained numbers of a module."""
    return sum(parameter.numel() for parameter in module.parameters())


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute with one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
