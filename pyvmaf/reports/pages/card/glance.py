"""Section: the model in a few facts."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from pyvmaf.reports.elements import Cell, Code, Heading, Section, facts, text
from pyvmaf.reports.gates import outcome
from pyvmaf.reports.pages.card.card import Card
from pyvmaf.runtime.sidecar import Sidecar

_KINDS = {
    "fr": "full-reference: it compares a distorted video with its reference",
    "nr": "no-reference: it takes the distorted video only",
    "mos": "opinion scores: it predicts the ratings of viewers",
    "filter": "picture filter",
    "saliency": "saliency: it predicts where viewers look",
}


def section(card: Card) -> Section:
    """Show verdict, inputs, output and file of the model, and how to call it."""
    name = card.model.name if card.ships else str(card.seed.onnx or "model.onnx")
    use = (
        f"vmaf-train score ref.mkv dis.mkv --model {shlex.quote(name)}",
        "",
        "import pyvmaf",
        f"pyvmaf.load_model({name!r}).predict(rows).scores",
    )
    elements = (facts("Overview", _facts(card)), Heading("Use"), Code(use))
    return Section("glance", "Overview", elements)


def _facts(card: Card) -> Iterator[tuple[str, Cell]]:
    verdict = card.model.verdict
    yield "verdict", text("not judged") if verdict is None else outcome(verdict)
    yield "registry", text("shipped" if card.ships else "held: not for use" if card.held else "not registered")
    selection = None if card.entry is None else card.entry.selection
    if selection is not None:
        yield "shipped seed", text(f"{selection.seed}, chosen as {selection.rule}")
    else:
        yield "shown seed", text(card.seed.number)
    if card.sidecar is not None:
        yield from _file(card.sidecar, card.target)
    if card.inputs.get("features"):
        yield from _inputs(card.inputs)
    yield "parameters", text(f"{card.loso.n_params:,}")


def _file(sidecar: Sidecar, target: str) -> Iterator[tuple[str, Cell]]:
    low, high = sidecar.expected_output_range
    size = "" if sidecar.bytes is None else f"{sidecar.bytes:,} bytes, "
    yield "kind", text(f"{sidecar.kind}, {_KINDS.get(sidecar.kind, sidecar.kind)}")
    clipped = ", kept inside by the graph" if sidecar.family_keys.get("output_clipped") else ""
    yield "output", text(f"{target}, from {low:g} to {high:g}{clipped}")
    yield "file", text(f"{sidecar.onnx}, {size}opset {sidecar.onnx_opset}")
    yield "licence of the weights", text(sidecar.license)


def _inputs(inputs: Mapping[str, Any]) -> Iterator[tuple[str, Cell]]:
    codec = inputs["codec"]
    yield "inputs", text(", ".join(inputs["features"]))
    if codec is not None:
        yield "codec block", text(f"vocabulary {codec['vocabulary']}: {', '.join(codec['slots'])}")
    in_graph = inputs["input_normalization"]["in_graph"]
    yield "scaling of inputs", text("inside the graph" if in_graph else "by the caller (load_model does it)")
    yield "guard", text(guard(inputs))


def guard(inputs: Mapping[str, Any]) -> str:
    """Say what the model does with inputs outside of the training range."""
    if inputs.get("input_guard", "none") != "clamp":
        return "none: inputs outside of the training range are used unchanged"
    margins = inputs.get("input_guard_margin", {})
    names = ", ".join(f"{name} by {widths:g}" for name, widths in margins.items())
    widened = f" (widened on both sides, in units of the range's own width: {names})" if margins else ""
    return f"each input is clamped to the range of the training rows{widened}"
