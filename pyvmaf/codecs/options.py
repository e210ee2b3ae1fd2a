"""Extra options of an encode: those that each encoder takes, with the form of their values.

An option is taken if it is listed here. Everything else is refused, because a word that FFmpeg reads in another way may
name a second output, a file to read or to write, or settings that the record of the encode does not hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from pyvmaf.base.table import Row, Table
from pyvmaf.errors import InputError, unknown_name

# Forms of values, as regular expressions.
_INT: Row[str] = r"-?[0-9]{1,9}"
_NUMBER: Row[str] = r"-?[0-9]{1,9}(\.[0-9]{1,9})?"
_SWITCH: Row[str] = r"0|1|true|false"
_NUMBERS: Row[str] = rf"{_NUMBER}([:,]{_NUMBER}){{0,3}}"
_RATE: Row[str] = r"[0-9]{1,9}(\.[0-9]{1,9})?[kKM]?"
_WORDS: Row[str] = r"[A-Za-z0-9_.+,-]{1,80}"

_COMMON: Row[Mapping[str, str]] = {
    "g": _INT,
    "keyint_min": _INT,
    "bf": _INT,
    "refs": _INT,
    "maxrate": _RATE,
    "bufsize": _RATE,
    "rc_init_occupancy": _RATE,
    "qcomp": _NUMBER,
    "slices": _INT,
    "me_range": _INT,
    "subq": _INT,
    "trellis": _INT,
    "i_qfactor": _NUMBER,
    "b_qfactor": _NUMBER,
    # Others of its words make FFmpeg write statistics, or change how fields are coded.
    "flags": r"[+-](cgop|loop)([+-](cgop|loop))?",
}

OPTIONS: Table[Mapping[str, str]] = {
    "libx264": {
        **_COMMON,
        **dict.fromkeys(("tune", "profile", "partitions", "coder", "motion-est", "me_method", "direct-pred"), _WORDS),
        **dict.fromkeys(("level", "aq-strength", "cplxblur", "crf_max"), _NUMBER),
        **dict.fromkeys(("psy-rd", "deblock"), _NUMBERS),
        **dict.fromkeys(("aq-mode", "weightp", "b-pyramid", "nal-hrd"), _WORDS),
        **dict.fromkeys(("rc-lookahead", "b-bias", "slice-max-size", "b_strategy"), _INT),
        **dict.fromkeys(("chromaoffset", "sc_threshold", "noise_reduction"), _INT),
        **dict.fromkeys(("psy", "weightb", "intra-refresh", "bluray-compat", "mixed-refs", "8x8dct"), _SWITCH),
        **dict.fromkeys(("fast-pskip", "aud", "mbtree", "forced-idr"), _SWITCH),
    },
    "libx265": {**_COMMON, "tune": _WORDS, "profile": _WORDS, "forced-idr": _SWITCH},
    "libsvtav1": dict(_COMMON),
    "libvvenc": {**_COMMON, "qpa": _SWITCH, "period": _INT, "level": _NUMBER, "tier": _WORDS},
    "libvpx-vp9": {
        # No limits of the rate: it refuses them without a bitrate, which constant quality does not have.
        **dict.fromkeys(("g", "keyint_min", "slices"), _INT),
        **dict.fromkeys(("lag-in-frames", "arnr-maxframes", "arnr-strength", "max-intra-rate", "static-thresh"), _INT),
        **dict.fromkeys(("noise-sensitivity", "undershoot-pct", "overshoot-pct", "auto-alt-ref", "cpu-used"), _INT),
        **dict.fromkeys(("tile-columns", "tile-rows", "min-gf-interval", "sharpness"), _INT),
        **dict.fromkeys(("arnr-type", "tune", "aq-mode", "tune-content", "profile"), _WORDS),
        **dict.fromkeys(("frame-parallel", "row-mt", "enable-tpl"), _SWITCH),
        "level": _NUMBER,
    },
}
"""FFmpeg's options that each encoder takes: name without the dash, form of the value."""

