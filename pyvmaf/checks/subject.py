"""Models under examination: scanned before anything runs them, with their sidecar if there is one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base import layout
from pyvmaf.base.files import read_json, sha256_bytes, sha256_file
from pyvmaf.errors import InputError, IntegrityError, MissingFileError, UnavailableError, unknown_name
from pyvmaf.models.regressor.inputs import of_sidecar
from pyvmaf.runtime import allowlist
from pyvmaf.runtime.ensemble import AnyModel, Ensemble, load_ensemble
from pyvmaf.runtime.load import load_model
from pyvmaf.scoring.find import INT8, is_ensemble, is_path, registry_path
from pyvmaf.tables.columns import ENCODE_COLUMNS, codec_block, floats, read_columns, strings

if TYPE_CHECKING:
    from onnx import ModelProto

CPU = "CPUExecutionProvider"
_SHORT = {"cpu": CPU, "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
_SHORT |= {"openvino": "OpenVINOExecutionProvider", "dml": "DmlExecutionProvider", "coreml": "CoreMLExecutionProvider"}

_FLOAT = 1

Feeds = dict[str, NDArray[np.float32]]
"""Arrays by name of a graph's input."""


@dataclass(frozen=True)
class Subject:
    """A model whose files passed the scan.

    Attributes:
        name: of the model as its sidecar states it, else the file's.
        path, sha256: the file that was named: a graph, or an ensemble's manifest.
        graphs: bytes of the graph, or of each member of an ensemble, whose output is the mean of theirs.
        opset: of ai.onnx.
        shapes: of each graph input, in order; None for a dynamic axis.
        outputs: names of the graph's outputs.
        model: the loaded model if the file has a sidecar.
        sidecar: path of the sidecar.
    """

    name: str
    path: Path
    sha256: str
    graphs: tuple[bytes, ...]
    opset: int
    shapes: dict[str, tuple[int | None, ...]]
    outputs: tuple[str, ...]
    model: AnyModel | None
    sidecar: Path | None

    @property
    def size(self) -> int:
        """Bytes of all graphs."""
        return sum(map(len, self.graphs))

    def described(self) -> AnyModel:
        """Return the loaded model.

        Raises:
            InputError: the file does not have a sidecar.
        """
        if self.model is None:
            raise InputError(f"{self.path} has no sidecar beside it to describe its inputs: name one with --sidecar")
        return self.model


def read_graph(path: Path) -> tuple[bytes, ModelProto, dict[str, int]]:
    """Read an ONNX file that passes the size limit and the operator scan.

    Returns:
        Bytes, protobuf and number of nodes by operator.

    Raises:
        MissingFileError: the file does not exist.
        InputError: it is not a regular file, too large, or holds what a model may not.
        IntegrityError: it is not an ONNX file.
    """
    data = allowlist.read_model(path)
    model = allowlist.parse(data, str(path))
    return data, model, allowlist.check(model, str(path))


def graph_inputs(model: ModelProto) -> dict[str, tuple[int | None, ...]]:
    """Return the shapes of the inputs that have to be fed, by name and in order; None for a dynamic axis.

    Raises:
        InputError: the dtype of an input is not float32.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    shapes = {}
    for value in model.graph.input:
        if value.name in constants:
            continue
        tensor = value.type.tensor_type
        if tensor.elem_type != _FLOAT:
            raise InputError(f"input {value.name!r} has ONNX element type {tensor.elem_type}, not float32 (1)")
        shapes[value.name] = tuple(d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim)
    return shapes


def described_by(path: Path) -> tuple[Path, str | None] | None:
    """Find the sidecar of a model file and, for an int8 variant, the pin of the file; None if there is no sidecar.

    A variant shares its parent's sidecar, which is beside it as ``model.json`` or at its path in a results folder.

    Raises:
        MissingFileError: the sidecar of the parent is in neither of these.
    """
    report = path.with_suffix(".json")
    if not report.is_file():
        return None
    body = read_json(report)
    if not isinstance(body, dict) or not isinstance(body.get("int8"), dict):
        return report, None
    parent = body["fp32"]
    results = layout.INT8.results_folder(path.resolve())
    for candidate in (
        path.with_name("model.json"),
        layout.SIDECAR.under(results, model=body["model"], seed=body["seed"]),
    ):
        if candidate.is_file() and read_json(candidate).get("sha256") == parent["sha256"]:
            return candidate, str(body["int8"]["sha256"])
    raise MissingFileError(
        f"{path} is an int8 variant of the file with sha256 {parent['sha256']}, but its sidecar is neither beside it "
        "nor in the results folder: name it with --sidecar"
    )


def _registered(name: str, registry: Path) -> tuple[Path, Path | None, str | None]:
    """Return file, sidecar and pin of a registered model; of an ensemble its manifest, None, and the manifest's pin."""
    from pyvmaf.registry.entry import find_entry, resolve

    if not registry.is_file():
        raise MissingFileError(
            f"{name} is not a file, and the registry {registry} to look it up in does not exist: name one with "
            "--registry"
        )
    model = name.removesuffix(INT8)
    int8 = model != name
    entry = find_entry(registry, model)
    if entry.ensemble is not None and not int8:
        return registry.parent / entry.ensemble.manifest, None, entry.ensemble.manifest_sha256
    path = resolve(registry, model, int8=int8)
    sidecar = registry.parent / entry.sidecar if entry.sidecar is not None else None
    return path, sidecar, entry.int8_sha256 if int8 else entry.sha256


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
    path = Path(reference)
    if not is_path(reference) and not path.exists():
        path, registered, pin = _registered(str(reference), registry_path(registry))
        sidecar, sha256 = sidecar or registered, sha256 or pin
    if path.suffix == ".json" and path.is_file():
        if is_ensemble(path):
            return _of_ensemble(path, load_ensemble(path, sha256=sha256))
        sidecar, path = path, _described_file(path)
    data, proto, _ = read_graph(path)
    if sidecar is None and (described := described_by(path)) is not None:
        sidecar, sha256 = described[0], sha256 or described[1]
    actual = sha256_bytes(data)
    if sha256 is not None and actual != sha256:
        raise IntegrityError(f"{path} has sha256 {actual}, but {sha256} is pinned: it is another file")
    model = None if sidecar is None else load_model(path, sidecar=sidecar, sha256=sha256)
    name = path.stem if model is None else str(model.sidecar["name"])
    return Subject(
        name=f"{name}{INT8}" if model is not None and actual != model.sidecar["sha256"] else name,
        path=path,
        sha256=actual,
        graphs=(data,),
        opset=_opset(proto),
        shapes=graph_inputs(proto),
        outputs=tuple(value.name for value in proto.graph.output),
        model=model,
        sidecar=sidecar,
    )


