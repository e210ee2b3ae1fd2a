"""The graph in an ONNX file: what may be said of it before any runtime sees it.

`Graph.of` accepts a file that passes the scan of `pyvmaf.runtime.allowlist` and ONNX's own checker. `Graph.check_extent`
then establishes, for inputs of given shapes, the size of every value and the arithmetic of a run: a graph whose sizes
cannot be established, or that would take more than the limits below, is refused. Small files can ask for much, as by
doubling a constant thirty times, or by loops in loops.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.runtime import allowlist
from pyvmaf.runtime.session import one_line, short

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, TypeProto

MAX_BYTES = 1 << 29
"""Limit on the bytes of all values of one run together, beside the file's own."""

MAX_PICTURE_BYTES = 1 << 32
"""The same for models that look at pixels, whose inner values are many times as large as their inputs."""

MAX_OPERATIONS = 1 << 36
"""Limit on the multiplications and additions of one run; some ten seconds on one core."""

MAX_PICTURE_OPERATIONS = 1 << 38
"""The same for models that look at pixels."""

MAX_STEPS = 1 << 20
"""Limit on the nodes that one run computes; each round of a loop counts."""

_FOLDED = frozenset(
    [
        "Identity",
        "Cast",
        "Concat",
        "Gather",
        "Slice",
        "Squeeze",
        "Unsqueeze",
        "Reshape",
        "ConstantOfShape",
        "Constant",
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Neg",
        "Abs",
        "Min",
        "Max",
        "ReduceProd",
        "ReduceSum",
        "ReduceMin",
        "ReduceMax",
    ]
)
"""Operators that graphs compute shapes with. Their small results are computed here when all inputs are known."""

_MOST_FOLDED = 1024
"""Elements of a value whose content is followed; shapes, axes and pads are shorter."""

Shape = tuple[int | None, ...]
"""Sizes of a tensor's axes; None for one that the caller chooses."""


