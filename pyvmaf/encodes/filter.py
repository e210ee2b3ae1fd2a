"""The distortion ``filter``: frames through an FFmpeg filter, stored lossless, so that nothing but the filter shows.

A ladder has one filter with the placeholder ``{strength}``, such as ``gblur=sigma={strength}`` or
``noise=alls={strength}:all_seed=1``, and a list of strengths.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pyvmaf.base.table import Row
from pyvmaf.encodes.distortion import Made, Reference, refuse
from pyvmaf.errors import InputError, unknown_name

if TYPE_CHECKING:
    from pyvmaf.video.ffmpeg import Advance, FFmpeg
    from pyvmaf.video.format import Format

_PLACEHOLDER = "{strength}"

FILTERS: Row[str] = (
    "amplify atadenoise avgblur bilateral blend boxblur bwdif cas chromanr chromashift colorbalance colorchannelmixer "
    "colorcontrast colorcorrect colorlevels colortemperature convolution crop dblur dctdnoiz deband deblock deflate "
    "deflicker dilation drawbox drawgrid edgedetect elbg eq erosion exposure extractplanes fade fftdnoiz fillborders "
    "format fps framestep gblur geq gradfun greyedge hflip histeq hqdn3d hue huesaturation inflate interlace kerndeint "
    "lagfun lenscorrection limiter lut lutrgb lutyuv median mergeplanes monochrome negate nlmeans noise normalize null "
    "overlay owdenoise pad perspective pixelize pp7 removegrain rgbashift rotate sab scale separatefields setsar shear "
    "smartblur sobel split spp swapuv tblend telecine tinterlace tmedian tmix transpose unsharp vaguedenoiser vflip "
    "vibrance vignette weave yadif zoompan"
)
"""Names of the filters that a distortion may use: they read frames alone, and no file."""


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

    def pix_fmt(self, form: Format, where: str) -> str:
        """Return the pixel format of the filtered clip, which is its own.

        Raises:
            InputError: lossless H.264 does not take the clip's chroma or bits.
        """
        from pyvmaf.codecs.encoders import ENCODERS

        return ENCODERS["libx264"].pixel_format(form.chroma, form.bit_depth)

    def make(self, reference: Reference, output: Path, *, tool: FFmpeg, threads: int, advance: Advance | None) -> Made:
        """Filter the reference and store the result as lossless H.264.

        Raises:
            InputError: lossless H.264 does not take the reference's chroma or bits.
            IncompleteError, UnavailableError, PyvmafError, OSError: see `transcode.transcode`.
        """
        from pyvmaf.encodes.transcode import transcode

        pix_fmt = self.pix_fmt(reference.video.format, str(reference.path))
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
    refuse(where, keys, ("encoder", "presets", "crfs", "bit_depth", "extra", "recipes"))
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
        InputError: the strength or the filter is missing, the filter does not have the placeholder, or it is not one of
            `FILTERS`.
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
    if not 0 <= strength < float("inf"):
        raise InputError(f"the strength is {strength:g}, but a number of 0 or more is needed")
    _check_filter(settings["filter"])
    return FilterRung(settings["filter"], float(strength))


def _check_filter(text: str) -> None:
    """Refuse filters that may read or write files, and values that are read from files.

    Raises:
        InputError: a filter is not one of `FILTERS`, or one of its values is the name of a file.
    """
    for part in _parts(text, ",;"):
        # Labels of a graph: [a][b]blend=…[c].
        name, _, values = re.sub(r"^(\s*\[[^][]*\])+|(\[[^][]*\]\s*)+$", "", part).strip().partition("=")
        name = name.strip().partition("@")[0]
        if name not in FILTERS.split():
            near = difflib.get_close_matches(name, FILTERS.split(), n=1)
            hint = f": did you mean {near[0]!r}?" if near else ""
            raise InputError(
                f"the filter {name!r} is not one that a distortion may use{hint}; docs/encodes.md lists those, which "
                "read frames alone and no file"
            )
        for value in _parts(values, ":|"):
            if value.lstrip().startswith("/"):
                raise InputError(
                    f"{value.strip()!r} in the filter {text!r} would be read from a file: write the value itself"
                )


def _parts(text: str, separators: str) -> Iterator[str]:
    """Split a filter graph at separators outside of quotation marks, as FFmpeg does."""
    part, quoted = "", False
    characters = iter(text)
    for character in characters:
        if character == "'":
            quoted = not quoted
        elif character in separators and not quoted:
            yield part
            part = ""
            continue
        part += character
        if character == "\\" and not quoted:
            part += next(characters, "")
    yield part
