"""Published checkpoints as data: the keys of ``config/models/{model}.yaml`` of kind ``imported``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from pyvmaf.base.section import Section
from pyvmaf.corpora.packages import Package
from pyvmaf.corpora.spec import Sha256
from pyvmaf.errors import InputError
from pyvmaf.models.imported.architectures import check_known
from pyvmaf.models.spec import CommonSpec, load_any


class Checkpoint(Section):
    """The published file with the weights."""

    package: Package | None = Field(
        default=None, description="Package of a registry that holds it; null: the file is named by hand (--weights)."
    )
    member: str | None = Field(
        default=None, pattern=r"^[^/\\][^\\]*$", description="Path of the file inside the package."
    )
    sha256: Sha256 | None = Field(
        default=None,
        description="SHA-256 of the file; null: nothing pins it, and a model that is made of it is held by its gates.",
    )

    @model_validator(mode="after")
    def _whole(self) -> Checkpoint:
        if (self.package is None) != (self.member is None) or (self.package is not None and self.sha256 is None):
            raise ValueError("a package goes with the member to take and its sha256: give all three, or no package")
        return self


class FrameSize(Section):
    """Size of the frames that a model takes."""

    width: int = Field(ge=16, le=8192)
    height: int = Field(ge=16, le=8192)


class ImportedSpec(CommonSpec, Section):
    """A published checkpoint."""

    kind: Literal["imported"] = Field(description="A published checkpoint, converted and not trained.")
    architecture: Annotated[str, AfterValidator(check_known)] = Field(
        description="The network that the checkpoint is of; a row of `ARCHITECTURES`."
    )
    checkpoint: Checkpoint = Checkpoint()
    size: FrameSize | None = Field(
        default=None,
        description="Size of the frames, of a network that takes any; null: the size that its authors chose.",
    )
    parity: float = Field(
        default=1e-4, gt=0, le=1e-2, description="Largest |torch - onnxruntime| over the outputs of all trials."
    )
    trials: int = Field(default=3, ge=2, le=16, description="Inputs that torch and onnxruntime are compared on.")

    @classmethod
    def reads(cls) -> dict[str, list[str]]:
        """Keys that each verb reads."""
        every = list(cls.model_fields)
        return {"convert": every, "fetch-checkpoint": ["name", "kind", "checkpoint"]}


SPEC = ImportedSpec


def load_imported_spec(path: Path) -> ImportedSpec:
    """Read the spec of a published checkpoint.

    Raises:
        MissingFileError: there is no such file.
        InputError: it is not YAML, not a spec, or that of a model that is trained.
    """
    spec = load_any(path)
    if not isinstance(spec, ImportedSpec):
        raise InputError(f"{path} is a model of kind {spec.kind!r}, which is trained (vmaf-train fit), not converted")
    return spec
