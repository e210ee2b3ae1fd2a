"""Models under examination: scanned before anything runs them, with their sidecar if there is one."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.document import Part
from pyvmaf.base.files import sha256_bytes, sha256_file
from pyvmaf.errors import InputError, IntegrityError, UnavailableError, unknown_name
from pyvmaf.runtime import allowlist
from pyvmaf.runtime.ensemble import AnyModel, Ensemble
from pyvmaf.runtime.graph import Graph, Shape
from pyvmaf.runtime.scorer import MOST_ROWS
from pyvmaf.runtime.session import CPU, run, run_all, session
from pyvmaf.scoring.find import locate
from pyvmaf.tables.columns import ENCODE_COLUMNS, codec_block, floats, read_columns, strings

_SHORT = {"cpu": CPU, "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
_SHORT |= {"openvino": "OpenVINOExecutionProvider", "dml": "DmlExecutionProvider", "coreml": "CoreMLExecutionProvider"}

TARGETS = ("mos", "dmos", "target", "score", "vmaf")
"""Columns that can be the target of a model without a sidecar, in order of preference."""


class Limit(Part):
    """The limit that a good model keeps."""

    figure: Literal["plcc", "srocc", "rmse"]
    kind: Literal["min", "max"]
    value: float

    def allows(self, measured: float | None) -> bool:
        """Return whether a figure keeps the limit; an undefined one (constant predictions) does not."""
        if measured is None:
            return False
        return measured >= self.value if self.kind == "min" else measured <= self.value


Feeds = dict[str, NDArray[np.float32]]
"""Arrays by name of a graph's input."""


@dataclass(frozen=True)
class Subject:
    """A model whose files passed the scan.

    Attributes:
        name: of the model as its sidecar states it, else the file's.
        path, sha256: the file that was named: a graph, or an ensemble's manifest.
        graphs: the graph, or that of each member of an ensemble, whose output is the mean of theirs.
        model: the loaded model if the file has a sidecar.
        sidecar: path of the sidecar.
    """

    name: str
    path: Path
    sha256: str
    graphs: tuple[Graph, ...]
    model: AnyModel | None
    sidecar: Path | None

    @property
    def shapes(self) -> dict[str, Shape]:
        """Shapes of each graph input, in order; None for a dynamic axis."""
        return self.graphs[0].inputs

    @property
    def size(self) -> int:
        """Bytes of all graphs."""
        return sum(len(graph.data) for graph in self.graphs)

    def described(self) -> AnyModel:
        """Return the loaded model.

        Raises:
            InputError: the file does not have a sidecar.
        """
        if self.model is None:
            raise InputError(f"{self.path} has no sidecar beside it to describe its inputs: name one with --sidecar")
        return self.model


def read_graph(path: Path) -> Graph:
    """Read an ONNX file that passes the size limit, the operator scan and ONNX's checker.

    Raises:
        MissingFileError: the file does not exist.
        InputError: it is not a regular file, too large, or holds what a model may not.
        IntegrityError: it is not a valid ONNX file.
    """
    return Graph.of(allowlist.read_model(path), str(path))


def open_subject(
    reference: str | Path,
    *,
    sidecar: Path | None = None,
    sha256: str | None = None,
    registry: Path | None = None,
) -> Subject:
    """Read and scan a model, and load it if there is a sidecar.

    Args:
        reference: an ONNX file, a sidecar, an ensemble's manifest, or the id of a registered model ("name",
            "name.int8").
        sidecar: sidecar of the file; by default the one beside it.
        sha256: pin of the file.
        registry: where ids are looked up; by default the registry of `pyvmaf.load_model`.

    Raises:
        MissingFileError: a file does not exist.
        InputError: the file may not be loaded, or an id is not in the registry.
        IntegrityError: bytes are not those that were pinned, or a file is damaged.
    """
    located = locate(reference, registry=registry, sidecar=sidecar, sha256=sha256)
    if located.sidecar is None and not located.ensemble:
        graph = read_graph(located.path)
        actual = sha256_bytes(graph.data)
        if sha256 is not None and actual != sha256:
            raise IntegrityError(f"{located.path} has sha256 {actual}, but {sha256} is pinned: it is another file")
        return Subject(located.path.stem, located.path, actual, (graph,), None, None)
    model = located.load()
    graphs = tuple(member.graph for member in (model.members if isinstance(model, Ensemble) else (model,)))
    return Subject(model.name, located.path, sha256_file(located.path), graphs, model, located.sidecar)


