"""``vmaf-train tune``: search a spec's hyperparameters by what its folds reach on held-out rows.

Optuna's storage is the record of a study: every trial is in it as soon as it is done, so that a study that was
stopped goes on where it was, several processes can share one, and the report can be made again at any time. The
random numbers of a trial depend on the study's seed and the trial's place alone: a study that was interrupted and
resumed proposes what it would have proposed without.
"""

from __future__ import annotations

import hashlib
import shutil
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pyvmaf.base.code import identity
from pyvmaf.base.document import publish_body
from pyvmaf.base.families import uses
from pyvmaf.base.files import content_hash, read_yaml, relative, sha256_file
from pyvmaf.errors import InputError, PyvmafError, UnavailableError, unknown_name
from pyvmaf.models.regressor.rows import read_table
from pyvmaf.models.regressor.spec import load_regressor
from pyvmaf.studies.space import Parameter, check_space, coerce, parse_space, with_values
from pyvmaf.studies.trial import FIGURES, OBJECTIVES, Job, write_spec

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

SCHEMA = Path(__file__).with_name("tune.schema.json")
BACKENDS = ("optuna", "ray")
STUDY_NAME = "vmaf-train-sweep"
STORAGE, OUTPUT, PLOT = "study.db", "tune.json", "tune.svg"

# Trials that run to their end before any is ended early, so that there is a median to compare with.
_UNPRUNED = 5
# No trial is ended before this part of its epochs: a low learning rate is behind at first.
_WARM_UP = 4
_INTERRUPTED, _ERROR, _PLAN = "interrupted", "error", "plan"


class OnTrial(Protocol):
    """Called as a study goes on."""

    def __call__(self, done: int, total: int, label: str | None = None, /) -> None:
        """Take the trials done, those in all, and what is going on."""


@dataclass(frozen=True)
class Search:
    """An open study.

    Attributes:
        study: Optuna's.
        job: what all trials share.
        space: what varies.
        trials: how many finished trials the study is to have.
    """

    study: Study
    job: Job
    space: tuple[Parameter, ...]
    trials: int

    def finished(self) -> list[FrozenTrial]:
        """Trials that are done: completed, ended early, or failed for a reason of their own."""
        return [t for t in self.study.get_trials(deepcopy=False) if t.state.is_finished() and not _stopped(t)]

    def ask(self) -> tuple[Trial, dict[str, Any]]:
        """The next trial and its values by dotted path."""
        # Those that were stopped do not count: whoever comes back gets the numbers that they had.
        place = sum(not _stopped(t) for t in self.study.get_trials(deepcopy=False))
        self.study.sampler = _sampler(self.job.seed, place)
        trial = self.study.ask()
        return trial, {p.name: p.suggest(trial) for p in self.space}

    def complete(self, trial: Trial, outcome: Mapping[str, Any]) -> None:
        """Note what a trial came to."""
        for name, value in outcome.items():
            if name != "value":
                trial.set_user_attr(name, value)
        self.study.tell(trial, outcome["value"])

    def pruned(self, trial: Trial) -> None:
        """Note that a trial was ended early."""
        from optuna.trial import TrialState

        self.study.tell(trial, state=TrialState.PRUNED)

    def failed(self, trial: Trial, why: str) -> None:
        """Note that a trial's values do not work."""
        from optuna.trial import TrialState

        trial.set_user_attr(_ERROR, why)
        self.study.tell(trial, state=TrialState.FAIL)

    def stopped(self, trial: Trial) -> None:
        """Note that a trial was interrupted, which says nothing about its values."""
        from optuna.trial import TrialState

        trial.set_user_attr(_INTERRUPTED, True)
        self.study.tell(trial, state=TrialState.FAIL)
        shutil.rmtree(self.job.folder(trial.number), ignore_errors=True)

    def status(self) -> str:
        """The best value so far, for a progress bar."""
        done = [t.value for t in self.finished() if t.value is not None and not _pruned(t)]
        return f"best {self.job.objective} {min(done):.5g}" if done else "no trial done"


