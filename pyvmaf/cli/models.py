"""``fit``, ``judge``, ``export``, ``ensemble``, ``eval``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pyvmaf.base.terminal import say
from pyvmaf.cli import declared as typer
from pyvmaf.cli.common import CodeOption, ThreadsOption, check_code, progress, whole_numbers
from pyvmaf.cli.show import figure, new_table, print_whole
from pyvmaf.features.catalog import DEFAULT_FEATURES, named_columns

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

ConfigOption = Annotated[Path, typer.Option("--config", "-c", metavar="YAML", help="The model: config/models/….yaml.")]
TableOption = Annotated[
    Path, typer.Option("--features", "--table", metavar="PARQUET", help="The training table: results/tables/….parquet.")
]
AsResult = Annotated[
    bool,
    typer.Option(
        "--as-result",
        help="Exit 0 for a held model, too: in a workflow that is a result.",
        rich_help_panel="For the workflow",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the verbs to the command."""
    app.command("fit")(fit)
    app.command("judge")(judge)
    app.command("export")(export)
    app.command("ensemble")(ensemble)
    app.command("eval")(evaluate)


def check_family_code(verb: str, expected: str | None, config: Path) -> None:
    """Refuse to work if the code of a verb and of a model's family is not the code that the plan was made for.

    Args:
        verb: the verb that is about to run.
        expected: the identity that the plan asks for; None for none.
        config: the model's YAML file.

    Raises:
        InputError: the identity differs, or the file is not a spec.
    """
    if expected is None:
        return
    from pyvmaf.models.spec import load_any

    check_code(verb, expected, load_any(config).uses(verb))


def fit(
    config: ConfigOption,
    features: TableOption,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for weights and report.")],
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of initial weights, order of rows and dropout.")] = 0,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=0, help="Other than the config's; 0 keeps the initial weights.")
    ] = None,
    threads: ThreadsOption = 1,
    negatives: Annotated[
        Path | None,
        typer.Option(
            "--negatives", metavar="PARQUET", help="The table of hard-negatives, for a spec with rows.negatives."
        ),
    ] = None,
    backbone: Annotated[
        Path | None,
        typer.Option(
            "--backbone",
            metavar="FILE",
            help="weights.safetensors of convert, for a spec with network.backbone.",
        ),
    ] = None,
    code: CodeOption = None,
) -> None:
    """Train one seed: every fold's model and the one on all rows, together, and judge each fold on unseen rows.

    Example: vmaf-train fit --config config/models/vmaf_tiny_v2.yaml --features results/tables/default.parquet
    --output runs/tiny
    """
    check_family_code("fit", code, config)
    from pyvmaf.models.fit import fit as run

    with progress("fit", unit="epochs") as advance:
        result = run(
            config,
            features,
            output,
            seed=seed,
            epochs=epochs,
            threads=threads,
            negatives=negatives,
            backbone=backbone,
            on_epoch=lambda done, total, loss: advance(done, total, f"fit, loss {loss:.3f}"),
        )
    _print_folds(result.loso)
    if result.without_negatives:
        say(f"{config} asks for hard negatives (rows.negatives): trained without, because --negatives names none")
    say(f"weights {result.weights}", f"report  {result.report}")
    if result.loso["epochs"] == 0:
        from pyvmaf.models.export import export as run_export

        run_export(config, result.weights, None, None, output / "model.onnx")


def _print_folds(report: Mapping[str, Any]) -> None:
    from rich.table import Table

    from pyvmaf.base.terminal import console as new_console

    table = Table(title=f"{report['model']}, seed {report['seed']}: rows that each fold did not see")
    table.add_column("held out")
    for name in ("rows", "PLCC", "SROCC", "KROCC", "RMSE"):
        table.add_column(name, justify="right")
    for fold in report["folds"]:
        table.add_row(
            fold["held_out"],
            str(fold["n_val"]),
            *(figure(fold[k]) for k in ("plcc", "srocc", "krocc")),
            figure(fold["rmse"], 3),
        )
    table.add_section()
    table.add_row(
        "mean", "", *(figure(report[f"mean_{k}"]) for k in ("plcc", "srocc", "krocc")), figure(report["mean_rmse"], 3)
    )
    new_console().print(table)


