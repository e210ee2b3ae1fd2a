"""The report of a conversion (``conversion.json``): what a published checkpoint became, and the gates that it passed."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from pyvmaf.base.document import Count, Document, ModelId, Name, Part, Positive, RunProvenance, Sha256, Size
from pyvmaf.models.verdicts import GateReport
from pyvmaf.runtime.checkpoint import CheckpointFacts
from pyvmaf.runtime.sidecar import License


class Parity(Part):
    """How far the graph's answers are from those of the network."""

    error: Size = Field(description="Largest |torch - onnxruntime| over all outputs and trials")
    limit: float = Field(gt=0)
    trials: Positive
    lowest: float = Field(description="Smallest answer of the network")
    highest: float


class Conversion(Document):
    """What a published checkpoint was converted to."""

    title: ClassVar[str] = "Report of convert (conversion.json): a published checkpoint as ONNX, and its gates"

    schema_version: Literal[1] = 1
    model: ModelId
    kind: Name
    architecture: Name
    task: Name
    description: str
    license: License
    checkpoint: CheckpointFacts
    n_params: Positive
    n_buffers: Count = Field(description="Numbers of the state dict that are not trained, such as means")
    verdict: Literal["PROMOTE", "HOLD"]
    gate: GateReport
    parity: Parity
    opset: Positive
    operators: dict[str, Positive]
    weights_sha256: Sha256
    onnx_sha256: Sha256
    sidecar_sha256: Sha256
    run_provenance: RunProvenance
