"""The one table of codecs: how each is driven through FFmpeg, and how each becomes columns of a model's input.

Adding a codec is one entry of `CODECS`. The columns that models read come from `VOCABULARIES`: closed, ordered
lists that never change once a model was trained on them, so a new codec reads as ``unknown`` there until a new
vocabulary version names it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from pyvmaf.errors import InputError, unknown_name

UNKNOWN = "unknown"

# The axis of preset ordinals: 0 is the fastest preset, 9 the slowest.
_ORDINAL_MAX = 9
_ORDINAL_MISSING = 5
# The widest CRF axis of any codec here (AV1, VP9 and VVC quantisers).
_CRF_AXIS = 63


@dataclass(frozen=True)
class Codec:
    """One encoder of FFmpeg and everything that the project knows about it.

    Attributes:
        name: the encoder's name in FFmpeg, and the codec's name everywhere else.
        presets: valid presets, slowest first.
        preset_default: the preset that is meant when none is named.
        preset_ordinals: preset → 0 (fastest) … 9 (slowest), as vocabulary v1 publishes them.
        crf_min, crf_max: inclusive range of the quality number; smaller is better quality.
        crf_default: the quality number of the encoder's own default or common advice.
        bit_depths: bits per sample that it can write, the preferred one first.
        chroma: chroma subsamplings that it takes ("420", "422", "444").
        aliases: other names that people use for it.
        quality_option, preset_option: FFmpeg options that carry the quality number and the preset.
        options: further options of every encode; a caller's extra options come later and win.
        params_option: FFmpeg option that carries the encoder's own ``key=value:…`` list.
        thread_params: entries of that list that pin the thread count; ``{threads}`` is replaced by it, and
            ``{pool}`` by the threads beside the calling one, 0 for a single thread.
        attempts: how often to encode before an incomplete result counts as an error.
        even_size: whether it refuses sizes that are no multiple of the chroma subsampling.
        version: pattern that finds the encoder's version in FFmpeg's log, in group 1.
    """

    name: str
    presets: tuple[str, ...]
    preset_default: str
    preset_ordinals: Mapping[str, int]
    crf_min: int
    crf_max: int
    crf_default: int
    bit_depths: tuple[int, ...]
    chroma: tuple[str, ...]
    aliases: tuple[str, ...]
    version: str
    quality_option: str = "-crf"
    preset_option: str = "-preset"
    options: tuple[str, ...] = ()
    params_option: str | None = None
    thread_params: tuple[str, ...] = ()
    attempts: int = 1
    even_size: bool = False

    @property
    def encoder(self) -> str:
        """FFmpeg's name of the encoder."""
        return self.name

    def check_preset(self, preset: str | int) -> str:
        """`preset` as the string that FFmpeg takes.

        Raises:
            InputError: the codec has no such preset.
        """
        if str(preset) not in self.presets:
            raise unknown_name(f"preset of {self.name}", str(preset), self.presets)
        return str(preset)

    def check_crf(self, crf: int) -> int:
        """`crf` if it lies in the codec's range.

        Raises:
            InputError: it does not.
        """
        if not self.crf_min <= crf <= self.crf_max:
            raise InputError(
                f"CRF {crf} is outside of the range of {self.name}, {self.crf_min} to {self.crf_max}: "
                "choose a number inside"
            )
        return crf

    def pixel_format(self, chroma: str, bit_depth: int) -> str:
        """FFmpeg's name of the planar YUV format to encode.

        Args:
            chroma: subsampling of the reference ("420", "422", "444").
            bit_depth: bits per sample of the encode.

        Raises:
            InputError: the codec does not take the one or the other.
        """
        if chroma not in self.chroma:
            raise InputError(
                f"{self.name} takes chroma {', '.join(self.chroma)}, but the reference has {chroma}: "
                "give the corpus entry a pix_fmt that it takes, so that the reference is converted once"
            )
        if bit_depth not in self.bit_depths:
            depths = ", ".join(map(str, self.bit_depths))
            raise InputError(f"{self.name} writes {depths} bits per sample, but {bit_depth} were asked for")
        return f"yuv{chroma}p" if bit_depth == 8 else f"yuv{chroma}p{bit_depth}le"

    def arguments(
        self, preset: str | int, crf: int, pixel_format: str, extra: Sequence[str] = (), threads: int = 1
    ) -> list[str]:
        """FFmpeg's output options for one encode.

        The thread count is part of them, because some encoders write other bytes with another count.

        Args:
            preset: one of `presets`.
            crf: quality number inside the range.
            pixel_format: as from `pixel_format`.
            extra: further FFmpeg options, as alternating words; the last of two equal options wins, and entries of
                `params_option` are merged.
            threads: encoder threads.

        Raises:
            InputError: preset or CRF are not the codec's, or `extra` sets what is set elsewhere.
        """
        pool = 0 if threads == 1 else threads
        params = [item.format(threads=threads, pool=pool) for item in self.thread_params]
        kept: list[str] = []
        words = iter(extra)
        for word in words:
            if word == self.params_option:
                params.append(next(words, ""))
            elif word in _RESERVED or word in (self.quality_option, self.preset_option):
                raise InputError(f"the extra option {word} of {self.name} is set by the project: leave it out")
            else:
                kept.append(word)
        arguments = ["-c:v", self.name, self.preset_option, self.check_preset(preset)]
        arguments += [self.quality_option, str(self.check_crf(crf)), "-pix_fmt", pixel_format]
        arguments += ["-threads", str(threads), *self.options, *kept]
        if self.params_option and params:
            arguments += [self.params_option, ":".join(params)]
        return arguments

    def parse_version(self, log: str) -> str | None:
        """The encoder's version as it stands in FFmpeg's log, None where it does not say."""
        found = re.search(self.version, log)
        return found.group(1).strip() if found else None


