"""Networks, as stacked arithmetic: many members of one shape computed by one batched product per layer.

A network is an entry of `NETWORKS`. It knows the shapes of its parameters, their initial values, and how to compute an
answer; `kernels` computes the loss and its gradient for a stack of members. `as_module` gives the same function as a
plain torch module, with which an export is compared.

Parameters of a member lie in one flat row, so that a stack is a matrix [members, parameters] on which the
optimiser works in a few calls. A layer's block is [outputs, inputs + 1]: torch's weight, then the bias as the
last column, which meets a row of ones in the activations. Activations are [members, units, rows]: with the rows
last, each layer's product has long contiguous inner loops.

torch is imported inside the functions that compute with it: exporting and using a model needs shapes only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pyvmaf.models.regressor.spec import Network

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Mlp:
    """Linear layers with an activation, and while training dropout, between them; one output.

    Attributes:
        sizes: (inputs, outputs) per layer.
        activation: "relu" or "gelu" (the exact one).
        dropout: share of hidden activations zeroed while training.
        epsilon: added to the variance of a row's inputs when these are first standardised over themselves (LayerNorm),
            with a learned factor and shift each, whose parameters follow those of the layers; None: they are not.
        bounds: ends of the range that a sigmoid keeps the output in; None for a linear output.
    """

    sizes: tuple[tuple[int, int], ...]
    activation: str
    dropout: float
    epsilon: float | None = None
    bounds: tuple[float, float] | None = None

    @staticmethod
    def build(network: Network, inputs: int, target: tuple[float, float]) -> Mlp:
        """The network of a spec on `inputs` columns, for a target of that range."""
        widths = (inputs, *network.hidden, 1)
        return Mlp(
            tuple(pairwise(widths)),
            network.activation,
            network.dropout,
            network.normalise_epsilon if network.normalise == "layer" else None,
            target if network.output == "sigmoid" else None,
        )

    @property
    def normalised(self) -> bool:
        """Whether the inputs of a row are standardised over themselves."""
        return self.epsilon is not None

    @property
    def n_parameters(self) -> int:
        """Number of weights and biases."""
        return self._in_layers + (2 * self.sizes[0][0] if self.normalised else 0)

    @property
    def _in_layers(self) -> int:
        return sum((i + 1) * o for i, o in self.sizes)

    @property
    def dropped_widths(self) -> tuple[int, ...]:
        """Units per layer that dropout acts on."""
        return tuple(o for _, o in self.sizes[:-1]) if self.dropout else ()

    def layers(self, flat: torch.Tensor) -> list[torch.Tensor]:
        """Views [members, outputs, inputs + 1] into parameters [members, n_parameters]."""
        views, start = [], 0
        for i, o in self.sizes:
            views.append(_blocks(flat[:, start : start + (i + 1) * o], o))
            start += (i + 1) * o
        return views

    def norm(self, flat: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Factor and shift of each normalised input, views [members, inputs, 1] into [members, n_parameters]."""
        start, inputs = self._in_layers, self.sizes[0][0]
        return flat[:, start : start + inputs, None], flat[:, start + inputs : start + 2 * inputs, None]

    def initial(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Initial parameters [n_parameters], as torch's modules: of a layer, weights and biases uniform within
        1/sqrt(inputs); of the normalisation, factors of 1 and shifts of 0.
        """
        blocks = [rng.uniform(-1, 1, size=(o, i + 1)) / math.sqrt(i) for i, o in self.sizes]
        if self.normalised:
            blocks.append(np.repeat([[1.0], [0.0]], self.sizes[0][0], axis=1))
        return np.concatenate([block.ravel() for block in blocks])

    def predict(self, flat: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Outputs of one member, dropout off.

        Args:
            flat: parameters [n_parameters].
            x: inputs [rows, inputs], scaled.

        Returns:
            Outputs [rows].
        """
        import torch

        a = x.T
        if self.epsilon is not None:
            factor, shift = (part[0, :, 0] for part in self.norm(flat[None]))
            a = torch.nn.functional.layer_norm(x, factor.shape, factor, shift, self.epsilon).T
        layers = self.layers(flat[None])
        for place, layer in enumerate(layers):
            a = torch.addmm(layer[0, :, -1:], layer[0, :, :-1], a)
            if place < len(layers) - 1:
                a = torch.relu(a) if self.activation == "relu" else torch.nn.functional.gelu(a)
        if self.bounds is None:
            return a[0]
        low, high = self.bounds
        return torch.sigmoid(a[0]) * (high - low) + low

    def as_module(self, flat: torch.Tensor) -> torch.nn.Sequential:
        """The same function of one member as a torch module, [rows, inputs] to [rows, 1].

        Args:
            flat: parameters [n_parameters]; they are copied.
        """
        import torch

        modules: list[torch.nn.Module] = []
        if self.epsilon is not None:
            factor, shift = (part[0, :, 0].clone() for part in self.norm(flat[None]))
            modules.append(_layer_norm(factor, shift, self.epsilon))
        layers = self.layers(flat[None])
        for place, ((i, o), layer) in enumerate(zip(self.sizes, layers, strict=True)):
            linear = torch.nn.Linear(i, o, dtype=flat.dtype)
            with torch.no_grad():
                linear.weight.copy_(layer[0, :, :-1])
                linear.bias.copy_(layer[0, :, -1])
            modules.append(linear)
            if place < len(layers) - 1:
                modules.append(torch.nn.ReLU() if self.activation == "relu" else torch.nn.GELU())
                if self.dropout:
                    modules.append(torch.nn.Dropout(self.dropout))
        if self.bounds is not None:
            modules.append(_bounded(*self.bounds))
        return torch.nn.Sequential(*modules)


def _layer_norm(factor: torch.Tensor, shift: torch.Tensor, epsilon: float) -> torch.nn.Module:
    """LayerNorm as a module without parameters: quantization-aware training leaves it as it is."""
    import torch

    class Normalised(torch.nn.Module):
        factor: torch.Tensor
        shift: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("factor", factor)
            self.register_buffer("shift", shift)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.layer_norm(x, self.factor.shape, self.factor, self.shift, epsilon)

    return Normalised()


def _bounded(low: float, high: float) -> torch.nn.Module:
    """A sigmoid between two ends as a module."""
    import torch

    class Bounded(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.sigmoid(x) * (high - low) + low

    return Bounded()


def _blocks(flat: torch.Tensor, outputs: int) -> torch.Tensor:
    """A view [members, outputs, inputs + 1] into [members, outputs * (inputs + 1)]."""
    return flat.view(flat.shape[0], outputs, -1)


NETWORKS = {"mlp": Mlp}
"""Network types of a spec."""


def build(network: Network, inputs: int, target: tuple[float, float] = (0.0, 1.0)) -> Mlp:
    """The network of a spec on `inputs` columns, for a target of that range."""
    return NETWORKS[network.type].build(network, inputs, target)
