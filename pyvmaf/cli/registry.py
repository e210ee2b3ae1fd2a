"""``register``, ``verify``, ``trace``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pyvmaf.base.terminal import printable, say
from pyvmaf.cli import declared as typer
from pyvmaf.cli.common import CodeOption, check_code, progress
from pyvmaf.errors import InputError
from pyvmaf.features.catalog import named_columns

if TYPE_CHECKING:
    from pyvmaf.registry.trace import Step
    from pyvmaf.registry.verify import Finding, Outcome

_MOST_SIBLINGS = 6
"""More inputs of one kind of a step are counted instead of listed."""


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command("register")(register_command)
    app.command("verify")(verify_command)
    app.command("trace")(trace_command)


def register_command(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE",
            help="verdict.json of each model, model.json of each seed, ensemble.json if there is one, and the JSON "
            "report of each int8 variant, in any order; or a results folder.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            "--registry",
            help="The registry. By hand: registry.json beside the model.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[Path | None, typer.Option(help="By hand: the one ONNX file to register.")] = None,
    kind: Annotated[str | None, typer.Option(help="By hand: fr, nr, filter, mos or saliency.")] = None,
    dataset: Annotated[str | None, typer.Option(help="By hand: name of the training data.")] = None,
    license: Annotated[str | None, typer.Option(help="By hand: licence of the weights.")] = None,  # noqa: A002
    train_commit: Annotated[str | None, typer.Option(help="By hand: commit of the training code.")] = None,
    train_config: Annotated[Path | None, typer.Option(help="By hand: configuration file of the training.")] = None,
    name: Annotated[str | None, typer.Option(help="By hand: the model's id; the file's stem by default.")] = None,
    description: Annotated[str | None, typer.Option(help="By hand: one sentence.")] = None,
    normalization: Annotated[
        Path | None,
        typer.Option(help='By hand: JSON {"mean": […], "std": […]} with the scaling that a caller must apply.'),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,…",
            help="By hand: the input columns, or sets of features. [default: canonical6]",
            show_default=False,
        ),
    ] = None,
    output_range: Annotated[
        tuple[float, float], typer.Option(metavar="LOW HIGH", help="By hand: smallest and largest expected value.")
    ] = (0.0, 100.0),
    code: CodeOption = None,
) -> None:
    """Register the models that passed their gates, with the hash of every file; or one model by hand.

    Example: vmaf-train register --output results/registry/registry.json results/

    By hand: vmaf-train register --model model/tiny/x.onnx --kind fr --dataset nflx
    --license CDLA-Permissive-2.0 --train-commit "$(git rev-parse HEAD)"
    """
    from pyvmaf.registry.by_hand import register_model
    from pyvmaf.registry.register import register as register_all

    check_code("register", code)
    if model is None:
        if output is None or not files:
            raise InputError("name the files to register and --output, or one model with --model")
        registered = register_all(files, output)
        for identity in registered.models:
            say(f"ships   {identity}")
        for identity, reason in registered.held:
            say(f"held    {identity}: {reason}")
        for identity, reason in registered.ensembles_refused:
            say(f"ensemble of {identity} does not ship, a single seed does: {reason}")
        for identity, mode, reason in registered.int8_refused:
            say(f"int8 of {identity} ({mode}) does not ship: {reason}")
        say(f"wrote {registered.path}")
        return
    if files:
        raise InputError(f"--model registers one model by hand: leave out {files[0]}")
    needed = {"--kind": kind, "--dataset": dataset, "--license": license, "--train-commit": train_commit}
    missing = [option for option, value in needed.items() if value is None]
    if missing:
        raise InputError(f"to register {model} by hand, also give {', '.join(missing)}")
    written = register_model(
        model,
        kind=str(kind),
        dataset=str(dataset),
        license=str(license),
        train_commit=str(train_commit),
        train_config=train_config,
        registry=output,
        name=name,
        description=description,
        normalization=normalization,
        features=None if features is None else named_columns(features),
        output_range=output_range,
    )
    say(f"{model} is in {written}, described by {model.with_suffix('.json')}")


def verify_command(
    tree: Annotated[Path, typer.Argument(help="The results folder, or any part of it.")] = Path("results"),
    json: Annotated[Path | None, typer.Option("--json", help="Also write the report to this file.")] = None,
    cache: Annotated[
        Path | None, typer.Option(help="The feature cache. [default: cache in the results folder]", show_default=False)
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", "-t", min=1, help="Files hashed at a time. [default: all processors]")
    ] = None,
    code: CodeOption = None,
) -> None:
    """Hash a results tree and list each file that is missing, changed, unaccounted for or stale.

    Exit codes: 0 every file is as the manifests record it, 1 one is not, 2 an error.

    Example: vmaf-train verify results
    """
    from pyvmaf.registry.verify import verify, write_report

    check_code("verify", code)
    with progress("verifying", unit="MiB") as advance:
        outcome = verify(
            tree, threads=threads, cache=cache, advance=lambda done, total: advance(done >> 20, total >> 20)
        )
    if json is not None:
        write_report(outcome, tree, json)
    _print_outcome(outcome)
    if not outcome.clean:
        raise typer.Exit(1)


def _print_outcome(outcome: Outcome) -> None:
    from pyvmaf.registry.verify import MEANING

    _print_findings(outcome.findings)
    counts = (
        f"{outcome.files} files, {outcome.manifests} manifests, {outcome.cache_entries} cache entries; "
        f"{outcome.hashed} files hashed ({outcome.bytes / 2**20:.1f} MiB)"
    )
    if outcome.elsewhere:
        counts += f"; {outcome.elsewhere} inputs lie elsewhere and were not compared"
    if outcome.deleted:
        counts += f"; {outcome.deleted} clips and encodes deleted after they were measured"
    if outcome.clean:
        say(f"clean: {counts}")
        return
    kinds = Counter(finding.kind for finding in outcome.findings)
    say(f"not clean: {', '.join(f'{kinds[kind]} {kind}' for kind in sorted(kinds))}. Examined {counts}")
    for kind in sorted(kinds):
        say(f"  {kind}: {MEANING[kind]}")


def _print_findings(findings: Sequence[Finding]) -> None:
    from rich.table import Table

    from pyvmaf.base.terminal import console as new_console
    from pyvmaf.base.terminal import plain

    console = new_console(soft_wrap=True)
    if not console.is_terminal:
        # A file or a pipe gets one line per finding, however long.
        for finding in findings:
            print(*map(printable, (finding.kind, finding.path, finding.message)), sep="\t")
        return
    table = Table(box=None, pad_edge=False, show_edge=False)
    for title in ("kind", "file", "message"):
        table.add_column(title, overflow="fold")
    for finding in findings:
        table.add_row(plain(finding.kind, "red"), finding.path, finding.message)
    if findings:
        console.print(table)


def trace_command(
    file: Annotated[Path, typer.Argument(help="An artefact, or its manifest.")],
    tree: Annotated[
        Path | None, typer.Option(help="Folder with the manifests. [default: the artefact's results folder]")
    ] = None,
    depth: Annotated[int, typer.Option(min=1, help="Largest number of steps back.")] = 99,
    all_inputs: Annotated[bool, typer.Option("--all", help="List every input, even of steps with many.")] = False,
    json: Annotated[Path | None, typer.Option("--json", help="Also write the whole tree to this file.")] = None,
) -> None:
    """Show the commands that led to an artefact and the inputs of each, back to the sources.

    Example: vmaf-train trace results/registry/registry.json
    """
    from pyvmaf.registry.trace import trace, write_trace

    step = trace(file, tree=tree)
    if json is not None:
        write_trace(step, json)
    say(_label(step))
    _print_inputs(step, "", depth, all_inputs)


def _label(step: Step) -> str:
    label = f"{step.path} {(step.sha256 or 'absent')[:12]}"
    if step.seen:
        return f"{label}  (see above)"
    if step.command is not None:
        label += f"  <- {step.command}"
    if step.stale is not None:
        label += f"  STALE: it was read with {step.stale[:12]}"
    return label


def _print_inputs(step: Step, indent: str, depth: int, everything: bool) -> None:
    if depth < 1:
        return
    by_verb: dict[str, list[Step]] = {}
    for source in step.inputs:
        by_verb.setdefault(source.verb or "", []).append(source)
    lines: list[tuple[str, Step | None]] = []
    for verb, children in sorted(by_verb.items()):
        shown = children if everything or len(children) <= _MOST_SIBLINGS else children[: _MOST_SIBLINGS - 1]
        lines += [(_label(step), step) for step in shown]
        if len(shown) < len(children):
            kind = f"made by {verb}" if verb else "sources"
            lines.append((f"... and {len(children) - len(shown)} more {kind} (--all lists them)", None))
    for index, (label, child) in enumerate(lines):
        last = index == len(lines) - 1
        say(f"{indent}{'└── ' if last else '├── '}{label}")
        if child is not None:
            _print_inputs(child, indent + ("    " if last else "│   "), depth - 1, everything)
