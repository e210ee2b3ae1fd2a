"""The jobs of the workflow as Snakemake plans them, as plain records.

Snakemake's own planner runs once: a job is pending if the plan column of ``snakemake --summary`` says so. Snakemake
does not print the details of a reason (the parameter, both values), so they are read from its records of earlier runs.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyvmaf.errors import InputError


@dataclass(frozen=True)
class Change:
    """A reason of a job's own to be pending.

    Attributes:
        kind: missing, incomplete, forced, parameters, inputs, newer, rule or environment; of newer inputs that were
            examined, changed or touched.
        old: the recorded values: representations of parameters, or input paths.
        new: the present values: parameters by name, or input paths.
    """

    kind: str
    old: tuple[str, ...] = ()
    new: Mapping[str, Any] | tuple[str, ...] = ()


@dataclass
class Job:
    """One job of the plan.

    Attributes:
        rule: name of its rule.
        outputs: paths in the rule's own form.
        wildcards: values of the rule's wildcards.
        pending: the next run would run it.
        changes: reasons of its own; empty for a job that is pending only because of jobs before it.
        needs: indices of the jobs whose outputs it reads.
        benchmark: file with its measured cost, or None if the rule does not keep one.
        environment: path of the rule's conda file, or None.
    """

    rule: str
    outputs: tuple[str, ...]
    wildcards: dict[str, str]
    pending: bool
    changes: list[Change] = field(default_factory=list)
    needs: list[int] = field(default_factory=list)
    benchmark: str | None = None
    environment: str | None = None


@dataclass(frozen=True)
class Plan:
    """All jobs of a workflow.

    Attributes:
        jobs: every job that has output files.
        folder: working folder; paths are relative to it.
        whole: the default targets were planned, so that a file that no job makes is an orphan.
    """

    jobs: list[Job]
    folder: str
    whole: bool


def load(arguments: Sequence[str]) -> Plan:
    """Plan the workflow as ``snakemake ARGUMENTS`` would, running and writing nothing.

    Args:
        arguments: targets and options of Snakemake, such as ``--configfile mine.yaml``.

    Raises:
        InputError: Snakemake refuses the options or the workflow; the message is Snakemake's.
    """
    from snakemake import cli
    from snakemake.api import SnakemakeApi
    from snakemake.exceptions import WorkflowError
    from snakemake.settings.types import (
        ConfigSettings,
        DAGSettings,
        DeploymentSettings,
        OutputSettings,
        Quietness,
        ResourceSettings,
    )

    output = io.StringIO()
    before = os.getcwd()
    try:
        with contextlib.redirect_stderr(output):
            _, args = cli.parse_args(list(arguments))
    except SystemExit as err:
        raise InputError(f"snakemake refuses these options: {_last_line(output.getvalue())}") from err
    except (cli.CliException, WorkflowError, OSError, ValueError) as err:
        raise InputError(f"snakemake refuses these options: {err}") from err
    try:
        with (
            contextlib.redirect_stderr(output),
            contextlib.redirect_stdout(output),
            SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api,
        ):
            planned = api.workflow(
                resource_settings=ResourceSettings(
                    cores=args.cores or 1,
                    default_resources=args.default_resources,
                    overwrite_threads=args.set_threads,
                    overwrite_resources=args.set_resources,
                ),
                config_settings=ConfigSettings(
                    config=cli.parse_config(args.config),
                    configfiles=args.configfile,
                    config_args=args.config,
                    replace_workflow_config=args.replace_workflow_config,
                ),
                deployment_settings=DeploymentSettings(
                    deployment_method=args.software_deployment_method, conda_prefix=args.conda_prefix
                ),
                snakefile=args.snakefile,
                workdir=args.directory,
            ).dag(
                dag_settings=DAGSettings(
                    targets=args.targets,
                    forcetargets=args.force,
                    forceall=args.forceall,
                    forcerun=args.forcerun,
                    until=args.until,
                    omit_from=args.omit_from,
                    force_incomplete=args.rerun_incomplete,
                    rerun_triggers=args.rerun_triggers,
                    max_checksum_file_size=args.max_checksum_file_size,
                    batch=args.batch,
                )
            )
            # The steps of `--summary` before it prints: see Workflow.summary.
            workflow = planned.workflow_api._workflow
            workflow.dag_settings = planned.dag_settings
            workflow._prepare_dag(forceall=args.forceall, ignore_incomplete=True, lock_warn_only=True)
            workflow._build_dag()
            return Plan(_records(workflow), os.getcwd(), not args.targets and not args.until and not args.omit_from)
    except Exception as err:
        # Snakemake's errors have no common base; an error of another package is not about the workflow.
        if not isinstance(err, SyntaxError) and not type(err).__module__.startswith("snakemake"):
            raise
        raise InputError(f"snakemake cannot plan this workflow: {' '.join(str(err).split())}") from err
    finally:
        os.chdir(before)


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "see snakemake --help"


def _records(workflow: Any) -> list[Job]:
    dag, persistence = workflow.dag, workflow.persistence
    planned = [job for job in dag.jobs if job.output]
    index = {id(job): position for position, job in enumerate(planned)}
    records = []
    for job in planned:
        reason = dag.reason(job)
        record = Job(
            rule=job.rule.name,
            outputs=tuple(map(str, job.output)),
            wildcards=dict(job.wildcards_dict),
            pending=bool(reason),
            benchmark=None if job.benchmark is None else str(job.benchmark),
            needs=sorted(index[id(other)] for other in dag.dependencies[job] if id(other) in index),
            environment=_environment(job),
        )
        if reason:
            record.changes = _changes(job, reason, persistence)
        records.append(record)
    return records


def _environment(job: Any) -> str | None:
    spec = job.conda_env_spec
    file = getattr(spec, "file", None)
    return None if file is None else str(getattr(file, "path", file))


def _changes(job: Any, reason: Any, persistence: Any) -> list[Change]:
    """List all reasons of the job's own, also those that Snakemake does not look for once an earlier job is pending."""
    first = job.output[0]
    changes = []
    if reason.forced:
        changes.append(Change("forced"))
    if reason._missing_output:
        changes.append(Change("missing", new=tuple(sorted(map(str, reason.missing_output)))))
    if reason._incomplete_output:
        changes.append(Change("incomplete", new=tuple(sorted(map(str, reason.incomplete_output)))))
    if reason._updated_input:
        changes.append(Change("newer", new=tuple(sorted(map(str, reason.updated_input)))))
    if changed := persistence.params_changed(job):
        fresh = {
            name: value for name, value in job.params.items() if persistence._serialize_param(value) in changed.only_new
        }
        changes.append(Change("parameters", tuple(sorted(changed.only_old)), fresh))
    if any(persistence.input_changed(job)):
        changes.append(Change("inputs", tuple(persistence.input(first) or ()), tuple(map(str, job.input))))
    if any(persistence.code_changed(job)):
        changes.append(Change("rule"))
    if any(persistence.software_stack_changed(job)):
        changes.append(Change("environment"))
    return changes
