"""``vmaf-train check-ops``: whether ONNX files hold only what a model may."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from pyvmaf.base.document import Call, Count, Document, Name, Part, Positive, RunProvenance, Sha256, publish
from pyvmaf.base.files import relative, sha256_bytes
from pyvmaf.base.outputs import publishes
from pyvmaf.errors import PyvmafError
from pyvmaf.runtime import allowlist
from pyvmaf.runtime.graph import Graph


class ScannedModel(Part):
    """What the scan of one file gave."""

    path: Name
    sha256: Sha256
    bytes: Count
    opsets: dict[str, int] = Field(description="Version by domain.")
    operators: dict[str, Positive] = Field(description="Number of nodes by operator, graphs inside nodes included.")
    problems: list[Name] = Field(description="What a model may not hold, with the node or tensor that holds it.")


class CheckOps(Document):
    """Report of ``vmaf-train check-ops``."""

    title: ClassVar[str] = "Report of vmaf-train check-ops"

    schema_version: Literal[1] = 1
    models: list[ScannedModel] = Field(min_length=1)
    passed: bool = Field(description="No file has a problem.")
    run_provenance: RunProvenance


def _extent_problems(data: bytes, where: str) -> list[str]:
    """Say why a graph of allowed operators cannot be run, as far as that shows without running it.

    Its extent is measured for one row; a graph whose caller chooses more than the number of rows is not measured.
    """
    try:
        graph = Graph.of(data, where)
        shapes = {name: (1, *shape[1:]) for name, shape in graph.inputs.items()}
        sizes = {name: tuple(size for size in shape if size is not None) for name, shape in shapes.items()}
        if sizes == shapes:
            graph.check_extent(sizes)
    except PyvmafError as err:
        return [str(err).removeprefix(f"{where} ").removeprefix(f"{where}: ")]
    return []


@publishes("check-ops")
def check_ops(models: Sequence[Path], *, output: Path | None = None) -> CheckOps:
    """Scan ONNX files in the protobuf, graphs inside nodes included, and measure what a run would take; nothing is run.

    Args:
        models: any ONNX files.
        output: JSON file for the report.

    Returns:
        The report: per file the ``problems``; ``passed`` if no file has any.

    Raises:
        MissingFileError, InputError: a file does not exist, is not a regular file, or is too large.
        IntegrityError: a file is not ONNX.
    """
    call = Call("check-ops", args={"model": list(models)}, inputs={"model": list(models)})
    scanned = []
    for path in models:
        data = allowlist.read_model(path)
        proto = allowlist.parse(data, str(path))
        operators, problems = allowlist.scan(proto)
        problems += [] if problems else _extent_problems(data, str(path))
        scanned.append(
            ScannedModel(
                path=relative(path),
                sha256=sha256_bytes(data),
                bytes=len(data),
                opsets={o.domain or "ai.onnx": o.version for o in proto.opset_import},
                operators=operators,
                problems=problems,
            )
        )
    report = CheckOps(
        models=scanned,
        passed=not any(model.problems for model in scanned),
        run_provenance=call.provenance(),
    )
    return publish(report, output, call)