PARAMS: Table[Mapping[str, str]] = {
    "libx264": {
        **dict.fromkeys(("8x8dct", "aud", "bluray-compat", "cabac", "chroma-me", "dct-decimate"), _SWITCH),
        **dict.fromkeys(("fast-pskip", "intra-refresh", "mbtree", "mixed-refs", "open-gop", "psy"), _SWITCH),
        "weightb": _SWITCH,
        **dict.fromkeys(("aq-mode", "b-adapt", "b-bias", "bframes", "chroma-qp-offset", "deadzone-inter"), _INT),
        **dict.fromkeys(("deadzone-intra", "keyint", "merange", "min-keyint", "mvrange", "nr", "qpstep"), _INT),
        **dict.fromkeys(("rc-lookahead", "ref", "scenecut", "slices", "slices-max", "slice-max-mbs"), _INT),
        **dict.fromkeys(("slice-max-size", "slice-min-mbs", "subme", "trellis", "weightp"), _INT),
        **dict.fromkeys(("vbv-bufsize", "vbv-maxrate"), _INT),
        **dict.fromkeys(("aq-strength", "cplxblur", "crf-max", "ipratio", "pbratio", "qblur", "qcomp"), _NUMBER),
        **dict.fromkeys(("level", "vbv-init"), _NUMBER),
        **dict.fromkeys(("deblock", "psy-rd"), rf"{_NUMBER}(,{_NUMBER})?"),
        **dict.fromkeys(("b-pyramid", "direct", "me", "nal-hrd", "partitions"), _WORDS),
    },
    "libx265": {
        **dict.fromkeys(("amp", "aq-motion", "aud", "b-intra", "b-pyramid", "constrained-intra", "cutree"), _SWITCH),
        **dict.fromkeys(("early-skip", "fades", "fast-intra", "hevc-aq", "high-tier", "limit-modes"), _SWITCH),
        **dict.fromkeys(("limit-sao", "open-gop", "rc-grain", "rd-refine", "rect", "repeat-headers", "sao"), _SWITCH),
        **dict.fromkeys(("sao-non-deblock", "signhide", "splitrd-skip", "ssim-rd"), _SWITCH),
        **dict.fromkeys(("strong-intra-smoothing", "temporal-mvp", "tskip", "tskip-fast", "weightb"), _SWITCH),
        **dict.fromkeys(("weightp", "wpp"), _SWITCH),
        **dict.fromkeys(("aq-mode", "b-adapt", "bframe-bias", "bframes", "cbqpoffs", "crqpoffs", "ctu"), _INT),
        **dict.fromkeys(("gop-lookahead", "keyint", "limit-refs", "limit-tu", "lookahead-slices", "max-merge"), _INT),
        **dict.fromkeys(("max-tu-size", "merange", "min-cu-size", "min-keyint", "nr-inter", "nr-intra"), _INT),
        **dict.fromkeys(("qg-size", "rc-lookahead", "rd", "rdoq-level", "rdpenalty", "ref", "rskip"), _INT),
        **dict.fromkeys(("rskip-edge-threshold", "scenecut", "slices", "subme", "tu-inter-depth"), _INT),
        **dict.fromkeys(("tu-intra-depth", "vbv-bufsize", "vbv-maxrate"), _INT),
        **dict.fromkeys(("aq-strength", "cplxblur", "crf-max", "ipratio", "pbratio", "psy-rd"), _NUMBER),
        **dict.fromkeys(("psy-rdoq", "qblur", "qcomp", "scenecut-bias", "vbv-init"), _NUMBER),
        "deblock": rf"{_NUMBER}(,{_NUMBER})?",
        **dict.fromkeys(("level-idc", "me"), _WORDS),
    },
    "libsvtav1": {
        **dict.fromkeys(("enable-cdef", "enable-dlf", "enable-mfmv", "enable-overlays", "enable-qm"), _INT),
        **dict.fromkeys(("enable-restoration", "enable-tf", "enable-variance-boost", "fast-decode"), _INT),
        **dict.fromkeys(("film-grain", "film-grain-denoise", "hierarchical-levels", "irefresh-type"), _INT),
        **dict.fromkeys(("keyint", "lookahead", "pred-struct", "qm-max", "qm-min", "scd", "scm", "sharpness"), _INT),
        **dict.fromkeys(("tile-columns", "tile-rows", "tune", "variance-boost-strength", "variance-octile"), _INT),
        "luminance-qp-bias": _INT,
    },
    "libvvenc": {
        **dict.fromkeys(("affine", "alf", "bdof", "ccalf", "decodingrefreshtype", "dmvr", "gopsize"), _WORDS),
        **dict.fromkeys(("intraperiod", "level", "mctf", "mts", "perceptqpa", "refreshsec"), _WORDS),
        **dict.fromkeys(("sao", "tier"), _WORDS),
    },
}
"""Entries that an encoder's own list of settings takes: key, form of the value. ``_`` counts as ``-``."""

