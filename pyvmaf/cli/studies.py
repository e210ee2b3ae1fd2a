"""``tune``, ``feature-correlation``, ``signal-mix-audit``, ``subset-sweep``."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pyvmaf.base.terminal import say
from pyvmaf.cli import declared as typer
from pyvmaf.cli.common import ThreadsOption, progress, whole_numbers
from pyvmaf.cli.models import ConfigOption, TableOption
from pyvmaf.cli.show import figure, new_table, print_whole
from pyvmaf.features.catalog import named_columns

if TYPE_CHECKING:
    from pyvmaf.studies.reports import FeatureCorrelation, SignalMixAudit, SubsetSweep, Tuning

AnyTableOption = Annotated[
    Path,
    typer.Option("--features", "--table", "--parquet", metavar="PARQUET", help="A table: results/tables/….parquet."),
]


def _complete_from(*words: str) -> Callable[[str], list[str]]:
    return lambda incomplete: [word for word in words if word.startswith(incomplete)]


def _complete_subsets(incomplete: str) -> list[str]:
    from pyvmaf.features.catalog import FEATURES, SETS

    last = re.split("[,+-]", incomplete)[-1]
    before = incomplete.removesuffix(last)
    return [before + word for word in (*SETS, "C", "available", *FEATURES) if word.startswith(last)]


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command("tune")(tune)
    app.command("feature-correlation")(feature_correlation)
    app.command("signal-mix-audit")(signal_mix_audit)
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
        int, typer.Option("--trials", min=1, help="Finished trials that the study is to have, earlier ones included.")
    ] = 20,
    objective: Annotated[
        str,
        typer.Option(
            "--objective",
            help="rmse or plcc (as 1 - PLCC), mean over the folds, on held-out rows.",
            autocompletion=_complete_from("rmse", "plcc"),
        ),
    ] = "rmse",
    storage: Annotated[
        str | None,
        typer.Option(
            "--storage",
            metavar="URL",
            envvar="VMAF_TRAIN_STORAGE",
            help="Storage of the study, to resume or share it: sqlite:///FILE and others. Default: study.db in "
            "--output. Put a URL with a password into the environment.",
        ),
    ] = None,
    study_name: Annotated[
        str, typer.Option("--study-name", help="Name of the study in the storage.")
    ] = "vmaf-train-sweep",
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Epochs. Default: the spec's.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of sampling and of every fit.")] = 0,
    prune: Annotated[
        bool, typer.Option("--prune/--no-prune", help="End trials early that are worse than the median.")
    ] = True,
    confirm: Annotated[
        int, typer.Option("--confirm", min=0, help="Number of further seeds for the base and the best spec.")
    ] = 2,
    backend: Annotated[
        str,
        typer.Option(
            "--backend",
            help="optuna: one trial after another; ray: many at a time (extra 'tune').",
            autocompletion=_complete_from("optuna", "ray"),
        ),
    ] = "optuna",
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, help="Trials at a time, for ray. Default: the number of cores.")
    ] = None,
    threads: ThreadsOption = 1,
) -> None:
    """Search a spec's hyperparameters by the figures of its folds on held-out rows.

    The same command continues an interrupted study. The best trial is written as a spec for fit.

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
        say("the study keeps its finished trials: the same command continues it", err=True)
        raise
    _print_trials(report)
    say(f"best spec {output / report.best.spec}", f"report    {output / 'tune.json'}")


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _print_trials(report: Tuning, most: int = 10) -> None:
    states = ", ".join(f"{count} {state}" for state, count in report.n_by_state.as_json().items() if count)
    table = new_table(
        f"{report.model}: {report.n_trials} trials ({states}), {report.objective.about}",
        (),
        ("trial", report.objective.name, "PLCC", "worst", "RMSE", "weights"),
    )
    table.add_column("values")
    completed = [(trial.value, trial) for trial in report.trials if trial.value is not None]
    for value, trial in sorted(completed, key=lambda item: item[0])[:most]:
        if trial.figures is None:
            continue
        table.add_row(
            str(trial.trial),
            f"{value:.5f}",
            figure(trial.figures.mean_plcc),
            figure(trial.figures.min_plcc),
            figure(trial.figures.mean_rmse, 3),
            str(trial.figures.n_params),
            ", ".join(f"{name.rpartition('.')[2]} {_short(param)}" for name, param in trial.params.items()),
        )
    print_whole(table)
    if report.importances:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in report.importances.items())
        say(f"importance of the parameters: {shares}")
    if (confirmation := report.confirmation) is not None:
        say(
            f"on {len(confirmation.base) - 1} seeds that chose nothing: base {confirmation.base_on_further_seeds:.5f}, "
            f"best {confirmation.best_on_further_seeds:.5f}, gain {confirmation.gain_on_further_seeds:+.5f} (on the "
            f"seed of the search {confirmation.gain_on_the_seed_of_the_search:+.5f})"
        )


