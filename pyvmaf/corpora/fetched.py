"""What `fetch` leaves in the folder of a dataset: which files came from where, and which terms were accepted."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from pyvmaf.base.document import Count, Document, Name, Part, Positive, Sha256

FETCH_MANIFEST = "fetch_manifest.json"
LICENCE_ACCEPTED = "licence_accepted.json"

Url = Annotated[str, Field(pattern=r"^https?://")]


class FetchedFile(Part):
    """A file of the dataset."""

    path: Name = Field(description="Its path below the root.")
    bytes: Positive
    sha256: Sha256
    url: Url | None = Field(description="The address that it came from; null for a member of an archive.")
    archive: str | None = Field(description="The archive that it was unpacked from; null for a file of its own.")


class FetchedArchive(Part):
    """An archive whose members are files of the dataset."""

    file: Name
    url: Url | None = Field(description="The address that it came from; null if the user gave the file.")
    bytes: Positive
    sha256: Sha256
    members: Count = Field(description="Files in the archive.")
    unpacked: Count = Field(description="Files that were unpacked.")
    kept: bool = Field(description="Whether the archive stays in the root.")


class Stems(Part):
    """A selection of stems from the listing of a bucket."""

    listing: Url
    listing_sha256: Sha256 = Field(description="Of the cached listing, from which the same selection follows.")
    listed: Count = Field(description="Stems of the listing that have all parts.")
    incomplete: Count = Field(description="Stems of the listing that lack a part, and were left out.")
    bytes: Positive = Field(description="Size of the selected files.")
    stems: dict[str, dict[str, str]] = Field(description="Path below the root of each part, by stem.")


class FetchManifest(Document):
    """The files of a dataset that `fetch` got, each with its address and its hash."""

    title: ClassVar[str] = "Files of a dataset that fetch got (datasets/{dataset}/fetch_manifest.json)"

    schema_version: Literal[1] = 1
    dataset: Name
    license: str
    terms_sha256: Sha256 = Field(description="Of the terms that were accepted.")
    policy: str = Field(description="Which files of the dataset were selected.")
    selection: Stems | None = Field(description="The selected stems of a bucket; null for other datasets.")
    archives: list[FetchedArchive]
    files: list[FetchedFile]


class LicenceAccepted(Document):
    """The acceptance of the terms of a dataset."""

    title: ClassVar[str] = "Accepted terms of a dataset (datasets/{dataset}/licence_accepted.json)"

    schema_version: Literal[1] = 1
    dataset: Name
    license: str
    terms: str
    terms_sha256: Sha256
    by: Literal["option", "terminal"] = Field(description="How they were accepted: `--accept-licence`, or an answer.")
