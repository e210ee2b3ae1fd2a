"""``config`` and ``fingerprint``: what the workflow is told, and what code it plans with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verbs to the command."""
    app.command("config")(config)
    app.command("fingerprint")(fingerprint)


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
