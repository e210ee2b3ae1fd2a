"""The card of a published checkpoint that was converted: no table and no folds, but an origin, a parity and limits."""

from __future__ import annotations

from collections.abc import Iterator

from pyvmaf.base import families
from pyvmaf.base.manifest import engine_block
from pyvmaf.models.shown import Shown, shown_of
from pyvmaf.reports.elements import (
    Cell,
    Code,
    Element,
    Heading,
    Notes,
    Page,
    Section,
    badge,
    digest,
    facts,
    paragraph,
    render,
    text,
)
from pyvmaf.reports.gates import gate_table
from pyvmaf.reports.read import Converted, Run


def build_converted(run: Run, name: str, *, report: str | None = None) -> str:
    """Make the card of a converted checkpoint as HTML text.

    Args:
        run: the documents of the run.
        name: a checkpoint of it.
        report: the page of the run, as a path from the card, to link to.
    """
    made = run.converted[name]
    ships = run.registry is not None and any(entry.id == name for entry in run.registry.models)
    shown = shown_of(name if ships else str(made.path.with_name(made.sidecar.onnx)), made.sidecar)
    state = (
        "It is shipped." if ships else "It is held: not for use." if made.data.verdict == "HOLD" else "Not registered."
    )
    return render(
        Page(
            title=name,
            lede=f"{made.data.description.rstrip('.')}. {state}",
            verb="card",
            sections=(_glance(made, shown, ships), _gates(made), _limits(shown), _reproduction(made), _hashes(made)),
            links=() if report is None else ((report, "All models of this run"),),
        )
    )


def _glance(made: Converted, shown: Shown, ships: bool) -> Section:
    return Section(
        "glance", "Overview", (facts("Overview", _facts(made, shown, ships)), Heading("Use"), Code(shown.use))
    )


def _facts(made: Converted, shown: Shown, ships: bool) -> Iterator[tuple[str, Cell]]:
    data, sidecar = made.data, made.sidecar
    yield "verdict", badge(data.verdict == "PROMOTE", data.verdict)
    yield "registry", text("shipped" if ships else "not shipped")
    yield "kind", text(f"{data.kind}, {shown.what}")
    yield "checkpoint", text(data.checkpoint.name)
    yield "entries of its state dict", text(f"{data.checkpoint.entries:,}")
    yield from ((name, text(value)) for name, value in shown.inputs)
    yield "file", text(f"{sidecar.onnx}, {sidecar.bytes or 0:,} bytes, opset {data.opset}")
    yield "parameters", text(f"{data.n_params:,}")
    yield "licence of the weights", text(data.license)


def _gates(made: Converted) -> Section:
    parity = made.data.parity
    elements: list[Element] = [gate_table("All gates with measured values and limits", made.data.gate.rows or [])]
    elements.append(
        paragraph(
            f"On {parity.trials} inputs (noise, extremes, smooth pictures) the network answered with {parity.lowest:.4g} to "
            f"{parity.highest:.4g}; onnxruntime differed by at most {parity.error:.3g}."
        )
    )
    return Section("gates", "Gates", tuple(elements))


def _limits(shown: Shown) -> Section:
    return Section("limits", "Limits of use", (Heading("Not suitable for"), Notes(shown.warnings)))


def _reproduction(made: Converted) -> Section:
    commands = (f"vmaf-train convert --config config/models/{made.data.model}.yaml",)
    if not made.data.checkpoint.pinned:
        commands = (f"{commands[0]} --weights {made.data.checkpoint.name} --sha256 {made.data.checkpoint.sha256}",)
    return Section(
        "reproduce", "Reproduction", (Code(commands), paragraph("The same checkpoint gives the same bytes."))
    )


def _hashes(made: Converted) -> Section:
    data = made.data
    files = {
        "checkpoint": data.checkpoint.sha256,
        "weights.safetensors": data.weights_sha256,
        made.sidecar.onnx: data.onnx_sha256,
        made.path.with_name("model.json").name: data.sidecar_sha256,
    }
    code = engine_block("card", families.uses("card", data.kind))
    elements = (
        facts("SHA-256 of all files", [(name, digest(sha256)) for name, sha256 in files.items()]),
        facts("Code of this card", [(f"this card: {key}", text(value)) for key, value in sorted(code.items())]),
    )
    return Section("hashes", "Hashes", elements)
