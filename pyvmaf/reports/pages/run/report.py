"""The values that the sections of a run's page show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyvmaf.base import families
from pyvmaf.base.code import Uses
from pyvmaf.reports.read import Run
from pyvmaf.reports.summary import ModelSummary

if TYPE_CHECKING:
    import pandas as pd

MOST_PANELS = 24
"""Most panels of a chart: more of them make the page slow and are not read. The tables hold everything."""


@dataclass(frozen=True)
class Report:
    """A run, as its page shows it.

    Attributes:
        run: the documents of the run.
        models: the models of its summary (`pyvmaf.reports.summary.summarise`).
        rows: the rows of all shards, None without shards.
        codecs: every codec of the run, so that each has the same colour in all charts.
        points: most points per fold in the scatter plots.
        cards: folder of the models' cards, as a path from the page; None for no links.
    """

    run: Run
    models: Sequence[ModelSummary]
    rows: pd.DataFrame | None
    codecs: Sequence[str]
    points: int
    cards: str | None

    @property
    def uses(self) -> Uses:
        """The code that the page uses in addition to its imports."""
        return uses(self.run)


def uses(run: Run) -> Uses:
    """Return the parts of families that run the exported models of a page."""
    return families.uses("report", *run.kinds)