def judge(
    reports: Annotated[list[Path], typer.Argument(metavar="LOSO.json…", help="The report of each seed's fit.")],
    config: ConfigOption,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="JSON", help="Where the verdict goes.")],
    negatives: Annotated[
        Path | None,
        typer.Option(
            "--negatives", metavar="PARQUET", help="The table of hard-negatives. Without it a spec with limits is held."
        ),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            "--seeds", metavar="LIST", help="Seeds that must be there, as 0,1,2. Default: those of the config."
        ),
    ] = None,
    as_result: AsResult = False,
    code: CodeOption = None,
) -> None:
    """PROMOTE or HOLD over the seeds of a model. Exits 0 when promoted, 1 when held, 2 when something is missing.

    Beside each report lie the weights and predictions of its fit, which are judged, too.

    Example: vmaf-train judge --config config/models/vmaf_tiny_v2.yaml --negatives hard_negatives.parquet
    --output verdict.json runs/*/loso.json
    """
    check_family_code("judge", code, config)
    from pyvmaf.models.judge import judge as run

    verdict = run(
        config,
        reports,
        output,
        negatives=negatives,
        seeds=None if seeds is None else whole_numbers("--seeds", seeds, "0,1,2"),
    )
    gate = verdict["gate"]
    correlation = ""
    if "mean_plcc" in gate:  # a gate that not every family has
        correlation = (
            f"mean PLCC {figure(gate['mean_plcc'], 5)} (at least {gate['mean_plcc_threshold']}), spread over "
            f"{len(verdict['seeds'])} seeds {figure(gate['plcc_spread'], 5)} (at most {gate['plcc_spread_max']}), "
        )
    say(f"{verdict['verdict']} {verdict['model']}: {correlation}{verdict['recommendation']}")
    _print_gates(gate)
    if verdict["seeds_not_judged"]:
        say(f"not judged: seeds {verdict['seeds_not_judged']}, which {config} also names", err=True)
    if not gate["passed"] and not as_result:
        raise typer.Exit(1)


def _print_gates(gate: Mapping[str, Any]) -> None:
    table = new_table("Gates", ("gate", "measured", "limit", "result"))
    outcome = {True: "pass", False: "FAIL", None: "not judged"}
    for row in gate["rows"]:
        table.add_row(row["what"], row["measured"], row["limit"], outcome[row["passed"]])
    print_whole(table)


