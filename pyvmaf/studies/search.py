"""A search over the hyperparameters of a spec, kept in Optuna's storage.

The storage holds every trial as soon as it is done. So an interrupted study continues where it was, several processes
can share one, and the report can be made again at any time. The random numbers of a trial depend on the study's seed
and the trial's index alone: a study that was interrupted proposes the same values as one that was not.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pyvmaf.base.code import identity
from pyvmaf.base.files import content_hash, sha256_file
from pyvmaf.errors import InputError, PyvmafError, UnavailableError
from pyvmaf.studies.reports import FitFigures, Outcome, State
from pyvmaf.studies.space import Parameter, coerce
from pyvmaf.studies.trial import Job

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

UNPRUNED = 5
"""Trials that run to their end before any is ended early, so that there is a median to compare with."""

# No trial is ended in the first quarter of its epochs: a low learning rate is behind at first.
_WARM_UP = 4
_INTERRUPTED, _ERROR, _PLAN = "interrupted", "error", "plan"


class OnTrial(Protocol):
    """Called during a study."""

    def __call__(self, done: int, total: int, label: str | None = None, /) -> None:
        """Take the number of trials done, that of all, and the present step."""


@dataclass(frozen=True)
class Search:
    """An open study.

    Attributes:
        study: Optuna's.
        job: the part that all trials share.
        space: the parameters.
        trials: number of finished trials that the study is to have.
    """

    study: Study
    job: Job
    space: tuple[Parameter, ...]
    trials: int

    def finished(self) -> list[FrozenTrial]:
        """List the trials that are done: completed, ended early, or failed because of their values."""
        return [t for t in self.study.get_trials(deepcopy=False) if t.state.is_finished() and not _interrupted(t)]

    def completed(self) -> list[FrozenTrial]:
        """List the trials with a value."""
        return [trial for trial in self.finished() if state(trial) == "complete"]

    def ask(self) -> tuple[Trial, dict[str, Any]]:
        """Return the next trial and its values by dotted path."""
        # Interrupted trials do not count: their successors get their random numbers.
        index = sum(not _interrupted(trial) for trial in self.study.get_trials(deepcopy=False))
        self.study.sampler = _sampler(self.job.seed, index)
        trial = self.study.ask()
        return trial, {parameter.name: parameter.suggest(trial) for parameter in self.space}

    def complete(self, trial: Trial, outcome: Outcome) -> None:
        """Record the outcome of a trial."""
        for name, value in outcome.figures().as_json().items():
            trial.set_user_attr(name, value)
        self.study.tell(trial, outcome.value)

    def prune(self, trial: Trial) -> None:
        """Record that a trial was ended early."""
        from optuna.trial import TrialState

        self.study.tell(trial, state=TrialState.PRUNED)

    def fail(self, trial: Trial, reason: str) -> None:
        """Record that a trial's values do not work."""
        from optuna.trial import TrialState

        trial.set_user_attr(_ERROR, reason)
        self.study.tell(trial, state=TrialState.FAIL)

    def interrupt(self, trial: Trial) -> None:
        """Record that a trial was interrupted, whatever its values."""
        from optuna.trial import TrialState

        trial.set_user_attr(_INTERRUPTED, True)
        self.study.tell(trial, state=TrialState.FAIL)
        shutil.rmtree(self.job.folder(trial.number), ignore_errors=True)

    def best(self) -> FrozenTrial:
        """Return the trial with the smallest value, the first one of equals.

        Raises:
            PyvmafError: no trial has a value.
        """
        completed = self.completed()
        if not completed:
            reasons = [reason for trial in self.finished() if (reason := error(trial)) is not None]
            raise PyvmafError(f"none of {len(self.finished())} trials has a value; the first failed with: {reasons[0]}")
        return min(completed, key=lambda trial: (trial.value, trial.number))

    def status(self) -> str:
        """Return the best value so far, for a progress bar."""
        values = [trial.value for trial in self.completed() if trial.value is not None]
        return f"best {self.job.objective} {min(values):.5g}" if values else "no trial done"

    def values(self, trial: FrozenTrial) -> dict[str, Any]:
        """Return the values of a trial by dotted path."""
        return {p.name: coerce(trial.params[p.name]) if p.choices else trial.params[p.name] for p in self.space}


