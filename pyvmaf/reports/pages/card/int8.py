"""Section: the int8 variants."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pyvmaf.reports import charts, measures
from pyvmaf.reports.elements import Cell, Figure, Notes, Section, badge, number, paragraph, table, text
from pyvmaf.reports.pages.card.card import Card
from pyvmaf.reports.read import Variant

_HEAD = (
    "mode", "seed", "PLCC fp32", "PLCC int8", "drop", "worst fold", "budget", "RMSE to fp32", "fp32 bytes", "int8 bytes",
    "fp32 ms", "int8 ms", "gate",
)  # fmt: skip


def section(card: Card) -> Section:
    """Show drop, size and latency of every variant."""
    variants = [(seed, variant) for seed in card.model.seeds.values() for variant in seed.variants]
    if not variants:
        return Section("int8", "Int8 variants", (paragraph("There are no int8 variants."),))
    drop = charts.bars(
        "int8",
        "drop",
        "drop of PLCC (shorter is better)",
        limit="budget",
        fmt=".6f",
        tooltips=("plcc_fp32", "plcc_int8", "rmse"),
    )
    elements = (
        Notes(tuple(sentence for variant in card.seed.variants for sentence in _sentences(card, variant))),
        table(
            "All variants on held-out rows; latencies are medians for 240 rows on one thread, on the machine that made "
            "the variants",
            _HEAD,
            [_row(card, seed.number, variant) for seed, variant in variants],
        ),
        Figure(
            "int8-drop",
            drop,
            f"Drop of PLCC through int8 per held-out {card.by} and seed; a bar to the left means that int8 is better. The "
            "dashed line is the budget for the mean.",
        ),
    )
    return Section("int8", "Int8 variants", elements, {"int8": measures.int8_frame(card.run)})


def _row(card: Card, seed: int, variant: Variant) -> list[Cell]:
    report, latency = variant.data, _latency(card, variant.onnx)
    fp32_ms, int8_ms = (None, None) if latency is None else latency
    return [
        text(variant.mode),
        text(seed),
        number(report.plcc_fp32, 5),
        number(report.plcc_int8, 5),
        number(report.drop, 6, sign=True),
        number(report.drop_worst_fold, 6, sign=True),
        number(float(report.budget), 3),
        number(report.rmse_int8_fp32, 3),
        number(report.fp32.bytes),
        number(report.int8.bytes),
        number(fp32_ms),
        number(int8_ms),
        badge(report.passed, "passed" if report.passed else "refused"),
    ]


def _sentences(card: Card, variant: Variant) -> Iterator[str]:
    report, latency = variant.data, _latency(card, variant.onnx)
    yield size_sentence(variant.mode, report.fp32.bytes, report.int8.bytes)
    if latency is not None:
        yield speed_sentence(variant.mode, latency[1] / latency[0])
    if report.missed:
        yield f"{variant.mode} is not in the registry: {'; '.join(report.missed)}."


def size_sentence(mode: str, fp32: int, int8: int) -> str:
    """Say whether a variant is smaller than the fp32 file, from the bytes of both."""
    factor = int8 / fp32
    if factor > 1:
        return f"{mode} is larger than the fp32 file, {factor:.2f} times: {int8:,} against {fp32:,} bytes. It saves no space."
    return f"{mode} is smaller than the fp32 file, {factor:.2f} times its size: {int8:,} against {fp32:,} bytes."


def speed_sentence(mode: str, factor: float) -> str:
    """Say whether a variant is faster than fp32, from the ratio of int8 to fp32 time."""
    if factor > 1:
        return f"{mode} is slower than fp32: a clip takes {factor:.2f} times as long. It saves no time."
    return f"{mode} is faster than fp32: a clip takes {factor:.2f} times as long."


def _latency(card: Card, onnx: Path) -> tuple[float, float] | None:
    """Median milliseconds of fp32 and int8, from the variant's manifest."""
    measured = card.manifests.get(onnx.as_posix(), {}).get("run", {}).get("measured", {})
    try:
        return float(measured["latency_fp32"]["p50_ms"]), float(measured["latency_int8"]["p50_ms"])
    except (KeyError, TypeError):
        return None