class Tensor(NamedTuple):
    """A value of a run: its ONNX element type, and its shape."""

    element: int
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Graph:
    """A graph that passed the scan and ONNX's checker.

    Attributes:
        where: name of the file, for errors.
        data: its bytes.
        proto: the parsed file.
        operators: how often each operator occurs, graphs inside nodes included.
        opset: version of ai.onnx.
    """

    where: str
    data: bytes
    proto: ModelProto
    operators: dict[str, int]
    opset: int

    @staticmethod
    def of(data: bytes, where: str) -> Graph:
        """Check the bytes of an ONNX file.

        Args:
            data: the file.
            where: its name, for errors.

        Raises:
            InputError: it holds what a model may not.
            IntegrityError: it is not a valid ONNX file.
        """
        proto = allowlist.parse(data, where)
        operators = allowlist.check(proto, where)
        check_valid(proto, where)
        return Graph(where, data, proto, operators, allowlist.opset(proto))

    @cached_property
    def inputs(self) -> dict[str, Shape]:
        """Shapes of the inputs that have to be fed, by name and in order.

        Raises:
            InputError: an input is not a float32 tensor of a known rank.
        """
        from onnx import TensorProto

        constants = {tensor.name for tensor in self.proto.graph.initializer}
        shapes: dict[str, Shape] = {}
        for value in self.proto.graph.input:
            if value.name in constants:
                continue
            tensor = value.type.tensor_type
            if tensor.elem_type != TensorProto.FLOAT or not tensor.HasField("shape"):
                raise InputError(
                    f"{self.where}: input {short(value.name)!r} is {_described(value.type)}, but a model takes float32 tensors"
                )
            shapes[value.name] = tuple(d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim)
        return shapes

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs."""
        return tuple(value.name for value in self.proto.graph.output)

    def constant(self, name: str) -> NDArray[Any] | None:
        """The numbers of a constant of the outermost graph; None if there is none of that name."""
        from onnx import numpy_helper

        found = next((tensor for tensor in self.proto.graph.initializer if tensor.name == name), None)
        return None if found is None else np.asarray(numpy_helper.to_array(found))

    def check_extent(self, shapes: Mapping[str, Sequence[int]], *, pictures: bool = False) -> dict[str, Tensor]:
        """Establish the size of every value for inputs of given shapes, and hold the sums against the limits.

        Args:
            shapes: of all inputs.
            pictures: whether the limits are those of models that look at pixels.

        Returns:
            The outputs by name.

        Raises:
            InputError: the size of a value cannot be established, or a limit is exceeded.
        """
        walk = _Walk(self.where, self.opset, pictures=pictures)
        outputs = walk.model(self.proto.graph, shapes)
        return dict(zip(self.outputs, outputs, strict=True))


def check_valid(proto: ModelProto, where: str) -> None:
    """Check that a parsed file is a valid model.

    Raises:
        IntegrityError: it is not; the message quotes ONNX's checker.
    """
    import onnx

    try:
        onnx.checker.check_model(proto, full_check=True)
    except Exception as err:  # the checker's exceptions have no common base
        raise IntegrityError(f"{where} is not valid ONNX: {one_line(err)}") from err


def _described(kind: TypeProto) -> str:
    """Describe a type in words."""
    from onnx import TensorProto

    if not kind.HasField("tensor_type"):
        return f"a {kind.WhichOneof('value') or 'value without a type'}"
    tensor = kind.tensor_type
    known = tensor.elem_type in TensorProto.DataType.values()
    name = TensorProto.DataType.Name(tensor.elem_type) if known else f"element type {tensor.elem_type}"
    return name if tensor.HasField("shape") else f"{name} without a shape"


class _Value(NamedTuple):
    """A value inside a walk: its tensor, and its content if that is small and known."""

    tensor: Tensor
    content: TensorProto | None = None

    @property
    def size(self) -> int:
        return math.prod(self.tensor.shape)


_NOTHING = _Value(Tensor(1, (0,)))
"""In place of an output that the graph leaves out."""

Scope = dict[str, _Value]


class _Walk:
    """One walk through a graph in the order of its nodes, graphs inside nodes included."""

    def __init__(self, where: str, opset: int, *, pictures: bool = False) -> None:
        self._where = where
        self._opset = opset
        self._most_bytes = MAX_PICTURE_BYTES if pictures else MAX_BYTES
        self._most_operations = MAX_PICTURE_OPERATIONS if pictures else MAX_OPERATIONS
        self._bytes = self._operations = self._steps = 0

    def model(self, graph: GraphProto, shapes: Mapping[str, Sequence[int]]) -> list[Tensor]:
        from onnx import TensorProto

        fed = {name: _Value(Tensor(TensorProto.FLOAT, tuple(shape))) for name, shape in shapes.items()}
        return [value.tensor for value in self._graph(graph, fed, 1)]

    def _graph(self, graph: GraphProto, scope: Scope, times: int) -> list[_Value]:
        scope = dict(scope)
        for tensor in graph.initializer:
            scope[tensor.name] = self._constant(tensor)
        for node in graph.node:
            values = self._node(node, scope, times)
            self._count(node, scope, values, times)
            scope.update((name, value) for name, value in zip(node.output, values, strict=False) if name)
        try:
            return [scope[value.name] for value in graph.output]
        except KeyError as err:
            raise IntegrityError(f"{self._where}: no node computes the output {short(err)}") from err

    @staticmethod
    def _constant(tensor: TensorProto) -> _Value:
        value = _Value(Tensor(tensor.data_type, tuple(tensor.dims)))
        return value._replace(content=tensor) if value.size <= _MOST_FOLDED else value

    def _node(self, node: NodeProto, scope: Scope, times: int) -> list[_Value]:
        for name in node.input:
            if name and name not in scope:
                raise IntegrityError(
                    f"{self._where}: {_called(node)} reads {short(name)!r}, which nothing computes before it"
                )
        if node.op_type == "Loop":
            return self._loop(node, scope, times)
        if node.op_type == "If":
            return self._if(node, scope, times)
        if node.op_type == "Constant" and (tensor := _attribute(node, "value")) is not None:
            return [self._constant(tensor.t)]
        if node.op_type == "Shape":
            return [self._shape(node, scope)]
        values = self._inferred(node, scope)
        if node.op_type in _FOLDED and values[0].size <= _MOST_FOLDED:
            values[0] = values[0]._replace(content=self._folded(node, scope))
        return values

    def _inferred(self, node: NodeProto, scope: Scope) -> list[_Value]:
        import onnx
        from onnx import helper

        names = [name for name in node.input if name]
        types = {name: helper.make_tensor_type_proto(*scope[name].tensor) for name in names}
        contents = {name: content for name in names if (content := scope[name].content) is not None}
        try:
            schema = onnx.defs.get_schema(node.op_type, self._opset, "")
            found = onnx.shape_inference.infer_node_outputs(
                schema, node, types, contents, opset_imports=[helper.make_opsetid("", self._opset)]
            )
        except Exception as err:  # the errors of inference have no common base
            raise IntegrityError(f"{self._where} is not valid ONNX: {_called(node)}: {one_line(err)}") from err
        return [self._known(node, name, found.get(name)) if name else _NOTHING for name in node.output]

    def _known(self, node: NodeProto, name: str, kind: TypeProto | None) -> _Value:
        if kind is not None and kind.HasField("tensor_type") and kind.tensor_type.HasField("shape"):
            sizes = [d.dim_value if d.HasField("dim_value") else -1 for d in kind.tensor_type.shape.dim]
            if min(sizes, default=0) >= 0 and kind.tensor_type.elem_type:
                return _Value(Tensor(kind.tensor_type.elem_type, tuple(sizes)))
        raise InputError(
            f"{self._where} is refused: the size of {short(name)!r}, computed by {_called(node)}, depends on values that are "
            "known only when it runs, so nothing bounds its memory. Export the model with fixed shapes"
        )

    def _shape(self, node: NodeProto, scope: Scope) -> _Value:
        from onnx import numpy_helper

        whole = scope[node.input[0]].tensor.shape
        start, end = (None if (found := _attribute(node, name)) is None else found.i for name in ("start", "end"))
        return self._constant(numpy_helper.from_array(np.array(whole[start:end], dtype=np.int64)))

    def _folded(self, node: NodeProto, scope: Scope) -> TensorProto | None:
        """Compute a small result whose inputs are all known; None if they are not."""
        from onnx import helper, numpy_helper
        from onnx.reference import ReferenceEvaluator

        contents = {name: scope[name].content for name in node.input if name}
        if not all(contents.values()):
            return None
        inputs = [helper.make_tensor_value_info(name, *scope[name].tensor) for name in contents]
        outputs = [helper.make_empty_tensor_value_info(node.output[0])]
        model = helper.make_model(
            helper.make_graph([node], "one", inputs, outputs), opset_imports=[helper.make_opsetid("", self._opset)]
        )
        feeds = {name: numpy_helper.to_array(content) for name, content in contents.items() if content is not None}
        try:
            return numpy_helper.from_array(np.asarray(next(iter(ReferenceEvaluator(model).run(None, feeds)))))
        except Exception:  # then its content is not known, and a size that depends on it is refused
            return None

    def _loop(self, node: NodeProto, scope: Scope, times: int) -> list[_Value]:
        from onnx import TensorProto, numpy_helper

        body, content = _body(node, "body"), scope[node.input[0]].content
        if content is None:
            raise InputError(f"{self._where} is refused: {_called(node)} has no constant number of rounds")
        rounds = int(numpy_helper.to_array(content).reshape(-1)[0])
        carried = [scope[name]._replace(content=None) for name in node.input[2:] if name]
        if len(body.input) != 2 + len(carried) or len(body.output) < 1 + len(carried):
            raise IntegrityError(f"{self._where}: the body of {_called(node)} does not take what the loop gives it")
        given = [_Value(Tensor(TensorProto.INT64, ())), _Value(Tensor(TensorProto.BOOL, ())), *carried]
        inner = {value.name: known for value, known in zip(body.input, given, strict=True)}
        results = self._graph(body, {**scope, **inner}, times * max(rounds, 1))[1:]
        states, scanned = results[: len(carried)], results[len(carried) :]
        for before, after in zip(carried, states, strict=True):
            if before.tensor != after.tensor:
                raise InputError(
                    f"{self._where} is refused: {_called(node)} carries a value of shape {list(before.tensor.shape)} that "
                    f"has shape {list(after.tensor.shape)} after a round: nothing bounds its memory"
                )
        rolled = [_Value(Tensor(value.tensor.element, (rounds, *value.tensor.shape))) for value in scanned]
        return [*carried, *rolled]

    def _if(self, node: NodeProto, scope: Scope, times: int) -> list[_Value]:
        from onnx import numpy_helper

        content = scope[node.input[0]].content
        branches: tuple[str, ...] = ("then_branch", "else_branch")
        if content is not None:
            branches = branches[:1] if bool(numpy_helper.to_array(content).any()) else branches[1:]
        first, *others = (
            [value._replace(content=None) for value in self._graph(_body(node, name), scope, times)]
            for name in branches
        )
        if any(other != first for other in others):
            raise InputError(
                f"{self._where} is refused: the branches of {_called(node)} give values of different shapes"
            )
        return first

    def _count(self, node: NodeProto, scope: Scope, values: Sequence[_Value], times: int) -> None:
        """Add what a node takes to the sums, and refuse the graph once one of them exceeds its limit."""
        inputs = [scope[name] for name in node.input if name]
        buffer, operations = _arithmetic(node, inputs, values)
        self._bytes += buffer + sum(value.size * _itemsize(value.tensor.element) for value in values)
        self._operations += times * operations
        self._steps += times
        for total, limit, what in (
            (self._bytes, self._most_bytes, "bytes of memory"),
            (self._operations, self._most_operations, "multiplications and additions"),
            (self._steps, MAX_STEPS, "nodes computed"),
        ):
            if total > limit:
                raise InputError(
                    f"{self._where} is refused: one run takes at least {total:.3g} {what} by {_called(node)}, but at most "
                    f"{limit:.3g} are allowed"
                )


def _called(node: NodeProto) -> str:
    return f"{short(node.op_type)} {short(node.name or next(iter(node.output), ''))!r}"


def _attribute(node: NodeProto, name: str) -> AttributeProto | None:
    return next((attribute for attribute in node.attribute if attribute.name == name), None)


def _body(node: NodeProto, name: str) -> GraphProto:
    found = _attribute(node, name)
    if found is None:
        raise IntegrityError(f"{_called(node)} lacks its {name}")
    return found.g


def _itemsize(element: int) -> int:
    from onnx import helper

    return int(helper.tensor_dtype_to_np_dtype(element).itemsize)


def _arithmetic(node: NodeProto, inputs: Sequence[_Value], outputs: Sequence[_Value]) -> tuple[int, int]:
    """Bytes of the buffer that a node needs beside its outputs, and its multiplications and additions."""
    out = outputs[0].size if outputs else 0
    every = sum(value.size for value in (*inputs, *outputs))
    if node.op_type in ("Gemm", "MatMul"):
        transposed = node.op_type == "Gemm" and (found := _attribute(node, "transA")) is not None and found.i
        inner = inputs[0].tensor.shape[0 if transposed else -1]
        return 0, every + 2 * out * inner
    if node.op_type in ("Conv", "ConvTranspose"):
        # onnxruntime unrolls one picture at a time into columns of a window each.
        turned = node.op_type == "ConvTranspose"
        window = math.prod(inputs[1].tensor.shape[1:])
        pictures = inputs[0] if turned else outputs[0]
        return 4 * window * math.prod(pictures.tensor.shape[2:]), every + 2 * window * pictures.size
    if node.op_type in ("MaxPool", "AveragePool") and (kernel := _attribute(node, "kernel_shape")) is not None:
        return 0, every + out * math.prod(kernel.ints)
    return 0, every
