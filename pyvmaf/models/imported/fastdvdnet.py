"""FastDVDnet (Tassano et al. 2020, arXiv:1907.01361): removes noise from the middle one of five frames.

The same U-shape looks at three triples of frames, and another one at what these give. Around it, the graph takes grey
frames and gives a grey one: the network sees them as RGB of equal channels, and a constant map of the noise's strength.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from pyvmaf.models.imported.architectures import Shapes

WINDOW, HEIGHT, WIDTH = 5, 64, 64
SIGMA = 25 / 255
"""Standard deviation of the noise that the graph assumes, of samples of 0 to 1."""

TASK = "denoise"
INPUTS = {"frames": (1, WINDOW, HEIGHT, WIDTH)}
OUTPUTS = {"denoised": (1, 1, HEIGHT, WIDTH)}
RANGES = {"frames": (0.0, 1.0)}
OUTPUT_RANGE = (0.0, 1.0)
WHOLE = False

_LUMA = (0.299, 0.587, 0.114)
"""BT.601."""


def _twice(channels: int, filters: int) -> list[nn.Module]:
    """Two convolutions of 3x3, each normalised and rectified."""
    layers: list[nn.Module] = []
    for first in (channels, filters):
        layers += [nn.Conv2d(first, filters, 3, padding=1, bias=False), nn.BatchNorm2d(filters), nn.ReLU()]
    return layers


class _Twice(nn.Module):
    def __init__(self, filters: int) -> None:
        super().__init__()
        self.convblock = nn.Sequential(*_twice(filters, filters))

    def forward(self, x: Tensor) -> Tensor:
        return self.convblock(x)  # type: ignore[no-any-return]


class _Inputs(nn.Module):
    """Each of three frames with its noise map alone, then all together."""

    def __init__(self) -> None:
        super().__init__()
        self.convblock = nn.Sequential(
            nn.Conv2d(12, 90, 3, padding=1, groups=3, bias=False),
            nn.BatchNorm2d(90),
            nn.ReLU(),
            nn.Conv2d(90, 32, 3, padding=1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.convblock(x)  # type: ignore[no-any-return]


class _Down(nn.Module):
    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        self.convblock = nn.Sequential(
            nn.Conv2d(channels, filters, 3, padding=1, stride=2, bias=False),
            nn.BatchNorm2d(filters),
            nn.ReLU(),
            _Twice(filters),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.convblock(x)  # type: ignore[no-any-return]


class _Doubled(nn.Module):
    """Pictures of twice the side from four times the channels; `nn.PixelShuffle` out of operators that models may have."""

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = (int(size) for size in x.shape)
        parts = x.reshape(batch, channels // 4, 2, 2, height, width).permute(0, 1, 4, 2, 5, 3)
        return parts.reshape(batch, channels // 4, 2 * height, 2 * width)


class _Up(nn.Module):
    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        self.convblock = nn.Sequential(
            _Twice(channels), nn.Conv2d(channels, 4 * filters, 3, padding=1, bias=False), _Doubled()
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.convblock(x)  # type: ignore[no-any-return]


class _Outputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convblock = nn.Sequential(
            nn.Conv2d(32, 32, 3, padding=1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, 3, 3, padding=1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.convblock(x)  # type: ignore[no-any-return]


class _Triple(nn.Module):
    """The U-shape: three RGB frames and a noise map to the noise of the middle one, which it takes away."""

    def __init__(self) -> None:
        super().__init__()
        self.inc = _Inputs()
        self.downc0, self.downc1 = _Down(32, 64), _Down(64, 128)
        self.upc2, self.upc1 = _Up(128, 64), _Up(64, 32)
        self.outc = _Outputs()

    def forward(self, before: Tensor, middle: Tensor, after: Tensor, noise: Tensor) -> Tensor:
        first = self.inc(torch.cat([before, noise, middle, noise, after, noise], dim=1))
        second = self.downc0(first)
        x = self.upc2(self.downc1(second))
        x = self.upc1(second + x)
        return middle - self.outc(first + x)  # type: ignore[no-any-return]


class Network(nn.Module):
    """The network: five grey frames [1, 5, h, w] of 0 to 1 to the middle one without noise [1, 1, h, w]."""

    def __init__(self, height: int = HEIGHT, width: int = WIDTH) -> None:
        """Build it with random weights; names are those of the published state dict.

        Args:
            height, width: of the frames; they are padded to multiples of 4 by repeating the edge.
        """
        super().__init__()
        self.temp1, self.temp2 = _Triple(), _Triple()
        self._beside, self._below = -width % 4, -height % 4
        self._size = height, width

    def forward(self, frames: Tensor) -> Tensor:
        """Give the middle frame."""
        height, width = self._size
        # Slices, because the exporter computes the widths of a pad, so that nothing would bound the graph's memory.
        frames = torch.cat([frames, *[frames[:, :, -1:]] * self._below], dim=2)
        frames = torch.cat([frames, *[frames[..., -1:]] * self._beside], dim=3)
        noise = torch.full((1, 1, height + self._below, width + self._beside), SIGMA)
        colours = [torch.cat([frames[:, index : index + 1]] * 3, dim=1) for index in range(WINDOW)]
        triples = [self.temp1(*colours[start : start + 3], noise) for start in range(3)]
        denoised = self.temp2(*triples, noise).clamp(0, 1)
        luma: Tensor = (denoised * torch.tensor(_LUMA)[None, :, None, None]).sum(dim=1, keepdim=True)
        return luma[:, :, :height, :width]


def sized(height: int, width: int) -> tuple[Shapes, Shapes, partial[Network]]:
    """Give the shapes of inputs and outputs and the network for frames of a size."""
    return {"frames": (1, WINDOW, height, width)}, {"denoised": (1, 1, height, width)}, partial(Network, height, width)