def state(trial: FrozenTrial) -> State:
    """Return the state of a finished trial."""
    names: dict[str, State] = {"COMPLETE": "complete", "PRUNED": "pruned"}
    return names.get(trial.state.name, "failed")


def error(trial: FrozenTrial) -> str | None:
    """Return why a trial failed."""
    return trial.user_attrs.get(_ERROR)


def figures(trial: FrozenTrial) -> FitFigures:
    """Return the figures of a completed trial."""
    return FitFigures.model_validate({name: trial.user_attrs.get(name) for name in FitFigures.model_fields})


def _interrupted(trial: FrozenTrial) -> bool:
    return bool(trial.user_attrs.get(_INTERRUPTED))


def _sampler(seed: int, index: int) -> Any:
    from optuna.samplers import TPESampler

    return TPESampler(seed=int.from_bytes(hashlib.sha256(f"{seed}:{index}".encode()).digest()[:4], "big"))


def open_search(
    job: Job,
    space: tuple[Parameter, ...],
    *,
    storage: str,
    study_name: str,
    trials: int,
    prune: bool,
) -> Search:
    """Open a study, or create it.

    Raises:
        UnavailableError: Optuna is not installed.
        InputError: the storage cannot be opened, or holds a study of that name with another plan.
    """
    try:
        import optuna
    except ImportError as err:
        raise UnavailableError("tune needs optuna, which is not installed: pip install 'vmaf-train[tune]'") from err
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if storage.startswith("sqlite:///"):
        Path(storage.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    warm_up = (int(job.base["epochs"]) if job.epochs is None else job.epochs) // _WARM_UP
    pruner = optuna.pruners.MedianPruner(UNPRUNED, warm_up) if prune else optuna.pruners.NopPruner()
    try:
        study = optuna.create_study(
            storage=storage, study_name=study_name, pruner=pruner, direction="minimize", load_if_exists=True
        )
    except (SQLAlchemyError, ImportError, ValueError, RuntimeError) as err:
        raise InputError(f"--storage {storage!r} cannot be opened: {err}") from err
    search = Search(study, job, space, trials)
    _check_plan(search, _plan(job, space, prune), f"{storage} holds study {study_name!r}")
    return search


def _plan(job: Job, space: Sequence[Parameter], prune: bool) -> dict[str, Any]:
    """Describe everything that makes trials comparable."""
    return {
        "spec_sha256": content_hash(dict(job.base)),
        "table_sha256": sha256_file(job.table),
        "objective": job.objective,
        "seed": job.seed,
        "epochs": job.epochs,
        "space": {parameter.name: parameter.spec for parameter in space},
        "prune": prune,
        "code": identity("tune"),
    }


def _check_plan(search: Search, plan: Mapping[str, Any], where: str) -> None:
    """Record the plan of a new study, and refuse to mix it with trials of another one."""
    recorded = search.study.user_attrs.get(_PLAN)
    if recorded is None or not search.finished():
        search.study.set_user_attr(_PLAN, dict(plan))
    elif recorded != plan:
        differences = [
            f"{key} {recorded.get(key)!r}, now {plan[key]!r}" for key in plan if recorded.get(key) != plan[key]
        ]
        raise InputError(
            f"{where} with another plan ({'; '.join(differences)}): its trials do not compare with new ones. Choose "
            "another --study-name or --output, or use the plan of the study"
        )


def run_in_process(search: Search, on_trial: OnTrial) -> None:
    """Run trials one after another until the study has as many as requested."""
    import optuna

    while (done := len(search.finished())) < search.trials:
        trial, values = search.ask()
        label = f"trial {trial.number}"
        on_trial(done, search.trials, f"{label}, {search.status()}")

        def report(epochs: int, value: float, trial: Trial = trial, label: str = label, done: int = done) -> None:
            on_trial(done, search.trials, f"{label}, {epochs} epochs: {value:.5g}, {search.status()}")
            trial.report(value, epochs)
            if trial.should_prune():
                raise optuna.TrialPruned

        try:
            outcome = search.job.run(trial.number, values, report)
        except optuna.TrialPruned:
            search.prune(trial)
        except PyvmafError as err:
            search.fail(trial, str(err))
        except BaseException:
            search.interrupt(trial)
            raise
        else:
            search.complete(trial, outcome)
    on_trial(search.trials, search.trials, search.status())
