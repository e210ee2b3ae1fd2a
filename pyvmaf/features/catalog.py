"""The table of features: the name of each, the extractor that computes it, its range and its cost.

A feature is one row of `FEATURES`. Names are the training names (``adm2``, ``vif_scale0``); `Feature.key` is
libvmaf's own name of the score.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pyvmaf.base.table import Row, Table
from pyvmaf.engines.protocol import Request
from pyvmaf.errors import InputError, unknown_name


@dataclass(frozen=True)
class Feature:
    """One column of a feature table.

    Attributes:
        name: training name.
        request: the extractor that computes it, with options.
        key: libvmaf's name of the score under these options.
        low, high: range of values; the upper end of an unbounded range is None.
        cost: milliseconds per 1280x720 frame of the whole extractor on one AVX2 core, for proportions.
        about: the quantity that it measures, with its source.
        chroma: whether chroma planes are read.
        unavailable: why no engine of this package computes it; None if one does.
    """

    name: str
    request: Request
    key: str
    low: float
    high: float | None
    cost: float
    about: str
    chroma: bool = False
    unavailable: str | None = None


# aim (and adm3, which needs it) is not a training name; leaving it out saves a twentieth of the time.
_ADM: Row[Request] = Request("adm", (("adm_skip_aim", "true"),))
_VIF: Row[Request] = Request("vif")
# debug only adds the plain motion score.
_MOTION: Row[Request] = Request("motion", (("debug", "true"),))
_PSNR: Row[Request] = Request("psnr")

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
    Feature("float_ssim", Request("float_ssim"), "float_ssim", -1, 1, 15.8, "structural similarity (Wang et al. 2004)"),
    Feature(
        "float_ms_ssim", Request("float_ms_ssim"), "float_ms_ssim", -1, 1, 150.5,
        "multi-scale structural similarity (Wang et al. 2003)",
    ),
    Feature("cambi", Request("cambi"), "Cambi_feature_cambi_score", 0, None, 7.1, "contrast-aware banding index of the distorted frame (Tandon et al. 2021)"),
    Feature("ciede2000", Request("ciede"), "ciede2000", 0, None, 438, "colour fidelity from CIEDE2000, dB", chroma=True),
    Feature("psnr_hvs", Request("psnr_hvs"), "psnr_hvs", 0, None, 27, "PSNR weighted by contrast sensitivity (Egiazarian et al. 2006), dB", chroma=True),
    Feature(
        "ssimulacra2", Request("ssimulacra2"), "ssimulacra2", -100, 100, 800, "SSIMULACRA 2",
        unavailable="libvmaf has no such extractor",
    ),
)  # fmt: skip

_WEIGHTED: Row[str] = "{}, weighted by the frame rate"
_FULL_REF: Row[Request] = Request("cambi", (("full_ref", "true"),))
_SPEED: Row[Request] = Request("speed_chroma")
_MSAD: Row[Request] = Request("msad")
_MSAD_ABOUT: Row[str] = "mean absolute difference of {}, as a share of the largest sample"
_XPSNR: Row[Request] = Request("xpsnr")
_XPSNR_ABOUT: Row[str] = "PSNR of {}, weighted by activity in space and time (XPSNR, Helmrich et al. 2019), dB"
_SPEED_ABOUT: Row[str] = "difference of spatial entropy of {} (SpEED, Bampis et al. 2017)"

# Features that no published set names. Rows of another request than those above, so that entries of the cache stay whole.
_OTHERS: Row[tuple[Feature, ...]] = (
    Feature("motion_fps", _MOTION, "VMAF_integer_feature_motion_score", 0, None, 0.9, _WEIGHTED.format("motion")),
    Feature("motion2_fps", _MOTION, "VMAF_integer_feature_motion2_score", 0, None, 0.9, _WEIGHTED.format("motion2")),
    Feature("motion3_fps", _MOTION, "VMAF_integer_feature_motion3_score", 0, None, 0.9, _WEIGHTED.format("motion3")),
    Feature(
        "cambi_eotf", Request("cambi"), "Cambi_feature_cambi_score", 0, None, 7.1,
        "cambi with the thresholds of the video's transfer function: PQ for PQ, else BT.1886",
    ),
    Feature(
        "cambi_full_ref", _FULL_REF, "cambi_full_reference", 0, None, 14.2,
        "cambi_eotf of the distorted frame beyond that of the reference",
    ),
    Feature(
        "speed_chroma_u", _SPEED, "Speed_chroma_feature_speed_chroma_u_score", 0, 1000, 5.1, _SPEED_ABOUT.format("Cb"),
        chroma=True,
    ),
    Feature(
        "speed_chroma_v", _SPEED, "Speed_chroma_feature_speed_chroma_v_score", 0, 1000, 5.1, _SPEED_ABOUT.format("Cr"),
        chroma=True,
    ),
    Feature(
        "speed_chroma_uv", _SPEED, "Speed_chroma_feature_speed_chroma_uv_score", 0, 1000, 5.1,
        _SPEED_ABOUT.format("Cb and Cr, the mean"), chroma=True,
    ),
    Feature("msad_y", _MSAD, "msad_y", 0, 1, 1.7, _MSAD_ABOUT.format("luma")),
    Feature("msad_cb", _MSAD, "msad_cb", 0, 1, 1.7, _MSAD_ABOUT.format("Cb"), chroma=True),
    Feature("msad_cr", _MSAD, "msad_cr", 0, 1, 1.7, _MSAD_ABOUT.format("Cr"), chroma=True),
    Feature("xpsnr_y", _XPSNR, "xpsnr_y", 0, None, 40, _XPSNR_ABOUT.format("luma")),
    Feature("xpsnr_cb", _XPSNR, "xpsnr_cb", 0, None, 40, _XPSNR_ABOUT.format("Cb"), chroma=True),
    Feature("xpsnr_cr", _XPSNR, "xpsnr_cr", 0, None, 40, _XPSNR_ABOUT.format("Cr"), chroma=True),
    Feature(
        "speed_temporal", Request("speed_temporal"), "Speed_temporal_feature_speed_temporal_score", 0, None, 8.0,
        _SPEED_ABOUT.format("differences of luma to the frame before"),
    ),
)  # fmt: skip

FEATURES: Table[Feature] = {feature.name: feature for feature in (*_TABLE, *_OTHERS)}
"""Every feature by its training name, in catalog order: the order of columns wherever features are stored."""

CANONICAL6: Row[tuple[str, ...]] = ("adm2", "vif_scale0", "vif_scale1", "vif_scale2", "vif_scale3", "motion2")
"""The six inputs of VMAF v0.6.1, in the order in which models are trained."""

FULL: Row[tuple[str, ...]] = tuple(feature.name for feature in _TABLE)
"""The features of published feature studies."""

K150K: Row[tuple[str, ...]] = (
    "motion", "motion2", "motion3", "cambi", "motion_fps", "motion2_fps", "motion3_fps", "cambi_eotf", "cambi_full_ref",
    "speed_chroma_u", "speed_chroma_v", "speed_chroma_uv", "speed_temporal",
)  # fmt: skip
"""Motion, banding and SpEED, which published tables of videos without a reference (KoNViD-150k, CHUG) have, and the
variants that follow frame rate and transfer function."""

DEFAULT_FEATURES = "canonical6"
"""Features measured by default."""

DEFAULT_MODEL = "vmaf_v0.6.1"
"""Model whose scores are computed by default."""

SETS: Table[tuple[str, ...]] = {
    "canonical6": CANONICAL6,
    "A": (*CANONICAL6, "ssimulacra2"),
    "B": ("adm2", "adm_scale3", "vif_scale2", "motion2", "ssimulacra2", "psnr_hvs", "float_ssim"),
    "full": FULL,
    "k150k": K150K,
}
"""Sets of features by name, each in the order in which models take them. A and B are the subsets of published feature
studies; both hold ssimulacra2, which no engine computes: it comes with tables made elsewhere."""


TEACHER = "vmaf"
"""Name of the teacher's score of a frame, as a target or an input beside the features."""


