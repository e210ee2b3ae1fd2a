"""``config``, ``fingerprint`` and ``audit``: what the workflow is told, what code it plans with, what it would do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verbs to the command."""
    app.command("config")(config)
    app.command("fingerprint")(fingerprint)
    app.command("audit", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(audit)


def config(
    file: Annotated[Path | None, typer.Argument(help="A configuration file to check.", show_default=False)] = None,
    write: Annotated[
        Path | None,
        typer.Option("--write", metavar="DIR", help="Regenerate the default, its page and the schemas."),
    ] = None,
) -> None:
    """Check a configuration file, or regenerate what is generated from the configuration's classes.

    Without arguments the commented default configuration is printed.

    Example: vmaf-train config mine.yaml
    """
    from pyvmaf import config as configuration
    from pyvmaf.provenance import write_text

    if file is not None:
        configuration.load(file)
        typer.echo(f"{file}: every key and value is allowed")
    if write is not None:
        for name, text in configuration.documents().items():
            write_text(write / name, text)
            typer.echo(write / name)
    if file is None and write is None:
        typer.echo(configuration.default_yaml(), nl=False)


def fingerprint(
    stage: Annotated[str | None, typer.Argument(help="One stage instead of all.", show_default=False)] = None,
    modules: Annotated[bool, typer.Option("--modules", help="Also list the modules that count.")] = False,
) -> None:
    """Print the fingerprint of each stage's code, by which the workflow sees a change.

    Example: vmaf-train fingerprint models --modules
    """
    from pyvmaf import fingerprint as fingerprints

    for name in fingerprints.STAGES if stage is None else (stage,):
        typer.echo(f"{name:10} {fingerprints.fingerprint(name)}")
        if modules:
            for module in fingerprints.modules(name):
                typer.echo(f"           {module}")


def audit(
    context: typer.Context,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", "--json", metavar="JSON", help="Where the whole report goes.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Look at the plan only: do not read results for damage, orphans, versions.")
    ] = False,
) -> None:
    """What the next run would do, why, what depends on it and what it will cost; nothing is run or written.

    Everything else is handed to Snakemake's planner, so the audit is of the run with the same words. Exits 0 where
    there is nothing to do, 1 where there is, 2 for an error.

    Example: vmaf-train audit --configfile mine.yaml --config 'seeds=[0, 1, 2, 3]'

    A damaged file that no plan would make again is listed too: delete it, and the next run makes it and what
    depends on it.
    """
    from pyvmaf.audit.audit import audit as run
    from pyvmaf.audit.page import show

    report = run(context.args, quick=quick, output=output)
    show(report)
    if not report["nothing_to_do"]:
        raise typer.Exit(1)
