"""Which requests libvmaf's CUDA extractors compute, under which names, and what follows from their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pyvmaf.engines.libvmaf.extractors import feature_key, parse_options, score_keys
from pyvmaf.engines.protocol import Request

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scores = dict[str, NDArray[np.float64]]

_OPTIONS: dict[str, frozenset[str]] = {
    "adm": frozenset({"debug", "adm_enhn_gain_limit"}),
    "vif": frozenset({"debug", "vif_enhn_gain_limit"}),
    "motion": frozenset({"debug"}),
}
"""Options of the CUDA extractors, by the name of the extractor on the processor; those of viewing, which ADM also has, are
left out, because the CUDA extractor files its scores under names without them."""

_IGNORED = {"adm": frozenset({"adm_skip_aim"})}
"""Options that decide only whether scores that the CUDA extractor does not have are computed."""

_ABSENT = frozenset({"VMAF_integer_feature_aim_score", "VMAF_integer_feature_adm3_score"})
_MOTION, _MOTION2, _MOTION3, _SAD = (
    f"VMAF_integer_feature_{name}_score" for name in ("motion", "motion2", "motion3", "motion_sad")
)


def covers(request: Request) -> bool:
    """Tell whether a CUDA extractor computes a request.

    ADM of the processor also files additive impairments; a request that wants them does not skip them.
    """
    options = _OPTIONS.get(request.extractor)
    if options is None or not {name for name, _ in request.options} <= options | _IGNORED.get(
        request.extractor, frozenset()
    ):
        return False
    return request.extractor != "adm" or dict(request.options).get("adm_skip_aim") == "true"


def device_options(request: Request) -> dict[str, str]:
    """Return the options that the CUDA extractor takes.

    Motion needs ``debug``, without which it does not file the difference to the frame before.
    """
    taken = {name: value for name, value in request.options if name in _OPTIONS[request.extractor]}
    return {**taken, "debug": "true"} if request.extractor == "motion" else taken


def computed(request: Request) -> tuple[str, ...]:
    """Return the names under which the CUDA extractor files the scores of a request."""
    if request.extractor == "motion":
        return _MOTION, _MOTION2
    options = parse_options(request.extractor, dict(request.options))
    absent = (
        {feature_key(base, request.extractor, options) for base in _ABSENT} if request.extractor == "adm" else set()
    )
    return tuple(key for key in score_keys(request.extractor, options) if key not in absent)


def derived(requests: Mapping[Request, Sequence[str]], scores: Scores) -> Scores:
    """Return the scores that are wanted, those included that follow from others.

    ``motion3`` with default options is ``motion2`` with its first value taken from the second frame (integer_motion.c),
    and ``motion_sad`` is ``motion``.
    """
    found = dict(scores)
    if _MOTION2 in scores:
        motion, motion2 = scores[_MOTION], scores[_MOTION2]
        found[_SAD] = motion
        found[_MOTION3] = np.concatenate([motion[1:2], motion2[1:]]) if motion2.size > 1 else motion2
    return {key: found[key] for keys in requests.values() for key in keys}
