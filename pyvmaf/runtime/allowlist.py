"""The operators that a model file may contain, checked in the protobuf itself, before any runtime sees it.

The list is closed: an operator that is not on it is refused. Graphs inside nodes (If, Loop) are scanned
as the outer one is.
"""

from __future__ import annotations

import math
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pyvmaf.base.outputs import reading
from pyvmaf.errors import InputError, IntegrityError, MissingFileError
from pyvmaf.runtime.session import short

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray
    from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

MAX_BYTES = 50_000_000
OPSETS = range(7, 22)
MAX_LOOPS, MAX_TRIPS, MAX_DEPTH = 16, 1024, 8
MAX_NODES = 10_000

_OPERATORS = """
Identity Reshape Flatten Squeeze Unsqueeze Transpose Concat Slice Gather Cast Shape Expand
Constant ConstantOfShape Pad GatherND ScatterND
Add Sub Mul Div Neg Abs Sqrt Pow Exp Log Erf Clip Min Max Sum Mean Reciprocal BitShift
ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd Gemm MatMul
Conv ConvTranspose MaxPool AveragePool GlobalAveragePool GlobalMaxPool Resize
BatchNormalization LayerNormalization InstanceNormalization Dropout
Relu LeakyRelu Sigmoid Tanh Softmax Elu Selu Softplus Softsign Gelu HardSigmoid HardSwish PRelu
QuantizeLinear DequantizeLinear
Loop If
"""
ALLOWED = frozenset(_OPERATORS.split())


def read_model(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """The bytes of a model file.

    Raises:
        MissingFileError: there is no such file.
        InputError: it is not a regular file, or larger than `max_bytes`.
    """
    reading(path)
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError) as err:
        raise MissingFileError(f"no such file: {path}") from err
    except (OSError, ValueError) as err:
        raise InputError(f"cannot read {path}: {getattr(err, 'strerror', None) or err}") from err
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        raise InputError(f"{path} is not a regular file: a model is read from one only")
    with open(handle, "rb") as stream:
        if status.st_size > max_bytes:
            raise InputError(f"{path} has {status.st_size} bytes, but a model may have at most {max_bytes}")
        return stream.read(max_bytes + 1)


def parse(data: bytes, where: str) -> ModelProto:
    """The protobuf in `data`; nothing beside it is read.

    Raises:
        IntegrityError: it is not an ONNX model.
    """
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError as err:
        raise IntegrityError(f"{where} is not an ONNX file ({err}): export it again") from err
    if not model.graph.node:
        raise IntegrityError(f"{where} is not an ONNX file, or one without any operator")
    return model


def scan(model: ModelProto) -> tuple[dict[str, int], list[str]]:
    """Count the operators of a parsed file, and list everything in it that is not allowed, with its position."""
    found = _Scan()
    for opset in model.opset_import:
        if opset.domain not in ("", "ai.onnx"):
            found.problems.append(f"operator set of domain {short(opset.domain)!r}")
        elif opset.version not in OPSETS:
            found.problems.append(f"operator set {opset.version} (allowed: {OPSETS[0]} to {OPSETS[-1]})")
    if len(model.opset_import) != 1:
        found.problems.append(f"{len(model.opset_import) or 'no'} operator sets (one is needed)")
    if model.functions:
        found.problems.append(f"{len(model.functions)} functions of its own")
    if model.training_info:
        found.problems.append("training information")
    found.graph(model.graph, _Place("", 0, 1), {})
    if (nodes := sum(found.counts.values())) > MAX_NODES:
        found.problems.append(f"{nodes} nodes (at most {MAX_NODES})")
    if found.loops > MAX_LOOPS:
        found.problems.append(f"{found.loops} loops (at most {MAX_LOOPS})")
    return dict(sorted(found.counts.items())), found.problems


def check(model: ModelProto, where: str) -> dict[str, int]:
    """Refuse a model that holds anything but allowed operators and its own data.

    Args:
        model: the parsed file.
        where: its name in errors.

    Returns:
        How often each operator occurs.

    Raises:
        InputError: an operator, domain, opset, loop or tensor is not allowed, or a tensor is damaged or holds NaN or
            infinity; the message names the first few.
    """
    operators, problems = scan(model)
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise InputError(f"{where} holds what a model may not: {'; '.join(problems[:5])}{more}")
    return operators


def opset(model: ModelProto) -> int:
    """Version of ai.onnx that a file imports; 0 for none."""
    return next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)


class _Place(NamedTuple):
    """Where a graph is: its path, how deep it is nested, and how often the loops around it compute it."""

    at: str
    depth: int
    rounds: int


