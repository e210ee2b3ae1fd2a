"""Quantisation-aware training: a fitted member goes on learning while its products are rounded to int8.

torchao's pt2e takes the network as a graph and puts a fake quantisation before each of its linear layers, one for
the input and one for the weight: rounding forwards, the identity backwards. The learned weights go back into the
member's fp32 file and the learned activation ranges into the int8 file, so that a variant of this mode differs from
one of mode static_qdq in its numbers only.

Activation ranges are constant during a pass over the rows, and measured again on all training rows after it:
a moving average over batches, the default of fake quantisations, ends below the largest values, and
clipping those costs more than training gains.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pyvmaf.errors import PyvmafError
from pyvmaf.models.families import trainable_int8_part
from pyvmaf.models.regressor.trainer import stream, torch_threads
from pyvmaf.models.spec import Optimiser
from pyvmaf.quantized.material import Material
from pyvmaf.quantized.quiet import quiet

_MOST_ROWS = 1 << 20
_LINEAR = torch.ops.aten.linear.default


@dataclass(frozen=True)
class Tuned:
    """The result of the training.

    Attributes:
        fp32: the member's file with the weights that were learned.
        ranges: of the input of each product, by the name of the tensor in the file.
        losses: float64 [epochs], mean squared training loss of each pass, in units of the target's variance.
        network: inputs [n, inputs] to outputs [n, 1], as torchao itself converts the trained network.
    """

    fp32: bytes
    ranges: dict[str, tuple[float, float]]
    losses: NDArray[np.float64]
    network: torch.fx.GraphModule


def _quantizer() -> Any:
    """Says which tensors are rounded, and how: as the int8 file does it."""
    from torchao.quantization.pt2e import FusedMovingAvgObsFakeQuantize, MovingAveragePerChannelMinMaxObserver
    from torchao.quantization.pt2e.quantizer import QuantizationAnnotation, QuantizationSpec, Quantizer

    # With a constant of 1 the moving average is the last value.
    activation = QuantizationSpec(
        dtype=torch.int8,
        quant_min=-128,
        quant_max=127,
        qscheme=torch.per_tensor_affine,
        observer_or_fake_quant_ctr=FusedMovingAvgObsFakeQuantize.with_args(averaging_constant=1.0),
    )
    weight = QuantizationSpec(
        dtype=torch.int8,
        quant_min=-127,
        quant_max=127,
        qscheme=torch.per_channel_symmetric,
        ch_axis=0,
        observer_or_fake_quant_ctr=FusedMovingAvgObsFakeQuantize.with_args(
            averaging_constant=1.0, observer=MovingAveragePerChannelMinMaxObserver
        ),
    )

    class LinearLayers(Quantizer):  # type: ignore[misc]
        def annotate(self, model: torch.fx.GraphModule) -> torch.fx.GraphModule:
            for node in model.graph.nodes:
                if node.target is _LINEAR:
                    node.meta["quantization_annotation"] = QuantizationAnnotation(
                        input_qspec_map={node.args[0]: activation, node.args[1]: weight}, _annotated=True
                    )
            return model

        def validate(self, model: torch.fx.GraphModule) -> None:
            pass

    return LinearLayers()


class _Prepared:
    """A network with fake quantisations, and where its linear layers lie in the fp32 file."""

    def __init__(self, network: torch.nn.Module, inputs: torch.Tensor, fp32: bytes) -> None:
        import onnx
        from torchao.quantization.pt2e.quantize_pt2e import prepare_qat_pt2e

        rows = torch.export.Dim("rows", min=1, max=_MOST_ROWS)
        program = torch.export.export(network.eval(), (inputs[:2],), dynamic_shapes=({0: rows},))
        self.module: torch.fx.GraphModule = prepare_qat_pt2e(program.module(), _quantizer())
        self.model = onnx.load_model_from_string(fp32)
        linear = [node for node in self.module.graph.nodes if node.target is _LINEAR]
        self._layers = list(self._pairs(linear))
        # Only a fake quantisation of activations stands still between passes; weights change at every step.
        self._activations = [self.module.get_submodule(str(node.args[0].target)) for node in linear]

    def _pairs(self, linear: list[Any]) -> Iterator[tuple[Any, Any]]:
        """Each linear layer with the product of the file that holds its weights."""
        from onnx import numpy_helper

        constants = {t.name: t for t in self.model.graph.initializer}
        left = [node for node in self.model.graph.node if node.op_type == "Gemm"]
        for node in linear:
            weight = self._parameter(node.args[1].args[0]).detach().numpy()
            same = [gemm for gemm in left if np.array_equal(numpy_helper.to_array(constants[gemm.input[1]]), weight)]
            if not same:
                raise PyvmafError(
                    f"the exported graph has no product with the weights of {node.args[1].args[0].target}: this "
                    "network cannot be trained for int8"
                )
            left.remove(same[0])
            yield node, same[0]
        if left:
            raise PyvmafError(f"the network has no linear layer for {', '.join(gemm.name for gemm in left)}")

    def _parameter(self, node: Any) -> torch.Tensor:
        return self.module.get_parameter(str(node.target))

    def observe(self, inputs: torch.Tensor) -> None:
        """Measure every activation's range on these rows."""
        for fake in self._activations:
            fake.enable_observer()
        with torch.no_grad():
            self.module(inputs)
        for fake in self._activations:
            fake.disable_observer()

    def read_back(self) -> tuple[bytes, dict[str, tuple[float, float]]]:
        """The fp32 file with the weights as they are now, and the range of each product's input."""
        from onnx import numpy_helper

        constants = {t.name: t for t in self.model.graph.initializer}
        ranges = {}
        for node, gemm in self._layers:
            for name, argument in ((gemm.input[1], node.args[1].args[0]), (gemm.input[2], node.args[2])):
                value = self._parameter(argument).detach().numpy()
                constants[name].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(value), name))
            seen: Any = self.module.get_submodule(str(node.args[0].target)).activation_post_process
            ranges[gemm.input[0]] = (float(seen.min_val), float(seen.max_val))
        return bytes(self.model.SerializeToString(deterministic=True)), ranges


def _optimiser(parameters: Iterator[torch.nn.Parameter], settings: Optimiser, lr: float) -> torch.optim.Optimizer:
    kind = torch.optim.AdamW if settings.name == "adamw" else torch.optim.Adam
    betas = (settings.beta1, settings.beta2)
    return kind(parameters, lr=lr, betas=betas, eps=settings.eps, weight_decay=settings.weight_decay, fused=True)


def fine_tune(material: Material) -> Tuned:
    """Train one member on its own training rows.

    Raises:
        PyvmafError: the loss became NaN or infinite, or the network is not one of linear layers.
    """
    with quiet():
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e

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
    with torch_threads(1), quiet():
        network = trainable_int8_part(material.spec.kind).network(material.spec, material.weights, material.held_out)
        prepared = _Prepared(network, inputs, material.fp32)
        prepared.observe(inputs)
        adam = _optimiser(prepared.module.parameters(), optimiser, lr)
        for epoch in range(settings.epochs):
            permutation = torch.from_numpy(order.permutation(n))
            total = 0.0
            for rows in torch.split(permutation, size):
                adam.param_groups[0]["lr"] = lr * (1 - done / steps)
                adam.zero_grad()
                loss = ((prepared.module(inputs[rows])[:, 0] - wanted[rows]) / spread).square().mean()
                loss.backward()
                adam.step()
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
        return Tuned(fp32, ranges, losses, convert_pt2e(prepared.module))