def bare_input(subject: Subject, columns: Sequence[str], input_name: str | None = None) -> str:
    """Return the name of the input of a model without a sidecar, which takes rows of these columns.

    Raises:
        InputError: it has several inputs, one of another name or width.
    """
    if input_name is not None and input_name not in subject.shapes:
        raise InputError(f"{subject.path} has no input {input_name!r}, but {', '.join(subject.shapes)}")
    if len(subject.shapes) != 1:
        raise InputError(
            f"{subject.path} has inputs {', '.join(subject.shapes)} and no sidecar that says what they are"
        )
    ((name, shape),) = subject.shapes.items()
    if len(shape) != 2 or shape[1] not in (None, len(columns)):
        raise InputError(
            f"input {name!r} of {subject.path} is {shape}, but {len(columns)} columns would be fed "
            f"({', '.join(columns)}): name its columns with --columns"
        )
    return name


def bare_scores(graph: Graph, name: str, X: NDArray[np.float64]) -> NDArray[np.float64]:
    """Score raw columns [n, columns] with a graph without a sidecar, in parts.

    Args:
        graph: the graph.
        name: of its input.
        X: raw columns.

    Raises:
        IntegrityError: the graph gives other than one finite number per row.
    """
    rows = X.astype(np.float32)
    runtime = start(graph, CPU, {name: rows[:MOST_ROWS]})
    scores = []
    for first in range(0, len(rows), MOST_ROWS):
        part = rows[first : first + MOST_ROWS]
        graph.check_extent({name: part.shape})
        answer = run(runtime, {name: part}, graph.where)
        if answer.size != len(part) or not np.isfinite(answer).all():
            raise IntegrityError(f"{graph.where} answers {len(part)} rows with shape {answer.shape}, or with NaN")
        scores.append(answer.reshape(-1))
    return np.concatenate(scores)


def trained_on(model: AnyModel, table_sha256: str) -> bool | None:
    """Tell whether a model was trained on a table; None if its sidecar does not name the table of its training."""
    stated = model.sidecar["dataset_sha256"]
    return None if stated is None else bool(stated == table_sha256)


# ---------------------------------------------------------------------------------------------------------
# Inputs


def _sizes(word: str, text: str) -> tuple[int, ...]:
    """Parse the sizes of one input, ``240x6`` or ``1,3,224,224``."""
    try:
        sizes = tuple(int(part) for part in re.split("[x,]", word))
    except ValueError as err:
        raise InputError(f"{text!r} is not a shape: write rows (240), 240x6, or features=240x6,codec=240x8") from err
    if min(sizes) < 1:
        raise InputError(f"shape {text!r} has an axis of {min(sizes)}: every axis is 1 or more")
    return sizes


def _fitted(name: str, declared: Shape, sizes: tuple[int, ...], text: str, file: str) -> tuple[int, ...]:
    """Complete the requested sizes of one input with those that the graph declares."""
    if len(sizes) == 1 and len(declared) > 1:
        sizes = (*sizes, *(size or 0 for size in declared[1:]))
    fits = len(sizes) == len(declared) and all(d in (None, size) for size, d in zip(sizes, declared, strict=True))
    if not fits:
        shown = "x".join("N" if d is None else str(d) for d in declared)
        raise InputError(f"input {name!r} of {file} is {shown}, but {text!r} asks for {'x'.join(map(str, sizes))}")
    if 0 in sizes:
        raise InputError(f"input {name!r} of {file} has further dynamic axes: give its whole shape")
    return sizes


def parse_shape(text: str, subject: Subject) -> dict[str, tuple[int, ...]]:
    """Parse the shape of every input of a graph.

    Args:
        text: rows alone ("240"), the first input's shape ("240x6" or "1,3,224,224"), or each by name
            ("features=240x6,codec=240x8"). Sizes that are not given come from the graph; dynamic axes of other inputs
            take the same number of rows.
        subject: the model.

    Raises:
        InputError: it is not a shape, contradicts the graph, or leaves a dynamic axis open.
    """
    inputs, file = subject.shapes, subject.path.name
    requested: dict[str, tuple[int, ...]] = {}
    if "=" in text:
        for part in re.split(r",(?=[^,=]+=)", text):
            name, _, word = part.partition("=")
            if name not in inputs:
                raise unknown_name(f"input of {file}", name, inputs)
            requested[name] = _sizes(word, text)
    else:
        requested[next(iter(inputs))] = _sizes(text, text)
    rows = next(iter(requested.values()))[0]
    return {
        name: _fitted(name, declared, requested.get(name, (rows,)), text, file) for name, declared in inputs.items()
    }


def drawn_feeds(subject: Subject, shapes: Mapping[str, Sequence[int]], seed: int = 0) -> Feeds:
    """Draw inputs: rows of the training range if a sidecar states it, else standard normal numbers."""
    if subject.model is not None:
        rows = next(iter(shapes.values()))[0]
        return subject.model.feeds(*subject.model.examples(rows, seed))
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(tuple(shape)).astype(np.float32) for name, shape in shapes.items()}