class _Scan:
    def __init__(self) -> None:
        self.problems: list[str] = []
        self.counts: dict[str, int] = {}
        self.loops = 0

    def graph(self, graph: GraphProto, place: _Place, outer: dict[str, TensorProto]) -> None:
        if place.depth > MAX_DEPTH:
            self.problems.append(f"graphs nested deeper than {MAX_DEPTH} at {place.at}")
            return
        constants = dict(outer)
        constants.update((tensor.name, tensor) for tensor in graph.initializer)
        # An input of the same name can be fed by the caller, so that it is not a constant.
        for value in graph.input:
            constants.pop(value.name, None)
        self.tensors(graph.initializer, place.at)
        if graph.sparse_initializer:
            self.problems.append(f"sparse tensors at {place.at or '/'}")
        for index, node in enumerate(graph.node):
            at = f"{place.at}/{short(node.name or f'{node.op_type}#{index}')}"
            self.node(node, place._replace(at=at), constants)

    def node(self, node: NodeProto, place: _Place, constants: dict[str, TensorProto]) -> None:
        if node.domain not in ("", "ai.onnx"):
            self.problems.append(f"operator {short(node.domain)}.{short(node.op_type)} at {place.at}")
        elif node.op_type not in ALLOWED:
            self.problems.append(f"operator {short(node.op_type)} at {place.at}")
        self.counts[node.op_type] = self.counts.get(node.op_type, 0) + 1
        if node.op_type == "Constant" and len(node.output) == 1:
            for attribute in node.attribute:
                if attribute.name == "value":
                    constants[node.output[0]] = attribute.t
        else:
            for name in node.output:
                constants.pop(name, None)
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            self.scale(node, place.at, constants)
        if node.op_type == "Loop":
            place = self.loop(node, place, constants)
        for attribute in node.attribute:
            self.attribute(attribute, place, constants)

    def attribute(self, attribute: AttributeProto, place: _Place, constants: dict[str, TensorProto]) -> None:
        self.tensors((attribute.t, *attribute.tensors), place.at)
        if attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
            self.problems.append(f"sparse tensors at {place.at}")
        if not all(map(math.isfinite, (attribute.f, *attribute.floats))):
            self.problems.append(f"attribute {short(attribute.name)} with NaN or infinity at {place.at}")
        inner = place._replace(depth=place.depth + 1)
        for graph in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
            self.graph(graph, inner, constants)

    def tensors(self, tensors: Iterable[TensorProto], at: str) -> None:
        from onnx import TensorProto

        for tensor in tensors:
            if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
                self.problems.append(f"tensor {short(tensor.name)!r} stored in another file at {at or '/'}")
            elif tensor.data_type != TensorProto.UNDEFINED:
                self.numbers(tensor, at or "/")

    def numbers(self, tensor: TensorProto, at: str) -> None:
        """Note a tensor without its numbers, or with NaN or infinity, which any score would be computed from."""
        values = _array(tensor)
        if values is None:
            self.problems.append(
                f"damaged tensor {short(tensor.name)!r} at {at}: its numbers do not fit its type and shape"
            )
        elif values.dtype.kind not in "biu" and not np.isfinite(values.astype(np.complex128)).all():
            self.problems.append(f"tensor {short(tensor.name)!r} with NaN or infinity at {at}")

    def scale(self, node: NodeProto, at: str, constants: dict[str, TensorProto]) -> None:
        scales = constants.get(node.input[1]) if len(node.input) > 1 else None
        values = None if scales is None else _array(scales)
        if values is not None and not (values > 0).all():
            self.problems.append(f"a scale of 0 or less at {at}")

    def loop(self, node: NodeProto, place: _Place, constants: dict[str, TensorProto]) -> _Place:
        """Give the place of a loop's body."""
        from onnx import TensorProto

        self.loops += 1
        trips = constants.get(node.input[0]) if node.input else None
        if trips is None or trips.data_type != TensorProto.INT64 or trips.external_data:
            self.problems.append(f"loop without a constant number of rounds at {place.at}")
            return place
        value = _array(trips)
        if value is None:
            self.problems.append(f"loop with a damaged number of rounds at {place.at}")
            return place
        if value.size != 1 or not 0 <= int(value.reshape(-1)[0]) <= MAX_TRIPS:
            self.problems.append(
                f"loop of {value.reshape(-1)[:4].tolist()} rounds at {place.at} (0 to {MAX_TRIPS} allowed)"
            )
            return place
        inner = place._replace(rounds=place.rounds * max(int(value.reshape(-1)[0]), 1))
        if inner.rounds > MAX_TRIPS >= place.rounds:
            self.problems.append(
                f"loops in loops of {inner.rounds} rounds together at {place.at} (at most {MAX_TRIPS} allowed)"
            )
        return inner


def _array(tensor: TensorProto) -> NDArray[Any] | None:
    """The numbers of a tensor; None if the file does not hold as many as its shape asks for, or holds text."""
    from onnx import TensorProto, numpy_helper

    size = math.prod(tensor.dims)
    if tensor.data_type == TensorProto.STRING or not 0 <= size <= MAX_BYTES * 8 or min(tensor.dims, default=0) < 0:
        return None
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except Exception:  # what goes wrong with damaged bytes has no common base
        return None
