"""Trials on Ray Tune: several at a time, on the cores of one machine or of a Ray cluster.

Ray runs the trials and ends the bad ones. Proposals and outcomes still go through the study in Optuna's storage, so that
resuming and reporting are the same for both backends.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyvmaf.errors import PyvmafError, UnavailableError
from pyvmaf.studies.reports import Outcome

if TYPE_CHECKING:
    from optuna.trial import Trial

    from pyvmaf.studies.search import OnTrial, Search
    from pyvmaf.studies.trial import Job


def _trainable(config: Mapping[str, Any], job: Job) -> None:
    """Run one trial inside a worker process; Ray stops it by ending the process."""
    from ray import tune

    def report(epochs: int, value: float) -> None:
        tune.report({"value": value, "done_epochs": epochs})

    try:
        outcome = job.run(config["number"], config["values"], report)
    except PyvmafError as err:
        # Ray would print the trace of an exception, but a trial whose values do not work is a result.
        tune.report({"value": float("inf"), "done_epochs": 0, "error": str(err)})
    else:
        # As text, because Ray flattens mappings in results.
        text = outcome.model_dump_json()
        tune.report({"value": outcome.value, "done_epochs": outcome.epochs, "outcome": text})


def run_on_ray(search: Search, jobs: int | None, on_trial: OnTrial, threads: int) -> None:
    """Run trials until the study has as many as requested, `jobs` of them at a time.

    The order in which trials end depends on the machine, and with it the values of the next ones: unlike the other
    backend this one is reproducible only if `jobs` is 1.

    Raises:
        UnavailableError: Ray Tune is not installed, or does not start.
        KeyboardInterrupt: it was interrupted; finished trials are kept.
    """
    try:
        from ray import tune
    except ImportError as err:
        raise UnavailableError(
            "--backend ray needs Ray Tune, which is not installed: pip install 'vmaf-train[tune]', or use "
            "--backend optuna, which runs one trial after another"
        ) from err
    # Workers stay in this folder, because manifests name files relative to it; Ray prints nothing and calls nobody.
    os.environ.update(RAY_CHDIR_TO_TRIAL_DIR="0", RAY_AIR_NEW_OUTPUT="0", RAY_USAGE_STATS_ENABLED="0")
    job = replace(search.job, table=search.job.table.absolute(), output=search.job.output.absolute())
    searcher = _searcher(search, on_trial)
    with _cluster(jobs, threads) as at_once, tempfile.TemporaryDirectory(prefix="pyvmaf-ray-") as scratch:
        try:
            tune.Tuner(
                tune.with_resources(tune.with_parameters(_trainable, job=job), {"cpu": threads}),
                tune_config=tune.TuneConfig(
                    search_alg=searcher,
                    scheduler=_scheduler(searcher.pending),
                    num_samples=-1,
                    max_concurrent_trials=at_once,
                ),
                run_config=tune.RunConfig(storage_path=str(Path(scratch).absolute()), verbose=0),
            ).fit()
        finally:
            for trial in searcher.pending.values():
                search.interrupt(trial)
    if len(search.finished()) < search.trials:
        raise KeyboardInterrupt


@contextmanager
def _cluster(jobs: int | None, threads: int) -> Iterator[int]:
    """Start Ray, or use the Ray that runs in this process, and yield the number of trials at a time."""
    import ray

    start = not ray.is_initialized()
    if start:
        # Without an address, Ray would join any cluster on this machine.
        address = os.environ.get("RAY_ADDRESS", "local")
        cores = {"num_cpus": max(os.cpu_count() or 1, (jobs or 1) * threads)} if address == "local" else {}
        try:
            ray.init(address, include_dashboard=False, log_to_driver=False, logging_level="error", **cores)
        except Exception as err:  # Ray raises nothing narrower if a busy machine starts it too slowly
            raise UnavailableError(f"Ray does not start, or is not at RAY_ADDRESS: {err}") from err
    try:
        yield jobs or max(1, int(ray.cluster_resources().get("CPU", 1)) // threads)
    finally:
        if start:
            ray.shutdown()


def _searcher(search: Search, on_trial: OnTrial) -> Any:
    """Return Ray's interface to the study: it gets proposals from there, and records outcomes there."""
    from ray.tune.search import Searcher

    class StudySearcher(Searcher):  # type: ignore[misc]
        """Interface to the study; ``pending`` holds the running trials by Ray's id."""

        def __init__(self) -> None:
            super().__init__(metric="value", mode="min")
            self.pending: dict[str, Trial] = {}

        def _tell(self) -> None:
            on_trial(len(search.finished()), search.trials, f"{len(self.pending)} running, {search.status()}")

        def suggest(self, trial_id: str) -> dict[str, Any] | str:
            if len(search.finished()) + len(self.pending) >= search.trials:
                return str(Searcher.FINISHED)
            trial, values = search.ask()
            self.pending[trial_id] = trial
            self._tell()
            return {"number": trial.number, "values": values}

        def on_trial_complete(
            self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False
        ) -> None:
            trial = self.pending.pop(trial_id, None)
            if trial is not None:
                _record(search, trial, result, error)
                self._tell()

        def save(self, checkpoint_path: str) -> None:
            """Ray's own record is not used: the study's storage is."""

        def restore(self, checkpoint_path: str) -> None:
            """See `save`."""

    return StudySearcher()


def _record(search: Search, trial: Trial, result: Mapping[str, Any] | None, failed: bool) -> None:
    """Record the end of a trial in the study."""
    if result is not None and "outcome" in result:
        search.complete(trial, Outcome.model_validate_json(result["outcome"]))
    elif result is not None and "error" in result:
        search.fail(trial, result["error"])
    elif failed or result is None:
        search.fail(trial, f"the worker of trial {trial.number} died; see Ray's output")
    else:
        search.prune(trial)


def _scheduler(pending: Mapping[str, Trial]) -> Any:
    """Return a scheduler that ends the trials that the study's own pruner would end.

    Ray's schedulers pause trials, and a paused trial would begin anew here.
    """
    from ray.tune.schedulers import FIFOScheduler, TrialScheduler

    class StudyScheduler(FIFOScheduler):  # type: ignore[misc]
        def on_trial_result(self, _controller: Any, running: Any, result: Mapping[str, Any]) -> str:
            trial = pending.get(running.trial_id)
            if trial is None or "outcome" in result or "error" in result:
                return str(TrialScheduler.CONTINUE)
            trial.report(result["value"], result["done_epochs"])
            return str(TrialScheduler.STOP if trial.should_prune() else TrialScheduler.CONTINUE)

    return StudyScheduler()
