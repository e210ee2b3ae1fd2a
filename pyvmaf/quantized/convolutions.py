"""Quantisation-aware training of convolutional networks: a fitted member goes on learning while its products are rounded.

Each convolution gets its input and its weights through a fake quantisation: rounding forwards, the identity backwards, with
the steps that the int8 file has (weights symmetric per output channel, activations per tensor). Normalisations are folded
first, as in the file, and the learned weights go back into it, so that it differs from one of mode static_qdq in its numbers
only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.utils.data import DataLoader

from pyvmaf.errors import PyvmafError
from pyvmaf.models.families import learned_int8_part
from pyvmaf.models.image.memory import kept_memory
from pyvmaf.models.image.networks import one_thread
from pyvmaf.quantized.material import Material

_MOST = 127
_TINY = 1e-8
_OBSERVED = 16
"""Batches that activation ranges are measured on before each pass."""


class Rounded(nn.Module):
    """A convolution whose input and weights are rounded to int8.

    Attributes:
        layer: the convolution.
        low, high: range of its input, which always holds 0.
        observing: whether inputs widen the range instead of being rounded to it.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.layer = layer
        self.low = self.high = 0.0
        self.observing = False

    def forward(self, x: Tensor) -> Tensor:
        """Convolve."""
        answer: Tensor
        if self.observing:
            self.low, self.high = min(self.low, float(x.min())), max(self.high, float(x.max()))
            answer = self.layer(x)
            return answer
        step = max((self.high - self.low) / 255, _TINY)
        zero = round(-128 - self.low / step)
        x = torch.fake_quantize_per_tensor_affine(x, step, zero, -128, 127)
        weight = self.layer.weight
        steps = weight.detach().abs().amax(dim=(1, 2, 3)).clamp_min(_TINY) / _MOST
        rounded = torch.fake_quantize_per_channel_affine(
            weight, steps, torch.zeros_like(steps, dtype=torch.int32), 0, -_MOST, _MOST
        )
        answer = self.layer._conv_forward(x, rounded, self.layer.bias)
        return answer


def fine_tune_convolutions(material: Material) -> bytes:
    """Train a member on its own training rows, and give its fp32 file with the weights that were learned.

    Raises:
        PyvmafError: the loss became NaN or infinite, or the file has other convolutions than the network.
    """
    import onnx

    part = learned_int8_part(material.spec.kind)
    assert part is not None
    settings, optimiser = material.settings, material.spec.optimiser
    lesson = part.lesson(material.spec, material.table)
    model = onnx.load_model_from_string(material.fp32)
    with one_thread(), kept_memory(), torch.random.fork_rng():
        network = folded(part.trained_network(material.spec, material.weights, material.held_out))
        layers = _rounded(network, model)
        weights = [parameter for layer in layers for parameter in layer.layer.parameters()]
        kind = torch.optim.AdamW if optimiser.name == "adamw" else torch.optim.Adam
        lr = settings.learning_rate(optimiser)
        adam = kind(weights, lr=lr, betas=(optimiser.beta1, optimiser.beta2), eps=optimiser.eps)
        words = (material.weights.info["seed"], material.held_out or "", "quantisation-aware")
        done = 0
        for epoch in range(settings.epochs):
            batches: Any = lesson.batches(material.train, *words, epoch)
            _observe(network, layers, batches)
            steps = settings.epochs * len(batches)
            for inputs, *others in DataLoader(batches, batch_size=None):
                adam.param_groups[0]["lr"] = lr * (1 - done / steps)
                adam.zero_grad()
                loss = lesson.loss(network, (inputs.contiguous(memory_format=torch.channels_last), *others))
                if not torch.isfinite(loss):
                    raise PyvmafError(
                        f"the loss of quantisation-aware training is not finite in pass {epoch + 1} (held out: "
                        f"{material.held_out}): lower its learning rate, which is {lr:g}"
                    )
                loss.backward()
                adam.step()
                done += 1
    if settings.epochs:
        _write_back(layers, model)
    return bytes(model.SerializeToString(deterministic=True))


def folded(network: nn.Module) -> fx.GraphModule:
    """Fold each normalisation into the convolution before it."""
    from torch.fx.experimental.optimization import fuse

    return fx.symbolic_trace(fuse(network.eval())).to(memory_format=torch.channels_last)


def _convolutions(model: Any) -> list[Any]:
    return [node for node in model.graph.node if node.op_type == "Conv"]


def _rounded(network: fx.GraphModule, model: Any) -> list[Rounded]:
    """Round each convolution of a network, with the weights that the file has for it: both have them in one order."""
    from onnx import numpy_helper

    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    modules = dict(network.named_modules())
    names = [
        str(node.target)
        for node in network.graph.nodes
        if node.op == "call_module" and isinstance(modules[str(node.target)], nn.Conv2d)
    ]
    nodes = _convolutions(model)
    if len(names) != len(nodes):
        raise PyvmafError(
            f"the network has {len(names)} convolutions, but its file {len(nodes)}: export the model again"
        )
    layers = []
    for name, node in zip(names, nodes, strict=True):
        layer = modules[name]
        assert isinstance(layer, nn.Conv2d)
        weight, bias = (torch.from_numpy(np.array(constants[key])) for key in node.input[1:3])
        if weight.shape != layer.weight.shape or not torch.allclose(weight, layer.weight, rtol=1e-3, atol=1e-5):
            raise PyvmafError(f"convolution {node.name} of the file is not that of the network: export the model again")
        layer.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last))
        layer.bias = nn.Parameter(bias)
        layers.append(Rounded(layer))
        parent, _, last = name.rpartition(".")
        setattr(network.get_submodule(parent), last, layers[-1])
    return layers


def _observe(network: nn.Module, layers: list[Rounded], batches: Any) -> None:
    """Measure the range of each convolution's input."""
    for layer in layers:
        layer.low = layer.high = 0.0
        layer.observing = True
    with torch.no_grad():
        for number, (inputs, *_) in enumerate(batches):
            if number == _OBSERVED:
                break
            network(inputs)
    for layer in layers:
        layer.observing = False


def _write_back(layers: list[Rounded], model: Any) -> None:
    from onnx import numpy_helper

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for layer, node in zip(layers, _convolutions(model), strict=True):
        assert layer.layer.bias is not None
        for name, value in ((node.input[1], layer.layer.weight), (node.input[2], layer.layer.bias)):
            array = np.ascontiguousarray(value.detach().numpy())
            constants[name].CopyFrom(numpy_helper.from_array(array, name))
