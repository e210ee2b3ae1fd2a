"""What stands in the place of a clip or an encode that could not be made, so that a run goes on as it was planned.

The plan of a run is made before the first file is read: a video that turns out to be broken still has its place in it. A
verb that may skip it (`on_error: skip` of the corpus file) leaves this document there, and later verbs pass it on.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from pyvmaf.base.document import Document, Name
from pyvmaf.base.files import open_regular
from pyvmaf.base.outputs import discard
from pyvmaf.errors import InputError, PyvmafError

_LARGEST = 100_000


class Failure(Document):
    """The reason why a clip or an encode could not be made."""

    title: ClassVar[str] = "Failure, in the place of a clip or encode that could not be made ({clip}.mkv, {rung}.mkv)"
    max_bytes: ClassVar[int] = _LARGEST

    schema_version: Literal[1] = 1
    document: Literal["pyvmaf-failure"] = "pyvmaf-failure"
    path: Name = Field(description="The file at fault: of the corpus, below its root, or the clip of an encode.")
    why: Name = Field(description="The reason.")

    def as_dict(self) -> dict[str, str]:
        """Return path and reason as a manifest holds them."""
        return {"path": self.path, "why": self.why}

    def leave(self, *outputs: Path) -> None:
        """Write the document in the place of the outputs of the running verb."""
        discard()
        for output in outputs:
            self.write(output)


def failure_at(path: Path) -> Failure | None:
    """Return the failure that stands in the place of a clip or encode; None if it is anything else, or missing."""
    try:
        with open_regular(path) as stream:
            if stream.read(1) != b"{":
                return None
        return Failure.read(path)
    except (OSError, PyvmafError):
        return None


def refuse_failure(path: Path, failure: Failure) -> InputError:
    """Return the error for a failure where a video is needed."""
    return InputError(
        f"{path} could not be made ({failure.path}: {failure.why}): mend the file or take it out of the corpus; to try once "
        f"more, delete {path} and run again"
    )
