"""What the card of a model of pictures says of its inputs."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from pyvmaf.models.shown import Ranges, Shown
from pyvmaf.runtime.sidecar import Sidecar

_WHAT = {
    "score": "no-reference: it scores pictures of the distorted video only",
    "filter": "filter: it gives a restored picture for each picture",
}
_USE = {
    "score": "vmaf-train score dis.mkv --model {}",
    "filter": "vmaf-train filter dis.mkv restored.mkv --reference ref.mkv --model {}",
}


def shown(name: str, sidecar: Sidecar) -> Shown:
    """Describe a model by the pictures that it takes and those that it was trained on."""
    keys = sidecar.family_keys
    task = keys["task"]
    return Shown(
        _WHAT[task],
        (_USE[task].format(shlex.quote(name)),),
        tuple(_inputs(keys)),
        tuple(_warnings(keys, task)),
        _ranges(keys),
    )


def _inputs(keys: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    low, high = keys["input_range"]
    yield "inputs", f"{keys['pixel_format']} pictures, black {low:g} and white {high:g}"
    crop = keys["crop"]
    if crop is None:
        yield "size of pictures", "any"
    else:
        squares = "the square" if crop["views"] == 1 else f"the mean over {crop['views']} squares"
        yield "size of pictures", f"at least {crop['side']}x{crop['side']}: {squares} of that size count"
    if keys["radius"] is not None:
        yield "reach of a sample", f"{keys['radius']} samples on each side"


def _warnings(keys: Mapping[str, Any], task: str) -> Iterator[str]:
    if not keys.get("trained_hdr"):
        yield "HDR videos: there is none among the training pictures."
    if task == "score":
        yield (
            "The level of unseen material: without a reference, texture and blur of a source look like loss. Scores order "
            "versions of one video better than different videos."
        )
    if task == "filter":
        yield (
            "Material of other quality, without a check: vmaf-train audit-learned-filter tells the gain per codec and "
            "quality, which VMAF alone does not."
        )


def _ranges(keys: Mapping[str, Any]) -> Ranges:
    rows = tuple((name, *map(float, bounds)) for name, bounds in sorted(keys["trained_levels"].items()))
    return Ranges(
        "Range of each figure of a picture over the training pictures", ("figure", "minimum", "maximum"), rows
    )