# What an encode's own arguments, input and output fix; an extra option must not fight with them.
_RESERVED = frozenset(
    {
        *("-i", "-y", "-n", "-f", "-c:v", "-codec:v", "-vcodec", "-pix_fmt", "-threads", "-map", "-vf", "-filter:v"),
        *("-frames:v", "-vframes", "-fps_mode", "-vsync", "-r", "-s", "-ss", "-t", "-to", "-fflags", "-map_metadata"),
        *("-progress", "-crf", "-qp", "-pass"),
    }
)

_X26X = ("placebo", "veryslow", "slower", "slow", "medium", "fast", "faster", "veryfast", "superfast", "ultrafast")
_X26X_ORDINALS = {name: 9 - place for place, name in enumerate(_X26X)}

_TABLE = (
    Codec(
        name="libx264",
        presets=_X26X,
        preset_default="medium",
        preset_ordinals=_X26X_ORDINALS,
        crf_min=0,
        crf_max=51,
        crf_default=23,
        bit_depths=(8, 10),
        chroma=("420", "422", "444"),
        aliases=("x264", "h264", "avc"),
        version=r"\[libx264 @ \w+\] 264 - (core \d+(?: r\S+)?)",
        params_option="-x264-params",
        even_size=True,
    ),
    Codec(
        name="libx265",
        presets=_X26X,
        preset_default="medium",
        preset_ordinals=_X26X_ORDINALS,
        crf_min=0,
        crf_max=51,
        crf_default=28,
        bit_depths=(8, 10),
        chroma=("420", "422", "444"),
        aliases=("x265", "h265", "hevc"),
        version=r"x265 \[info\]: HEVC encoder version (\S+)",
        params_option="-x265-params",
        # Its pool is sized by the machine otherwise, and the frame threads change the bytes.
        thread_params=("pools={threads}", "frame-threads={threads}"),
        even_size=True,
    ),
    Codec(
        name="libsvtav1",
        presets=tuple(str(number) for number in range(14)),
        preset_default="8",
        # Published like this and therefore kept: SVT's numbers grow with speed, so this row runs against the axis
        # (preset 0 is its slowest and gets 0). Another direction would be another vocabulary version.
        preset_ordinals={str(number): min(number, _ORDINAL_MAX) for number in range(14)},
        # To FFmpeg's wrapper 0 means "not set".
        crf_min=1,
        crf_max=63,
        crf_default=35,
        bit_depths=(8, 10),
        chroma=("420",),
        aliases=("svtav1", "svt-av1", "av1"),
        version=r"SVT-AV1 Encoder Lib (\S+)",
        params_option="-svtav1-params",
        thread_params=("lp={threads}",),
    ),
    Codec(
        name="libvvenc",
        presets=("slower", "slow", "medium", "fast", "faster"),
        preset_default="faster",
        preset_ordinals={"slower": 8, "slow": 7, "medium": 5, "fast": 3, "faster": 1},
        crf_min=0,
        crf_max=63,
        crf_default=32,
        # FFmpeg's wrapper takes 10 bits only: an 8-bit reference is widened, and the record says so.
        bit_depths=(10,),
        chroma=("420",),
        aliases=("vvenc", "vvc", "h266"),
        version=r"libvvenc version: (\S+)",
        quality_option="-qp",
        params_option="-vvenc-params",
        # With a thread pool, even one of a single thread, it loses a race in about one of ten short clips and ends
        # before the frames that it holds back are written, without an error. Without a pool it never did.
        thread_params=("threads={pool}",),
        attempts=5,
        even_size=True,
    ),
    Codec(
        name="libvpx-vp9",
        presets=("best", "good", "realtime"),
        preset_default="good",
        preset_ordinals={"best": 9, "good": 5, "realtime": 0},
        crf_min=0,
        crf_max=63,
        crf_default=32,
        bit_depths=(8, 10),
        chroma=("420", "422", "444"),
        aliases=("vpx-vp9", "libvpx", "vp9"),
        version=r"\[libvpx-vp9 @ \w+\] (v\S+)",
        preset_option="-deadline",
        # Constant quality needs the bitrate set to none.
        options=("-b:v", "0", "-cpu-used", "4"),
    ),
)

