"""One trial: the spec with its values, fitted in a folder of its own and judged on held-out rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyvmaf.base.files import write_text
from pyvmaf.models.families import OnEpoch
from pyvmaf.models.fit import fit
from pyvmaf.models.spec import parse_spec
from pyvmaf.studies.space import with_values

FIGURES = ("mean_plcc", "std_plcc", "min_plcc", "mean_srocc", "mean_krocc", "mean_rmse")
WORST_PLCC = -1.0

Report = Callable[[int, float], None]
"""Called on the way with the epochs done and the objective by then; what it raises ends the trial."""


@dataclass(frozen=True)
class Objective:
    """A held-out figure to make small.

    Attributes:
        name: what it is called on the command line.
        about: what it is.
    """

    name: str
    about: str

    def __call__(self, figures: Mapping[str, Any]) -> float:
        """The objective of a fit's summary. A fold without a PLCC (constant predictions) is the worst there is."""
        if self.name == "rmse":
            return float(figures["mean_rmse"])
        found = figures["mean_plcc"]
        return 1.0 - (WORST_PLCC if found is None else float(found))


OBJECTIVES = {
    "rmse": Objective("rmse", "mean over the folds of the RMSE on held-out rows"),
    "plcc": Objective("plcc", "1 - mean over the folds of the PLCC on held-out rows; 2 where a fold has none"),
}


@dataclass(frozen=True)
class Job:
    """What all trials of a study share; it travels to other processes.

    Attributes:
        base: the mapping of the model's YAML file.
        table: what is trained on.
        output: folder of the study.
        objective: key of `OBJECTIVES`.
        seed: of every fit.
        epochs: other than the spec's.
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
        """Where a trial's files lie."""
        return self.output / f"trial_{number:03d}"

    def spec_file(self, number: int) -> Path:
        """A trial's spec. A spec is called what its model is called."""
        return self.folder(number) / f"{self.base['name']}.yaml"

    def run(
        self, number: int, values: Mapping[str, Any], report: Report | None = None, on_epoch: OnEpoch | None = None
    ) -> dict[str, Any]:
        """Fit one trial in its folder.

        Args:
            number: of the trial.
            values: of the parameters, by dotted path.
            report: takes the objective on the way.
            on_epoch: called after each epoch.

        Returns:
            value: the objective; epochs, n_params and `FIGURES` of the fit.

        Raises:
            InputError: these values make no valid spec, or the table does not serve it.
            PyvmafError: the training went out of bounds.
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
    ) -> dict[str, Any]:
        """Fit a spec in a folder, as `run` does."""
        objective = OBJECTIVES[self.objective]
        path = folder / f"{spec['name']}.yaml"
        parse_spec(dict(spec), str(path))
        write_spec(path, spec)
        found = fit(
            path,
            self.table,
            folder,
            seed=seed,
            epochs=self.epochs,
            threads=self.threads,
            on_epoch=on_epoch,
            on_held_out=None if report is None else lambda done, figures: report(done, objective(figures)),
        ).loso
        return {
            "value": objective(found),
            "epochs": found["epochs"],
            "n_params": found["n_params"],
            **{name: found[name] for name in FIGURES},
        }


def write_spec(path: Path, spec: Mapping[str, Any], comment: str | None = None) -> None:
    """Write a spec as YAML, its keys in the order given."""
    import yaml

    text = yaml.safe_dump(dict(spec), sort_keys=False, allow_unicode=True, width=120)
    write_text(path, f"# {comment}\n{text}" if comment else text)
