"""Gradients of stacked networks, written out: autograd's bookkeeping costs more than arithmetic this small."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from pyvmaf.models.regressor.networks import Mlp


class MlpKernel:
    """Loss and gradient of a stack of `Mlp` members, written out; everything it needs is allocated once."""

    def __init__(self, mlp: Mlp, flat: torch.Tensor, gradient: torch.Tensor, rows: int) -> None:
        """Allocate buffers and views.

        Args:
            mlp: the network.
            flat: parameters [members, n_parameters].
            gradient: where their gradients go, of the same shape.
            rows: rows per batch.
        """
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
            masks: per hidden layer, factors of dropout [members, units, rows]; empty without dropout.
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
