"""Quantisation-aware training: a fitted member goes on learning while its products are rounded to int8.

Each linear layer gets its input and its weight through torch's fake quantisation: rounding forwards, the identity
backwards. The learned weights go back into the member's fp32 file and the learned activation ranges into the int8 file,
so that a variant of this mode differs from one of mode static_qdq in its numbers only.

torchao's pt2e trains to the same bits (a test compares them), but takes seconds per member to import, to export a graph
and to convert it.

Activation ranges are constant during a pass over the rows, and measured again on all training rows after it:
a moving average over batches, the default of fake quantisations, ends below the largest values, and
clipping those costs more than training gains.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from pyvmaf.errors import PyvmafError
from pyvmaf.models.families import trainable_int8_part
from pyvmaf.models.regressor.trainer import stream, torch_threads
from pyvmaf.models.spec import Optimiser
from pyvmaf.quantized.material import Material

_MOST = 127


@dataclass(frozen=True)
class Tuned:
    """The result of the training.

    Attributes:
        fp32: the member's file with the weights that were learned.
        ranges: of the input of each product, by the name of the tensor in the file.
        losses: float64 [epochs], mean squared training loss of each pass, in units of the target's variance.
    """

    fp32: bytes
    ranges: dict[str, tuple[float, float]]
    losses: NDArray[np.float64]


class _Rounding:
    """The rounding of a tensor to int8, to a range that it measures."""

    def __init__(self, low: int, axis: int | None) -> None:
        """
        Args:
            low: the smallest int8 number.
            axis: the axis whose entries have a scale each, about zero; None: the tensor has one, for its own range.
        """
        self._low, self._axis = low, axis
        self.min, self.max = (
            torch.tensor(limit) if axis is None else torch.tensor([]) for limit in (math.inf, -math.inf)
        )
        self._scale, self._zero = torch.ones(1), torch.zeros(1, dtype=torch.int32)
        self._on, self._observing = torch.ones(1, dtype=torch.int64), torch.ones(1, dtype=torch.int64)

    def observe(self, on: bool) -> None:
        """Whether the next tensors set the range, or are rounded to the one that was measured last."""
        self._observing.fill_(int(on))

    def __call__(self, x: Tensor) -> Tensor:
        """Round a tensor."""
        per_entry = self._axis is not None
        axis = -1 if self._axis is None else self._axis
        # With a constant of 1 the moving average is the last value.
        return torch.fused_moving_avg_obs_fake_quant(
            x, self._observing, self._on, self.min, self.max, self._scale, self._zero, 1.0, self._low, _MOST, axis,
            per_entry, per_entry,
        )  # fmt: skip


class Rounded(nn.Module):
    """A linear layer whose input is rounded to int8 per tensor, and whose weights are per output.

    Attributes:
        layer: the linear layer.
        inputs: the rounding of its input.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = layer
        self.inputs = _Rounding(-_MOST - 1, None)
        # Weights change at every step, so that their ranges are always measured.
        self._weights = _Rounding(-_MOST, 0)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        return functional.linear(self.inputs(x), self._weights(self.layer.weight), self.layer.bias)


class _Prepared:
    """A network with rounded layers, and where these lie in the fp32 file."""

    def __init__(self, network: nn.Module, fp32: bytes) -> None:
        import onnx

        self.module = network.eval()
        self.model = onnx.load_model_from_string(fp32)
        self._layers = list(self._pairs(_round_layers(network)))

    def _pairs(self, layers: dict[str, Rounded]) -> Iterator[tuple[Rounded, Any]]:
        """Each linear layer with the product of the file that holds its weights."""
        from onnx import numpy_helper

        constants = {t.name: t for t in self.model.graph.initializer}
        left = [node for node in self.model.graph.node if node.op_type == "Gemm"]
        for name, rounded in layers.items():
            weight = rounded.layer.weight.detach().numpy()
            same = [gemm for gemm in left if np.array_equal(numpy_helper.to_array(constants[gemm.input[1]]), weight)]
            if not same:
                raise PyvmafError(
                    f"the exported graph has no product with the weights of {name}: this network cannot be trained for "
                    "int8"
                )
            left.remove(same[0])
            yield rounded, same[0]
        if left:
            raise PyvmafError(f"the network has no linear layer for {', '.join(gemm.name for gemm in left)}")

    def observe(self, inputs: Tensor) -> None:
        """Measure every activation's range on these rows."""
        for rounded, _ in self._layers:
            rounded.inputs.observe(True)
        with torch.no_grad():
            self.module(inputs)
        for rounded, _ in self._layers:
            rounded.inputs.observe(False)

    def read_back(self) -> tuple[bytes, dict[str, tuple[float, float]]]:
        """The fp32 file with the weights as they are now, and the range of each product's input."""
        from onnx import numpy_helper

        constants = {t.name: t for t in self.model.graph.initializer}
        ranges = {}
        for rounded, gemm in self._layers:
            for name, value in ((gemm.input[1], rounded.layer.weight), (gemm.input[2], rounded.layer.bias)):
                array = np.ascontiguousarray(value.detach().numpy())
                constants[name].CopyFrom(numpy_helper.from_array(array, name))
            ranges[gemm.input[0]] = (float(rounded.inputs.min), float(rounded.inputs.max))
        return bytes(self.model.SerializeToString(deterministic=True)), ranges


