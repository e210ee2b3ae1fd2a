"""The sidecar beside a model file: keys that every family has, and a block of the family's own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, cast

from pydantic import ConfigDict, Field, model_validator

from pyvmaf.base.document import (
    Bounds,
    Count,
    Document,
    ModelId,
    Name,
    OpenPart,
    OptionalKey,
    Part,
    Positive,
    RunProvenance,
    Sha256,
    Size,
)
from pyvmaf.base.families import FAMILIES, load_part
from pyvmaf.errors import IntegrityError

if TYPE_CHECKING:
    from pyvmaf.runtime.predictor import PredictorPart

UNTRAINED = "UNTRAINED"
"""The verdict in the sidecar of initial weights."""

UNJUDGED = "UNJUDGED"
"""The verdict in the sidecar of a model that was registered by hand."""

License = Annotated[str, Field(min_length=1, max_length=128)]
ConfigHash = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class Roundtrip(Part):
    """How far the graph's answers are from the trained network's."""

    error: Size = Field(description="Largest difference, relative to the width of the output's range")
    tolerance: float = Field(gt=0)


class GateSummary(OpenPart):
    """The block ``gate`` of a verdict; further keys are those of the family's gates."""

    passed: bool


class Sidecar(Document):
    """Everything that a caller of a model file needs to know. Keys that are not declared are those of its family."""

    model_config = ConfigDict(extra="allow")

    title: ClassVar[str] = "Sidecar of a model file (model.json)"

    schema_version: Literal[1]
    name: ModelId
    kind: Name
    description: OptionalKey[Annotated[str, Field(max_length=256)]] = None
    onnx: str = Field(pattern=r"^[^/\\]+\.onnx$", max_length=256, description="File name beside this file")
    sha256: Sha256
    bytes: OptionalKey[Positive] = None
    onnx_opset: int = Field(ge=7, le=21)
    operators: OptionalKey[dict[str, Positive]] = None
    n_params: OptionalKey[Positive] = None
    input_name: Name
    output_name: Name
    expected_output_range: Bounds
    target: OptionalKey[str] = None
    dataset: Name
    dataset_sha256: Sha256 | None = Field(
        description="Of the training table; null: not known (UNJUDGED, or made of a checkpoint)"
    )
    train_commit: Name
    train_config_hash: ConfigHash | None = Field(description="null: not known (UNJUDGED, or made of a checkpoint)")
    checkpoint_sha256: OptionalKey[Sha256] = Field(
        default=None, description="Of the published checkpoint that it was made of"
    )
    seed: OptionalKey[Count] = None
    epochs: OptionalKey[Count] = None
    license: License
    quant_mode: OptionalKey[Literal["fp32", "static", "dynamic", "qat"]] = None
    roundtrip: OptionalKey[Roundtrip] = None
    verdict: Literal["PROMOTE", "HOLD", "UNTRAINED", "UNJUDGED"] = Field(
        description="UNTRAINED: initial weights. UNJUDGED: registered by hand, no gate measured it"
    )
    gates: GateSummary | None = Field(description="null: none was measured (UNTRAINED, UNJUDGED)")
    run_provenance: RunProvenance

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Sidecar:
        measured = self.verdict not in (UNTRAINED, UNJUDGED)
        if measured != (self.gates is not None):
            raise ValueError(
                f"verdict {self.verdict} with gates {'null' if self.gates is None else 'that were measured'}"
            )
        if self.gates is not None and self.gates.passed != (self.verdict == "PROMOTE"):
            raise ValueError(
                f"verdict {self.verdict}, but its gates {'passed' if self.gates.passed else 'did not pass'}"
            )
        if self.verdict == UNTRAINED and self.epochs not in (0, None):
            raise ValueError(f"verdict {UNTRAINED} after {self.epochs} epochs")
        trained = self.verdict != UNJUDGED and self.checkpoint_sha256 is None
        if trained and None in (self.dataset_sha256, self.train_config_hash):
            raise ValueError(f"verdict {self.verdict} without the hashes of its training table and settings")
        low, high = self.expected_output_range
        if not low < high:
            raise ValueError(f"expected_output_range [{low:g}, {high:g}] is empty")
        return self

    @property
    def family_keys(self) -> dict[str, Any]:
        """The keys of the family's block."""
        return dict(self.__pydantic_extra__ or {})


def predictor_part(kind: str) -> PredictorPart:
    """The part of a family that uses finished files.

    Raises:
        InputError: unknown kind.
    """
    return cast("PredictorPart", load_part(kind, "predictor"))


def check_sidecar(sidecar: Any, where: str) -> tuple[Sidecar, Any]:
    """Check the content of a sidecar.

    Args:
        sidecar: content of the JSON file.
        where: its name, for errors.

    Returns:
        The sidecar, and the block of its family.

    Raises:
        IntegrityError: it does not conform; the message names the key.
    """
    parsed = Sidecar.parse(json.dumps(sidecar), where)
    if parsed.kind not in FAMILIES:
        raise IntegrityError(
            f"{where} is of a model of kind {parsed.kind!r}, but this version of pyvmaf knows {', '.join(FAMILIES)}: use "
            "the version that wrote it"
        )
    return parsed, predictor_part(parsed.kind).block(parsed.family_keys, where)
