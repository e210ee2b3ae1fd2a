"""The ONNX form of an MLP, written node by node: the same weights give the same bytes on every machine."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.codecs.vocabularies import Vocabulary, vocabulary
from pyvmaf.errors import IntegrityError
from pyvmaf.models.families import Graph
from pyvmaf.models.regressor.base import Base
from pyvmaf.models.regressor.base import of_member as base_of_member
from pyvmaf.models.regressor.inputs import Preparation, of_member
from pyvmaf.models.regressor.names import CODEC, FEATURES, JOINED, LAST_AXIS, NETWORK, SCORE, UNCLIPPED
from pyvmaf.models.regressor.networks import Mlp, build
from pyvmaf.models.regressor.spec import RegressorSpec
from pyvmaf.models.weights import Weights

if TYPE_CHECKING:
    import torch

# The version that came with opset 17; runtimes from 2022 on read it.
_IR_VERSION = 8


def codec_vocabulary(spec: RegressorSpec, weights: Weights) -> Vocabulary | None:
    """The codec vocabulary of a model, or None.

    Raises:
        IntegrityError: it is not the one that the weights were trained with.
    """
    if spec.inputs.codec is None:
        return None
    block, trained = vocabulary(spec.inputs.codec), weights.info["codec"]
    if trained is None or trained["sha256"] != block.sha256:
        raise IntegrityError(
            f"{weights.path} was trained with codec vocabulary {trained}, but {block.version} now hashes to "
            f"{block.sha256}: a vocabulary must not change, only a new version may be added"
        )
    return block


def member_network(spec: RegressorSpec, block: Vocabulary | None) -> Mlp:
    """The network of a model, without parameters."""
    return build(spec.network, len(spec.inputs.names) + (0 if block is None else block.width), spec.target.range)


def clip_bounds(spec: RegressorSpec, weights: Weights) -> tuple[np.float32, np.float32] | None:
    """Ends of the range that the graph keeps scores in: the float32 numbers closest to those of the target that do not
    lie outside of it; None if the model does not clip.
    """
    if not weights.clipped:
        return None
    low, high = (np.float32(end) for end in spec.target.range)
    if float(low) < spec.target.range[0]:
        low = np.nextafter(low, np.float32(np.inf))
    if float(high) > spec.target.range[1]:
        high = np.nextafter(high, np.float32(-np.inf))
    return low, high


def member_module(spec: RegressorSpec, weights: Weights, index: int) -> torch.nn.Module:
    """A member as a torch module, prepared columns [n, inputs] to scores [n, 1].

    Args:
        spec: the model.
        weights: of a fit of that model.
        index: of the member (`Weights.index`).
    """
    import torch

    parameters = torch.from_numpy(weights.tensors["parameters"][index])
    module = member_network(spec, codec_vocabulary(spec, weights)).as_module(parameters)
    base = base_of_member(spec, weights.tensors, index)
    return module if base is None else base.around(module)


def graph(spec: RegressorSpec, weights: Weights, held_out: str | None) -> Graph:
    """Write a member as ONNX.

    Args:
        spec: the model.
        weights: of a fit of that model.
        held_out: which member; None for the one that was trained on all rows.

    Raises:
        InputError: the weights are not of this spec, or have no such member.
        IntegrityError: the codec vocabulary has changed.
    """
    weights.check_made_for(spec)
    block = codec_vocabulary(spec, weights)
    index = weights.index(held_out)
    network, base = member_network(spec, block), base_of_member(spec, weights.tensors, index)
    data = build_onnx(
        network,
        weights.tensors["parameters"][index],
        name=spec.name,
        n_features=len(spec.inputs.names),
        n_codec=0 if block is None else block.width,
        prepare=of_member(spec, weights, index),
        base=base,
        opset=spec.export.opset,
        clip=clip_bounds(spec, weights),
        codec_name=spec.export.codec_name,
        output_name=spec.export.output_name,
    )
    n_parameters = network.n_parameters if base is None or base.limit else base.n_parameters
    return Graph(data, n_parameters, FEATURES, spec.export.output_name)


def build_onnx(
    network: Mlp,
    parameters: NDArray[np.float32],
    *,
    name: str,
    n_features: int,
    n_codec: int,
    prepare: Preparation,
    base: Base | None = None,
    opset: int,
    clip: tuple[np.float32, np.float32] | None = None,
    codec_name: str = CODEC,
    output_name: str = SCORE,
) -> bytes:
    """Write a model file: ``features`` [batch, n_features] and, if there is a codec block, ``codec`` [batch, n_codec] in,
    ``score`` [batch] out, all float32.

    Args:
        network: the network of the parameters.
        parameters: float32 [n_parameters].
        name: of the graph.
        n_features, n_codec: columns of the two inputs; 0 codec columns for a model without that input.
        prepare: the preparation of the features; the graph does all of it, except scaling if that is left to the caller.
        base: the linear part that the network corrects, or None.
        opset: operator set of ai.onnx.
        clip: smallest and largest score that the graph gives; None for whatever the network answers.
        codec_name, output_name: names of the codec block and of the scores.
    """
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants = [], []

    def constant(key: str, value: NDArray[np.generic]) -> str:
        constants.append(numpy_helper.from_array(np.ascontiguousarray(value), key))
        return key

    def node(op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    inputs = [helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["batch", n_features])]
    features = current = _prepare(prepare, node, constant)
    if n_codec:
        inputs.append(helper.make_tensor_value_info(codec_name, TensorProto.FLOAT, ["batch", n_codec]))
    scores = output_name if clip is None else UNCLIPPED
    answer = scores if base is None else NETWORK
    if base is None or base.limit:
        if n_codec:
            current = node("Concat", [current, codec_name], JOINED, axis=1)
        current = _layers(current, network, parameters, answer, node, constant)
    if base is not None:
        current = _correct(current, features, codec_name, base, scores, node, constant)
    if clip is not None:
        ends = [constant(f"clip.{end}", np.array(value)) for end, value in zip(("low", "high"), clip, strict=True)]
        node("Clip", [current, *ends], output_name)

    output = helper.make_tensor_value_info(output_name, TensorProto.FLOAT, ["batch"])
    graph = helper.make_graph(nodes, name, inputs, [output], constants)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=_IR_VERSION, producer_name="pyvmaf"
    )
    return bytes(model.SerializeToString(deterministic=True))


def _prepare(
    prepare: Preparation, node: Callable[..., str], constant: Callable[[str, NDArray[np.generic]], str]
) -> str:
    """Turn raw features into those that a network sees."""
    current = FEATURES
    if prepare.bounds is not None:
        low, high = (prepare.graph_inputs(limit).astype(np.float32) for limit in prepare.bounds)
        floor = node("Max", [current, constant("guard.low", low)], "guard.floor")
        current = node("Min", [floor, constant("guard.high", high)], "guard.inside")
    if any(prepare.transforms):
        current = _bend(current, prepare.transforms, node, constant)
    if not prepare.scaled_by_caller:
        mean = constant("scaler.mean", prepare.mean.astype(np.float32))
        std = constant("scaler.std", prepare.std.astype(np.float32))
        current = node("Div", [node("Sub", [current, mean], "scaler.centred"), std], "scaler.scaled")
    return current


def _layers(
    current: str,
    network: Mlp,
    parameters: NDArray[np.float32],
    answer: str,
    node: Callable[..., str],
    constant: Callable[[str, NDArray[np.generic]], str],
) -> str:
    """Compute the network's answer from its inputs."""
    if network.epsilon is not None:
        factor, shift = np.split(parameters[-2 * network.sizes[0][0] :], 2)
        norm = [constant("norm.factor", factor), constant("norm.shift", shift)]
        current = node("LayerNormalization", [current, *norm], "norm.inputs", axis=-1, epsilon=network.epsilon)
    start = 0
    for place, (i, o) in enumerate(network.sizes):
        block = parameters[start : start + (i + 1) * o].reshape(o, i + 1)
        start += (i + 1) * o
        key = f"layers.{place}"
        weight, bias = constant(f"{key}.weight", block[:, :-1]), constant(f"{key}.bias", block[:, -1])
        current = node("Gemm", [current, weight, bias], f"{key}.linear", transB=1)
        if place == len(network.sizes) - 1:
            flat = answer if network.bounds is None else "bounded.sum"
            current = node("Squeeze", [current, constant(LAST_AXIS, np.array([1], np.int64))], flat)
        elif network.activation == "relu":
            current = node("Relu", [current], f"{key}.active")
        else:
            current = _gelu(current, key, node, constant)

    return current if network.bounds is None else _bound(current, network.bounds, answer, node, constant)