REASONS: Table[str] = {
    **dict.fromkeys(("c", "codec", "vcodec"), "the key codec chooses the encoder"),
    **dict.fromkeys(("preset", "deadline", "quality", "speed"), "the key preset sets it"),
    **dict.fromkeys(
        ("crf", "qp", "q", "qscale", "global_quality", "b", "bitrate", "vb", "lossless", "rc", "tbr", "cqp", "crf-min"),
        "the quality number alone decides the quality, and the record states it",
    ),
    **dict.fromkeys(
        ("qmin", "qmax", "qdiff", "qpmin", "qpmax", "min-qp", "max-qp", "lmin", "lmax", "zones", "zonefile"),
        "it overrules the quality number that the record states",
    ),
    **dict.fromkeys(
        (
            *(
                "pass",
                "passes",
                "passlogfile",
                "stats",
                "x265-stats",
                "qpfile",
                "cqmfile",
                "cqm",
                "scaling-list",
                "dump-yuv",
            ),
            *("log-file", "csv", "recon", "analysis-save", "analysis-load", "opencl-clbin", "lambda-file", "fgs-table"),
            *(
                "report",
                "vstats",
                "vstats_file",
                "sdp_file",
                "filter_script",
                "filter_complex_script",
                "attach",
                "dump",
            ),
        ),
        "it reads or writes a file beside the encode",
    ),
    **dict.fromkeys(
        ("threads", "pools", "frame-threads", "lp", "numa-pools", "lookahead-threads", "sliced-threads", "thread_type"),
        "--encoder-threads and `threads: {encode_rung: …}` set the threads, which count as content",
    ),
    **dict.fromkeys(
        (
            *("i", "map", "f", "y", "n", "progress", "loglevel", "v", "filter_complex", "lavfi", "vf", "filter", "af"),
            *(
                "frames",
                "vframes",
                "r",
                "s",
                "ss",
                "t",
                "to",
                "fps_mode",
                "vsync",
                "fflags",
                "map_metadata",
                "metadata",
            ),
            *("pix_fmt", "stdin", "nostdin", "stats_period", "aspect", "fs", "itsoffset", "tag", "bsf", "sws_flags"),
        ),
        "the command line of an encode fixes inputs, outputs, frames and formats",
    ),
    **dict.fromkeys(
        (
            *("color_range", "colorspace", "color_trc", "color_primaries", "chroma_sample_location"),
            *("range", "colormatrix", "colorprim", "transfer", "chromaloc", "videoformat", "fullrange", "field_order"),
        ),
        "the encode describes its colours and fields as the reference does",
    ),
    "x264opts": "write -x264-params, whose entries are checked",
}
"""Why options and entries that are not listed above are refused, as far as there is a reason to name."""


class Extra(NamedTuple):
    """Extra options of an encode, checked.

    Attributes:
        options: words of FFmpeg's command line, name and value in turn.
        params: entries ``key=value`` of the encoder's own list.
    """

    options: tuple[str, ...]
    params: tuple[str, ...]


