"""Tables of libvmaf's extractors: options, names of scores, smallest frames.

libvmaf has no call that lists any of this, ignores option keys that it does not know, and reads beyond its buffers
when a frame is too small. `pyvmaf.engines.libvmaf.context` checks every request against these tables. They describe
libvmaf 3.2 (commit f85a8536); the tests compare them with the library.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pyvmaf.engines.libvmaf import build
from pyvmaf.errors import InputError, shown, unknown_name

OptionValue = bool | int | float | str
"""A value of an extractor option, before it is spelled for libvmaf."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option of an extractor.

    Attributes:
        kind: type of the value.
        default: value when the option is not given.
        low: smallest value, for numbers.
        high: largest value, for numbers.
        alias: how the option appears in the names of scores when it differs from its default; None for the
            options that libvmaf never puts there (``debug``, ``adm_skip_aim``).
        choices: the values, for strings and for integers that are codes; empty if any value is allowed.
    """

    kind: Literal["bool", "int", "float", "str"]
    default: OptionValue | None
    low: float | None = None
    high: float | None = None
    alias: str | None = None
    choices: tuple[OptionValue, ...] = ()


@dataclass(frozen=True, slots=True)
class Limit:
    """Limits on frames that an extractor can process.

    Attributes:
        width: smallest width in luma samples.
        height: smallest height in luma samples.
        longer_side: smallest value of max(width, height).
        even_420: whether 4:2:0 frames must have an even width and height.
        chroma: whether the extractor needs chroma planes (so no 4:0:0).
        max_bits: most bits per sample.
    """

    width: int = 1
    height: int = 1
    longer_side: int = 1
    even_420: bool = False
    chroma: bool = False
    max_bits: int = 16


@dataclass(frozen=True, slots=True)
class Extractor:
    """One feature extractor of libvmaf.

    Attributes:
        name: libvmaf's name of the extractor.
        scores: base names of the scores that it always computes.
        extra: base names that come on top when a boolean option is true.
        options: its options.
        limit: limits on its frames.
        ordered: whether a frame's score depends on the frames before it, so that frames must come in order
            and without gaps.
        reference_only: whether only the reference frame is read.
        every_frame: whether all frames are computed despite `n_subsample`.
    """

    name: str
    scores: tuple[str, ...]
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    options: Mapping[str, Option] = field(default_factory=dict)
    limit: Limit = field(default_factory=Limit)
    ordered: bool = False
    reference_only: bool = False
    every_frame: bool = False


def _flag(alias: str | None = None, default: bool = False) -> Option:
    return Option("bool", default, alias=alias)


def _float(alias: str | None, default: float, low: float, high: float) -> Option:
    return Option("float", default, low, high, alias)


def _int(alias: str | None, default: int, low: int, high: int, choices: tuple[int, ...] = ()) -> Option:
    return Option("int", default, low, high, alias, choices)


def _text(alias: str | None, default: str | None, choices: tuple[str, ...] = ()) -> Option:
    return Option("str", default, alias=alias, choices=choices)


_EOTF = ("bt1886", "pq")
_SPEED = {
    # libvmaf takes 0.1 to 4 but has filters for a few values only, and reads beyond its buffers for the others.
    "speed_kernelscale": Option("float", 1.0, 0.5, 3.0, "ks", (0.5, 1.0, 1.5, 2.0, 3.0)),
    "speed_prescale": _float("ps", 1.0, 0.1, 4.0),
    "speed_prescale_method": _text("psm", "nearest", ("nearest", "bilinear", "bicubic", "lanczos4")),
    "speed_sigma_nn": _float("snn", 0.29, 0.1, 2.0),
    "speed_nn_floor": _float("nnf", 0.0, 0.0, 1.0),
    "speed_max_val": _float("mxv", 1000.0, 0.0, 1000.0),
}
_DECIBEL = {"enable_lcs": _flag(), "enable_db": _flag(), "clip_db": _flag()}
_ADM_PARTS = tuple(f"integer_adm_{part}_scale{scale}" for scale in range(4) for part in ("num", "den"))
_VIF_PARTS = tuple(f"integer_vif_{part}_scale{scale}" for scale in range(4) for part in ("num", "den"))

EXTRACTORS: dict[str, Extractor] = {
    extractor.name: extractor
    for extractor in (
        Extractor(
            "adm",
            (
                "VMAF_integer_feature_adm2_score",
                "VMAF_integer_feature_aim_score",
                "VMAF_integer_feature_adm3_score",
                *(f"integer_adm_scale{scale}" for scale in range(4)),
            ),
            {"debug": ("integer_adm", "integer_adm_num", "integer_adm_den", *_ADM_PARTS)},
            {
                "debug": _flag(),
                "adm_csf_scale": _float("scf", 1.0, 0.0, 50.0),
                "adm_csf_diag_scale": _float("scfd", 1.0, 0.0, 50.0),
                "adm_dlm_weight": _float("dlmw", 0.5, 0.0, 1.0),
                "adm_enhn_gain_limit": _float("egl", 100.0, 1.0, 100.0),
                "adm_norm_view_dist": _float("nvd", 3.0, 0.75, 24.0),
                "adm_ref_display_height": _int("rdh", 1080, 1, 4320),
                "adm_csf_mode": _int("csf", 0, 0, 3),
                "adm_noise_weight": _float("nw", 0.03125, 0.0, 1500.0),
                "adm_skip_aim": _flag(),
                "adm_skip_scale0": _flag("ssz"),
                "adm_min_val": _float("min", 0.0, 0.0, 1.0),
            },
            Limit(33, 33),
        ),
        Extractor(
            "vif",
            tuple(f"VMAF_integer_feature_vif_scale{scale}_score" for scale in range(4)),
            {"debug": ("integer_vif", "integer_vif_num", "integer_vif_den", *_VIF_PARTS)},
            {
                "debug": _flag(),
                "vif_enhn_gain_limit": _float("egl", 100.0, 1.0, 100.0),
                "vif_skip_scale0": _flag("ssclz"),
            },
            Limit(8, 8),
        ),
        Extractor(
            "motion",
            (
                "VMAF_integer_feature_motion_sad_score",
                "VMAF_integer_feature_motion2_score",
                "VMAF_integer_feature_motion3_score",
            ),
            {"debug": ("VMAF_integer_feature_motion_score",)},
            {
                "motion_force_zero": _flag("force_0"),
                "motion_blend_factor": _float("mbf", 1.0, 0.0, 1.0),
                "motion_blend_offset": _float("mbo", 40.0, 0.0, 1000.0),
                "motion_fps_weight": _float("mfw", 1.0, 0.0, 5.0),
                "motion_max_val": _float("mmxv", 10000.0, 0.0, 10000.0),
                "motion_five_frame_window": _flag("mffw"),
                "motion_moving_average": _flag("mma"),
                "debug": _flag(),
            },
            Limit(3, 3),
            ordered=True,
            reference_only=True,
            every_frame=True,
        ),
        Extractor(
            "psnr",
            ("psnr_y",),
            {
                "enable_chroma": ("psnr_cb", "psnr_cr"),
                "enable_mse": ("mse_y",),
                "enable_chroma&enable_mse": ("mse_cb", "mse_cr"),
            },
            {
                "enable_chroma": _flag(default=True),
                "enable_mse": _flag(),
                "enable_apsnr": _flag(),
                "reduced_hbd_peak": _flag(),
                "min_sse": _float(None, 0.0, 0.0, 1.7976931348623157e308),
            },
            every_frame=True,
        ),
        Extractor(
            "psnr_hvs",
            ("psnr_hvs_y", "psnr_hvs_cb", "psnr_hvs_cr", "psnr_hvs"),
            limit=Limit(16, 16, chroma=True, max_bits=12),
        ),
        Extractor("ciede", ("ciede2000",), limit=Limit(2, 2, even_420=True, chroma=True)),
        Extractor(
            "cambi",
            ("Cambi_feature_cambi_score",),
            {"full_ref": ("cambi_source", "cambi_full_reference")},
            {
                "cambi_max_val": _float("cmxv", 1000.0, 0.0, 1000.0),
                "enc_width": _int("encw", 0, 180, 7680),
                "enc_height": _int("ench", 0, 150, 7680),
                "enc_bitdepth": _int("encbd", 0, 6, 16),
                "src_width": _int("srcw", 0, 320, 7680),
                "src_height": _int("srch", 0, 200, 4320),
                "window_size": _int("ws", 65, 15, 127),
                "topk": _float("topk", 0.6, 0.0001, 1.0),
                "cambi_topk": _float("ctpk", 0.6, 0.0001, 1.0),
                "tvi_threshold": _float("tvit", 0.019, 0.0001, 1.0),
                "cambi_vis_lum_threshold": _float("vlt", 0.0, 0.0, 300.0),
                "max_log_contrast": _int("mlc", 2, 0, 5),
                "heatmaps_path": _text(None, None),
                "full_ref": _flag(),
                "eotf": _text("eotf", "bt1886", _EOTF),
                "cambi_eotf": _text("ceot", "bt1886", _EOTF),
                "cambi_high_res_speedup": _int("hrs", 0, 0, 2160, (0, 1080, 1440, 2160)),
            },
            Limit(32, 32, longer_side=216),
        ),
        Extractor(
            "float_ssim",
            ("float_ssim",),
            {"enable_lcs": ("float_ssim_l", "float_ssim_c", "float_ssim_s")},
            {**_DECIBEL, "scale": _int(None, 0, 0, 10)},
            Limit(11, 11),
        ),
        Extractor(
            "float_ms_ssim",
            ("float_ms_ssim",),
            {"enable_lcs": tuple(f"float_ms_ssim_{part}_scale{scale}" for part in "lcs" for scale in range(5))},
            _DECIBEL,
            Limit(176, 176),
        ),
        Extractor(
            "speed_chroma",
            tuple(f"Speed_chroma_feature_speed_chroma_{part}_score" for part in ("u", "v", "uv")),
            options={**_SPEED, "speed_weight_var_mode": _int("wvm", 0, 0, 6)},
            limit=Limit(192, 160, chroma=True),
        ),
        Extractor(
            "speed_temporal",
            ("Speed_temporal_feature_speed_temporal_score",),
            # Scaling up overflows this extractor's buffers, not those of the chroma one.
            options={**_SPEED, "speed_prescale": _float("ps", 1.0, 0.1, 1.0), "speed_use_ref_diff": _flag("urd")},
            limit=Limit(112, 96),
            ordered=True,
            every_frame=True,
        ),
    )
}
"""Every extractor of the pinned build, by libvmaf's name."""