def _stopped(trial: FrozenTrial) -> bool:
    return bool(trial.user_attrs.get(_INTERRUPTED))


def _pruned(trial: FrozenTrial) -> bool:
    return trial.state.name == "PRUNED"


def _sampler(seed: int, place: int) -> Any:
    from optuna.samplers import TPESampler

    return TPESampler(seed=int.from_bytes(hashlib.sha256(f"{seed}:{place}".encode()).digest()[:4], "big"))


def open_search(
    job: Job,
    space: tuple[Parameter, ...],
    *,
    storage: str,
    study_name: str,
    trials: int,
    prune: bool,
) -> Search:
    """Open a study, or make it.

    Raises:
        UnavailableError: Optuna is not installed.
        InputError: the storage cannot be opened, or holds a study of that name over something else.
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
    pruner = optuna.pruners.MedianPruner(_UNPRUNED, warm_up) if prune else optuna.pruners.NopPruner()
    try:
        study = optuna.create_study(
            storage=storage, study_name=study_name, pruner=pruner, direction="minimize", load_if_exists=True
        )
    except (SQLAlchemyError, ImportError, ValueError, RuntimeError) as err:
        raise InputError(f"--storage {storage!r} cannot be opened: {err}") from err
    plan = {
        "spec_sha256": content_hash(dict(job.base)),
        "table_sha256": sha256_file(job.table),
        "objective": job.objective,
        "seed": job.seed,
        "epochs": job.epochs,
        "space": {p.name: p.spec for p in space},
        "prune": prune,
        "code": identity("tune"),
    }
    before = study.user_attrs.get(_PLAN)
    search = Search(study, job, space, trials)
    if before is None or not search.finished():
        study.set_user_attr(_PLAN, plan)
    elif before != plan:
        differ = [f"{key} {before.get(key)!r}, now {plan[key]!r}" for key in plan if before.get(key) != plan[key]]
        raise InputError(
            f"{storage} holds study {study_name!r} over something else ({'; '.join(differ)}): its trials do not "
            "compare with new ones. Take another --study-name or --output, or go back to what it was made with"
        )
    return search


def run_here(search: Search, on_trial: OnTrial) -> None:
    """Run trials one after another until the study has as many as it should."""
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
            search.pruned(trial)
        except PyvmafError as err:
            search.failed(trial, str(err))
        except BaseException:
            search.stopped(trial)
            raise
        else:
            search.complete(trial, outcome)
    on_trial(search.trials, search.trials, search.status())


def tune(
    config: Path,
    table: Path,
    output: Path,
    parameters: Sequence[str],
    *,
    trials: int = 20,
    objective: str = "rmse",
    storage: str | None = None,
    study_name: str = STUDY_NAME,
    epochs: int | None = None,
    seed: int = 0,
    prune: bool = True,
    confirm: int = 2,
    backend: str = "optuna",
    jobs: int | None = None,
    threads: int = 1,
    plot: bool = True,
    on_trial: OnTrial = lambda _done, _total, _label=None: None,
) -> dict[str, Any]:
    """Search, and leave ``tune.json``, the best trial as a spec, a plot, and a folder per trial in `output`.

    Args:
        config: the model's YAML file.
        table: parquet table to train on.
        output: folder for all that.
        parameters: what varies, as ``NAME=SPEC``.
        trials: how many finished trials the study is to have; those that it has already count.
        objective: key of `OBJECTIVES`: always a figure of held-out rows.
        storage: URL of Optuna's storage; by default a file in `output`.
        study_name: of the study in the storage.
        epochs: other than the spec's.
        seed: of sampling and of every fit.
        prune: end trials early whose held-out figure is worse than the median of those before.
        confirm: number of further seeds that the base and the best spec are fitted with. The best of many trials
            looks better than it is on the seed that chose it.
        backend: key of `BACKENDS`: one trial after another in this process, or Ray Tune.
        jobs: trials at the same time, for ray; by default as many as there are cores.
        threads: torch threads of a fit.
        plot: whether the plot is drawn.
        on_trial: called as it goes on.

    Returns:
        The report.

    Raises:
        InputError: config, table, a parameter or the storage is not usable.
        UnavailableError: the backend is not installed.
        PyvmafError: not one trial came to a value.
    """
    started = time.perf_counter()
    if trials < 1:
        raise InputError(f"--trials must be 1 or more, not {trials}")
    if objective not in OBJECTIVES:
        raise unknown_name("objective", objective, OBJECTIVES)
    if backend not in BACKENDS:
        raise unknown_name("backend", backend, BACKENDS)
    space = parse_space(parameters)
    if epochs is not None and any(p.name == "epochs" for p in space):
        raise InputError(f"--epochs {epochs} fixes what --param epochs is to vary: leave one of them out")
    spec, base = load_regressor(config), read_yaml(config)
    check_space(base, space, str(config))
    data = read_table(table, spec)
    job = Job(base, table, output, objective, seed, epochs, threads)
    url = storage or f"sqlite:///{output / STORAGE}"
    with warnings.catch_warnings():
        # Optuna says at length which of its parts are new.
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", UserWarning)
        search = open_search(job, space, storage=url, study_name=study_name, trials=trials, prune=prune)
        if backend == "ray":
            from pyvmaf.studies.ray_backend import run_on_ray

            run_on_ray(search, jobs, on_trial, threads)
        else:
            run_here(search, on_trial)
        best, figures = _best(search)
        confirmed = _confirm(search, best, confirm, on_trial) if confirm else None
        importances = _importances(search)

    best_spec = output / f"{_tuned_name(spec.name)}.yaml"
    tuned = with_values(base, _values(best, space)) | {"name": best_spec.stem}
    write_spec(
        best_spec,
        tuned if epochs is None else tuned | {"epochs": epochs},
        f"Trial {best.number} of {len(search.finished())}: {job.objective} {best.value!r} on held-out rows.",
    )
    load_regressor(best_spec)
    rows = [_row(t, search) for t in search.finished()]
    body = {
        "model": spec.name,
        "table": {"name": table.stem, "sha256": data.sha256, "rows_used": int(data.y.size)},
        "objective": {"name": objective, "about": OBJECTIVES[objective].about, "direction": "minimise"},
        "seed": seed,
        "epochs": epochs,
        "backend": backend,
        "study": {
            "name": study_name,
            "storage": _shown(url),
            "sampler": "tree-structured Parzen estimator",
            "pruner": f"median of the trials before, after {_UNPRUNED} of them" if prune else "none",
        },
        "space": {p.name: p.spec for p in space},
        "n_trials": len(rows),
        "n_by_state": {state: sum(r["state"] == state for r in rows) for state in ("complete", "pruned", "failed")},
        "trials": rows,
        "best": {"trial": best.number, "params": _values(best, space), "spec": best_spec.name, **figures},
        "importances": importances,
        "confirmation": confirmed,
        "note": "the best of many trials is better on the rows that chose it than on others; compare base and best "
        "in `confirmation`, and judge the best spec as any other",
    }
    beside: dict[str, Path | Sequence[Path]] = {
        "best_spec": best_spec,
        "specs": sorted(output.glob(f"*/**/{spec.name}.yaml")),
    }
    if plot:
        from pyvmaf.studies.charts import save, trials_chart

        beside["plot"] = output / PLOT
        save(trials_chart(body), output / PLOT)
    args = {
        "config": config, "features": table, "param": list(parameters), "trials": trials, "objective": objective,
        "study_name": study_name, "storage": _shown(url), "epochs": epochs, "seed": seed, "prune": prune,
        "confirm": confirm, "backend": backend,
    }  # fmt: skip
    return publish_body(
        body,
        output / OUTPUT,
        schema=SCHEMA,
        verb="tune",
        uses=uses("tune", spec.kind),
        args=args,
        inputs={"config": config, "features": table},
        started=started,
        beside=beside,
        records={} if storage else {"storage": output / STORAGE},
    )


def _best(search: Search) -> tuple[FrozenTrial, dict[str, Any]]:
    done = [t for t in search.finished() if t.state.name == "COMPLETE"]
    if not done:
        why = [t.user_attrs[_ERROR] for t in search.finished() if _ERROR in t.user_attrs]
        raise PyvmafError(f"not one of {len(search.finished())} trials came to a value; the first says: {why[0]}")
    best = min(done, key=lambda t: (t.value, t.number))
    return best, {"value": best.value, **{k: best.user_attrs.get(k) for k in ("epochs", "n_params", *FIGURES)}}


def _row(trial: FrozenTrial, search: Search) -> dict[str, Any]:
    state = {"COMPLETE": "complete", "PRUNED": "pruned"}.get(trial.state.name, "failed")
    steps = trial.intermediate_values
    return {
        "trial": trial.number,
        "state": state,
        "params": _values(trial, search.space),
        "value": trial.value if state == "complete" else None,
        "figures": {k: trial.user_attrs.get(k) for k in ("epochs", "n_params", *FIGURES)}
        if state == "complete"
        else None,
        "on_the_way": [[step, steps[step]] for step in sorted(steps)],
        "error": trial.user_attrs.get(_ERROR),
    }


def _values(trial: FrozenTrial, space: Sequence[Parameter]) -> dict[str, Any]:
    return {p.name: coerce(trial.params[p.name]) if p.choices else trial.params[p.name] for p in space}


def _tuned_name(name: str) -> str:
    return f"{name[:58]}_tuned"


def _confirm(search: Search, best: FrozenTrial, further: int, on_trial: OnTrial) -> dict[str, Any]:
    """Fit the base and the best spec with seeds that chose nothing, beside the one that chose."""
    job, done = search.job, len(search.finished())
    specs = {"base": dict(job.base), "best": with_values(job.base, _values(best, search.space))}
    keys = {"base": "base", "best": str(best.number)}
    seeds = list(range(job.seed, job.seed + further + 1))
    rows: dict[str, list[dict[str, Any]]] = {}
    for name, spec in specs.items():
        rows[name] = []
        for seed in seeds:
            on_trial(done, search.trials, f"confirm: {name}, seed {seed}")
            key = f"confirm:{keys[name]}:{seed}"
            found = search.study.user_attrs.get(key)
            if found is None:
                found = job.fit(spec, job.output / "confirm" / name / f"seed{seed}", seed=seed)
                search.study.set_user_attr(key, found)
            rows[name].append({"seed": seed, **found})
    mean = {name: sum(r["value"] for r in rows[name][1:]) / further for name in rows}
    first = {name: rows[name][0]["value"] for name in rows}
    return {
        **rows,
        "gain_on_the_seed_of_the_search": first["base"] - first["best"],
        "gain_on_further_seeds": mean["base"] - mean["best"],
        "base_on_further_seeds": mean["base"],
        "best_on_further_seeds": mean["best"],
    }


def _importances(search: Search) -> dict[str, float] | None:
    """Share of the objective's variance that each parameter explains; None for too few trials to tell."""
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    values = {t.value for t in search.finished() if t.state.name == "COMPLETE"}
    if len(values) < _UNPRUNED:
        return None
    evaluator = FanovaImportanceEvaluator(seed=search.job.seed)
    return {k: float(v) for k, v in get_param_importances(search.study, evaluator=evaluator).items()}


def _shown(url: str) -> str:
    """A storage's URL without password, and without the part of a path that is this machine's."""
    if url.startswith("sqlite:///"):
        return f"sqlite:///{relative(url.removeprefix('sqlite:///'))}"
    from sqlalchemy.engine import make_url

    return make_url(url).render_as_string(hide_password=True)