def _gelu(current: str, key: str, node: Callable[..., str], constant: Callable[[str, NDArray[np.generic]], str]) -> str:
    """The exact GELU, x/2 (1 + erf(x/sqrt 2)); the operator of that name came with opset 20."""
    if key == "layers.0":
        constant("gelu.root2", np.array(math.sqrt(2), np.float32))
        constant("gelu.one", np.array(1, np.float32))
        constant("gelu.half", np.array(0.5, np.float32))
    erf = node("Erf", [node("Div", [current, "gelu.root2"], f"{key}.over_root2")], f"{key}.erf")
    factor = node("Add", [erf, "gelu.one"], f"{key}.factor")
    return node("Mul", [node("Mul", [current, factor], f"{key}.twice"), "gelu.half"], f"{key}.active")


def _bound(
    current: str,
    bounds: tuple[float, float],
    answer: str,
    node: Callable[..., str],
    constant: Callable[[str, NDArray[np.generic]], str],
) -> str:
    """Map the network's sum into its range: low + (high - low) sigmoid(x)."""
    low, high = bounds
    share = node("Sigmoid", [current], "bounded.share")
    width = node("Mul", [share, constant("bounded.width", np.array(high - low, np.float32))], "bounded.scaled")
    return node("Add", [width, constant("bounded.low", np.array(low, np.float32))], answer)


