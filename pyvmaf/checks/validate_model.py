"""``vmaf-train validate-model``: whether a model file is what it is said to be: its operators, sidecar, answers and registry.

The answers of the file are compared with those of the trained network in torch, on the trials of its family, or with those
of another graph.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from pyvmaf.base.document import Call, Document, Name, Part, RunProvenance, Sha256, publish
from pyvmaf.base.families import CONVERTED
from pyvmaf.base.files import sha256_bytes
from pyvmaf.base.outputs import publishes, reading
from pyvmaf.errors import InputError, IntegrityError, MissingFileError, PyvmafError
from pyvmaf.models.families import Feeds
from pyvmaf.registry.consistency import disagreements
from pyvmaf.registry.entry import Registry
from pyvmaf.runtime import allowlist
from pyvmaf.runtime.graph import Graph
from pyvmaf.runtime.load import check_described, load_described, read_pinned
from pyvmaf.runtime.session import run_all, session
from pyvmaf.runtime.sidecar import Sidecar, check_sidecar
from pyvmaf.runtime.tensors import TensorBlock, check_declared
from pyvmaf.scoring.find import locate, registry_path

THRESHOLD = 1e-5
WEIGHTS = "weights.safetensors"
CONFIGS = Path("config/models")


class Finding(Part):
    """One check."""

    what: Name
    measured: Name
    limit: str = Field(description="Empty if there is none")
    passed: bool | None = Field(description="null: not checked")
    why: Name | None = Field(description="The reason if it does not pass or was not checked")


class ModelValidation(Document):
    """Whether a model file is what it is said to be."""

    title: ClassVar[str] = "Report of validate-model: operators, sidecar, answers and registry entry of a model file"

    schema_version: Literal[1] = 1
    model: Name
    kind: Name
    onnx_sha256: Sha256
    passed: bool = Field(description="Every check that was made passes")
    checks: list[Finding] = Field(min_length=1)
    run_provenance: RunProvenance


@publishes("validate-model")
def validate_model(
    model: str | os.PathLike[str],
    output: Path | None = None,
    *,
    weights: Path | None = None,
    config: Path | None = None,
    source: Path | None = None,
    registry: Path | None = None,
    threshold: float = THRESHOLD,
    seed: int = 0,
) -> ModelValidation:
    """Check operators, sidecar, answers and registry entry of a model file.

    Args:
        model: an ONNX file with its sidecar beside it, or the id of a registered model.
        output: the report as JSON; None to write nothing.
        weights: of the trained network or converted checkpoint; ``weights.safetensors`` beside the file by default.
        config: the model's YAML file; that of its name in ``config/models`` by default.
        source: another graph to compare the answers with, in place of the trained network.
        registry: as in `pyvmaf.scoring.find.registry_path`. Without one that exists, the entry is not checked.
        threshold: largest difference of answers, relative to the width of the expected range.
        seed: of the inputs that both graphs get if `source` is given.

    Raises:
        MissingFileError: a file does not exist.
        InputError: weights, YAML file and model are not of one model, or an int8 variant is named.
        IntegrityError: a file is damaged.
    """
    if not 0 < threshold < 1:
        raise InputError(f"--threshold is a share of the output's range between 0 and 1, not {threshold:g}")
    located = locate(model, registry=registry)
    if located.ensemble or located.sidecar is None:
        raise InputError(
            f"{located.path} is not a model with a sidecar: name its ONNX file, or a member of the ensemble"
        )
    described = read_pinned(located.sidecar, None, located.sidecar_sha256)
    sidecar, block = check_sidecar(described, str(located.sidecar))
    data = allowlist.read_model(located.path)
    if located.sha256 is not None and sidecar.sha256 != located.sha256:
        raise InputError(
            f"{located.path} is an int8 variant, whose cost is in its report: name the model that it was made of"
        )
    beside = _Beside.of(sidecar, located.path, weights, config) if source is None else None
    listed = registry_path(registry)
    read = [located.path, located.sidecar, *([source] if source else []), *(beside.files if beside else [])]
    for path in read:
        reading(path)
    call = Call(
        "validate-model",
        args={"model": sidecar.name, "threshold": threshold, "seed": seed},
        inputs={"files": read, "registry": [listed] if listed.is_file() else []},
    )
    findings = [_operators(data, str(located.path))]
    if findings[0].passed:
        graph = Graph.of(data, str(located.path))
        findings.append(_declared(graph, sidecar, block, described, located))
        if findings[-1].passed:
            width = sidecar.expected_output_range[1] - sidecar.expected_output_range[0]
            error = (
                beside.difference(graph) if beside else _apart(graph, source, block, described, located, seed) / width
            )
            findings.append(_answers(error, threshold, "torch" if beside else str(source)))
    findings.append(_entry(sidecar, sha256_bytes(data), listed, required=registry is not None))
    report = ModelValidation(
        model=sidecar.name,
        kind=sidecar.kind,
        onnx_sha256=sha256_bytes(data),
        passed=all(finding.passed is not False for finding in findings),
        checks=findings,
        run_provenance=call.provenance(),
    )
    return publish(report, output, call)


class _Beside:
    """The weights and the YAML file that a model was made of."""

    def __init__(self, sidecar: Sidecar, weights: Path, config: Path) -> None:
        self._sidecar, self._weights, self._config = sidecar, weights, config
        self.files = [weights, config]

    @staticmethod
    def of(sidecar: Sidecar, onnx: Path, weights: Path | None, config: Path | None) -> _Beside:
        """Find both.

        Raises:
            MissingFileError: one does not exist.
        """
        files = weights or onnx.with_name(WEIGHTS), config or CONFIGS / f"{sidecar.name}.yaml"
        for path, option in zip(files, ("--weights", "--config"), strict=True):
            if not path.is_file():
                raise MissingFileError(
                    f"no such file: {path}, which the answers of {onnx} are compared with: name it ({option}), or a graph to "
                    "compare with (--source)"
                )
        return _Beside(sidecar, *files)

    def difference(self, graph: Graph) -> float:
        """Give the largest difference of the graph's answers from those of torch, relative to the width of the range."""
        if self._sidecar.kind in CONVERTED:
            from pyvmaf.models.imported.convert import compare
            from pyvmaf.models.imported.spec import load_imported_spec

            low, high = self._sidecar.expected_output_range
            return compare(load_imported_spec(self._config), self._weights, graph).error / (high - low)
        from pyvmaf.models.export import difference
        from pyvmaf.models.spec import load_spec
        from pyvmaf.models.weights import load_weights

        weights = load_weights(self._weights)
        spec = weights.spec_of(load_spec(self._config))
        weights.check_made_for(spec)
        return difference(spec, weights, graph.data)


