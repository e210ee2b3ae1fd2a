"""TransNet V2 (Souček & Lokoč 2020, arXiv:2008.04838): how likely each frame of a window is the last one of its shot.

Three stages of two blocks of dilated convolutions over time see 48x27 thumbnails; beside them stand the similarities of
each frame's features, and of its colour histogram, to those of the frames up to 50 before and after it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

WINDOW, HEIGHT, WIDTH = 100, 27, 48
"""Frames of a window, and size of a thumbnail."""

_FILTERS, _DILATIONS, _REACH, _BINS = 16, (1, 2, 4, 8), 50, 8

TASK = "shots"
INPUTS = {"frames": (1, WINDOW, 3, HEIGHT, WIDTH)}
OUTPUTS = {"boundary_logits": (1, WINDOW), "many_hot_logits": (1, WINDOW)}
RANGES = {"frames": (0.0, 255.0)}
WHOLE = True
"""Inputs are whole numbers: samples of 8 bits."""


class _Separated(nn.Module):
    """A 3x3 convolution of each picture, then a dilated one of 3 frames over time."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [
                nn.Conv3d(channels, 2 * filters, (1, 3, 3), bias=False),
                nn.Conv3d(2 * filters, filters, (3, 1, 1), bias=False),
            ]
        )


class _Block(nn.Module):
    """Four such convolutions beside each other, with dilations of 1 to 8 frames, and one normalisation of all.

    Convolutions of two dimensions compute them, those of all pictures at once, because runtimes are several times faster
    with these than with the same ones of three dimensions.
    """

    def __init__(self, channels: int, filters: int, size: tuple[int, int]) -> None:
        super().__init__()
        self._filters, self._size = filters, size
        for dilation in _DILATIONS:
            self.add_module(f"Conv3D_{dilation}", _Separated(channels, filters))
        # The weights were trained with this epsilon, not with torch's default.
        self.bn = nn.BatchNorm3d(4 * filters, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """Map pictures [frames, channels, h, w] to [frames, 4 filters, h, w]."""
        branches = [getattr(self, f"Conv3D_{dilation}").layers for dilation in _DILATIONS]
        height, width = self._size
        spatial = torch.cat([layers[0].weight.squeeze(2) for layers in branches])
        pictures = functional.conv2d(x, spatial, padding=1).reshape(WINDOW, -1, height * width).transpose(0, 1)[None]
        mean, variance = self.bn.running_mean, self.bn.running_var
        assert mean is not None
        assert variance is not None
        scale = self.bn.weight / torch.sqrt(variance + self.bn.eps)
        shift = self.bn.bias - mean * scale
        mixed = []
        for index, (layers, dilation) in enumerate(zip(branches, _DILATIONS, strict=True)):
            own = slice(index * self._filters, (index + 1) * self._filters)
            mixed.append(
                functional.conv2d(
                    pictures[:, 2 * own.start : 2 * own.stop],
                    layers[1].weight.squeeze(4) * scale[own, None, None, None],
                    shift[own],
                    padding=(dilation, 0),
                    dilation=(dilation, 1),
                )
            )
        return torch.cat(mixed, dim=1)[0].transpose(0, 1).reshape(WINDOW, -1, height, width)


class _Stage(nn.Module):
    """Two blocks with a shortcut around the second, then halved pictures."""

    def __init__(self, channels: int, filters: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.DDCNN = nn.ModuleList([_Block(channels, filters, size), _Block(4 * filters, filters, size)])

    def forward(self, x: Tensor) -> Tensor:
        first = functional.relu(self.DDCNN[0](x))
        return functional.avg_pool2d(functional.relu(self.DDCNN[1](first)) + first, 2)


def _normalised(features: Tensor) -> Tensor:
    """Divide features [1, frames, n] by their length, out of operators that model files may have."""
    return features / (features * features).sum(dim=2, keepdim=True).sqrt().clamp_min(1e-12)


def _neighbours(features: Tensor) -> Tensor:
    """Give the products [1, frames, 101] of the features [1, frames, n] of each frame with those up to 50 frames away."""
    frames = WINDOW
    nothing = torch.zeros(1, frames, _REACH)
    products = torch.cat([nothing, features @ features.transpose(1, 2), nothing], dim=2)
    # Row t of the padded products starts at t - 50: its 101 values lie on a diagonal, at constant places of the flat array.
    width = frames + 2 * _REACH
    places = torch.arange(frames)[:, None] * (width + 1) + torch.arange(2 * _REACH + 1)[None]
    return products.flatten().index_select(0, places.flatten()).view(1, frames, 2 * _REACH + 1)


class _Similarity(nn.Module):
    """Similarities of learned features of a frame to those of its neighbours."""

    def __init__(self) -> None:
        super().__init__()
        self.projection = nn.Linear(4 * (_FILTERS + 2 * _FILTERS + 4 * _FILTERS), 128)
        self.fc = nn.Linear(2 * _REACH + 1, 128)

    def forward(self, stages: list[Tensor]) -> Tensor:
        means = torch.cat([stage.mean(dim=(2, 3)) for stage in stages], dim=1)[None]
        features = _normalised(self.projection(means))
        return functional.relu(self.fc(_neighbours(features)))


class _Histograms(nn.Module):
    """Similarities of the colour histogram of a frame, 8 bins a channel, to those of its neighbours."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(2 * _REACH + 1, 128)

    def forward(self, frames: Tensor) -> Tensor:
        # Whole numbers first: a quotient that is rounded down in float could fall into another bin.
        bins = torch.div(frames[0].to(torch.int64), 256 // _BINS, rounding_mode="trunc").to(frames.dtype)
        # One-hot by distance, and counts by a product: neither comparisons nor scatters are allowed in model files.
        hot = functional.relu(1.0 - (bins.reshape(WINDOW, 3, -1, 1) - torch.arange(_BINS, dtype=frames.dtype)).abs())
        pairs = hot[:, 0, :, :, None] * hot[:, 1, :, None, :]
        counts = pairs.reshape(WINDOW, -1, _BINS**2).transpose(1, 2) @ hot[:, 2]
        return functional.relu(self.fc(_neighbours(_normalised(counts.reshape(1, WINDOW, _BINS**3)))))


class Network(nn.Module):
    """The network: RGB thumbnails [1, 100, 3, 27, 48], 0 to 255, to two logits [1, 100] per frame."""

    def __init__(self) -> None:
        """Build it with random weights; names are those of the published state dict."""
        super().__init__()
        sizes = [_FILTERS, 2 * _FILTERS, 4 * _FILTERS]
        channels = [3, *(4 * size for size in sizes[:-1])]
        self.SDDCNN = nn.ModuleList(
            [_Stage(channels[index], size, (HEIGHT >> index, WIDTH >> index)) for index, size in enumerate(sizes)]
        )
        self.frame_sim_layer = _Similarity()
        self.color_hist_layer = _Histograms()
        self.fc1 = nn.Linear(4 * sizes[-1] * (HEIGHT // 8) * (WIDTH // 8) + 256, 1024)
        self.cls_layer1, self.cls_layer2 = nn.Linear(1024, 1), nn.Linear(1024, 1)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Give the logits that a frame is the last of its shot, and that it lies in a transition."""
        x = frames[0] / 255.0
        stages = []
        for stage in self.SDDCNN:
            x = stage(x)
            stages.append(x)
        pictures = x.permute(0, 2, 3, 1).reshape(1, WINDOW, -1)
        x = torch.cat([self.color_hist_layer(frames), self.frame_sim_layer(stages), pictures], dim=2)
        x = functional.relu(self.fc1(x))
        return self.cls_layer1(x).squeeze(2), self.cls_layer2(x).squeeze(2)