def export(
    config: ConfigOption,
    checkpoint: Annotated[
        Path, typer.Option("--checkpoint", "--weights", metavar="SAFETENSORS", help="Weights of one seed's fit.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="ONNX", help="Where the model goes.")],
    verdict: Annotated[
        Path | None, typer.Option("--verdict", metavar="JSON", help="The model's verdict. Initial weights need none.")
    ] = None,
    features: Annotated[
        Path | None, typer.Option("--features", metavar="PARQUET", help="The table that the verdict judged.")
    ] = None,
    train_commit: Annotated[
        str | None,
        typer.Option("--train-commit", help="Version of the training code. Default: its fingerprint."),
    ] = None,
    opset: Annotated[
        int | None, typer.Option("--opset", help="Refuse a model whose file asks for another operator set.")
    ] = None,
    code: CodeOption = None,
) -> None:
    """Write the model that was trained on all rows as ONNX, with its sidecar, after comparing it with torch.

    Example: vmaf-train export --config config/models/vmaf_tiny_v2.yaml --checkpoint runs/tiny/weights.safetensors
    --verdict verdict.json --features results/tables/default.parquet --output vmaf_tiny_v2.onnx
    """
    check_family_code("export", code, config)
    from pyvmaf.models.export import export as run

    sidecar = run(config, checkpoint, verdict, features, output, train_commit=train_commit, opset=opset)
    say(
        f"{output}: {sidecar['n_params']} parameters, {sidecar['bytes']} bytes, opset {sidecar['onnx_opset']}, "
        f"torch and onnxruntime within {sidecar['roundtrip']['error']:.1e} of the range, {sidecar['verdict']}"
    )


def ensemble(
    sidecars: Annotated[
        list[Path],
        typer.Argument(
            metavar="MODEL.json…",
            help="The sidecar of each seed's export; its report and predictions of fit lie beside it.",
        ),
    ],
    config: ConfigOption,
    verdict: Annotated[Path, typer.Option("--verdict", metavar="JSON", help="The verdict over these seeds.")],
    features: TableOption,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="JSON", help="Where the manifest goes.")],
    as_result: AsResult = False,
    code: CodeOption = None,
) -> None:
    """Make one model with intervals of a promoted model's seeds, and measure their coverage on unseen sources.

    Exits 0 if the coverage is the nominal one, 1 if it is not or the seeds are held, 2 if something is missing.

    Example: vmaf-train ensemble --config config/models/fr_regressor_v2_ensemble.yaml --verdict runs/e/verdict.json
    --features results/tables/default.parquet --output runs/e/ensemble.json runs/e/seed*/model.json
    """
    check_family_code("ensemble", code, config)
    from pyvmaf.models.ensemble import HeldError, make_ensemble

    try:
        manifest = make_ensemble(config, verdict, sidecars, features, output, record_held=as_result)
    except HeldError as err:
        say(f"HOLD {err}")
        raise typer.Exit(1) from None
    _print_ensemble(manifest)
    if manifest["verdict"] != "PROMOTE" and not as_result:
        raise typer.Exit(1)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _print_ensemble(manifest: Mapping[str, Any]) -> None:
    from rich import box
    from rich.table import Table

    rows, used = manifest["eval"]["rows"], manifest["confidence"]["interval"]
    nominal = manifest["confidence"]["nominal_coverage"]
    table = Table(
        title=f"{manifest['id']}: {used} intervals for {nominal:.1%} on {rows['n']} rows of {rows['units']} held-out "
        "sources; share that each way of making them holds",
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("held out", no_wrap=True)
    for name in ("rows", "RMSE", "sigma", *rows["coverage"], "width"):
        table.add_column(name, justify="right", no_wrap=True)
    for unit in rows["per_unit"]:
        width = unit["mean_width"][used]
        table.add_row(
            unit["held_out"],
            str(unit["n"]),
            f"{unit['rmse']:.3f}",
            f"{unit['mean_sigma']:.3f}",
            *(_share(unit["coverage"][m]) for m in rows["coverage"]),
            "-" if width is None else f"{width:.2f}",
        )
    table.add_section()
    held = rows["coverage"]
    table.add_row(
        "all rows",
        str(rows["n"]),
        f"{rows['rmse']:.3f}",
        f"{rows['mean_sigma']:.3f}",
        *(_share(c["empirical_coverage"]) for c in held.values()),
        "-" if held[used]["mean_width"] is None else f"{held[used]['mean_width']:.2f}",
    )
    print_whole(table)
    gate, gates = manifest["coverage_gate"], manifest["gates"]
    mean, spread = gates["mean_plcc"], gates["plcc_spread"]
    say(
        f"{manifest['verdict']} {manifest['id']}: {manifest['ensemble_size']} members, mean PLCC "
        f"{'-' if mean is None else f'{mean:.5f}'}, spread {'-' if spread is None else f'{spread:.5f}'}; intervals hold "
        f"{_share(gate['empirical_coverage'])} of held-out rows ({_share(gate['nominal_coverage'])} ± "
        f"{_share(gate['coverage_tolerance'])} asked for)"
    )
    if gate["why"]:
        say(gate["why"], err=True)


def evaluate(
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            help="An ONNX file, an ensemble.json, or the id of a registered model (NAME, or NAME.int8).",
        ),
    ],
    features: TableOption,
    split: Annotated[
        str, typer.Option("--split", help="train, val or test (by a hash of --key: 80, 10 and 10 %), or all.")
    ] = "test",
    key: Annotated[str, typer.Option("--key", help="Column whose values the split keeps together.")] = "source",
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Only rows with this value of --key (repeatable); no split.")
    ] = None,
    rows: Annotated[
        int | None, typer.Option("--rows", min=1, help="Number of rows at the start of the split. Default: all.")
    ] = None,
    target: Annotated[str | None, typer.Option("--target", help="Column to compare with.")] = None,
    min_plcc: Annotated[float | None, typer.Option("--min-plcc", help="Exit 1 if PLCC is lower.")] = None,
    min_srocc: Annotated[float | None, typer.Option("--min-srocc", help="Exit 1 if SROCC is lower.")] = None,
    max_rmse: Annotated[float | None, typer.Option("--max-rmse", help="Exit 1 if RMSE is higher.")] = None,
    against: Annotated[
        list[str] | None,
        typer.Option("--against", metavar="MODEL", help="Another model for the same rows (repeatable)."),
    ] = None,
    columns: Annotated[
        str,
        typer.Option(
            "--columns", metavar="A,B,…", help="Columns, or sets of features, fed to a model without a sidecar."
        ),
    ] = DEFAULT_FEATURES,
    input_name: Annotated[
        str | None,
        typer.Option("--input-name", help="Required input name of a model without a sidecar. Default: any."),
    ] = None,
    sidecar: Annotated[Path | None, typer.Option("--sidecar", metavar="JSON", help="The model's sidecar.")] = None,
    sha256: Annotated[
        str | None, typer.Option("--sha256", help="Pin of the file, for int8 variants without their report.")
    ] = None,
    registry: Annotated[
        Path | None,
        typer.Option(
            "--registry",
            metavar="JSON",
            help="Where ids are looked up. Default: $PYVMAF_REGISTRY, else results/registry/registry.json.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", "--json", metavar="JSON", help="Where a report goes.")
    ] = None,
    code: CodeOption = None,
) -> None:
    """PLCC, SROCC, KROCC and RMSE of a model file on rows of a table, the coverage of an ensemble's intervals, and the latency.

    Exits 1 if a limit is missed.

    Example: vmaf-train eval --model new.onnx --against old.onnx --features results/tables/default.parquet --split all
    --rows 100 --min-plcc 0.97
    """
    check_code("eval", code)
    from pyvmaf.checks.evaluate import evaluate as run

    report = run(
        model,
        features,
        split=split,
        key=key,
        only=only or (),
        n_rows=rows,
        target=target,
        columns=named_columns(columns),
        input_name=input_name,
        min_plcc=min_plcc,
        min_srocc=min_srocc,
        max_rmse=max_rmse,
        against=against or (),
        sidecar=sidecar,
        sha256=sha256,
        registry=registry,
        output=output,
    )
    _print_evaluation(report)
    if not report["passed"]:
        raise typer.Exit(1)