@dataclass(frozen=True)
class Rows:
    """Usable rows of a table.

    Attributes:
        X: raw features, float64 [n, columns], finite.
        codec: codec blocks of the requested vocabulary, or None.
        y: the target, float64 [n], or None if none was requested.
        n_total, left_out: rows of the table, and how many of them lacked a value.
    """

    X: NDArray[np.float64]
    codec: NDArray[np.float64] | None
    y: NDArray[np.float64] | None
    n_total: int
    left_out: int

    def spread(self, n: int) -> Rows:
        """Return at most `n` rows, evenly spaced."""
        if len(self.X) <= n:
            return self
        keep = np.linspace(0, len(self.X) - 1, n).round().astype(np.int64)
        return Rows(
            self.X[keep],
            None if self.codec is None else self.codec[keep],
            None if self.y is None else self.y[keep],
            self.n_total,
            self.left_out,
        )


def read_rows(
    table: Path, features: Sequence[str], *, vocabulary: str | None = None, target: str | None = None
) -> Rows:
    """Read the rows of a parquet table that have every value.

    Args:
        table: the file.
        features: columns of `X`.
        vocabulary: version of the codec vocabulary; None for no codec block.
        target: column of `y`; None for none.

    Raises:
        InputError: a column is missing, or no row has every value.
    """
    named = [*features, *([target] if target else []), *(ENCODE_COLUMNS if vocabulary else ())]
    data = read_columns(table, list(dict.fromkeys(named)))
    X = np.column_stack([floats(data, name) for name in features])
    y = None if target is None else floats(data, target)
    usable = np.isfinite(X).all(axis=1) & (True if y is None else np.isfinite(y))
    keep = np.flatnonzero(usable)
    if keep.size == 0:
        raise InputError(f"no row of {table} ({len(X)} in all) has a value in every one of {', '.join(named)}")
    codec = None
    if vocabulary:
        encoder, preset = strings(data, "encoder")[keep], strings(data, "preset")[keep]
        codec = codec_block(vocabulary, encoder, preset, floats(data, "crf")[keep])
    return Rows(X[keep], codec, None if y is None else y[keep], len(X), len(X) - int(keep.size))


def rows_for(model: AnyModel, table: Path, target: str | None = None) -> Rows:
    """Read the rows of a table that a model can score."""
    block = model.sidecar["codec"]
    return read_rows(table, model.features, vocabulary=block and block["vocabulary"], target=target)


# ---------------------------------------------------------------------------------------------------------
# Runtimes


def provider(name: str) -> str:
    """Return the onnxruntime provider of a name or short name.

    Raises:
        UnavailableError: this installation's onnxruntime does not have the provider.
    """
    import onnxruntime as ort

    full = _SHORT.get(name.lower(), name)
    available = ort.get_available_providers()
    if full not in available:
        raise UnavailableError(
            f"provider {full} is not in the installed onnxruntime {ort.__version__}, which has {', '.join(available)}: "
            "install a build of onnxruntime that has it, or leave it out"
        )
    return full


def start(graph: Graph, name: str, feeds: Feeds, threads: int = 1, optimise: bool = True) -> Any:
    """Start an onnxruntime session on one provider, for inputs whose extent is established.

    Args:
        graph: the graph.
        name: of the provider, or its short name.
        feeds: the inputs of the runs.
        threads: of the runtime.
        optimise: whether the runtime may rewrite the graph.

    Raises:
        UnavailableError: the provider is not installed, or could not be started on this machine.
        InputError: a run with these inputs would take more than a model may.
        IntegrityError: the runtime refuses the graph.
    """
    graph.check_extent({input_name: values.shape for input_name, values in feeds.items()})
    return session(graph.data, threads, where=graph.where, provider=provider(name), optimise=optimise)


def time_runs(runtimes: Sequence[Any], feeds: Feeds, warmup: int, iterations: int) -> NDArray[np.float64]:
    """Time runs of sessions, one after the other on the same inputs.

    Args:
        runtimes: the sessions; several for an ensemble.
        feeds: the inputs.
        warmup, iterations: number of runs before the clock starts, and of timed ones.

    Returns:
        Milliseconds of each timed run, float64 [iterations].
    """
    times = np.empty(iterations)
    for iteration in range(-warmup, iterations):
        begun = time.perf_counter()
        for runtime in runtimes:
            run_all(runtime, feeds)
        if iteration >= 0:
            times[iteration] = 1e3 * (time.perf_counter() - begun)
    return times
