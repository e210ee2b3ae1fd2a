"""EfficientNet-Lite0 (Tan & Le 2019, arXiv:1905.11946, in the variant without squeeze-and-excitation): 1,000 classes of
ImageNet, and figures of what its layers see.

Sixteen blocks in seven stages: a 1x1 convolution that widens, a depthwise one, and a 1x1 convolution that narrows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

SIZE = 224

TASK = "features"
INPUTS = {"input": (1, 3, SIZE, SIZE)}
RANGES = {"input": (-0.9921875, 1.0)}
WHOLE = False
GRAY = 127 / 255, 128 / 255
"""Value of an input of 0, and how far 1 is from it, of samples in [0, 1]."""
PREPARATION = {"divide_by": "255", "mean": [GRAY[0]] * 3, "std": [GRAY[1]] * 3}


class Stage(NamedTuple):
    """Blocks of one stage: how many, side and stride of the depthwise convolution, how far they widen, channels."""

    blocks: int
    kernel: int
    stride: int
    expand: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
STEM, HEAD, CLASSES = 32, 1280, 1000

N_FEATURES = 2 * (STEM + sum(stage.channels for stage in STAGES) + HEAD)
"""Mean and standard deviation of each channel of the stem, of each stage, and of the last convolution."""

OUTPUTS = {"features": (1, N_FEATURES), "logits": (1, CLASSES)}


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """Make a convolution of the network.

    One of stride 2 has a row and a column of zeros in front of its kernel: padded alike at all sides, it answers as the
    published one, which is padded less in front than behind.
    """
    side = kernel + (stride - 1)
    return nn.Conv2d(inputs, outputs, side, stride, (kernel - 1) // 2, groups=groups, bias=False)


def _normalisation(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class Block(nn.Module):
    """An inverted residual: added to its input where it keeps the shape."""

    def __init__(self, inputs: int, stage: Stage, stride: int) -> None:
        super().__init__()
        inner = inputs * stage.expand
        if stage.expand > 1:
            self._expand_conv = convolution(inputs, inner, 1)
            self._bn0 = _normalisation(inner)
        self._depthwise_conv = convolution(inner, inner, stage.kernel, stride, inner)
        self._bn1 = _normalisation(inner)
        self._project_conv = convolution(inner, stage.channels, 1)
        self._bn2 = _normalisation(stage.channels)
        self._relu = nn.ReLU6()
        self._widens, self._adds = stage.expand > 1, stride == 1 and inputs == stage.channels

    def forward(self, x: Tensor) -> Tensor:
        """Compute the block."""
        inner = self._relu(self._bn0(self._expand_conv(x))) if self._widens else x
        inner = self._relu(self._bn1(self._depthwise_conv(inner)))
        answers: Tensor = self._bn2(self._project_conv(inner))
        return answers + x if self._adds else answers


class Network(nn.Module):
    """The network: RGB pictures [n, 3, h, w] as `PREPARATION` says, to `N_FEATURES` figures and the logits of the classes."""

    def __init__(self, planes: int = 3) -> None:
        """Build it with random weights; names are those of the published state dict.

        Args:
            planes: channels of the pictures.
        """
        super().__init__()
        self._conv_stem = convolution(planes, STEM, 3, 2)
        self._bn0 = _normalisation(STEM)
        blocks, channels = [], STEM
        for stage in STAGES:
            for index in range(stage.blocks):
                blocks.append(Block(channels, stage, stage.stride if index == 0 else 1))
                channels = stage.channels
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = convolution(channels, HEAD, 1)
        self._bn1 = _normalisation(HEAD)
        self._fc = nn.Linear(HEAD, CLASSES)
        self._relu = nn.ReLU6()

    def stages(self, x: Tensor, n: int = len(STAGES)) -> list[Tensor]:
        """Give what the stem and the first n stages answer."""
        x = self._relu(self._bn0(self._conv_stem(x)))
        found, blocks = [x], iter(self._blocks)
        for stage in STAGES[:n]:
            for _ in range(stage.blocks):
                x = next(blocks)(x)
            found.append(x)
        return found

    def levels(self, x: Tensor) -> list[Tensor]:
        """Give what the stem, each stage and the last convolution answer."""
        found = self.stages(x)
        return [*found, self._relu(self._bn1(self._conv_head(found[-1])))]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Give figures and logits."""
        levels = self.levels(x)
        logits: Tensor = self._fc(torch.flatten(torch.mean(levels[-1], [2, 3], True), 1))
        return figures(levels), logits


def figures(levels: Sequence[Tensor]) -> Tensor:
    """Mean and standard deviation of each channel: [n, c, h, w] of several levels to [n, twice the channels of all]."""
    return torch.flatten(torch.cat([part for level in levels for part in spread(level)], 1), 1)


def spread(level: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel: [n, c, h, w] to [n, c, 1, 1] twice."""
    mean = torch.mean(level, [2, 3], True)
    away = level - mean
    return mean, torch.sqrt(torch.mean(away * away, [2, 3], True))


def read(data: bytes, path: Path) -> dict[str, Tensor]:
    """Read the published state dict, with kernels as `convolution` has them.

    Raises:
        IntegrityError: it is damaged, or holds more than tensors.
    """
    from pyvmaf.models.imported.checkpoint import read_tensors

    tensors = read_tensors(data, path)
    for name, expected in Network().state_dict().items():
        weight = tensors.get(name)
        # Published kernels have odd sides; the conversion names other shapes.
        if weight is not None and weight.ndim == 4 and [side + 1 for side in weight.shape[2:]] == [*expected.shape[2:]]:
            tensors[name] = functional.pad(weight, (1, 0, 1, 0))
    return tensors
