"""Distortions: how the rungs of a ladder are made from a reference clip.

Each kind of distortion is one module with two functions (`Kind`); `DISTORTIONS` maps its name to the module. The planner
imports the modules that a configuration names, so that they need the standard library only until a rung is made.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from pyvmaf.base.code import Uses
from pyvmaf.base.table import Table
from pyvmaf.errors import InputError, unknown_name

if TYPE_CHECKING:
    from pyvmaf.video.ffmpeg import Advance, FFmpeg
    from pyvmaf.video.format import Format
    from pyvmaf.video.probe import Video
    from pyvmaf.video.reader import Reader

DISTORTIONS: Table[str] = {
    "encoder": "pyvmaf.encodes.encoder",
    "filter": "pyvmaf.encodes.filter",
    "identity": "pyvmaf.encodes.identity",
}
"""Module of each kind of distortion."""

DEFAULT = "encoder"
"""Kind of a ladder that does not name one."""


@dataclass(frozen=True)
class Reference:
    """A clip to distort.

    Attributes:
        path: the file.
        video: its format, frames and shots.
    """

    path: Path
    video: Video

    @cached_property
    def reader(self) -> Reader:
        """The file, opened once for all that is made of it."""
        from pyvmaf.video.reader import Reader

        return Reader(self.path)


@dataclass(frozen=True)
class Made:
    """A distorted clip.

    Attributes:
        pix_fmt: its pixel format.
        arguments: the options of FFmpeg that shaped its bytes.
        seconds: duration of the work.
        record: keys of the encode's record that the distortion decides: ``extra_params``, and where an encoder made the
            clip ``encoder``, ``encoder_version``, ``preset``, ``crf`` and those ``enc_internal_…`` that it states.
    """

    pix_fmt: str
    arguments: list[str]
    seconds: float
    record: dict[str, Any] = field(default_factory=dict)


class Distortion(Protocol):
    """How one rung of a ladder is made."""

    @property
    def kind(self) -> str:
        """Name of the kind in `DISTORTIONS`."""

    @property
    def name(self) -> str:
        """Name of the rung, and the stem of its file."""

    @property
    def strength(self) -> float:
        """Number that orders the rungs of a ladder; a higher one is a stronger distortion."""

    @property
    def settings(self) -> dict[str, Any]:
        """Settings by name, as the manifest states them."""

    @property
    def identity(self) -> dict[str, str]:
        """Hashes of the table rows that decide the bytes in addition to the settings."""

    def options(self) -> list[str]:
        """The settings as options of ``vmaf-train encode``."""

    def pix_fmt(self, form: Format, where: str) -> str:
        """Return the pixel format of the distorted version of a clip.

        Args:
            form: format of the clip.
            where: the clip, for messages.

        Raises:
            InputError: clips of this format cannot be distorted in this way.
        """

    def make(self, reference: Reference, output: Path, *, tool: FFmpeg, threads: int, advance: Advance | None) -> Made:
        """Write the distorted clip.

        Args:
            reference: the clip.
            output: the file to write, Matroska; its name may be a temporary one.
            tool: the FFmpeg program.
            threads: threads of an encoder.
            advance: called as frames are done.
        """


class Kind(Protocol):
    """A module of `DISTORTIONS`."""

    def ladder(self, name: str, keys: Mapping[str, Any]) -> Sequence[Distortion]:
        """Return the rungs of a ladder of the configuration.

        Args:
            name: the ladder's name.
            keys: its keys; see `pyvmaf.workflow.config.Ladder`.

        Raises:
            InputError: a key or value does not suit the kind.
        """

    def rung(self, strength: float | None, settings: Mapping[str, str]) -> Distortion:
        """Return one rung from the options of the command line.

        Args:
            strength: its strength; None for the kind's default.
            settings: its settings as text.

        Raises:
            InputError: a setting is missing, unknown, or has a value that is not allowed.
        """


def kind(name: str) -> Kind:
    """Return the module of a kind of distortion.

    Raises:
        InputError: there is no such kind.
    """
    if name not in DISTORTIONS:
        raise unknown_name("distortion", name, DISTORTIONS)
    return cast("Kind", importlib.import_module(DISTORTIONS[name]))


def uses(name: str) -> Uses:
    """Return what the verb ``encode`` uses to make distortions of a kind.

    Raises:
        InputError: there is no such kind.
    """
    if name not in DISTORTIONS:
        raise unknown_name("distortion", name, DISTORTIONS)
    return Uses((DISTORTIONS[name],))


def refuse(where: str, keys: Mapping[str, Any], names: Sequence[str]) -> None:
    """Refuse keys of a ladder that do not suit its distortion.

    Raises:
        InputError: one of `names` has a value.
    """
    for name in names:
        if keys.get(name):
            raise InputError(f"{where} has the key {name!r}, which a ladder of another distortion takes: remove it")
