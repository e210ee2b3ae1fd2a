"""How an encode becomes columns of a model's input: closed, frozen vocabularies.

A published vocabulary never changes, because models were trained on its columns. An encoder that a vocabulary does
not list is ``unknown`` there until a new version names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property

from pyvmaf.base.table import Row, Table
from pyvmaf.codecs.encoders import ALIASES, ENCODERS
from pyvmaf.errors import InputError, unknown_name

UNKNOWN = "unknown"

# The axis of preset ordinals: 0 is the fastest preset, 9 the slowest.
_ORDINAL_MAX = 9
_ORDINAL_MISSING = 5
# The widest CRF axis of any codec here (AV1, VP9 and VVC quantisers).
_CRF_AXIS = 63


# Encoders that corpora name and vocabularies have slots for, though nothing here drives them. Preset ordinals and
# ranges of the quality number (best, worst) are those of vocabulary v5; ranges as FFmpeg's wrappers take them.
_NVENC: Row[Mapping[str, int]] = {"p1": 0, "p2": 2, "p3": 3, "p4": 5, "p5": 6, "p6": 7, "p7": 9}
_QSV: Row[Mapping[str, int]] = {
    "veryfast": 2,
    "faster": 3,
    "fast": 4,
    "medium": 5,
    "slow": 6,
    "slower": 7,
    "veryslow": 8,
}
_AMF: Row[Mapping[str, int]] = {"speed": 0, "balanced": 3, "quality": 6, "high_quality": 9}
_SVT: Row[Mapping[str, int]] = {str(preset): round(_ORDINAL_MAX * (13 - preset) / 13) for preset in range(14)}
_AOM: Row[Mapping[str, int]] = {str(speed): round(_ORDINAL_MAX * (8 - speed) / 8) for speed in range(9)}

_OTHER_ENCODERS: Table[tuple[Mapping[str, int], tuple[int, int]]] = {
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
_OTHER_ALIASES: Table[str] = {"libaom": "libaom-av1", "aom": "libaom-av1", "aom-av1": "libaom-av1"}


def encoder_name(name: str) -> str:
    """The name under which vocabularies list an encoder, from its name or an alias; upper case does not matter.

    Raises:
        InputError: neither the project nor any vocabulary knows it; the message quotes the nearest name.
    """
    wanted = name.strip().lower()
    wanted = ALIASES.get(wanted, _OTHER_ALIASES.get(wanted, wanted))
    if wanted in ENCODERS or wanted in _OTHER_ENCODERS:
        return wanted
    raise unknown_name("codec", name, [*ENCODERS, *_OTHER_ENCODERS, *ALIASES, *_OTHER_ALIASES])


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
            has none, and so does a single slot. An encoder is never put into another one's slot.
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
        from pyvmaf.base.files import content_hash

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
        if len(self.slots) == 1:
            return self.slots[0]  # a single slot is what every video has
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
        one_hot = [float(name == self.slot(None)) for name in self.slots]
        return one_hot if self.quality is None else [*one_hot, 0.5, 0.5]

    @property
    def blind_or_none(self) -> list[float] | None:
        """As `blind`, or None where the vocabulary has no slot for an unknown encoder."""
        return self.blind() if UNKNOWN in self.slots or len(self.slots) == 1 else None


_V1: Row[tuple[str, ...]] = ("libx264", "libx265", "libsvtav1", "libvvenc", "libvpx-vp9")
_HARDWARE: Row[tuple[str, ...]] = ("h264_nvenc", "hevc_nvenc", "av1_nvenc", "h264_qsv", "hevc_qsv", "av1_qsv")
_X26X: Row[Mapping[str, int]] = {
    name: 9 - index
    for index, name in enumerate(
        ("placebo", "veryslow", "slower", "slow", "medium", "fast", "faster", "veryfast", "superfast", "ultrafast")
    )
}
# Presets and CRF ranges of the encoders as they were when v1 was published: rows of `ENCODERS` may change, these may not.
_V1_ORDINALS: Row[Mapping[str, Mapping[str, int]]] = {
    "libx264": _X26X,
    "libx265": _X26X,
    # SVT's numbers grow with speed, so this row runs against the axis (preset 0 is its slowest and gets 0). It was
    # published like this; another direction is another vocabulary version.
    "libsvtav1": {str(number): min(number, _ORDINAL_MAX) for number in range(14)},
    "libvvenc": {"slower": 8, "slow": 7, "medium": 5, "fast": 3, "faster": 1},
    "libvpx-vp9": {"best": 9, "good": 5, "realtime": 0},
}
_V1_RANGES: Row[Mapping[str, tuple[int, int]]] = {
    "libx264": (0, 51),
    "libx265": (0, 51),
    "libsvtav1": (1, 63),
    "libvvenc": (0, 63),
    "libvpx-vp9": (0, 63),
}
_V5_ORDINALS: Row[Mapping[str, Mapping[str, int]]] = {
    **{name: _SVT if name == "libsvtav1" else ordinals for name, ordinals in _V1_ORDINALS.items()},
    **{name: ordinals for name, (ordinals, _) in _OTHER_ENCODERS.items() if ordinals},
}
_V5_RANGES: Row[Mapping[str, tuple[int, int]]] = {
    **_V1_RANGES,
    **{name: span for name, (_, span) in _OTHER_ENCODERS.items()},
}

VOCABULARIES: Table[Vocabulary] = {
    entry.version: entry
    for entry in (
        # The published card of fr_regressor_v2.
        Vocabulary(
            version="v1",
            slots=(*_V1, UNKNOWN),
            preset_ordinals=_V1_ORDINALS,
            preset_missing=_ORDINAL_MISSING / _ORDINAL_MAX,
            quality=QualityAxis((0, _CRF_AXIS), clip_at={name: worst for name, (_, worst) in _V1_RANGES.items()}),
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