def _print_evaluation(report: Mapping[str, Any]) -> None:
    target = "MOS" if report["target"] == "mos" else report["target"]
    table = new_table(
        f"against {target}, {report['split']}, {report['n_samples']} rows",
        ("model",),
        ("inputs", "PLCC", "SROCC", "KROCC", "RMSE", "ms per clip", "95 %"),
    )
    for row in (report, *report["against"]):
        table.add_row(
            row["model"],
            str(row["feature_dim"]),
            *(figure(row[k]) for k in ("plcc", "srocc", "krocc")),
            figure(row["rmse"], 3),
            f"{row['latency_ms_p50_per_clip']:.3f}",
            f"{row['latency_ms_p95_per_clip']:.3f}",
        )
    print_whole(table)
    if (outside := report["outside_training_range"]["share"]) is not None:
        say(f"rows outside the training range: {_share(outside)}")
    if report["intervals"]:
        _print_intervals(report["intervals"])
    if report["split_note"]:
        say(report["split_note"])
    if report["trained_on_this_table"]:
        say("The model was trained on this table: these figures say how well it fits, not how well it predicts.")
    elif report["trained_on_this_table"] is None:
        say("Nothing says which table the model was trained on: if it is this one, it fits better than it predicts.")
    for missed in report["missed"]:
        say(f"missed: {missed}", err=True)


def _print_intervals(intervals: Mapping[str, Any]) -> None:
    from rich.table import Table

    from pyvmaf.base.terminal import console as new_console

    table = Table(title=f"intervals for {intervals['nominal_coverage']:.1%}, mean sigma {intervals['mean_sigma']:.3f}")
    for name in ("method", "hold", "mean width"):
        table.add_column(name, justify="left" if name == "method" else "right")
    for method, held in intervals["coverage"].items():
        share, width = held["empirical_coverage"], held["mean_width"]
        used = " (used)" if method == intervals["interval"] else ""
        table.add_row(f"{method}{used}", "-" if share is None else f"{share:.1%}", figure(width, 3))
    new_console().print(table)
