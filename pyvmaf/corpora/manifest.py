"""The manifest of a prepared corpus as a document (``corpus.json``)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from pyvmaf.base.document import Count, Document, Name, OpenPart, OptionalKey, Part, Positive, Sha256

FrameRange = Annotated[list[Count], Field(min_length=2, max_length=2, description="First and last frame, inclusive.")]


class VideoFacts(OpenPart):
    """Facts about a clip's video (`pyvmaf.video.probe.Video`). Later versions add keys."""

    width: Positive
    height: Positive
    pix_fmt: Name
    chroma: Name
    bit_depth: Positive
    fps: Name = Field(description="Frames per second as a fraction.")
    codec: Name
    container: Name
    transfer: str = Field(description="HDR transfer; empty for SDR.")
    primaries: str = Field(description="Colour primaries of an HDR video; empty for SDR.")
    frames: Positive
    shots: list[FrameRange]


class RawFacts(Part):
    """Format of a file without a header."""

    size: Name
    pix_fmt: Name
    fps: Name


class CorpusClip(Part):
    """A prepared clip, or the reference of pairs that exist."""

    path: Name = Field(
        description="The clip, relative to the run's folder; it lies beside this file. If it is `in_place`: the file "
        "below the root of the corpus."
    )
    sha256: Sha256
    source: Name = Field(description="The scene that a split keeps together.")
    group: Name = Field(description="The film or recording session.")
    mos: float | None = Field(description="Mean opinion score; null if viewers did not rate the video.")
    mos_std: OptionalKey[float] = Field(default=None, description="Standard deviation of the ratings, if it is known.")
    n_ratings: OptionalKey[Positive] = Field(default=None, description="Number of ratings, if it is known.")
    source_path: Name = Field(description="The file that the clip was made from, below the root of the corpus.")
    source_sha256: Sha256
    source_frames: FrameRange | None = Field(description="The frames that were taken; null for all.")
    crop: Annotated[list[Count], Field(min_length=4, max_length=4)] | None = Field(description="Width, height, x, y.")
    scale: Annotated[list[Positive], Field(min_length=2, max_length=2)] | None = Field(description="Width, height.")
    own_bytes: bool = Field(description="The clip is a copy of its source.")
    in_place: OptionalKey[bool] = Field(default=None, description="The clip is its source, which was not copied.")
    raw: OptionalKey[RawFacts] = Field(default=None, description="Format of a headerless file that is in place.")
    stream: OptionalKey[Count] = Field(default=None, description="Which video stream of a file that is in place.")
    video: VideoFacts


class CorpusManifest(Document):
    """All clips of a prepared corpus with hashes, formats and labels."""

    title: ClassVar[str] = "Manifest of a prepared corpus (corpora/{corpus}/corpus.json)"

    schema_version: Literal[1] = 1
    name: Name
    license: str
    description: str
    mos_scale: OptionalKey[Annotated[list[float], Field(min_length=2, max_length=2)]] = Field(
        default=None, description="Lowest and highest opinion score, if a clip is rated."
    )
    sources: list[Name]
    groups: dict[str, Positive] = Field(description="Number of clips by group.")
    clips: dict[str, CorpusClip]
    failed: OptionalKey[dict[str, str]] = Field(
        default=None,
        description="Clips that cannot be prepared, or references that cannot be read, and are skipped, with the reason.",
    )
