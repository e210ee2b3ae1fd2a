"""Corpora of the kind ``pairs``: references with distorted versions that exist already, measured where they are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from pyvmaf.base import layout
from pyvmaf.base.roots import locate
from pyvmaf.base.section import Section
from pyvmaf.corpora.conversions import Conversions
from pyvmaf.corpora.ladders import GIVEN, ladders, strengths
from pyvmaf.corpora.spec import Entry, Pinned, Probe, Rated, Raw, Root, VideoCorpus
from pyvmaf.errors import unknown_name
from pyvmaf.video.format import Format, parse_size

if TYPE_CHECKING:
    from pyvmaf.corpora.manifest import CorpusClip

_RUNG_PATTERN = f"^(?:{layout.WILDCARDS['rung']})$"
_CODEC_PATTERN = f"^(?:{layout.WILDCARDS['codec']})$"

Codec = Annotated[str, Field(pattern=_CODEC_PATTERN, max_length=100)]


class Names(Section):
    """How the files of a corpus are called."""

    reference: str = Field(
        min_length=1,
        description="Pattern of the references' paths below the root: {part} for a part of the name, {part:a|b} for "
        "one of these words, * for anything but /, **/ for any folders.",
    )
    distorted: tuple[str, ...] = Field(
        min_length=1,
        description="Patterns of the distorted versions. Parts that the reference's pattern has, too, have to be the "
        "same. The parts fps, size, pix_fmt, codec, preset, crf and bitrate (kbit/s) count as what they say.",
    )
    raw: Raw | None = Field(default=None, description="Format of headerless .yuv files whose names do not state it.")
    codec: Codec | None = Field(
        default=None, description="Codec of the distorted versions; null: what each file states, else `given`."
    )


class Pair(Pinned, Rated, Section):
    """A distorted version that exists."""

    rung: str = Field(pattern=_RUNG_PATTERN, max_length=100, description="Its name among those of the same codec.")
    codec: Codec = Field(default=GIVEN, description="Codec, which names its ladder; `given` if nobody knows.")
    encoder: str | None = Field(default=None, description="FFmpeg's name of the encoder, if it is known.")
    preset: str | None = Field(default=None, description="Preset of the encoder, if it is known.")
    crf: int | None = Field(default=None, ge=0, le=255, description="Quality number of the encoder, if it is known.")
    bitrate_kbps: float | None = Field(
        default=None, gt=0, description="Rate of the encode in kbit/s, if it is known; raw files do not have one."
    )
    raw: Raw | None = Field(default=None, description="Format of a headerless .yuv file.")
    stream: int | None = Field(
        default=None, ge=0, description="Which video stream of a file that has several; FFmpeg's choice by default."
    )
    probe: Probe | None = Field(default=None, description="Format of the file.")


class Reference(Entry, Section):
    """A reference with its distorted versions."""

    convert: Conversions | None = Field(
        default=None, description="Conversions of its pairs, in place of those of the corpus."
    )
    pairs: tuple[Pair, ...] = Field(min_length=1, description="Its distorted versions.")

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.crop is not None or self.pix_fmt is not None:
            raise ValueError(
                f"{self.key} has crop or pix_fmt, but pairs are measured as they are: leave it out, or prepare the "
                "reference as a corpus of the kind folder"
            )
        rungs: dict[tuple[str, str], str] = {}
        paths: set[str] = set()
        for pair in self.pairs:
            other = rungs.setdefault((pair.codec, pair.rung), pair.path)
            if other != pair.path:
                raise ValueError(
                    f"{self.key} has two pairs {pair.rung!r} of codec {pair.codec}, {other} and {pair.path}: give one "
                    "another rung"
                )
            if pair.path in paths:
                raise ValueError(f"{self.key} has the pair {pair.path} twice: leave one out")
            paths.add(pair.path)
            if pair.codec == "imported":
                raise ValueError(f"{pair.path} has the codec 'imported', which names shards of tables: choose another")
        return self

    def ladders(self) -> dict[str, dict[str, Pair]]:
        """Return the pairs by codec and rung, in the order of the file."""
        found: dict[str, dict[str, Pair]] = {}
        for pair in self.pairs:
            found.setdefault(pair.codec, {})[pair.rung] = pair
        return found

    def strengths(self, codec: str) -> dict[str, float]:
        """Return the number that orders each rung of a codec; see `pyvmaf.corpora.ladders.strengths`."""
        return strengths(ladders(self.model_dump(mode="json"))[codec])


class Spec(VideoCorpus, Section):
    """Pairs of files that exist."""

    kind: Literal["pairs"] = Field(description="References with distorted versions that exist.")
    root: Root = Field(
        description="Folder of the files, relative to this file or absolute, or beginning with "
        "${VMAF_DATA_ROOT:-~/.cache/vmaf-train}/datasets/."
    )
    layout: Names | None = Field(
        default=None, description="How the files are called; `manifest-scan` finds the pairs by it."
    )
    entries: tuple[Reference, ...] = Field(
        default=(), description="The references; none in a file whose folder `manifest-scan` has not seen yet."
    )
    convert: Conversions | None = Field(
        default=None, description="What is done to the frames of both sides before they are compared."
    )
    max_frames: int | None = Field(
        default=None, ge=1, description="Measure only so many frames of each pair, the first ones."
    )
    max_height: int | None = Field(
        default=None,
        ge=16,
        multiple_of=2,
        description="Measure at this height at most: both sides of higher pairs are scaled to it (bicubic).",
    )

    @model_validator(mode="after")
    def _one_reference_each(self) -> Self:
        references = {os.path.normpath(entry.path): entry.key for entry in self.entries}
        owners: dict[str, str] = {}
        for entry in self.entries:
            for pair in entry.pairs:
                path = os.path.normpath(pair.path)
                if references.get(path, entry.key) != entry.key:
                    raise ValueError(
                        f"{pair.path} is a distorted version of {entry.key} and the reference of {references[path]}: are "
                        "the two sides swapped?"
                    )
                if (owner := owners.setdefault(path, entry.key)) != entry.key:
                    raise ValueError(f"{pair.path} is a distorted version of {owner} and of {entry.key}: keep one")
        return self

    @model_validator(mode="after")
    def _frames_keep_their_numbers(self) -> Self:
        for entry in self.entries:
            recounts = self.conversions(entry).recounts
            if recounts and (entry.frames or self.max_frames):
                raise ValueError(
                    f"{entry.key} is converted by {recounts}, after which frames have other numbers: leave out "
                    f"{'frames' if entry.frames else 'max_frames'}"
                )
        return self

    def conversions(self, entry: Reference) -> Conversions:
        """Return what is done to the frames of the pairs of a reference."""
        return entry.convert or self.convert or Conversions()

    @property
    def pinned(self) -> tuple[Pinned, ...]:
        """References, distorted versions and extras."""
        return (*super().pinned, *(pair for entry in self.entries for pair in entry.pairs))

    @property
    def rated(self) -> Iterator[tuple[str, Rated]]:
        """Everything that may have an opinion score, with its name."""
        yield from super().rated
        yield from ((pair.path, pair) for entry in self.entries for pair in entry.pairs)

    @property
    def taken(self) -> tuple[Reference, ...]:
        """The references that are used."""
        return self.entries[: self.max_clips]

    def reference(self, key: str) -> Reference:
        """Return one reference that is used.

        Raises:
            InputError: there is no such reference.
        """
        by_key = {entry.key: entry for entry in self.taken}
        if key not in by_key:
            raise unknown_name(f"clip of corpus {self.name}", key, by_key)
        return by_key[key]

    def home(self, corpus_file: Path, fetched: Path) -> Path:
        """Return the root, seen from the corpus file."""
        return locate(self.root, corpus_file.resolve().parent)

    def collected(self, root: Path) -> tuple[dict[str, Path], dict[str, CorpusClip], dict[str, str]]:
        """Return the references with their descriptions; see `pyvmaf.corpora.references.collect_references`."""
        from pyvmaf.corpora.references import collect_references

        fields = frozenset(entry.key for entry in self.taken if self.conversions(entry).deinterlace)
        return collect_references(self.taken, root, skip=self.skips, fields=fields)


def measured_size(corpus: Spec, entry: Reference, form: Format) -> tuple[int, int] | None:
    """Return the size at which pairs of a reference are measured; None for its own.

    Args:
        corpus: the corpus, for `max_height`.
        entry: the reference, for `scale`.
        form: its format, as players show it.
    """
    if entry.scale is not None:
        return parse_size(entry.scale)
    limit = corpus.max_height
    if limit is None or form.height <= limit:
        return None
    # An even width, so that subsampled chroma fits.
    return max(2, 2 * round(form.width * limit / form.height / 2)), limit
