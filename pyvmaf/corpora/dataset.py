"""The section ``dataset`` of a corpus file: what a published dataset is for, and where its files come from."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from pyvmaf.base.section import Section

_SHA256_PATTERN = r"^[0-9a-f]{64}$"
_ADDRESS_PATTERN = r"^https?://[^\s/@]+(/\S*)?$"
_HOST_PATTERN = r"^[a-z0-9.-]+$"
_PLAIN_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$"


def _expression(text: str) -> str:
    try:
        re.compile(text)
    except re.error as err:
        raise ValueError(f"{text!r} is not a regular expression: {err}") from err
    return text


def _grouped(text: str) -> str:
    if re.compile(_expression(text)).groups < 1:
        raise ValueError(f"{text!r} has no group: put what names the scene in parentheses")
    return text


Address = Annotated[str, Field(pattern=_ADDRESS_PATTERN, max_length=2000)]
Expression = Annotated[str, AfterValidator(_expression), Field(max_length=300)]
Scenes = Annotated[str, AfterValidator(_grouped), Field(max_length=300)]
Place = Annotated[str, Field(pattern=_PLAIN_PATTERN, max_length=300)]


class Download(Section):
    """A file that `fetch` gets: kept as it is, or a zip archive that is unpacked."""

    file: Place = Field(description="Name of the file below the root.")
    url: Address | None = Field(
        default=None, description="Its address; null for an archive that the authors hand out otherwise (`--archive`)."
    )
    bytes: int | None = Field(default=None, ge=1, description="Its size; null if it is not known.")
    sha256: str | None = Field(
        default=None,
        pattern=_SHA256_PATTERN,
        description="Its SHA-256; null if it is not known before the first fetch.",
    )
    members: Expression | None = Field(
        default=None,
        description="A zip archive: regular expression of the whole paths of the members to unpack; null keeps the file.",
    )
    into: Place | None = Field(default=None, description="Folder below the root to unpack into; the root by default.")


class Listing(Section):
    """A public bucket of Google Cloud Storage, from which `fetch` takes the stems with the fewest bytes."""

    url: Address = Field(description="Address of the listing, in the JSON of the storage API.")
    files: Address = Field(description="What stands before the names of files to give their addresses.")
    prefix: str = Field(max_length=300, description="What the names of files begin with.")
    parts: dict[Place, str] = Field(
        min_length=1,
        description="How the names of the files of one stem end, by part; stems that lack a part are left out.",
    )
    stems: int = Field(ge=1, description="Number of stems to take.")
    into: Place | None = Field(default=None, description="Folder below the root for the files; the root by default.")


class Dataset(Section):
    """What a published dataset is for, and where its files come from."""

    use: tuple[Literal["C1", "C2", "C3"], ...] = Field(
        min_length=1,
        description="Kinds of models that are trained on it: C1 full-reference, C2 no-reference, C3 learned filters.",
    )
    purpose: str = Field(description="Purpose of the dataset.")
    layout: str = Field(description="How its files lie below the root.")
    origin: str = Field(description="Where its authors hand it out.")
    terms: str = Field(min_length=1, description="Terms of use, which `fetch` shows and asks to accept.")
    videos: int | None = Field(default=None, ge=1, description="Number of videos; null if it is not known.")
    scenes: Scenes | None = Field(
        default=None,
        description="Regular expression of the names of files, whose first group is the scene, for datasets with several "
        "files of one: `manifest-scan` gives them the same source.",
    )
    disk_bytes: int | None = Field(
        default=None, ge=1, description="Upper bound on the disk space of the dataset while it is fetched."
    )
    hosts: tuple[Annotated[str, Field(pattern=_HOST_PATTERN)], ...] = Field(
        default=(), description="Further hosts to which its addresses may redirect."
    )
    downloads: tuple[Download, ...] = Field(default=(), description="Files and archives to get.")
    listing: Listing | None = Field(default=None, description="A bucket of files to choose from.")

    @property
    def public(self) -> bool:
        """Whether `fetch` can get files of it, or unpack them."""
        return bool(self.downloads) or self.listing is not None

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        files = [item.file for item in self.downloads]
        if twice := next((name for name in files if files.count(name) > 1), None):
            raise ValueError(f"two downloads have the name {twice!r}: they would be the same file")
        for item in self.downloads:
            if item.url is None and item.members is None:
                raise ValueError(f"the download {item.file!r} has neither an address nor members to unpack")
        return self
