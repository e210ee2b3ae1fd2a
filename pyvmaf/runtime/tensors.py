"""Models whose inputs are pictures: tensors of stated shapes in, tensors out.

Their sidecars state a task, and the shape of each input and output.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from pyvmaf.base.document import Bounds, Name, OpenPart, OptionalKey, Part, Positive, problems
from pyvmaf.base.files import sha256_bytes
from pyvmaf.errors import InputError, IntegrityError, unknown_name
from pyvmaf.runtime import allowlist
from pyvmaf.runtime.checkpoint import CheckpointFacts
from pyvmaf.runtime.graph import Graph
from pyvmaf.runtime.load import check_described, confined_file, jail_of, read_pinned
from pyvmaf.runtime.session import run_all, session, short
from pyvmaf.runtime.sidecar import check_sidecar
from pyvmaf.runtime.tasks import TASKS

Shape = Annotated[list[Positive], Field(min_length=1)]


class Preparation(Part):
    """How RGB samples of 8 bits become an input: divided, then (x - mean) / std per channel."""

    divide_by: Literal["255", "largest"] = Field(description="largest: by the largest sample of the picture")
    mean: list[float] = Field(min_length=3, max_length=3)
    std: list[Annotated[float, Field(gt=0)]] = Field(min_length=3, max_length=3)


class TensorBlock(OpenPart):
    """The keys of a sidecar that a family of such models has."""

    task: Name
    architecture: Name
    inputs: dict[str, Shape] = Field(min_length=1)
    input_ranges: dict[str, Bounds]
    outputs: dict[str, Shape] = Field(min_length=1)
    preparation: OptionalKey[Preparation] = None
    checkpoint: OptionalKey[CheckpointFacts] = None


def tensor_block(keys: Mapping[str, Any], where: str) -> TensorBlock:
    """Check a family's keys of a sidecar.

    Raises:
        IntegrityError: they do not conform.
    """
    try:
        block = TensorBlock.model_validate_json(json.dumps(keys), strict=True)
    except ValidationError as err:
        raise IntegrityError(
            f"{where} does not conform to the sidecar of a model of pictures: {problems(err)}"
        ) from err
    if block.task not in TASKS:
        raise IntegrityError(f"{where}: {unknown_name('task', block.task, TASKS)}")
    if set(block.input_ranges) != set(block.inputs):
        raise IntegrityError(f"{where} gives ranges of {sorted(block.input_ranges)}, but inputs {sorted(block.inputs)}")
    return block


def refuse_rows(block: TensorBlock, where: str) -> NoReturn:
    """Refuse to score rows of features with such a model.

    Raises:
        InputError: always.
    """
    raise InputError(f"{where} is of a model that takes pictures, not rows of features: {usage(block.task, where)}")


def usage(task: str, name: str) -> str:
    """Say what a model does, and how to use it, as the end of a sentence."""
    return f"it {TASKS[task].does} ({TASKS[task].use.format(name)})"


class TensorModel:
    """A model that passed every check. Make one with `load_tensor_model`."""

    def __init__(self, sidecar: dict[str, Any], block: TensorBlock, graph: Graph, threads: int) -> None:
        """Start a session; the graph is that of the sidecar."""
        self.sidecar = sidecar
        self.block = block
        self._where = graph.where
        self._outputs = graph.outputs
        self._session = session(graph.data, threads, where=graph.where)

    @property
    def name(self) -> str:
        """The model's id."""
        return str(self.sidecar["name"])

    @property
    def sha256(self) -> str:
        """Hash of the ONNX file."""
        return str(self.sidecar["sha256"])

    def __call__(self, **feeds: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
        """Give the outputs by name for inputs by name, of the shapes in `block`.

        Raises:
            IntegrityError: the runtime fails, or an answer is NaN or infinite.
        """
        answers = dict(zip(self._outputs, run_all(self._session, feeds, self._where), strict=True))
        for name, answer in answers.items():
            if not np.isfinite(answer).all():
                raise IntegrityError(f"{self._where} answers with NaN or infinity in {short(name)}: it is damaged")
        return answers


def load_tensor_model(
    path: str | os.PathLike[str],
    *,
    task: str,
    sidecar: str | os.PathLike[str] | None = None,
    sha256: str | None = None,
    sidecar_sha256: str | None = None,
    root: str | os.PathLike[str] | None = None,
    threads: int = 1,
) -> TensorModel:
    """Load a model of pictures after checking all of it.

    Args:
        path: the ONNX file.
        task: what it is needed for (`TASKS`).
        sidecar, sha256, sidecar_sha256, root, threads: as in `pyvmaf.runtime.load.load_pinned`.

    Raises:
        MissingFileError, InputError, IntegrityError: as `load_pinned`; also if the model is for something else, or its graph
            is not the one that the sidecar declares.
    """
    given, jail = Path(path), jail_of(root)
    beside = given.with_suffix(".json") if sidecar is None else Path(sidecar)
    described = read_pinned(beside, jail, sidecar_sha256)
    parsed, block = check_sidecar(described, str(beside))
    if not isinstance(block, TensorBlock) or block.task != task:
        does = usage(block.task, str(given)) if isinstance(block, TensorBlock) else "it scores rows of features"
        raise InputError(f"{given} cannot be used here, where a model {TASKS[task].does}: {does}")
    data = allowlist.read_model(confined_file(given, jail))
    actual, pinned = sha256_bytes(data), parsed.sha256 if sha256 is None else sha256
    if actual != pinned:
        raise IntegrityError(f"{given} has sha256 {actual}, but {pinned} is pinned: it is not the file that was judged")
    graph = Graph.of(data, str(given))
    if actual == parsed.sha256:  # an int8 variant has the sidecar of its fp32 model
        check_described(graph, parsed, str(beside))
    check_declared(graph, block, str(beside))
    return TensorModel(described, block, graph, threads)


def check_declared(graph: Graph, block: TensorBlock, where: str) -> None:
    """Compare the inputs and outputs of a graph with those that its sidecar declares.

    Raises:
        IntegrityError: names or shapes differ.
        InputError: one run would take more than a model may.
    """
    declared = {name: tuple(shape) for name, shape in block.inputs.items()}
    if {name: len(shape) for name, shape in graph.inputs.items()} != {
        name: len(shape) for name, shape in declared.items()
    } or any(
        size not in (None, stated)
        for name, shape in graph.inputs.items()
        for size, stated in zip(shape, declared[name], strict=True)
    ):
        raise IntegrityError(
            f"{where} declares the inputs {short(declared)}, but {graph.where} has {short(graph.inputs)}"
        )
    computed = {name: value.shape for name, value in graph.check_extent(declared, pictures=True).items()}
    outputs = {name: tuple(shape) for name, shape in block.outputs.items()}
    if computed != outputs:
        raise IntegrityError(f"{where} declares the outputs {short(outputs)}, but {graph.where} has {short(computed)}")
