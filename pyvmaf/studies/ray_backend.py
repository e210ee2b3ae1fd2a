"""Trials on Ray Tune: many at a time, on the cores of one machine or of a Ray cluster.

Ray runs them and ends the bad ones; what to try next, and what came of it, still goes through the study in Optuna's
storage, so that resuming and reporting are the same for both backends.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyvmaf.errors import PyvmafError, UnavailableError

if TYPE_CHECKING:
    from optuna.trial import Trial

    from pyvmaf.studies.trial import Job
    from pyvmaf.studies.tune import OnTrial, Search


def _trainable(config: Mapping[str, Any], job: Job) -> None:
    """One trial inside of a worker process; Ray stops it by ending the process."""
    from ray import tune

    def report(epochs: int, value: float) -> None:
        tune.report({"value": value, "done_epochs": epochs})

    try:
        outcome = job.run(config["number"], config["values"], report)
    except PyvmafError as err:
        # An exception would make Ray print its trace; a trial whose values do not work is a result.
        tune.report({"value": float("inf"), "done_epochs": 0, "error": str(err)})
    else:
        # As text, because Ray takes mappings in results apart.
        tune.report({"value": outcome["value"], "done_epochs": outcome["epochs"], "outcome": json.dumps(outcome)})


def run_on_ray(search: Search, jobs: int | None, on_trial: OnTrial, threads: int) -> None:
    """Run trials until the study has as many as it should, `jobs` of them at a time.

    The order in which trials end depends on the machine, and with it what the next ones try: unlike the other
    backend this one does not repeat itself exactly, unless `jobs` is 1.

    Raises:
        UnavailableError: Ray Tune is not installed.
        KeyboardInterrupt: it was interrupted; finished trials are kept.
    """
    try:
        import ray
        from ray import tune
        from ray.tune.schedulers import FIFOScheduler, TrialScheduler
        from ray.tune.search import Searcher
    except ImportError as err:
        raise UnavailableError(
            "--backend ray needs Ray Tune, which is not installed: pip install 'vmaf-train[tune]', or take "
            "--backend optuna, which runs one trial after another"
        ) from err

    class StudySearcher(Searcher):  # type: ignore[misc]
        """Asks the study what to try, and tells it what came of it."""

        def __init__(self) -> None:
            super().__init__(metric="value", mode="min")
            self.pending: dict[str, Trial] = {}

        def suggest(self, trial_id: str) -> dict[str, Any] | str:
            if len(search.finished()) + len(self.pending) >= search.trials:
                return str(Searcher.FINISHED)
            trial, values = search.ask()
            self.pending[trial_id] = trial
            on_trial(len(search.finished()), search.trials, f"{len(self.pending)} running, {search.status()}")
            return {"number": trial.number, "values": values}

        def on_trial_complete(
            self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False
        ) -> None:
            trial = self.pending.pop(trial_id, None)
            if trial is None:
                return
            found = result or {}
            if "outcome" in found:
                search.complete(trial, json.loads(found["outcome"]))
            elif "error" in found:
                search.failed(trial, found["error"])
            elif error or result is None:
                search.failed(trial, f"the worker of trial {trial.number} died; Ray's output says why")
            else:
                search.pruned(trial)
            on_trial(len(search.finished()), search.trials, f"{len(self.pending)} running, {search.status()}")

        def save(self, checkpoint_path: str) -> None:
            """Ray's own record is not used: the study's storage is."""

        def restore(self, checkpoint_path: str) -> None:
            """See `save`."""

    class StudyScheduler(FIFOScheduler):  # type: ignore[misc]
        """Ends what the study's own pruner would end; Ray's rules pause trials, which here means to begin anew."""

        def on_trial_result(self, _controller: Any, running: Any, result: Mapping[str, Any]) -> str:
            trial = searcher.pending.get(running.trial_id)
            if trial is None or "outcome" in result or "error" in result:
                return str(TrialScheduler.CONTINUE)
            trial.report(result["value"], result["done_epochs"])
            return str(TrialScheduler.STOP if trial.should_prune() else TrialScheduler.CONTINUE)

    searcher = StudySearcher()
    # Workers stay in this folder, as manifests name files seen from it; Ray prints nothing and calls nobody.
    os.environ.update(RAY_CHDIR_TO_TRIAL_DIR="0", RAY_AIR_NEW_OUTPUT="0", RAY_USAGE_STATS_ENABLED="0")
    job = replace(search.job, table=search.job.table.absolute(), output=search.job.output.absolute())
    started_here = not ray.is_initialized()
    if started_here:
        # Unless told where a cluster is, Ray would join whatever runs on this machine.
        address = os.environ.get("RAY_ADDRESS", "local")
        cores = {"num_cpus": max(os.cpu_count() or 1, (jobs or 1) * threads)} if address == "local" else {}
        try:
            ray.init(address, include_dashboard=False, log_to_driver=False, logging_level="error", **cores)
        except Exception as err:  # Ray raises nothing narrower where a busy machine starts it too slowly
            raise UnavailableError(f"Ray does not start, or is not where RAY_ADDRESS says: {err}") from err
    at_once = jobs or max(1, int(ray.cluster_resources().get("CPU", 1)) // threads)
    try:
        with tempfile.TemporaryDirectory(prefix="pyvmaf-ray-") as scratch:
            tune.Tuner(
                tune.with_resources(tune.with_parameters(_trainable, job=job), {"cpu": threads}),
                tune_config=tune.TuneConfig(
                    search_alg=searcher,
                    scheduler=StudyScheduler(),
                    num_samples=-1,
                    max_concurrent_trials=at_once,
                ),
                run_config=tune.RunConfig(storage_path=str(Path(scratch).absolute()), verbose=0),
            ).fit()
    finally:
        for trial in searcher.pending.values():
            search.stopped(trial)
        if started_here:
            ray.shutdown()
    if len(search.finished()) < search.trials:
        raise KeyboardInterrupt
