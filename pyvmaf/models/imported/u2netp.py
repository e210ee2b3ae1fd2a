"""U²-Net-p (Qin et al. 2020, arXiv:2005.09007): the small network of nested U-shapes that maps salient objects.

Six stages on the way down and five on the way up, each a U-shape itself; six maps of different sizes are mixed into one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pyvmaf.errors import IntegrityError

SIZE = 320

TASK = "saliency"
INPUTS = {"input": (1, 3, SIZE, SIZE)}
OUTPUTS = {"saliency_map": (1, 1, SIZE, SIZE)}
RANGES = {"input": (-2.2, 2.7)}
OUTPUT_RANGE = (0.0, 1.0)
WHOLE = False
PREPARATION = {"divide_by": "largest", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
MIRROR = {"repository": "xuebinqin/U-2-Net", "commit": "ac7e1c817eca", "notice": None}
"""Where the weights come from; the repository has a licence and no NOTICE file."""

_INNER, _OUTER = 16, 64
_DOWN = {"stage1": 7, "stage2": 6, "stage3": 5, "stage4": 4, "stage5": 0, "stage6": 0}
_UP = {"stage5d": 0, "stage4d": 4, "stage3d": 5, "stage2d": 6, "stage1d": 7}
"""Depth of the U-shape of each stage, in forward order; 0 for one that dilates instead of halving pictures."""


class _Conv(nn.Module):
    def __init__(self, channels: int, filters: int, dilation: int = 1) -> None:
        super().__init__()
        self.conv_s1 = nn.Conv2d(channels, filters, 3, padding=dilation, dilation=dilation)
        self.bn_s1 = nn.BatchNorm2d(filters)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.bn_s1(self.conv_s1(x)))


def _resized(x: Tensor, like: Tensor) -> Tensor:
    """Resize pictures to the size of others, bilinearly between centres of pixels."""
    size = (int(like.shape[2]), int(like.shape[3]))
    return functional.interpolate(x, size=size, mode="bilinear", align_corners=False)


def _halved(x: Tensor) -> Tensor:
    return functional.max_pool2d(x, 2, stride=2, ceil_mode=True)


class _Shape(nn.Module):
    """A U-shape of convolutions with a shortcut around it."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self._depth = depth or 4
        self._halves = depth > 0
        self.rebnconvin = _Conv(channels, _OUTER)
        for level in range(1, self._depth + 1):
            dilation = 2 if depth and level == depth else 1 if depth else 1 << (level - 1)
            self.add_module(f"rebnconv{level}", _Conv(_OUTER if level == 1 else _INNER, _INNER, dilation))
        for level in range(self._depth - 1, 0, -1):
            dilation = 1 if depth else 1 << (level - 1)
            self.add_module(f"rebnconv{level}d", _Conv(2 * _INNER, _OUTER if level == 1 else _INNER, dilation))

    def forward(self, x: Tensor) -> Tensor:
        whole = self.rebnconvin(x)
        levels = []
        x = whole
        for level in range(1, self._depth + 1):
            # The lowest level dilates instead of halving once more.
            if self._halves and 1 < level < self._depth:
                x = _halved(x)
            x = getattr(self, f"rebnconv{level}")(x)
            levels.append(x)
        for level in range(self._depth - 1, 0, -1):
            beside = levels[level - 1]
            x = x if x.shape == beside.shape else _resized(x, beside)
            x = getattr(self, f"rebnconv{level}d")(torch.cat([x, beside], dim=1))
        total: Tensor = x + whole
        return total


