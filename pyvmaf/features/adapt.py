"""Features whose options follow from the video: motion by its frame rate, CAMBI by its transfer function.

A row of the catalog has fixed options. `ADAPTED` names the rule by which a feature gets further ones for each reference,
so that a column means the same over a corpus of mixed frame rates and of HDR and SDR videos.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from pyvmaf.base.table import Table
from pyvmaf.engines.libvmaf.extractors import feature_key
from pyvmaf.engines.protocol import Request
from pyvmaf.features.catalog import FEATURES, Feature

if TYPE_CHECKING:
    from pyvmaf.video.reader import FrameSource


@dataclass(frozen=True)
class Traits:
    """What is known of a reference.

    Attributes:
        rate: frames per second; None if unknown.
        transfer: transfer function by FFmpeg's name; "" if the video states none, None if it is unknown.
    """

    rate: Fraction | None = None
    transfer: str | None = None

    @classmethod
    def of(cls, video: FrameSource) -> Traits:
        """Return the traits about an open video; made frames state nothing."""
        return cls(video.format.rate, "" if video.side is None else video.side.colour.transfer)


def motion_fps_weight(rate: Fraction) -> float:
    """Return the weight of motion at a frame rate: 1 for 24 to 32 frames per second, else 30 / rate in 0.25 to 4.

    It makes motion per frame comparable between rates: at 60 frames per second half as much happens between two frames.
    libvmaf keeps six digits.
    """
    weight = 1.0 if 24 <= rate <= 32 else min(4.0, max(0.25, float(30 / rate)))
    return float(f"{weight:.6g}")


Options = tuple[tuple[str, str], ...]


def _by_rate(traits: Traits) -> Options | str:
    if traits.rate is None:
        return "its weight depends on the frame rate, which is unknown: prepare the clip, or put it into a container"
    weight = motion_fps_weight(traits.rate)
    return () if weight == 1 else (("motion_fps_weight", f"{weight:g}"),)


def _by_transfer(traits: Traits) -> Options | str:
    if traits.transfer is None:
        return "its thresholds depend on the transfer function, which frames handed over one by one do not state"
    if traits.transfer == "arib-std-b67":
        return "libvmaf has thresholds for BT.1886 and PQ, and the video is HLG"
    return (("eotf", "pq"),) if traits.transfer == "smpte2084" else ()


def _by_difference(traits: Traits) -> Options | str:
    if traits.rate is None:
        return "its weights depend on the frame rate, which is unknown: prepare the clip, or put it into a container"
    # As FFmpeg's filter, which looks at whole numbers.
    return (("differences", "2"),) if int(traits.rate) >= 32 else ()


ADAPTED: Table[Callable[[Traits], Options | str]] = {
    "motion_fps": _by_rate,
    "motion2_fps": _by_rate,
    "motion3_fps": _by_rate,
    "cambi_eotf": _by_transfer,
    "cambi_full_ref": _by_transfer,
    "xpsnr_y": _by_difference,
    "xpsnr_cb": _by_difference,
    "xpsnr_cr": _by_difference,
}
"""The rule of a feature: further options for a video, or the reason why it has no value there."""

# libvmaf's names of the scores before an option renames them.
_BASES: Table[str] = {
    "motion_fps": "VMAF_integer_feature_motion_score",
    "motion2_fps": "VMAF_integer_feature_motion2_score",
    "motion3_fps": "VMAF_integer_feature_motion3_score",
    "cambi_eotf": "Cambi_feature_cambi_score",
    "cambi_full_ref": "cambi_full_reference",
}


def adapt(feature: Feature, traits: Traits | None) -> Feature | str:
    """Return a feature with the options that a video asks for, or the reason why it has no value there.

    Args:
        feature: a row of the catalog.
        traits: about the video; None to take the row as it is.
    """
    if traits is None or feature.name not in ADAPTED:
        return feature
    options = ADAPTED[feature.name](traits)
    if isinstance(options, str):
        return options
    request = Request(feature.request.extractor, tuple(sorted((*feature.request.options, *options))))
    if feature.name not in _BASES:
        # The name of the score is the same with every option.
        return replace(feature, request=request)
    return replace(
        feature, request=request, key=feature_key(_BASES[feature.name], request.extractor, dict(request.options))
    )


def catalog_of(traits: Traits | None) -> list[Feature]:
    """List the features of the catalog as they are for a video; those without a value there are left out."""
    adapted = [adapt(feature, traits) for feature in FEATURES.values()]
    return [feature for feature in adapted if not isinstance(feature, str)]
