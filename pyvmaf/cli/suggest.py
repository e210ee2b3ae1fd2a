"""The verb suggest."""

from __future__ import annotations

from itertools import groupby
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pyvmaf.base.terminal import say
from pyvmaf.cli import declared as typer
from pyvmaf.cli.common import RegistryOption, ThreadsOption, progress, whole_numbers
from pyvmaf.cli.encodes import FFmpegOption
from pyvmaf.cli.plot import print_curve
from pyvmaf.cli.show import figure, new_table, print_whole

if TYPE_CHECKING:
    from pyvmaf.scoring.suggest import Recipe, Suggestion, SuggestReport


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("suggest")(suggest)


def suggest(
    video: Annotated[Path, typer.Argument(help="The clip.")],
    predictor: Annotated[
        Path | None,
        typer.Option(
            "--predictor",
            "-p",
            metavar="JSON",
            help="Report of predictor-report; the model lies beside it. [default: that of the registered predictor; without one "
            "--verify starts from a curve that is the same for every clip]",
        ),
    ] = None,
    codec: Annotated[str, typer.Option("--codec", metavar="NAME,…", help="Encoders: libx264,svtav1, …")] = "libx264",
    target: Annotated[float, typer.Option("--target", help="The VMAF to reach.")] = 93.0,
    pool: Annotated[
        str | None,
        typer.Option(
            "--pool", help="mean, harmonic or p5 of the frames. [default: what the predictor predicts, else mean]"
        ),
    ] = None,
    preset: Annotated[str | None, typer.Option("--preset", help="Preset. [default: the codec's own]")] = None,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Encode and measure, until a CRF is within 0.5 of the target or none can be."),
    ] = False,
    heights: Annotated[
        str | None,
        typer.Option(
            "--height",
            metavar="N,…",
            help="Lines of the encodes, with --verify: smaller ones are scaled up to be measured. [default: the clip's]",
        ),
    ] = None,
    stretches: Annotated[
        int,
        typer.Option(
            min=0,
            help="With --verify: encode and measure so many stretches of 10 s, spread over the clip; 0: all of it.",
        ),
    ] = 0,
    recipes: Annotated[
        Path | None,
        typer.Option(
            "--recipes", metavar="JSON", help="Recipes of calibrate-recipes: that of --class moves the target."
        ),
    ] = None,
    content_class: Annotated[
        str | None, typer.Option("--class", help="Class of content of the clip: ugc, animation, screen_content, …")
    ] = None,
    samples: Annotated[
        int, typer.Option(min=0, help="As that of probe: stretches of the clip to probe; 0: all of it.")
    ] = 0,
    plot: Annotated[bool, typer.Option("--plot", help="Draw the curve and what was measured in the terminal.")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="JSON", help="Write the report.")] = None,
    cache: Annotated[
        Path | None,
        typer.Option("--cache", help="Folder where probes and measurements are kept. Without it nothing is kept."),
    ] = None,
    registry: RegistryOption = None,
    ffmpeg: FFmpegOption = "embedded",
    threads: ThreadsOption = 1,
) -> None:
    """Suggest a CRF that reaches a VMAF, from a probe of the clip.

    Exit status 1: no CRF is predicted to reach the target, or (--verify) none was measured within 0.5 of it.

    Examples:
      vmaf-train suggest film.mkv --codec libx264,svtav1 --target 93 --verify

      vmaf-train suggest film.mkv --codec svtav1 --target 93 --predictor results/predictor/predictor.json
    """
    from pyvmaf.errors import InputError, unknown_name
    from pyvmaf.scoring.predictors import COLUMNS, registered_predictor
    from pyvmaf.scoring.saliency import for_probes
    from pyvmaf.scoring.suggest import suggest as run
    from pyvmaf.scoring.trials import Work

    if (recipes is None) != (content_class is None):
        raise InputError("--recipes and --class belong together: name both or neither")
    pools = {name: name for name in COLUMNS.values()}
    if pool is not None and pool not in pools:
        raise unknown_name("pool", pool, list(pools))
    asked = None if pool is None else pools[pool]
    if predictor is None:
        predictor = registered_predictor(registry, asked)
    with progress("read") as advance:
        report = run(
            video,
            predictor,
            [name.strip() for name in codec.split(",") if name.strip()],
            target,
            output,
            preset=preset,
            pool=asked,
            verify=verify,
            heights=() if heights is None else whole_numbers("--height", heights, "360,720"),
            stretches=stretches,
            samples=samples,
            saliency=lambda: for_probes(None, registry),
            recipe=None if recipes is None or content_class is None else _recipe(recipes, content_class),
            work=Work(ffmpeg, cache, threads),
            advance=advance,
        )
    _print(report)
    for item in report.suggestions if plot else ():
        points = item.corrected or item.curve
        measured = {one.crf: one.vmaf for one in item.measured or ()}
        crfs = [one.crf for one in points] or list(range(min(measured), max(measured) + 1))
        values = [one.vmaf for one in points] or [measured.get(crf, nan) for crf in crfs]
        print_curve(f"{item.codec}, {report.pool} VMAF", crfs, values, measured)
    if any(item.why for item in report.suggestions):
        raise typer.Exit(1)


