"""``vmaf-train convert``: a published checkpoint as safetensors and ONNX, with sidecar and gates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pyvmaf.base import layout
from pyvmaf.base.code import identity
from pyvmaf.base.document import Call, publish
from pyvmaf.base.files import sha256_bytes, sha256_file, write_bytes, write_json
from pyvmaf.base.outputs import claim, publishes
from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.models.gates.gate import Row
from pyvmaf.models.imported.architectures import Form, Shapes, architecture, form, uses
from pyvmaf.models.imported.checkpoint import Say, obtain, read_pinned, read_tensors
from pyvmaf.models.imported.conversion import Conversion, Parity
from pyvmaf.models.imported.mirror import MirrorManifest, MirrorOutput, OnnxMetadata, Upstream
from pyvmaf.models.imported.spec import ImportedSpec, load_imported_spec
from pyvmaf.models.verdicts import GateReport
from pyvmaf.runtime.checkpoint import CheckpointFacts
from pyvmaf.runtime.graph import Graph
from pyvmaf.runtime.session import run_all, session, short
from pyvmaf.runtime.sidecar import check_sidecar
from pyvmaf.runtime.tensors import check_declared, tensor_block

if TYPE_CHECKING:
    from pyvmaf.models.imported.onnx import Arrays

_SHOWN = 3


@dataclass(frozen=True)
class Files:
    """The files of a conversion, around its report."""

    report: Path

    @property
    def weights(self) -> Path:
        """The state dict as safetensors."""
        return self._beside(layout.CONVERTED_WEIGHTS.pattern)

    @property
    def onnx(self) -> Path:
        """The graph."""
        return self._beside(layout.CONVERTED.pattern)

    @property
    def sidecar(self) -> Path:
        """Its description."""
        return self._beside(layout.CONVERTED_SIDECAR.pattern)

    @property
    def mirror(self) -> Path:
        """The manifest of a mirrored model."""
        return self.report.with_name("mirror.json")

    def _beside(self, pattern: str) -> Path:
        return self.report.with_name(pattern.rpartition("/")[2])


@publishes("convert")
def convert(
    config: Path,
    output: Path,
    *,
    weights: Path | None = None,
    sha256: str | None = None,
    say: Say = lambda _line: None,
) -> Conversion:
    """Convert a published checkpoint: read it once, and leave safetensors, ONNX, sidecar and a report with its gates.

    The foreign file is read with ``weights_only``: one that holds code is refused. It is loaded strictly into a network of
    this package, and the answers of torch and onnxruntime are compared.

    Args:
        config: the model's YAML file.
        output: the report, ``conversion.json``; the other files go beside it.
        weights: the checkpoint; None to take it out of its pinned package, which is downloaded.
        sha256: hash that it must have, for a checkpoint that the YAML file does not pin.
        say: called with a line before a download.

    Returns:
        The report. A model that misses a limit is written as well: its verdict is HOLD, and no registry ships it.

    Raises:
        MissingFileError: a file is not there.
        InputError: the YAML file is that of another kind, or nothing says which checkpoint to read or what its hash is.
        IntegrityError: the checkpoint has another hash, holds code, is damaged, or is not of the declared network.
        PyvmafError: the graph cannot be written.
    """
    from safetensors.torch import save

    from pyvmaf.models.imported.onnx import OPSET

    spec = load_imported_spec(config)
    used = uses(spec.architecture)
    files = Files(output)
    mirrored = [files.mirror] if hasattr(architecture(spec.architecture), "MIRROR") else []
    claim(output, files.weights, files.onnx, files.sidecar, *mirrored)
    inputs = {"config": config} | ({} if weights is None else {"weights": weights})
    call = Call("convert", args={**inputs, "sha256": sha256}, inputs=inputs, uses=used)
    made = _make(spec, config, weights, sha256, say)
    graph, facts = made.graph, made.facts
    gate = _gate(spec, facts, made.parity)
    verdict: Literal["PROMOTE", "HOLD"] = "PROMOTE" if gate.passed else "HOLD"
    write_bytes(files.weights, save({name: value.contiguous() for name, value in made.network.state_dict().items()}))
    write_bytes(files.onnx, graph.data)
    sidecar = _sidecar(spec, made) | {
        "onnx": files.onnx.name,
        "train_commit": f"code:{identity('convert', used)}",
        "verdict": verdict,
        "gates": gate.as_json(),
        "run_provenance": call.provenance({"onnx": files.onnx}).as_json(),
    }
    _, block = check_sidecar(sidecar, str(files.sidecar))
    check_declared(graph, block, str(files.sidecar))
    write_json(files.sidecar, sidecar)
    trained = sum(value.numel() for value in made.network.parameters())
    report = Conversion(
        model=spec.name,
        kind=spec.kind,
        architecture=spec.architecture,
        task=made.module.TASK,
        description=spec.description,
        license=spec.license,
        checkpoint=facts,
        n_params=trained,
        n_buffers=sum(value.numel() for value in made.network.state_dict().values()) - trained,
        verdict=verdict,
        gate=gate,
        parity=made.parity,
        opset=OPSET,
        operators=graph.operators,
        weights_sha256=sha256_file(files.weights),
        onnx_sha256=sha256_bytes(graph.data),
        sidecar_sha256=sha256_file(files.sidecar),
        run_provenance=call.provenance({"weights": files.weights, "onnx": files.onnx, "sidecar": files.sidecar}),
    )
    beside = {"weights": files.weights, "onnx": files.onnx, "sidecar": files.sidecar}
    if mirrored:
        _mirror(spec, made, call, files).write(files.mirror)
        beside["mirror"] = files.mirror
    return publish(report, output, call, beside=beside)


@dataclass(frozen=True)
class _Made:
    """A network that holds the weights of a checkpoint, and its graph."""

    module: Any
    form: Form
    network: Any
    facts: CheckpointFacts
    graph: Graph
    parity: Parity


def _make(spec: ImportedSpec, config: Path, weights: Path | None, sha256: str | None, say: Say) -> _Made:
    from pyvmaf.models.imported import onnx

    module = architecture(spec.architecture)
    built = _form(spec)
    pins = {str(config): spec.checkpoint.sha256, "--sha256": sha256}
    if weights is not None and not any(pins.values()):
        raise InputError(
            f"{config} does not pin the checkpoint: also give its SHA-256 (--sha256), as its authors publish it"
        )
    if weights is None and sha256 is not None:
        raise InputError(f"--sha256 goes with --weights: {config} pins the checkpoint of its package itself")
    with TemporaryDirectory(prefix="pyvmaf-checkpoint-") as scratch:
        path = weights or obtain(spec.checkpoint, Path(scratch) / "files", str(config), say)
        data, digest = read_pinned(path, pins)
        called = spec.checkpoint.member or path.name
        # Errors name the file that a person knows, not its copy.
        network, entries = _loaded(module, built, data, path, weights or Path(called))
    package = spec.checkpoint.package
    facts = CheckpointFacts(
        name=path.name if package is None else f"{package.name}=={package.version}: {spec.checkpoint.member}",
        sha256=digest,
        pinned=spec.checkpoint.sha256 is not None,
        entries=entries,
    )
    trials = list(_trials(module, built.inputs, spec.trials))
    where = f"the export of {spec.name}"
    graph = Graph.of(onnx.export(network, trials[0], list(built.outputs)), where)
    return _Made(module, built, network, facts, graph, _parity(spec, network, graph, trials))


def compare(spec: ImportedSpec, weights: Path, graph: Graph) -> Parity:
    """Compare the answers of a graph with those of the network that holds converted weights.

    Args:
        spec: the model.
        weights: the safetensors of a conversion, or a checkpoint as published.
        graph: the model file.

    Raises:
        MissingFileError: the weights do not exist.
        IntegrityError: they are not those of the network, shapes differ, or an answer is NaN or infinite.
    """
    module, built = architecture(spec.architecture), _form(spec)
    data, _ = read_pinned(weights, {})
    network, _ = _loaded(module, built, data, weights, weights)
    return _parity(spec, network, graph, list(_trials(module, built.inputs, spec.trials)))


def _form(spec: ImportedSpec) -> Form:
    return form(spec.architecture, None if spec.size is None else (spec.size.width, spec.size.height))


def _loaded(module: Any, built: Form, data: bytes, path: Path, called: Path) -> tuple[Any, int]:
    """Load a checkpoint strictly into its network; return it, and the number of entries of the published file.

    Raises:
        IntegrityError: an entry is missing, is not one of the network's, or has another shape.
    """
    tensors = module.read(data, path) if hasattr(module, "read") else read_tensors(data, path)
    entries = len(tensors)
    network = built.network().eval()
    expected = network.state_dict()
    missing, more = expected.keys() - tensors.keys(), tensors.keys() - expected.keys()
    shapes = [
        f"{name} {list(tensors[name].shape)} instead of {list(value.shape)}"
        for name, value in expected.items()
        if name in tensors and tensors[name].shape != value.shape
    ]
    for what, names in (("lacks", sorted(missing)), ("also holds", sorted(more)), ("has", shapes)):
        if names:
            others = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            raise IntegrityError(
                f"{called} is not a checkpoint of {module.__name__.rpartition('.')[2]}: it {what} "
                f"{short(', '.join(names[:_SHOWN]), 300)}{others} ({entries} entries, the network has {len(expected)})"
            )
    network.load_state_dict(tensors, strict=True)
    return network, entries


def _trials(module: Any, inputs: Shapes, n: int) -> Iterator[Arrays]:
    """Give inputs for the comparison: noise, the smallest and largest value, then smooth pictures that change half-way."""
    generator = np.random.default_rng(0)
    for index in range(n):
        feeds = {}
        for name, shape in inputs.items():
            low, high = module.RANGES[name]
            if index == 0:
                values = generator.uniform(low, high, shape)
            elif index == 1:
                values = np.full(shape, low)
                values.reshape(-1)[values.size // 2 :] = high
            else:
                ramps = [np.linspace(0, generator.uniform(0.5, 3), size) for size in shape]
                grid = sum(
                    ramp.reshape([-1 if axis == own else 1 for axis in range(len(shape))])
                    for own, ramp in enumerate(ramps)
                )
                values = low + (high - low) * (np.asarray(grid) % 1)
            feeds[name] = (np.rint(values) if module.WHOLE else values).astype(np.float32)
        yield feeds


def _parity(spec: ImportedSpec, network: Any, graph: Graph, trials: list[Arrays]) -> Parity:
    """Compare the answers of torch with those of onnxruntime.

    Raises:
        IntegrityError: shapes differ, or an answer is NaN or infinite.
    """
    from pyvmaf.models.imported.onnx import answers

    runtime = session(graph.data, where=graph.where)
    errors, lows, highs = [], [], []
    for feeds in trials:
        for expected, answer in zip(answers(network, feeds), run_all(runtime, feeds, graph.where), strict=True):
            if expected.shape != answer.shape or not np.isfinite(expected).all() or not np.isfinite(answer).all():
                raise IntegrityError(
                    f"{graph.where} answers with shape {answer.shape}, the network with {expected.shape}, or one of both with "
                    "NaN or infinity: the checkpoint is damaged"
                )
            errors.append(float(np.abs(expected - answer).max()))
            lows.append(float(expected.min()))
            highs.append(float(expected.max()))
    return Parity(error=max(errors), limit=spec.parity, trials=len(trials), lowest=min(lows), highest=max(highs))


def _gate(spec: ImportedSpec, facts: CheckpointFacts, parity: Parity) -> GateReport:
    """Compare what was measured with the limits: the block ``gate``."""
    pinned = (
        None
        if facts.pinned
        else f"{spec.name} pins no checkpoint: nobody has tried these weights; pin them (checkpoint.sha256) once somebody has"
    )
    apart = (
        None
        if parity.error <= parity.limit
        else f"torch and onnxruntime differ by {parity.error:.3g}, but at most {parity.limit:g} is allowed"
    )
    rows = [
        Row(
            "SHA-256 of the checkpoint", facts.sha256[:16], (spec.checkpoint.sha256 or "")[:16], pinned is None, pinned
        ),
        Row("entries of its state dict, loaded strictly", str(facts.entries), "", True),
        Row("operators that models may not have", "0", "0", True),
        Row("largest |torch - onnxruntime|", f"{parity.error:.3g}", f"{parity.limit:g}", apart is None, apart),
    ]
    reasons = [row.why for row in rows if row.why]
    return GateReport.model_validate(
        {
            "passed": not reasons,
            "reasons": reasons,
            "rows": [
                row.as_json(name) for name, row in zip(("pin", "layout", "operators", "parity"), rows, strict=True)
            ],
        }
    )


def _sidecar(spec: ImportedSpec, made: _Made) -> dict[str, Any]:
    """The keys of the sidecar that spec, checkpoint and graph give."""
    module, graph = made.module, made.graph
    spread = made.parity
    block = tensor_block(
        {
            "task": module.TASK,
            "architecture": spec.architecture,
            "inputs": {name: list(shape) for name, shape in made.form.inputs.items()},
            "input_ranges": {name: list(bounds) for name, bounds in module.RANGES.items()},
            "outputs": {name: list(shape) for name, shape in made.form.outputs.items()},
            "checkpoint": made.facts.as_json(),
            **({"preparation": module.PREPARATION} if hasattr(module, "PREPARATION") else {}),
        },
        spec.name,
    )
    return {
        "schema_version": 1,
        "name": spec.name,
        "kind": spec.kind,
        "description": spec.description,
        "sha256": sha256_bytes(graph.data),
        "bytes": len(graph.data),
        "onnx_opset": graph.opset,
        "operators": graph.operators,
        "n_params": sum(value.numel() for value in made.network.parameters()),
        "input_name": next(iter(made.form.inputs)),
        "output_name": next(iter(made.form.outputs)),
        "expected_output_range": list(
            getattr(module, "OUTPUT_RANGE", (spread.lowest, max(spread.highest, spread.lowest + 1e-6)))
        ),
        "dataset": made.facts.name,
        "dataset_sha256": None,
        "train_config_hash": None,
        "checkpoint_sha256": made.facts.sha256,
        "license": spec.license,
        "quant_mode": "fp32",
        "roundtrip": {"error": made.parity.error, "tolerance": made.parity.limit},
        **block.as_json(),
    }


def _mirror(spec: ImportedSpec, made: _Made, call: Call, files: Files) -> MirrorManifest:
    """The manifest of a model whose weights another project publishes."""
    origin, graph = made.module.MIRROR, made.graph
    keys = sorted(entry.key for entry in graph.proto.metadata_props)
    return MirrorManifest(
        model=spec.name,
        upstream=Upstream(repository=origin["repository"], commit=origin["commit"]),
        checkpoint=made.facts,
        license=spec.license,
        notice=origin["notice"],
        output=MirrorOutput(file=files.onnx.name, sha256=sha256_bytes(graph.data), bytes=len(graph.data)),
        onnx_metadata=OnnxMetadata(status="present" if keys else "none", keys=keys),
        run_provenance=call.provenance({"onnx": files.onnx}),
    )
