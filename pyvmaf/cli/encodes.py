"""Verbs of the stage encodes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pyvmaf.cli.common import CodeOption, check_code, progress
from pyvmaf.codecs.encoders import ENCODERS
from pyvmaf.codecs.encoders import encoder as find_encoder

FFmpegOption = Annotated[
    str, typer.Option("--ffmpeg", metavar="WHICH", help="FFmpeg to use: embedded, system, or a path.")
]


def register(app: typer.Typer) -> None:
    app.command("encode")(encode)


def encode(
    reference: Annotated[Path, typer.Argument(help="The clip to encode.")],
    output: Annotated[Path, typer.Argument(help="The encode, NAME.mkv; its record becomes NAME.json.")],
    codec: Annotated[
        str,
        typer.Option(help=f"{', '.join(ENCODERS)}, or an alias such as h264, av1, vvc."),
    ],
    crf: Annotated[
        int | None, typer.Option(help="Quality number of the codec, smaller is better; its default without.")
    ] = None,
    preset: Annotated[str | None, typer.Option(help="Preset of the codec; its default preset without.")] = None,
    bit_depth: Annotated[
        int | None, typer.Option(help="8 or 10; as the reference without, or the codec's only one.")
    ] = None,
    extra: Annotated[
        str, typer.Option(metavar="OPTIONS", help="Further FFmpeg options in one string: '-cpu-used 5'.")
    ] = "",
    encoder_threads: Annotated[
        int, typer.Option(min=1, help="Threads of the encoder. Another number may give other bytes.")
    ] = 1,
    ffmpeg: FFmpegOption = "embedded",
    code: CodeOption = None,
) -> None:
    """Encode a clip, and write its record and manifest beside it.

    The same command gives the same bytes on every run. The record (NAME.json) is a row of the corpus schema,
    version 3: what is measured later is null.

    Example: vmaf-train encode results/corpora/embedded/carphone.mkv medium-crf28.mkv --codec h264 --crf 28
    """
    check_code("encode", code)
    from pyvmaf.encodes.encode import encode as run
    from pyvmaf.encodes.encode import split_extra

    entry = find_encoder(codec)
    quality = entry.crf_default if crf is None else crf
    with progress(f"{entry.name} crf {quality}") as advance:
        done = run(
            reference,
            output,
            codec,
            entry.preset_default if preset is None else preset,
            quality,
            bit_depth=bit_depth,
            extra=split_extra(extra),
            threads=encoder_threads,
            program=ffmpeg,
            advance=advance,
        )
    record = done.record
    typer.echo(
        f"{done.path}: {record.encoder} {record.preset} crf {record.crf}, {record.pix_fmt}, "
        f"{record.bitrate_kbps:.1f} kbit/s, {record.encode_size_bytes} bytes in {done.seconds:.1f} s"
    )