LIMITS: dict[str, Limit] = {name: extractor.limit for name, extractor in EXTRACTORS.items()}
"""Limits on frames of each extractor."""

_ALIASES = {
    "VMAF_integer_feature_adm2_score": "integer_adm2",
    "VMAF_integer_feature_aim_score": "integer_aim",
    "VMAF_integer_feature_adm3_score": "integer_adm3",
    "VMAF_integer_feature_motion_score": "integer_motion",
    "VMAF_integer_feature_motion2_score": "integer_motion2",
    "VMAF_integer_feature_motion3_score": "integer_motion3",
    **{f"VMAF_integer_feature_vif_scale{s}_score": f"integer_vif_scale{s}" for s in range(4)},
    "Cambi_feature_cambi_score": "cambi",
    **{f"Speed_chroma_feature_speed_chroma_{part}_score": f"speed_chroma_{part}" for part in ("u", "v", "uv")},
    "Speed_temporal_feature_speed_temporal_score": "speed_temporal",
}

ADM_LAST_COLUMN, ADM_MASKING, ADM_GAIN = "adm-last-column", "adm-masking", "adm-gain"
"""Names of errors of libvmaf that the pinned build puts right."""

# Scores that libvmaf files without looking at the options.
_NEVER_RENAMED = frozenset({"cambi_source", "cambi_full_reference"})


