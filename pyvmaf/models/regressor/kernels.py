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
            return flat.new_empty((k, units, columns))

        # Each hidden activation carries a row of ones for the next layer's bias.
        self._a = [flat.new_ones((k, o + 1, rows)) for o in hidden]
        self._a_units = [a[:, :-1] for a in self._a]
        self._a_t = [a.transpose(1, 2) for a in self._a]
        self._z = self._a_units if self._relu else [new(o, rows) for o in hidden]
        self._h = [] if self._relu else [new(o, rows) for o in hidden]
        self._d = [new(o, rows) for o in hidden]
        self._norm = None if mlp.epsilon is None else _LayerNorm(mlp, mlp.epsilon, flat, gradient, rows)
        self._bounded = mlp.bounds is not None
        self._pred, self._error, self._scaled = new(1, rows), new(1, rows), new(1, rows)
        self._slope = new(1, rows)
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
            y: targets [members, 1, rows]; of a bounded output, from 0 to 1.
            weight: 2 / (rows of the batch) [members, 1, rows]; 0 for rows that only fill up a short batch.
            masks: per hidden layer, factors of dropout [members, units, rows]; empty without dropout.
        """
        bmm = torch.bmm
        if self._norm is not None:
            x = self._norm(x)
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
        if self._bounded:
            self._pred.sigmoid_()
        torch.sub(self._pred, y, out=self._error)
        d = torch.mul(self._error, weight, out=self._scaled)
        bmm(self._error, self._scaled_t, out=self.twice_loss)
        if self._bounded:
            # The derivative of the sigmoid s is s (1 - s).
            torch.addcmul(self._pred, self._pred, self._pred, value=-1, out=self._slope)
            d = self._scaled.mul_(self._slope)
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
        if self._norm is not None:
            self._norm.backward(self._weights_t[0], d)


class _LayerNorm:
    """The normalisation of a row's inputs before the first layer, for a stack of members."""

    def __init__(self, mlp: Mlp, epsilon: float, flat: torch.Tensor, gradient: torch.Tensor, rows: int) -> None:
        k, inputs = flat.shape[0], mlp.sizes[0][0]
        self._epsilon = epsilon
        self._factor, self._shift = mlp.norm(flat)
        self._of_factor, self._of_shift = mlp.norm(gradient)
        self._unit, self._back, self._product = (flat.new_empty((k, inputs, rows)) for _ in range(3))
        # With the row of ones for the first layer's bias.
        self._out = flat.new_ones((k, inputs + 1, rows))

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise inputs [members, inputs + 1, rows], whose last row is left as it is."""
        inputs = x[:, :-1]
        torch.sub(inputs, inputs.mean(dim=1, keepdim=True), out=self._unit)
        variance = torch.mul(self._unit, self._unit, out=self._product).mean(dim=1, keepdim=True)
        self._unit.mul_(variance.add_(self._epsilon).rsqrt_())
        torch.addcmul(self._shift, self._unit, self._factor, out=self._out[:, :-1])
        return self._out

    def backward(self, weights_t: torch.Tensor, d: torch.Tensor) -> None:
        """Set the gradients of factors and shifts.

        Args:
            weights_t: of the first layer, [members, inputs, units].
            d: derivative by the layer's sums, [members, units, rows].
        """
        torch.bmm(weights_t, d, out=self._back)
        torch.sum(self._back, dim=2, keepdim=True, out=self._of_shift)
        torch.sum(torch.mul(self._back, self._unit, out=self._product), dim=2, keepdim=True, out=self._of_factor)
