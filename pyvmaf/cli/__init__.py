"""The command ``vmaf-train``: parse, call one function, print.

Nothing heavy is imported here: every rule of the workflow pays for this module's start-up.
"""

from __future__ import annotations

import os
import sys

import typer

from pyvmaf.cli import (
    checks,
    corpora,
    encodes,
    ensembles,
    features,
    models,
    quantized,
    registry,
    reports,
    scoring,
    studies,
    tables,
    workflow,
)
from pyvmaf.errors import PyvmafError

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="vmaf-train",
    help="From raw clips to registered, gated, quantised video-quality models.\n\n"
    "The stages, in order: corpora (fetch, prepare, manifest-scan), encodes (encode), features "
    "(extract-features, hard-negatives, features), tables (shard, combine), models (fit, judge, export, ensemble, eval), "
    "quantized (quantize-int8), registry (register, verify, trace), reports (report, card, summary). "
    "To score a pair of videos: score. "
    "Questions to finished models: check-ops, audit-compat, validate-norm, cross-backend, profile, "
    "bisect-model-quality. To choose a model: tune, feature-correlation, subset-sweep. "
    "The workflow runs the stages: snakemake --cores N; audit says what it would do and why, repair mends damage.\n\n"
    "Exit codes: 0 done, 1 a check or a gate says no, 2 an error (nothing half-written), 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"vmaf-train {version('vmaf-train')}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    pass


for _stage in (
    corpora,
    encodes,
    features,
    scoring,
    tables,
    models,
    ensembles,
    quantized,
    registry,
    reports,
    checks,
    studies,
    workflow,
):
    _stage.register(app)


def main() -> None:
    """Run the command line; a mistake of the user ends in one line on stderr and exit code 2, never a traceback."""
    from pyvmaf.base.files import is_disk_full

    try:
        app()
    except PyvmafError as err:
        typer.echo(f"error: {err}", err=True)
        sys.exit(EXIT_ERROR)
    except KeyboardInterrupt:
        typer.echo("interrupted: nothing half-written was left behind", err=True)
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        # The reader (head, less) went away; leave without a complaint at interpreter exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_ERROR)
    except OSError as err:
        if is_disk_full(err):
            where = f" while writing {err.filename}" if err.filename else ""
            typer.echo(f"error: no space is left on the disk{where}: free some and run again", err=True)
        elif isinstance(err, PermissionError):
            typer.echo(f"error: no permission: {err.filename or err}", err=True)
        else:
            raise
        sys.exit(EXIT_ERROR)
