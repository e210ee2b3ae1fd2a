"""The one table of features: what each is called here, what computes it, and where it can be computed.

A feature is one entry of `FEATURES`. Names are the training names (``adm2``, ``vif_scale0``); libvmaf's own name
of the score stands beside each as `key`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyvmaf.base.table import Row, Table
from pyvmaf.engines.libvmaf.extractors import EXTRACTORS, check_frames, parse_options
from pyvmaf.errors import InputError, unknown_name

if TYPE_CHECKING:
    from pyvmaf.video.format import Format


@dataclass(frozen=True, order=True)
class Unit:
    """One extractor with its options: what is run, and what a cache entry holds.

    Attributes:
        extractor: libvmaf's name.
        options: pairs of libvmaf option and value, sorted.
    """

    extractor: str
    options: tuple[tuple[str, str], ...] = ()

    @property
    def reference_only(self) -> bool:
        """Whether the scores depend on the reference alone, so that a ladder computes them once."""
        return EXTRACTORS[self.extractor].reference_only

    def __str__(self) -> str:
        return self.extractor + "".join(f":{k}={v}" for k, v in self.options)


@dataclass(frozen=True)
class Feature:
    """One column of a feature table.

    Attributes:
        name: training name.
        unit: what computes it; None where this engine cannot.
        key: libvmaf's name of the score under the unit's options.
        low, high: range of values; the upper end of an unbounded one is None.
        cost: milliseconds per 1280x720 frame of the whole unit on one AVX2 core, for proportions.
        chroma: whether chroma planes are read.
        about: what it measures, with its source.
        unavailable: why this engine cannot compute it.
    """

    name: str
    unit: Unit | None
    key: str
    low: float
    high: float | None
    cost: float
    about: str
    chroma: bool = False
    unavailable: str | None = None


# aim (and adm3, which needs it) is no training name; leaving it out saves a twentieth of the time.
_ADM: Row[Unit] = Unit("adm", (("adm_skip_aim", "true"),))
_VIF: Row[Unit] = Unit("vif")
# debug only adds the plain motion score.
_MOTION: Row[Unit] = Unit("motion", (("debug", "true"),))
_PSNR: Row[Unit] = Unit("psnr")

_ADM_ABOUT: Row[str] = "detail loss measure (ADM, Li et al. 2011), {}"
_VIF_ABOUT: Row[str] = "visual information fidelity (Sheikh and Bovik 2006), pyramid scale {}"
_MOTION_ABOUT: Row[str] = "mean absolute difference of blurred luma {}"

_TABLE: Row[tuple[Feature, ...]] = (
    Feature("adm2", _ADM, "VMAF_integer_feature_adm2_score", 0, 1.2, 7.6, _ADM_ABOUT.format("all scales")),
    *(
        Feature(f"adm_scale{i}", _ADM, f"integer_adm_scale{i}", 0, 1.2, 7.6, _ADM_ABOUT.format(f"wavelet scale {i}"))
        for i in range(4)
    ),
    *(
        Feature(f"vif_scale{i}", _VIF, f"VMAF_integer_feature_vif_scale{i}_score", 0, 1.2, 23.2, _VIF_ABOUT.format(i))
        for i in range(4)
    ),
    Feature("motion", _MOTION, "VMAF_integer_feature_motion_score", 0, None, 0.9, _MOTION_ABOUT.format("to the frame before")),
    Feature(
        "motion2", _MOTION, "VMAF_integer_feature_motion2_score", 0, None, 0.9,
        _MOTION_ABOUT.format("to the frame before or after, the smaller"),
    ),
    Feature(
        "motion3", _MOTION, "VMAF_integer_feature_motion3_score", 0, None, 0.9,
        _MOTION_ABOUT.format("as motion2, its first frame taken from the second"),
    ),
    Feature("psnr_y", _PSNR, "psnr_y", 0, 108, 0.1, "peak signal-to-noise ratio of luma, dB, capped at 6 per bit + 12"),
    Feature("psnr_cb", _PSNR, "psnr_cb", 0, 108, 0.1, "peak signal-to-noise ratio of Cb, dB", chroma=True),
    Feature("psnr_cr", _PSNR, "psnr_cr", 0, 108, 0.1, "peak signal-to-noise ratio of Cr, dB", chroma=True),
    Feature("float_ssim", Unit("float_ssim"), "float_ssim", -1, 1, 15.8, "structural similarity (Wang et al. 2004)"),
    Feature(
        "float_ms_ssim", Unit("float_ms_ssim"), "float_ms_ssim", -1, 1, 150.5,
        "multi-scale structural similarity (Wang et al. 2003)",
    ),
    Feature("cambi", Unit("cambi"), "Cambi_feature_cambi_score", 0, None, 7.1, "contrast-aware banding index of the distorted frame (Tandon et al. 2021)"),
    Feature("ciede2000", Unit("ciede"), "ciede2000", 0, None, 438, "colour fidelity from CIEDE2000, dB", chroma=True),
    Feature("psnr_hvs", Unit("psnr_hvs"), "psnr_hvs", 0, None, 27, "PSNR weighted by contrast sensitivity (Egiazarian et al. 2006), dB", chroma=True),
    Feature(
        "ssimulacra2", None, "ssimulacra2", -100, 100, 800, "SSIMULACRA 2",
        unavailable="libvmaf has no such extractor",
    ),
)  # fmt: skip

FEATURES: Table[Feature] = {feature.name: feature for feature in _TABLE}
"""Every feature by its training name, in catalog order: the order of columns wherever features are stored."""

CANONICAL6: Row[tuple[str, ...]] = ("adm2", "vif_scale0", "vif_scale1", "vif_scale2", "vif_scale3", "motion2")
"""The six inputs of VMAF v0.6.1, in the order in which models are trained."""

FULL: Row[tuple[str, ...]] = tuple(FEATURES)
"""Every feature of the catalog."""

DEFAULT_FEATURES = "canonical6"
"""What is measured where nobody says what."""

DEFAULT_MODEL = "vmaf_v0.6.1"
"""The model whose scores are computed where nobody names one."""

SETS: Table[tuple[str, ...]] = {
    "canonical6": CANONICAL6,
    "A": (*CANONICAL6, "ssimulacra2"),
    "B": ("adm2", "adm_scale3", "vif_scale2", "motion2", "ssimulacra2", "psnr_hvs", "float_ssim"),
    "full": FULL,
}
"""Sets of features by name, each in the order in which models take them. A and B are the subsets of published feature
studies; both hold ssimulacra2, which libvmaf does not compute and a table has to bring along."""


TEACHER = "vmaf"
"""The teacher's score of a frame, where it is an input or a target beside the features."""


