"""What the card of a regressor says of its inputs."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from pyvmaf.models.shown import Ranges, Shown
from pyvmaf.runtime.sidecar import Sidecar

_WHAT = {
    "fr": "full-reference: it compares a distorted video with its reference",
    "mos": "opinion scores: it predicts the ratings of viewers",
}


def shown(name: str, sidecar: Sidecar) -> Shown:
    """Describe a model by its features, their scaling and its guard."""
    keys = sidecar.family_keys
    use = (
        f"vmaf-train score ref.mkv dis.mkv --model {shlex.quote(name)}",
        "",
        "import pyvmaf",
        f"pyvmaf.load_model({name!r}).predict(rows).scores",
    )
    return Shown(_WHAT[sidecar.kind], use, tuple(_inputs(keys)), tuple(_warnings(keys)), _ranges(keys))


def _inputs(keys: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    codec = keys["codec"]
    yield "inputs", ", ".join(keys["features"])
    if codec is not None:
        yield "codec block", f"vocabulary {codec['vocabulary']}: {', '.join(codec['slots'])}"
    in_graph = keys["input_normalization"]["in_graph"]
    yield "scaling of inputs", "inside the graph" if in_graph else "by the caller (load_model does it)"
    yield "guard", _guard(keys)


def _guard(keys: Mapping[str, Any]) -> str:
    """Say what the model does with inputs outside of the training range."""
    if keys.get("input_guard", "none") != "clamp":
        return "none: inputs outside of the training range are used unchanged"
    margins = keys.get("input_guard_margin", {})
    names = ", ".join(f"{name} by {widths:g}" for name, widths in margins.items())
    widened = f" (widened on both sides, in units of the range's own width: {names})" if margins else ""
    return f"each input is clamped to the range of the training rows{widened}"


def _warnings(keys: Mapping[str, Any]) -> Iterator[str]:
    if keys.get("input_guard", "none") == "clamp":
        effect = f"{_guard(keys)}, so that scores stay plausible but no longer follow the picture."
    else:
        effect = "inputs are not limited to them, and a network that extrapolates may return any score."
    yield f"Inputs outside of the ranges below: {effect} load_model and eval report the share of such rows."
    codec = keys["codec"]
    if codec is not None and codec["blind"] is None:
        slots = ", ".join(codec["slots"])
        yield f"Encoders other than {slots}: the vocabulary has no slot for an unknown encoder, so they are refused."
    elif codec is not None:
        yield "Calls without a codec if it is known: the model then uses the slot of an unknown encoder."


def _ranges(keys: Mapping[str, Any]) -> Ranges:
    ranges, scaling = keys["feature_ranges"], keys["input_normalization"]
    transforms = keys.get("input_transforms", {})
    rows = tuple(
        (name, *map(float, ranges[name]), float(mean), float(std), transforms.get(name) or "")
        for name, mean, std in zip(keys["features"], scaling["mean"], scaling["std"], strict=True)
    )
    caption = "Range of each input over the training rows, and its scaler (after its transform, if it has one)"
    return Ranges(caption, ("input", "minimum", "maximum", "mean", "std", "transform"), rows)
