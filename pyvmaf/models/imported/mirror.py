"""The manifest of a mirrored model (``mirror.json``): where its weights come from, under which licence, and what was made."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from pyvmaf.base.document import Document, ModelId, Name, Part, Positive, RunProvenance, Sha256
from pyvmaf.runtime.checkpoint import CheckpointFacts
from pyvmaf.runtime.sidecar import License


class Upstream(Part):
    """The project that published the weights."""

    repository: Name
    commit: Name


class MirrorOutput(Part):
    """The ONNX file."""

    file: Name
    sha256: Sha256
    bytes: Positive


class OnnxMetadata(Part):
    """Text that the ONNX file carries beside its graph."""

    status: Literal["none", "present"]
    keys: list[str]


class MirrorManifest(Document):
    """Everything that a mirror of a published model has to say of it."""

    title: ClassVar[str] = "Manifest of a mirrored model (mirror.json)"

    schema_: Literal["u2netp-mirror-export-manifest-v1"] = Field(
        default="u2netp-mirror-export-manifest-v1", alias="schema"
    )
    model: ModelId
    upstream: Upstream
    checkpoint: CheckpointFacts
    license: License
    notice: str | None = Field(description="Text of the project's NOTICE file; null: it has none")
    output: MirrorOutput
    onnx_metadata: OnnxMetadata
    run_provenance: RunProvenance
