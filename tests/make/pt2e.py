"""Quantisation-aware training by torchao's pt2e and torch's optimisers, to compare ours with."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torchao.quantization.pt2e import FusedMovingAvgObsFakeQuantize, MovingAveragePerChannelMinMaxObserver
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_qat_pt2e
from torchao.quantization.pt2e.quantizer import QuantizationAnnotation, QuantizationSpec, Quantizer

from pyvmaf.models.families import trainable_int8_part
from pyvmaf.models.regressor.trainer import stream, torch_threads
from pyvmaf.quantized.material import Material

_LINEAR = torch.ops.aten.linear.default


class Theirs(NamedTuple):
    """What torchao trains.

    Attributes:
        parameters: the weight and the bias of each linear layer, in the order of the graph.
        ranges: the range of each layer's input.
        losses: float64 [epochs].
        network: inputs [n, inputs] to outputs [n, 1], converted by torchao.
    """

    parameters: list[NDArray[np.float32]]
    ranges: list[tuple[float, float]]
    losses: NDArray[np.float64]
    network: torch.fx.GraphModule


class _LinearLayers(Quantizer):  # type: ignore[misc]
    """Rounds the input of each linear layer per tensor, and its weights per output."""

    _activation = QuantizationSpec(
        dtype=torch.int8,
        quant_min=-128,
        quant_max=127,
        qscheme=torch.per_tensor_affine,
        observer_or_fake_quant_ctr=FusedMovingAvgObsFakeQuantize.with_args(averaging_constant=1.0),
    )
    _weight = QuantizationSpec(
        dtype=torch.int8,
        quant_min=-127,
        quant_max=127,
        qscheme=torch.per_channel_symmetric,
        ch_axis=0,
        observer_or_fake_quant_ctr=FusedMovingAvgObsFakeQuantize.with_args(
            averaging_constant=1.0, observer=MovingAveragePerChannelMinMaxObserver
        ),
    )

    def annotate(self, model: torch.fx.GraphModule) -> torch.fx.GraphModule:
        for node in model.graph.nodes:
            if node.target is _LINEAR:
                node.meta["quantization_annotation"] = QuantizationAnnotation(
                    input_qspec_map={node.args[0]: self._activation, node.args[1]: self._weight}, _annotated=True
                )
        return model

    def validate(self, model: torch.fx.GraphModule) -> None:
        pass


def train(material: Material) -> Theirs:
    """Train a member as `pyvmaf.quantized.qat.fine_tune` does, with the rows in the same order."""
    settings, optimiser = material.settings, material.spec.optimiser
    inputs = torch.from_numpy(material.network_inputs(material.train).astype(np.float32))
    target = material.table.y[material.train]
    wanted, spread = torch.from_numpy(target.astype(np.float32)), float(target.std())
    network = trainable_int8_part(material.spec.kind).network(material.spec, material.weights, material.held_out)
    rows = torch.export.Dim("rows", min=1, max=1 << 20)
    program = torch.export.export(network.eval(), (inputs[:2],), dynamic_shapes=({0: rows},))
    module: torch.fx.GraphModule = prepare_qat_pt2e(program.module(), _LinearLayers())
    linear: list[Any] = [node for node in module.graph.nodes if node.target is _LINEAR]
    activations: list[Any] = [module.get_submodule(str(node.args[0].target)) for node in linear]

    def observe() -> None:
        for fake in activations:
            fake.enable_observer()
        with torch.no_grad():
            module(inputs)
        for fake in activations:
            fake.disable_observer()

    order = stream(int(material.weights.info["seed"]), material.held_out, "quantisation-aware order")
    lr, n, losses = settings.learning_rate(optimiser), len(inputs), np.zeros(settings.epochs)
    steps, done = settings.epochs * -(-n // settings.batch_size), 0
    kind = torch.optim.AdamW if optimiser.name == "adamw" else torch.optim.Adam
    with torch_threads(1):
        observe()
        adam = kind(
            module.parameters(), lr=lr, betas=(optimiser.beta1, optimiser.beta2), eps=optimiser.eps,
            weight_decay=optimiser.weight_decay, fused=True,
        )  # fmt: skip
        for epoch in range(settings.epochs):
            for part in torch.split(torch.from_numpy(order.permutation(n)), settings.batch_size):
                adam.param_groups[0]["lr"] = lr * (1 - done / steps)
                adam.zero_grad()
                loss = ((module(inputs[part])[:, 0] - wanted[part]) / spread).square().mean()
                loss.backward()
                adam.step()
                losses[epoch] += float(loss.detach()) * len(part) / n
                done += 1
            observe()
    seen = [fake.activation_post_process for fake in activations]
    nodes = [node for layer in linear for node in (layer.args[1].args[0], layer.args[2])]
    return Theirs(
        [module.get_parameter(str(node.target)).detach().numpy().copy() for node in nodes],
        [(float(one.min_val), float(one.max_val)) for one in seen],
        losses,
        convert_pt2e(module),
    )