def check_extra(encoder: str, params_option: str | None, extra: Sequence[str]) -> Extra:
    """Check the extra options of an encode.

    Args:
        encoder: FFmpeg's name of the encoder.
        params_option: FFmpeg option that carries the encoder's own ``key=value:…`` list; None if it has none.
        extra: words, option and value in turn.

    Raises:
        InputError: a word stands where an option is expected, a value is missing or has another form, an option is given
            twice, or an option is not one of those that the encoder takes; the message has the reason.
    """
    options: dict[str, tuple[str, str]] = {}
    params: dict[str, str] = {}
    for option, value in _pairs(encoder, extra):
        if option == params_option:
            for key, entry in _entries(encoder, option, value):
                if key in params:
                    raise InputError(f"the extra option {option} of {encoder} has {key!r} twice: write it once")
                params[key] = entry
            continue
        name = _name(encoder, option)
        form = OPTIONS.get(encoder, {}).get(name)
        if form is None:
            raise _refused(f"extra option of {encoder}", option, name, OPTIONS.get(encoder, {}), params_option)
        _check_value(f"the extra option {option} of {encoder}", value, form)
        if name in options:
            raise InputError(f"the extra option {option} of {encoder} is given twice: write it once")
        options[name] = (option, value)
    return Extra(tuple(word for pair in options.values() for word in pair), tuple(params.values()))


def without(options: Sequence[str], names: Iterable[str]) -> list[str]:
    """Return the words of `options`, name and value in turn, without the options of these names (with the dash)."""
    left_out = set(names)
    pairs = zip(options[::2], options[1::2], strict=True)
    return [word for pair in pairs if pair[0] not in left_out for word in pair]


def _pairs(encoder: str, extra: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Read words as pairs of an option and its value."""
    words = iter(extra)
    for word in words:
        if not re.match(r"-[A-Za-z0-9]", word):
            raise InputError(
                f"{word!r} stands where an extra option of {encoder} is expected: options and values take turns, as in "
                "'-g 50'; FFmpeg would take it for another output"
            )
        value = next(words, None)
        if value is None:
            reason = REASONS.get(word.removeprefix("-"))
            raise InputError(
                f"the extra option {word} of {encoder} is refused: {reason}"
                if reason
                else f"the extra option {word} of {encoder} has no value: options and values take turns, as in '-g 50'"
            )
        yield word, value


def _name(encoder: str, option: str) -> str:
    """The name of an option without its dash and without the specifier of the only stream, ``:v``."""
    name, _, stream = option.removeprefix("-").partition(":")
    if stream not in ("", "v", "v:0") and name not in REASONS:
        raise InputError(
            f"the extra option {option} of {encoder} is for the stream {stream!r}, but an encode has one video stream: "
            f"write -{name}"
        )
    return name


def _entries(encoder: str, option: str, text: str) -> Iterator[tuple[str, str]]:
    """The entries of an encoder's own list: key with ``-`` for ``_``, and the entry as it is written."""
    known = PARAMS.get(encoder, {})
    for entry in text.split(":"):
        name, equals, value = entry.partition("=")
        key = name.lower().replace("_", "-")
        form = known.get(key)
        if form is None and known.get(key.removeprefix("no-")) == _SWITCH:
            key, form = key.removeprefix("no-"), _SWITCH
        if form is None:
            raise _refused(f"entry in {option} of {encoder}", name, key, known, None)
        if not equals:
            raise InputError(f"the entry {entry!r} in {option} of {encoder} has no value: write {name}=VALUE")
        _check_value(f"the entry {name!r} in {option} of {encoder}", value, form)
        yield key, entry


def _check_value(what: str, value: str, form: str) -> None:
    if not re.fullmatch(form, value):
        wanted = {_INT: "a whole number", _NUMBER: "a number", _SWITCH: "0 or 1", _RATE: "a rate such as 500k"}
        raise InputError(f"{what} is {value!r}, but {wanted.get(form, f'a value of the form {form}')} is expected")


def _refused(what: str, word: str, name: str, known: Mapping[str, str], params_option: str | None) -> InputError:
    """The error for an option that the table does not list."""
    reason = REASONS.get(name, REASONS.get(name.replace("-", "_")))
    if reason is not None:
        return InputError(f"the {what} {word!r} is refused: {reason}")
    valid = [*known, *([params_option.removeprefix("-")] if params_option else [])]
    return unknown_name(what, word.removeprefix("-"), valid)
