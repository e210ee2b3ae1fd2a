"""The ONNX form of a network of convolutions, written node by node: the same weights give the same bytes.

`torch.fx` gives the calls of a module in order; each has one translation here, and one without a translation is an error.
Batch normalisation is folded into the convolution before it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx, nn

from pyvmaf.errors import PyvmafError

# The version that came with opset 17; runtimes from 2022 on read it.
_IR_VERSION = 8

_ONE_TENSOR = {
    torch.sqrt: "Sqrt",
    torch.exp: "Exp",
    torch.log: "Log",
    torch.relu: "Relu",
    torch.sigmoid: "Sigmoid",
}
_TWO = {
    operator.add: "Add",
    torch.add: "Add",
    operator.sub: "Sub",
    torch.sub: "Sub",
    operator.mul: "Mul",
    torch.mul: "Mul",
}


class _Writer:
    """Nodes and constants of a graph as they come."""

    def __init__(self, modules: dict[str, nn.Module], attributes: Callable[[str], Any]) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, NDArray[Any]] = {}
        self._modules, self._attributes = modules, attributes
        self._convolutions: dict[str, str] = {}
        """Prefix of a convolution's constants by the name of its output."""

    def constant(self, name: str, values: Any) -> str:
        self.constants[name] = np.asarray(values)
        return name

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> None:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))

    def module(self, node: fx.Node) -> None:
        module, (source, *_), name = self._modules[str(node.target)], node.args, node.name
        given = str(source)
        if isinstance(module, nn.Conv2d):
            self._convolution(module, given, name)
        elif isinstance(module, nn.BatchNorm2d):
            self._fold(module, given, name)
        elif isinstance(module, nn.ReLU):
            self.node("Relu", [given], name)
        elif isinstance(module, nn.ReLU6):
            self._clip(given, name, 0.0, 6.0)
        elif isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size in (1, (1, 1)):
            self.node("GlobalAveragePool", [given], name)
        elif isinstance(module, nn.Flatten):
            self.node("Flatten", [given], name, axis=1)
        elif isinstance(module, nn.MaxPool2d):
            kernel, stride = (nn.modules.utils._pair(value) for value in (module.kernel_size, module.stride))
            self.node("MaxPool", [given], name, kernel_shape=list(kernel), strides=list(stride))
        elif isinstance(module, nn.Upsample) and module.mode == "bilinear" and not module.align_corners:
            scales = self.constant(
                f"{name}.scales", np.array([1, 1, module.scale_factor, module.scale_factor], np.float32)
            )
            self.node("Resize", [given, "", scales], name, mode="linear", coordinate_transformation_mode="half_pixel")
        elif isinstance(module, nn.ConvTranspose2d) and module.bias is None:
            inputs = [given, self.constant(f"{name}.weight", _array(module.weight))]
            sides = {"kernel_shape": list(module.kernel_size), "strides": list(module.stride)}
            self.node("ConvTranspose", inputs, name, **sides)
        elif isinstance(module, nn.Linear):
            weight, bias = (_array(value) for value in (module.weight, module.bias))
            inputs = [self.constant(f"{name}.weight", weight), self.constant(f"{name}.bias", bias)]
            self.node("Gemm", [given, *inputs], name, transB=1)
        else:
            raise _unknown(type(module).__name__)

    def function(self, node: fx.Node) -> None:
        target, name = node.target, node.name
        arguments: list[Any] = list(node.args)
        if target in _TWO:
            self.node(_TWO[target], [self._operand(each, name) for each in arguments[:2]], name)
        elif target in _ONE_TENSOR:
            self.node(_ONE_TENSOR[target], [str(arguments[0])], name)
        elif target is torch.clamp:
            self._clip(str(arguments[0]), name, float(arguments[1]), float(arguments[2]))
        elif target is torch.squeeze:
            axes = self.constant(f"{name}.axes", np.array([arguments[1]], dtype=np.int64))
            self.node("Squeeze", [str(arguments[0]), axes], name)
        elif target is torch.flatten:
            self.node("Flatten", [str(arguments[0])], name, axis=int(arguments[1]))
        elif target is torch.cat:
            self.node("Concat", [str(each) for each in arguments[0]], name, axis=int(arguments[1]))
        elif target is torch.mean:
            self.node(
                "ReduceMean", [str(arguments[0])], name, axes=list(arguments[1]), keepdims=int(bool(arguments[2]))
            )
        elif target is torch.nn.functional.pad:
            left, right, top, bottom = arguments[1]
            pads = self.constant(f"{name}.pads", np.array([0, 0, top, left, 0, 0, bottom, right], dtype=np.int64))
            self.node("Pad", [str(arguments[0]), pads], name)
        else:
            raise _unknown(str(target))

    def _operand(self, value: Any, name: str) -> str:
        if isinstance(value, fx.Node):
            return value.name
        return self.constant(f"{name}.constant", np.float32(value))

    def attribute(self, node: fx.Node) -> None:
        self.constant(node.name, _array(self._attributes(str(node.target))))

    def _clip(self, given: str, name: str, low: float, high: float) -> None:
        ends = [self.constant(f"{name}.{end}", np.float32(value)) for end, value in (("low", low), ("high", high))]
        self.node("Clip", [given, *ends], name)

    def _convolution(self, module: nn.Conv2d, given: str, name: str) -> None:
        weight = _array(module.weight)
        bias = np.zeros(len(weight), dtype=np.float32) if module.bias is None else _array(module.bias)
        inputs = [self.constant(f"{name}.weight", weight), self.constant(f"{name}.bias", bias)]
        padding: Any = module.padding
        top, left = (int(side) for side in padding)
        self.node(
            "Conv",
            [given, *inputs],
            name,
            kernel_shape=list(module.kernel_size),
            strides=list(module.stride),
            pads=[top, left, top, left],
            dilations=list(module.dilation),
            group=module.groups,
        )
        self._convolutions[name] = name

    def _fold(self, module: nn.BatchNorm2d, given: str, name: str) -> None:
        if given not in self._convolutions or self.nodes[-1].output[0] != given:
            raise _unknown("BatchNorm2d without a convolution before it")
        prefix = self._convolutions[given]
        gain, shift, mean, variance = (
            _array(value).astype(np.float64)
            for value in (module.weight, module.bias, module.running_mean, module.running_var)
        )
        factor = gain / np.sqrt(variance + module.eps)
        weight, bias = (self.constants[f"{prefix}.{end}"].astype(np.float64) for end in ("weight", "bias"))
        self.constants[f"{prefix}.weight"] = (weight * factor[:, None, None, None]).astype(np.float32)
        self.constants[f"{prefix}.bias"] = ((bias - mean) * factor + shift).astype(np.float32)
        self.nodes[-1].output[0] = name
        self._convolutions[name] = prefix