class Network(nn.Module):
    """The network: RGB pictures [1, 3, 320, 320] as `PREPARATION` says, to a map [1, 1, 320, 320] of 0 to 1."""

    def __init__(self) -> None:
        """Build it with random weights; names are those of the published state dict."""
        super().__init__()
        for name, depth in _DOWN.items():
            self.add_module(name, _Shape(3 if name == "stage1" else _OUTER, depth))
        for name, depth in _UP.items():
            self.add_module(name, _Shape(2 * _OUTER, depth))
        for number in range(1, 7):
            self.add_module(f"side{number}", nn.Conv2d(_OUTER, 1, 3, padding=1))
        self.outconv = nn.Conv2d(6, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Give the map."""
        levels: list[Tensor] = []
        for name in _DOWN:
            x = getattr(self, name)(_halved(x) if levels else x)
            levels.append(x)
        mapped = [levels.pop()]
        for name in _UP:
            beside = levels.pop()
            mapped.append(getattr(self, name)(torch.cat([_resized(mapped[-1], beside), beside], dim=1)))
        sides = [getattr(self, f"side{number}")(part) for number, part in enumerate(reversed(mapped), start=1)]
        sides[1:] = [_resized(side, sides[0]) for side in sides[1:]]
        return torch.sigmoid(self.outconv(torch.cat(sides, dim=1)))


def _convolutions() -> Iterator[str]:
    """Names of the convolutions in forward order."""
    for name, depth in {**_DOWN, **_UP}.items():
        levels = depth or 4
        yield f"{name}.rebnconvin.conv_s1"
        yield from (f"{name}.rebnconv{level}.conv_s1" for level in range(1, levels + 1))
        yield from (f"{name}.rebnconv{level}d.conv_s1" for level in range(levels - 1, 0, -1))
    yield from (f"side{number}" for number in range(1, 7))
    yield "outconv"


def read(data: bytes, path: Path) -> dict[str, Tensor]:
    """Read the published state dict, or recover it from a published ONNX file.

    In such a file each normalisation is folded into the convolution before it, and convolutions stand in forward order:
    they get weight and bias back, and normalisations that change nothing.

    Raises:
        IntegrityError: it is damaged, holds more than tensors, or is the graph of another network.
    """
    from pyvmaf.models.imported.checkpoint import read_tensors

    if data[:2] == b"PK" or data[:1] == b"\x80" or data[8:9] == b"{":
        return read_tensors(data, path)
    names = list(_convolutions())
    found = list(_onnx_convolutions(data, path))
    if len(found) != len(names):
        raise IntegrityError(
            f"{path} has {len(found)} convolutions, but U2NetP has {len(names)}: it is another network's graph"
        )
    tensors: dict[str, Tensor] = {}
    for name, (weight, bias) in zip(names, found, strict=True):
        tensors |= {f"{name}.weight": weight, f"{name}.bias": bias}
        if name.endswith("conv_s1"):
            tensors |= _identity(name.removesuffix("conv_s1") + "bn_s1", len(bias))
    return tensors


def _onnx_convolutions(data: bytes, path: Path) -> Iterator[tuple[Tensor, Tensor]]:
    """Weight and bias of each convolution of an ONNX file, in the order of its nodes."""
    from onnx import numpy_helper

    from pyvmaf.runtime import allowlist

    model = allowlist.parse(data, str(path))
    allowlist.check(model, str(path))
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type != "Conv":
            continue
        if len(node.input) != 3 or not set(node.input[1:]) <= constants.keys():
            raise IntegrityError(
                f"{path}: convolution {node.name!r} has no constant weight and bias: it is another network's graph"
            )
        weight, bias = (np.array(numpy_helper.to_array(constants[name])) for name in node.input[1:])
        yield torch.from_numpy(weight), torch.from_numpy(bias)


def _identity(name: str, channels: int) -> dict[str, Any]:
    """A normalisation that changes nothing: its variance and its epsilon are 1 together."""
    epsilon = nn.BatchNorm2d(1).eps
    return {
        f"{name}.weight": torch.ones(channels),
        f"{name}.bias": torch.zeros(channels),
        f"{name}.running_mean": torch.zeros(channels),
        f"{name}.running_var": torch.full((channels,), 1 - epsilon),
        f"{name}.num_batches_tracked": torch.zeros((), dtype=torch.int64),
    }
