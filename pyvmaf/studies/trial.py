"""One trial: the spec with its values, fitted in a folder of its own and judged on held-out rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyvmaf.base.files import write_text
from pyvmaf.base.table import Table
from pyvmaf.models.families import OnEpoch
from pyvmaf.models.fit import fit
from pyvmaf.models.spec import parse_spec
from pyvmaf.studies.reports import FitFigures, Outcome
from pyvmaf.studies.space import with_values

WORST_PLCC = -1.0

Report = Callable[[int, float], None]
"""Called during a fit with the epochs done and the objective by then; an exception that it raises ends the trial."""


@dataclass(frozen=True)
class Objective:
    """A held-out figure to minimise.

    Attributes:
        name: its name on the command line.
        about: its definition.
    """

    name: str
    about: str

    def __call__(self, figures: Mapping[str, Any]) -> float:
        """Compute the objective of a fit. A fold without a PLCC (constant predictions) counts as the worst possible."""
        if self.name == "rmse":
            return float(figures["mean_rmse"])
        plcc = figures["mean_plcc"]
        return 1.0 - (WORST_PLCC if plcc is None else float(plcc))


OBJECTIVES: Table[Objective] = {
    "rmse": Objective("rmse", "mean over the folds of the RMSE on held-out rows"),
    "plcc": Objective("plcc", "1 - mean over the folds of the PLCC on held-out rows; 2 if a fold has none"),
}


@dataclass(frozen=True)
class Job:
    """The part that all trials of a study share; it is sent to other processes.

    Attributes:
        base: the mapping of the model's YAML file.
        table: the training table.
        output: folder of the study.
        objective: key of `OBJECTIVES`.
        seed: of every fit.
        epochs: number of epochs; None for the spec's.
        threads: torch threads of a fit; the result does not depend on it.
    """

    base: Mapping[str, Any]
    table: Path
    output: Path
    objective: str
    seed: int
    epochs: int | None
    threads: int

    def folder(self, number: int) -> Path:
        """Return the folder of a trial."""
        return self.output / f"trial_{number:03d}"

    def spec_file(self, number: int) -> Path:
        """Return the path of a trial's spec; its stem is the name of the model."""
        return self.folder(number) / f"{self.base['name']}.yaml"

    def run(
        self, number: int, values: Mapping[str, Any], report: Report | None = None, on_epoch: OnEpoch | None = None
    ) -> Outcome:
        """Fit one trial in its folder.

        Args:
            number: of the trial.
            values: of the parameters, by dotted path.
            report: takes the objective during the fit.
            on_epoch: called after each epoch.

        Raises:
            InputError: the values do not make a valid spec, or the table does not fit it.
            PyvmafError: the training diverged.
        """
        return self.fit(
            with_values(self.base, values), self.folder(number), seed=self.seed, report=report, on_epoch=on_epoch
        )

    def fit(
        self,
        spec: Mapping[str, Any],
        folder: Path,
        *,
        seed: int,
        report: Report | None = None,
        on_epoch: OnEpoch | None = None,
    ) -> Outcome:
        """Fit a spec in a folder, as `run` does."""
        objective = OBJECTIVES[self.objective]
        path = folder / f"{spec['name']}.yaml"
        parse_spec(dict(spec), str(path))
        write_spec(path, spec, at_once=True)
        figures = fit(
            path,
            self.table,
            folder,
            seed=seed,
            epochs=self.epochs,
            threads=self.threads,
            on_epoch=on_epoch,
            on_held_out=None if report is None else lambda done, figures: report(done, objective(figures)),
        ).loso
        return Outcome(value=objective(figures), **{name: figures[name] for name in FitFigures.model_fields})


def write_spec(path: Path, spec: Mapping[str, Any], comment: str | None = None, *, at_once: bool = False) -> None:
    """Write a spec as YAML, with its keys in their present order.

    Args:
        path, at_once: as in `pyvmaf.base.files.atomic_path`.
        spec: the spec.
        comment: first line of the file.
    """
    import yaml

    text = yaml.safe_dump(dict(spec), sort_keys=False, allow_unicode=True, width=120)
    write_text(path, f"# {comment}\n{text}" if comment else text, at_once=at_once)
