"""The one table of codecs: how each is driven through FFmpeg, and how each becomes columns of a model's input.

Adding a codec is one entry of `CODECS`. The columns that models read come from `VOCABULARIES`: closed, ordered
lists that never change once a model was trained on them, so a new codec reads as ``unknown`` there until a new
vocabulary version names it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
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


# Encoders that corpora name and vocabularies have slots for, though nothing here drives them. Preset ordinals and
# ranges of the quality number (best, worst) are those of vocabulary v5; ranges as FFmpeg's wrappers take them.
_NVENC = {"p1": 0, "p2": 2, "p3": 3, "p4": 5, "p5": 6, "p6": 7, "p7": 9}
_QSV = {"veryfast": 2, "faster": 3, "fast": 4, "medium": 5, "slow": 6, "slower": 7, "veryslow": 8}
_AMF = {"speed": 0, "balanced": 3, "quality": 6, "high_quality": 9}
_SVT = {str(preset): round(_ORDINAL_MAX * (13 - preset) / 13) for preset in range(14)}
_AOM = {str(speed): round(_ORDINAL_MAX * (8 - speed) / 8) for speed in range(9)}

_OTHER_ENCODERS: Mapping[str, tuple[Mapping[str, int], tuple[int, int]]] = {
    "libaom-av1": (_AOM, (0, 63)),
    "h264_nvenc": (_NVENC, (0, 51)),
    "hevc_nvenc": (_NVENC, (0, 51)),
    "av1_nvenc": (_NVENC, (0, 63)),
    "h264_amf": (_AMF, (0, 51)),
    "hevc_amf": (_AMF, (0, 51)),
    "av1_amf": (_AMF, (0, 255)),
    "h264_qsv": (_QSV, (1, 51)),
    "hevc_qsv": (_QSV, (1, 51)),
    "av1_qsv": (_QSV, (1, 51)),
    # Its -q:v grows with quality, and it has no presets.
    "h264_videotoolbox": ({}, (100, 0)),
    "hevc_videotoolbox": ({}, (100, 0)),
}
_OTHER_ALIASES = {"libaom": "libaom-av1", "aom": "libaom-av1", "aom-av1": "libaom-av1"}


def encoder_name(name: str) -> str:
    """The name under which vocabularies list an encoder, from its name or an alias; upper case does not matter.

    Raises:
        InputError: neither the project nor any vocabulary knows it; the message quotes the nearest name.
    """
    wanted = name.strip().lower()
    wanted = _ALIASES.get(wanted, _OTHER_ALIASES.get(wanted, wanted))
    if wanted in CODECS or wanted in _OTHER_ENCODERS:
        return wanted
    raise unknown_name("codec", name, [*CODECS, *_OTHER_ENCODERS, *_ALIASES, *_OTHER_ALIASES])


@dataclass(frozen=True)
class QualityAxis:
    """How an encoder's quality number becomes a column: (number - best) / (worst - best).

    Attributes:
        span: (best, worst) of every encoder that has none of its own; None: such a number counts as missing.
        spans: encoder → its own (best, worst).
        clip_at: encoder → number at which its own is clipped first.
        clipped: whether the column is clipped to [0, 1].
        missing: the column where no number is known.
    """

    span: tuple[int, int] | None
    spans: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    clip_at: Mapping[str, int] = field(default_factory=dict)
    clipped: bool = True
    missing: float = 0.5

    def __call__(self, encoder: str | None, number: float | None) -> float:
        """The column of one number; both may be unknown."""
        span = self.spans.get(encoder or "", self.span)
        if number is None or span is None:
            return self.missing
        best, worst = span
        value = (min(number, self.clip_at.get(encoder or "", number)) - best) / (worst - best)
        return min(max(value, 0.0), 1.0) if self.clipped else value


@dataclass(frozen=True)
class Vocabulary:
    """How an encode becomes columns of a model's input: a one-hot over `slots`, the preset, the quality number.

    A vocabulary is closed and frozen. What shapes its columns is hashed, a model's sidecar holds the hash, and
    loading compares it.

    Attributes:
        version: name of this vocabulary ("v1").
        slots: codec names in column order; ``unknown``, where there is such a slot, stands for every encoder that
            has none. An encoder is never put into another one's slot.
        preset_ordinals: encoder → preset → ordinal, divided by 9 in the column. An encoder without an entry has
            `preset_missing` for any preset.
        preset_missing: the column where no preset is known.
        quality: how the quality number becomes a column; None: the block is the one-hot alone.
        legacy: whether the hash is taken over the fields that vocabulary v1 was published with.
    """

    version: str
    slots: tuple[str, ...]
    preset_ordinals: Mapping[str, Mapping[str, int]] = field(repr=False)
    preset_missing: float
    quality: QualityAxis | None = field(repr=False)
    legacy: bool = field(default=False, repr=False)

    @property
    def layout(self) -> tuple[str, ...]:
        """Names of the columns."""
        one_hot = tuple(f"encoder_onehot[{slot}]" for slot in self.slots)
        return one_hot if self.quality is None else (*one_hot, "preset_norm", "crf_norm")

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.layout)

    @property
    def bounded(self) -> bool:
        """Whether every column lies in [0, 1] whatever the quality number is."""
        return self.quality is None or self.quality.clipped

    @cached_property
    def sha256(self) -> str:
        """Hash over everything that shapes the columns; a model's sidecar holds it."""
        from pyvmaf.provenance import content_hash

        presets = {name: dict(table) for name, table in self.preset_ordinals.items()}
        content: dict[str, object] = {"version": self.version, "slots": self.slots, "preset_ordinals": presets}
        content["ordinal_max"] = _ORDINAL_MAX
        if self.legacy and self.quality is not None:
            content["crf_max"] = dict(self.quality.clip_at)
            content |= {"ordinal_missing": _ORDINAL_MISSING, "crf_axis": _CRF_AXIS}
        else:
            content["preset_missing"] = self.preset_missing
            content["quality"] = None if self.quality is None else asdict(self.quality)
        return content_hash(content)

    def slot(self, encoder: str | None) -> str:
        """The slot of an encoder's name or alias; None, "" and "unknown" are an encoder that is not known.

        Raises:
            InputError: no table knows the name, or this vocabulary has neither a slot for it nor one for
                unknown encoders.
        """
        if encoder in self.slots:
            return str(encoder)
        name = UNKNOWN if encoder in (None, "", UNKNOWN) else encoder_name(str(encoder))
        if name in self.slots:
            return name
        if UNKNOWN in self.slots:
            return UNKNOWN
        raise InputError(
            f"codec vocabulary {self.version} has no slot for {name!r}, and none for unknown encoders; its slots: "
            f"{', '.join(self.slots)}. Take a vocabulary that lists it, or leave such rows out"
        )

    def encode(self, encoder: str | None, preset: str | int | None, crf: float | None) -> list[float]:
        """The columns of one encode.

        Args:
            encoder: name or alias of the codec; None or "unknown" where nothing is known.
            preset: the encoder's preset; None where it is not known.
            crf: the quality number; None where it is not known.

        Raises:
            InputError: an encoder that has no place here, a preset that the encoder has not, or a quality number
                below 0 or not finite.
        """
        if encoder in (None, "", UNKNOWN) and preset is None and crf is None:
            return self.blind()
        slot = self.slot(encoder)
        columns = [float(name == slot) for name in self.slots]
        if self.quality is None:
            return columns
        if crf is not None and not 0 <= crf < float("inf"):
            raise InputError(f"CRF {crf} of {encoder} is no quality number: it must be 0 or more")
        column = self.preset_missing
        table = self.preset_ordinals.get(slot)
        if preset is not None and table:
            if str(preset) not in table:
                raise unknown_name(f"preset of {slot}", str(preset), table)
            column = table[str(preset)] / _ORDINAL_MAX
        return [*columns, column, self.quality(slot, crf)]

    def blind(self) -> list[float]:
        """The columns for a video of which nothing is known: slot ``unknown``, the middle of both axes.

        Raises:
            InputError: there is no such slot.
        """
        # A single slot tells nothing apart: it is what every video has.
        one_hot = [1.0] if len(self.slots) == 1 else [float(name == self.slot(None)) for name in self.slots]
        return one_hot if self.quality is None else [*one_hot, 0.5, 0.5]

    @property
    def blind_or_none(self) -> list[float] | None:
        """As `blind`, or None where the vocabulary has no slot for an unknown encoder."""
        return self.blind() if UNKNOWN in self.slots or len(self.slots) == 1 else None


