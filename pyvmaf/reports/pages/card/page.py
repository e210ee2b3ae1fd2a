"""``vmaf-train card``: one page per model, with its data, figures, gates, limits and the way to make it again.

All texts are generated from the files of the run: reports, verdict, sidecar, predictions, int8 reports, registry, table,
and their manifests. Latencies are measurements of one machine, so they differ from run to run; the rest of a card does not.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pyvmaf.base import families
from pyvmaf.base.code import Uses
from pyvmaf.base.files import write_text
from pyvmaf.base.manifest import write_manifest
from pyvmaf.base.outputs import publishes
from pyvmaf.errors import unknown_name
from pyvmaf.reports.elements import Page, Section, render
from pyvmaf.reports.pages.card import (
    data,
    ensemble,
    figures,
    gates,
    glance,
    hashes,
    int8,
    limits,
    protocol,
    reproduce,
)
from pyvmaf.reports.pages.card.card import Card, read_card
from pyvmaf.reports.pages.card.converted import build_converted
from pyvmaf.reports.read import Run, read_run

SECTIONS: tuple[Callable[[Card], Section | None], ...] = (
    glance.section,
    data.section,
    protocol.section,
    figures.section,
    gates.section,
    ensemble.section,
    limits.section,
    int8.section,
    reproduce.section,
    hashes.section,
)
"""The sections of a card, in order; a section without contents returns None."""


def build_card(card: Card, *, report: str | None = None) -> str:
    """Make the card of a model as HTML text.

    Args:
        card: the model and its files.
        report: the page of the run, as a path from the card, to link to.
    """
    description = "" if card.sidecar is None else (card.sidecar.description or "").rstrip(".")
    state = "It is shipped." if card.ships else "It is held: not for use." if card.held else "It is not registered."
    return render(
        Page(
            title=card.model.name,
            lede=f"{description}. {state}" if description else state,
            verb="card",
            sections=tuple(section for make in SECTIONS if (section := make(card)) is not None),
            links=() if report is None else ((report, "All models of this run"),),
        )
    )


@publishes("card")
def write_cards(
    paths: Iterable[str | os.PathLike[str]],
    folder: str | os.PathLike[str],
    *,
    models: Sequence[str] = (),
    table: Path | None = None,
    report: str | None = None,
    points: int = 400,
) -> list[Path]:
    """Write ``{model}.html`` with its manifest for each model, and return the paths.

    Args:
        paths: files or folders of results, as for `pyvmaf.reports.read.read_run`.
        folder: of the cards.
        models: names; by default all models that have a cross-validation report, and all converted checkpoints.
        table: the table that the models were trained on; by default the table of that name in the folder of results.
        report: the page of the run, as a path from the card, to link to.
        points: most points per fold in the scatter plot.

    Raises:
        InputError: there is no such model, or it was neither fitted nor converted.
        MissingFileError, IntegrityError: see `pyvmaf.reports.read.read_run` and `pyvmaf.reports.pages.card.card.read_card`.
    """
    run = read_run(paths, converted=True)
    known = _known(run)
    written = []
    for name in models or known:
        if name not in known:
            raise unknown_name("model with a loso.json or conversion.json", name, known)
        target = Path(folder) / f"{name}.html"
        if name in run.converted:
            write_text(target, build_converted(run, name, report=report))
            features: list[Path] = []
            manifests: dict[str, str] = {}
        else:
            card = read_card(run, name, table, points)
            write_text(target, build_card(card, report=report))
            features = [] if card.table is None else [card.table]
            manifests = {_label(Path(path)): made["content_sha256"] for path, made in card.manifests.items()}
        write_manifest(
            target,
            verb="card",
            uses=uses(run, [name]),
            args={"model": name, "report": report, "points": points},
            inputs={
                "read": [path for path in run.files if name in path.parts or path.name == "registry.json"],
                "features": features,
            },
            outputs={},
            # The card shows latencies, which differ from run to run.
            timings={"card": target},
            details={"manifests": manifests},
        )
        written.append(target)
    return written


def uses(run: Run, models: Sequence[str] = ()) -> Uses:
    """Return the parts of families that the cards of some models use in addition to their imports; () for all models."""
    names = set(models or _known(run))
    kinds = {
        seed.sidecar.kind
        for model in run.models.values()
        if model.name in names
        for seed in model.seeds.values()
        if seed.sidecar is not None
    }
    kinds |= {converted.data.kind for name, converted in run.converted.items() if name in names}
    return families.uses("card", *kinds)


def _known(run: Run) -> list[str]:
    fitted = [model.name for model in run.models.values() if any(seed.loso for seed in model.seeds.values())]
    return sorted({*fitted, *run.converted})


def _label(path: Path) -> str:
    return f"{path.name} of {path.parent.name}"