def feature_correlation(
    features: AnyTableOption,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", "--out", "--json", metavar="JSON", help="Write the report to this file."),
    ] = None,
    target: Annotated[str, typer.Option("--target", help="Column that the features explain.")] = "vmaf",
    columns: Annotated[
        str | None,
        typer.Option(
            "--columns", metavar="LIST", help="Columns, or sets of features, to examine. Default: every feature."
        ),
    ] = None,
    redundancy_threshold: Annotated[
        float, typer.Option("--redundancy-threshold", help="|r| from which two features are redundant.")
    ] = 0.95,
    top_k: Annotated[int, typer.Option("--top-k", min=1, help="Number of ranks of each method that count.")] = 8,
    by: Annotated[
        str, typer.Option("--by", help="Column whose values the lasso's folds keep together, if the table has it.")
    ] = "source",
    max_missing: Annotated[
        float,
        typer.Option("--max-missing", min=0, max=1, help="Leave out columns that lack a value in more of the rows."),
    ] = 0.05,
    max_rows: Annotated[int, typer.Option("--max-rows", min=0, help="Number of rows, drawn at random; 0 for all.")] = 0,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Heat map of the correlations: .svg, .png or .html.")
    ] = None,
    threads: ThreadsOption = 1,
) -> None:
    """Find redundant and important features: Pearson's r, mutual information, lasso and random forest.

    Example: vmaf-train feature-correlation --features results/tables/default.parquet --output correlation.json
    --plot correlation.svg
    """
    from pyvmaf.studies.correlation import feature_correlation as run

    with progress("feature-correlation", unit="steps") as advance:
        report = run(
            features,
            output,
            target=target,
            columns=() if columns is None else named_columns(columns),
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


def _print_correlation(report: FeatureCorrelation) -> None:
    with_target = dict(zip(report.pearson.columns, report.pearson.r[-1], strict=True))
    methods = (
        (report.importances.mi, report.per_method_topk.mi),
        (report.importances.lasso, report.per_method_topk.lasso),
        (report.importances.rf, report.per_method_topk.rf),
    )
    table = new_table(
        f"{report.n_rows_used} rows of {report.table.name}, target {report.target}",
        ("feature",),
        ("r with target", "mutual information", "lasso", "random forest", "consensus"),
    )
    for name in sorted(report.feature_cols, key=lambda name: -report.importances.rf[name]):
        cells = [
            f"{weights[name]:.4f}" + (f" #{top.index(name) + 1}" if name in top else "   ") for weights, top in methods
        ]
        table.add_row(name, f"{with_target[name]:+.4f}", *cells, "yes" if name in report.consensus_topk else "")
    print_whole(table)
    for pair in report.redundant_pairs:
        say(f"redundant: {pair.a} and {pair.b}, r = {pair.r:+.4f}")
    for name, reason in report.left_out.items():
        if not reason.startswith("holds "):
            say(f"left out: {name}, {reason}", err=True)
    say(f"lasso over {report.cross_validation.folds} folds: {report.cross_validation.note}")
    say(f"in the first {report.top_k} of every method: {', '.join(report.consensus_topk) or 'none'}")


def signal_mix_audit(
    features: AnyTableOption,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", "--out-json", "--json", metavar="JSON", help="Write the report to this file."),
    ] = None,
    target: Annotated[str, typer.Option("--target", help="Column to predict.")] = "vmaf",
    by: Annotated[str, typer.Option("--by", help="Column whose values the folds keep together.")] = "source",
    group: Annotated[
        list[str] | None,
        typer.Option(
            "--group",
            metavar="NAME=A,B*,…",
            help="A further group of columns, or other columns for a group (repeatable).",
        ),
    ] = None,
    redundancy_threshold: Annotated[
        float, typer.Option("--redundancy-threshold", help="|r| from which a column is redundant.")
    ] = 0.95,
    max_rows: Annotated[
        int, typer.Option("--max-rows", min=0, help="Number of rows for the models, drawn at random; 0 for all.")
    ] = 20_000,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Picture of the groups: .svg, .png or .html.")
    ] = None,
    threads: ThreadsOption = 1,
) -> None:
    """Say what each group of columns covers, adds to a prediction of the target, and repeats of the others.

    Example: vmaf-train signal-mix-audit --features results/tables/default.parquet --output mix.json --plot mix.svg
    """
    from pyvmaf.errors import InputError
    from pyvmaf.studies.mix import signal_mix_audit as run

    groups = {}
    for word in group or ():
        name, equals, patterns = word.partition("=")
        if not equals or not name or not patterns:
            raise InputError(f"--group {word!r} is not of the form NAME=COLUMN,COLUMN")
        groups[name] = named_columns(patterns)
    with progress("signal-mix-audit", unit="fits") as advance:
        report = run(
            features,
            output,
            target=target,
            by=by,
            groups=groups,
            redundancy_threshold=redundancy_threshold,
            max_rows=max_rows,
            plot=plot,
            threads=threads,
            on_step=advance,
        )
    _print_mix(report)