@dataclass(frozen=True)
class ContextColumn:
    """A property of a video that is not a libvmaf feature, but can be an input of a model.

    Attributes:
        name: its column.
        unit: its unit of measurement.
        low, high: range of plausible values; the upper end of an unbounded range is None.
        about: its meaning.
        of: where it comes from. "video": its file; every table of clips has the column. "shots": the shots of the
            reference, where encodes have records. "encode": how an encode was made. "joined": another table, such as
            that of probes.
    """

    name: str
    unit: str
    low: float
    high: float | None
    about: str
    of: Literal["video", "shots", "encode", "joined"] = "video"


CONTEXT: Mapping[str, ContextColumn] = {
    entry.name: entry
    for entry in (
        ContextColumn("width", "pixels", 1, 65536, "width of the video as it was encoded"),
        ContextColumn(
            "height", "pixels", 1, 65536, "height of the video as it was encoded, before a display scales it"
        ),
        ContextColumn("fps", "Hz", 0.01, 1000, "frames per second of the video as it was encoded"),
        ContextColumn("bitrate_kbps", "kbit/s", 0.001, None, "average rate of the encode"),
        ContextColumn("shot_count_norm", "log10(1 + shots) / 3", 0.1, 3, "number of shots", "shots"),
        ContextColumn("shot_mean_len_norm", "30 s", 0, None, "mean duration of a shot", "shots"),
        ContextColumn("shot_cut_density", "cuts per frame", 0, 1, "number of cuts over that of frames", "shots"),
        ContextColumn("crf", "CRF", 0, None, "quality number of the encoder", "encode"),
        ContextColumn(
            "bitrate_log2",
            "log2 kbit/s",
            -10,
            None,
            "rate of its coded pictures alone: 1 more is twice of it",
            "encode",
        ),
        ContextColumn("probe_bitrate_kbps", "kbit/s", 0, None, "rate of the fast encode of a probe", "joined"),
        ContextColumn("probe_i_bytes", "bytes", 0, None, "mean size of its I pictures", "joined"),
        ContextColumn("probe_p_bytes", "bytes", 0, None, "mean size of its P pictures", "joined"),
        ContextColumn("probe_b_bytes", "bytes", 0, None, "mean size of its B pictures", "joined"),
        ContextColumn("probe_vmaf", "0 to 100", 0, 100, "mean VMAF of the fast encode", "joined"),
        ContextColumn("frame_diff_mean", "of 255", 0, 255, "mean difference of neighbouring frames", "joined"),
        ContextColumn("luma_mean", "of 255", 0, 255, "mean of luma", "joined"),
        ContextColumn("luma_var", "of 255 squared", 0, 16257, "mean variance of luma within a frame", "joined"),
        ContextColumn("shot_length_frames", "frames", 0, None, "mean length of a shot", "joined"),
        ContextColumn("saliency_mean", "0 to 1", 0, 1, "mean of the saliency maps of its frames", "joined"),
        ContextColumn("saliency_var", "0 to 1", 0, 1, "variance of the saliency maps of its frames", "joined"),
    )
}
"""Every context column by its name, in the order of columns."""


