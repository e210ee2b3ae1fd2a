"""Graphs of members in memory, after every check that needs no run of the model."""

from __future__ import annotations

from dataclasses import dataclass

from pyvmaf.errors import InputError
from pyvmaf.models.families import Graph, graph_part
from pyvmaf.models.spec import ModelSpec
from pyvmaf.models.weights import Weights
from pyvmaf.runtime import allowlist
from pyvmaf.runtime.graph import check_valid


@dataclass(frozen=True)
class Checked:
    """A model file in memory.

    Attributes:
        graph: of the family.
        operators: how often each operator occurs.
    """

    graph: Graph
    operators: dict[str, int]

    @property
    def data(self) -> bytes:
        """The bytes."""
        return self.graph.data

    @property
    def n_parameters(self) -> int:
        """Weights and biases."""
        return self.graph.n_parameters


def member_graph(spec: ModelSpec, weights: Weights, held_out: str | None = None) -> Checked:
    """Write one member of a fit as ONNX and check it.

    Args:
        spec: the model.
        weights: of a fit of that model.
        held_out: which member; None for the one that was trained on all rows.

    Raises:
        InputError: the weights are not of this spec, or the file would hold content that is not allowed.
    """
    return checked(graph_part(spec.kind).graph(spec, weights, held_out), spec)


def checked(graph: Graph, spec: ModelSpec) -> Checked:
    """Check a graph; see `check_file`."""
    return Checked(graph, check_file(graph.data, spec))


def check_file(data: bytes, spec: ModelSpec, opset: int | None = None) -> dict[str, int]:
    """Check a file as far as that is possible without running the model; return how often each operator occurs.

    Args:
        data: the file.
        spec: the model.
        opset: the operator set that it must have; the spec's by default.

    Raises:
        InputError: it is too large, has another operator set, or holds content that a model may not.
        IntegrityError: it is not valid ONNX.
    """
    where = f"the export of {spec.name}"
    if len(data) > spec.export.max_bytes:
        raise InputError(f"{where} has {len(data)} bytes, but its spec allows {spec.export.max_bytes}")
    model = allowlist.parse(data, where)
    operators = allowlist.check(model, where)
    expected = spec.export.opset if opset is None else opset
    imported = [(o.domain, o.version) for o in model.opset_import]
    if imported != [("", expected)]:
        raise InputError(f"{where} imports operator sets {imported}, but opset {expected} of ai.onnx is required")
    check_valid(model, where)
    return operators