def _print_mix(report: SignalMixAudit) -> None:
    table = new_table(
        f"{report.n_rows_used} rows of {report.table.name}, {report.folds} folds by {report.by}: {report.target} from "
        f"{len(report.columns)} columns, PLCC {figure(report.whole.mean_plcc)}, RMSE {figure(report.whole.mean_rmse, 3)}",
        ("group",),
        ("columns", "coverage", "missing", "RMSE permuted", "RMSE without", "PLCC without", "RMSE alone", "|r|"),
    )
    table.add_column("nearest")
    for group in report.groups:
        spread = "" if group.loss.std_rmse is None else f" ±{group.loss.std_rmse:.3f}"
        nearest = group.redundancy[0] if group.redundancy else None
        table.add_row(
            group.name,
            str(len(group.columns)),
            f"{group.coverage:.1%}",
            f"{group.missing_share:.1%}",
            f"{group.contribution.rmse:+.3f}",
            f"{group.loss.rmse:+.3f}{spread}",
            "-" if group.loss.plcc is None else f"{group.loss.plcc:+.5f}",
            figure(group.alone.mean_rmse, 3),
            figure(group.highest_r, 3),
            "" if nearest is None else f"{nearest.column}, {nearest.other}",
        )
    print_whole(table)
    for name, columns in report.groups_without_values.items():
        say(f"nothing to learn from {name}: {', '.join(columns)}", err=True)
    for name, reason in report.left_out.items():
        if not reason.startswith("holds "):
            say(f"left out: {name}, {reason}", err=True)
    for note in report.notes:
        say(f"note: {note}")


def subset_sweep(
    features: AnyTableOption,
    output: Annotated[
        Path, typer.Option("--output", "-o", "--out", metavar="JSON", help="Write the report to this file.")
    ],
    subsets: Annotated[
        str,
        typer.Option(
            "--subsets",
            metavar="LIST",
            help="Sets and features between commas, joined by + and -: canonical6,B-ssimulacra2,adm2+motion2. C is "
            "all 21, available all that the table has.",
            autocompletion=_complete_subsets,
        ),
    ] = "canonical6,A,B,C",
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            metavar="YAML",
            help="The model. Default: 16-8-1, 30 epochs, batches of 256.",
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Epochs. Default: the model's.")] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", min=1, help="Batch size. Default: the model's.")
    ] = None,
    lr: Annotated[float | None, typer.Option("--lr", help="Learning rate. Default: the model's.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The seed, without --seeds.")] = 0,
    seeds: Annotated[str | None, typer.Option("--seeds", metavar="LIST", help="Several seeds, as 0,1,2.")] = None,
    target: Annotated[str | None, typer.Option("--target", help="Column to predict. Default: the model's.")] = None,
    standardize: Annotated[
        bool | None,
        typer.Option(
            "--standardize/--no-standardize",
            help="Standardise targets. Default: as in the model. Features always are, inside each fold.",
        ),
    ] = None,
    margin: Annotated[
        float, typer.Option("--margin", min=0, help="Mean PLCC by which a subset must beat canonical6.")
    ] = 0.005,
    threads: ThreadsOption = 1,
) -> None:
    """Compare sets of features with one model on held-out rows. The same command continues an interrupted sweep.

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
                seeds=[seed] if seeds is None else whole_numbers("--seeds", seeds, "0,1,2"),
                target=target,
                standardize=standardize,
                margin=margin,
                threads=threads,
                on_trial=advance,
            )
    except KeyboardInterrupt:
        say("finished fits are kept: the same command continues the sweep", err=True)
        raise
    _print_sweep(report)


def _print_sweep(report: SubsetSweep) -> None:
    table = new_table(
        f"{report.table.rows_used} rows of {report.table.name}, {report.split['protocol']} by {report.split['by']}, "
        f"{len(report.seeds)} seeds",
        ("subset",),
        ("inputs", "PLCC", "worst", "RMSE", "gain", "pays"),
    )
    for subset in report.subsets:
        if (summary := subset.summary) is None:
            continue
        std = "" if summary.std_plcc is None else f" ±{summary.std_plcc:.5f}"
        table.add_row(
            subset.name,
            str(len(subset.features)),
            figure(summary.mean_plcc, 5) + std,
            figure(summary.min_plcc),
            figure(summary.mean_rmse, 3),
            "" if subset.delta_plcc is None else f"{subset.delta_plcc:+.5f}",
            {None: "", True: "yes", False: "no"}[subset.beats_baseline],
        )
    print_whole(table)
    for subset in report.subsets:
        if not subset.possible:
            say(f"not possible: {subset.name}: {subset.reason}", err=True)
    say(f"take {report.take}: {report.note}")
