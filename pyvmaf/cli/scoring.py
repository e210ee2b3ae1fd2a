"""The verbs filter, shots, saliency and mask-pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pyvmaf.base.terminal import say
from pyvmaf.cli import declared as typer
from pyvmaf.cli.common import RegistryOption, ThreadsOption, progress
from pyvmaf.cli.show import print_whole

SaliencyModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        help="Id of a registered model, or path of an ONNX file. [default: u2netp, else the first registered one]",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command("filter")(filter_)
    app.command("shots")(shots)
    app.command("saliency")(saliency)
    app.command("mask-pictures")(mask_pictures)


def filter_(
    source: Annotated[Path, typer.Argument(metavar="IN", help="The video, of 8 bits.")],
    output: Annotated[
        Path, typer.Argument(metavar="OUT", help="The filtered video: .mkv, .nut or .avi, lossless (FFV1).")
    ],
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", metavar="NAME", help="Id of a registered filter or denoiser, or path of its ONNX file."
        ),
    ] = "learned_filter_v1",
    reference: Annotated[
        Path | None, typer.Option("--reference", "-r", help="The pristine video: also print the gain per metric.")
    ] = None,
    registry: RegistryOption = None,
) -> None:
    """Restore the luma of a video with a learned filter or a denoiser.

    Example: vmaf-train filter distorted.mkv filtered.mkv --model learned_filter_v1 --reference pristine.mkv
    """
    from pyvmaf.cli.show import new_table
    from pyvmaf.scoring.filtering import filter_video

    with progress(source.name, unit="frames") as advance:
        done = filter_video(source, output, model=model, reference=reference, registry=registry, advance=advance)
    say(f"wrote {output}: {done.frames} frames, luma changed by {done.changed:.3f} levels in the mean")
    if done.gains:
        table = new_table(f"{output.name} against {reference}", ("metric",), ("before", "after", "gain"))
        for name, (before, after) in done.gains.items():
            table.add_row(name, f"{before:.4f}", f"{after:.4f}", f"{after - before:+.4f}")
        print_whole(table)


def shots(
    video: Annotated[Path, typer.Argument(help="The video.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="JSON", help="Write the report.")] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME",
            help="Id of a registered model, or path of an ONNX file; 'thumbnails': changes between small grey pictures. "
            "[default: the registered model for shots, else thumbnails]",
            show_default=False,
        ),
    ] = None,
    registry: RegistryOption = None,
    threshold: Annotated[
        float, typer.Option("--threshold", help="Probability from which on a frame is the last of its shot.")
    ] = 0.5,
    size: Annotated[str | None, typer.Option(metavar="WxH", help="Size of a headerless .yuv file.")] = None,
    pix_fmt: Annotated[str, typer.Option(help="Pixel format of a headerless .yuv file.")] = "yuv420p",
    fps: Annotated[str, typer.Option(help="Frames per second of a headerless .yuv file.")] = "25",
    threads: ThreadsOption = 1,
) -> None:
    """Find the cuts and shots of a video.

    Example: vmaf-train shots film.mkv --output shots.json
    """
    from pyvmaf.cli.show import figure, new_table
    from pyvmaf.scoring.shots import shots as run
    from pyvmaf.video.format import Format

    raw = Format.parse(size, pix_fmt, fps) if size else None
    with progress("shots") as advance:
        report = run(
            video,
            output,
            model=model,
            registry=registry,
            threshold=threshold,
            raw=raw,
            threads=threads,
            advance=advance,
        )
    method = report.method if report.model is None else report.model.id
    table = new_table(
        f"{report.video}: {report.frames} frames, by {method}", (), ("first", "last", "seconds", "probability")
    )
    chances = [None, *(cut.probability for cut in report.cuts)]
    for (first, last), (start, end), chance in zip(report.shots, report.seconds, chances, strict=True):
        table.add_row(f"{first:g}", f"{last:g}", f"{start:.2f} to {end:.2f}", figure(chance, 3))
    print_whole(table)
    if output is not None:
        say(f"wrote {output}")


def saliency(
    videos: Annotated[list[Path], typer.Argument(metavar="VIDEO", help="The videos; the stem of each names its clip.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="PARQUET", help="The table.")],
    model: SaliencyModel = None,
    registry: RegistryOption = None,
    every: Annotated[int, typer.Option("--every", min=1, help="Measure each of so many frames only.")] = 1,
    per_clip: Annotated[
        bool, typer.Option("--per-clip", help="A row per video, with the means over its measured frames.")
    ] = False,
    threads: ThreadsOption = 1,
) -> None:
    """Measure mean and variance of the saliency map of each frame, for vmaf-train join.

    Example: vmaf-train saliency clips/*.mkv --every 8 --per-clip --output saliency.parquet
    """
    from pyvmaf.scoring.saliency import saliency as run

    with progress("saliency", unit="videos") as advance:
        rows = run(
            videos,
            output,
            model=model,
            registry=registry,
            every=every,
            per_clip=per_clip,
            threads=threads,
            advance=advance,
        )
    say(f"{output}: {rows} rows")


def mask_pictures(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="A table of pictures in colour, of extract-frames.")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="PARQUET", help="The table with masks, in the folder of the pictures."),
    ],
    model: SaliencyModel = None,
    registry: RegistryOption = None,
    threads: ThreadsOption = 1,
) -> None:
    """Make masks for pictures that have none, with a model for saliency: labels for a student.

    Example: vmaf-train mask-pictures photos.parquet -o labelled.parquet --model u2netp
    """
    from pyvmaf.scoring.masks import mask_pictures as run

    with progress("masks", unit="pictures") as advance:
        made = run(table, output, model=model, registry=registry, threads=threads, advance=advance)
    say(f"{output}: {made} masks")
