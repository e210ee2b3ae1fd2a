"""EfficientNet-Lite0 as a backbone: mean and spread of the channels of its first six stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from pyvmaf.models.imported.efficientnet_lite0 import GRAY, STAGES, Network, spread

_STAGES = 6
_LEAST_DEVIATION = 0.02
N_FIGURES = 2 * sum(stage.channels for stage in STAGES[:_STAGES])


class Backbone(Network):
    """The published network for gray pictures [n, 1, h, w] in [0, 1], up to its sixth stage.

    Its figures [n, `N_FIGURES`] are the mean and the logarithm of the standard deviation of each channel of the six stages:
    contents differ in contrast by factors.
    """

    def __init__(self) -> None:
        super().__init__(planes=1)
        del self._fc, self._conv_head, self._bn1
        self._blocks = self._blocks[: sum(stage.blocks for stage in STAGES[:_STAGES])]

    def forward(self, frame: Tensor) -> Tensor:  # type: ignore[override]
        """Give the figures."""
        parts = []
        for level in self.stages((frame - GRAY[0]) * (1 / GRAY[1]), _STAGES)[1:]:
            mean, deviation = spread(level)
            parts += [mean, torch.log(deviation + _LEAST_DEVIATION)]
        return torch.flatten(torch.cat(parts, 1), 1)


def restated(tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Give the state of `Backbone` from that of the published network, whose tensors it may lack (KeyError)."""
    kept = {name: tensors[name] for name in Backbone().state_dict()}
    # Three equal planes: the sum of their kernels.
    kept["_conv_stem.weight"] = kept["_conv_stem.weight"].sum(axis=1, keepdims=True)
    return kept
