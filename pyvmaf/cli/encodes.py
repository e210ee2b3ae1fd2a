"""Verbs of the stage encodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated

from pyvmaf.base.terminal import say
from pyvmaf.cli import declared as typer
from pyvmaf.cli.common import CodeOption, RegistryOption, check_code, progress
from pyvmaf.codecs.encoders import ALIASES, ENCODERS
from pyvmaf.encodes.distortion import DEFAULT, DISTORTIONS, kind, uses
from pyvmaf.errors import InputError

FFmpegOption = Annotated[
    str, typer.Option("--ffmpeg", metavar="WHICH", help="FFmpeg to use: embedded, system, or a path.")
]


SkipOption = Annotated[
    bool,
    typer.Option(
        "--skip-broken",
        help="Leave the reason in the place of what cannot be made of a broken clip, and end without error.",
    ),
]


def complete_codec(incomplete: str) -> list[str]:
    """Complete the name or an alias of an encoder."""
    return [name for name in (*ENCODERS, *ALIASES) if name.startswith(incomplete)]


def register(app: typer.Typer) -> None:
    app.command("encode")(encode)
    app.command("probe")(probe)
    app.command("hardware-caps")(hardware_caps)


def encode(
    reference: Annotated[Path, typer.Argument(help="The clip to distort.")],
    output: Annotated[Path, typer.Argument(help="The encode, NAME.mkv; its record becomes NAME.json.")],
    codec: Annotated[
        str | None,
        typer.Option(help=f"{', '.join(ENCODERS)}, or an alias such as h264, av1, vvc.", autocompletion=complete_codec),
    ] = None,
    crf: Annotated[
        int | None, typer.Option(help="Quality number, smaller is better. [default: the codec's own]")
    ] = None,
    preset: Annotated[str | None, typer.Option(help="Preset of the codec. [default: the codec's own]")] = None,
    bit_depth: Annotated[
        int | None, typer.Option(help="8 or 10. [default: as the reference, or the codec's only one]")
    ] = None,
    extra: Annotated[
        str, typer.Option(metavar="OPTIONS", help="Further FFmpeg options in one string: '-cpu-used 5'.")
    ] = "",
    encoder_threads: Annotated[
        int, typer.Option(min=1, max=1024, help="Threads of the encoder. Another number may give other bytes.")
    ] = 1,
    distortion: Annotated[
        str, typer.Option(help=f"Kind of distortion: {', '.join(DISTORTIONS)}.", rich_help_panel="Other distortions")
    ] = DEFAULT,
    strength: Annotated[
        float | None, typer.Option(help="Strength of the distortion.", rich_help_panel="Other distortions")
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Setting of the distortion; may be repeated.",
            rich_help_panel="Other distortions",
        ),
    ] = None,
    ffmpeg: FFmpegOption = "embedded",
    skip_broken: SkipOption = False,
    code: CodeOption = None,
) -> None:
    """Make a distorted version of a clip, and write its record and manifest beside it.

    The same command gives the same bytes on every run. The record (NAME.json) is a row of the corpus schema,
    version 3: values that are measured later are null.

    Example: vmaf-train encode results/corpora/embedded/carphone.mkv medium-crf28.mkv --codec h264 --crf 28

    A filter: vmaf-train encode carphone.mkv blur.mkv --distortion filter --setting 'filter=gblur=sigma={strength}'
    --strength 2
    """
    check_code("encode", code, uses(distortion))
    from pyvmaf.corpora.failure import Failure
    from pyvmaf.encodes.encode import Encoded, encode_or_skip
    from pyvmaf.encodes.encode import encode as make

    options = {"codec": codec, "preset": preset, "crf": crf, "bit_depth": bit_depth, "extra": extra or None}
    settings = {name: str(value) for name, value in options.items() if value is not None}
    rung = kind(distortion).rung(strength, settings | _settings(setting or ()))
    run: Callable[..., Encoded | Failure] = encode_or_skip if skip_broken else make
    with progress(rung.name) as advance:
        done = run(reference, output, rung, threads=encoder_threads, program=ffmpeg, advance=advance)
    if isinstance(done, Failure):
        say(f"skipped: {done.path}: {done.why}", err=True)
        return
    row = done.record
    how = f"{row.encoder} {row.preset} crf {row.crf}" if row.encoder else f"{distortion} {rung.strength:g}"
    say(
        f"{done.path}: {how}, {row.pix_fmt}, {row.bitrate_kbps:.1f} kbit/s, {row.encode_size_bytes} bytes in "
        f"{done.seconds:.1f} s"
    )


def probe(
    videos: Annotated[list[Path], typer.Argument(help="The clip, or several of them for a table.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write the report (.json), or a table with a row per clip (.parquet).",
        ),
    ] = None,
    samples: Annotated[
        int, typer.Option(min=0, help="Measure so many stretches of 48 frames, spread over the clip; 0: every frame.")
    ] = 0,
    saliency: Annotated[
        str | None,
        typer.Option(
            "--saliency",
            metavar="NAME",
            help="Model for saliency: id of a registered one, or path of an ONNX file; none: leave saliency out. "
            "[default: the registered one, if there is one]",
            show_default=False,
        ),
    ] = None,
    registry: RegistryOption = None,
    cache: Annotated[
        Path | None, typer.Option("--cache", help="Folder where probes are kept. Without it nothing is kept.")
    ] = None,
    code: CodeOption = None,
) -> None:
    """Measure how hard a clip is to encode: a fast encode of a band of its pictures, and statistics of luma.

    Example: vmaf-train probe film.mkv --cache results/cache --output film.probe.json

    A table for join --columns: vmaf-train probe results/corpora/mine/*.mkv --output probes.parquet
    """
    check_code("probe", code)
    from pyvmaf.cli.show import figure, new_table, print_whole
    from pyvmaf.encodes.probe import probe as run
    from pyvmaf.encodes.probe import probe_table
    from pyvmaf.scoring.saliency import for_probes

    measure = None if saliency == "none" else for_probes(saliency, registry)
    reason = "saliency was not asked for" if saliency == "none" else "no model for saliency is registered"
    if output is not None and output.suffix == ".parquet":
        with progress("probe", unit="clips") as advance:
            rows = probe_table(videos, output, samples=samples, saliency=measure, cache=cache, advance=advance)
        say(f"{output}: {rows} clips")
        return
    if len(videos) > 1:
        raise InputError(
            "the facts of several clips make a table: name it with --output NAME.parquet, or probe one clip"
        )
    with progress("probe") as advance:
        report = run(
            videos[0], output, samples=samples, saliency=measure, why_no_saliency=reason, cache=cache, advance=advance
        )
    counts = ", ".join(f"{count} {kind}" for kind, count in report.pictures.items())
    table = new_table(f"{report.video}: {report.frames} frames ({counts})", ("fact",), ("value",))
    for name, value in report.facts:
        table.add_row(name, figure(value, 3))
    print_whole(table)
    for name, why in report.absent.items():
        say(f"{name}: {why}")


def _settings(words: Iterable[str]) -> dict[str, str]:
    settings = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise InputError(f"--setting {word!r} is not of the form NAME=VALUE")
        settings[name] = value
    return settings


def hardware_caps(
    caps: Annotated[
        Path | None, typer.Option("--caps", metavar="CSV", help="Another table with the same columns.")
    ] = None,
    arch: Annotated[str | None, typer.Option("--arch", help="A generation of GPUs: print its numbers as JSON.")] = None,
    encoder: Annotated[
        str | None, typer.Option("--encoder", help="Its encoder by FFmpeg's name, with --arch: h264_nvenc, av1_qsv, …")
    ] = None,
) -> None:
    """Print what the encoding hardware of GPU generations can do: priors, no measurements.

    Example: vmaf-train hardware-caps --arch blackwell --encoder av1_nvenc
    """
    from pyvmaf.base.files import dumps
    from pyvmaf.codecs.hardware import hardware, read_hardware
    from pyvmaf.errors import InputError

    if (arch is None) != (encoder is None):
        raise InputError("--arch and --encoder belong together: name both, or none for the whole table")
    if arch is not None and encoder is not None:
        say(dumps(hardware(arch, caps).vector(encoder)).rstrip().replace("\n", " "))
        return
    from pyvmaf.cli.show import new_table, print_whole

    table = new_table("hardware", ("architecture", "vendor", "codecs", "driver"), ("year", "encoders"))
    for row in read_hardware(caps).values():
        codecs = ", ".join(f"{name} {width}x{height}" for name, (width, height) in row.sizes.items())
        table.add_row(row.arch, row.vendor, codecs, row.driver, str(row.year), str(row.blocks))
    print_whole(table)