@dataclass(frozen=True)
class Context:
    """A property of a video that is no libvmaf feature, but can be an input of a model.

    Attributes:
        name: its column.
        unit: what it is measured in.
        low, high: the range in which it is believed; the upper end of an unbounded one is None.
        about: what it says.
    """

    name: str
    unit: str
    low: float
    high: float | None
    about: str


CONTEXT: Mapping[str, Context] = {
    entry.name: entry
    for entry in (
        Context("width", "pixels", 1, 65536, "width of the video as it was encoded"),
        Context("height", "pixels", 1, 65536, "height of the video as it was encoded, before a display scales it"),
        Context("fps", "Hz", 0.01, 1000, "frames per second of the video as it was encoded"),
        Context("bitrate_kbps", "kbit/s", 0.001, None, "average rate of the encode"),
    )
}
"""Every context column by its name, in the order of columns."""


STATS: tuple[str, ...] = ("mean", "hmean", "std", "min", "max", "p5", "p50")
"""What a clip's frames are pooled to (`pyvmaf.features.pool`), in the order of columns: ``adm2_mean``, ``vmaf_p5``."""


def pooled_column(name: str) -> tuple[str, str] | None:
    """Feature and stat of a column of a clip table ("adm2_mean", "vmaf_p5"); None where the name is no such column."""
    feature, _, stat = name.rpartition("_")
    return (feature, stat) if stat in STATS and (feature in FEATURES or feature == TEACHER) else None


def resolve(value: str | Sequence[str]) -> tuple[str, ...]:
    """Names of a feature set, or of a list of names and sets, in the order in which they are given.

    Raises:
        InputError: a name is in no table (it is also a ValueError, as pydantic wants).
    """
    names: list[str] = []
    for word in (value,) if isinstance(value, str) else value:
        if word in SETS:
            names.extend(SETS[word])
        elif word in FEATURES or word == TEACHER or pooled_column(word) is not None:
            names.append(word)
        else:
            raise unknown_name("feature", word, [*SETS, *FEATURES, TEACHER, *(f"{name}_mean" for name in FEATURES)])
    return tuple(names)


@dataclass(frozen=True)
class Selection:
    """Features that were asked for.

    Attributes:
        names: training names in catalog order, without repetition.
        explicit: those that were asked for by name, not as members of a set: what cannot be computed of them is an
            error, of the others an unavailable column.
    """

    names: tuple[str, ...]
    explicit: frozenset[str]


def select(spec: str | Iterable[str]) -> Selection:
    """Features from names and set names, as a list or as text with commas: "canonical6,psnr_y".

    Raises:
        InputError: a name is in no table, or nothing was named.
    """
    words = spec.split(",") if isinstance(spec, str) else list(spec)
    names: set[str] = set()
    explicit: set[str] = set()
    for word in (w.strip() for w in words):
        if word in SETS:
            names.update(SETS[word])
        elif word in FEATURES:
            names.add(word)
            explicit.add(word)
        elif word:
            raise unknown_name("feature", word, [*SETS, *FEATURES])
    if not names:
        raise InputError(f"no features were named; sets: {', '.join(SETS)}; features: {', '.join(FEATURES)}")
    return Selection(tuple(n for n in FEATURES if n in names), frozenset(explicit))


def obstacle(feature: Feature, form: Format) -> str | None:
    """Why `feature` cannot be computed on frames of this format; None where it can."""
    if feature.unit is None:
        return feature.unavailable or "not computed by this engine"
    if feature.chroma and form.chroma == "400":
        return f"it reads chroma, which {form.pix_fmt} has not"
    return unit_obstacle(feature.unit, form)


def unit_obstacle(unit: Unit, form: Format) -> str | None:
    """Why an extractor cannot run on frames of this format; None where it can."""
    try:
        check_frames(unit.extractor, parse_options(unit.extractor, dict(unit.options)), *form.native)
    except InputError as err:
        return str(err)
    return None


def usable(selection: Selection, form: Format) -> tuple[tuple[Feature, ...], dict[str, str]]:
    """The features that can be computed on `form`, and why the others cannot, by name.

    Raises:
        InputError: one that was asked for by name cannot be computed.
    """
    able: list[Feature] = []
    unavailable: dict[str, str] = {}
    for name in selection.names:
        feature = FEATURES[name]
        reason = obstacle(feature, form)
        if reason is None:
            able.append(feature)
        elif name in selection.explicit:
            raise InputError(f"feature {name!r} cannot be computed on {form.size} {form.pix_fmt} frames: {reason}")
        else:
            unavailable[name] = reason
    return tuple(able), unavailable
