"""``config``, ``code``, ``schema``, ``audit`` and ``repair``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pyvmaf.base.terminal import say
from pyvmaf.cli import declared as typer


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command("config")(config)
    app.command("code")(code)
    app.command("schema")(schema)
    through = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command("audit", context_settings=through)(audit)
    app.command("repair", context_settings=through)(repair)


def config(
    file: Annotated[Path | None, typer.Argument(help="A configuration file to check.", show_default=False)] = None,
    write: Annotated[
        Path | None,
        typer.Option("--write", metavar="DIR", help="Regenerate the default, its page and the schemas."),
    ] = None,
) -> None:
    """Check a configuration file, or regenerate what is generated from the configuration's classes.

    Without arguments the commented default configuration is printed. A config/config.yaml that was edited is not replaced.

    Example: vmaf-train config mine.yaml
    """
    from pyvmaf.workflow import config as configuration

    if file is not None:
        configuration.load(file)
        say(f"{file}: every key and value is allowed")
    if write is not None:
        say(*configuration.write_documents(write))
    if file is None and write is None:
        typer.echo(configuration.default_yaml(), nl=False)


def code(
    verb: Annotated[str | None, typer.Argument(help="One verb instead of all.", show_default=False)] = None,
    modules: Annotated[bool, typer.Option("--modules", help="Also list the modules that count.")] = False,
) -> None:
    """Print the identity of each verb's code, by which the workflow sees a change.

    Example: vmaf-train code fit --modules
    """
    from pyvmaf.base import code as identities
    from pyvmaf.base.verbs import VERBS

    for name in VERBS if verb is None else (verb,):
        say(f"{name:20} {identities.identity(name)}")
        if modules:
            for module in identities.modules(name):
                say(f"{'':20} {module}")


def schema(
    name: Annotated[str | None, typer.Argument(help="A document.", show_default=False)] = None,
) -> None:
    """Print the JSON schema of a document that a verb writes; without a name, list the documents.

    Example: vmaf-train schema check-ops
    """
    from pyvmaf.base import documents

    if name is not None:
        typer.echo(documents.schema_json(name), nl=False)
        return
    for document in documents.DOCUMENTS:
        say(f"{document:24} {documents.document(document).title}")


def audit(
    context: typer.Context,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", "--json", metavar="JSON", help="Write the whole report to this file."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Examine the plan only, not the results (damage, orphans, versions).")
    ] = False,
) -> None:
    """List the jobs of the next run, with their reasons, followers and cost; nothing is run.

    All other arguments go to Snakemake's planner, so that the audit is that of the same run. Damage that a plan does
    not show is listed, too: `vmaf-train repair` repairs it. Exits 0 if there is nothing to do, 1 if there is, 2 on an
    error.

    Example: vmaf-train audit --configfile mine.yaml --config 'seeds=[0, 1, 2, 3]'
    """
    from pyvmaf.workflow.audit.audit import audit as run
    from pyvmaf.workflow.audit.terminal import show

    report = run(context.args, quick=quick, output=output)
    show(report)
    if not report.nothing_to_do:
        raise typer.Exit(1)


def repair(
    context: typer.Context,
    cores: Annotated[int, typer.Option("--cores", "-c", min=1, help="For Snakemake.")] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only print the plan of the repair.")] = False,
) -> None:
    """Make exactly those results again whose bytes differ from their manifests.

    Damaged files are moved to `damaged/`, never deleted. If the same bytes come out again, no job that follows runs.
    All other arguments go to Snakemake, so that its plan is that of the run.

    Exits 0 if everything is well or was repaired, 1 if a file is left that no job makes, 2 on an error.

    Example: vmaf-train repair --cores 2 --configfile mine.yaml
    """
    from pyvmaf.workflow.repair import repair as run

    repaired = run(context.args, cores=cores, dry_run=dry_run, say=lambda text: say(text, err=True))
    if not repaired.findings:
        say("nothing to repair: every result is as its manifest records it")
        return
    for finding in repaired.findings:
        say(f"{finding.kind}: {finding.path}: {finding.message}")
    for rule, output in repaired.jobs:
        say(f"{'would make' if dry_run else 'made'} again: {output} ({rule})")
    for path in repaired.cache:
        say(f"{'would set' if dry_run else 'set'} aside the cache entry {path}")
    for path in repaired.different:
        say(f"other bytes than before: {path}: run snakemake to make what depends on it")
    if repaired.aside is not None:
        say(f"the damaged files lie in {repaired.aside}")
    for finding in repaired.left:
        say(f"no job makes {finding.path}: examine it yourself", err=True)
    if repaired.left:
        raise typer.Exit(1)
