"""The distortion ``encoder``: a lossy encode through FFmpeg. The CRF is its strength."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pyvmaf.base.table import row_hash
from pyvmaf.codecs.encoders import ENCODERS, Encoder, rung_name
from pyvmaf.codecs.encoders import encoder as find_encoder
from pyvmaf.codecs.options import check_extra
from pyvmaf.encodes.distortion import Made, Reference, refuse
from pyvmaf.errors import InputError, PyvmafError, StoppedError, unknown_name

if TYPE_CHECKING:
    from pyvmaf.encodes.transcode import Transcoded
    from pyvmaf.video.ffmpeg import Advance, FFmpeg
    from pyvmaf.video.format import Format
    from pyvmaf.video.reader import Reader

_SETTINGS = ("codec", "preset", "crf", "bit_depth", "extra")


@dataclass(frozen=True)
class EncoderRung:
    """One encode.

    Attributes:
        encoder: FFmpeg's name of the encoder.
        preset: one of its presets.
        crf: its quality number; a higher number is a stronger distortion.
        bit_depth: 8 or 10; None for the reference's, or the encoder's only one.
        extra: further options for FFmpeg, word by word.
        recipe: name of a set of options among them, as part of the rung's name; "" for none.
    """

    encoder: str
    preset: str
    crf: int
    bit_depth: int | None = None
    extra: tuple[str, ...] = ()
    recipe: str = ""

    kind: ClassVar[str] = "encoder"

    @property
    def name(self) -> str:
        """``{preset}-crf{crf}``, or ``{preset}-{recipe}-crf{crf}``."""
        return rung_name(self.preset, self.crf, self.recipe)

    @property
    def strength(self) -> float:
        """The CRF, which orders encodes by one encoder with one preset."""
        return float(self.crf)

    @property
    def settings(self) -> dict[str, Any]:
        """Settings by name."""
        return {
            "codec": self.encoder,
            "preset": self.preset,
            "crf": self.crf,
            "bit_depth": self.bit_depth,
            "extra": list(self.extra),
        }

    @property
    def identity(self) -> dict[str, str]:
        """Hash of the encoder's row."""
        return {"encoder": row_hash(ENCODERS[self.encoder])}

    def options(self) -> list[str]:
        """The settings as options of ``vmaf-train encode``."""
        words = ["--codec", self.encoder, "--preset", self.preset, "--crf", str(self.crf)]
        if self.bit_depth is not None:
            words += ["--bit-depth", str(self.bit_depth)]
        return [*words, f"--extra={shlex.join(self.extra)}"] if self.extra else words

    def pix_fmt(self, form: Format, where: str) -> str:
        """Return the pixel format of the encode of a clip.

        Raises:
            InputError: the encoder does not take the clip's size, chroma or bits.
        """
        entry = ENCODERS[self.encoder]
        if entry.even_size and not form.even:
            across, down = form.chroma_step
            raise InputError(
                f"{entry.name} takes no odd sizes, but {where} is {form.width}x{form.height} with chroma {form.chroma}: "
                f"prepare it, which crops to {form.width - form.width % across}x{form.height - form.height % down}"
            )
        return entry.pixel_format(form.chroma, bit_depth_for(entry, form.bit_depth, self.bit_depth))

    def make(self, reference: Reference, output: Path, *, tool: FFmpeg, threads: int, advance: Advance | None) -> Made:
        """Encode the reference.

        Raises:
            InputError: the encoder does not take the reference's size, chroma or bits.
            IncompleteError, UnavailableError, PyvmafError, OSError: see `transcode.transcode`; also if the stream states
                another encoder or CRF.
        """
        from tempfile import TemporaryDirectory

        from pyvmaf.codecs.internals import asking, internals

        entry = ENCODERS[self.encoder]
        # Not beside the output: x264 adds a file with two bytes for each macroblock, which nobody needs.
        with TemporaryDirectory(prefix="pyvmaf-encode-") as folder:
            statistics = Path(folder, "statistics")
            asked = asking(entry.name, statistics)
            result = self.encode(reference, output, tool=tool, threads=threads, advance=advance, asked=asked)
            inside = _sizes(result.reader) | internals(entry.name, statistics, lambda: _headers(output, tool))
        pix_fmt, arguments = self._arguments(reference, threads)
        record = {
            "encoder": entry.name,
            "encoder_version": entry.parse_version(result.log) or "unknown",
            "preset": self.preset,
            "crf": self.crf,
            # Everything after codec, preset, quality number and pixel format, which have keys of their own.
            "extra_params": arguments[8:],
            **{f"enc_internal_{name}": value for name, value in inside.items()},
        }
        return Made(pix_fmt, arguments, result.seconds, record)

    def encode(
        self,
        reference: Reference,
        output: Path,
        *,
        tool: FFmpeg,
        threads: int,
        advance: Advance | None,
        asked: Sequence[str] = (),
    ) -> Transcoded:
        """Encode the reference as `make` does, to the same bytes, and check the result, but state nothing of it.

        Args:
            reference, output, tool, threads, advance: as of `make`.
            asked: options of FFmpeg that make the encoder state its decisions.
        """
        from pyvmaf.codecs.stated import stated_in
        from pyvmaf.encodes.transcode import transcode

        entry = ENCODERS[self.encoder]
        pix_fmt, arguments = self._arguments(reference, threads)
        result = transcode(
            reference,
            output,
            [*entry.on_this_machine(arguments), *asked],
            pix_fmt,
            tool=tool,
            what=f"encode {reference.path} with {entry.name}",
            attempts=entry.attempts,
            advance=advance,
        )
        found = stated_in(result.reader)
        if found is not None and not (found.encoder == entry.name and found.agrees(self.crf)):
            raise PyvmafError(
                f"cannot encode {reference.path}: {entry.name} with CRF {self.crf} was asked for, but the stream states "
                f"{found.encoder} with {found.settings} (FFmpeg {tool.version})"
            )
        return result

    def _arguments(self, reference: Reference, threads: int) -> tuple[str, list[str]]:
        """Return the pixel format of the encode of a clip and the options of FFmpeg, whatever the machine."""
        pix_fmt = self.pix_fmt(reference.video.format, str(reference.path))
        return pix_fmt, ENCODERS[self.encoder].arguments(self.preset, self.crf, pix_fmt, self.extra, threads)