def _correct(
    network: str,
    features: str,
    codec: str,
    base: Base,
    answer: str,
    node: Callable[..., str],
    constant: Callable[[str, NDArray[np.generic]], str],
) -> str:
    """Add the linear part to the network's answer. It is no matrix product, so that int8 variants leave it as it is."""
    linear, limited = answer, None
    if base.limit:
        low, high = (
            constant(f"base.{side}", np.array(limit, np.float32))
            for side, limit in (("low", -base.limit), ("high", base.limit))
        )
        linear, limited = "base.linear", node("Clip", [network, low, high], "base.correction")
    weights, bias = (np.asarray(value, dtype=np.float32) for value in (base.weights, base.bias))
    if base.curves is None:
        products = node("Mul", [features, constant("base.weights", weights)], "base.products")
        axis = LAST_AXIS if limited else constant(LAST_AXIS, np.array([1], np.int64))
        total = node("ReduceSum", [products, axis], "base.sum", keepdims=0)
        node("Add", [total, constant("base.bias", bias)], linear)
        return node("Add", [linear, limited], answer) if limited else linear
    curves = base.curves
    shape = curves.knots.shape
    second, third, fourth = (
        constant(f"base.{name}_axis", np.array([axis], np.int64))
        for axis, name in enumerate(("second", "third", "fourth"), start=1)
    )

    def at(values: str, indices: NDArray[np.int64], output: str) -> str:
        return node("Gather", [values, constant(f"{output}_indices", indices)], output, axis=2)

    lifted = node("Unsqueeze", [features, constant("base.new_axes", np.array([1, 2], np.int64))], "base.lifted")
    products = node("Mul", [lifted, constant("base.weights", weights.reshape(*shape, -1))], "base.products")
    total = node("ReduceSum", [products, fourth], "base.sum", keepdims=0)
    values = node("Add", [total, constant("base.bias", bias.reshape(shape))], "base.values")
    # Of each knot the least value up to it, and the largest one from it on.
    row, column = np.indices((shape[1], shape[1]))
    least = node("ReduceMin", [at(values, np.minimum(row, column), "base.before")], "base.least", axes=[3], keepdims=0)
    most = node("ReduceMax", [at(values, np.maximum(row, column), "base.after")], "base.most", axes=[3], keepdims=0)
    both = node("Add", [least, most], "base.both")
    level = node("Mul", [both, constant("base.half", np.array(0.5, np.float32))], "base.level")
    drop = node(
        "Sub",
        [at(level, np.arange(1, shape[1]), "base.right"), at(level, np.arange(shape[1] - 1), "base.left")],
        "base.drop",
    )
    left, widths, shortest, longest = (
        constant(f"base.{name}", value.astype(np.float32))
        for name, value in zip(
            ("starts", "widths", "shortest", "longest"),
            (curves.knots[:, :-1], curves.widths, *curves.ends),
            strict=True,
        )
    )
    slopes = node("Div", [drop, widths], "base.slopes")
    crf = node("Gather", [codec, constant("base.last", np.array([-1], np.int64))], "base.crf", axis=1)
    beyond = node("Sub", [node("Unsqueeze", [crf, second], "base.crf_lifted"), left], "base.beyond")
    lengths = node("Min", [node("Max", [beyond, shortest], "base.begun"), longest], "base.lengths")
    fallen = node("ReduceSum", [node("Mul", [slopes, lengths], "base.falls"), third], "base.fallen", keepdims=0)
    first = node("Squeeze", [at(level, np.array([0]), "base.first"), third], "base.begin")
    lines = node("Add", [first, fallen], "base.lines")
    owners = node("Gather", [codec, constant("base.slots", np.arange(shape[0]))], "base.owners", axis=1)
    node("ReduceSum", [node("Mul", [lines, owners], "base.own"), second], linear, keepdims=0)
    return node("Add", [linear, limited], answer) if limited else linear


def _bend(
    current: str,
    transforms: Sequence[str | None],
    node: Callable[..., str],
    constant: Callable[[str, NDArray[np.generic]], str],
) -> str:
    """Transform some of the columns without taking them apart: x keep + log(x take + offset) + sqrt(x take).

    A column that a function is not for goes into it as a constant whose value there is 0.
    """

    def column(*names: str | None) -> NDArray[np.float32]:
        return np.array([name in names for name in transforms], np.float32)

    parts = [node("Mul", [current, constant("transform.keep", column(None))], "transform.kept")]
    if {"log", "log1p"} & set(transforms):
        offset = 1 - column("log")
        taken = node("Mul", [current, constant("transform.log_take", column("log", "log1p"))], "transform.log_taken")
        moved = node("Add", [taken, constant("transform.log_offset", offset)], "transform.log_moved")
        parts.append(node("Log", [moved], "transform.log"))
    if "sqrt" in transforms:
        taken = node("Mul", [current, constant("transform.sqrt_take", column("sqrt"))], "transform.sqrt_taken")
        parts.append(node("Sqrt", [taken], "transform.sqrt"))
    out = parts[0]
    for place, part in enumerate(parts[1:]):
        out = node("Add", [out, part], f"transform.sum{place}")
    return out