def _described_file(sidecar: Path) -> Path:
    """Return the path of the ONNX file that a sidecar describes."""
    body = read_json(sidecar)
    if not isinstance(body, dict) or not isinstance(body.get("onnx"), str):
        raise InputError(f"{sidecar} is not a sidecar: it does not name an ONNX file. Give the model or its sidecar")
    return sidecar.with_name(body["onnx"])


def _opset(model: ModelProto) -> int:
    return next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)


def _of_ensemble(path: Path, ensemble: Ensemble) -> Subject:
    graphs = [read_graph(path.parent / member["onnx"]) for member in ensemble.manifest["members"]]
    proto = graphs[0][1]
    return Subject(
        name=str(ensemble.manifest["id"]),
        path=path,
        sha256=sha256_file(path),
        graphs=tuple(data for data, _, _ in graphs),
        opset=_opset(proto),
        shapes=graph_inputs(proto),
        outputs=tuple(value.name for value in proto.graph.output),
        model=ensemble,
        sidecar=None,
    )


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


def _fitted(
    name: str, declared: tuple[int | None, ...], sizes: tuple[int, ...], text: str, file: str
) -> tuple[int, ...]:
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


def drawn_rows(model: AnyModel, n: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Draw raw features and codec blocks of `n` rows from a model's training range; every eighth row is a corner of it."""
    rng = np.random.default_rng(seed)
    ranges = np.asarray([model.sidecar["feature_ranges"][name] for name in model.features])
    low, high = ranges[:, 0], ranges[:, 1]
    X = low + (high - low) * rng.random((n, low.size))
    corners = np.arange(n) % 8 == 7
    X[corners] = np.where(rng.random((int(corners.sum()), low.size)) < 0.5, low, high)
    block = model.sidecar["codec"]
    if block is None:
        return X, None
    columns = block["layout"]
    slots = [index for index, name in enumerate(columns) if name.startswith("encoder_onehot[")]
    codec = rng.random((n, len(columns)))
    codec[:, slots] = np.eye(len(slots))[rng.integers(0, len(slots), size=n)]
    return X, codec


def feeds_of(subject: Subject, X: NDArray[np.float64], codec: NDArray[np.float64] | None) -> Feeds:
    """Return the graph's inputs for raw features and codec blocks."""
    sidecar = subject.described().sidecar
    feeds = {sidecar["input_name"]: np.ascontiguousarray(of_sidecar(sidecar).graph_inputs(X), dtype=np.float32)}
    if codec is not None:
        feeds[sidecar["codec"]["input_name"]] = np.ascontiguousarray(codec, dtype=np.float32)
    return feeds


def drawn_feeds(subject: Subject, shapes: Mapping[str, Sequence[int]], seed: int = 0) -> Feeds:
    """Draw inputs: rows of the training range if a sidecar states it, else standard normal numbers."""
    if subject.model is not None:
        rows = next(iter(shapes.values()))[0]
        return feeds_of(subject, *drawn_rows(subject.model, rows, seed))
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


def start(data: bytes, name: str, threads: int = 1, optimise: bool = True) -> Any:
    """Start an onnxruntime session on one provider, for bytes that were scanned before.

    Raises:
        UnavailableError: the provider is not installed, or could not be started on this machine.
        InputError: the runtime refuses the graph.
    """
    import onnxruntime as ort

    full = provider(name)
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    if not optimise:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = ort.InferenceSession(data, options, providers=[full])
    except Exception as err:  # the only common base of the runtime's exceptions
        raise InputError(f"onnxruntime refuses the graph: {' '.join(str(err).split())}") from err
    # onnxruntime continues on the CPU if another provider fails to start.
    if session.get_providers()[0] != full:
        raise UnavailableError(f"provider {full} is installed, but does not start on this machine")
    return session
