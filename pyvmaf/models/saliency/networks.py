"""The networks: small U-shapes that end in logits, as torch modules of layers that have an ONNX form."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pyvmaf.models.saliency.spec import Network

_DOWN = (16, 32, 48)
"""Channels of the levels on the way down."""

_LOWEST = 48
_UP = (32, 16, 8)
"""Channels of the levels on the way up."""


class Convolved(nn.Sequential):
    """Convolutions of 3x3, each with batch normalisation and ReLU."""

    def __init__(self, inputs: int, outputs: int, n: int) -> None:
        layers: list[nn.Module] = []
        for index in range(n):
            layers += [
                nn.Conv2d(inputs if index == 0 else outputs, outputs, 3, 1, 1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
            ]
        super().__init__(*layers)


WayUp = Callable[[int, int], nn.Module]
"""Makes a layer that doubles pictures of so many channels, and gives so many."""


def transposed(inputs: int, outputs: int) -> nn.Module:
    """Make a transposed convolution."""
    return nn.ConvTranspose2d(inputs, outputs, 2, 2, bias=False)


def resized(inputs: int, outputs: int) -> nn.Module:
    """Make a bilinear resizing and a convolution: no checkerboard as of transposed convolutions."""
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
        nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False),
    )


_WAYS_UP: dict[str, WayUp] = {"tiny_unet_v1": transposed, "tiny_unet_v2": resized}


class TinyUNet(nn.Module):
    """Logits of maps: pictures [n, 3, h, w], normalised, to [n, 1, h, w]; h and w are multiples of `STRIDE`.

    Three levels of two convolutions on the way down, one convolution at the lowest, and on the way up one convolution of
    what was doubled beside what the way down had at this size.
    """

    def __init__(self, way_up: WayUp) -> None:
        super().__init__()
        channels = 3
        self.down = nn.ModuleList()
        for width in _DOWN:
            self.down.append(Convolved(channels, width, 2))
            channels = width
        self.halve = nn.MaxPool2d(2)
        self.lowest = Convolved(channels, _LOWEST, 1)
        channels = _LOWEST
        self.doubling, self.up = nn.ModuleList(), nn.ModuleList()
        for width, beside in zip(_UP, reversed(_DOWN), strict=True):
            self.doubling.append(way_up(channels, width))
            self.up.append(Convolved(width + beside, width, 1))
            channels = width
        self.head = nn.Conv2d(channels, 1, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        """Map pictures."""
        x, levels = pictures, []
        for level in self.down:
            x = level(x)
            levels.append(x)
            x = self.halve(x)
        x = self.lowest(x)
        for enlarge, level in zip(self.doubling, self.up, strict=True):
            x = level(torch.cat([enlarge(x), levels.pop()], 1))
        logits: Tensor = self.head(x)
        return logits


class Mapped(nn.Module):
    """A network whose logits become values of 0 to 1: what ships."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> Tensor:
        """Map pictures: [n, 1, h, w]."""
        return torch.sigmoid(self.network(pictures))


def build(network: Network) -> nn.Module:
    """Make a network with torch's initial weights."""
    return TinyUNet(_WAYS_UP[network.type])