def _sizes(reader: Reader) -> dict[str, float]:
    """Mean and standard deviation (ddof 0) of the sizes of the coded pictures, bits."""
    bits = [8 * packet.size for packet in reader.packets()]
    mean = fsum(bits) / len(bits)
    return {"bits_mean": mean, "bits_std": sqrt(fsum((size - mean) ** 2 for size in bits) / len(bits))}


def _headers(path: Path, tool: FFmpeg) -> str:
    """Headers of the pictures of an encode, a line per field; "" if this FFmpeg cannot print them."""
    from pyvmaf.video.ffmpeg import run

    words: list[str | Path] = ["-i", path, *("-map", "0:v", "-c", "copy", "-bsf:v", "trace_headers", "-f", "null", "-")]
    try:
        return run(tool, words, what=f"read the headers of {path}")
    except StoppedError:
        raise
    except PyvmafError:
        return ""


def encoder_rung(
    codec: str,
    preset: str | int,
    crf: int,
    *,
    bit_depth: int | None = None,
    extra: Sequence[str] = (),
    recipe: str = "",
) -> EncoderRung:
    """Return the encode with these settings after a check of each.

    Args:
        codec: name or alias of an encoder.
        preset: one of its presets.
        crf: a quality number in its range.
        bit_depth: 8 or 10; None for the reference's, or the encoder's only one.
        extra: further options for FFmpeg, word by word.
        recipe: name of a set of options among them.

    Raises:
        InputError: the encoder is unknown, or does not have the preset, CRF or bits, or an extra option is refused.
    """
    entry = find_encoder(codec)
    check_extra(entry.name, entry.params_option, extra)
    rung = EncoderRung(entry.name, entry.check_preset(preset), entry.check_crf(crf), bit_depth, tuple(extra), recipe)
    if bit_depth is not None:
        bit_depth_for(entry, bit_depth, bit_depth)
    return rung