def _recipe(path: Path, name: str) -> Recipe:
    from pyvmaf.base.files import sha256_file
    from pyvmaf.checks.recipes import OFFSET, Recipes
    from pyvmaf.errors import unknown_name
    from pyvmaf.scoring.suggest import Recipe

    recipes = Recipes.read(path).recipes
    if name not in recipes:
        raise unknown_name("class of content", name, recipes)
    found = recipes[name]
    source = found.provenance.keys.get(OFFSET, found.provenance.source)
    return Recipe(name, sha256_file(path), source, found.target_vmaf_offset or 0.0, found.tight_interval_max_width)


def _print(report: SuggestReport) -> None:
    rated = any(point.bitrate_kbps is not None for item in report.suggestions for point in item.curve)
    by = "without a predictor" if report.predictor is None else f"by {report.predictor}"
    table = new_table(
        f"{report.video}: {report.pool} VMAF {report.target:g}, {by}",
        ("codec", "preset"),
        ("lines", "CRF", "predicted", "from", "to", *(("kbit/s", "from", "to") if rated else ())),
    )
    for item in report.suggestions:
        point = next((one for one in item.curve if one.crf == item.crf), None)
        ends = ["-", "-"] if point is None else [figure(point.low, 1), figure(point.high, 1)]
        if rated:
            rates = (None,) * 3 if point is None else (point.bitrate_kbps, point.bitrate_low, point.bitrate_high)
            ends += ["-" if rate is None else f"{rate:.4g}" for rate in rates]
        table.add_row(
            *(item.codec, item.preset, str(item.height)),
            "-" if item.crf is None else str(item.crf),
            figure(item.predicted, 1),
            *ends,
        )
    print_whole(table)
    if report.sample is not None:
        parts = ", ".join(f"{first} to {last}" for first, last in report.sample.stretches)
        say(f"of a part of the clip, quality and bitrate alike: frames {parts}")
    _print_hull(report)
    for codec in dict.fromkeys(item.codec for item in report.suggestions if not item.curve):
        why = (
            "no predictor is named or registered"
            if report.predictor is None
            else f"{report.predictor} does not know it"
        )
        say(f"{codec}: {why}: the search started from a curve that is the same for every clip")
    measured = [(item, point) for item in report.suggestions for point in item.measured or ()]
    if measured:
        table = new_table("measured", ("codec",), ("lines", "CRF", "VMAF", "kbit/s", "on hull"))
        for item, made in measured:
            cells = (
                str(item.height),
                str(made.crf),
                figure(made.vmaf, 2),
                figure(made.bitrate_kbps, 1),
                "yes" if made.hull else "",
            )
            table.add_row(item.codec, *cells)
        print_whole(table)
    if report.recipe is not None:
        used = report.recipe
        say(
            f"recipe of {used.content_class} ({used.source}): target {used.asked:g} {used.target_vmaf_offset:+g} is {report.target:g}"
        )
        wide = [
            item for item in report.suggestions if item.verified is None and _wider(item, used.tight_interval_max_width)
        ]
        for item in wide:
            say(
                f"{item.codec}: the interval is wider than {used.tight_interval_max_width:g} VMAF: --verify measures instead"
            )
    for item in report.suggestions:
        if item.why:
            say(f"{item.codec}: {item.why}")


def _print_hull(report: SuggestReport) -> None:
    """Print which codec is predicted to be the best at which rates: the stretches of the convex hull of the curves."""
    points = sorted(
        (point.bitrate_kbps, point.vmaf, item.codec, point.crf)
        for item in report.suggestions
        for point in item.curve
        if point.hull and point.bitrate_kbps is not None
    )
    if not points:
        return
    table = new_table("predicted convex hull", ("codec",), ("CRF", "VMAF", "kbit/s"))
    for codec, group in groupby(points, key=lambda point: point[2]):
        stretch = list(group)
        spans = (f"{a} - {b}" if a != b else a for a, b in zip(_cells(stretch[0]), _cells(stretch[-1]), strict=True))
        table.add_row(codec, *spans)
    print_whole(table)


def _cells(point: tuple[float, float, str, int]) -> tuple[str, str, str]:
    rate, vmaf, _, crf = point
    return str(crf), figure(vmaf, 1), f"{rate:.4g}"


def _wider(item: Suggestion, width: float | None) -> bool:
    """Return whether the interval at the suggested CRF is wider than that."""
    point = next((one for one in item.curve if one.crf == item.crf), None)
    return width is not None and point is not None and point.high - point.low > width
