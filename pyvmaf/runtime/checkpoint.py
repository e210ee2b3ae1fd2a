"""The published file that a model was made of, as sidecars and reports state it."""

from __future__ import annotations

from pydantic import Field

from pyvmaf.base.document import Name, Part, Positive, Sha256


class CheckpointFacts(Part):
    """The published file that a model was made of."""

    name: Name = Field(description="Package and member, or the file's name.")
    sha256: Sha256
    pinned: bool = Field(description="Whether the model's YAML file pins this hash.")
    entries: Positive = Field(description="Tensors of its state dict.")
