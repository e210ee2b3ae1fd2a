"""Corpora of the kind ``folder``: videos in a directory."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from pyvmaf.base.roots import locate
from pyvmaf.base.section import Section
from pyvmaf.corpora.spec import Root, VideoCorpus


class Spec(VideoCorpus, Section):
    """Videos in a directory."""

    kind: Literal["folder"] = Field(description="Videos in a directory.")
    root: Root = Field(
        description="Folder of the videos, relative to this file or absolute, or beginning with "
        "${VMAF_DATA_ROOT:-~/.cache/vmaf-train}/datasets/."
    )

    def home(self, corpus_file: Path, fetched: Path) -> Path:
        """Return the root, seen from the corpus file."""
        return locate(self.root, corpus_file.resolve().parent)