def extractor(name: str) -> Extractor:
    """Find an extractor by name.

    Raises:
        InputError: no extractor has this name; the message quotes the nearest name.
    """
    if name not in EXTRACTORS:
        raise unknown_name("extractor", name, EXTRACTORS)
    return EXTRACTORS[name]


def parse_options(name: str, options: Mapping[str, OptionValue] | None) -> dict[str, OptionValue]:
    """Check options of an extractor and return them typed; strings are read as libvmaf reads them.

    Args:
        name: an extractor.
        options: option → value, values of the option's type or spelled as strings.

    Raises:
        InputError: an unknown option (libvmaf would ignore it), a value of another type or out of range, or a
            number that libvmaf would change, because it keeps six significant digits of single precision.
    """
    declared = extractor(name).options
    parsed: dict[str, OptionValue] = {}
    for key, value in (options or {}).items():
        if key not in declared:
            if not declared:
                raise InputError(f"unknown option {shown(key)} of extractor {name!r}: it takes none")
            raise unknown_name(f"option of extractor {name!r}", key, declared)
        parsed[key] = _parse(f"option {shown(key)} of extractor {name!r}", declared[key], value)
    return parsed


def _parse(what: str, option: Option, value: OptionValue) -> OptionValue:
    if option.kind == "bool":
        if isinstance(value, str) and value in ("true", "false"):
            return value == "true"
        if isinstance(value, bool):
            return value
        raise InputError(f"{what} is {shown(value)}: must be true or false")
    if option.kind == "str":
        if not isinstance(value, str) or (option.choices and value not in option.choices):
            valid = f"one of {', '.join(map(str, option.choices))}" if option.choices else "a string"
            raise InputError(f"{what} is {shown(value)}: must be {valid}")
        return value
    number = _number(what, option, value)
    low, high = option.low, option.high
    # 0 means "as the frames are" if it is a default below the range.
    if number != option.default and ((low is not None and number < low) or (high is not None and number > high)):
        raise InputError(f"{what} is {shown(value)}: must be in {low:g}..{high:g}")
    if option.choices and number not in option.choices:
        raise InputError(f"{what} is {shown(value)}: must be one of {', '.join(map(str, option.choices))}")
    if float(_spell_number(number)) != number:
        raise InputError(f"{what} is {shown(value)}: libvmaf keeps six digits and would take {_spell_number(number)}")
    return number


