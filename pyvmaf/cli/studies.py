"""``tune``, ``feature-correlation``, ``subset-sweep``."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pyvmaf.cli.common import ThreadsOption, progress
from pyvmaf.cli.models import ConfigOption, TableOption
from pyvmaf.cli.show import figure

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

AnyTableOption = Annotated[
    Path,
    typer.Option("--features", "--table", "--parquet", metavar="PARQUET", help="A table: results/tables/….parquet."),
]


def _of(*words: str) -> Callable[[str], list[str]]:
    return lambda incomplete: [word for word in words if word.startswith(incomplete)]


def _complete_subsets(incomplete: str) -> list[str]:
    from pyvmaf.features.catalog import FEATURES, SETS

    last = re.split("[,+-]", incomplete)[-1]
    before = incomplete.removesuffix(last)
    return [before + word for word in (*SETS, "C", "available", *FEATURES) if word.startswith(last)]


def register(app: typer.Typer) -> None:
    """Add the verbs to the command."""
    app.command("tune")(tune)
    app.command("feature-correlation")(feature_correlation)
    app.command("subset-sweep")(subset_sweep)


def tune(
    config: ConfigOption,
    features: TableOption,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for trials, report, plot and the best spec.")
    ],
    param: Annotated[
        list[str],
        typer.Option(
            "--param",
            metavar="NAME=SPEC",
            help="A key of the spec to vary (repeatable), as a dotted path, with float:LO:HI[:log], int:LO:HI or "
            "choice:A,B,…; a list is a choice in brackets: network.hidden=choice:[16,8],[32].",
        ),
    ],
    trials: Annotated[
        int, typer.Option("--trials", min=1, help="Finished trials that the study is to have; those it has count.")
    ] = 20,
    objective: Annotated[
        str,
        typer.Option(
            "--objective",
            help="rmse or plcc (as 1 - PLCC), mean over the folds, on held-out rows.",
            autocompletion=_of("rmse", "plcc"),
        ),
    ] = "rmse",
    storage: Annotated[
        str | None,
        typer.Option(
            "--storage",
            metavar="URL",
            envvar="VMAF_TRAIN_STORAGE",
            help="Where the study is kept, to resume or share it: sqlite:///FILE and others. Default: study.db in "
            "--output. A URL with a password belongs into the environment.",
        ),
    ] = None,
    study_name: Annotated[str, typer.Option("--study-name", help="Of the study in the storage.")] = "vmaf-train-sweep",
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Other than the spec's.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of sampling and of every fit.")] = 0,
    prune: Annotated[
        bool, typer.Option("--prune/--no-prune", help="End trials early that are worse than the median by then.")
    ] = True,
    confirm: Annotated[
        int, typer.Option("--confirm", min=0, help="Fit base and best spec with that many further seeds.")
    ] = 2,
    backend: Annotated[
        str,
        typer.Option(
            "--backend",
            help="optuna: one trial after another; ray: many at a time (extra 'tune').",
            autocompletion=_of("optuna", "ray"),
        ),
    ] = "optuna",
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, help="Trials at a time, for ray. Default: as many as cores.")
    ] = None,
    threads: ThreadsOption = 1,
) -> None:
    """Search a spec's hyperparameters by what its folds reach on held-out rows.

    The same command goes on with a study that was interrupted. The best trial is left as a spec that fit takes.

    Example: vmaf-train tune --config config/models/vmaf_tiny_v2.yaml --features results/tables/default.parquet
    --output runs/tune --param optimiser.lr=float:1e-4:3e-2:log --param 'network.hidden=choice:[16,8],[32,16]'
    """
    from pyvmaf.studies.tune import tune as run

    try:
        with progress("tune", unit="trials") as advance:
            report = run(
                config,
                features,
                output,
                param,
                trials=trials,
                objective=objective,
                storage=storage,
                study_name=study_name,
                epochs=epochs,
                seed=seed,
                prune=prune,
                confirm=confirm,
                backend=backend,
                jobs=jobs,
                threads=threads,
                on_trial=advance,
            )
    except KeyboardInterrupt:
        typer.echo("the study keeps its finished trials: the same command goes on with it", err=True)
        raise
    _print_trials(report)
    typer.echo(f"best spec {output / report['best']['spec']}\nreport    {output / 'tune.json'}")


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _print_trials(report: Mapping[str, Any], most: int = 10) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    states = ", ".join(f"{n} {state}" for state, n in report["n_by_state"].items() if n)
    table = Table(
        box=SIMPLE, title=f"{report['model']}: {report['n_trials']} trials ({states}), {report['objective']['about']}"
    )
    for name in ("trial", report["objective"]["name"], "PLCC", "worst", "RMSE", "weights"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("values", overflow="fold")
    done = [t for t in report["trials"] if t["state"] == "complete"]
    for trial in sorted(done, key=lambda t: t["value"])[:most]:
        found = trial["figures"]
        table.add_row(
            str(trial["trial"]),
            f"{trial['value']:.5f}",
            *(figure(found[k]) for k in ("mean_plcc", "min_plcc")),
            figure(found["mean_rmse"], 3),
            str(found["n_params"]),
            escape(", ".join(f"{k.rpartition('.')[2]} {_short(v)}" for k, v in trial["params"].items())),
        )
    console = Console()
    console.print(table)
    if report["importances"]:
        typer.echo("what mattered: " + ", ".join(f"{k} {v:.0%}" for k, v in report["importances"].items()))
    found = report["confirmation"]
    if found:
        typer.echo(
            f"on {len(found['base']) - 1} seeds that chose nothing: base {found['base_on_further_seeds']:.5f}, best "
            f"{found['best_on_further_seeds']:.5f}, gain {found['gain_on_further_seeds']:+.5f} (on the seed of the "
            f"search {found['gain_on_the_seed_of_the_search']:+.5f})"
        )


def feature_correlation(
    features: AnyTableOption,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", "--out", "--json", metavar="JSON", help="Where the report goes.")
    ] = None,
    target: Annotated[str, typer.Option("--target", help="Column that the features are to explain.")] = "vmaf",
    columns: Annotated[
        str | None, typer.Option("--columns", metavar="LIST", help="Columns to look at. Default: every feature.")
    ] = None,
    redundancy_threshold: Annotated[
        float, typer.Option("--redundancy-threshold", help="|r| from which two features say the same.")
    ] = 0.95,
    top_k: Annotated[int, typer.Option("--top-k", min=1, help="How many of each method's ranking count.")] = 8,
    by: Annotated[
        str, typer.Option("--by", help="Column whose values the lasso's folds keep together, where it is there.")
    ] = "source",
    max_missing: Annotated[
        float,
        typer.Option("--max-missing", min=0, max=1, help="Leave out columns that lack a value in more of the rows."),
    ] = 0.05,
    max_rows: Annotated[
        int, typer.Option("--max-rows", min=0, help="Look at that many rows, drawn at random; 0 for all.")
    ] = 0,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Heat map of the correlations: .svg, .png or .html.")
    ] = None,
    threads: ThreadsOption = 1,
) -> None:
    """Which features say the same, and which matter: Pearson's r, mutual information, lasso and random forest.

    Example: vmaf-train feature-correlation --features results/tables/default.parquet --output correlation.json
    --plot correlation.svg
    """
    from pyvmaf.studies.correlation import feature_correlation as run

    with progress("feature-correlation", unit="steps") as advance:
        report = run(
            features,
            output,
            target=target,
            columns=[c.strip() for c in (columns or "").split(",") if c.strip()],
            redundancy_threshold=redundancy_threshold,
            top_k=top_k,
            by=by,
            max_missing=max_missing,
            max_rows=max_rows,
            plot=plot,
            threads=threads,
            on_step=advance,
        )
    _print_correlation(report)


def _print_correlation(report: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    weights, top = report["importances"], report["per_method_topk"]
    names = report["pearson"]["columns"]
    with_target = dict(zip(names, report["pearson"]["r"][-1], strict=True))
    table = Table(title=f"{report['n_rows_used']} rows of {report['table']['name']}, target {report['target']}")
    table.add_column("feature")
    for name in ("r with target", "mutual information", "lasso", "random forest", "consensus"):
        table.add_column(name, justify="right")

    def cell(method: str, name: str) -> str:
        place = f" #{top[method].index(name) + 1}" if name in top[method] else "   "
        return f"{weights[method][name]:.4f}{place}"

    for name in sorted(report["feature_cols"], key=lambda n: -weights["rf"][n]):
        table.add_row(
            name,
            f"{with_target[name]:+.4f}",
            *(cell(m, name) for m in ("mi", "lasso", "rf")),
            "yes" if name in report["consensus_topk"] else "",
        )
    Console().print(table)
    for pair in report["redundant_pairs"]:
        typer.echo(f"say the same: {pair['a']} and {pair['b']}, r = {pair['r']:+.4f}")
    for name, why in report["left_out"].items():
        if not why.startswith("holds "):
            typer.echo(f"left out: {name}, {why}", err=True)
    folds = report["cross_validation"]
    typer.echo(f"lasso over {folds['folds']} folds: {folds['note']}")
    typer.echo(f"in the first {report['top_k']} of every method: {', '.join(report['consensus_topk']) or 'none'}")


def _whole(text: str) -> list[int]:
    try:
        return [int(word) for word in text.split(",")]
    except ValueError as err:
        raise typer.BadParameter(f"{text!r} is no list of whole numbers such as 0,1,2") from err


def subset_sweep(
    features: AnyTableOption,
    output: Annotated[Path, typer.Option("--output", "-o", "--out", metavar="JSON", help="Where the report goes.")],
    subsets: Annotated[
        str,
        typer.Option(
            "--subsets",
            metavar="LIST",
            help="Sets and features between commas, joined by + and -: canonical6,B-ssimulacra2,adm2+motion2. C is "
            "all 21, available what the table has.",
            autocompletion=_complete_subsets,
        ),
    ] = "canonical6,A,B,C",
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            metavar="YAML",
            help="The model to sweep over. Default: 16-8-1, 30 epochs, batches of 256.",
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Other than the model's.")] = None,
    batch_size: Annotated[int | None, typer.Option("--batch-size", min=1, help="Other than the model's.")] = None,
    lr: Annotated[float | None, typer.Option("--lr", help="Learning rate other than the model's.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Where --seeds is not given.")] = 0,
    seeds: Annotated[str | None, typer.Option("--seeds", metavar="LIST", help="Several seeds, as 0,1,2.")] = None,
    target: Annotated[str | None, typer.Option("--target", help="Column to predict. Default: the model's.")] = None,
    standardize: Annotated[
        bool | None,
        typer.Option(
            "--standardize/--no-standardize",
            help="Fit standardised targets. Default: as the model says. Features always are, inside of each fold.",
        ),
    ] = None,
    margin: Annotated[
        float, typer.Option("--margin", min=0, help="Mean PLCC by which a subset must beat canonical6.")
    ] = 0.005,
    threads: ThreadsOption = 1,
) -> None:
    """The same model over several sets of features, each judged on held-out rows; the same command resumes.

    Example: vmaf-train subset-sweep --features results/tables/default.parquet --output sweep.json
    --subsets canonical6,B-ssimulacra2 --seeds 0,1,2
    """
    from pyvmaf.studies.subsets import subset_sweep as run

    try:
        with progress("subset-sweep", unit="fits") as advance:
            report = run(
                features,
                output,
                subsets=subsets,
                config=config,
                epochs=epochs,
                batch_size=batch_size,
                lr=lr,
                seeds=[seed] if seeds is None else _whole(seeds),
                target=target,
                standardize=standardize,
                margin=margin,
                threads=threads,
                on_trial=advance,
            )
    except KeyboardInterrupt:
        typer.echo("fits that are done are kept: the same command goes on", err=True)
        raise
    _print_sweep(report)


def _print_sweep(report: Mapping[str, Any]) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    table = Table(
        box=SIMPLE,
        title=f"{report['table']['rows_used']} rows of {report['table']['name']}, {report['split']['protocol']} by "
        f"{report['split']['by']}, {len(report['seeds'])} seeds",
    )
    table.add_column("subset", overflow="fold", min_width=14)
    for name in ("inputs", "PLCC", "worst", "RMSE", "gain", "pays"):
        table.add_column(name, justify="right", no_wrap=True)
    for subset in report["subsets"]:
        found = subset["summary"]
        if found is None:
            continue
        std = "" if found["std_plcc"] is None else f" ±{found['std_plcc']:.5f}"
        table.add_row(
            subset["name"],
            str(len(subset["features"])),
            figure(found["mean_plcc"], 5) + std,
            figure(found["min_plcc"]),
            figure(found["mean_rmse"], 3),
            "" if subset["delta_plcc"] is None else f"{subset['delta_plcc']:+.5f}",
            {None: "", True: "yes", False: "no"}[subset["beats_baseline"]],
        )
    Console().print(table)
    for subset in report["subsets"]:
        if not subset["possible"]:
            typer.echo(f"not possible: {subset['name']}: {subset['reason']}", err=True)
    typer.echo(f"take {report['take']}: {report['note']}")