def _operators(data: bytes, where: str) -> Finding:
    operators, problems = allowlist.scan(allowlist.parse(data, where))
    return Finding(
        what="operators that models may have",
        measured=", ".join(f"{name} x{count}" for name, count in operators.items()),
        limit="the allowlist",
        passed=not problems,
        why="; ".join(problems) or None,
    )


def _declared(graph: Graph, sidecar: Sidecar, block: Any, described: dict[str, Any], located: Any) -> Finding:
    """Load the model as its callers do."""
    why = None
    try:
        if sha256_bytes(graph.data) != sidecar.sha256:
            raise IntegrityError(
                f"{graph.where} has sha256 {sha256_bytes(graph.data)}, but its sidecar {sidecar.sha256}"
            )
        check_described(graph, sidecar, str(located.sidecar))
        if isinstance(block, TensorBlock):
            check_declared(graph, block, str(located.sidecar))
        else:
            load_described(located.path, described, str(located.sidecar))
    except PyvmafError as err:
        why = str(err)
    measured = f"opset {graph.opset}, {len(graph.data)} bytes, {', '.join(graph.inputs)} to {', '.join(graph.outputs)}"
    return Finding(what="sidecar and graph", measured=measured, limit="equal", passed=why is None, why=why)


def _answers(error: float, threshold: float, of: str) -> Finding:
    passed = error <= threshold
    return Finding(
        what=f"largest difference from {of}",
        measured=f"{error:.3g} of the output's range",
        limit=f"{threshold:g}",
        passed=passed,
        why=None if passed else f"answers differ by {error:.3g}, but at most {threshold:g} is allowed",
    )


def _entry(sidecar: Sidecar, sha256: str, registry: Path, *, required: bool) -> Finding:
    def finding(measured: str, passed: bool | None, why: str | None) -> Finding:
        return Finding(what="entry of the registry", measured=measured, limit=str(registry), passed=passed, why=why)

    if not registry.is_file():
        if required:
            raise MissingFileError(f"no such file: {registry}, in which {sidecar.name} should be listed")
        return finding("-", None, f"there is no {registry}")
    entries = [entry for entry in Registry.read(registry).models if entry.id == sidecar.name]
    if not entries:
        return finding("none", False, f"{registry} does not ship {sidecar.name}: it is held, or not registered")
    (entry,) = entries
    wrong = disagreements(entry, registry)
    if entry.sha256 != sha256:
        wrong.append(f"{sidecar.name}: {registry} lists a file with sha256 {entry.sha256}, but this one has {sha256}")
    return finding(str(entry.sha256)[:16], not wrong, "; ".join(wrong) or None)


def _apart(graph: Graph, source: Path | None, block: Any, described: dict[str, Any], located: Any, seed: int) -> float:
    """Give the largest difference of the first outputs of two graphs for the same inputs, in order of the inputs.

    Raises:
        InputError: they do not take inputs, or give answers, of the same shapes.
    """
    assert source is not None
    other = Graph.of(allowlist.read_model(source), str(source))
    if len(other.inputs) != len(graph.inputs):
        raise InputError(f"{source} has {len(other.inputs)} inputs, but {graph.where} has {len(graph.inputs)}")
    runtimes = session(graph.data, where=graph.where), session(other.data, where=other.where)
    worst = 0.0
    for feeds in _inputs(block, described, located, seed):
        renamed = dict(zip(other.inputs, feeds.values(), strict=True))
        one, two = (
            run_all(runtime, given, where)[0]
            for runtime, given, where in zip(runtimes, (feeds, renamed), (graph.where, other.where), strict=True)
        )
        if one.shape != two.shape:
            raise InputError(f"{source} answers with shape {list(two.shape)}, but {graph.where} with {list(one.shape)}")
        worst = max(worst, float(np.abs(one - two).max()))
    return worst


def _inputs(block: Any, described: dict[str, Any], located: Any, seed: int) -> Iterator[Feeds]:
    """Inputs of a graph: of pictures noise and both ends of the stated range, else rows as those of the training."""
    if not isinstance(block, TensorBlock):
        model = load_described(located.path, described, str(located.sidecar))
        yield model.feeds(*model.examples(4, seed))
        return
    rng = np.random.default_rng(seed)
    for kind in ("noise", "noise", "low", "high"):
        feeds = {}
        for name, shape in block.inputs.items():
            low, high = block.input_ranges[name]
            ends = {"low": np.full(shape, low), "high": np.full(shape, high)}
            feeds[name] = np.asarray(ends[kind] if kind in ends else rng.uniform(low, high, shape), dtype=np.float32)
        yield feeds