def _number(what: str, option: Option, value: OptionValue) -> int | float:
    if not isinstance(value, bool):
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if option.kind == "float" and number == number:
            return number
        if option.kind == "int" and number.is_integer():
            return int(number)
    raise InputError(f"{what} is {shown(value)}: must be {'an integer' if option.kind == 'int' else 'a number'}")


def _spell_number(number: int | float) -> str:
    # libvmaf reads numbers as float and prints them with %g, six digits, before it parses them.
    return f"{ctypes.c_float(number).value:g}"


def spell_options(options: Mapping[str, OptionValue]) -> dict[str, str]:
    """Spell parsed options as the strings that libvmaf takes."""
    return {
        key: ("true" if value else "false")
        if isinstance(value, bool)
        else value
        if isinstance(value, str)
        else _spell_number(value)
        for key, value in options.items()
    }


def feature_key(base: str, name: str, options: Mapping[str, OptionValue] | None = None) -> str:
    """Return the name under which libvmaf files a score.

    With default options it is the base name itself; every option that differs from its default and belongs to
    the score's name adds a suffix to the short name.

    Args:
        base: base name of the score, as in `Extractor.scores`.
        name: the extractor.
        options: its options.
    """
    declared = extractor(name).options
    differing = {
        key: value
        for key, value in parse_options(name, options).items()
        if declared[key].alias is not None and value != declared[key].default
    }
    if not differing or base in _NEVER_RENAMED:
        return base
    parts = [_ALIASES.get(base, base)]
    for key in sorted(differing):
        alias, value = declared[key].alias, differing[key]
        if isinstance(value, bool):
            parts.append(f"{alias}")
        else:
            parts.append(f"{alias}_{value}" if isinstance(value, str) else f"{alias}_{value:g}")
    return "_".join(parts)


def report_name(key: str) -> str:
    """Return the name that libvmaf's own reports show for a score: the short name if it has one."""
    return _ALIASES.get(key, key)


def score_keys(
    name: str, options: Mapping[str, OptionValue] | None = None, *, luma_only: bool = False
) -> tuple[str, ...]:
    """List the names of all scores that an extractor with these options computes for each frame.

    Args:
        name: the extractor.
        options: its options.
        luma_only: whether the frames are 4:0:0, of which PSNR leaves chroma out.
    """
    row = extractor(name)
    parsed = parse_options(name, options)
    values = {key: parsed.get(key, option.default) for key, option in row.options.items()}
    if luma_only and "enable_chroma" in values:
        values["enable_chroma"] = False
    bases = list(row.scores)
    for condition, extra in row.extra.items():
        if all(values[key] for key in condition.split("&")):
            bases += extra
    return tuple(feature_key(base, name, parsed) for base in bases)


