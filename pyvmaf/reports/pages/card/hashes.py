"""Section: the hashes of all files."""

from __future__ import annotations

from collections.abc import Iterator

from pyvmaf.base import families
from pyvmaf.base.code import NOTHING
from pyvmaf.base.manifest import engine_block
from pyvmaf.reports.elements import Cell, Section, digest, facts, table, text
from pyvmaf.reports.pages.card.card import Card


def section(card: Card) -> Section:
    """Show the SHA-256 of table, settings, weights, models and variants."""
    used = NOTHING if card.sidecar is None else families.uses("card", card.sidecar.kind)
    code = [(f"this card: {key}", text(value)) for key, value in sorted(engine_block("card", used).items())]
    elements = (
        table("SHA-256 of all files", ("file", "seed", "SHA-256"), _hashes(card)),
        facts("Code of this card", code),
    )
    return Section("hashes", "Hashes", elements)


def _hashes(card: Card) -> Iterator[list[Cell]]:
    yield [text("table"), text("all"), digest(card.loso.table.sha256)]
    yield [text("settings"), text("all"), digest(card.loso.train_config_hash.removeprefix("sha256:"))]
    for number, seed in card.model.seeds.items():
        if seed.loso is not None:
            yield [text("weights"), text(number), digest(seed.loso.weights_sha256)]
            yield [text("held-out predictions"), text(number), digest(seed.loso.predictions_sha256)]
        if seed.sidecar is not None:
            yield [text(seed.sidecar.onnx), text(number), digest(seed.sidecar.sha256)]
        for variant in seed.variants:
            yield [text(variant.onnx.name), text(number), digest(variant.data.int8.sha256)]
    if card.entry is not None:
        pins = {role: sha256 for role, _, sha256 in card.entry.pins()} | {"table": card.entry.table_sha256}
        for role, sha256 in sorted(pins.items()):
            yield [text(f"registry: {role}"), text(card.seed.number), digest(sha256)]
