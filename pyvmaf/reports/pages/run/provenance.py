"""Section: the code, packages and hashes behind the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pyvmaf.base.manifest import engine_block, package_versions
from pyvmaf.base.parquet import ParquetTable
from pyvmaf.features.table import read_metadata
from pyvmaf.reports.elements import Cell, Folded, Section, digest, facts, paragraph, table, text
from pyvmaf.reports.pages.run.report import Report


def section(report: Report) -> Section:
    """Show versions of code, teacher and packages, and the hashes of tables, weights and models."""
    elements = (
        facts("Code, packages and teacher", _versions(report)),
        paragraph(
            "Every file has a manifest with its hash, its inputs and its command. ",
            "vmaf-train verify results/",
            " computes all hashes again; ",
            "vmaf-train trace FILE",
            " shows how a file was made.",
        ),
        Folded(
            "SHA-256 of every table, checkpoint and model",
            table("SHA-256", ("model", "file", "SHA-256"), _hashes(report)),
        ),
    )
    return Section("provenance", "Provenance", elements)


def _versions(report: Report) -> Iterator[tuple[str, Cell]]:
    for key, value in sorted(engine_block("report", report.uses).items()):
        yield f"this page: {key}", text(value)
    for key, value in sorted(package_versions("report").items()):
        yield f"package {key}", text(value)
    for model in report.run.models.values():
        loso = next((seed.loso for seed in model.seeds.values() if seed.loso is not None), None)
        if loso is not None:
            provenance = loso.run_provenance
            yield f"{model.name}: code of fit", text(provenance.engine["fingerprint"])
            versions = ", ".join(f"{name} {version}" for name, version in sorted(provenance.packages.items()))
            yield f"{model.name}: packages", text(versions)
    for name, value in _teachers(report.run.shards):
        yield name, text(value)


def _teachers(shards: Sequence[Path]) -> list[tuple[str, str]]:
    """Teacher and engine of the shards, as name and value, each pair once."""
    values: dict[tuple[str, str], None] = {}
    for path in sorted(shards):
        with ParquetTable(path) as table:
            block = read_metadata(table.schema, path)
        values["teacher", str(block["model"])] = None
        for key, value in sorted(block["engine"].items()):
            values[f"features: {key}", str(value)] = None
        for name, reason in sorted(block["unavailable"].items()):
            values[f"feature {name}", f"unavailable: {reason}"] = None
    return list(values)


def _hashes(report: Report) -> Iterator[list[Cell]]:
    for model in report.run.models.values():
        for seed in model.seeds.values():
            if seed.loso is None:
                continue
            name = text(f"{model.name}, seed {seed.number}")
            yield [name, text("table"), digest(seed.loso.table.sha256)]
            yield [name, text("weights"), digest(seed.loso.weights_sha256)]
            if seed.sidecar is not None:
                yield [name, text("ONNX"), digest(seed.sidecar.sha256)]
            for variant in seed.variants:
                yield [name, text(variant.mode), digest(variant.data.int8.sha256)]