_V1 = ("libx264", "libx265", "libsvtav1", "libvvenc", "libvpx-vp9")
_HARDWARE = ("h264_nvenc", "hevc_nvenc", "av1_nvenc", "h264_qsv", "hevc_qsv", "av1_qsv")
_V1_ORDINALS = {name: CODECS[name].preset_ordinals for name in _V1}
_V5_ORDINALS = {
    **{name: _SVT if name == "libsvtav1" else ordinals for name, ordinals in _V1_ORDINALS.items()},
    **{name: ordinals for name, (ordinals, _) in _OTHER_ENCODERS.items() if ordinals},
}
_V5_RANGES = {
    **{name: (CODECS[name].crf_min, CODECS[name].crf_max) for name in _V1},
    **{name: span for name, (_, span) in _OTHER_ENCODERS.items()},
}

VOCABULARIES: dict[str, Vocabulary] = {
    entry.version: entry
    for entry in (
        # The published card of fr_regressor_v2.
        Vocabulary(
            version="v1",
            slots=(*_V1, UNKNOWN),
            preset_ordinals=_V1_ORDINALS,
            preset_missing=_ORDINAL_MISSING / _ORDINAL_MAX,
            quality=QualityAxis((0, _CRF_AXIS), clip_at={name: CODECS[name].crf_max for name in _V1}),
            legacy=True,
        ),
        # fr_regressor_v2 as it was shipped, and the ensemble's members: no clipping, and a missing CRF is x264's
        # default.
        Vocabulary(
            version="v2",
            slots=(*_V1, *_HARDWARE, UNKNOWN),
            preset_ordinals={**_V1_ORDINALS, **{name: _OTHER_ENCODERS[name][0] for name in _HARDWARE}},
            preset_missing=_ORDINAL_MISSING / _ORDINAL_MAX,
            quality=QualityAxis((0, _CRF_AXIS), clipped=False, missing=23 / _CRF_AXIS),
        ),
        # fr_regressor_v3 as it was shipped: presets are not told apart, and the quality number counts from 19 to 37,
        # the ends of the corpus that it was trained on. Where the original put an encoder without a slot into that
        # of libx264, it is refused here.
        Vocabulary(
            version="v3",
            slots=(
                *("libx264", "libaom-av1", "libx265", "h264_nvenc", "hevc_nvenc", "av1_nvenc", "h264_amf", "hevc_amf"),
                *("av1_amf", "h264_qsv", "hevc_qsv", "av1_qsv", "libvvenc", "libsvtav1", "h264_videotoolbox"),
                "hevc_videotoolbox",
            ),
            preset_ordinals={},
            preset_missing=0.5,
            quality=QualityAxis((19, 37), clipped=False),
        ),
        # The MOS head's: user-generated videos, whatever encoded them.
        Vocabulary(version="v4", slots=("ugc-mixed",), preset_ordinals={}, preset_missing=0.5, quality=None),
        # Every encoder above, with what was wrong set right: ordinals grow with slowness for each encoder, and a
        # quality number counts over its encoder's own range.
        Vocabulary(
            version="v5",
            slots=(*_V1, *_OTHER_ENCODERS, UNKNOWN),
            preset_ordinals=_V5_ORDINALS,
            preset_missing=0.5,
            quality=QualityAxis(None, spans=_V5_RANGES),
        ),
        # The same for the encoders that the project drives itself.
        Vocabulary(
            version="v6",
            slots=(*_V1, UNKNOWN),
            preset_ordinals={name: _V5_ORDINALS[name] for name in _V1},
            preset_missing=0.5,
            quality=QualityAxis(None, spans={name: _V5_RANGES[name] for name in _V1}),
        ),
    )
}


def vocabulary(version: str) -> Vocabulary:
    """The vocabulary of that version.

    Raises:
        InputError: there is none.
    """
    if version not in VOCABULARIES:
        raise unknown_name("codec vocabulary", version, VOCABULARIES)
    return VOCABULARIES[version]
