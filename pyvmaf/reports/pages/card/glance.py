"""Section: the model in a few facts."""

from __future__ import annotations

from collections.abc import Iterator

from pyvmaf.reports.elements import Cell, Code, Element, Heading, Section, facts, text
from pyvmaf.reports.gates import outcome
from pyvmaf.reports.pages.card.card import Card
from pyvmaf.runtime.sidecar import Sidecar


def section(card: Card) -> Section:
    """Show verdict, inputs, output and file of the model, and how to call it."""
    elements: list[Element] = [facts("Overview", _facts(card))]
    if card.shown is not None:
        elements += [Heading("Use"), Code(card.shown.use)]
    return Section("glance", "Overview", tuple(elements))


def _facts(card: Card) -> Iterator[tuple[str, Cell]]:
    verdict = card.model.verdict
    yield "verdict", text("not judged") if verdict is None else outcome(verdict)
    yield "registry", text("shipped" if card.ships else "held: not for use" if card.held else "not registered")
    selection = None if card.entry is None else card.entry.selection
    if selection is not None:
        yield "shipped seed", text(f"{selection.seed}, chosen as {selection.rule}")
    else:
        yield "shown seed", text(card.seed.number)
    if card.sidecar is not None and card.shown is not None:
        yield "kind", text(f"{card.sidecar.kind}, {card.shown.what}")
        yield from _file(card.sidecar, card.target)
        yield from ((name, text(value)) for name, value in card.shown.inputs)
    yield "parameters", text(f"{card.loso.n_params:,}")


def _file(sidecar: Sidecar, target: str) -> Iterator[tuple[str, Cell]]:
    low, high = sidecar.expected_output_range
    size = "" if sidecar.bytes is None else f"{sidecar.bytes:,} bytes, "
    clipped = ", kept inside by the graph" if sidecar.family_keys.get("output_clipped") else ""
    yield "output", text(f"{target}, from {low:g} to {high:g}{clipped}")
    yield "file", text(f"{sidecar.onnx}, {size}opset {sidecar.onnx_opset}")
    yield "licence of the weights", text(sidecar.license)
