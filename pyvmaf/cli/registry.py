"""register, verify, trace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pyvmaf.cli.common import CodeOption, check_code, progress
from pyvmaf.errors import InputError

if TYPE_CHECKING:
    from pyvmaf.registry.trace import Step
    from pyvmaf.registry.verify import Outcome

# More sources than this of one kind below one step are counted instead of listed.
_MOST_SIBLINGS = 6


def register(app: typer.Typer) -> None:
    """Add this stage's verbs."""
    app.command("register")(register_command)
    app.command("verify")(verify_command)
    app.command("trace")(trace_command)


def register_command(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE",
            help="verdict.json of each model, model.json of each seed, ensemble.json where there is one, and the JSON "
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
    dataset: Annotated[str | None, typer.Option(help="By hand: what the model was trained on.")] = None,
    license: Annotated[str | None, typer.Option(help="By hand: licence of the weights.")] = None,  # noqa: A002
    train_commit: Annotated[str | None, typer.Option(help="By hand: commit of the training code.")] = None,
    train_config: Annotated[Path | None, typer.Option(help="By hand: the file that it was trained by.")] = None,
    name: Annotated[str | None, typer.Option(help="By hand: the model's id; the file's stem by default.")] = None,
    description: Annotated[str | None, typer.Option(help="By hand: one sentence.")] = None,
    normalization: Annotated[
        Path | None, typer.Option(help='By hand: JSON {"mean": […], "std": […]} that a caller must apply.')
    ] = None,
    output_range: Annotated[
        tuple[float, float], typer.Option(metavar="LOW HIGH", help="By hand: smallest and largest value to expect.")
    ] = (0.0, 100.0),
    code: CodeOption = None,
) -> None:
    """Enter what passed its gate into the registry, with every hash.

    vmaf-train register --output results/registry/registry.json results/

    vmaf-train register --model model/tiny/x.onnx --kind fr --dataset nflx
    --license CDLA-Permissive-2.0 --train-commit "$(git rev-parse HEAD)"
    """
    from pyvmaf.registry.register import register as register_all
    from pyvmaf.registry.register import register_model

    check_code("register", code)
    if model is None:
        if output is None or not files:
            raise InputError("name the files to register and --output, or one model with --model")
        shipped = register_all(files, output)
        for identity in shipped.models:
            typer.echo(f"ships   {identity}")
        for identity, reason in shipped.held:
            typer.echo(f"held    {identity}: {reason}")
        for identity, reason in shipped.ensembles_refused:
            typer.echo(f"ensemble of {identity} does not ship, a single seed does: {reason}")
        for identity, mode, reason in shipped.int8_refused:
            typer.echo(f"int8 of {identity} ({mode}) does not ship: {reason}")
        typer.echo(f"wrote {shipped.path}")
        return
    if files:
        raise InputError(f"--model registers one model; it does not go with {files[0]}")
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
        output_range=output_range,
    )
    typer.echo(f"wrote {model.with_suffix('.json')} and {written}")


def verify_command(
    tree: Annotated[Path, typer.Argument(help="The results folder, or any part of it.")] = Path("results"),
    json: Annotated[Path | None, typer.Option("--json", help="Also write what was found to this file.")] = None,
    cache: Annotated[
        Path | None, typer.Option(help="The feature cache. [default: cache in the results folder]", show_default=False)
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", "-t", min=1, help="Files hashed at a time. [default: all processors]")
    ] = None,
    code: CodeOption = None,
) -> None:
    """Re-hash everything and name each file that is missing, changed, unaccounted for or stale.

    Exit codes: 0 all is as the manifests say, 1 something is not, 2 an error.
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
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(soft_wrap=True)
    if not outcome.clean:
        table = Table(box=None, pad_edge=False, show_edge=False)
        for title in ("what", "file", "how"):
            table.add_column(title, overflow="fold")
        for finding in outcome.findings:
            table.add_row(Text(finding.kind, style="red"), Text(finding.path), Text(finding.message))
        if console.is_terminal:
            console.print(table)
        else:
            # A file or a pipe gets one line per finding, however long.
            for finding in outcome.findings:
                typer.echo(f"{finding.kind}\t{finding.path}\t{finding.message}")
    mebibytes = outcome.bytes / 2**20
    looked = (
        f"{outcome.files} files, {outcome.manifests} manifests, {outcome.cache_entries} cache entries; "
        f"{outcome.hashed} files hashed ({mebibytes:.1f} MiB)"
    )
    if outcome.elsewhere:
        looked += f"; {outcome.elsewhere} inputs lie elsewhere and were not compared"
    if outcome.clean:
        typer.echo(f"clean: {looked}")
        return
    from pyvmaf.registry.verify import MEANING, Kind

    kinds: dict[Kind, int] = {}
    for finding in outcome.findings:
        kinds[finding.kind] = kinds.get(finding.kind, 0) + 1
    counted = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    typer.echo(f"not clean: {counted}. Looked at {looked}")
    for kind in sorted(kinds):
        typer.echo(f"  {kind}: {MEANING[kind]}")


def trace_command(
    file: Annotated[Path, typer.Argument(help="An artefact, or its manifest.")],
    tree: Annotated[
        Path | None, typer.Option(help="Folder to look for manifests in. [default: the artefact's results folder]")
    ] = None,
    depth: Annotated[int, typer.Option(min=1, help="Steps to go back.")] = 99,
    all_inputs: Annotated[bool, typer.Option("--all", help="List every input, however many.")] = False,
    json: Annotated[Path | None, typer.Option("--json", help="Also write the whole tree to this file.")] = None,
) -> None:
    """Show how an artefact came about: each command and what it read, back to the sources."""
    from pyvmaf.registry.trace import trace, write_trace

    step = trace(file, tree=tree)
    if json is not None:
        write_trace(step, json)
    typer.echo(_label(step))
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
    for child in step.inputs:
        by_verb.setdefault(child.verb or "", []).append(child)
    lines: list[tuple[str, Step | None]] = []
    for verb, children in sorted(by_verb.items()):
        shown = children if everything or len(children) <= _MOST_SIBLINGS else children[: _MOST_SIBLINGS - 1]
        lines += [(_label(child), child) for child in shown]
        if len(shown) < len(children):
            made = f"made by {verb}" if verb else "sources"
            lines.append((f"... and {len(children) - len(shown)} more {made} (--all lists them)", None))
    for place, (label, told) in enumerate(lines):
        last = place == len(lines) - 1
        typer.echo(f"{indent}{'└── ' if last else '├── '}{label}")
        if told is not None:
            _print_inputs(told, indent + ("    " if last else "│   "), depth - 1, everything)
