"""Section: int8 variants against fp32."""

from __future__ import annotations

from pyvmaf.quantized.report import Int8Report
from pyvmaf.reports import charts, measures
from pyvmaf.reports.elements import Cell, Element, Figure, Section, badge, number, paragraph, table, text
from pyvmaf.reports.exported import int8_difference
from pyvmaf.reports.pages.run.report import Report

_HEAD = (
    "model", "seed", "mode", "PLCC fp32", "PLCC int8", "drop", "worst fold", "budget", "RMSE to fp32", "SROCC to fp32",
    "fp32 bytes", "int8 bytes", "gate", "reason",
)  # fmt: skip


def section(report: Report) -> Section | None:
    """Show the measured drop of every int8 variant."""
    variants = [v for model in report.run.models.values() for seed in model.seeds.values() for v in seed.variants]
    if not variants:
        return None
    data = {"int8": measures.int8_frame(report.run)}
    larger = sum(variant.data.larger_than_fp32 for variant in variants)
    elements: list[Element] = [
        table(
            "All int8 variants: means over the folds, and the budget",
            _HEAD,
            [_row(variant.data) for variant in variants],
        ),
        paragraph(
            f"{larger} of {len(variants)} int8 files are larger than the fp32 file that they were made from: in very small "
            "networks, scales, zero points and additional nodes take more bytes than int8 weights save. The speed of "
            "both differs from run to run, so it is shown in the cards of the models and in the manifests of the files."
        ),
        Figure(
            "int8-drop",
            charts.bars(
                "int8",
                "drop",
                "drop of PLCC (shorter is better)",
                limit="budget",
                fmt=".5f",
                tooltips=("plcc_fp32", "plcc_int8", "rmse"),
            ),
            "Drop of PLCC through int8 per fold and seed; a bar to the left means that int8 is better. The dashed line "
            "is the budget for the mean over the folds.",
        ),
    ]
    differences = int8_difference(report.run, report.rows, report.points) if report.rows is not None else None
    if differences is not None and len(differences):
        data["int8-shipped"] = differences
        elements.append(
            Figure(
                "int8-shipped",
                charts.difference("int8-shipped", report.codecs),
                "Difference between the int8 score and the fp32 score of the exported files, one seed of each model, on "
                f"rows evenly spaced over all sources ({len(differences)} points).",
            )
        )
    return Section("int8", "Int8 against fp32", tuple(elements), data)


def _row(variant: Int8Report) -> list[Cell]:
    size = number(variant.int8.bytes).text
    return [
        text(variant.model),
        text(variant.seed),
        text(variant.mode),
        number(variant.plcc_fp32, 5),
        number(variant.plcc_int8, 5),
        number(variant.drop, 5, sign=True),
        number(variant.drop_worst_fold, 5, sign=True),
        number(float(variant.budget), 3),
        number(variant.rmse_int8_fp32, 3),
        number(variant.srocc_int8_fp32, 5),
        number(variant.fp32.bytes),
        text(f"{size} {'LARGER' if variant.larger_than_fp32 else 'smaller'}"),
        badge(variant.passed, "passed" if variant.passed else "refused"),
        text("; ".join(variant.missed)),
    ]
