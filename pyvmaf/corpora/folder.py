"""Corpora of the kind ``folder``: videos in a directory."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from pyvmaf.base.roots import locate
from pyvmaf.base.section import Section
from pyvmaf.corpora.spec import Entry, Root, VideoCorpus


class Spec(VideoCorpus, Section):
    """Videos in a directory."""

    kind: Literal["folder"] = Field(description="Videos in a directory.")
    root: Root = Field(
        description="Folder of the videos, relative to this file or absolute, or beginning with "
        "${VMAF_DATA_ROOT:-~/.cache/vmaf-train}/datasets/."
    )

    entries: tuple[Entry, ...] = Field(
        default=(), description="The clips; none in the file of a dataset that `manifest-scan` has not seen yet."
    )

    @model_validator(mode="after")
    def _has_entries(self) -> Self:
        if not self.entries and self.dataset is None:
            raise ValueError("entries are missing: vmaf-train manifest-scan writes them")
        return self

    def home(self, corpus_file: Path, fetched: Path) -> Path:
        """Return the root, seen from the corpus file."""
        return locate(self.root, corpus_file.resolve().parent)
