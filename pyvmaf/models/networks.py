"""Networks, as stacked arithmetic: many members of one shape computed by one batched product per layer.

A network is an entry of `NETWORKS`. It knows the shapes of its parameters, their initial values, and how to
compute a loss and its gradient for a stack of members without autograd, whose bookkeeping would cost more
than the arithmetic of networks this small. `as_module` gives the same function as a plain torch module, which is
what the gradient is tested against and what an export is compared with.

Parameters of a member lie in one flat row, so that a stack is a matrix [members, parameters] on which the
optimiser works in a few calls. A layer's block is [outputs, inputs + 1]: torch's weight, then the bias as the
last column, which meets a row of ones in the activations. Activations are [members, units, rows]: with the rows
last, each layer's product has long contiguous inner loops.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from pyvmaf.models.spec import Network

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Mlp:
    """Linear layers with an activation, and while training dropout, between them; one output.

    Attributes:
        sizes: (inputs, outputs) per layer.
        activation: "relu" or "gelu" (the exact one).
        dropout: share of hidden activations zeroed while training.
    """

    sizes: tuple[tuple[int, int], ...]
    activation: str
    dropout: float

    @staticmethod
    def build(network: Network, inputs: int) -> Mlp:
        """The network of a spec on `inputs` columns."""
        widths = (inputs, *network.hidden, 1)
        return Mlp(tuple(pairwise(widths)), network.activation, network.dropout)

    @property
    def n_parameters(self) -> int:
        """Number of weights and biases."""
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

    def initial(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Initial parameters [n_parameters]: uniform within 1/sqrt(inputs), weights and biases, as torch's Linear."""
        blocks = [rng.uniform(-1, 1, size=(o, i + 1)) / math.sqrt(i) for i, o in self.sizes]
        return np.concatenate([block.ravel() for block in blocks])

    def kernel(self, flat: torch.Tensor, gradient: torch.Tensor, rows: int) -> MlpKernel:
        """Buffers and views to compute gradients of a stack.

        Args:
            flat: parameters [members, n_parameters].
            gradient: where their gradients go, of the same shape.
            rows: rows per batch.
        """
        return MlpKernel(self, flat, gradient, rows)

    def predict(self, flat: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Outputs of one member, dropout off.

        Args:
            flat: parameters [n_parameters].
            x: inputs [rows, inputs], scaled.

        Returns:
            Outputs [rows].
        """
        a = x.T
        layers = self.layers(flat[None])
        for place, layer in enumerate(layers):
            a = torch.addmm(layer[0, :, -1:], layer[0, :, :-1], a)
            if place < len(layers) - 1:
                a = torch.relu(a) if self.activation == "relu" else torch.nn.functional.gelu(a)
        return a[0]

    def as_module(self, flat: torch.Tensor) -> torch.nn.Sequential:
        """The same function of one member as a torch module, [rows, inputs] to [rows, 1].

        Args:
            flat: parameters [n_parameters]; they are copied.
        """
        modules: list[torch.nn.Module] = []
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
        return torch.nn.Sequential(*modules)


class MlpKernel:
    """Loss and gradient of a stack of `Mlp` members, written out; everything it needs is allocated once."""

    def __init__(self, mlp: Mlp, flat: torch.Tensor, gradient: torch.Tensor, rows: int) -> None:
        """See `Mlp.kernel`."""
        k = flat.shape[0]
        hidden = [o for _, o in mlp.sizes[:-1]]
        self._relu = mlp.activation == "relu"
        self._weights = mlp.layers(flat)
        self._weights_t = [w[:, :, :-1].transpose(1, 2) for w in self._weights]
        self._gradients = mlp.layers(gradient)

        def new(units: int, columns: int) -> torch.Tensor:
            return torch.empty((k, units, columns), dtype=flat.dtype)

        # Each hidden activation carries a row of ones for the next layer's bias.
        self._a = [torch.ones((k, o + 1, rows), dtype=flat.dtype) for o in hidden]
        self._a_units = [a[:, :-1] for a in self._a]
        self._a_t = [a.transpose(1, 2) for a in self._a]
        self._z = self._a_units if self._relu else [new(o, rows) for o in hidden]
        self._h = [] if self._relu else [new(o, rows) for o in hidden]
        self._d = [new(o, rows) for o in hidden]
        self._pred, self._error, self._scaled = new(1, rows), new(1, rows), new(1, rows)
        self._scaled_t = self._scaled.transpose(1, 2)
        self.twice_loss = new(1, 1)
        """Twice each member's loss of the last batch [members, 1, 1]."""
        # Looked up once: attribute chains into torch.ops cost as much as the smallest of these calls.
        self._threshold_backward: Callable[..., torch.Tensor] = torch.ops.aten.threshold_backward.grad_input
        self._gelu: Callable[..., torch.Tensor] = torch.ops.aten.gelu.out
        self._gelu_backward: Callable[..., torch.Tensor] = torch.ops.aten.gelu_backward.grad_input

    def __call__(self, x: torch.Tensor, y: torch.Tensor, weight: torch.Tensor, masks: Sequence[torch.Tensor]) -> None:
        """Compute the gradient of each member's mean squared error, and twice the error itself.

        Args:
            x: inputs [members, inputs + 1, rows], the last row of each member all ones.
            y: targets [members, 1, rows].
            weight: 2 / (rows of the batch) [members, 1, rows]; 0 for rows that only fill up a short batch.
            masks: per hidden layer, what dropout multiplies with [members, units, rows]; empty without dropout.
        """
        bmm = torch.bmm
        a, a_t = x, x.transpose(1, 2)
        inputs_t = [a_t]
        for place, z in enumerate(self._z):
            bmm(self._weights[place], a, out=z)
            a = self._a[place]
            units = self._a_units[place]
            if self._relu:
                a.relu_()  # the row of ones stays one
                if masks:
                    units.mul_(masks[place])
            else:
                # torch's gelu writes wrong values into a strided `out`, so it gets a buffer of its own.
                h = self._gelu(z, approximate="none", out=self._h[place])
                if masks:
                    torch.mul(h, masks[place], out=units)
                else:
                    units.copy_(h)
            inputs_t.append(self._a_t[place])
        bmm(self._weights[-1], a, out=self._pred)
        torch.sub(self._pred, y, out=self._error)
        d = torch.mul(self._error, weight, out=self._scaled)
        bmm(self._error, self._scaled_t, out=self.twice_loss)
        for place in range(len(self._z), 0, -1):
            bmm(d, inputs_t[place], out=self._gradients[place])
            back = self._d[place - 1]
            bmm(self._weights_t[place], d, out=back)
            if masks:
                back.mul_(masks[place - 1])
            if self._relu:
                # After dropout a unit is positive exactly where it was before, or its mask was 0 and so is `back`.
                self._threshold_backward(back, self._a_units[place - 1], 0, grad_input=back)
            else:
                self._gelu_backward(back, self._z[place - 1], approximate="none", grad_input=back)
            d = back
        bmm(d, inputs_t[0], out=self._gradients[0])


def _blocks(flat: torch.Tensor, outputs: int) -> torch.Tensor:
    """A view [members, outputs, inputs + 1] into [members, outputs * (inputs + 1)]."""
    return flat.view(flat.shape[0], outputs, -1)


NETWORKS = {"mlp": Mlp}
"""Network types of a spec. An entry needs what `Mlp` has."""


def build(network: Network, inputs: int) -> Mlp:
    """The network of a spec on `inputs` columns."""
    return NETWORKS[network.type].build(network, inputs)
