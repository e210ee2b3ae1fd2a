"""``vmaf-train report``: the page of a run, with all of its models."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from pyvmaf.base.files import write_text
from pyvmaf.base.manifest import write_manifest
from pyvmaf.base.outputs import publishes
from pyvmaf.reports import measures
from pyvmaf.reports.elements import Page, Section, render
from pyvmaf.reports.pages.run import corpora, folds, int8, models, predictions, provenance, ranges, rates, verdicts
from pyvmaf.reports.pages.run.report import Report, uses
from pyvmaf.reports.read import Run
from pyvmaf.reports.summary import summarise

SECTIONS: tuple[Callable[[Report], Section | None], ...] = (
    models.section,
    predictions.section,
    folds.section,
    rates.section,
    int8.section,
    verdicts.section,
    corpora.section,
    ranges.section,
    provenance.section,
)
"""The sections of the page, in order; a section without contents returns None."""


def build_page(run: Run, *, points: int = 400, cards: str | None = None) -> str:
    """Make the page of a run as HTML text. The same run gives the same text.

    Args:
        run: the documents of the run.
        points: most points per fold in the scatter plots, evenly spaced over the rows.
        cards: folder of the models' cards, as a path from the page; None for no links.
    """
    summary = summarise(run).models
    rows = measures.all_rows(run)
    report = Report(run, summary, rows, measures.codec_order(run, rows), points, cards)
    shipped = [model.model for model in summary if model.verdict == "PROMOTE"]
    held = len(summary) - len(shipped)
    names = f" ({', '.join(shipped)})" if shipped else ""
    lede = (
        f"{len(shipped)} of {len(summary)} models pass their gates{names}{f'; {held} held' if held else ''}. All figures "
        "are of sources that were held out from the judged model."
    )
    sections = tuple(section for make in SECTIONS if (section := make(report)) is not None)
    return render(Page("Results of this run", lede, "report", sections))


@publishes("report")
def write_report(
    run: Run,
    output: str | os.PathLike[str],
    *,
    points: int = 400,
    cards: str | None = None,
) -> int:
    """Write the page of a run and return its size in bytes.

    Args:
        run: the documents of the run.
        output: the page; its manifest is written beside it.
        points, cards: as for `build_page`.

    Raises:
        IntegrityError: a figure of a report differs from that of its predictions.
    """
    target = Path(output)
    html = build_page(run, points=points, cards=cards)
    write_text(target, html)
    write_manifest(
        target,
        verb="report",
        uses=uses(run),
        args={"output": target, "points": points, "cards": cards},
        inputs={"read": run.files},
        outputs={"page": target},
        details={
            # Corpus rows hold clock readings, so the hashes of their files differ from run to run; the page shows none.
            "records_sha256": measures.records_digest(run.records),
            "models": list(run.models),
        },
    )
    return len(html.encode())
