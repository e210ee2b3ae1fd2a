"""``check-ops``, ``validate-model``, ``audit-learned-filter``, ``audit-compat``, ``validate-norm``, ``cross-backend``, ``profile``, ``bisect-model-quality``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pyvmaf.base.terminal import say
from pyvmaf.cli import declared as typer
from pyvmaf.cli.common import RegistryOption, ThreadsOption, progress
from pyvmaf.cli.show import figure, new_table, print_whole, show_gate, yes_no
from pyvmaf.features.catalog import DEFAULT_FEATURES, named_columns

if TYPE_CHECKING:
    from pyvmaf.checks.bisect import Bisection

ModelOption = Annotated[
    str,
    typer.Option("--model", "-m", metavar="MODEL", help="An ONNX file, its sidecar, or the id of a registered model."),
]
ModelsOption = Annotated[
    list[str],
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        help="An ONNX file, its sidecar, an ensemble.json, or the id of a registered model (NAME, or NAME.int8). "
        "Repeatable: the others are compared with the first.",
    ),
]
RowsOption = Annotated[
    Path, typer.Option("--features", "--table", metavar="PARQUET", help="A table with the model's features, unscaled.")
]
SidecarOption = Annotated[
    Path | None, typer.Option("--sidecar", metavar="JSON", help="The sidecar, if it is not beside the model.")
]
ReportOption = Annotated[
    Path | None,
    typer.Option("--json", "--output", "-o", "--out-json", metavar="JSON", help="Also write the report to this file."),
]
FailOnWarning = Annotated[bool, typer.Option("--fail-on-warning", help="Exit 1 if there is a warning.")]
REGISTRY = Path("results/registry/registry.json")


def register(app: typer.Typer) -> None:
    """Add the verbs of this stage."""
    app.command("check-ops")(check_ops)
    app.command("validate-model")(validate_model)
    app.command("audit-learned-filter")(audit_learned_filter)
    app.command("audit-compat")(audit_compat)
    app.command("validate-norm")(validate_norm)
    app.command("cross-backend")(cross_backend)
    app.command("profile")(profile)
    app.command("bisect-model-quality")(bisect_model_quality)
    app.command("eval-saliency-per-mb")(eval_saliency_per_mb)
    app.command("calibrate")(calibrate)
    app.command("collect-gpu-calibration")(collect_gpu_calibration)
    app.command("predictor-report")(predictor_report)


def check_ops(
    model: Annotated[list[Path], typer.Option("--model", "-m", metavar="ONNX", help="Any ONNX file. Repeatable.")],
    json: ReportOption = None,
) -> None:
    """Scan the operators of ONNX files without running them. Exits 0 if all are allowed, 1 if not, 2 on errors.

    Example: vmaf-train check-ops --model model.onnx
    """
    from pyvmaf.checks.check_ops import check_ops as run

    report = run(model, output=json)
    for scanned in report.models:
        operators = ", ".join(f"{name} x{count}" for name, count in scanned.operators.items())
        opsets = ", ".join(f"{domain} {version}" for domain, version in scanned.opsets.items())
        say(f"{'REFUSED' if scanned.problems else 'ok     '} {scanned.path} ({opsets}): {operators}")
        for problem in scanned.problems:
            say(f"        {problem}")
    if not report.passed:
        raise typer.Exit(1)


def validate_model(
    model: ModelOption,
    weights: Annotated[
        Path | None,
        typer.Option("--weights", help="Weights that it was made of. [default: weights.safetensors beside it]"),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="Its YAML file. [default: config/models/NAME.yaml]")
    ] = None,
    source: Annotated[
        Path | None, typer.Option("--source", metavar="ONNX", help="Compare its answers with this graph instead.")
    ] = None,
    registry: RegistryOption = None,
    threshold: Annotated[
        float, typer.Option("--threshold", help="Largest difference of answers, as a share of the output's range.")
    ] = 1e-5,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the inputs that both graphs get.")] = 0,
    json: ReportOption = None,
) -> None:
    """Check operators, sidecar, answers and registry entry of a model. Exits 0 if all pass, 1 if not, 2 on errors.

    The answers are compared with those of the trained network in torch, or with another graph (--source).

    Example: vmaf-train validate-model --model results/models/saliency_student_v2/seed0/model.onnx
    """
    from pyvmaf.checks.validate_model import validate_model as run

    report = run(
        model,
        json,
        weights=weights,
        config=config,
        source=source,
        registry=registry,
        threshold=threshold,
        seed=seed,
    )
    for finding in report.checks:
        verdict = {True: "ok    ", False: "FAILED", None: "-     "}[finding.passed]
        say(f"{verdict} {finding.what}: {finding.measured}" + (f" ({finding.why})" if finding.why else ""))
    if not report.passed:
        raise typer.Exit(1)


def audit_learned_filter(
    model: ModelOption,
    frames: Annotated[
        Path,
        typer.Option(
            "--frames", "--table", metavar="FILE", help="A table of pictures (.parquet), or gray frames (.npy)."
        ),
    ],
    registry: RegistryOption = None,
    peak: Annotated[float, typer.Option("--peak", help="The value of white in a .npy file.")] = 1.0,
    ssim_min: Annotated[
        float, typer.Option("--ssim-min", help="Least SSIM of a picture with its filtered version.")
    ] = 0.6,
    mean_shift_max: Annotated[
        float, typer.Option("--mean-shift-max", help="Largest change of the mean, as a share of the range.")
    ] = 0.05,
    std_ratio_max: Annotated[
        float, typer.Option("--std-ratio-max", help="Largest ratio of standard deviations, either way.")
    ] = 2.0,
    clip_fraction_max: Annotated[
        float, typer.Option("--clip-fraction-max", help="Largest share of samples moved to black or white.")
    ] = 0.01,
    gain_min: Annotated[float, typer.Option("--gain-min", help="Least mean gain in PSNR of a cell, dB.")] = 0.0,
    json: ReportOption = None,
    fail_on_warning: FailOnWarning = False,
) -> None:
    """Compare pictures with what a learned filter makes of them, and tell its gain per codec and range of quality.

    Example: vmaf-train audit-learned-filter --model learned_filter_v1 --frames results/tables/pictures.parquet
    """
    from pyvmaf.checks.audit_filter import Limits, audit_filter

    limits = Limits(ssim_min, mean_shift_max, std_ratio_max, clip_fraction_max, gain_min)
    report = audit_filter(model, frames, registry=registry, peak=peak, limits=limits, output=json)
    worst = report.extremes
    say(
        f"{report.model} on {report.pictures} pictures: least SSIM {worst.ssim:.4f}, largest mean shift {worst.mean_shift:.5f}, "
        f"ratio of deviations {worst.std_ratio:.4f}, share of clipped samples {worst.clip_fraction:.5f}"
    )
    if report.cells:
        table = new_table("gain in PSNR, dB", ("codec", "quality"), ("pictures", "mean", "worst picture"))
        for cell in report.cells:
            table.add_row(cell.codec, cell.quality, str(cell.pictures), f"{cell.gain:+.4f}", f"{cell.worst:+.4f}")
        print_whole(table)
    for warning in report.warnings:
        say(f"warning: {warning}", err=True)
    if fail_on_warning and report.warnings:
        raise typer.Exit(1)


def audit_compat(
    model_dir: Annotated[
        Path,
        typer.Option("--model-dir", "--registry", metavar="PATH", help="A folder of models, or a registry.json."),
    ] = REGISTRY,
    fail_on_warning: FailOnWarning = False,
    json: ReportOption = None,
) -> None:
    """Check that models, sidecars, int8 reports and registries fit together. Exits 1 if there is an error among the findings.

    Example: vmaf-train audit-compat --model-dir results/models --fail-on-warning
    """
    from pyvmaf.checks.audit_compat import audit_compat as run

    report = run(model_dir, output=json)
    for finding in report.findings:
        say(f"{finding.level}: {finding.path}: {finding.message}")
    say(
        f"{report.target}: {len(report.models)} models, {len(report.ensembles)} ensembles, "
        f"{len(report.registries)} registries, "
        f"{report.errors} errors, {report.warnings} warnings"
    )
    if report.errors or (fail_on_warning and report.warnings):
        raise typer.Exit(1)


def validate_norm(
    model: ModelOption,
    features: RowsOption,
    max_mean_shift: Annotated[
        float,
        typer.Option(
            "--max-mean-shift", min=0, help="Warn if a mean is farther off than this many training standard deviations."
        ),
    ] = 1.0,
    sigmas: Annotated[
        float, typer.Option("--sigmas", min=0, help="Distance from the training mean beyond which rows are counted.")
    ] = 3.0,
    max_beyond: Annotated[
        float, typer.Option("--max-beyond", min=0, max=1, help="Warn if a larger share of rows is beyond --sigmas.")
    ] = 0.05,
    sidecar: SidecarOption = None,
    registry: RegistryOption = None,
    fail_on_warning: FailOnWarning = False,
    json: ReportOption = None,
) -> None:
    """Compare a table's features with the rows of the model's training, in their standard deviations.

    Example: vmaf-train validate-norm --model model.onnx --features results/tables/default.parquet
    """
    from pyvmaf.checks.validate_norm import validate_norm as run

    report = run(
        model,
        features,
        max_mean_shift=max_mean_shift,
        sigmas=sigmas,
        max_beyond=max_beyond,
        sidecar=sidecar,
        registry=registry,
        output=json,
    )
    table = new_table(
        f"{report.model} on {report.table}, {report.n} rows",
        ("feature",),
        ("mean", "in training", "shift", "std ratio", f"beyond {sigmas:g} sigma", "outside range", "warnings"),
    )
    for feature in report.features:
        table.add_row(
            feature.name,
            figure(feature.mean),
            figure(feature.train_mean) + (f" ({feature.transform})" if feature.transform else ""),
            f"{feature.mean_shift:+.2f}",
            f"{feature.std_ratio:.2f}",
            f"{feature.beyond_share:.1%}",
            "-" if feature.outside_range_share is None else f"{feature.outside_range_share:.1%}",
            str(len(feature.warnings) or "-"),
        )
    print_whole(table)
    for warning in report.warnings:
        say(f"warning: {warning}")
    if report.trained_on_this_table:
        say("The model was trained on this table.")
    if report.warnings and fail_on_warning:
        raise typer.Exit(1)


def cross_backend(
    model: ModelsOption,
    features: Annotated[
        Path | None, typer.Option("--features", "--table", metavar="PARQUET", help="Take rows of this table.")
    ] = None,
    shape: Annotated[
        str | None,
        typer.Option("--shape", help="Draw rows of this shape: 256, 256x6, or features=256x6,codec=256x8."),
    ] = None,
    provider: Annotated[
        list[str] | None,
        typer.Option(
            "--provider",
            "-p",
            metavar="NAME",
            help="cpu, cuda or another provider of onnxruntime, with settings as in cpu:threads=2 or cpu:unoptimised; "
            "or reference, ONNX's evaluator in numpy. Repeatable; the others are compared with the first. "
            "Default: cpu, cpu:unoptimised, reference unless it lacks an operator, and every other installed provider.",
        ),
    ] = None,
    n_rows: Annotated[int, typer.Option("--n-rows", min=1, help="Largest number of rows.")] = 256,
    atol: Annotated[float, typer.Option("--atol", min=0, help="Largest difference allowed.")] = 1e-3,
    sidecar: SidecarOption = None,
    registry: RegistryOption = None,
    fail_on_mismatch: Annotated[
        bool, typer.Option("--fail-on-mismatch", help="Exit 1 if a difference exceeds --atol.")
    ] = False,
    json: ReportOption = None,
) -> None:
    """Compare the scores of runtimes, settings, or variants of a model (fp32 and int8) on the same rows.

    Example: vmaf-train cross-backend --model model.onnx --provider cpu --provider cuda
    --features results/tables/default.parquet --fail-on-mismatch
    """
    from pyvmaf.checks.cross_backend import cross_backend as run

    report = run(
        model,
        table=features,
        shape=shape,
        providers=provider or (),
        n_rows=n_rows,
        atol=atol,
        sidecar=sidecar,
        registry=registry,
        output=json,
    )
    table = new_table(
        f"Against the first, {report.n_rows} rows ({report.rows}), at most {report.atol:g}",
        ("model", "backend"),
        ("largest", "mean", "at", "first", "this", "within"),
    )
    for entry in report.runs:
        table.add_row(
            entry.path,
            entry.backend,
            f"{entry.max_abs_diff:.2e}",
            f"{entry.mean_abs_diff:.2e}",
            str(entry.worst_row),
            *(figure(value) for value in entry.worst_pair),
            yes_no(entry.passed),
        )
    print_whole(table)
    for absent in report.left_out:
        say(f"left out: {absent.backend}: {absent.why}")
    if not report.passed and fail_on_mismatch:
        raise typer.Exit(1)


def profile(
    model: ModelsOption,
    shape: Annotated[
        list[str] | None,
        typer.Option(
            "--shape",
            help="Rows (240), 240x6, or features=240x6,codec=240x8. Repeatable. Default: 1 and 240, a clip's frames.",
        ),
    ] = None,
    provider: Annotated[
        list[str] | None,
        typer.Option("--provider", "-p", metavar="NAME", help="cpu, cuda, … Repeatable. Default: cpu."),
    ] = None,
    warmup: Annotated[int, typer.Option("--warmup", min=0, help="Runs before the clock starts.")] = 5,
    iters: Annotated[int, typer.Option("--iters", min=1, help="Timed runs.")] = 100,
    threads: ThreadsOption = 1,
    sidecar: SidecarOption = None,
    registry: RegistryOption = None,
    json: ReportOption = None,
) -> None:
    """Time models and measure their memory, per shape and provider, each in a process of its own.

    Example: vmaf-train profile --model model.onnx --model static_qdq.onnx --shape 1 --shape 240
    """
    from pyvmaf.checks.profile import SHAPES
    from pyvmaf.checks.profile import profile as run

    with progress("profile", unit="measurements") as advance:
        report = run(
            model,
            shapes=shape or SHAPES,
            providers=provider or ("cpu",),
            warmup=warmup,
            iterations=iters,
            threads=threads,
            sidecar=sidecar,
            registry=registry,
            output=json,
            on_run=advance,
        )
    table = new_table(
        f"{iters} runs after {warmup} others, threads: {threads}",
        ("model", "provider", "shape"),
        ("mean ms", "p50 ms", "p99 ms", "of the first", "load ms", "peak MiB"),
    )
    for entry in report.runs:
        table.add_row(
            entry.path,
            entry.provider.removesuffix("ExecutionProvider"),
            ", ".join("x".join(map(str, sizes)) for sizes in entry.shapes.values()),
            figure(entry.mean_ms),
            figure(entry.p50_ms),
            figure(entry.p99_ms),
            f"{entry.times_first:.2f}x",
            figure(entry.load_ms, 1),
            figure(entry.peak_rss_delta_kib / 1024, 1),
        )
    print_whole(table)


def bisect_model_quality(
    models: Annotated[list[str], typer.Argument(metavar="MODEL…", help="Files or ids, in order: good to bad.")],
    features: RowsOption,
    min_plcc: Annotated[float | None, typer.Option("--min-plcc", help="A good model's PLCC is at least this.")] = None,
    min_srocc: Annotated[
        float | None, typer.Option("--min-srocc", help="A good model's SROCC is at least this.")
    ] = None,
    max_rmse: Annotated[float | None, typer.Option("--max-rmse", help="A good model's RMSE is at most this.")] = None,
    target: Annotated[
        str | None,
        typer.Option("--target", help="Column to compare with. Default: the target of the model's training."),
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
    every: Annotated[
        bool, typer.Option("--every", help="Evaluate all models, which shows whether the series is in order.")
    ] = False,
    fail_on_first_bad: Annotated[bool, typer.Option("--fail-on-first-bad", help="Exit 1 if a model fails.")] = False,
    registry: RegistryOption = None,
    json: ReportOption = None,
) -> None:
    """Find the first model of a series that falls short of exactly one of --min-plcc, --min-srocc, --max-rmse.

    Example: vmaf-train bisect-model-quality --features table.parquet --min-plcc 0.95 monday.onnx tuesday.onnx today.onnx
    """
    from pyvmaf.checks.bisect import bisect_model_quality as run

    with progress("bisect", unit="models") as advance:
        report = run(
            models,
            features,
            min_plcc=min_plcc,
            min_srocc=min_srocc,
            max_rmse=max_rmse,
            target=target,
            columns=named_columns(columns),
            input_name=input_name,
            every=every,
            registry=registry,
            output=json,
            on_model=lambda done, name: advance(done, 0, name),
        )
    _print_series(report)
    if report.first_bad is not None and fail_on_first_bad:
        raise typer.Exit(1)


def _print_series(report: Bisection) -> None:
    limit = report.limit
    condition = f"{limit.figure.upper()} {'at least' if limit.kind == 'min' else 'at most'} {limit.value:g}"
    table = new_table(
        f"{report.n_evaluated} of {report.n_models} models evaluated, {condition}",
        ("#", "model"),
        ("rows", "PLCC", "SROCC", "RMSE", "good"),
    )
    for model in report.models:
        table.add_row(
            str(model.place + 1),
            model.path,
            str(model.n),
            figure(model.plcc),
            figure(model.srocc),
            figure(model.rmse),
            yes_no(model.passed),
        )
    print_whole(table)
    if report.first_bad is None:
        say("no model that was evaluated fails")
    else:
        say(f"first bad: {report.first_bad_path}, the {report.first_bad + 1}. of {report.n_models}")
    for note in report.notes:
        say(f"note: {note}")


def eval_saliency_per_mb(
    predicted: Annotated[Path, typer.Argument(metavar="MAPS", help="Folder of maps, or of pictures with --model.")],
    truth: Annotated[Path, typer.Argument(metavar="MASKS", help="Folder of masks of the same names.")],
    output: Annotated[
        Path | None, typer.Option("--output", "--out-json", "-o", metavar="JSON", help="Write the report.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Id of a registered model, or path of an ONNX file, that makes the maps."),
    ] = None,
    registry: RegistryOption = None,
    block_size: Annotated[int, typer.Option("--block-size", min=1, help="Side of a block.")] = 16,
    threshold: Annotated[float, typer.Option("--threshold", help="Above which a pixel or a block is salient.")] = 0.5,
    threads: ThreadsOption = 1,
) -> None:
    """Compare saliency maps with masks, per macroblock and per pixel.

    Example: vmaf-train eval-saliency-per-mb frames masks --model u2netp
    """
    from pyvmaf.checks.saliency import eval_saliency

    with progress("saliency", unit="pictures") as advance:
        report = eval_saliency(
            predicted,
            truth,
            output,
            model=model,
            registry=registry,
            block=block_size,
            threshold=threshold,
            threads=threads,
            advance=advance,
        )
    say(
        f"{report.n_pairs} pairs: IoU of blocks {report.macro_iou:.4f} (all together {report.micro_iou:.4f}), of pixels "
        f"{report.macro_pixel_iou:.4f} ({report.micro_pixel_iou:.4f}), mean absolute error {report.mean_absolute_error:.4f}"
    )


def calibrate(
    videos: Annotated[list[Path], typer.Argument(metavar="VIDEO…", help="Rated videos, or folders of them.")],
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", help="Id of a registered model that needs no reference, or path of an ONNX file."
        ),
    ],
    opinions: Annotated[
        Path,
        typer.Option(
            "--opinions", "--mos", metavar="FILE", help="CSV with the columns key and mos, or rows of labels (.jsonl)."
        ),
    ],
    mos_scale: Annotated[str, typer.Option("--mos-scale", metavar="LOW,HIGH", help="Ends of the scale of mos.")],
    min_n: Annotated[int, typer.Option("--min-n", help="Least number of rated videos.")] = 30,
    min_plcc: Annotated[float, typer.Option("--min-plcc", help="Least PLCC of videos left out of the fit.")] = 0.7,
    min_srocc: Annotated[float, typer.Option("--min-srocc", help="Least SROCC of the model's scores.")] = 0.7,
    subsample: Annotated[int, typer.Option("--subsample", min=1, help="Score every n-th frame.")] = 8,
    registry: RegistryOption = None,
    output: ReportOption = None,
    as_result: Annotated[bool, typer.Option("--as-result", help="Exit 0 for a calibration that is held, too.")] = False,
) -> None:
    """Map the scores of a finished model to opinion scores. Exits 1 if too few videos are rated, or they agree too little.

    Example: vmaf-train calibrate --model nr_metric_v1 --opinions mos.csv --mos-scale 1,5 videos -o calibration.json
    """
    from pyvmaf.base.opinion import parse_scale
    from pyvmaf.checks.calibrate import Limits
    from pyvmaf.checks.calibrate import calibrate as run

    with progress("calibrate", unit="videos") as advance:
        report = run(
            model,
            opinions,
            videos,
            output,
            scale=parse_scale(mos_scale),
            subsample=subsample,
            limits=Limits(min_n, min_plcc, min_srocc),
            registry=registry,
            advance=advance,
        )
    show_gate(
        f"{report.model}: {report.n} rated videos",
        report.gate,
        f"{report.verdict}  mos = {report.mapping.intercept:.4g} + {report.mapping.slope:.4g} x score; RMSE of videos left out "
        f"{report.rmse:.3f}, of their mean {report.constant_rmse:.3f}",
    )
    if report.verdict != "PROMOTE" and not as_result:
        raise typer.Exit(1)


def collect_gpu_calibration(
    reference: Annotated[Path, typer.Option("--reference", "-r", help="The pristine video.")],
    distorted: Annotated[Path, typer.Option("--distorted", "-d", help="The distorted video.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The table to write (.parquet).")],
    backends: Annotated[
        list[str],
        typer.Option(
            "--backend", "--backends", metavar="BACKEND", help="What to compare with the processor. Repeatable."
        ),
    ],
    features: Annotated[
        str, typer.Option("--features", help="A set of features (canonical6, full, k150k), or names with commas.")
    ] = DEFAULT_FEATURES,
    frames: Annotated[
        int | None, typer.Option("--frame-limit", "--frames", min=1, help="Measure so many frames only. [default: all]")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option("--cuda-device", help="Index or UUID of the CUDA device. [default: the first that is not in use]"),
    ] = None,
    arch_id: Annotated[
        str | None, typer.Option("--arch-id", help="Id of the device in the table. [default: its name and capability]")
    ] = None,
    size: Annotated[str | None, typer.Option("--size", metavar="WxH", help="Frame size of raw .yuv files.")] = None,
    pix_fmt: Annotated[
        str, typer.Option("--pix-fmt", help="Pixel format of raw .yuv files, by FFmpeg's name.")
    ] = "yuv420p",
    threads: ThreadsOption = 1,
) -> None:
    """Measure a pair with the processor and with other backends, and keep both values of each feature and frame.

    Example: vmaf-train collect-gpu-calibration -r ref.mkv -d dis.mkv --backend libvmaf-cuda -o calibration.parquet
    """
    import os

    from pyvmaf.checks.gpu_calibration import collect
    from pyvmaf.engines import DEVICE_VARIABLE
    from pyvmaf.video.format import Format

    if device is not None:
        os.environ[DEVICE_VARIABLE] = device
    differences = collect(
        reference,
        distorted,
        output,
        backends=backends,
        features=features,
        frames=frames,
        arch_id=arch_id,
        raw=Format.parse(size, pix_fmt) if size else None,
        threads=threads,
    )
    table = new_table(
        f"{distorted.name} against the processor", ("backend", "feature"), ("frames", "unequal", "largest", "mean")
    )
    for item in differences:
        table.add_row(
            item.backend, item.feature, str(item.frames), str(item.unequal), f"{item.largest:.3g}", f"{item.mean:.3g}"
        )
    print_whole(table)
    say(f"{output}: {sum(item.frames for item in differences)} rows")


def predictor_report(
    onnx: Annotated[Path, typer.Argument(help="The exported model; its sidecar lies beside it.")],
    fits: Annotated[
        list[Path], typer.Option("--fit", metavar="DIR", help="Folder that fit left for a seed; may be repeated.")
    ],
    features: Annotated[Path, typer.Option("--features", "--table", metavar="PARQUET", help="The training table.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="JSON", help="The report, beside the model.")],
    codec: Annotated[
        list[str] | None,
        typer.Option("--codec", help="A codec to report although the table may lack it; may be repeated."),
    ] = None,
    rate: Annotated[
        Path | None,
        typer.Option(
            "--rate", metavar="JSON", help="Report of the predictor of bitrate that goes with this one of VMAF."
        ),
    ] = None,
    as_result: Annotated[bool, typer.Option("--as-result", help="Exit 0 although a codec does not pass.")] = False,
) -> None:
    """Report what a predictor of quality or bitrate is worth for each codec, on sources that it had not seen.

    Exit status 1: a codec does not pass.

    Example: vmaf-train predictor-report model.onnx --fit runs/seed0 --fit runs/seed1 --features predictor.parquet
    -o predictor.json
    """
    from pyvmaf.checks.predictor import predictor_report as run

    report = run(onnx, fits, features, output, codecs=codec or (), rate=rate)
    table = new_table(
        f"{report.model}: {'log2 of the bitrate' if report.pool is None else f'{report.pool} VMAF'}, seed {report.seed} of "
        f"{', '.join(map(str, report.seeds))}",
        ("codec", "status"),
        ("sources", "rows", "PLCC", "least", "SROCC", "RMSE", "MAE", "half width"),
    )
    for item in report.codecs:
        least = min((fold.plcc for fold in item.folds if fold.plcc is not None), default=None)
        figures = (item.mean_plcc, least, item.mean_srocc, item.mean_rmse, item.mae, item.half_width)
        counts = (str(item.n_distinct_sources), str(item.n_rows_total))
        table.add_row(item.codec, item.status, *counts, *(figure(value, 3) for value in figures))
    print_whole(table)
    for item in report.codecs:
        if item.rate_error is not None and item.half_width is not None:
            say(
                f"{item.codec}: half of the bitrates are predicted within {item.rate_error:.0%}, {report.nominal_coverage:.0%} within "
                f"a factor of {2**item.half_width:.2f}"
            )
        for reason in item.failure_reasons:
            say(f"{item.codec}: {reason}")
    if report.summary.n_pass < len(report.codecs) and not as_result:
        raise typer.Exit(1)