def adm_last_column_counts(width: int) -> bool:
    """Tell whether the vectorised ADM of libvmaf f85a853 can give wrong scores of frames this wide.

    A vector of its wavelets takes the last column of a band as any other if the columns after the first fill whole
    vectors: of 16 (or 32, or 64) at scale 0, of 4 (or 8) at the others. The filter of that column ends on a mirrored
    sample, instead of which the vector reads beyond the row. The next scale spreads a wrong column to the columns whose
    filters reach it. The scores do not read the outer tenth of a band, where such columns lie unless the frame is
    narrow: 532 is the last width of all. Plain C has no such error.

    Args:
        width: luma width of the frames.
    """
    size = wrong = width
    for vector in (16, 4, 4, 4):
        band = -(-size // 2)
        # Output j reads samples 2j - 1 to 2j + 2; columns from `wrong` on are wrong.
        wrong = (wrong - 1) // 2 if wrong < size else band
        if (band - 1) % vector == 0:
            wrong = min(wrong, band - 1)
        # Contrast masking reads one column beyond the border of the part that is scored.
        border = int(band * 0.1 - 0.5)
        if wrong < band and wrong <= band - border:
            return True
        size = band
    return False


def repairs_of(name: str, options: Mapping[str, OptionValue], width: int) -> tuple[str, ...]:
    """List the errors of libvmaf that can change scores of an extractor (``REPAIRS`` of ``scripts/build_libvmaf.py``).

    Args:
        name: the extractor.
        options: its parsed options.
        width: luma width of the frames.
    """
    if name != "adm":
        return ()
    concerned = {
        ADM_LAST_COLUMN: adm_last_column_counts(width),
        # The frames decide whether coefficients reach the size at which this error begins.
        ADM_MASKING: True,
        ADM_GAIN: not float(options.get("adm_enhn_gain_limit", 100.0)).is_integer(),
    }
    return tuple(repair for repair, concerns in concerned.items() if concerns)


def check_frames(
    name: str, options: Mapping[str, OptionValue], width: int, height: int, pix_fmt: str, bits: int
) -> None:
    """Refuse frames that an extractor cannot process.

    Args:
        name: the extractor.
        options: its parsed options.
        width: luma width.
        height: luma height.
        pix_fmt: "420", "422", "444" or "400".
        bits: bits per sample.

    Raises:
        InputError: the message says what the extractor needs and what the frames are.
    """
    limit = extractor(name).limit
    needed_width, needed_height = limit.width, limit.height
    if name.startswith("speed_"):
        # The frame is scaled first, and a wider kernel needs more of it.
        shrink = min(1.0, float(options.get("speed_prescale", 1.0)))
        factor = max(1.0, float(options.get("speed_kernelscale", 1.0))) / shrink
        needed_width, needed_height = (-int(-side * factor // 1) for side in (needed_width, needed_height))
    if limit.chroma and pix_fmt == "400":
        raise InputError(f"extractor {name!r} needs chroma, the frames are {pix_fmt} (luma only)")
    if width < needed_width or height < needed_height:
        raise InputError(
            f"extractor {name!r} needs frames of at least {needed_width}x{needed_height}, these are {width}x{height}"
        )
    if max(width, height) < limit.longer_side:
        raise InputError(
            f"extractor {name!r} needs a longer side of at least {limit.longer_side}, the frames are {width}x{height}"
        )
    if limit.even_420 and pix_fmt == "420" and (width % 2 or height % 2):
        raise InputError(f"extractor {name!r} needs even 4:2:0 frames, these are {width}x{height}: crop them")
    if name == "adm":
        if adm_last_column_counts(width) and ADM_LAST_COLUMN not in build.repairs() and build.simd() != "c":
            raise InputError(
                f"extractor 'adm' of this libvmaf gives wrong scores of frames {width} wide with {build.simd()}: build "
                "pyvmaf with the pinned libvmaf, which is repaired, or hide the vector code with set_cpu_mask(2**64 - 1)"
            )
        distance = float(options.get("adm_norm_view_dist", 3.0))
        lines = int(options.get("adm_ref_display_height", 1080))
        if distance * lines < 3240:
            raise InputError(
                f"extractor 'adm' needs adm_norm_view_dist times adm_ref_display_height to be at least 3240 "
                f"(1080 lines from 3 heights), {distance:g} times {lines} is {distance * lines:g}"
            )
    if bits > limit.max_bits:
        raise InputError(f"extractor {name!r} takes up to {limit.max_bits} bits per sample, the frames have {bits}")
