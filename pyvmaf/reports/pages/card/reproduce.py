"""Section: the commands that made the model."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from pyvmaf.reports.elements import Code, Element, Section, facts, paragraph, text
from pyvmaf.reports.pages.card.card import Card


def section(card: Card) -> Section:
    """Show the commands, and the versions of code and packages."""
    onnx = card.seed.onnx
    target = f"results/models/{card.model.name}/verdict.json" if onnx is None else onnx.as_posix()
    elements: list[Element] = [
        paragraph("All steps at once, with everything before them:"),
        Code((f"snakemake --cores all {target}",)),
    ]
    manifests = list(card.manifests.values())
    if manifests:
        elements.append(paragraph("The steps one by one, as the manifests of the files record them:"))
        elements.append(Code(tuple(dict.fromkeys(_command(manifest) for manifest in manifests))))
    else:
        elements.append(paragraph("The files have no manifests."))
    versions = dict.fromkeys(version for manifest in manifests for version in _versions(manifest))
    elements.append(facts("Code and packages", [(name, text(value)) for name, value in versions]))
    elements.append(
        paragraph(
            "The same bytes, configuration and seed give the same weights and the same file on the same type of machine. ",
            "vmaf-train trace",
            " shows how a file was made, back to the videos.",
        )
    )
    return Section("reproduce", "Reproduction", tuple(elements))


def _command(manifest: Mapping[str, Any]) -> str:
    argv = manifest["argv"]
    if argv and argv[0].startswith("vmaf-train"):
        return shlex.join(argv)
    # A program called the function; its arguments describe the same step.
    return f"# {manifest['entrypoint']}, called with {manifest['args']}"


def _versions(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    engine = manifest["engine"]
    packages = ", ".join(f"{name} {version}" for name, version in sorted(manifest["packages"].items()))
    yield f"code of stage {engine['stage']}", f"fingerprint {engine['fingerprint']}, pyvmaf {engine['pyvmaf']}"
    yield f"packages of stage {engine['stage']}", packages or "none that affect the result"