def ladder(name: str, keys: Mapping[str, Any]) -> list[EncoderRung]:
    """Return the rungs of a ladder of the configuration: each preset with each CRF, as it is and with each recipe.

    Raises:
        InputError: a key is missing or does not suit an encoder.
    """
    where = f"ladder {name!r} of the configuration"
    refuse(where, keys, ("strengths", "settings"))
    for key in ("presets", "crfs"):
        if not keys[key]:
            raise InputError(f"{where} has no {key}: a ladder of an encoder needs at least one")
    try:
        return [
            encoder_rung(
                keys["encoder"] or name,
                preset,
                crf,
                bit_depth=keys["bit_depth"],
                extra=[*keys["extra"], *options],
                recipe=recipe,
            )
            for recipe, options in {"": [], **keys["recipes"]}.items()
            for preset in keys["presets"]
            for crf in keys["crfs"]
        ]
    except InputError as err:
        raise InputError(f"{where}: {err}") from err


def rung(strength: float | None, settings: Mapping[str, str]) -> EncoderRung:
    """Return one encode from options of the command line.

    Args:
        strength: the CRF; None for the setting ``crf``, or the encoder's default.
        settings: ``codec``, and ``preset``, ``crf``, ``bit_depth`` and ``extra`` as text.

    Raises:
        InputError: a setting is missing, unknown, or has a value that is not allowed.
    """
    for setting in settings:
        if setting not in _SETTINGS:
            raise unknown_name("setting of an encoder", setting, _SETTINGS)
    if "codec" not in settings:
        raise InputError(f"name an encoder with --codec: {', '.join(ENCODERS)}")
    entry = find_encoder(settings["codec"])
    crf = _whole("crf", settings.get("crf", f"{entry.crf_default if strength is None else strength:g}"))
    return encoder_rung(
        entry.name,
        settings.get("preset", entry.preset_default),
        crf,
        bit_depth=_whole("bit_depth", settings["bit_depth"]) if "bit_depth" in settings else None,
        extra=split_extra(settings.get("extra", "")),
    )


def _whole(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError as err:
        raise InputError(f"{name} is {text!r}, but a whole number is needed") from err


def bit_depth_for(entry: Encoder, reference: int, wanted: int | None) -> int:
    """Return the bits per sample of an encode.

    Args:
        entry: the encoder.
        reference: bits of the reference.
        wanted: bits of the request; None for those of the reference, or the next higher ones that the encoder writes.

    Raises:
        InputError: the reference has more bits than the encoder writes and no bits were requested, or the encoder does
            not write the requested bits.
    """
    depths = ", ".join(map(str, entry.bit_depths))
    if wanted is not None:
        if wanted not in entry.bit_depths:
            raise InputError(f"{entry.name} writes {depths} bits per sample, but {wanted} were asked for")
        return wanted
    fitting = [depth for depth in entry.bit_depths if depth >= reference]
    if not fitting:
        raise InputError(
            f"the reference has {reference} bits per sample, but {entry.name} writes {depths}: ask for one of them"
        )
    return min(fitting)


def split_extra(text: str) -> list[str]:
    """Split an option string into words as a shell does: "-cpu-used 5 -row-mt 0".

    Raises:
        InputError: a quotation mark is not closed.
    """
    try:
        return shlex.split(text)
    except ValueError as err:
        raise InputError(f"extra options {text!r} cannot be split into words: {err}") from err