CODECS: dict[str, Codec] = {entry.name: entry for entry in _TABLE}
_ALIASES = {alias: entry.name for entry in _TABLE for alias in entry.aliases}


def rung_name(preset: str | int, crf: int) -> str:
    """Name of a rung, which is also the stem of its file: "medium-crf28"."""
    return f"{preset}-crf{crf}"


def codec(name: str) -> Codec:
    """The codec of that name or alias ("libx264", "x264", "h264", "avc" are one); upper case does not matter.

    Raises:
        InputError: no codec has it; the message quotes the nearest name.
    """
    wanted = name.strip().lower()
    found = CODECS.get(_ALIASES.get(wanted, wanted))
    if found is None:
        raise unknown_name("codec", name, [*CODECS, *_ALIASES])
    return found


@dataclass(frozen=True)
class Vocabulary:
    """How an encode becomes columns of a model's input.

    The block is a one-hot over `slots`, then the preset's ordinal / 9, then the quality number / 63; every column
    lies in [0, 1]. The source of layout and ordinals is the published card of fr_regressor_v2.

    Attributes:
        version: name of this vocabulary ("v1").
        slots: codec names in column order; the last one stands for every codec that has no slot.
        preset_ordinals: codec → preset → ordinal, frozen with the version.
        crf_max: codec → the number at which its CRF is clipped, frozen with the version.
    """

    version: str
    slots: tuple[str, ...]
    preset_ordinals: Mapping[str, Mapping[str, int]] = field(repr=False)
    crf_max: Mapping[str, int] = field(repr=False)

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.slots) + 2

    @cached_property
    def sha256(self) -> str:
        """Hash over everything that shapes the columns; a model's sidecar holds it."""
        from pyvmaf.provenance import content_hash

        return content_hash(
            {
                "version": self.version,
                "slots": self.slots,
                "preset_ordinals": {name: dict(table) for name, table in self.preset_ordinals.items()},
                "crf_max": dict(self.crf_max),
                "ordinal_max": _ORDINAL_MAX,
                "ordinal_missing": _ORDINAL_MISSING,
                "crf_axis": _CRF_AXIS,
            }
        )

    def encode(self, encoder: str | None, preset: str | int | None, crf: float | None) -> list[float]:
        """The columns of one encode.

        Args:
            encoder: name or alias of the codec; None or "unknown" where nothing is known.
            preset: the encoder's preset; None counts as the middle, 5 of 9.
            crf: the quality number, clipped to the encoder's range; None is the middle of the axis.

        Raises:
            InputError: a codec or preset that no table knows, or a CRF below 0 or not finite.
        """
        known = None if encoder in (None, "", UNKNOWN) else codec(str(encoder))
        if known is None and preset is None and crf is None:
            return self.blind()
        slot = known.name if known is not None and known.name in self.slots else UNKNOWN
        columns = [float(name == slot) for name in self.slots]
        ordinal: float = _ORDINAL_MISSING
        if preset is not None and known is not None:
            table = self.preset_ordinals.get(known.name, known.preset_ordinals)
            ordinal = table[known.check_preset(preset)]
        columns.append(ordinal / _ORDINAL_MAX)
        if crf is None:
            columns.append(0.5)
        elif not 0 <= crf < float("inf"):
            raise InputError(f"CRF {crf} of {encoder} is no quality number: it must be 0 or more")
        else:
            top = _CRF_AXIS if known is None else self.crf_max.get(known.name, known.crf_max)
            columns.append(min(crf, top) / _CRF_AXIS)
        return columns

    def blind(self) -> list[float]:
        """The columns for a video of which nothing is known: slot ``unknown``, the middle of both axes."""
        return [*(float(name == UNKNOWN) for name in self.slots), 0.5, 0.5]


_V1 = ("libx264", "libx265", "libsvtav1", "libvvenc", "libvpx-vp9")

VOCABULARIES: dict[str, Vocabulary] = {
    "v1": Vocabulary(
        version="v1",
        slots=(*_V1, UNKNOWN),
        preset_ordinals={name: CODECS[name].preset_ordinals for name in _V1},
        crf_max={name: CODECS[name].crf_max for name in _V1},
    ),
}


def vocabulary(version: str) -> Vocabulary:
    """The vocabulary of that version.

    Raises:
        InputError: there is none.
    """
    if version not in VOCABULARIES:
        raise unknown_name("codec vocabulary", version, VOCABULARIES)
    return VOCABULARIES[version]