def shot_columns(count: int, mean_seconds: float, frames: int) -> dict[str, float]:
    """Return the context columns of a video's shots, as published MOS heads read them.

    Args:
        count: number of shots, at least 1.
        mean_seconds: mean duration of a shot.
        frames: number of frames, at least 1.
    """
    return {
        "shot_count_norm": math.log10(1 + count) / 3,
        "shot_mean_len_norm": mean_seconds / 30,
        "shot_cut_density": (count - 1) / frames,
    }


STATS: tuple[str, ...] = ("mean", "hmean", "std", "min", "max", "p5", "p50")
"""Statistics of a clip's frames (`pyvmaf.features.pool`), in the order of columns: ``adm2_mean``, ``vmaf_p5``."""


def pooled_column(name: str) -> tuple[str, str] | None:
    """Split the name of a column of a clip table ("adm2_mean") into feature and statistic; None if it is not one."""
    feature, _, stat = name.rpartition("_")
    return (feature, stat) if stat in STATS and (feature in FEATURES or feature == TEACHER) else None


def resolve(value: str | Sequence[str]) -> tuple[str, ...]:
    """List the features of a set, or of a list of names and sets, in the order of the list.

    Raises:
        InputError: a name is not in any table (it is also a ValueError, as pydantic wants).
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


def named_columns(text: str) -> tuple[str, ...]:
    """List the columns that a text with commas names. The name of a set stands for its features.

    Other names are columns of any table, so that they are not compared with the catalog.

    Raises:
        InputError: no column is named, or one twice.
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    names = [name for word in words for name in SETS.get(word, (word,))]
    if not names:
        raise InputError(f"{text!r} names no column; sets: {', '.join(SETS)}")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"{text!r} names the column {twice} twice")
    return tuple(names)


@dataclass(frozen=True)
class Selection:
    """Features that were asked for.

    Attributes:
        names: training names in catalog order, without repetition.
        explicit: those that were asked for by name, not as members of a set. If one of them cannot be computed, that
            is an error; of the others it is an unavailable column.
    """

    names: tuple[str, ...]
    explicit: frozenset[str]


def select(spec: str | Iterable[str]) -> Selection:
    """Select features, in catalog order, by names of features and sets: a list, or text with commas.

    Raises:
        InputError: a name is not in any table, or there are no names.
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