def _array(value: Any) -> NDArray[np.float32]:
    return np.ascontiguousarray(value.detach().cpu().numpy(), dtype=np.float32)


def _unknown(what: str) -> PyvmafError:
    return PyvmafError(f"{what} has no ONNX form here: write one in {__name__}, or use other layers")


def write(
    module: nn.Module,
    *,
    name: str,
    input_name: str,
    input_shape: Sequence[int | str],
    output_name: str,
    output_shape: Sequence[int | str],
    opset: int,
) -> bytes:
    """Write a module as an ONNX file.

    Args:
        module: the network, as it is evaluated.
        name: of the graph.
        input_name, output_name: of its input and output, float32 both.
        input_shape, output_shape: their axes; text names an axis whose size the caller chooses.
        opset: operator set of ai.onnx.

    Raises:
        PyvmafError: the module does something that has no translation.
    """
    from onnx import TensorProto, helper, numpy_helper

    traced = fx.symbolic_trace(module.eval())
    writer = _Writer(dict(traced.named_modules()), lambda path: operator.attrgetter(path)(traced))
    for node in traced.graph.nodes:
        if node.op == "placeholder":
            given = node.name
        elif node.op == "call_module":
            writer.module(node)
        elif node.op == "call_function":
            writer.function(node)
        elif node.op == "get_attr":
            writer.attribute(node)
        elif node.op == "output":
            answer = str(node.args[0])
        else:
            raise _unknown(f"{node.op} {node.target}")
    for one in writer.nodes:
        one.input[:] = [input_name if value == given else value for value in one.input]
        one.output[:] = [output_name if value == answer else value for value in one.output]
    graph = helper.make_graph(
        writer.nodes,
        name,
        [helper.make_tensor_value_info(input_name, TensorProto.FLOAT, list(input_shape))],
        [helper.make_tensor_value_info(output_name, TensorProto.FLOAT, list(output_shape))],
        [numpy_helper.from_array(values, key) for key, values in writer.constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], producer_name="pyvmaf")
    model.ir_version = _IR_VERSION
    return bytes(model.SerializeToString(deterministic=True))
