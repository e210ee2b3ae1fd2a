"""The distortion ``filter``: frames through an FFmpeg filter, stored lossless, so that nothing but the filter shows.

A ladder has one filter with the placeholder ``{strength}``, such as ``gblur=sigma={strength}`` or
``noise=alls={strength}:all_seed=1``, and a list of strengths.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pyvmaf.encodes.distortion import Made, Reference, refuse
from pyvmaf.errors import InputError, unknown_name

if TYPE_CHECKING:
    from pyvmaf.video.ffmpeg import Advance, FFmpeg

_PLACEHOLDER = "{strength}"


@dataclass(frozen=True)
class FilterRung:
    """One strength of a filter.

    Attributes:
        filter: the filter, with the placeholder ``{strength}``.
        strength: the number that takes its place; a higher number is a stronger distortion.
    """

    filter: str
    strength: float

    kind: ClassVar[str] = "filter"

    @property
    def name(self) -> str:
        """``strength-{strength}``."""
        return f"strength-{self.strength:g}"

    @property
    def settings(self) -> dict[str, Any]:
        """Settings by name."""
        return {"filter": self.filter, "strength": self.strength}

    @property
    def identity(self) -> dict[str, str]:
        """Nothing: the settings decide everything."""
        return {}

    def options(self) -> list[str]:
        """The settings as options of ``vmaf-train encode``."""
        strength = ["--strength", f"{self.strength:g}"]
        return ["--distortion", self.kind, *strength, "--setting", f"filter={self.filter}"]

    def make(self, reference: Reference, output: Path, *, tool: FFmpeg, threads: int, advance: Advance | None) -> Made:
        """Filter the reference and store the result as lossless H.264.

        Raises:
            InputError: lossless H.264 does not take the reference's chroma or bits.
            IncompleteError, UnavailableError, PyvmafError, OSError: see `transcode.transcode`.
        """
        from pyvmaf.codecs.encoders import ENCODERS
        from pyvmaf.encodes.transcode import transcode

        form = reference.video.format
        pix_fmt = ENCODERS["libx264"].pixel_format(form.chroma, form.bit_depth)
        filtered = self.filter.replace(_PLACEHOLDER, f"{self.strength:g}")
        arguments = [*("-c:v", "libx264", "-preset", "medium", "-qp", "0"), "-pix_fmt", pix_fmt]
        arguments += ["-threads", str(threads)]
        result = transcode(
            reference,
            output,
            arguments,
            pix_fmt,
            tool=tool,
            what=f"filter {reference.path} with {filtered}",
            filters=[filtered],
            advance=advance,
        )
        shaping = ["-vf", filtered, *arguments]
        return Made(pix_fmt, shaping, result.seconds, {"extra_params": shaping})


def ladder(name: str, keys: Mapping[str, Any]) -> list[FilterRung]:
    """Return the rungs of a ladder of the configuration: one for each strength.

    Raises:
        InputError: a key is missing or does not suit a filter.
    """
    where = f"ladder {name!r} of the configuration"
    refuse(where, keys, ("encoder", "presets", "crfs", "bit_depth", "extra"))
    if not keys["strengths"]:
        raise InputError(f"{where} has no strengths: a ladder of a filter needs at least one")
    try:
        return [rung(strength, keys["settings"]) for strength in keys["strengths"]]
    except InputError as err:
        raise InputError(f"{where}: {err}") from err


def rung(strength: float | None, settings: Mapping[str, str]) -> FilterRung:
    """Return one rung from its strength and settings.

    Args:
        strength: the number that takes the place of ``{strength}``.
        settings: ``filter``.

    Raises:
        InputError: the strength or the filter is missing, or the filter does not have the placeholder.
    """
    for setting in settings:
        if setting != "filter":
            raise unknown_name("setting of a filter", setting, ("filter",))
    if strength is None:
        raise InputError("a filter needs a strength: give a number with --strength")
    if _PLACEHOLDER not in settings.get("filter", ""):
        raise InputError(
            f"the setting 'filter' is {settings.get('filter')!r}, but an FFmpeg filter with {_PLACEHOLDER} in it is "
            f"needed: filter: 'gblur=sigma={_PLACEHOLDER}'"
        )
    return FilterRung(settings["filter"], float(strength))