def _round_layers(network: nn.Module) -> dict[str, Rounded]:
    """Replace each linear layer of a network by a rounded one; return these by the layers' names."""
    layers = {name: layer for name, layer in network.named_modules() if isinstance(layer, nn.Linear)}
    rounded = {name: Rounded(layer) for name, layer in layers.items()}
    for name, layer in rounded.items():
        network.set_submodule(name, layer)
    return rounded


class _Adam:
    """Adam or AdamW by torch's fused step, which `torch.optim` calls, too, but after it has imported torch's compiler."""

    def __init__(self, parameters: Iterable[nn.Parameter], settings: Optimiser) -> None:
        self._settings = settings
        self._step = torch._fused_adamw_ if settings.name == "adamw" else torch._fused_adam_
        self._parameters: list[Tensor] = list(parameters)
        self._averages, self._squares = ([torch.zeros_like(p) for p in self._parameters] for _ in range(2))
        self._steps = [torch.zeros(()) for _ in self._parameters]

    def step(self, lr: float) -> None:
        """Follow the gradients with a learning rate, and forget them."""
        gradients = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        settings = self._settings
        with torch.no_grad():
            torch._foreach_add_(self._steps, 1)
            self._step(
                self._parameters, gradients, self._averages, self._squares, [], self._steps, lr=lr,
                beta1=settings.beta1, beta2=settings.beta2, weight_decay=settings.weight_decay, eps=settings.eps,
                amsgrad=False, maximize=False,
            )  # fmt: skip
        for parameter in self._parameters:
            parameter.grad = None


def fine_tune(material: Material) -> Tuned:
    """Train one member on its own training rows.

    Raises:
        PyvmafError: the loss became NaN or infinite, or the network is not one of linear layers.
    """
    settings, optimiser = material.settings, material.spec.optimiser
    inputs = torch.from_numpy(material.network_inputs(material.train).astype(np.float32))
    target = material.table.y[material.train]
    spread = float(target.std()) or 1.0
    wanted = torch.from_numpy(target.astype(np.float32))
    order = stream(int(material.weights.info["seed"]), material.held_out, "quantisation-aware order")
    lr = settings.learning_rate(optimiser)
    n, size = len(inputs), settings.batch_size
    steps, done = settings.epochs * -(-n // size), 0
    losses = np.zeros(settings.epochs)
    with torch_threads(1):
        network = trainable_int8_part(material.spec.kind).network(material.spec, material.weights, material.held_out)
        prepared = _Prepared(network, material.fp32)
        prepared.observe(inputs)
        adam = _Adam(prepared.module.parameters(), optimiser)
        for epoch in range(settings.epochs):
            permutation = torch.from_numpy(order.permutation(n))
            total = 0.0
            for rows in torch.split(permutation, size):
                loss = ((prepared.module(inputs[rows])[:, 0] - wanted[rows]) / spread).square().mean()
                loss.backward()
                adam.step(lr * (1 - done / steps))
                total += float(loss.detach()) * len(rows)
                done += 1
            losses[epoch] = total / n
            if not np.isfinite(losses[epoch]):
                raise PyvmafError(
                    f"the loss of quantisation-aware training is not finite after pass {epoch + 1} (held out: "
                    f"{material.held_out}): lower its learning rate, which is {lr:g}"
                )
            prepared.observe(inputs)
        fp32, ranges = prepared.read_back()
        return Tuned(fp32, ranges, losses)
