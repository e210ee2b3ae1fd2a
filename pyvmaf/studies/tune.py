"""``vmaf-train tune``: a search over a spec's hyperparameters by the figures of its folds on held-out rows."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyvmaf.base.document import Call, publish
from pyvmaf.base.files import read_yaml, relative
from pyvmaf.base.outputs import publishes
from pyvmaf.errors import InputError, unknown_name
from pyvmaf.models.regressor.rows import read_table
from pyvmaf.models.regressor.spec import load_regressor
from pyvmaf.studies.reports import (
    BestTrial,
    Confirmation,
    ConfirmedFit,
    NumberByState,
    StudyFacts,
    TrialRow,
    TuneObjective,
    TuneTable,
    Tuning,
)
from pyvmaf.studies.search import (
    UNPRUNED,
    OnTrial,
    Search,
    error,
    figures,
    open_search,
    run_in_process,
    state,
)
from pyvmaf.studies.space import check_space, parse_space, with_values
from pyvmaf.studies.trial import OBJECTIVES, Job, write_spec

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

BACKENDS = ("optuna", "ray")
STUDY_NAME = "vmaf-train-sweep"
STORAGE, OUTPUT, PLOT = "study.db", "tune.json", "tune.svg"
_NOTE = (
    "the best of many trials is better on the rows that chose it than on others; compare base and best in "
    "`confirmation`, and judge the best spec as any other"
)


@publishes("tune")
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
) -> Tuning:
    """Search, and write ``tune.json``, the best trial as a spec, a plot, and a folder per trial to `output`.

    Args:
        config: the model's YAML file.
        table: parquet table to train on.
        output: folder of the study.
        parameters: parameters of the search, as ``NAME=SPEC``.
        trials: number of finished trials that the study is to have, those of earlier calls included.
        objective: key of `OBJECTIVES`: always a figure of held-out rows.
        storage: URL of Optuna's storage; by default a file in `output`.
        study_name: of the study in the storage.
        epochs: number of epochs; by default the spec's.
        seed: of sampling and of every fit.
        prune: end trials early whose held-out figure is worse than the median of those before.
        confirm: number of further seeds that the base and the best spec are fitted with. The best of many trials
            looks better than it is on the seed that chose it.
        backend: one of `BACKENDS`: one trial after another in this process, or Ray Tune.
        jobs: trials at the same time, for ray; by default the number of cores.
        threads: torch threads of a fit.
        plot: draw the plot.
        on_trial: called during the study.

    Raises:
        InputError: config, table, a parameter or the storage is not usable.
        UnavailableError: the backend is not installed.
        PyvmafError: no trial has a value.
    """
    started = time.perf_counter()
    _check_options(trials, objective, backend)
    space = parse_space(parameters)
    if epochs is not None and any(parameter.name == "epochs" for parameter in space):
        raise InputError(f"--epochs {epochs} fixes the key that --param epochs varies: leave one of them out")
    spec, base = load_regressor(config), read_yaml(config)
    check_space(base, space, str(config))
    data = read_table(table, spec)
    url = storage or f"sqlite:///{output / STORAGE}"
    shown_url = public_url(url)
    call = Call(
        "tune",
        args={
            "config": config,
            "features": table,
            "param": list(parameters),
            "trials": trials,
            "objective": objective,
            "study_name": study_name,
            "storage": shown_url,
            "epochs": epochs,
            "seed": seed,
            "prune": prune,
            "confirm": confirm,
            "backend": backend,
        },
        inputs={"config": config, "features": table},
        uses=spec.uses("tune"),
        started=started,
    )
    job = Job(base, table, output, objective, seed, epochs, threads)
    with warnings.catch_warnings():
        # Optuna warns about each of its new parts.
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", UserWarning)
        search = open_search(job, space, storage=url, study_name=study_name, trials=trials, prune=prune)
        _run(search, backend, jobs, on_trial, threads)
        best = search.best()
        confirmation = _confirm(search, best, confirm, on_trial) if confirm else None
        importances = _importances(search)
    best_spec = _write_best(search, best, spec.name)
    rows = [_row(trial, search) for trial in search.finished()]
    report = Tuning(
        model=spec.name,
        table=TuneTable(name=table.stem, sha256=data.sha256, rows_used=int(data.y.size)),
        objective=TuneObjective(name=objective, about=OBJECTIVES[objective].about),  # type: ignore[arg-type]
        seed=seed,
        epochs=epochs,
        backend=backend,  # type: ignore[arg-type]
        study=StudyFacts(
            name=study_name,
            storage=shown_url,
            sampler="tree-structured Parzen estimator",
            pruner=f"median of the trials before, after {UNPRUNED} of them" if prune else "none",
        ),
        space={parameter.name: parameter.spec for parameter in space},
        n_trials=len(rows),
        n_by_state=NumberByState(
            complete=sum(row.state == "complete" for row in rows),
            pruned=sum(row.state == "pruned" for row in rows),
            failed=sum(row.state == "failed" for row in rows),
        ),
        trials=rows,
        best=BestTrial(
            trial=best.number,
            params=search.values(best),
            spec=best_spec.name,
            value=float(best.value or 0.0),
            **figures(best).model_dump(),
        ),
        importances=importances,
        confirmation=confirmation,
        note=_NOTE,
        run_provenance=call.provenance(),
    )
    beside: dict[str, Path | Sequence[Path]] = {
        "best_spec": best_spec,
        "specs": sorted(output.glob(f"*/**/{spec.name}.yaml")),
    }
    if plot:
        from pyvmaf.studies.charts import save, trials_chart

        beside["plot"] = output / PLOT
        save(trials_chart(report), output / PLOT)
    records = {} if storage else {"storage": output / STORAGE}
    return publish(report, output / OUTPUT, call, beside=beside, records=records)


def _check_options(trials: int, objective: str, backend: str) -> None:
    if trials < 1:
        raise InputError(f"--trials must be 1 or more, not {trials}")
    if objective not in OBJECTIVES:
        raise unknown_name("objective", objective, OBJECTIVES)
    if backend not in BACKENDS:
        raise unknown_name("backend", backend, BACKENDS)


def _run(search: Search, backend: str, jobs: int | None, on_trial: OnTrial, threads: int) -> None:
    if backend == "ray":
        from pyvmaf.studies.ray_backend import run_on_ray

        run_on_ray(search, jobs, on_trial, threads)
    else:
        run_in_process(search, on_trial)


def _write_best(search: Search, best: FrozenTrial, model: str) -> Path:
    """Write the best trial as a spec that `fit` takes, and return its path."""
    job = search.job
    path = job.output / f"{model[:58]}_tuned.yaml"
    spec = with_values(job.base, search.values(best)) | {"name": path.stem}
    write_spec(
        path,
        spec if job.epochs is None else spec | {"epochs": job.epochs},
        f"Trial {best.number} of {len(search.finished())}: {job.objective} {best.value!r} on held-out rows.",
    )
    load_regressor(path)
    return path


def _row(trial: FrozenTrial, search: Search) -> TrialRow:
    complete = state(trial) == "complete"
    return TrialRow(
        trial=trial.number,
        state=state(trial),
        params=search.values(trial),
        value=trial.value if complete else None,
        figures=figures(trial) if complete else None,
        on_the_way=sorted(trial.intermediate_values.items()),
        error=error(trial),
    )


def _confirm(search: Search, best: FrozenTrial, further: int, on_trial: OnTrial) -> Confirmation:
    """Fit the base and the best spec with seeds that chose nothing, and with the one that chose."""
    base = _fits(search, "base", "base", dict(search.job.base), further, on_trial)
    tuned = _fits(
        search, "best", str(best.number), with_values(search.job.base, search.values(best)), further, on_trial
    )
    base_mean, best_mean = (sum(fit.value for fit in fits[1:]) / further for fits in (base, tuned))
    return Confirmation(
        base=base,
        best=tuned,
        gain_on_the_seed_of_the_search=base[0].value - tuned[0].value,
        gain_on_further_seeds=base_mean - best_mean,
        base_on_further_seeds=base_mean,
        best_on_further_seeds=best_mean,
    )


def _fits(
    search: Search, name: str, key: str, spec: dict[str, Any], further: int, on_trial: OnTrial
) -> list[ConfirmedFit]:
    """Fit a spec with several seeds; fits of an earlier call are in the storage."""
    job, done = search.job, len(search.finished())
    fits = []
    for seed in range(job.seed, job.seed + further + 1):
        on_trial(done, search.trials, f"confirm: {name}, seed {seed}")
        attribute = f"confirm:{key}:{seed}"
        stored = search.study.user_attrs.get(attribute)
        if stored is None:
            stored = job.fit(spec, job.output / "confirm" / name / f"seed{seed}", seed=seed).as_json()
            search.study.set_user_attr(attribute, stored)
        fits.append(ConfirmedFit(seed=seed, **stored))
    return fits


def _importances(search: Search) -> dict[str, float] | None:
    """Compute the share of the objective's variance that each parameter explains; None for too few trials."""
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    if len({trial.value for trial in search.completed()}) < UNPRUNED:
        return None
    evaluator = FanovaImportanceEvaluator(seed=search.job.seed)
    return {name: float(share) for name, share in get_param_importances(search.study, evaluator=evaluator).items()}


def public_url(url: str) -> str:
    """Return a storage's URL without password, and without the part of a path that belongs to this machine."""
    if url.startswith("sqlite:///"):
        return f"sqlite:///{relative(url.removeprefix('sqlite:///'))}"
    from sqlalchemy.engine import make_url

    return make_url(url).render_as_string(hide_password=True)
